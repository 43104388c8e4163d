"""Data sets as they lie on people's disks: read rightly, or named with what to do; never a wrong label, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import draw_boxed

from logolens.data import Dataset, load
from logolens.errors import DataError

LABELS = ("acme", "bolt")
Files = Mapping[str, object]


def lay(folder: Path, files: Files) -> Path:
    """Write files: an image for None, text, bytes, or JSON."""
    for number, (name, content) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            draw_boxed(LABELS[number % 2], number, (80, 60))[0].save(path, "PNG")
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def read(place: Path) -> Dataset:
    return load(place, training=False, remember=False)


def pair(where: str) -> dict[str, object]:
    """Two photos."""
    return {where.format("a"): None, where.format("b"): None}


COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}],
    "categories": [{"id": 1, "name": "acme"}],
}
LABELME = {"shapes": [{"label": "logo", "points": [[1, 1], [9, 9]]}], "imagePath": "1.png"}
VIA = {"a.png9": {"filename": "a.png", "regions": [{}]}}
SUPERVISELY = {"size": {"width": 80}, "objects": [{"classTitle": "acme"}]}
STUDIO = [{"image": "/data/upload/1/a.png", "label": [{"x": 1, "rectanglelabels": ["acme"]}]}]
CREATE_ML = [{"image": "a.png", "annotations": [{"label": "acme", "coordinates": {}}]}]
VIA_CSV = "filename,file_size,region_shape_attributes,region_attributes\n"


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({**pair("img/{}.png"), "image_info.json": COCO}, "COCO's, but without annotations"),
        ({**pair("{}.png"), "via.json": {"_via_img_metadata": VIA}}, "VGG Image Annotator, but no region has a label"),
        ({**pair("{}.png"), "via.csv": VIA_CSV}, "VGG Image Annotator"),
        ({**pair("ds0/img/{}.png"), "meta.json": {}, "ds0/ann/a.png.json": SUPERVISELY}, "Supervisely"),
        ({**pair("ds0/img/{}.png"), **pair("ds1/img/{}.png"), "ds0/ann/a.png.json": SUPERVISELY}, "Supervisely"),
        ({**pair("{}.png"), "min.json": STUDIO}, "Label Studio's short JSON"),
        ({**pair("train/{}.png"), "train/_annotations.createml.json": CREATE_ML}, "Create ML"),
        ({**pair("train/{}.png"), "train/_annotations.txt": "a.png 1,1,9,9,0\n"}, "text for Keras"),
        ({**pair("image_2/{}.png"), "label_2/a.txt": "acme 0.00 0 -1.57 10 10 50 50\n"}, "lines as 'acme 0.00"),
        ({**pair("images/{}.png"), "labels/a.txt": "0 40 30 20 10\n", "labels/b.txt": "0 9 9 9 9"}, "pixels, where YOLO has"),
        ({**pair("images/{}.png"), "labels/a.txt": "1 .5 .5 .2 .2", "labels/b.txt": "2 .5 .5 .2 .2",
          "data.yaml": "names: [acme, bolt]"}, "number classes from 1 to 2, .* Subtract 1"),
        ({**pair("img/{}.png"), "train.txt": "img/a.png 0\nimg/b.png 1\n"}, "save it as a table"),
        ({**pair("{}.png"), "t.xlsx": b"PK"}, "t.xlsx is a spreadsheet"),
        ({"set.zip": b"PK"}, "set.zip is an archive; if the photos are in it, give it"),
        ({**pair("img/{}.png"), "t.csv": 'image,label,bbox\na.png,acme,"[1, 1, 9, 9]"\n'}, "Write them in four columns"),
        ({f"train/{label}.{n}.png": None for label in LABELS for n in "12"} | pair("test1/{}.png"),
         "called after the parts .* names begin with acme, bolt: if these are the labels"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named_with_what_to_do(tmp_path: Path, files: Files, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        read(lay(tmp_path, files))
    assert "one label only" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        # Unpacked archives lie in folders of their own, sometimes in two of one name.
        (pair("dataset/logos/{0}cme/1.png"), "wrapped"),
        ({**pair("train/train/{}cme/1.png"), "test/test/1.png": None}, "unlabelled"),
        ({**pair("train/images/{}cme/1.png"), "test/1.png": None, "README.md": "x"}, "unlabelled"),
        ({**pair("My Set/Train Set/{}cme/1.png"), "My Set/Test Set/1.png": None}, "unlabelled"),
        ({**pair("train/{}cme/1.png"), **pair("valid/{}cme/1.png"), "annotations/seen.png": None}, "no-part"),
        ({**pair("{}cme/1.png"), "__MACOSX/acme/._1.png": b"\0\5", "acme/._1.png": b"\0\5", "acme/Thumbs.db": b"x"},
         "not-image"),
        ({**pair("{}cme/1.PNG"), "acme/empty.jpg": b"", "acme/page.jpg": b"<html>"}, "unreadable"),
        ({**pair("{}cme/1.png"), "acme/1.json": LABELME}, "unread"),
    ],
)  # fmt: skip
def test_folders_of_labels_and_what_lies_beside_them(tmp_path: Path, files: Files, kind: str) -> None:
    dataset = read(lay(tmp_path, files))
    assert dataset.labels == ("acme", "bcme")
    if kind != "not-image":
        assert kind in {note.kind for note in dataset.notes}


@pytest.mark.parametrize(
    "files",
    [
        # A competition's folders; photos by shop; label files with commas; label files of both parts in one folder.
        {**pair("train_images/{}.png"), **pair("test_images/{}.png"), "train.csv": "image_id,label\na.png,acme\nb.png,bolt\n"},
        {"north/a.png": None, "south/b.png": None, "photos.csv": "file,brand\nnorth/a.png,acme\nsouth/b.png,bolt\n"},
        {**pair("images/{}.png"), "labels/a.txt": "0,.5,.5,.2,.2", "labels/b.txt": "1,.5,.5,.2,.2", "classes.txt": "acme\nbolt"},
        {"images/train/a.png": None, "images/val/b.png": None, "labels/a.txt": "0 .5 .5 .2 .2", "labels/b.txt": "1 .5 .5 .2 .2",
         "data.yaml": "names: [acme, bolt]"},
    ],
)  # fmt: skip
def test_what_is_clear_is_read(tmp_path: Path, files: Files) -> None:
    dataset = read(lay(tmp_path, files))
    assert {photo.path.stem: photo.label for photo in dataset.photos} == {"a": "acme", "b": "bolt"}
    assert not any("test" in photo.path.parent.name for photo in dataset.photos)


LONG = "x" * 400


@pytest.mark.parametrize(
    "files",
    [
        {"t.csv": f"path,label\na.png,acme\n{LONG},acme\n{'y/' * 3000}z.png,acme\n~,acme\n..,acme\n"},
        {"_classes.csv": f"filename,acme\na.png,1\n{LONG},1\n"},
        {"metadata.csv": f"file_name,label\na.png,acme\n{LONG},acme\n"},
        {"c.json": {**COCO, "images": [*COCO["images"], {"id": 2, "file_name": LONG}],
                    "annotations": [{"image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9]} for n in (1, 2)]}},
    ],
)  # fmt: skip
def test_names_too_long_for_any_file_are_missing(tmp_path: Path, files: Files) -> None:
    dataset = read(lay(tmp_path, {"a.png": None, **files}))
    assert [photo.path.name for photo in dataset.photos] == ["a.png"]
    assert "missing" in {note.kind for note in dataset.notes}


def test_a_folder_too_deep_is_told(tmp_path: Path) -> None:
    lay(tmp_path, {**pair("images/{}.png"), "labels/a.txt": "0 .5 .5 .2 .2"})
    with pytest.raises(DataError, match="written beside images, give the folder above it"):
        read(tmp_path / "images")


def test_labels_that_hold_the_same_folders_are_told(tmp_path: Path) -> None:
    dataset = read(lay(tmp_path, {f"{year}/{label}/1.png": None for year in (2023, 2024) for label in LABELS}))
    assert dataset.labels == ("2023", "2024")
    assert "same-inside" in {note.kind for note in dataset.notes}


def test_one_folder_of_no_logo_stays_one_label(tmp_path: Path) -> None:
    assert read(lay(tmp_path, pair("none/{}street/1.png"))).counts() == {"none": 2}


def test_label_files_without_a_photo_are_told(tmp_path: Path) -> None:
    line = "0 0.5 0.5 0.2 0.2\n"
    files = {"images/a.png": None, "labels/a.txt": line, "labels/gone.txt": line, "labels/classes.txt": "acme\n"}
    dataset = read(lay(tmp_path, files))
    assert [note.examples for note in dataset.notes if note.kind == "no-photo"] == [("labels/gone.txt",)]


def test_a_photo_listed_in_another_part_is_not_this_one(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{part}/a.png"} for n, part in enumerate(("train", "test"))]
    boxes = [{"id": n, "image_id": n, "category_id": n, "bbox": [5, 5, 20, 20]} for n in range(2)]
    names = [{"id": n, "name": label} for n, label in enumerate(LABELS)]
    value = {"images": images, "annotations": boxes, "categories": names}
    dataset = read(lay(tmp_path, {"train/a.png": None, "all.json": value}))
    assert [photo.labels for photo in dataset.photos] == [("acme",)]
    assert "missing" in {note.kind for note in dataset.notes}


def test_addresses_in_coco_mean_the_file_of_that_name(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "https://example.org/x/my%20a.png?sign=1"}]
    value = {
        **COCO,
        "images": images,
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 9, 9]}],
    }
    assert read(lay(tmp_path, {"my a.png": None, "all.json": value})).labels == ("acme",)


def test_open_images_tables_leave_groups_and_absent_labels_out(tmp_path: Path) -> None:
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf"
    boxes = ("a,xclick,/m/1,1,.1,.5,.2,.6,0,0", "a,activemil,/m/1,1,.5,.9,.2,.6,0,1", "b,xclick,/m/2,1,.1,.5,.2,.6,0,0")
    files = {
        **pair("train/{}.png"),
        "train-annotations-bbox.csv": "\n".join([header, *boxes, "b,xclick,/m/1,0,,,,,0,0"]),
        "class-descriptions.csv": "/m/1,acme\n/m/2,bolt\n",
    }
    dataset = read(lay(tmp_path, files))
    assert [(photo.labels, len(photo.boxes)) for photo in dataset.photos] == [(("acme",), 1), (("bolt",), 1)]
    assert {"crowd", "not-there"} <= {note.kind for note in dataset.notes}
    assert dataset.photos[0].boxes[0].x2 == pytest.approx(40)


def test_roboflow_s_columns_of_classes(tmp_path: Path) -> None:
    text = "filename, acme, bolt\n{}.png, 1, 0\n{}.png, 0, {}\n"
    files = {
        **pair("train/{}.png"), "train/_classes.csv": text.format("a", "b", "1"),
        "valid/c.png": None, "valid/d.png": None, "valid/_classes.csv": text.format("c", "d", "0"),
    }  # fmt: skip
    dataset = read(lay(tmp_path, files))
    assert dataset.counts() == {"acme": 2, "bolt": 1, "none": 1}
    lay(tmp_path, {"valid/_classes.csv": text.format("c", "d", "yes")})
    with pytest.raises(DataError, match="row 3 does not hold a 0 or a 1"):
        read(tmp_path)


@pytest.mark.parametrize("value", [[{"image": "a.png", "label": "acme"}, {"image": "b.png", "label": "bolt"}],
                                   {"a.png": "acme", "b.png": "bolt"}])  # fmt: skip
def test_json_rows(tmp_path: Path, value: object) -> None:
    lay(tmp_path, {**pair("images/{}.png"), "labels.json": value})
    assert read(tmp_path).counts() == read(tmp_path / "labels.json").counts() == {"acme": 1, "bolt": 1}


def test_cells_without_a_number_are_no_box_and_decimals_have_points(tmp_path: Path) -> None:
    header = "filename;class;xmin;ymin;xmax;ymax\n"
    lay(tmp_path, {**pair("{}.png"), "t.csv": header + "a.png;acme;NaN;NaN;NaN;NaN\nb.png;bolt;1;1;30;30\n"})
    assert [len(photo.boxes) for photo in read(tmp_path).photos] == [0, 1]
    lay(tmp_path, {"t.csv": header + "a.png;acme;1,5;1;30;30\n"})
    with pytest.raises(DataError, match="a point goes before decimals, not a comma"):
        read(tmp_path)
