"""LabelMe: a JSON file beside each photo, with a list of shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.folder import clean_label
from logolens.data.formats.coco import read_json
from logolens.data.formats.shapes import box_around, box_of_circle, numbers_of, size_of
from logolens.data.formats.tree import Tree, annotated, list_of_annotated
from logolens.errors import DataError

__all__ = ["list_labelme"]

_SNIFFED = 50


def list_labelme(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of a LabelMe data set; None where there is none.

    A photo is the one that a file names, else the one of the file's name. Flags of the whole photo are not read.

    Raises:
        DataError: there are annotations, but not one of them leads to a photo.
    """
    files = tree.files(".json")
    if not any(_is_labelme(read_json(file)) for file in files[:_SNIFFED]):
        return None
    folders = {tree.label_of(image) for image in tree.images} - {None}
    if len(folders) > 1 and 2 * len(files) <= len(tree.images):
        return None  # A few photos in labels' folders were drawn in; it is the folders that say what all show.
    found: dict[Path, Listing] = {}
    lost = 0
    for file in files:
        name, value = tree.name(file), read_json(file)
        if not _is_labelme(value):
            if value is None:
                notes.add("bad-annotation", "JSON files that cannot be read, left out: {n}.", [name])
            continue
        split = tree.split_of(file)
        image = _image(tree, file, value, split)
        if image is None:
            lost += 1
            notes.add("no-photo", "Annotations of which no photo was found, left out: {n}.", [name])
            continue
        regions = _regions(value["shapes"], name, notes)
        if regions is None:
            continue
        part = split or tree.split_of(image)
        earlier = found[image].regions if image in found else ()
        size = size_of(value.get("imageWidth"), value.get("imageHeight"))
        found[image] = Listing(image, tree.name(image), annotated((*earlier, *regions)), part, size=size)
    if not found:
        raise DataError(
            f"{tree.root}: annotations in LabelMe's format lie there, but of {lost:,} the photos were not found, and the others "
            "say nothing of what they show. The photos stand beside the JSON files, under the same name. Pictures that are held "
            "within JSON files are not read."
        )
    return list_of_annotated(tree, found, notes)


def _is_labelme(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("shapes"), list) and "imagePath" in value


def _image(tree: Tree, file: Path, value: dict[str, Any], split: str | None) -> Path | None:
    written = value["imagePath"]
    image = tree.image(written, file.parent, split) if isinstance(written, str) else None
    return image or tree.image_of_stem(file.stem, file.parent, split)


def _regions(shapes: list[Any], name: str, notes: Notes) -> list[Region] | None:
    """What the shapes of one photo say; None where they say something, but nothing that can be used."""
    regions = []
    for shape in shapes:
        label = clean_label(str(shape.get("label") or "")) if isinstance(shape, dict) else ""
        if not label:
            notes.add("no-name", "Shapes without a label, left out: {n}.", [name])
            continue
        drawn = shape.get("points")
        points = [numbers_of(point) for point in drawn] if isinstance(drawn, list) else []
        if shape.get("shape_type") == "circle" and len(points) == 2 and all(len(point) == 2 for point in points):
            box: Box | None = box_of_circle(points[0], points[1])
        else:
            box = box_around(points)
        if box is None:
            notes.add("no-box", "Shapes without an extent, such as points, which label the whole photo: {n}.", [name])
        regions.append(Region(label, box))
    return regions if regions or not shapes else None
