"""File names and labels that are no text, or that are made to steer whoever reads them, on the way through the commands."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from logolens.cli import main

LOCALES = [{"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]")
FAKE = b"x\x1b[2J\n 99.9%  acme  real.png"
WRITTEN = {
    b"caf\xe9.png": r"caf\xe9.png",
    "caf\u00e9.png".encode(): "caf\u00e9.png",
    rb"looks\xe9.png": r"looks\x5cxe9.png",
    FAKE: FAKE.decode(),
}


@pytest.fixture
def odd(bundle: Any, tmp_path: Path) -> Path:
    """A folder of four readable images and a broken one."""
    folder = tmp_path / "odd"
    folder.mkdir()
    photos = sorted((bundle.data / "acme").iterdir())
    try:
        for name, photo in zip(WRITTEN, photos, strict=False):
            shutil.copy(photo, os.fsencode(folder) + b"/" + name)
        (folder / os.fsdecode(b"bro\x1b[31mken\xff.png")).write_text("no image")
    except OSError:
        pytest.skip("This file system has no such names.")
    return folder


def logolens(*arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "logolens", *arguments], capture_output=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("locale", LOCALES)
def test_predict_keeps_such_names(locale: dict[str, str], bundle: Any, odd: Path) -> None:
    told = logolens("predict", str(bundle.path), str(odd), "--json", **locale)
    assert told.returncode == 1
    images = [json.loads(line)["image"] for line in told.stdout.decode().splitlines()]
    assert sorted(images) == sorted(f"{odd}/{name}" for name in (*WRITTEN.values(), "bro\x1b[31mken" + r"\xff.png"))
    assert not STEERING.search(told.stdout.decode())
    told = logolens("predict", str(bundle.path), str(odd), **locale)
    assert len(told.stdout.decode().splitlines()) == 4
    assert not STEERING.search(told.stdout.decode() + told.stderr.decode())
    assert rb"x\x1b[2J\n 99.9%" in told.stdout
    assert rb"bro\x1b[31mken\xff.png: This is not an image" in told.stderr


@pytest.mark.parametrize("locale", LOCALES)
def test_scan_keeps_such_names_from_folders_archives_and_lists(
    locale: dict[str, str], bundle: Any, odd: Path, tmp_path: Path
) -> None:
    archive, listing, store, table = (tmp_path / name for name in ("a.tar", "list.txt", "s.db", "t.csv"))
    with tarfile.open(archive, "w", encoding="utf-8", errors="surrogateescape", format=tarfile.GNU_FORMAT) as tar:
        for name in WRITTEN:
            tar.add(os.fsdecode(os.fsencode(odd) + b"/" + name), arcname=os.fsdecode(name))
    # A list may name a file as it is called, and as an earlier result writes it.
    lines = [b"odd/caf\xe9.png", "odd/caf\u00e9.png".encode(), rb"odd/looks\x5cxe9.png"]
    listing.write_bytes(b"\n".join(lines))
    for source, names in (
        (odd, {f"{odd}/{name}" for name in WRITTEN.values()}),
        (archive, {f"{archive}!/{name}" for name in WRITTEN.values()}),
        (listing, {f"{odd}/{name}" for name in list(WRITTEN.values())[:3]}),
    ):
        for _ in range(2):  # The second scan knows them by their names.
            told = logolens(
                "scan", str(bundle.path), str(source), "--json", "--csv", str(table), "--store", str(store), **locale
            )
            assert told.returncode == 0, told.stderr
            rows = [json.loads(line) for line in told.stdout.decode().splitlines()]
            found = {
                name for row in rows if row["verdict"] != "error" for name in row["names"] if row["change"] != "gone"
            }
            assert found == names
            assert not STEERING.search(told.stderr.decode())
        assert {row["change"] for row in rows if row["verdict"] != "error"} == {"same"}
        with open(table, encoding="utf-8", newline="") as file:
            listed = {name for row in csv.DictReader(file) if row["verdict"] != "error" for name in [row["image"]]}
        assert listed >= {name for name in names if "\n" not in name}
        with sqlite3.connect(store) as db:
            assert {row[0] for row in db.execute("SELECT name FROM images WHERE verdict != 'error'")} >= names
        store.unlink()


def test_labels_that_no_file_of_labels_could_hold_are_read_as_lines(bundle: Any, tmp_path: Path, capsys: Any) -> None:
    from logolens.data import load

    data = tmp_path / "data"
    photos = sorted((bundle.data / "acme").iterdir())
    given = (b".NET", b"caf\xe9", b"two\nlines", b".git", b"@eaDir", b".ipynb_checkpoints", b"__MACOSX")
    for number, label in enumerate(given):
        folder = os.fsencode(data) + b"/" + label
        os.makedirs(folder)
        shutil.copy(photos[2 * number], folder + b"/a.png")
        shutil.copy(photos[2 * number + 1], folder + b"/b\xff.png")
    (data / ".empty").mkdir()
    found = load(data)
    assert set(found.labels) == {".NET", r"caf\xe9", "two lines"}
    notes = {note.kind: note for note in found.notes}
    assert notes["leftover"].count == 4
    assert notes["dot-label"].count == 1
    assert notes["broken-label"].count == 2
    for name in (photo.name for photo in found.photos):
        name.encode()
    assert main(["audit", str(data)]) in (0, 3)
    out, err = capsys.readouterr()
    assert not STEERING.search(out + err)


def test_a_label_of_nothing_but_breaks_is_a_sentence(bundle: Any, tmp_path: Path, capsys: Any) -> None:
    photo = sorted((bundle.data / "acme").iterdir())[0]
    rows = [{"path": str(photo), "label": "\x07"}, {"path": str(photo), "label": "acme"}]
    table = tmp_path / "t.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    assert main(["train", str(table), "--out", str(tmp_path / "b")]) == 1
    assert "holds nothing but line breaks" in capsys.readouterr().err


def test_wrong_usage_quotes_what_was_given_without_obeying_it(capsys: Any) -> None:
    assert main(["predict", "/no/\x1b[31m\nError: fake", "x.jpg", "--views", "\x1b[2J\nfine"]) == 2
    err = capsys.readouterr().err
    assert not STEERING.search(err)
    assert "\nfine" not in err


def test_commands_print_in_one_place() -> None:
    commands = Path(__file__).resolve().parents[2] / "src" / "logolens" / "cli"
    printing = re.compile(r"(?<![\w.\"])print\(|click\.echo|sys\.std(out|err)\.write")
    told = [path.name for path in commands.glob("*.py") if printing.search(path.read_text(encoding="utf-8"))]
    assert told == ["console.py"]


@pytest.fixture(scope="module")
def outside(bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name is no text and steers a terminal, with a data set, artwork and a bundle in it."""
    place = tmp_path_factory.mktemp("outside") / os.fsdecode(b"d\xe9\x1b[31m")
    try:
        place.mkdir()
    except OSError:
        pytest.skip("This file system has no such names.")
    shutil.copytree(bundle.data, place / "data")
    shutil.copytree(bundle.path, place / "bundle")
    (place / "data" / "acme").rename(place / "data" / os.fsdecode(b"acm\xe9"))
    for label in (b"acm\xe9", "caf\u00e9".encode(), b"l" * 250):
        folder = place / "art" / os.fsdecode(label)
        folder.mkdir(parents=True)
        size = 1 + len(label) % 4
        drawn = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="5" cy="5" r="{size}"/></svg>'
        (folder / os.fsdecode(b"dr\xff.svg")).write_text(drawn)
    return place


