"""Data sets that could be read wrongly without a word: read as they are meant, or refused with what to do, never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import draw_boxed
from PIL import Image

from logolens.data import Dataset, load
from logolens.errors import DataError

SIZE = (120, 90)
LABELS = ("acme", "bolt")
Boxes = dict[str, tuple[int, int, int, int]]


def photos(folder: Path, count: int = 8, ending: str = ".png", size: tuple[int, int] = SIZE) -> Boxes:
    """Photos 0, 1, ... of acme and bolt in turn, and their boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    boxes = {}
    for number in range(count):
        photo, box = draw_boxed(LABELS[number % 2], number, size)
        photo.save(folder / f"{number}{ending}")
        boxes[f"{number}{ending}"] = box
    return boxes


def read(place: Path) -> Dataset:
    return load(place, training=False, remember=False)


def labels_of(dataset: Dataset) -> dict[str, str]:
    return {photo.name: photo.label for photo in dataset.photos}


def kinds(dataset: Dataset) -> set[str]:
    return {note.kind for note in dataset.notes}


def assert_right(dataset: Dataset, boxes: Boxes) -> None:
    assert {photo.path.name: photo.label for photo in dataset.photos} == {
        name: LABELS[int(name.split(".")[0]) % 2] for name in boxes
    }
    for photo in dataset.photos:
        (box,) = photo.boxes
        assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx(boxes[photo.path.name], abs=0.6)


def yolo(folder: Path, boxes: Boxes, names: tuple[str, ...] = LABELS) -> None:
    """Label files beside the photos of a folder."""
    for name, (x1, y1, x2, y2) in boxes.items():
        stem, (width, height) = name.split(".")[0], SIZE
        numbers = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        line = " ".join(map(str, (names.index(LABELS[int(stem) % 2]), *numbers)))
        (folder / f"{stem}.txt").write_text(line, encoding="utf-8")


def test_of_several_descriptions_each_holds_for_its_own_set(tmp_path: Path) -> None:
    for name, order in (("A", LABELS), ("B", LABELS[::-1])):
        folder = tmp_path / name / "train"
        yolo(folder, photos(folder, 2), order)
        (tmp_path / name / "data.yaml").write_text(f"names: [{', '.join(order)}]\ntrain: ../train", encoding="utf-8")
    assert labels_of(read(tmp_path)) == {f"{name}/train/{n}.png": LABELS[n] for name in "AB" for n in (0, 1)}


@pytest.mark.parametrize(
    "yaml",
    [
        "names: {acme: 0, bolt: 1}",
        "base: &base {0: acme, 1: bolt}\nnames:\n  <<: *base",
        "all: &all [acme, bolt]\nnames: *all",
        "names: acme, bolt",
        "names:\n- {id: 0, name: acme}\n- {id: 1, name: bolt}",
        "\ufeffnames:\r\n- acme\r\n- bolt\r\n",
    ],
)
def test_names_of_classes_in_every_way_that_they_are_written(tmp_path: Path, yaml: str) -> None:
    boxes = photos(tmp_path, 2)
    yolo(tmp_path, boxes)
    (tmp_path / "data.yaml").write_text(yaml, encoding="utf-8")
    assert_right(read(tmp_path), boxes)


def test_names_that_grow_without_end_are_no_names(tmp_path: Path) -> None:
    yolo(tmp_path, photos(tmp_path, 2))
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    (tmp_path / "data.yaml").write_text("\n".join([*lines, "names: *a39"]), encoding="utf-8")
    with pytest.raises(DataError, match="none of 2 can be understood"):
        read(tmp_path)


def test_comments_among_names_and_names_that_stand_twice_are_told(tmp_path: Path) -> None:
    boxes = photos(tmp_path, 2)
    yolo(tmp_path, boxes)
    names = tmp_path / "classes.txt"
    names.write_text("# of our shop\nacme\nbolt\n", encoding="utf-8")
    dataset = read(tmp_path)
    assert_right(dataset, boxes)
    assert "comments" in kinds(dataset)
    names.write_text("acme\n# the new one\nbolt\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2 begins as a comment does"):
        read(tmp_path)
    names.write_text("acme\nacme\n", encoding="utf-8")
    assert "same-class-name" in kinds(read(tmp_path))


def test_names_that_differ_in_upper_and_lower_case_have_label_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "case").touch()
    if (tmp_path / "CASE").exists():
        pytest.skip("needs a file system that tells upper from lower case")
    for name, number in (("A", 0), ("a", 1)):
        draw_boxed(LABELS[number], number, SIZE)[0].save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(f"{number} .5 .5 .2 .2", encoding="utf-8")
    (tmp_path / "classes.txt").write_text("acme\nbolt", encoding="utf-8")
    assert labels_of(read(tmp_path)) == {"A.png": "acme", "a.png": "bolt"}


