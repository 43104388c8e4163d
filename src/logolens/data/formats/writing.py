"""Labelled photos to the annotation files of YOLO, COCO and Pascal VOC, to a table, and to folders."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import yaml

from logolens.config import BACKGROUND
from logolens.data.dataset import Box, Photo
from logolens.errors import DataError
from logolens.io.names import valid, written_name
from logolens.io.sources import is_leftover

__all__ = ["WRITERS", "Placed", "Writer"]

_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True)
class Placed:
    """A photo that was copied.

    Attributes:
        photo: what it shows.
        file: where it lies, from the new folder, with forward slashes.
        part: the folder's name of its part, or None where the data set is not divided.
    """

    photo: Photo
    file: str
    part: str | None


@dataclass(frozen=True)
class Writer:
    """How a format is written.

    Attributes:
        folder: where a photo of a part goes, from the new folder.
        write: writes what goes beside the photos; called with the photos, the labels and the new folder.
    """

    folder: Callable[[Photo, str | None], str]
    write: Callable[[Sequence[Placed], Sequence[str], Path], None]


def _boxes(photo: Photo) -> Iterator[tuple[str, Box]]:
    """Each label with its box; where a photo as a whole is labelled, its own outline."""
    for region in photo.regions:
        if region.label != BACKGROUND:
            yield region.label, region.box or Box(0, 0, photo.width, photo.height)


def _write(path: Path, text: str) -> None:
    path = Path(written_name(str(path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"


def _yolo_folder(photo: Photo, part: str | None) -> str:
    return f"{part}/images" if part else "images"


def _write_yolo(placed: Sequence[Placed], labels: Sequence[str], out: Path) -> None:
    place = {label: number for number, label in enumerate(labels)}
    for each in placed:
        photo = each.photo
        lines = []
        for label, box in _boxes(photo):
            centre = ((box.x1 + box.x2) / 2 / photo.width, (box.y1 + box.y2) / 2 / photo.height)
            size = ((box.x2 - box.x1) / photo.width, (box.y2 - box.y1) / photo.height)
            lines.append(" ".join([str(place[label]), *(f"{value:.8f}" for value in (*centre, *size))]) + "\n")
        image = out / each.file
        _write(image.parent.parent / "labels" / f"{image.stem}.txt", "".join(lines))
    parts = {each.part for each in placed}
    # Trainers want both parts named. What is not divided stands for both, as they have it.
    given = {"train": "train/images", "val": "valid/images", "test": "test/images"}
    paths = (
        {"train": "images", "val": "images"}
        if parts == {None}
        else {key: path for key, path in given.items() if path.split("/")[0] in parts}
    )
    described = {**paths, "nc": len(labels), "names": list(labels)}
    _write(out / "data.yaml", yaml.safe_dump(described, allow_unicode=True, sort_keys=False, width=10_000))


def _coco_folder(photo: Photo, part: str | None) -> str:
    return part or "images"


def _write_coco(placed: Sequence[Placed], labels: Sequence[str], out: Path) -> None:
    categories = [{"id": number, "name": label, "supercategory": "logo"} for number, label in enumerate(labels, 1)]
    numbers = {label: number for number, label in enumerate(labels, 1)}
    for part in {each.part for each in placed}:
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, each in enumerate((its for its in placed if its.part == part), 1):
            photo = each.photo
            file = Path(each.file).name if part else each.file
            images.append({"id": number, "file_name": file, "width": photo.width, "height": photo.height})
            for label, box in _boxes(photo):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": numbers[label],
                        "bbox": [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1],
                        "area": box.area,
                        "segmentation": [],
                        "iscrowd": 0,
                    }
                )
        value = {"images": images, "annotations": annotations, "categories": categories}
        _write(out / (part or "") / "_annotations.coco.json", json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def _voc_folder(photo: Photo, part: str | None) -> str:
    return f"{part}/JPEGImages" if part else "JPEGImages"


def _write_voc(placed: Sequence[Placed], labels: Sequence[str], out: Path) -> None:
    for label in labels:
        if _NO_XML.search(label):
            raise DataError(f"The label {label!r} holds a character that XML cannot; choose another format.")
    for each in placed:
        photo, image = each.photo, out / each.file
        objects = "".join(
            f"  <object>\n    <name>{escape(label)}</name>\n    <difficult>0</difficult>\n    <bndbox>"
            f"<xmin>{_number(box.x1)}</xmin><ymin>{_number(box.y1)}</ymin>"
            f"<xmax>{_number(box.x2)}</xmax><ymax>{_number(box.y2)}</ymax></bndbox>\n  </object>\n"
            for label, box in _boxes(photo)
        )
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<annotation>\n  <folder>JPEGImages</folder>\n'
            f"  <filename>{escape(image.name)}</filename>\n  <size><width>{photo.width}</width>"
            f"<height>{photo.height}</height><depth>3</depth></size>\n{objects}</annotation>\n"
        )
        _write(image.parent.parent / "Annotations" / f"{image.stem}.xml", text)


def _csv_folder(photo: Photo, part: str | None) -> str:
    return "images"


def _write_csv(placed: Sequence[Placed], labels: Sequence[str], out: Path) -> None:
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["path", "label", "x1", "y1", "x2", "y2", "split", "group", "source"])
    for each in placed:
        photo = each.photo
        rest = [photo.split or "", valid(photo.group or ""), valid(photo.source or "")]
        for region in photo.regions:
            box = region.box
            corners = [_number(value) for value in (box.x1, box.y1, box.x2, box.y2)] if box else [""] * 4
            table.writerow([each.file, region.label, *corners, *rest])
    _write(out / "photos.csv", stream.getvalue())


def _label_folder(photo: Photo, part: str | None) -> str:
    label = photo.label
    if label in (".", "..") or is_leftover(label) or re.search(r'[\\/:*?"<>|\x00-\x1f]', label) or len(label) > 200:
        raise DataError(
            f"The label {label!r} cannot be the name of a folder on every machine; choose another format than folder."
        )
    return f"{part}/{label}" if part else label


def _write_folder(placed: Sequence[Placed], labels: Sequence[str], out: Path) -> None:
    """The folders say it all."""


WRITERS = {
    "csv": Writer(_csv_folder, _write_csv),
    "yolo": Writer(_yolo_folder, _write_yolo),
    "coco": Writer(_coco_folder, _write_coco),
    "voc": Writer(_voc_folder, _write_voc),
    "folder": Writer(_label_folder, _write_folder),
}
"""The formats that are written, by what they are called on the command line."""
