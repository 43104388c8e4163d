"""Data sets as other tools write them: each layout and its quirks, read by what lies there."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from conftest import draw_boxed
from PIL import Image

from logolens.config import BACKGROUND
from logolens.data import Dataset, check_enough, load
from logolens.errors import DataError

SIZE = (160, 120)
NAMES = ("acme", "bolt", "crest")
Corners = tuple[int, int, int, int]


def photo(path: Path, label: str, seed: int, size: tuple[int, int] = SIZE) -> Corners:
    """Draw a photo and give its box in pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image, box = draw_boxed(label, seed, size)
    image.save(path, "PNG" if path.suffix.lower() == ".png" else "JPEG")
    return box


def yolo_line(number: int | str, box: Corners, size: tuple[int, int] = SIZE) -> str:
    x1, y1, x2, y2 = box
    width, height = size
    values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join([str(number), *(f"{value:.6f}" for value in values)])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def read(path: Path, **more: str) -> Dataset:
    return load(path, training=False, **more)  # type: ignore[arg-type]


def kinds(dataset: Dataset) -> set[str]:
    return {note.kind for note in dataset.notes}


def note(dataset: Dataset, kind: str) -> str:
    return next(str(note) for note in dataset.notes if note.kind == kind)


def close(box: object, expected: Iterable[float], within: float = 0.6) -> bool:
    return all(
        abs(getattr(box, name) - value) <= within
        for name, value in zip(("x1", "y1", "x2", "y2"), expected, strict=True)
    )


def parts(dataset: Dataset) -> dict[str | None, int]:
    return dict(Counter(photo.split for photo in dataset.photos))


def yolo(folder: Path, layout: str, *, yaml: str | None = "names: [acme, bolt, crest]\nnc: 3\n") -> dict[str, Corners]:
    """Six photos in train and three in valid; returns each photo's box by its stem."""
    boxes = {}
    for split, count in (("train", 6), ("valid", 3)):
        for number in range(count):
            stem = f"{split}{number}"
            images, labels = layout.format(split=split, kind="images"), layout.format(split=split, kind="labels")
            box = photo(folder / images / f"{stem}.png", NAMES[number % 3], 10 * len(split) + number)
            write(folder / labels / f"{stem}.txt", yolo_line(number % 3, box))
            boxes[stem] = box
    if yaml is not None:
        write(folder / "data.yaml", yaml)
    return boxes


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}", "{split}", "data/{kind}/{split}2017"])
def test_yolo_is_read_in_each_layout_with_boxes_in_pixels_and_parts(tmp_path: Path, layout: str) -> None:
    boxes = yolo(tmp_path, layout)
    dataset = read(tmp_path)
    assert dataset.labels == NAMES
    assert parts(dataset) == {"train": 6, "val": 3}
    assert all(close(photo.boxes[0], boxes[photo.path.stem]) for photo in dataset.photos)
    assert dataset.counts() == {"acme": 3, "bolt": 3, "crest": 3}


@pytest.mark.parametrize(
    ("yaml", "labels"),
    [
        ("names:\n  0: yes\n  1: 007\n  2: none of ours\n", ("007", "none of ours", "yes")),
        ("\ufeffnames: ['acme', 'bolt', 'crest']\r\nnc: 9\r\ntrain: \"C:\\Users\\me\\train\\images\"\r\n", NAMES),
        ("train: ../elsewhere/train/images\nval: ../elsewhere/valid/images\nnames:\n- acme\n- bolt\n- crest\n", NAMES),
        (
            "path: /home/other/set\ntrain: train/images\nval: valid/images\ntest: # none\nnames: [acme, bolt, crest]",
            NAMES,
        ),
    ],
)
def test_data_yaml_names_classes_as_people_write_it(tmp_path: Path, yaml: str, labels: tuple[str, ...]) -> None:
    yolo(tmp_path, "{split}/{kind}", yaml=yaml)
    dataset = read(tmp_path)
    assert dataset.labels == labels
    assert parts(dataset) == {"train": 6, "val": 3}
    # The file itself can be named too.
    assert read(tmp_path / "data.yaml").data_hash == dataset.data_hash


