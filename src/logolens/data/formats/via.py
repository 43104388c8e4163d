"""VGG Image Annotator (VIA): one JSON file, a project's or an export's, with the regions of each photo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.folder import clean_label
from logolens.data.formats.coco import read_json
from logolens.data.formats.shapes import box_around, number_of, numbers_of
from logolens.data.formats.tree import Tree, annotated, list_of_annotated
from logolens.errors import DataError

__all__ = ["list_via"]

_MOST_FILES = 20
"""A project is one file, or one for each part; of many JSON files each is one photo's, in another format."""

_USUAL = ("label", "class", "name", "brand", "logo", "category", "object", "type")
"""What people call the attribute that holds the label, the likeliest first."""


def list_via(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of VIA's projects and exports; None where there are none.

    Photos without regions are left out: VIA lists each photo that was opened, looked at or not.

    Raises:
        DataError: the regions have several attributes and none that says the label, or no photo was found.
    """
    projects = [
        (file, photos) for file in tree.files(".json")[:_MOST_FILES] if (photos := _photos(read_json(file))) is not None
    ]
    if not projects:
        return None
    found: dict[Path, Listing] = {}
    lost: list[str] = []
    for file, photos in projects:
        attribute = _attribute(file, photos)
        split = tree.split_of(file)
        for row in photos:
            written = row.get("filename")
            if not isinstance(written, str) or not written.strip():
                notes.add("no-name", "Photos that are listed without a file name, left out: {n}.", [tree.name(file)])
                continue
            regions = list(_regions(row, attribute, f"{written} in {tree.name(file)}", notes))
            if not regions:
                notes.add("unannotated", "Photos without a region that has a label, left out: {n}.", [written])
                continue
            image = tree.image(written, file.parent, split)
            if image is None:
                lost.append(written)
                notes.add("no-photo", "Annotations of which no photo was found, left out: {n}.", [written])
                continue
            earlier = found[image].regions if image in found else ()
            part = split or tree.split_of(image)
            found[image] = Listing(image, tree.name(image), annotated((*earlier, *regions)), part)
    if not found:
        raise DataError(
            f"{projects[0][0]}: this is a project of the VGG Image Annotator, but "
            + (f"none of its {len(lost):,} photos was found, such as {lost[0]}." if lost else "no region has a label.")
        )
    return list_of_annotated(tree, found, notes)


def _photos(value: Any) -> list[dict[str, Any]] | None:
    """The photos of a project or an export; None of any other JSON."""
    rows = value.get("_via_img_metadata", value) if isinstance(value, dict) else None
    listed = list(rows.values()) if isinstance(rows, dict) else []
    if not listed or not all(isinstance(row, dict) and "regions" in row and "filename" in row for row in listed):
        return None
    return listed


def _each(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The regions of a photo: a list, or in VIA 1 an object by number."""
    regions = row["regions"]
    for region in regions.values() if isinstance(regions, dict) else regions if isinstance(regions, list) else ():
        if isinstance(region, dict):
            yield region


def _attributes(region: dict[str, Any]) -> dict[str, str]:
    """What a region says of itself: a text, or the one box that is ticked."""
    given = region.get("region_attributes")
    said = {}
    for name, value in given.items() if isinstance(given, dict) else ():
        if isinstance(value, dict):
            ticked = [key for key, on in value.items() if on is True]
            value = ticked[0] if len(ticked) == 1 else ""
        if isinstance(value, (str, int)) and not isinstance(value, bool) and (label := clean_label(str(value))):
            said[str(name)] = label
    return said


def _attribute(file: Path, photos: list[dict[str, Any]]) -> str:
    """Which attribute holds the label.

    Raises:
        DataError: there are several, and none is called so.
    """
    counts = Counter(name for row in photos for region in _each(row) for name in _attributes(region))
    usual = [name for wanted in _USUAL for name in counts if name.strip().lower() == wanted]
    if len(counts) > 1 and not usual:
        raise DataError(
            f"{file}: its regions have the attributes {', '.join(sorted(counts)[:6])}, and nothing says which is the label. Call "
            "that one label."
        )
    return (usual or list(counts) or [""])[0]


def _regions(row: dict[str, Any], attribute: str, where: str, notes: Notes) -> Iterator[Region]:
    for region in _each(row):
        label = _attributes(region).get(attribute, "")
        if not label:
            notes.add("no-label", "Regions without a label, left out: {n}.", [where])
            continue
        box = _box(region.get("shape_attributes"))
        if box is None:
            notes.add("no-box", "Regions without an extent, such as points, which label the whole photo: {n}.", [where])
        yield Region(label, box)


def _box(shape: Any) -> Box | None:
    if not isinstance(shape, dict):
        return None
    kind = shape.get("name")
    if kind == "rect":
        numbers = numbers_of([shape.get(side) for side in ("x", "y", "width", "height")])
        return Box(numbers[0], numbers[1], numbers[0] + numbers[2], numbers[1] + numbers[3]) if numbers else None
    if kind in ("circle", "ellipse"):
        radii = [shape.get("r"), shape.get("r")] if kind == "circle" else [shape.get("rx"), shape.get("ry")]
        numbers = numbers_of([shape.get("cx"), shape.get("cy"), *radii])
        if not numbers:
            return None
        x, y, rx, ry = numbers
        turned = number_of(shape.get("theta"))
        rx, ry = (max(rx, ry), max(rx, ry)) if kind == "ellipse" and turned else (rx, ry)
        return Box(x - rx, y - ry, x + rx, y + ry)
    xs, ys = numbers_of(shape.get("all_points_x")), numbers_of(shape.get("all_points_y"))
    return box_around(list(zip(xs, ys, strict=False))) if len(xs) == len(ys) else None
