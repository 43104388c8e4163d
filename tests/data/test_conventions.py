"""Boxes in whatever way tables write them, and folders that are not what they seem."""

from __future__ import annotations

import unicodedata
import zlib
from pathlib import Path

import pytest
from conftest import draw_boxed
from PIL import Image

from logolens.data import Dataset, load
from logolens.errors import DataError

SIZE = (200, 100)


def table(tmp_path: Path, header: str, row: str, count: int = 6, ending: str = "csv") -> Dataset:
    """A table of photos with a box each, written as ``row`` says; it is formatted with what a box can be written by."""
    lines = [f"path,label,{header}"]
    for number in range(count):
        image, (x1, y1, x2, y2) = draw_boxed("acme", number, SIZE)
        image.save(tmp_path / f"{number}.png")
        w, h = x2 - x1, y2 - y1
        values = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "w": w, "h": h, "cx": x1 + w / 2, "cy": y1 + h / 2}
        sides = dict(zip(values, (200, 100, 200, 100, 200, 100, 200, 100), strict=True))
        values |= {f"f{name}": value / sides[name] for name, value in values.items()}
        lines.append(f"{number}.png,acme,{row.format(**values)}")
    (tmp_path / f"t.{ending}").write_text("\n".join(lines), encoding="utf-8")
    return load(tmp_path / f"t.{ending}", training=False)


@pytest.mark.parametrize(
    ("header", "row", "told"),
    [
        ("x1,y1,x2,y2", "{x1},{y1},{x2},{y2}", None),
        ("X Min,Y Min,X Max,Y Max", "{x1},{y1},{x2},{y2}", None),
        ("width,height,xmin,ymin,xmax,ymax", "200,100,{x1},{y1},{x2},{y2}", None),
        ("x1,y1,x2,y2", "{fx1},{fy1},{fx2},{fy2}", "fractions"),
        ("x,y,w,h", "{x1},{y1},{w},{h}", "corner-size"),
        ("left,top,width,height", "{x1},{y1},{w},{h}", "corner-size"),
        ("x_center,y_center,width,height", "{cx},{cy},{w},{h}", "centre-size-columns"),
        ("cx,cy,w,h", "{fcx},{fcy},{fw},{fh}", "fractions"),
    ],
)
def test_each_convention_gives_the_same_boxes(tmp_path: Path, header: str, row: str, told: str | None) -> None:
    dataset = table(tmp_path, header, row)
    for photo in dataset.photos:
        _, box = draw_boxed("acme", int(photo.path.stem), SIZE)
        (found,) = photo.boxes
        assert (found.x1, found.y1, found.x2, found.y2) == pytest.approx(box, abs=0.01)
    kinds = {note.kind for note in dataset.notes}
    assert told is None or told in kinds
    assert "clipped-box" not in kinds


def test_fractions_of_x_y_w_h_are_told_apart_by_the_photos_edges(tmp_path: Path) -> None:
    # Wide boxes near the edge fit one reading alone.
    lines = ["path,label,x,y,w,h"]
    for number in range(4):
        draw_boxed("acme", number, SIZE)[0].save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,acme,0.75,0.5,0.5,0.9")
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    dataset = load(tmp_path / "t.csv", training=False)
    (box,) = dataset.photos[0].boxes
    assert (box.x1, box.x2) == pytest.approx((100, 200))
    assert "centre-size" in {note.kind for note in dataset.notes}


