"""The formats of LabelMe, VIA and CVAT, as these tools write them, and as others and people change them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import draw_boxed

from logolens.data import Dataset, load
from logolens.errors import DataError

SIZE = (120, 90)
LABELS = ("acme", "bolt", "none")
Corners = tuple[float, float, float, float]


def read(place: Path) -> Dataset:
    return load(place, training=False, remember=False)


def photos(folder: Path) -> dict[str, Corners]:
    """Photos a.png of acme, b.png of bolt and c.png of nothing, and their boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    boxes = {}
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        photo, box = draw_boxed(LABELS[number], number, SIZE)
        photo.save(folder / name)
        boxes[name] = tuple(map(float, box))
    return boxes  # type: ignore[return-value]


def polygon(box: Corners) -> list[list[float]]:
    x1, y1, x2, y2 = box
    return [[x1, (y1 + y2) / 2], [(x1 + x2) / 2, y1], [x2, (y1 + y2) / 2], [(x1 + x2) / 2, y2]]


def labelme(folder: Path, images: Path | None = None) -> dict[str, Corners]:
    boxes = photos(images or folder)
    a, b = boxes["a.png"], boxes["b.png"]
    # Rectangles have two opposite corners, in whichever order they were drawn.
    drawn: dict[str, list[dict[str, Any]]] = {
        "a": [{"label": "acme", "shape_type": "rectangle", "points": [[a[2], a[3]], [a[0], a[1]]]}],
        "b": [{"label": " bolt ", "shape_type": "polygon", "points": polygon(b)}, {"label": None, "points": []}],
        "c": [],
    }
    folder.mkdir(exist_ok=True)
    for stem, shapes in drawn.items():
        value = {
            "version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"..\\pictures\\{stem}.png",
            "imageData": None, "imageHeight": SIZE[1], "imageWidth": SIZE[0],
        }  # fmt: skip
        (folder / f"{stem}.json").write_text("\ufeff" + json.dumps(value), encoding="utf-8")
    return boxes


def via(folder: Path, wrap: bool, attribute: str = "brand") -> dict[str, Corners]:
    boxes = photos(folder / "img")
    (x1, y1, x2, y2), b = boxes["a.png"], boxes["b.png"]
    rect = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    xs, ys = zip(*polygon(b), strict=True)
    shapes: list[list[tuple[dict[str, Any], Any]]] = [
        [(rect, "acme")],
        [({"name": "polygon", "all_points_x": xs, "all_points_y": ys}, {"bolt": True, "acme": False})],
        [],
    ]
    value: dict[str, Any] = {}
    for name, regions in zip(boxes, shapes, strict=True):
        listed = [
            {"shape_attributes": shape, "region_attributes": {attribute: label, "note": "x"}}
            for shape, label in regions
        ]
        value[f"{name}1234"] = {
            # VIA 1 numbers the regions, VIA 2 lists them.
            "filename": name, "size": 1234, "file_attributes": {},
            "regions": listed if wrap else {str(n): each for n, each in enumerate(listed)},
        }  # fmt: skip
    project = {"_via_settings": {}, "_via_img_metadata": value, "_via_attributes": {}} if wrap else value
    (folder / "via_project.json").write_text(json.dumps(project), encoding="utf-8")
    return boxes


def cvat(folder: Path) -> dict[str, Corners]:
    boxes = photos(folder / "images")
    x1, y1, x2, y2 = boxes["a.png"]
    points = ";".join(f"{x},{y}" for x, y in polygon(boxes["b.png"]))
    text = f"""<?xml version="1.0" encoding="utf-8"?>
    <annotations><version>1.1</version><meta><task><labels><label><name>acme</name></label></labels></task></meta>
      <image id="0" name="shop/a.png" subset="Train" width="120" height="90">
        <box label="acme" source="manual" occluded="0" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" z_order="0"/></image>
      <image id="1" name="b.png" subset="Train" width="120" height="90"><polygon label="bolt" points="{points}"/></image>
      <image id="2" name="c.png" subset="Train" width="120" height="90"></image>
      <image id="3" name="gone.png" width="120" height="90"/>
    </annotations>"""
    (folder / "annotations.xml").write_text(text, encoding="utf-8")
    return boxes


@pytest.mark.parametrize(
    ("write", "without"),
    [
        (labelme, "none"),
        (lambda folder: labelme(folder / "json", folder / "pictures"), "none"),
        (lambda folder: via(folder, True), None),
        (lambda folder: via(folder, False), None),
        (cvat, "none"),
    ],
    ids=["labelme", "labelme apart", "via project", "via export", "cvat"],
)
def test_what_was_drawn_is_read(
    tmp_path: Path, write: Callable[[Path], dict[str, Corners]], without: str | None
) -> None:
    boxes = write(tmp_path)
    dataset = read(tmp_path)
    found = {photo.path.name: photo for photo in dataset.photos}
    assert {name: photo.label for name, photo in found.items() if photo.label != "none"} == {
        "a.png": "acme",
        "b.png": "bolt",
    }
    assert (found["c.png"].label if "c.png" in found else None) == without
    for name in ("a.png", "b.png"):
        (box,) = found[name].boxes
        assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx(boxes[name], abs=0.6)


