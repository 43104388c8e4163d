"""Pascal VOC: an XML file for each photo, as LabelImg, CVAT, Label Studio and Roboflow write it too."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.folder import clean_label
from logolens.data.formats.tree import Tree, annotated, list_of_annotated, split_named, text_of
from logolens.errors import DataError

__all__ = ["list_voc"]

_SNIFFED = 50
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def list_voc(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of a Pascal VOC data set; None where there is none.

    Raises:
        DataError: there are annotations, but not one of them leads to a photo.
    """
    files = tree.files(".xml")
    if not any(_root(file, None) is not None for file in files[:_SNIFFED]):
        return None
    lists = _lists(tree, notes)
    found: dict[Path, Listing] = {}
    lost = 0
    for file in files:
        root = _root(file, notes)
        if root is None:
            continue
        split = tree.split_of(file)
        image = _image(tree, file, root, split)
        name = tree.name(file)
        if image is None:
            lost += 1
            notes.add("no-photo", "Annotations of which no photo was found, left out: {n}.", [name])
            continue
        regions = _regions(root, name, notes)
        if regions is None:
            continue
        part = lists.get(file.stem) or split or tree.split_of(image)
        earlier = found[image].regions if image in found else ()
        found[image] = Listing(image, tree.name(image), annotated((*earlier, *regions)), part, size=_size(root))
    if not found:
        raise DataError(
            f"{tree.root}: annotations in Pascal VOC's format lie there, but the photos of {lost:,} were not found. "
            "They stand beside the XML files or in a folder JPEGImages or images, under the same name."
        )
    return list_of_annotated(tree, found, notes)


def _root(file: Path, notes: Notes | None) -> Any:
    """The annotation in an XML file; None of any other, which is noted where it is damaged."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        text = text_of(file)
        # The declared encoding was heeded or mended in reading; a parser refuses a str that declares one.
        root = fromstring(text[text.find("?>") + 2 :] if text.lstrip().startswith("<?xml") else text)
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        if notes is not None:
            message = "XML files that cannot be read, left out: {n}."
            notes.add("bad-annotation", message, [f"{file.name}: {error}"])
        return None
    for node in root.iter():
        # Some tools put them in a namespace, or write them in upper case.
        node.tag = str(node.tag).rpartition("}")[2].lower()
    return root if root.tag == "annotation" else None


def _image(tree: Tree, file: Path, root: Any, split: str | None) -> Path | None:
    """The photo of an annotation: of the same name, as the format has it, else of the name that the annotation gives."""
    if (image := tree.image_of_stem(file.stem, file.parent, split)) is not None:
        return image
    for tag in ("filename", "path"):
        written = (root.findtext(tag) or "").strip()
        if not written:
            continue
        if (image := tree.image(written, file.parent, split)) is not None:
            return image
        stem = Path(written.replace("\\", "/")).name
        for name in (stem, stem.rpartition(".")[0]):  # Some tools leave the ending out, some give another one.
            if name and (image := tree.image_of_stem(name, file.parent, split)) is not None:
                return image
    return None


def _regions(root: Any, name: str, notes: Notes) -> list[Region] | None:
    """What an annotation says; None where it says something, but nothing that can be used."""
    regions = []
    said = 0
    for thing in root.iter("object"):
        said += 1
        label = clean_label(thing.findtext("name") or "")
        if not label:
            notes.add("no-name", "Objects without a name, left out: {n}.", [name])
            continue
        box = _box(thing)
        if box is None:
            notes.add("no-box", "Objects without a box, which label the whole photo: {n}.", [name])
        regions.append(Region(label, box))
    return regions if regions or not said else None


def _box(thing: Any) -> Box | None:
    edges = thing.find("bndbox")
    if edges is not None:
        numbers = [_number(edges.findtext(corner)) for corner in _CORNERS]
        known = [number for number in numbers if number is not None]
        return Box(*known) if len(known) == 4 else None
    polygon = thing.find("polygon")
    if polygon is None:
        return None
    # CVAT and LabelMe write <pt><x>, Roboflow <x1>, <y1>, <x2>, ...
    xs = [value for node in polygon.iter() if node.tag[:1] == "x" and (value := _number(node.text)) is not None]
    ys = [value for node in polygon.iter() if node.tag[:1] == "y" and (value := _number(node.text)) is not None]
    return Box(min(xs), min(ys), max(xs), max(ys)) if xs and ys else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _size(root: Any) -> tuple[float, float] | None:
    width, height = (_number(root.findtext(f"size/{side}")) for side in ("width", "height"))
    return (width, height) if width and height and min(width, height) >= 1 else None


def _lists(tree: Tree, notes: Notes) -> dict[str, str]:
    """The part of each photo as ImageSets/Main has it; lists of all (trainval) and of one class are no parts."""
    parts: dict[str, set[str]] = {}
    for file in tree.files(".txt"):
        if not any(part.lower() == "imagesets" for part in file.parts):
            continue
        if (split := split_named(file.stem)) is None:
            continue
        for line in text_of(file).splitlines():
            # A list of one class has 1, 0 or -1 after the name, which may hold blanks itself.
            name = re.sub(r"\s+-?[01]$", "", line.strip()).replace("\\", "/").rpartition("/")[2]
            for stem in {name, name.rpartition(".")[0]} - {""}:
                parts.setdefault(stem, set()).add(split)
    if several := sorted(stem for stem, its in parts.items() if len(its) > 1):
        notes.add("several-parts", "Photos that are put in several parts, which are not heeded: {n}.", several)
    return {stem: its.pop() for stem, its in parts.items() if len(its) == 1}
