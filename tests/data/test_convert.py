"""Data sets written anew in other formats, and read back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest
import yaml
from conftest import draw_boxed
from PIL import Image

from logolens.cli import main
from logolens.config import BACKGROUND
from logolens.data import Dataset, load
from logolens.data.convert import convert
from logolens.data.formats import WRITERS
from logolens.errors import DataError, UsageError

Make = Callable[..., Path]
ODD = {
    os.fsdecode(b"caf\xe9.png"): "be\x07ll", os.fsdecode(b"caf\xff.png"): "two\nlines", "ring\x07\x1b[31m.png": "be\x07ll",
    "line\n 99%.png": "two\u2028lines", "turn\u202egnp.png": "ca\u202ef", f"{'l' * 251}.png": "iso\xf1",
    f"{'l' * 250}m.png": "iso\xf1", "what?<a>.png": "be\rll", "c1\x9b.png": "ca\u202ef",
}  # fmt: skip
"""Photos whose names are no text, steer a terminal, break a line, are as long as can be, or are none on other machines."""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Photos in three parts: with a box, with two labels, without a box, and of none; two share their name."""
    rows = ["path,label,x1,y1,x2,y2,split,group"]
    for number, (label, split) in enumerate(
        [("acme", "train"), ("bolt & co", "train"), ("ça va", "val"), ("yes", "test")]
    ):
        image, box = draw_boxed("acme", number)
        (tmp_path / "in" / str(number)).mkdir(parents=True)
        image.save(tmp_path / "in" / str(number) / "photo.png")
        rows.append(f"{number}/photo.png,{label},{','.join(map(str, box))},{split},g{number}")
    rows += ["0/photo.png,bolt & co,1,2,11,12,train,g0", "4.jpg,none,,,,,train,", "5.jpg,acme,,,,,train,"]
    draw_boxed("none", 4)[0].save(tmp_path / "in" / "4.jpg")
    draw_boxed("acme", 5)[0].save(tmp_path / "in" / "5.jpg")
    (tmp_path / "in" / "photos.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "in" / "photos.csv"


@pytest.mark.parametrize("form", ["csv", "yolo", "coco", "voc"])
def test_what_is_written_is_read_back_the_same(table: Path, tmp_path: Path, form: str) -> None:
    before = load(table, training=False)
    result = convert(before, tmp_path / "out", form)
    after = load(tmp_path / "out", training=False)
    assert (result.photos, result.boxes) == (6, 5 if form == "csv" else 6)
    assert after.labels == before.labels
    theirs = {photo.sha256: photo for photo in after.photos}
    for photo in before.photos:
        other = theirs[photo.sha256]
        assert (other.split, other.labels) == (photo.split, photo.labels)
        found = sorted((region.label, region.box) for region in other.regions if region.box)
        wanted = sorted((region.label, region.box) for region in photo.regions if region.box)
        if not wanted and photo.label != BACKGROUND and form != "csv":
            # These formats know nothing but boxes.
            assert [(box.x1, box.y1, box.x2, box.y2) for _, box in found if box] == [(0, 0, photo.width, photo.height)]
            continue
        assert [label for label, _ in found] == [label for label, _ in wanted]
        for (_, one), (_, two) in zip(found, wanted, strict=True):
            assert one is not None
            assert two is not None
            assert (one.x1, one.y1, one.x2, one.y2) == pytest.approx((two.x1, two.y1, two.x2, two.y2), abs=0.01)


def test_the_files_are_what_other_tools_take(table: Path, tmp_path: Path) -> None:
    dataset = load(table, training=False)
    for form in ("yolo", "coco"):
        convert(dataset, tmp_path / form, form)
    described = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text(encoding="utf-8"))
    assert described["names"] == ["acme", "bolt & co", "yes", "ça va"]
    assert all((tmp_path / "yolo" / described[part]).is_dir() for part in ("train", "val", "test"))
    assert (tmp_path / "yolo" / "train" / "labels" / "4.txt").read_text() == ""
    value = json.loads((tmp_path / "coco" / "train" / "_annotations.coco.json").read_text(encoding="utf-8"))
    known = {row["id"] for row in value["images"]}
    assert {row["image_id"] for row in value["annotations"]} < known
    assert all((tmp_path / "coco" / "train" / row["file_name"]).is_file() for row in value["images"])


def test_folders_say_what_they_cannot_hold(table: Path, tmp_path: Path) -> None:
    result = convert(load(table, training=False), tmp_path / "out", "folder")
    assert {note.kind for note in result.notes} >= {"boxes-left", "one-label"}
    after = load(tmp_path / "out", training=False)
    assert after.counts() == {"acme": 2, "bolt & co": 1, "yes": 1, "ça va": 1, BACKGROUND: 1}