OUTSIDE = {
    "train": ["train", "data", "--out", "new", "--views", "whole", "--epochs", "1"],
    "gallery": ["gallery", "add", "gallery", "data", "--label", os.fsdecode("caf\u00e9".encode())],
    "synthesize": ["synthesize", "art", "--out", "made", "--count", "3"],
    "convert": ["datasets", "convert", "data", "written", "--format", "coco"],
    "export": ["export", "bundle", "--out", "m.onnx"],
}
"""Commands, with the names of what lies in the folder or is to be made there."""


@pytest.mark.parametrize("name", OUTSIDE)
def test_commands_work_in_a_folder_whose_name_is_no_text(name: str, outside: Path) -> None:
    locale = LOCALES[name != "convert"]
    known = {path.name for path in outside.iterdir()} | {"new", "gallery", "made", "written", "m.onnx"}
    given = [f"{outside}/{each}" if each in known and at else each for at, each in enumerate(OUTSIDE[name])]
    told = logolens(*given, **locale)
    said = told.stdout.decode() + told.stderr.decode()
    assert told.returncode == 0, said
    assert not STEERING.search(said)
    for made in (path for path in outside.rglob("*") if path.suffix in (".json", ".csv", ".md", ".txt")):
        made.read_text(encoding="utf-8")
    if name == "gallery":
        listed = logolens("gallery", "list", f"{outside}/gallery", "--label", "caf\u00e9", "--json", **locale)
        assert len(json.loads(listed.stdout)["references"]) > 1
    if name == "synthesize":
        labels = {os.fsencode(folder.name) for folder in (outside / "made" / "train").iterdir()}
        assert labels == {b"acm\xe9", "caf\u00e9".encode(), b"l" * 250, b"none"}
        from logolens.data import load

        assert load(outside / "made", training=False).labels == (r"acm\xe9", "caf\u00e9", "l" * 250)
