"""Data sets with little background, or few photos: what is added, and what is said of what cannot be measured."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from conftest import draw_boxed

from logolens.config import TrainSettings
from logolens.data import load, split
from logolens.data.builtin_backgrounds import is_builtin, with_backgrounds


def boxed(folder: Path, share: tuple[float, float], count: int = 20) -> Path:
    """Photos of two labels with boxes that take this share of the shorter side."""
    folder.mkdir()
    rows = [["path", "label", "x1", "y1", "x2", "y2"]]
    for label in ("acme", "bolt"):
        for number in range(count):
            photo, box = draw_boxed(label, number, (120, 120), share)
            photo.save(folder / f"{label}{number}.png")
            rows.append([f"{label}{number}.png", label, *map(str, box)])
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "t.csv"


@pytest.mark.parametrize(("share", "added"), [((0.95, 0.99), True), ((0.2, 0.3), False)])
def test_boxes_that_leave_no_background_do_not_keep_the_built_in_ones_away(
    tmp_path: Path, share: tuple[float, float], added: bool
) -> None:
    dataset = load(boxed(tmp_path / "photos", share))
    splits = split(dataset)
    more, parts = with_backgrounds(dataset, splits)
    builtin = [number for number, photo in enumerate(more.photos) if is_builtin(photo)]
    assert bool(builtin) is added
    notes = [str(note) for note in more.notes if note.kind == "built-in-backgrounds"]
    assert len(notes) == added
    if added:
        assert set(builtin) == set(parts.train) - set(splits.train) | set(parts.val) - set(splits.val)
        assert parts.test == splits.test


def test_a_few_boxes_among_photos_without_are_not_enough_background(tmp_path: Path, make_photos: Any) -> None:
    make_photos(tmp_path / "p", labels=("acme", "bolt"), count=10)
    rows = [f"{path.relative_to(tmp_path / 'p')},{path.parent.name}" for path in sorted((tmp_path / "p").rglob("*.*"))]
    rows = [row + ",10,10,60,60" if number % 4 == 0 else row for number, row in enumerate(rows)]
    (tmp_path / "p" / "t.csv").write_text("path,label,x1,y1,x2,y2\n" + "\n".join(rows))
    dataset = load(tmp_path / "p" / "t.csv", training=False)
    more, _ = with_backgrounds(dataset, split(dataset))
    note = next(str(note) for note in more.notes if note.kind == "built-in-backgrounds")
    assert "regions outside the boxes" in note


@pytest.mark.parametrize(("count", "said"), [(2, "Left out one at a time, "), (1, "Each label has one photo alone")])
def test_of_few_photos_it_is_said_that_nothing_was_measured(
    tmp_path: Path, make_photos: Any, train_settings: TrainSettings, count: int, said: str
) -> None:
    from logolens.training.train import train

    data = make_photos(tmp_path / "p", count=count)
    result = train(data, tmp_path / "out", dataclasses.replace(train_settings, views="whole", val=0.15, test=0.15))
    assert result.evaluation is None
    (note,) = (note for note in result.notes if note.startswith("Nothing was measured"))
    assert said in note
    assert note in result.manifest["data"]["notes"]
