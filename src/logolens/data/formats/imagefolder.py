"""Hugging Face's ImageFolder: photos with a metadata.csv or .jsonl that has a file_name, and objects or a label."""

from __future__ import annotations

import ast
import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.folder import clean_label
from logolens.data.formats.tree import Tree, annotated, split_named, text_of
from logolens.errors import DataError

__all__ = ["list_imagefolder"]

_FILES = ("metadata.csv", "metadata.jsonl")
_LABELS = ("label", "labels", "class", "category", "brand")
_CATEGORIES = ("categories", "category", "labels", "label", "category_id", "classes")
_BOXES = ("bbox", "bboxes", "boxes")

Row = Mapping[str, Any]


def list_imagefolder(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of an ImageFolder; None where there is none.

    Raises:
        DataError: there is one, but its rows say nothing of what the photos show.
    """
    files = [file for file in tree.files(".csv", ".jsonl") if file.name.lower() in _FILES]
    tables = [(file, rows) for file in files if (rows := list(_rows(file))) and "file_name" in rows[0][1]]
    if not tables:
        return None
    names = _class_names(tree)
    found: dict[Path, Listing] = {}
    missing: list[Listing] = []
    numbered = 0
    for file, rows in tables:
        for number, row in rows:
            where = f"{tree.name(file)} row {number}"
            written = str(row.get("file_name") or "").strip()
            split = split_named(str(row.get("split") or "")) or tree.split_of(file)
            image = tree.image(written, file.parent, split)
            regions = _regions(row, names, None if image is None else tree.label_of(image), where, notes)
            if not written or regions is None:
                notes.add("unlabelled", "Rows that say nothing of what their photo shows, left out: {n}.", [where])
                continue
            numbered += any(region.label.isdecimal() for region in regions)
            if image is None:
                missing.append(Listing(file.parent / Path(written).name, written, annotated(regions), split))
                continue
            part = split or tree.split_of(image)
            if image in found:
                regions = [*found[image].regions, *regions]
            found[image] = Listing(image, tree.name(image), annotated(regions), part, convention="corner-size")
    if not found:
        raise DataError(
            f"{tables[0][0]}: this is the metadata of an ImageFolder (Hugging Face), but "
            + (
                f"none of the {len(missing):,} photos it lists was found, such as {missing[0].name}."
                if missing
                else "its rows say nothing of what the photos show: no column objects or label, and no folder for each label."
            )
        )
    if numbered and not names:
        message = "No names of classes were found (README.md), so labels are their numbers."
        notes.add("unnamed-classes", message)
    left = [tree.name(image) for image in tree.images if image not in found]
    if left:
        notes.add("unlisted", "Photos in the folder that no annotation file lists, left out: {n}.", left)
    return [*found.values(), *missing]


def _rows(file: Path) -> Iterator[tuple[int, Row]]:
    text = text_of(file)
    if file.suffix.lower() == ".csv":
        try:
            for number, cells in enumerate(csv.DictReader(io.StringIO(text, newline="")), 2):
                yield number, {str(name).strip().lower(): cell for name, cell in cells.items() if name}
        except csv.Error as error:
            raise DataError(f"{file}: this is not a table that can be read ({error}).") from error
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{file}: row {number} is not JSON. Correct it and run again.") from error
            if isinstance(value, dict):
                yield number, {str(name).strip().lower(): cell for name, cell in value.items()}


def _class_names(tree: Tree) -> dict[str, str]:
    """What the numbers of classes stand for, from the head of the README.md that Hugging Face keeps beside the files."""
    for file in tree.files(".md"):
        text = text_of(file)
        if file.name.lower() != "readme.md" or not text.startswith("---"):
            continue
        try:
            head = yaml.load(text.split("---", 2)[1], Loader=yaml.BaseLoader)
        except (yaml.YAMLError, RecursionError):
            continue
        if (names := _named(head, 0)) is not None:
            pairs = names.items() if isinstance(names, dict) else enumerate(names)
            return {str(key): clean_label(str(name)) for key, name in pairs}
    return {}


def _named(value: Any, depth: int) -> Any:
    """The names below the first key ``class_label``."""
    if depth > 20:
        return None
    if isinstance(value, dict):
        label = value.get("class_label")
        if isinstance(label, dict) and isinstance(label.get("names"), (dict, list)):
            return label["names"]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for each in inner if (found := _named(each, depth + 1)) is not None), None)


def _regions(row: Row, names: Mapping[str, str], folder: str | None, where: str, notes: Notes) -> list[Region] | None:
    """What a row says of its photo; None where it says nothing."""
    if "objects" in row:
        return _objects(row["objects"], names, where, notes)
    for column in _LABELS:
        value = row.get(column)
        if isinstance(value, (list, dict)):
            # Several labels are a list; of anything else in it nothing is known.
            several = value if isinstance(value, list) else []
            return [Region(_label(each, names)) for each in several if isinstance(each, (str, int))] or None
        if value is not None and str(value).strip():
            return [Region(_label(value, names))]
    return [Region(folder)] if folder else None


def _objects(value: Any, names: Mapping[str, str], where: str, notes: Notes) -> list[Region] | None:
    value = _unpacked(value)
    if value in (None, "", [], {}):
        return []
    things: list[tuple[Any, Any]]
    if isinstance(value, dict):
        boxes: list[Any] = next((value[key] for key in _BOXES if isinstance(value.get(key), list)), [])
        labels: list[Any] = next((value[key] for key in _CATEGORIES if isinstance(value.get(key), list)), [])
        if len(boxes) != len(labels):
            notes.add("bad-objects", "Rows with as many boxes as labels not, left out: {n}.", [where])
            return None
        things = list(zip(boxes, labels, strict=True))
    elif isinstance(value, list) and all(isinstance(each, dict) for each in value):
        things = [
            (
                next((each[key] for key in _BOXES if key in each), None),
                next((each[key] for key in _CATEGORIES if key in each), None),
            )
            for each in value
        ]
    else:
        things = [(None, None)]
    regions = [
        Region(_label(label, names), Box(*numbers))
        for box, label in things
        if label not in (None, "") and len(numbers := _numbers(box)) == 4
    ]
    if len(regions) < len(things):
        message = "Objects without four numbers or a label, left out: {n}."
        notes.add("bad-objects", message, [where], count=len(things) - len(regions))
    return regions if regions or not things else None


def _unpacked(value: Any) -> Any:
    """What a cell of a CSV file holds: JSON, or what Python printed."""
    if not isinstance(value, str) or not value.strip():
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def _numbers(box: Any) -> list[float]:
    try:
        numbers = [float(number) for number in box]
    except (TypeError, ValueError, OverflowError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _label(value: Any, names: Mapping[str, str]) -> str:
    text = str(value).strip()
    return names.get(text, clean_label(text))