def test_one_folder_for_both_parts_of_data_yaml_is_no_division(tmp_path: Path) -> None:
    yolo(tmp_path, "{kind}", yaml="train: images\nval: images\nnames: [acme, bolt, crest]\n")
    dataset = read(tmp_path)
    assert parts(dataset) == {None: 9}
    assert "several-parts" not in kinds(dataset)


def test_classes_txt_beside_the_photos_and_upper_case_endings(tmp_path: Path) -> None:
    boxes = {stem: photo(tmp_path / f"{stem}.JPG", "acme", seed) for seed, stem in enumerate(("a", "b", "c"))}
    for number, (stem, box) in enumerate(boxes.items()):
        write(tmp_path / f"{stem}.txt", yolo_line(number, box) + "\r\n\r\n")
    write(tmp_path / "classes.txt", "\ufeffacme\r\nbolt gmbh\r\ncrest\r\n")
    write(tmp_path / "README.dataset.txt", "Exported from a tool.\n")
    dataset = read(tmp_path)
    assert dataset.labels == ("acme", "bolt gmbh", "crest")
    assert [photo.name for photo in dataset.photos] == ["a.JPG", "b.JPG", "c.JPG"]


def test_darknet_lists_divide_and_name(tmp_path: Path) -> None:
    for number in range(4):
        box = photo(tmp_path / "obj_train_data" / f"{number}.jpg", "acme", number)
        write(tmp_path / "obj_train_data" / f"{number}.txt", yolo_line(number % 2, box))
    write(tmp_path / "obj.names", "acme\nbolt\n")
    write(tmp_path / "train.txt", "data/obj_train_data/0.jpg\ndata/obj_train_data/1.jpg\ndata/obj_train_data/2.jpg\n")
    write(tmp_path / "test.txt", "data\\obj_train_data\\3.jpg\n")
    dataset = read(tmp_path)
    assert dataset.labels == ("acme", "bolt")
    assert {photo.path.stem: photo.split for photo in dataset.photos} == {
        "0": "train",
        "1": "train",
        "2": "train",
        "3": "test",
    }


@pytest.mark.parametrize("track", ["1", "0", "37"])
def test_a_confidence_and_the_number_of_a_track_make_no_triangle_of_a_box(tmp_path: Path, track: str) -> None:
    box = photo(tmp_path / "images" / "tracked.png", "acme", 1)
    write(tmp_path / "labels" / "tracked.txt", f"{yolo_line(0, box)} 0.93 {track}\n")
    x1, y1, x2, y2 = (
        value / side for value, side in zip(photo(tmp_path / "images" / "b.png", "bolt", 2), SIZE * 2, strict=True)
    )
    triangle = (x1, y1, x2, y1, (x1 + x2) / 2, y2)
    write(tmp_path / "labels" / "b.txt", " ".join(["1", *(f"{value:.6f}" for value in triangle)]))
    write(tmp_path / "data.yaml", "names: [acme, bolt]\n")
    found = {found.path.stem: found.boxes for found in read(tmp_path).photos}
    assert close(found["tracked"][0], box)
    assert close(found["b"][0], (x1 * 160, y1 * 120, x2 * 160, y2 * 120))


def test_photos_that_share_a_label_file_are_told(tmp_path: Path) -> None:
    box = photo(tmp_path / "images" / "a.png", "acme", 1)
    photo(tmp_path / "images" / "a.webp", "acme", 2)
    photo(tmp_path / "images" / "b.png", "bolt", 3)
    for name, label in (("a", 0), ("b", 1)):
        write(tmp_path / "labels" / f"{name}.txt", yolo_line(label, box))
    write(tmp_path / "data.yaml", "names: [acme, bolt]\n")
    dataset = read(tmp_path)
    assert len(dataset.photos) == 3
    assert "share" in note(dataset, "shared-label-file")
    assert "labels/a.txt of images/a.png and images/a.webp" in note(dataset, "shared-label-file")


