"""The demo's folder: what it writes, what it refuses to touch, and what an interruption leaves."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from logolens.errors import DataError, UsageError
from logolens.recipes.demo.demo_data import MARKER, DemoSettings, make_demo_data, read_demo_data

for _package in ("resvg_py", "simple_icons_pack", "simpleicons"):
    pytest.importorskip(_package, reason="needs the demo extra")

SMALL = DemoSettings(per_label=2, none=2, unseen_per_label=1, unseen_none=1, old_new=1, unseen_old_new=1)
BRANDS = ("nike", "puma")


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, with the hash of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("demo")
    make_demo_data(parent / "data", SMALL, brands=BRANDS)
    return parent / "data"


def test_the_sets_have_the_photos_asked_for(made: Path) -> None:
    data = read_demo_data(made)
    assert data.labels == BRANDS
    assert data.titles == {"nike": "Nike", "puma": "Puma"}
    assert data.counts == {"train": 6, "unseen": 3, "oldnew": 2, "oldnew-unseen": 2}
    for folder, count in ((data.train, 2), (data.unseen, 1)):
        for label in (*BRANDS, "none"):
            photos = list((folder / label).glob("*.jpg"))
            assert len(photos) == count
            for photo in photos:
                with Image.open(photo) as image:
                    assert image.format == "JPEG"
                    assert image.mode == "RGB"
                    assert 320 <= max(image.size) <= 640
    assert data.oldnew is not None
    assert sorted(p.name for p in data.oldnew.iterdir()) == ["new", "old"]
    assert data.oldnew_unseen is not None
    assert len(list(data.oldnew_unseen.glob("*/*.jpg"))) == 2


def test_no_photo_occurs_twice(made: Path) -> None:
    hashes = [digest for name, digest in tree(made).items() if name.endswith(".jpg")]
    assert len(hashes) == len(set(hashes)) == 13


@pytest.mark.parametrize("part", ["train", "oldnew"])
def test_annotations_list_every_photo_and_boxes_lie_inside(made: Path, part: str) -> None:
    rows = list(csv.DictReader((made / f"{part}.csv").read_text(encoding="utf-8").splitlines()))
    listed = {row["path"] for row in rows}
    assert listed == {name for name in tree(made) if name.startswith(f"{part}/")}
    for row in rows:
        assert row["label"] == Path(row["path"]).parent.name
        if row["label"] == "none":
            assert row["x1"] == row["y1"] == row["x2"] == row["y2"] == ""
            continue
        with Image.open(made / row["path"]) as image:
            x1, y1, x2, y2 = (int(row[key]) for key in ("x1", "y1", "x2", "y2"))
            assert 0 <= x1 < x2 <= image.width
            assert 0 <= y1 < y2 <= image.height


def test_the_seed_decides_every_byte_whatever_the_threads(made: Path, tmp_path: Path) -> None:
    make_demo_data(tmp_path / "again", SMALL, brands=BRANDS, threads=1)
    assert tree(tmp_path / "again") == tree(made)
    other = DemoSettings(**{**SMALL.__dict__, "seed": 1})
    make_demo_data(tmp_path / "other", other, brands=BRANDS)
    changed = tree(tmp_path / "other")
    assert all(changed[name] != digest for name, digest in tree(made).items() if name.endswith(".jpg"))


def test_an_absent_brand_changes_no_other_brands_photos(made: Path, tmp_path: Path) -> None:
    data = make_demo_data(tmp_path / "data", SMALL, brands=("nike", "nosuchbrandhere", "puma"))
    assert "nosuchbrandhere" in data.absent
    assert data.labels == BRANDS
    one, other = tree(made), tree(tmp_path / "data")
    assert {name for name in one if name.endswith(".jpg")} == {name for name in other if name.endswith(".jpg")}
    assert all(other[name] == digest for name, digest in one.items() if name != MARKER)


def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    make_demo_data(tmp_path / "data", SMALL, brands=BRANDS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "mine.txt"]
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_progress_counts_up_to_all_photos(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    make_demo_data(tmp_path / "data", SMALL, brands=BRANDS, progress=lambda *call: told.append(call))
    assert [done for _, done, _ in told] == list(range(1, 14))
    assert {total for _, _, total in told} == {13}


@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_folder_is_refused_untouched(tmp_path: Path, force: bool) -> None:
    target = tmp_path / "photos"
    target.mkdir()
    (target / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(UsageError, match="not made by the demo"):
        make_demo_data(target, SMALL, brands=BRANDS, force=force)
    assert tree(tmp_path) == {"photos/holiday.jpg": hashlib.sha256(b"precious").hexdigest()}


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"precious")
    with pytest.raises(UsageError, match="not a folder"):
        make_demo_data(tmp_path / "data", SMALL, brands=BRANDS, force=True)
    assert (tmp_path / "data").read_bytes() == b"precious"


def test_own_photos_among_the_demos_are_never_removed(tmp_path: Path) -> None:
    make_demo_data(tmp_path / "data", SMALL, brands=BRANDS)
    own = tmp_path / "data" / "train" / "nike" / "own.jpg"
    own.write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"train/nike/own\.jpg"):
        make_demo_data(tmp_path / "data", SMALL, brands=BRANDS, force=True)
    assert own.read_bytes() == b"precious"


def test_a_complete_folder_is_replaced_only_when_told(tmp_path: Path) -> None:
    make_demo_data(tmp_path / "data", SMALL, brands=BRANDS)
    before = tree(tmp_path)
    other = DemoSettings(**{**SMALL.__dict__, "seed": 1})
    with pytest.raises(UsageError, match="already"):
        make_demo_data(tmp_path / "data", other, brands=BRANDS)
    assert tree(tmp_path) == before
    make_demo_data(tmp_path / "data", other, brands=BRANDS, force=True)
    after = tree(tmp_path)
    assert after.keys() == before.keys()
    assert after != before


class Stop(Exception):
    pass


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done == 5:
            raise error

    with pytest.raises(error):
        make_demo_data(tmp_path / "data", SMALL, brands=BRANDS, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_replacement_keeps_the_old_photos(tmp_path: Path) -> None:
    make_demo_data(tmp_path / "data", SMALL, brands=BRANDS)
    before = tree(tmp_path)

    def stop(stage: str, done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        make_demo_data(tmp_path / "data", SMALL, brands=BRANDS, force=True, progress=stop)
    assert tree(tmp_path) == before


def test_a_killed_run_leaves_no_folder_that_looks_complete(tmp_path: Path) -> None:
    pid = os.fork() if hasattr(os, "fork") else pytest.skip("needs fork")
    if pid == 0:  # The child dies without any clean-up, as by kill -9.
        make_demo_data(tmp_path / "data", SMALL, brands=BRANDS, progress=lambda *_: os._exit(9))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert not (tmp_path / "data").exists()
    with pytest.raises(DataError, match="no complete demo data"):
        read_demo_data(tmp_path / "data")
    assert make_demo_data(tmp_path / "data", SMALL, brands=BRANDS).counts["train"] == 6


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1, "files": []}'])
def test_a_damaged_marker_makes_the_folder_foreign(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER).write_text(text)
    with pytest.raises(DataError):
        read_demo_data(tmp_path)
    with pytest.raises(UsageError):
        make_demo_data(tmp_path, SMALL, brands=BRANDS, force=True)
    assert (tmp_path / MARKER).read_text() == text


def test_the_marker_lists_exactly_what_was_made(made: Path) -> None:
    marker = json.loads((made / MARKER).read_text(encoding="utf-8"))
    assert sorted([*marker["files"], MARKER]) == sorted(tree(made))


@pytest.mark.parametrize("change", [{"seed": -1}, {"per_label": 1}, {"unseen_per_label": 0}, {"none": -1}])
def test_settings_out_of_bounds_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be"):
        DemoSettings(**change)


def test_no_old_and_new_when_none_are_asked_for(tmp_path: Path) -> None:
    data = make_demo_data(tmp_path / "data", DemoSettings(**{**SMALL.__dict__, "old_new": 0}), brands=BRANDS)
    assert data.oldnew is None
    assert data.oldnew_unseen is None
    assert data.oldnew_annotations is None
    assert not (tmp_path / "data" / "oldnew").exists()


def test_unseen_photos_are_no_copies_of_training_photos(made: Path) -> None:
    """Backgrounds, seeds and other brands differ, so small versions of the photos differ as well."""

    def small(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return np.asarray(image.convert("L").resize((16, 16)), np.float32)

    seen = [small(path) for path in sorted((made / "train").glob("*/*.jpg"))]
    for path in sorted((made / "unseen").glob("*/*.jpg")):
        assert min(float(np.abs(small(path) - other).mean()) for other in seen) > 4