@pytest.mark.parametrize(
    ("header", "row", "match"),
    [
        ("x,y,w,h", "0.5,0.5,0.1,0.1", "may be measured from the upper left corner or from the centre"),
        ("x1,y1,x2,y2", "{x1},{y1},{w},3", "are no corners"),
        ("bbox", '"[1, 2, 3, 4]"', "holds a box in one cell"),
        ("x,y,w,h,cx,cy", "{x1},{y1},{w},{h},{cx},{cy}", "boxes stand in"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path, header: str, row: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        table(tmp_path, header, row)


def test_fractions_among_pixels_are_refused_by_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_boxed("acme", 1, SIZE)[0].save(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text("path,label,x1,y1,x2,y2\na.png,acme,10,10,50,50\nb.png,acme,.1,.1,.5,.5\n")
    with pytest.raises(DataError, match=r"fractions of the photo \(0 to 1\), as of b\.png"):
        load(tmp_path / "t.csv", training=False)


def photos(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_boxed("acme", zlib.crc32(name.encode()) % 1000 + seed)[0].save(path)


def test_parts_with_a_folder_and_a_file_beside_them(tmp_path: Path) -> None:
    photos(
        tmp_path, "train/acme/1.png", "train/bolt/2.png", "valid/acme/3.png", "extra/9.png", "test/5.png", "test/6.png"
    )
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "readme.txt").write_text("none here")
    (tmp_path / "README.md").write_text("# A set\n")
    dataset = load(tmp_path, training=False)
    assert dataset.labels == ("acme", "bolt")
    assert {photo.name: photo.split for photo in dataset.photos} == {
        "train/acme/1.png": "train", "train/bolt/2.png": "train", "valid/acme/3.png": "val",
    }  # fmt: skip
    notes = {note.kind: str(note) for note in dataset.notes}
    assert "extra" in notes["no-part"]
    assert "test/5.png" in notes["unlabelled"]
    # And as an archive unpacks it, in a folder of its own.
    (tmp_path / "outer").mkdir()
    for name in ("train", "valid", "test"):
        (tmp_path / name).rename(tmp_path / "outer" / name)
    photos(tmp_path / "alone", "set/train/acme/1.png", "set/train/bolt/2.png", "set/test/acme/3.png")
    assert load(tmp_path / "alone", training=False).counts() == {"acme": 2, "bolt": 1}


def test_parts_that_give_no_label_are_refused(tmp_path: Path) -> None:
    photos(tmp_path, "train/1.png", "test/2.png", "valid/3.png")
    with pytest.raises(DataError, match="test, train, valid are called after the parts"):
        load(tmp_path)


def test_a_brand_may_be_called_train(tmp_path: Path) -> None:
    photos(tmp_path, "train/1.png", "acme/2.png", "bolt/3.png")
    assert load(tmp_path, training=False).labels == ("acme", "bolt", "train")


def test_an_accent_written_as_a_letter_of_its_own_is_the_same_label(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "Nestlé") for form in ("NFC", "NFD")]
    photos(tmp_path, *(f"{name}/{number}.png" for number, name in enumerate(names)), "acme/3.png")
    assert load(tmp_path, training=False).labels == ("Nestlé", "acme")
    (tmp_path / "t.csv").write_text(f"path,label\n{names[1]}/1.png,{names[1]}\n{names[0]}/0.png,x\n", encoding="utf-8")
    assert load(tmp_path / "t.csv", training=False).labels == ("Nestlé", "x")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("path,label\na.png,Café\n".encode("latin-1"), r"row 2 is not valid UTF-8, .*Latin-1"),
        (b"path,label\nhttps://example.org/a.png,acme\n", r"https://example\.org/a\.png is an address"),
        (b"path,label\nhttps:/example.org/a.png,acme\n", r"is an address, .* --allow-urls"),
        (b"path,label\ns3://bucket/a.png,acme\n", r"s3://bucket/a\.png is an address"),
        (b"path,label\ngone/a.png,acme\n", r"They were sought in /"),
    ],
)
def test_messages_say_what_is_wrong(tmp_path: Path, text: bytes, match: str) -> None:
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(DataError, match=match):
        load(tmp_path / "t.csv")


def test_a_home_folder_is_found_and_a_wrong_path_told_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path / "home", "set/acme/1.png", "set/bolt/2.png")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert len(load("~/set", training=False)) == 2
    with pytest.raises(DataError, match=rf"sought as {tmp_path}/sett"):
        load("sett")


def test_boxes_of_a_photo_that_exif_turns(tmp_path: Path) -> None:
    """An annotation of the stored picture, 80 x 40, whose upright photo is 40 x 80."""
    image = Image.new("RGB", (80, 40), "white")
    image.paste((255, 0, 0), (10, 5, 30, 15))
    exif = Image.Exif()
    for orientation in (5, 6, 7, 8):
        exif[0x0112] = orientation
        image.save(tmp_path / f"{orientation}.png", exif=exif)
        (tmp_path / f"{orientation}.xml").write_text(
            "<annotation><size><width>80</width><height>40</height></size><object><name>acme</name><bndbox><xmin>10</xmin>"
            "<ymin>5</ymin><xmax>30</xmax><ymax>15</ymax></bndbox></object></annotation>"
        )
    dataset = load(tmp_path, training=False)
    assert len(dataset) == 4
    for photo in dataset.photos:
        with Image.open(photo.path) as stored:
            from PIL import ImageOps

            upright = ImageOps.exif_transpose(stored)
        (box,) = photo.boxes
        cut = upright.crop((round(box.x1), round(box.y1), round(box.x2), round(box.y2)))
        assert cut.getcolors() == [(200, (255, 0, 0))], photo.name