def test_what_lines_hold_beyond_a_box_and_what_is_no_line(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    box = photo(folder / "images" / "confidence.png", "acme", 1)
    write(folder / "labels" / "confidence.txt", f"{yolo_line(0, box)} 0.93\n")
    x1, y1, x2, y2 = (
        value / side for value, side in zip(photo(folder / "images" / "polygon.png", "bolt", 2), SIZE * 2, strict=True)
    )
    outline = (x1, y1, x2, y1, x2, y2, (x1 + x2) / 2, y2, x1, y2)
    write(folder / "labels" / "polygon.txt", " ".join(["1", *(f"{value:.6f}" for value in outline)]))
    for name, text in {
        "empty": "",
        "unknown": yolo_line(7, box),
        "negative": yolo_line(-1, box),
        "short": "0 0.5 0.5 0.2",
        "pixels": "0 80 60 20 30",
        "both": f"{yolo_line(0, box)}\n{yolo_line(9, box)}\nnan nan nan nan nan\n",
    }.items():
        photo(folder / "images" / f"{name}.png", "acme", len(name) + 20)
        write(folder / "labels" / f"{name}.txt", text)
    photo(folder / "images" / "alone.png", "none", 77)
    photo(tmp_path / "leftovers" / "stray.png", "acme", 78)
    write(tmp_path / "data.yaml", "names: [acme, bolt]\n")
    dataset = read(tmp_path)
    found = {photo.path.stem: photo for photo in dataset.photos}
    assert {name: photo.label for name, photo in found.items()} == {
        "confidence": "acme",
        "polygon": "bolt",
        "empty": BACKGROUND,
        "both": "acme",
        "alone": BACKGROUND,
    }
    assert close(found["polygon"].boxes[0], (x1 * 160, y1 * 120, x2 * 160, y2 * 120))
    assert len(found["both"].boxes) == 1
    assert "class 7 in train/labels/unknown.txt line 1" in note(dataset, "unknown-class")
    assert "short.txt line 1" in note(dataset, "bad-line")
    assert "alone.png" in note(dataset, "no-label-file")
    assert "leftovers/stray.png" in note(dataset, "unannotated")


def test_a_yolo_set_of_which_nothing_can_be_understood_is_named(tmp_path: Path) -> None:
    yolo(tmp_path, "{split}/{kind}", yaml="names: {}\n")
    with pytest.raises(DataError, match=r"YOLO.*none of 9 can be understood.*class"):
        read(tmp_path)


def test_what_a_set_of_one_label_left_out_is_said_where_it_is_refused(tmp_path: Path) -> None:
    yolo(tmp_path, "{split}/{kind}")
    for file in sorted(tmp_path.rglob("labels/*.txt"))[1:]:
        write(file, "1 0.5 0.5 half 0.2\n")
    with pytest.raises(DataError, match=r"one label only.*more was meant.*not YOLO's, left out: 8.*of a second label"):
        check_enough(read(tmp_path))


def test_captions_beside_photos_are_not_yolo(tmp_path: Path) -> None:
    for label in ("acme", "bolt"):
        for number in range(2):
            photo(tmp_path / label / f"{number}.png", label, number)
            write(tmp_path / label / f"{number}.txt", f"a photo of {label} from 2024\n")
    assert read(tmp_path).counts() == {"acme": 2, "bolt": 2}


def coco(images: list[tuple[int, str]], boxes: list[tuple[int, int, Corners]], **more: object) -> str:
    """A COCO file: images by id, and (image, category, box) of each annotation."""
    return json.dumps(
        {
            "info": {},
            # Roboflow's first row stands for the whole set and annotates nothing; numbers need not follow one another.
            "categories": [
                {"id": 0, "name": "logos", "supercategory": "none"},
                {"id": 3, "name": "acme", "supercategory": "logos"},
                {"id": 17, "name": "bolt", "supercategory": "logos"},
            ],
            "images": [{"id": key, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for key, name in images],
            "annotations": [
                {
                    "id": number,
                    "image_id": key,
                    "category_id": category,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "iscrowd": 0,
                }
                for number, (key, category, (x1, y1, x2, y2)) in enumerate(boxes)
            ],
            **more,
        }
    )


def test_coco_one_file_a_part_as_roboflow_writes_it(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("valid", 2), ("test", 2)):
        boxes = [
            photo(tmp_path / split / f"{n}.jpg", ("acme", "bolt")[n % 2], 10 * len(split) + n) for n in range(count)
        ]
        photo(tmp_path / split / "bare.jpg", "none", 100 + count)
        listed = [(n, f"{n}.jpg") for n in range(count)] + [(count, "bare.jpg")]
        text = coco(listed, [(n, (3, 17)[n % 2], box) for n, box in enumerate(boxes)])
        write(tmp_path / split / "_annotations.coco.json", text)
        write(tmp_path / "README.roboflow.txt", "hello")
    dataset = read(tmp_path)
    assert dataset.counts() == {"acme": 4, "bolt": 4, BACKGROUND: 3}
    assert parts(dataset) == {"train": 5, "val": 3, "test": 3}
    assert close(next(its for its in dataset.photos if its.name == "test/1.jpg").boxes[0], boxes[1], 0.01)


def test_coco_one_file_for_all_with_foreign_names_polygons_and_crowds(tmp_path: Path) -> None:
    box = photo(tmp_path / "images" / "a.jpg", "acme", 1)
    half = tuple(value // 2 for value in photo(tmp_path / "images" / "b.jpg", "bolt", 2))
    for name in ("crowd", "odd", "extra"):
        photo(tmp_path / "images" / f"{name}.jpg", "acme", len(name))
    value = json.loads(
        coco(
            [(1, "C:\\data\\images\\a.jpg"), (2, "b.jpg"), (3, "crowd.jpg"), (4, "gone.jpg"), (5, "odd.jpg")],
            [(1, 3, box)],
        )
    )
    value["images"][1] |= {"width": SIZE[0] // 2, "height": SIZE[1] // 2}
    x1, y1, x2, y2 = half
    value["annotations"] += [
        {
            "id": 8,
            "image_id": 2,
            "category_id": 17,
            "segmentation": [[x1, y1, x2, y1, x2, y2], [x1, y2, x2, y2, x1, y1]],
        },
        {"id": 9, "image_id": 3, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        {"id": 10, "image_id": 5, "category_id": 99, "bbox": [0, 0, 9, 9]},
    ]
    write(tmp_path / "annotations" / "instances_default.json", json.dumps(value))
    dataset = read(tmp_path)
    assert {photo.path.name: photo.label for photo in dataset.photos} == {"a.jpg": "acme", "b.jpg": "bolt"}
    assert close(dataset.photos[1].boxes[0], [2 * value for value in half], 0.01)
    assert {"crowd", "unknown-class", "missing", "unlisted", "scaled-boxes"} <= kinds(dataset)
    assert read(tmp_path / "annotations" / "instances_default.json").data_hash == dataset.data_hash


def test_coco_whose_photos_are_away_is_named(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "other.jpg", "acme", 1)
    write(tmp_path / "result.json", coco([(1, "a.jpg")], [(1, 3, (1, 1, 9, 9))]))
    with pytest.raises(
        DataError, match=r"result\.json: this is in COCO's format, but none of the 1 photos it lists was found"
    ):
        read(tmp_path)


def voc(name: str, things: Iterable[tuple[str, Corners]], size: tuple[int, int] = SIZE) -> str:
    objects = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin><xmax>{b[2]}</xmax><ymax>{b[3]}</ymax>"
        "</bndbox></object>"
        for label, b in things
    )
    return (
        f"<annotation><folder>x</folder><filename>{name}</filename><path>C:\\Users\\me\\{name}</path><size><width>{size[0]}"
        f"</width><height>{size[1]}</height><depth>3</depth></size>{objects}</annotation>"
    )


@pytest.mark.parametrize(
    ("images", "xml"), [("JPEGImages", "Annotations"), ("images", "annotations"), (".", "."), ("train", "train")]
)
def test_voc_beside_the_photos_or_apart(tmp_path: Path, images: str, xml: str) -> None:
    boxes = {}
    for number in range(4):
        boxes[str(number)] = box = photo(tmp_path / images / f"{number}.JPG", "acme", number)
        # Tools keep the name of the file that was annotated first, and another ending.
        write(tmp_path / xml / f"{number}.xml", voc("000001.jpeg", [(("acme", "bolt")[number % 2], box)]))
    photo(tmp_path / images / "empty.jpg", "none", 50)
    write(tmp_path / xml / "empty.xml", '<?xml version="1.0" encoding="ISO-8859-1"?>\r\n' + voc("empty.jpg", []))
    photo(tmp_path / images / "unknown.jpg", "acme", 51)
    dataset = read(tmp_path)
    assert dataset.counts() == {"acme": 2, "bolt": 2, BACKGROUND: 1}
    assert all(close(its.boxes[0], boxes[its.path.stem], 0.01) for its in dataset.photos if its.boxes)
    assert "unknown.jpg" in note(dataset, "unannotated")
    assert parts(dataset) == {("train" if images == "train" else None): 5}


def test_voc_lists_give_the_parts_and_damaged_files_are_named(tmp_path: Path) -> None:
    for number in range(4):
        box = photo(tmp_path / "JPEGImages" / f"{number}.jpg", "acme", number)
        write(tmp_path / "Annotations" / f"{number}.xml", voc(f"{number}.jpg", [("acme", box)]))
    photo(tmp_path / "JPEGImages" / "bad.jpg", "acme", 9)
    write(tmp_path / "Annotations" / "bad.xml", "<annotation><object>")
    write(tmp_path / "Annotations" / "lost.xml", voc("lost.jpg", [("acme", (1, 1, 9, 9))]))
    for name, listed in {
        "train": "0\n1\n",
        "val": "2\n",
        "trainval": "0\n1\n2\n",
        "test": "3\n",
        "acme_train": "0 1\n",
    }.items():
        write(tmp_path / "ImageSets" / "Main" / f"{name}.txt", listed)
    dataset = read(tmp_path)
    assert {its.path.stem: its.split for its in dataset.photos} == {"0": "train", "1": "train", "2": "val", "3": "test"}
    assert "bad.xml" in note(dataset, "bad-annotation")
    assert "lost.xml" in note(dataset, "no-photo")


def test_voc_that_expands_without_end_is_refused_and_not_expanded(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", "acme", 1)
    photo(tmp_path / "b.jpg", "acme", 2)
    write(tmp_path / "b.xml", voc("b.jpg", [("acme", (1, 2, 30, 40))]))
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol" * 10}">' for n in range(9))
    write(tmp_path / "a.xml", f"<!DOCTYPE annotation [{entities}]>" + voc("a.jpg", [("&e8;", (1, 2, 30, 40))]))
    dataset = read(tmp_path)
    assert [its.name for its in dataset.photos] == ["b.jpg"]
    assert "a.xml" in note(dataset, "bad-annotation")


def test_imagefolder_with_objects_and_names_in_the_readme(tmp_path: Path) -> None:
    rows = []
    boxes = {}
    for number in range(3):
        boxes[f"{number}.png"] = x1, y1, x2, y2 = photo(tmp_path / "train" / f"{number}.png", "acme", number)
        objects = {"bbox": [[x1, y1, x2 - x1, y2 - y1]], "categories": [number % 2]}
        rows.append(json.dumps({"file_name": f"{number}.png", "objects": objects}))
    photo(tmp_path / "train" / "bare.png", "none", 9)
    rows.append(json.dumps({"file_name": "bare.png", "objects": {"bbox": [], "categories": []}}))
    write(tmp_path / "train" / "metadata.jsonl", "\n".join(rows))
    head = "dataset_info:\n  features:\n  - name: objects\n    sequence:\n    - name: categories\n      dtype:\n"
    names = "        class_label:\n          names:\n            '0': acme\n            '1': bolt\n"
    write(tmp_path / "README.md", f"---\n{head}{names}---\n# Logos\n")
    dataset = read(tmp_path)
    assert dataset.counts() == {"acme": 2, "bolt": 1, BACKGROUND: 1}
    assert all(close(its.boxes[0], boxes[its.path.name], 0.01) for its in dataset.photos if its.boxes)
    assert "corner-size" in kinds(dataset)


def test_imagefolder_with_labels_in_a_table_or_in_folders(tmp_path: Path) -> None:
    for number, label in enumerate(("acme", "bolt", "acme")):
        photo(tmp_path / "one" / "data" / f"{number}.jpg", label, number)
        photo(tmp_path / "two" / "train" / label / f"{number}.jpg", label, number)
    write(tmp_path / "one" / "metadata.csv", "file_name,label\ndata/0.jpg,acme\ndata/1.jpg,bolt\ndata/2.jpg,acme\n")
    write(
        tmp_path / "two" / "metadata.csv",
        "file_name,text\ntrain/acme/0.jpg,a\ntrain/bolt/1.jpg,b\ntrain/acme/2.jpg,c\n",
    )
    assert read(tmp_path / "one").counts() == read(tmp_path / "two").counts() == {"acme": 2, "bolt": 1}


def test_a_table_in_a_folder_of_photos(tmp_path: Path) -> None:
    for number in range(4):
        x1, y1, x2, y2 = photo(tmp_path / "images" / f"{number}.png", "acme", number)
        photo(tmp_path / "train" / f"{number}.png", "acme", number)
    header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    write(tmp_path / "photos.csv", "path,label\n" + "".join(f"images/{n}.png,{NAMES[n % 2]}\n" for n in range(4)))
    assert read(tmp_path).counts() == {"acme": 2, "bolt": 2}
    write(tmp_path / "roboflow" / "train" / "_annotations.csv", header + f"3.png,160,120,acme,{x1},{y1},{x2},{y2}\n")
    shutil.copy(tmp_path / "train" / "3.png", tmp_path / "roboflow" / "train" / "3.png")
    dataset = read(tmp_path / "roboflow")
    assert parts(dataset) == {"train": 1}
    assert close(dataset.photos[0].boxes[0], (x1, y1, x2, y2), 0.01)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("via.json", '{"a.jpg1": {"filename": "a.jpg", "regions": []}}', "VGG Image Annotator"),
        ("project.json", '[{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}]', "Label Studio"),
        (
            "annotations.xml",
            '<annotations><image name="a.jpg"><box/></image></annotations>',
            "CVAT's format, but nothing",
        ),
        ("instances.json", '{"images": [', "damaged JSON"),
        ("data.yaml", "names: [a, b]", "YOLO's format, but no label file"),
        ("logos.tfrecord", "x", "TFRecord"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, name: str, text: str, match: str) -> None:
    photo(tmp_path / "images" / "a.jpg", "acme", 1)
    photo(tmp_path / "images" / "b.jpg", "acme", 2)
    write(tmp_path / "annotations" / name, text)
    with pytest.raises(DataError, match=match) as caught:
        load(tmp_path)
    assert "one label only" not in str(caught.value)


def test_each_box_as_an_example_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    image = Image.new("RGB", (300, 100), "white")
    image.paste((200, 0, 0), (10, 20, 50, 60))
    image.paste((0, 0, 200), (220, 20, 280, 80))
    (folder / "images").mkdir(parents=True)
    image.save(folder / "images" / "two.png")
    write(
        folder / "labels" / "two.txt",
        f"{yolo_line(0, (10, 20, 50, 60), (300, 100))}\n{yolo_line(1, (220, 20, 280, 80), (300, 100))}\n",
    )
    write(tmp_path / "data.yaml", "names: [acme, bolt]\n")
    whole = read(tmp_path)
    assert [its.label for its in whole.photos] == ["bolt"]
    apart = read(tmp_path, examples="box")
    assert [(its.label, its.split, its.width, its.height) for its in apart.photos] == [
        ("acme", "train", 60, 60),
        ("bolt", "train", 90, 90),
    ]
    assert len({its.near for its in apart.photos}) == 1
    with Image.open(apart.photos[0].path) as cut:
        x1, y1, x2, y2 = (round(value) for value in (apart.photos[0].boxes[0].x1, apart.photos[0].boxes[0].y1, 50, 50))
        assert cut.convert("RGB").crop((x1, y1, x2, y2)).getcolors() == [(1600, (200, 0, 0))]


def test_a_real_export_with_foreign_paths(shared_data: Path) -> None:
    dataset = read(shared_data / "cigs")
    assert dataset.labels == ("chesterfield", "dunhill", "lm", "marlboro", "pallmall", "winston")
    assert parts(dataset) == {"train": 597, "val": 94, "test": 49}
    assert sum(len(its.boxes) for its in dataset.photos) >= 700
    # Packs of other brands lie in a folder of their own that no label file is about.
    assert "unknown-brands" in note(dataset, "unannotated")


def test_the_same_names_in_folders_of_several_labels(tmp_path: Path) -> None:
    for label in ("acme", "bolt"):
        box = photo(tmp_path / "images" / label / "001.jpg", label, len(label))
        write(tmp_path / "Annotations" / label / "001.xml", voc("001.jpg", [(label, box)]))
    assert {its.name: its.label for its in read(tmp_path).photos} == {
        "images/acme/001.jpg": "acme",
        "images/bolt/001.jpg": "bolt",
    }


def test_boxes_without_names_of_classes_take_their_folder_s(tmp_path: Path) -> None:
    for label in ("acme", "bolt"):
        box = photo(tmp_path / "train" / label / "1.jpg", label, len(label))
        write(tmp_path / "train" / label / "1.txt", yolo_line(0, box))
    dataset = read(tmp_path)
    assert dataset.labels == ("acme", "bolt")
    assert all(its.boxes for its in dataset.photos)


def test_a_part_that_nobody_annotated_is_no_background(tmp_path: Path) -> None:
    box = photo(tmp_path / "train" / "a.jpg", "acme", 1)
    photo(tmp_path / "test" / "b.jpg", "bolt", 2)
    write(tmp_path / "train" / "_annotations.coco.json", coco([(1, "a.jpg")], [(1, 3, box)]))
    write(tmp_path / "test" / "_annotations.coco.json", coco([(1, "b.jpg")], []))
    dataset = read(tmp_path)
    assert dataset.counts() == {"acme": 1}
    assert "test/_annotations.coco.json" in note(dataset, "unannotated")


def test_a_competition_s_table_beside_its_folders(tmp_path: Path) -> None:
    for number, label in enumerate(("acme", "bolt")):
        photo(tmp_path / "train" / f"{number}.jpg", label, number)
        photo(tmp_path / "test" / f"{number}.jpg", label, 10 + number)
    write(tmp_path / "train.csv", "image,label\n0.jpg,acme\n1.jpg,bolt\n")
    write(tmp_path / "sample_submission.csv", "image,label\n0.jpg,acme\n1.jpg,acme\n")
    dataset = read(tmp_path)
    assert {its.path: its.label for its in dataset.photos} == {
        tmp_path / "train" / "0.jpg": "acme", tmp_path / "train" / "1.jpg": "bolt",
    }  # fmt: skip


def test_labels_below_a_folder_of_images(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "acme" / "1.jpg", "acme", 1)
    photo(tmp_path / "images" / "bolt" / "1.jpg", "bolt", 2)
    write(tmp_path / "docs" / "readme.txt", "hello")
    assert read(tmp_path).labels == ("acme", "bolt")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("images", 0), "no object"),
        (("images", 0, "file_name"), "a\0b"),
        (("images", 0, "file_name"), "../../../etc/passwd"),
        (("images", 0, "id"), float("nan")),
        (("images", 0, "width"), 10**400),
        (("images", 0, "width"), 1e-320),
        (("annotations", 0), None),
        (("annotations", 0, "bbox"), {"x": 1}),
        (("annotations", 0, "bbox", 2), float("inf")),
        (("annotations", 0, "bbox", 0), 10**400),
        (("annotations", 0, "category_id"), [3]),
        (("categories", 1, "name"), "\ud800"),
        (("categories", 1), 7),
    ],
)
def test_one_odd_value_ends_nothing(tmp_path: Path, place: tuple[str | int, ...], value: object) -> None:
    boxes = [photo(tmp_path / f"{number}.jpg", "acme", number) for number in range(2)]
    text = json.loads(coco([(0, "0.jpg"), (1, "1.jpg")], [(0, 3, boxes[0]), (1, 17, boxes[1])]))
    holder = text
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    (tmp_path / "_annotations.coco.json").write_text(json.dumps(text), encoding="utf-8")
    dataset = read(tmp_path)
    assert {"1.jpg": "bolt"}.items() <= {its.name: its.label for its in dataset.photos}.items()
    assert all(its.path.parent == tmp_path for its in dataset.photos)
