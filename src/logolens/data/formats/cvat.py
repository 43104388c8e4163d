"""CVAT's own XML, "CVAT for images 1.1": one file with all photos and what is drawn in them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.folder import clean_label, split_named
from logolens.data.formats.shapes import box_around, number_of, numbers_of, size_of
from logolens.data.formats.tree import Tree, annotated, list_of_annotated, text_of
from logolens.errors import DataError

__all__ = ["list_cvat"]

_MOST_FILES = 20
_SHAPES = ("box", "polygon", "polyline", "points", "ellipse", "mask", "cuboid", "tag")


def list_cvat(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of CVAT's XML files; None where there are none. A photo without shapes and tags is ``none``.

    Raises:
        DataError: there is one of a video, or none of its photos was found.
    """
    roots = [(file, root) for file in tree.files(".xml")[:_MOST_FILES] if (root := _root(file)) is not None]
    if not roots:
        return None
    found: dict[Path, Listing] = {}
    lost: list[str] = []
    for file, root in roots:
        if root.find("track") is not None:
            raise DataError(f'{file}: these are annotations of a video. Export them as "CVAT for images" or as YOLO.')
        for node in root.iter("image"):
            written = (node.get("name") or "").strip()
            split = split_named(node.get("subset") or "") or tree.split_of(file)
            regions = _regions(node, f"{written} in {tree.name(file)}", notes)
            image = tree.image(written, file.parent, split) if written else None
            if image is None:
                lost.append(written)
                notes.add("no-photo", "Annotations of which no photo was found, left out: {n}.", [written])
                continue
            if regions is None:
                continue
            earlier = found[image].regions if image in found else ()
            part = split or tree.split_of(image)
            size = size_of(node.get("width"), node.get("height"))
            found[image] = Listing(image, tree.name(image), annotated((*earlier, *regions)), part, size=size)
    if not found:
        raise DataError(
            f"{roots[0][0]}: this is in CVAT's format, but "
            + (
                f"none of its {len(lost):,} photos was found, such as {lost[0]}. They stand beside it, or in a folder images."
                if lost
                else "nothing that is drawn in its photos has a label."
            )
        )
    return list_of_annotated(tree, found, notes)


def _root(file: Path) -> Element | None:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    text = text_of(file)
    if "<annotations" not in text[:4096]:
        return None
    try:
        root: Element = fromstring(text[text.find("?>") + 2 :] if text.lstrip().startswith("<?xml") else text)
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        raise DataError(f"{file}: this XML file is damaged ({error}); export it again.") from error
    holds = root.find("image") is not None or root.find("track") is not None
    return root if root.tag == "annotations" and holds else None


def _regions(node: Any, where: str, notes: Notes) -> list[Region] | None:
    """What is drawn in one photo; None where there is something, but nothing that can be used."""
    regions = []
    said = 0
    for shape in node:
        if shape.tag not in _SHAPES:
            continue
        said += 1
        label = clean_label(shape.get("label") or "")
        if not label:
            notes.add("no-name", "Shapes without a label, left out: {n}.", [where])
            continue
        box = _box(shape)
        if box is None and shape.tag != "tag":
            notes.add("no-box", "Shapes without an extent, such as points, which label the whole photo: {n}.", [where])
        regions.append(Region(label, box))
    return regions if regions or not said else None


def _box(shape: Element) -> Box | None:
    if shape.tag == "box":
        numbers = _of(shape, "xtl", "ytl", "xbr", "ybr")
        # A box that is turned is drawn upright, and turned about its middle; what it holds lies within both.
        return _turned(Box(*numbers), number_of(shape.get("rotation"))) if numbers else None
    if shape.tag == "ellipse":
        numbers = _of(shape, "cx", "cy", "rx", "ry")
        x, y, rx, ry = numbers or (0.0,) * 4
        return _turned(Box(x - rx, y - ry, x + rx, y + ry), number_of(shape.get("rotation"))) if numbers else None
    if shape.tag == "mask":
        numbers = _of(shape, "left", "top", "width", "height")
        return Box(numbers[0], numbers[1], numbers[0] + numbers[2], numbers[1] + numbers[3]) if numbers else None
    return box_around([numbers_of(pair.split(",")) for pair in (shape.get("points") or "").split(";") if pair.strip()])


def _of(shape: Element, *names: str) -> list[float]:
    return numbers_of([shape.get(name) for name in names])


def _turned(box: Box, degrees: float | None) -> Box:
    """The upright box around a box that is turned about its middle."""
    if not degrees:
        return box
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    width, height = box.x2 - box.x1, box.y2 - box.y1
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    half_x, half_y = (width * cosine + height * sine) / 2, (width * sine + height * cosine) / 2
    return Box(x - half_x, y - half_y, x + half_x, y + half_y)
