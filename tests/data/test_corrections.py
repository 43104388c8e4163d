"""What a reviewer decided becomes photos to train on, each the very picture that was judged, and none on both sides."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from logolens.data import Box, Dataset, Photo, Region, load, split, with_corrections
from logolens.errors import DataError, ImageError
from logolens.io.sources import reopen


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def saved(file: Path, *entries: dict[str, Any], **head: Any) -> Path:
    content = {"format": "logolens decisions", "version": 1, "base": None, "decisions": list(entries), **head}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def entry(path: Path, decision: str, label: str | None, **more: Any) -> dict[str, Any]:
    return {"name": str(path), "sha256": sha(path), "answer": "acme", "decision": decision, "label": label, **more}


@pytest.fixture
def data(tmp_path: Path, make_photos: Callable[..., Path]) -> Dataset:
    return load(make_photos(tmp_path / "photos", labels=("acme", "bolt"), count=8, none=6))


@pytest.fixture
def found(tmp_path: Path, draw_photo: Callable[..., Image.Image]) -> dict[str, Path]:
    """What a scan found: a logo, something that is none, and a copy of one of the data set's photos."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name, (label, seed) in {"a": ("acme", 901), "b": ("bolt", 902), "n": ("none", 903), "m": ("none", 904)}.items():
        draw_photo(label, seed).save(folder / f"{name}.png")
    return {path.stem: path for path in folder.iterdir()}


def by_sha(data: Dataset) -> dict[str, Photo]:
    return {photo.sha256: photo for photo in data.photos}


def notes_of(data: Dataset) -> dict[str, Any]:
    return {note.kind: note for note in data.notes}


def test_corrected_images_join(tmp_path: Path, data: Dataset, found: dict[str, Path]) -> None:
    file = saved(
        tmp_path / "decisions.json",
        entry(found["a"], "accept", "acme"),
        entry(found["b"], "reject", "bolt"),
        entry(found["n"], "reject", None),
        entry(found["m"], "skip", None),
    )
    more = with_corrections(data, file)
    assert len(more) == len(data) + 3
    photos = by_sha(more)
    assert {name: photos[sha(found[name])].label for name in "abn"} == {"a": "acme", "b": "bolt", "n": "none"}
    assert sha(found["m"]) not in photos
    photo = photos[sha(found["a"])]
    assert (photo.path, photo.regions, photo.split) == (found["a"], (Region("acme"),), None)
    assert (photo.width, photo.height) == (128, 128)
    assert more.labels == data.labels
    assert more.data_hash != data.data_hash
    assert [photo.name for photo in more.photos] == sorted(photo.name for photo in more.photos)
    assert notes_of(more)["corrections"].count == 3
    # What was there stays as it was.
    assert {photo.name for photo in data.photos} < {photo.name for photo in more.photos}
    parts = split(more)
    assert sorted([*parts.train, *parts.val, *parts.test]) == list(range(len(more)))


def test_near_copies_of_corrected_images_stay_together(tmp_path: Path, data: Dataset) -> None:
    """The scan found a photo of the data set again, saved anew: a split that parted the two would leak."""
    copy = tmp_path / "again.jpg"
    original = data.photos[0]
    with Image.open(original.path) as image:
        image.convert("RGB").save(copy, quality=85)
    more = with_corrections(data, saved(tmp_path / "d.json", entry(copy, "accept", original.label)))
    photos = by_sha(more)
    assert photos[sha(copy)].near == photos[original.sha256].near
    others = {photo.near for photo in more.photos if photo.sha256 not in (sha(copy), original.sha256)}
    assert photos[sha(copy)].near not in others
    parts = split(more)
    sides = [
        part
        for part, rows in parts.by_name().items()
        for row in rows
        if more.photos[row].near == photos[sha(copy)].near
    ]
    assert len(sides) == 2
    assert len(set(sides)) == 1