def test_exclusions_and_corrections_are_heeded(
    make_photos: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_photos(tmp_path / "photos", count=3)
    gone = tmp_path / "gone.csv"
    gone.write_text("path\nacme/acme-1.jpg\n", encoding="utf-8")
    wrong = next(photo for photo in load(data, training=False).photos if photo.name == "bolt/bolt-1.jpg")
    decisions = {
        "format": "logolens decisions", "version": 1, "base": str(data),
        "decisions": [
            {"sha256": wrong.sha256, "names": ["bolt/bolt-1.jpg"], "answer": "bolt", "decision": "reject", "label": "crest"}
        ],
    }  # fmt: skip
    (tmp_path / "decisions.json").write_text(json.dumps(decisions), encoding="utf-8")
    argv = ["datasets", "convert", str(data), str(tmp_path / "out"), "--format", "yolo", "--exclude", str(gone)]
    assert main([*argv, "--corrections", str(tmp_path / "decisions.json")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out")
    assert load(tmp_path / "out", training=False).counts() == {"acme": 2, "bolt": 2, "crest": 4}


def test_labels_that_no_folder_or_file_can_hold_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    for label, form in (("../../up", "folder"), ("a\\b", "folder"), ("be\ufffell", "voc")):
        (tmp_path / "t.csv").write_text(f"path,label\na.png,{label}\n", encoding="utf-8")
        with pytest.raises(DataError, match="choose another format"):
            convert(load(tmp_path / "t.csv", training=False), tmp_path / "out", form)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "t.csv"]


@pytest.mark.parametrize("form", list(WRITERS))
def test_names_and_labels_from_outside_are_written_so_that_every_machine_reads_them(form: str, tmp_path: Path) -> None:
    rows = [{"path": name, "label": label} for name, label in ODD.items()]
    try:
        for number, name in enumerate(ODD):
            draw_boxed("acme", number)[0].save(tmp_path / name)
    except OSError:
        pytest.skip("This file system has no such names.")
    table = tmp_path / "t.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    before = load(table, training=False)
    # What breaks a line in a label, or rings a bell, is one space.
    assert before.labels == ("be ll", "ca\u202ef", "iso\xf1", "two lines")
    convert(before, tmp_path / "out", form)
    after = load(tmp_path / "out", training=False)
    assert after.labels == before.labels
    assert {photo.sha256: photo.label for photo in after.photos} == {
        photo.sha256: photo.label for photo in before.photos
    }
    for file in (tmp_path / "out").rglob("*"):
        assert not re.search(r'[\\:*?"<>|\x00-\x1f\x7f-\x9f\u202e\ud800-\udfff]', file.name.replace("ca\u202ef", ""))
        assert len(os.fsencode(file.name)) < 240
        if file.suffix in (".csv", ".json", ".yaml", ".xml", ".txt"):
            file.read_text(encoding="utf-8")


def test_what_is_there_is_not_replaced(table: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="is there already"):
        convert(load(table, training=False), tmp_path / "out", "csv")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Dataset:
    """Every tenth photo of a published set."""
    every = load(shared_data / "flickr27" / "flickr_logos_27_dataset", training=False)
    return every.subset(range(0, len(every), 10))


@pytest.mark.parametrize("form", ["yolo", "coco", "voc"])
def test_a_published_set_goes_through_each_format(published: Dataset, tmp_path: Path, form: str) -> None:
    before = published
    convert(before, tmp_path / "out", form)
    after = load(tmp_path / "out", training=False)
    assert after.labels == before.labels
    theirs = {photo.path.stem: photo for photo in after.photos}
    assert len(theirs) == len(before) == 81
    for photo in before.photos:
        other = theirs[photo.path.stem]
        assert other.labels == photo.labels
        if photo.boxes:
            found = sorted((round(box.x1), round(box.y1), round(box.x2), round(box.y2)) for box in other.boxes)
            wanted = {(round(box.x1), round(box.y1), round(box.x2), round(box.y2)) for box in photo.boxes}
            # In YOLO's eight digits a box moves by a millionth of a pixel, which may round either way.
            assert all(
                any(max(abs(a - b) for a, b in zip(one, two, strict=True)) <= 1 for two in wanted) for one in found
            )


@pytest.mark.parametrize("form", ["csv", "yolo", "coco", "voc"])
def test_awkward_labels_and_names_come_back(form: str, tmp_path: Path) -> None:
    labels = [
        "Acme, Inc.",
        'the "real" one',
        "Ünï çødé 漢字",
        "two  words",
        "a/b\\c",
        "yes",
        "007",
        "<b>&amp;'",
        "- #x: y",
        "1e5",
    ]
    names = ["classes.png", "labels.png", ".hidden.png", "train.png", *(f"{n}.png" for n in range(len(labels) - 4))]
    rows = []
    for number, (name, label) in enumerate(zip(names, labels, strict=True)):
        draw_boxed("acme", number, (96, 64))[0].save(tmp_path / name)
        rows.append(
            {"path": name, "label": label, "x1": 5, "y1": 6, "x2": 40 + number, "y2": 50, "group": f"g{number % 2}"}
        )
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = load(tmp_path / "t.jsonl", training=False)
    result = convert(dataset, tmp_path / "out", form)
    again = load(tmp_path / "out", training=False)
    found, expected = (
        {its.sha256: (its.label, *map(round, astuple(its.boxes[0]))) for its in each.photos}
        for each in (again, dataset)
    )
    assert found == expected
    assert ("groups-left" in {note.kind for note in result.notes}) == (form != "csv")