def test_parts_of_cvat_and_photos_that_are_gone(tmp_path: Path) -> None:
    cvat(tmp_path)
    dataset = read(tmp_path)
    assert {photo.split for photo in dataset.photos} == {"train"}
    assert "gone.png" in str(next(note for note in dataset.notes if note.kind == "no-photo"))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ('<box label="acme" xtl="20" ytl="30" xbr="60" ybr="50" rotation="90"/>', (30, 20, 50, 60)),
        ('<ellipse label="acme" cx="40" cy="40" rx="10" ry="5"/>', (30, 35, 50, 45)),
        ('<mask label="acme" rle="1, 2" left="3" top="4" width="10" height="20"/>', (3, 4, 13, 24)),
        ('<points label="acme" points="5,6"/>', None),
        ('<tag label="acme" source="manual"/>', None),
        ('<box label="acme" xtl="nan" ytl="30" xbr="60" ybr="50"/>', None),
    ],
)
def test_every_shape_of_cvat(tmp_path: Path, shape: str, expected: Sequence[float] | None) -> None:
    photos(tmp_path)
    text = f'<annotations><image name="a.png" width="120" height="90">{shape}</image></annotations>'
    (tmp_path / "annotations.xml").write_text(text, encoding="utf-8")
    (photo,) = read(tmp_path).photos
    assert photo.label == "acme"
    assert [(box.x1, box.y1, box.x2, box.y2) for box in photo.boxes] == (
        [] if expected is None else [pytest.approx(expected)]
    )


def test_what_leaves_a_doubt_is_refused_with_what_to_do(tmp_path: Path) -> None:
    via(tmp_path / "via", True, "maker")
    with pytest.raises(DataError, match=r"attributes maker, note, and nothing says which is the label"):
        read(tmp_path / "via")
    photos(tmp_path / "video")
    (tmp_path / "video" / "a.xml").write_text('<annotations><track label="acme"/></annotations>', encoding="utf-8")
    with pytest.raises(DataError, match="annotations of a video"):
        read(tmp_path / "video")
    photos(tmp_path / "cvat")
    (tmp_path / "cvat" / "a.xml").write_text('<annotations><image name="a.png">', encoding="utf-8")
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "cvat")


ODD: list[Any] = [None, 1, [], {}, "x", True, float("inf"), [[1]], {"a": {}}, [None], [{}]]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_odd_values_are_left_out_or_one_error(tmp_path: Path, odd: Any) -> None:
    photos(tmp_path / "l")
    photos(tmp_path / "v")
    shape = {"label": "acme", "points": [[1, 2], [30, 40]], "shape_type": "circle"}
    region = {"shape_attributes": {"name": "circle", "cx": 9, "cy": 9, "r": 5}, "region_attributes": {"label": "acme"}}
    row = {"filename": "a.png", "regions": [region]}
    made = [{"shapes": [{**shape, key: odd}, shape], "imagePath": "a.png"} for key in shape]
    made += [{"shapes": odd if isinstance(odd, list) else [odd], "imagePath": odd}]
    for number, value in enumerate(made):
        (tmp_path / "l" / f"{number}.json").write_text(json.dumps(value), encoding="utf-8")
    assert [photo.label for photo in read(tmp_path / "l").photos] == ["acme"]
    values: list[Any] = [{**row, key: odd} for key in row]
    values += [{**row, "regions": [{**region, key: odd}, region]} for key in region]
    values += [row]
    (tmp_path / "v" / "via.json").write_text(
        json.dumps({str(number): value for number, value in enumerate(values)}), encoding="utf-8"
    )
    assert [photo.label for photo in read(tmp_path / "v").photos] == ["acme"]


def test_a_few_drawings_beside_photos_in_labels_folders_do_not_take_their_place(tmp_path: Path) -> None:
    for label in ("acme", "bolt"):
        photos(tmp_path / label)
    value = {"shapes": [{"label": "logo", "points": [[1, 1], [9, 9]]}], "imagePath": "a.png"}
    (tmp_path / "acme" / "a.json").write_text(json.dumps(value), encoding="utf-8")
    dataset = read(tmp_path)
    assert dataset.labels == ("acme", "bolt")
    assert "unread" in {note.kind for note in dataset.notes}