def test_a_photo_of_the_data_set_takes_the_reviewers_label(tmp_path: Path, data: Dataset) -> None:
    wrong = next(photo for photo in data.photos if photo.label == "acme")
    right = next(photo for photo in data.photos if photo.label == "bolt")
    file = saved(
        tmp_path / "d.json", entry(wrong.path, "reject", "none"), entry(right.path, "accept", "bolt", answer="bolt")
    )
    more = with_corrections(data, file)
    assert len(more) == len(data)
    assert by_sha(more)[wrong.sha256].regions == (Region("none"),)
    assert by_sha(more)[right.sha256] == right
    notes = notes_of(more)
    assert wrong.name in str(notes["overruled"])
    assert right.name in str(notes["confirmed"])


def test_boxes_of_a_confirmed_photo_stay(tmp_path: Path, found: dict[str, Path]) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,label,x1,y1,x2,y2\nsite/a.png,acme,1,2,30,40\nsite/b.png,bolt,,,,\n")
    data = load(table)
    more = with_corrections(data, saved(tmp_path / "d.json", entry(found["a"], "accept", "acme")))
    assert by_sha(more)[sha(found["a"])].boxes == (Box(1, 2, 30, 40),)


def test_files_are_found_from_the_scans_folder_from_here_and_from_the_file(
    tmp_path: Path, data: Dataset, found: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    item = {**entry(found["a"], "accept", "acme"), "name": "site/a.png"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for file in (
        saved(elsewhere / "d.json", item, base=str(tmp_path)),
        saved(tmp_path / "d.json", item),
    ):
        assert by_sha(with_corrections(data, file))[sha(found["a"])].label == "acme"
    monkeypatch.chdir(tmp_path)
    assert sha(found["a"]) in by_sha(with_corrections(data, saved(elsewhere / "e.json", item)))


def test_of_several_files_the_one_that_was_judged_is_taken(
    tmp_path: Path, data: Dataset, found: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "site"
    other.mkdir(parents=True)
    (other / "a.png").write_bytes(found["b"].read_bytes())
    monkeypatch.chdir(other.parent)
    item = {**entry(found["a"], "accept", "acme"), "name": "site/a.png"}
    more = with_corrections(data, saved(tmp_path / "d.json", item))
    assert by_sha(more)[sha(found["a"])].path == tmp_path / "site" / "a.png"
    # Or under another of its names.
    item = {**entry(found["n"], "reject", "none"), "names": ["gone.png", str(found["n"])]}
    assert sha(found["n"]) in by_sha(with_corrections(data, saved(tmp_path / "e.json", item)))


def test_images_that_changed_or_are_gone_are_left_out_by_name(
    tmp_path: Path, data: Dataset, found: dict[str, Path]
) -> None:
    entries = [entry(found[name], "accept", "acme") for name in "abn"]
    entries.append({**entry(found["m"], "reject", "none"), "name": "https://site.example/m.png"})
    found["a"].write_bytes(found["m"].read_bytes())
    found["b"].unlink()
    more = with_corrections(data, saved(tmp_path / "d.json", *entries))
    assert len(more) == len(data) + 1
    notes = notes_of(more)
    assert "row 1" in str(notes["changed-correction"])
    assert "another image by now" in str(notes["changed-correction"])
    assert notes["missing-correction"].count == 2
    assert "row 2" in str(notes["missing-correction"])
    assert "row 4, https://site.example/m.png" in str(notes["missing-correction"])
    with pytest.raises(DataError, match=r"none of its decisions can be used.*row 1"):
        with_corrections(data, saved(tmp_path / "d.json", *entries[:2]))


def test_images_of_the_web_are_fetched_once(
    tmp_path: Path, data: Dataset, found: dict[str, Path], own_cache: Path
) -> None:
    asked = []

    def read(name: str) -> bytes:
        asked.append(name)
        if name.endswith("b.png"):
            raise ImageError(f"{name}: the server answered 404.")
        return found["a" if name.endswith("a.png") else "m"].read_bytes()

    entries = [
        {**entry(found["a"], "accept", "acme"), "name": "https://site.example/a.png"},
        {**entry(found["b"], "accept", "acme"), "name": "photos.zip!/b.png"},
        {**entry(found["n"], "accept", "acme"), "name": "s3://bucket/n.png"},
    ]
    file = saved(tmp_path / "d.json", *entries)
    more = with_corrections(data, file, read=read)
    assert len(more) == len(data) + 1
    photo = by_sha(more)[sha(found["a"])]
    assert photo.path.is_relative_to(own_cache)
    assert photo.name == "corrections/https://site.example/a.png"
    assert notes_of(more)["missing-correction"].count == 2  # One answers 404, one is another image by now.
    asked.clear()
    assert by_sha(with_corrections(data, file, read=read)).keys() == by_sha(more).keys()
    assert "https://site.example/a.png" not in asked


def test_members_of_an_archive_are_read_in_place(
    tmp_path: Path, data: Dataset, found: dict[str, Path], own_cache: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        archive.write(found["a"], "media/a.png")
    item = {**entry(found["a"], "accept", "acme"), "name": "site.zip!/media/a.png"}
    found["a"].unlink()
    file = saved(tmp_path / "d.json", item, base=str(tmp_path))
    more = with_corrections(data, file, read=lambda name: reopen(name).read())
    assert len(more) == len(data) + 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"label": "acmee"}, "row 2.*did you mean acme"),
        ({"label": 7}, "row 2.*no label says as what"),
        ({"decision": "maybe"}, "row 2: the decision is 'maybe'"),
        ({"sha256": "12"}, "row 2.*not 64 hexadecimal"),
        ({"sha256": None}, "row 2.*not 64 hexadecimal"),
        ({"name": ""}, "row 2: it names no image"),
        ({"names": ["a", 3]}, "row 2: it names no image"),
        ({"name": "a\0b"}, "row 2: the name holds a NUL"),
        ({"label": "bolt"}, "row 2.*row 1 says acme of the same picture"),
    ],
)
def test_a_bad_row_is_named(
    tmp_path: Path, data: Dataset, found: dict[str, Path], change: dict[str, Any], told: str
) -> None:
    good = entry(found["a"], "accept", "acme")
    with pytest.raises(DataError, match=told) as caught:
        with_corrections(data, saved(tmp_path / "d.json", good, {**good, **change}))
    assert "d.json" in str(caught.value)


