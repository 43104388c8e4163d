"""Photos that a bundle has learned from are told, as files and as versions by name, whatever its list of them holds."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from conftest import draw_boxed

from logolens.data import Dataset, load
from logolens.evaluation.seen import seen_before

NAMES = ("shop_0412_jpg.rf.0123456789abcdef0123456789abcdef.jpg", "aug_90_street_0077.jpg", "other_0001.jpg")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = tmp_path / "data" / "acme"
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        draw_boxed("acme", number, (80, 60))[0].save(folder / name)
    return load(tmp_path / "data", training=False, remember=False)


def bundle(folder: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    folder.mkdir()
    with (folder / "split.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "part", "sha256"), *rows])
    return folder


def test_versions_by_name_are_told_beside_the_very_files(dataset: Dataset, tmp_path: Path) -> None:
    rows = [
        ("acme/shop_0412_jpg.rf.ffffffffffffffffffffffffffffffff.jpg", "acme", "train", "0" * 64),
        ("acme/street_0077.jpg", "acme", "test", "1" * 64),
        ("acme/elsewhere.jpg", "acme", "val", next(p.sha256 for p in dataset.photos if "other" in p.name)),
    ]
    files, told = seen_before(dataset, bundle(tmp_path / "b", rows), "this bundle")
    assert files == 1
    assert "1 of these 3 photos were used to train" in told[0]
    assert "1 of these 3 photos are, by their names, versions" in told[1]
    assert NAMES[0] in told[1]
    # What was kept back for the test taught nothing.
    assert seen_before(dataset, bundle(tmp_path / "c", rows[1:2]), "this bundle") == (0, [])


@pytest.mark.parametrize("kind", ["gone", "bytes", "columns", "pipe", "device"])
def test_a_list_that_cannot_be_read_tells_of_nothing_and_keeps_nobody_waiting(
    dataset: Dataset, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "split.csv"
    if kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("needs pipes with names")
        os.mkfifo(path)
    elif kind == "device":
        if not Path("/dev/zero").exists():
            pytest.skip("needs /dev/zero")
        path.symlink_to("/dev/zero")
    elif kind != "gone":
        path.write_bytes(b"\xff\xfe\0" * 100 if kind == "bytes" else b"a,b\n1,2\n")
    assert seen_before(dataset, tmp_path, "this bundle") == (0, [])