def coco(boxes: Boxes) -> dict[str, list[dict[str, object]]]:
    rows = [
        {"id": n, "image_id": n, "category_id": n % 2, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for n, (x1, y1, x2, y2) in enumerate(boxes.values())
    ]
    images = [{"id": n, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for n, name in enumerate(boxes)]
    categories = [{"id": n, "name": name} for n, name in enumerate(LABELS)]
    return {"images": images, "annotations": rows, "categories": categories}


def voc(numbers: tuple[float, ...], label: str, space: str = "") -> str:
    corners = "".join(f"<{c}>{n}</{c}>" for c, n in zip(("xmin", "ymin", "xmax", "ymax"), numbers, strict=True))
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>"
    return f"<annotation{space}>{size}<object><name>{label}</name><bndbox>{corners}</bndbox></object></annotation>"


def as_yolo_corners(folder: Path, boxes: Boxes) -> None:
    for name, (x1, y1, x2, y2) in boxes.items():
        line = f"0 {x1 / SIZE[0]} {y1 / SIZE[1]} {x2 / SIZE[0]} {y2 / SIZE[1]}"
        (folder / name).with_suffix(".txt").write_text(line, encoding="utf-8")


def as_coco_corners(folder: Path, boxes: Boxes) -> None:
    value = coco(boxes)
    for row, box in zip(value["annotations"], boxes.values(), strict=True):
        row["bbox"] = box
    (folder / "a.json").write_text(json.dumps(value), encoding="utf-8")


def as_voc_sizes(folder: Path, boxes: Boxes) -> None:
    for number, (name, (x1, y1, x2, y2)) in enumerate(boxes.items()):
        text = voc((x1, y1, x2 - x1, y2 - y1), LABELS[number % 2])
        (folder / name).with_suffix(".xml").write_text(text, encoding="utf-8")


def as_shared_ids(folder: Path, boxes: Boxes) -> None:
    value = coco(boxes)
    for row in (*value["images"], *value["annotations"]):
        row["id"] = row["image_id" if "image_id" in row else "id"] = 0
    (folder / "a.json").write_text(json.dumps(value), encoding="utf-8")


def as_percent(folder: Path, boxes: Boxes) -> None:
    rows = []
    for name, box in boxes.items():
        with Image.open(folder / name) as photo:
            photo.resize((480, 360)).save(folder / name)
        rows.append(",".join(map(str, (name, "acme", *(100 * n / SIZE[k % 2] for k, n in enumerate(box))))))
    (folder / "t.csv").write_text("\n".join(["path,label,x1,y1,x2,y2", *rows]), encoding="utf-8")


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (as_yolo_corners, "the centre, width and height.* read as two corners"),
        (as_coco_corners, "the upper left corner, width and height.* read as two corners"),
        (as_voc_sizes, "two corners.* read as the upper left corner|are no corners"),
        (as_shared_ids, "have the same id, 0"),
        (as_percent, "may be percentages"),
    ],
)
def test_numbers_that_are_not_what_their_format_says_are_refused(
    tmp_path: Path, write: Callable[[Path, Boxes], None], match: str
) -> None:
    write(tmp_path, photos(tmp_path, 12))
    with pytest.raises(DataError, match=match):
        read(tmp_path)


def test_logos_that_all_stand_in_one_corner_are_pixels(tmp_path: Path) -> None:
    boxes = {f"{number}.png": (4 + number, 6 + number, 60 + 3 * number, 64 + 3 * number) for number in range(12)}
    for number, name in enumerate(boxes):
        draw_boxed(LABELS[number % 2], number, (480, 360))[0].save(tmp_path / name)
    rows = [",".join(map(str, (name, LABELS[int(name[:-4]) % 2], *box))) for name, box in boxes.items()]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,x1,y1,x2,y2", *rows]), encoding="utf-8")
    assert_right(read(tmp_path), boxes)


def test_fractions_and_other_sizes_beside_the_size_of_the_photo(tmp_path: Path) -> None:
    boxes = photos(tmp_path / "voc", 4)
    for number, (name, box) in enumerate(boxes.items()):
        fractions = tuple(n / SIZE[place % 2] for place, n in enumerate(box))
        text = voc(fractions, LABELS[number % 2], ' xmlns="http://example.com/voc"').replace("name>", "Name>")
        (tmp_path / "voc" / name).with_suffix(".xml").write_text(text, encoding="utf-8")
    dataset = read(tmp_path / "voc")
    assert_right(dataset, boxes)
    assert "fractions" in kinds(dataset)
    boxes = photos(tmp_path / "table", 4)
    rows = [
        ",".join(map(str, (name, 2 * SIZE[0], 2 * SIZE[1], LABELS[number % 2], *(2 * n for n in box))))
        for number, (name, box) in enumerate(boxes.items())
    ]
    table = tmp_path / "table" / "t.csv"
    table.write_text("\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax", *rows]), encoding="utf-8")
    dataset = read(table)
    assert_right(dataset, boxes)
    assert "scaled-boxes" in kinds(dataset)