def test_the_first_five_bad_rows_are_named(tmp_path: Path, data: Dataset) -> None:
    with pytest.raises(DataError, match=r"row 1: .*row 5: .*\(and 4 more rows\)") as caught:
        with_corrections(data, saved(tmp_path / "d.json", *[["no object"]] * 9))  # type: ignore[arg-type]
    assert "row 6" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "this is not JSON"),
        ("{", "line 1"),
        ("[]", "not a file of decisions"),
        ('{"format": "logolens decisions", "version": 1, "decisions": 3}', "not a file of decisions"),
        ('{"format": "logolens decisions", "version": 2, "decisions": []}', "version 2"),
        ('{"format": "logolens decisions", "version": 1, "decisions": []}', "no accepted or rejected image"),
        ("[" * 100_000, "this is not JSON"),
        ("\xff", "this is not JSON"),
    ],
)
def test_a_file_that_is_none_of_ours(tmp_path: Path, data: Dataset, text: str, told: str) -> None:
    file = tmp_path / "d.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=told):
        with_corrections(data, file)


def test_a_file_that_is_not_there(tmp_path: Path, data: Dataset) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        with_corrections(data, tmp_path / "absent.json")


def test_odd_names_end_nothing(tmp_path: Path, data: Dataset, found: dict[str, Path]) -> None:
    odd = ["x" * 5000, "photos/\udcff.jpg", "javascript:alert(1)", "//host/share", "C:\\a.png", "a://b", "!/", "."]
    entries = [
        {"name": name, "sha256": f"{number:064x}", "decision": "accept", "label": "acme"}
        for number, name in enumerate(odd)
    ]
    more = with_corrections(data, saved(tmp_path / "d.json", entry(found["a"], "accept", "acme"), *entries))
    assert len(more) == len(data) + 1
    assert notes_of(more)["missing-correction"].count == len(odd)
