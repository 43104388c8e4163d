"""COCO's masks: run lengths as a list or as text give the same boxes as drawn, and nonsense gives none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import draw_boxed

from logolens.data import Box, load
from logolens.data.formats.rle import box_of_runs

HEIGHT, WIDTH = 120, 160
# pycocotools 2.0.10 packed a mask of rows 30 to 69 and columns 40 to 99; the second one has rows 100 to 109 of columns 120 to
# 129 besides.
ONE = "nf4X1`2" + "0" * 117 + "RP7"
TWO = "nf4X1`2" + "0" * 117 + "V]2ROhcM" + "0" * 17 + "\\]3"


def runs(x1: int, y1: int, x2: int, y2: int) -> list[int]:
    """The run lengths of a full rectangle."""
    column = [y2 - y1, HEIGHT - (y2 - y1)]
    return [x1 * HEIGHT + y1, *(column * (x2 - x1))]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (ONE, (40, 30, 60, 40)),
        (TWO, (40, 30, 90, 80)),
        (runs(40, 30, 100, 70), (40, 30, 60, 40)),
        ([0, HEIGHT * WIDTH], (0, 0, WIDTH, HEIGHT)),
        ([HEIGHT - 1, 2, HEIGHT * WIDTH - HEIGHT - 1], (0, 0, 2, HEIGHT)),  # From the foot of one column to the next's head.
    ],
)  # fmt: skip
def test_a_mask_s_box(counts: object, expected: tuple[int, int, int, int]) -> None:
    assert box_of_runs({"size": [HEIGHT, WIDTH], "counts": counts}) == Box(*expected)


@pytest.mark.parametrize("counts", ["", "~~", "\0", "é", ONE[:-1], [5], [1, -2], [10**30], [1e400], ["a"], None, 3, {}])
def test_what_is_no_mask(counts: object) -> None:
    assert box_of_runs({"size": [HEIGHT, WIDTH], "counts": counts}) is None


def test_masks_give_boxes_and_crowds_are_left_out(tmp_path: Path) -> None:
    for number in range(4):
        draw_boxed("acme", number, (WIDTH, HEIGHT))[0].save(tmp_path / f"{number}.png")
    size = [HEIGHT, WIDTH]
    masks: list[dict[str, Any]] = [
        {"segmentation": {"size": size, "counts": ONE}},
        {"segmentation": {"size": size, "counts": runs(40, 30, 100, 70)}, "bbox": [0, 0, 0, 0]},
        {"segmentation": {"size": size, "counts": ONE}, "iscrowd": 1},
        {"segmentation": {"size": size, "counts": "~~"}},
    ]
    value = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for n in range(4)],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, **mask} for n, mask in enumerate(masks)],
        "categories": [{"id": 1, "name": "acme"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(value))
    dataset = load(tmp_path, training=False, remember=False)
    boxes = {photo.name: photo.boxes for photo in dataset.photos}
    assert boxes == {"0.png": (Box(40, 30, 100, 70),), "1.png": (Box(40, 30, 100, 70),), "3.png": ()}
    assert {"crowd", "no-box"} <= {note.kind for note in dataset.notes}
