"""COCO: one JSON file with images, categories and annotations, for all photos or for each part."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.folder import clean_label
from logolens.data.formats.rle import box_of_runs
from logolens.data.formats.tree import Tree, annotated, split_named, text_of
from logolens.errors import DataError

__all__ = ["is_coco", "list_coco", "read_json"]

_LISTS = ("images", "annotations", "categories")
_PER_PHOTO = 20
"""Of more JSON files than this that are named as photos are, each is one photo's (LabelMe), and none COCO's."""


def list_coco(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of COCO files; None where there are none.

    Raises:
        DataError: there are such files, but none of their photos was found, or one is damaged.
    """
    files = _candidates(tree)
    found: dict[Path, Listing] = {}
    missing: list[Listing] = []
    known = []
    for file in files:
        value = read_json(file)
        if is_coco(value):
            known.append(file)
            if not value["annotations"]:
                # Of a test part that others are to annotate; photos of nothing would stand beside some of something.
                count = len(value["images"])
                message = "Photos listed in files without any annotation, left out: {n}."
                notes.add("unannotated", message, [tree.name(file)], count=count)
                continue
            _list(tree, file, value, found, missing, notes)
    if not known:
        return None
    if not found:
        if not missing:
            raise DataError(f"{known[0]}: this is in COCO's format, but it annotates none of its photos.")
        first = f", such as {missing[0].name}" if missing else ""
        raise DataError(
            f"{known[0]}: this is in COCO's format, but none of the {len(missing):,} photos it lists was found{first}, or "
            "several have its name. They stand beside it, or below the folder that was named, where their paths say."
        )
    left = [tree.name(image) for image in tree.images if image not in found]
    if left:
        notes.add("unlisted", "Photos in the folder that no annotation file lists, left out: {n}.", left)
    return [*found.values(), *missing]


def is_coco(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is a COCO file of detections."""
    return isinstance(value, dict) and all(isinstance(value.get(key), list) for key in _LISTS)


def read_json(file: Path) -> Any:
    """The value in a JSON file; None where it is damaged."""
    try:
        return json.loads(text_of(file))
    except (ValueError, RecursionError):
        return None


def _candidates(tree: Tree) -> list[Path]:
    files = tree.files(".json")
    stems = {image.stem for image in tree.images}
    own = [file for file in files if file.stem in stems]
    return files if len(own) <= _PER_PHOTO else [file for file in files if file.stem not in stems]


def _list(
    tree: Tree, file: Path, value: dict[str, Any], found: dict[Path, Listing], missing: list[Listing], notes: Notes
) -> None:
    _refuse_shared_ids(file, value)
    names = {
        _key(row.get("id")): clean_label(str(row.get("name") or ""))
        for row in value["categories"]
        if isinstance(row, dict)
    }
    of_image: dict[str, list[dict[str, Any]]] = {}
    for row in value["annotations"]:
        if isinstance(row, dict):
            of_image.setdefault(_key(row.get("image_id")), []).append(row)
    split = tree.split_of(file) or _split_of_file(file)
    whole = f"{tree.name(file)}"
    for row in value["images"]:
        written = row.get("file_name") if isinstance(row, dict) else None
        if not isinstance(written, str) or not written.strip():
            notes.add("no-name", "Images that are listed without a file name, left out: {n}.", [whole])
            continue
        regions = _regions(of_image.get(_key(row.get("id")), ()), names, f"{written} in {whole}", notes)
        if regions is None:
            continue
        size = _size(row)
        image = tree.image(written, file.parent, split)
        part = split or (tree.split_of(image) if image is not None else None)
        if image is None:
            shown = written.replace("\\", "/")
            path = file.parent / Path(shown).name
            missing.append(Listing(path, shown, annotated(regions), part))
            continue
        if (earlier := found.get(image)) is not None:
            if (earlier.convention, earlier.size) != ("corner-size", size):
                notes.add("listed-twice", "Photos listed twice in different sizes; the first counts: {n}.", [written])
                continue
            regions = [*earlier.regions, *regions]
            if part not in (None, earlier.split):
                notes.add(
                    "several-parts",
                    "Photos that are put in several parts, which are not heeded: {n}.",
                    [tree.name(image)],
                )
            part = earlier.split if part in (None, earlier.split) else None
        found[image] = Listing(image, tree.name(image), annotated(regions), part, convention="corner-size", size=size)


def _refuse_shared_ids(file: Path, value: dict[str, Any]) -> None:
    """Files that were put together without new numbers give one number to several photos or categories.

    Raises:
        DataError: so it is, and an annotation refers to such a number.
    """
    for rows, name, reference in (("images", "file_name", "image_id"), ("categories", "name", "category_id")):
        names: dict[str, str] = {}
        referred = {_key(row.get(reference)) for row in value["annotations"] if isinstance(row, dict)}
        for row in value[rows]:
            if not isinstance(row, dict) or (key := _key(row.get("id"))) not in referred:
                continue
            if (earlier := names.setdefault(key, str(row.get(name)))) != str(row.get(name)):
                raise DataError(
                    f"{file}: {earlier!r} and {str(row.get(name))!r} of its {rows} have the same id, {key}, so that nothing says "
                    "which of them an annotation means. Perhaps two files were put together; give each its own folder."
                )


def _key(number: object) -> str:
    """Ids are numbers, mostly, and texts in some exports; 1.0 is 1."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _split_of_file(file: Path) -> str | None:
    """The part that a file is called after, as in instances_train2017.json."""
    for word in re.split(r"[^a-z]+", file.stem.lower()):
        if split := split_named(word):
            return split
    return None


def _regions(rows: Sequence[dict[str, Any]], names: dict[str, str], where: str, notes: Notes) -> list[Region] | None:
    """What the annotations of one image say; None where they say something, but nothing that can be used."""
    regions: list[Region] = []
    for row in rows:
        if row.get("iscrowd") in (1, True, "1"):
            notes.add("crowd", "Annotations of crowds, left out: {n}.", [where])
            continue
        label = names.get(_key(row.get("category_id")), "")
        if not label:
            message = "Annotations of a category that is not listed, left out: {n}."
            notes.add("unknown-class", message, [f"category {row.get('category_id')} of {where}"])
            continue
        box = _box(row)
        if box is None:
            notes.add("no-box", "Annotations without a box, which label the whole photo: {n}.", [where])
        regions.append(Region(label, box))
    return regions if regions or not rows else None


def _box(row: dict[str, Any]) -> Box | None:
    """x, y, width and height of an annotation's box, or, where it has none, of what its polygons or its mask take up."""
    numbers = _numbers(row.get("bbox"))
    box = Box(*numbers) if len(numbers) == 4 else None
    if box is not None and min(box.x2, box.y2) > 0:
        return box
    return _outline(row.get("segmentation")) or box


def _outline(outline: Any) -> Box | None:
    if isinstance(outline, dict):
        return box_of_runs(outline)
    polygons = outline if isinstance(outline, list) else []
    flat = _numbers(polygons) or [number for polygon in polygons for number in _numbers(polygon)]
    if len(flat) < 6:
        return None
    xs, ys = flat[: len(flat) // 2 * 2 : 2], flat[1::2]
    return Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def _numbers(value: Any) -> list[float]:
    if not isinstance(value, list):
        return []
    try:
        numbers = [float(number) for number in value]
    except (TypeError, ValueError, OverflowError):
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _size(row: dict[str, Any]) -> tuple[float, float] | None:
    numbers = _numbers([row.get("width"), row.get("height")])
    return (numbers[0], numbers[1]) if len(numbers) == 2 and min(numbers) >= 1 else None