def test_width_and_height_of_the_box_beside_its_corners_are_not_the_photo_s(tmp_path: Path) -> None:
    boxes = photos(tmp_path, 4)
    rows = [
        ",".join(map(str, (name, LABELS[n % 2], *box, box[2] - box[0], box[3] - box[1])))
        for n, (name, box) in enumerate(boxes.items())
    ]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,x1,y1,x2,y2,width,height", *rows]), encoding="utf-8")
    assert_right(read(tmp_path), boxes)


def test_a_photo_that_two_files_put_in_different_parts_is_told(tmp_path: Path) -> None:
    value = json.dumps(coco(photos(tmp_path, 2)))
    for part in ("train", "val"):
        (tmp_path / f"instances_{part}.json").write_text(value, encoding="utf-8")
    dataset = read(tmp_path)
    assert "several-parts" in kinds(dataset)
    assert {photo.split for photo in dataset.photos} == {None}


def test_parts_within_labels_are_parts_and_parts_beside_others_are_refused(tmp_path: Path) -> None:
    for label in LABELS:
        for part in ("train", "test"):
            photos(tmp_path / "inside" / label / part, 1)
            photos(tmp_path / "odd" / part.replace("test", "holdout") / label, 1)
    dataset = read(tmp_path / "inside")
    assert dataset.labels == LABELS
    assert {photo.name: photo.split for photo in dataset.photos} == {
        f"{label}/{part}/0.png": part for label in LABELS for part in ("train", "test")
    }
    with pytest.raises(DataError, match=r"holdout is not\. Call the parts"):
        read(tmp_path / "odd")


def test_labels_that_may_mean_another_are_told(tmp_path: Path) -> None:
    for label in ("acme", "acme\u200b", "Back-ground", "no logo"):
        photos(tmp_path / label, 1)
    dataset = read(tmp_path)
    notes = {note.kind: str(note) for note in dataset.notes}
    assert "'acme' and 'acme\\u200b'" in notes["unseen-in-labels"]
    assert "Back-ground: 1, no logo: 1" in notes["no-logo-label"]


def test_annotations_in_two_formats_that_differ_are_told(tmp_path: Path) -> None:
    boxes = photos(tmp_path, 4)
    yolo(tmp_path, boxes)
    (tmp_path / "classes.txt").write_text("bolt\nacme", encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(coco(boxes)), encoding="utf-8")
    dataset = read(tmp_path)
    assert "COCO's format lie there, too" in next(str(note) for note in dataset.notes if note.kind == "two-formats")
    (tmp_path / "classes.txt").write_text("acme\nbolt", encoding="utf-8")
    assert "two-formats" not in kinds(read(tmp_path))


def test_a_photo_in_two_lists_of_pascal_voc_is_told(tmp_path: Path) -> None:
    for number, (name, box) in enumerate(photos(tmp_path / "JPEGImages", 3).items()):
        (tmp_path / "JPEGImages" / name).with_suffix(".xml").write_text(voc(box, LABELS[number % 2]), encoding="utf-8")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("0\n1\n", encoding="utf-8")
    (lists / "test.txt").write_text("1\n2\n", encoding="utf-8")
    dataset = read(tmp_path)
    assert {photo.path.stem: photo.split for photo in dataset.photos} == {"0": "train", "1": None, "2": "test"}
    assert "several-parts" in kinds(dataset)


def test_a_name_that_stands_twice_in_an_object_keeps_both_labels(tmp_path: Path) -> None:
    photos(tmp_path, 2)
    (tmp_path / "labels.json").write_text('{"0.png": "acme", "1.png": "bolt", "0.png": "bolt"}', encoding="utf-8")
    assert {photo.name: photo.labels for photo in read(tmp_path).photos} == {
        "0.png": ("acme", "bolt"),
        "1.png": ("bolt",),
    }


def test_lists_and_objects_are_no_labels(tmp_path: Path) -> None:
    photos(tmp_path, 2)
    rows = [{"file_name": "0.png", "labels": ["acme", "bolt"]}, {"file_name": "1.png", "labels": {"acme": 1}}]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (photo,) = read(tmp_path).photos
    assert photo.labels == LABELS
    (tmp_path / "metadata.jsonl").unlink()
    cell = json.dumps([{"x": 1, "rectanglelabels": ["acme"]}]).replace('"', '""')
    (tmp_path / "t.csv").write_text(f'image,label\n0.png,"{cell}"\n', encoding="utf-8")
    with pytest.raises(DataError, match="is a list or an object"):
        read(tmp_path)
