"""What the columns of a table of photos are called, by those who write them, and what they are here."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from logolens.errors import DataError

__all__ = ["Columns", "columns_of", "is_open_images"]

_PLAIN = ("path", "label", "split", "group", "source")
_CORNERS = ("x1", "y1", "x2", "y2")
_ALIKE = {
    "path": (
        *("file_name", "filename", "filepath", "file_path", "filepaths", "file", "fname"),
        *("image_path", "image_name", "image_file", "imagepath", "imagename", "image", "img_path", "img_name", "img"),
        *("photo_path", "photo", "picture", "image_id", "imageid", "img_id", "id", "name", "image_url", "url"),
    ),
    "label": (
        *("class", "class_name", "classname", "label_name", "labelname", "category", "category_name", "brand"),
        *("brand_name", "logo", "labels", "classes", "target", "tag", "choice", "breed", "species"),
    ),
}
"""Other names, the likeliest first, that are taken where the column's own is missing."""

_NAMES_OF_LABELS = ("label_name", "class_name", "category_name")
"""Columns that hold labels in words, where one called label stands beside them and holds their numbers."""

_SIZES = (("w", "h"), ("width", "height"), ("bbox_w", "bbox_h"), ("bbox_width", "bbox_height"), ("box_w", "box_h"))
_PHOTO_SIZES = (
    *((f"{of}_width", f"{of}_height") for of in ("image", "img", "photo")),
    *((f"{of}_w", f"{of}_h") for of in ("image", "img", "photo")),
    ("width", "height"),
)
"""Columns that give the size in pixels of the photo that the boxes were drawn in, where they are none of the box's own."""

_BOXES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "corners": (
        ("xmin", "ymin", "xmax", "ymax"),
        ("x_min", "y_min", "x_max", "y_max"),
        ("left", "top", "right", "bottom"),
        ("xtl", "ytl", "xbr", "ybr"),
    ),
    "corner-size": tuple(
        first + size
        for first, size in product(
            (("x", "y"), ("left", "top"), ("x1", "y1"), ("xmin", "ymin"), ("x_min", "y_min"), ("bbox_x", "bbox_y")),
            _SIZES,
        )
    ),
    "centre-size": tuple(
        first + size
        for first, size in product(
            (
                ("cx", "cy"),
                ("xc", "yc"),
                *((f"x_{word}", f"y_{word}") for word in ("center", "centre")),
                *((f"{word}_x", f"{word}_y") for word in ("center", "centre")),
                *((f"x{word}", f"y{word}") for word in ("center", "centre")),
            ),
            _SIZES,
        )
    ),
}
_ONE_CELL = ("bbox", "box", "bounding_box", "boundingbox")


@dataclass(frozen=True)
class Columns:
    """What a table's columns are.

    Attributes:
        names: what each column that is read is here: path, label, x1, y1, x2, y2, split, group, source, and width
            and height of the photo that boxes are measured in.
        convention: what the four numbers of a box are, see `Listing`; empty where there are none.
    """

    names: Mapping[str, str]
    convention: str


def is_open_images(header: Collection[str]) -> bool:
    """Whether a table is one of Google's Open Images, by its columns' names in lower case."""
    return "imageid" in header and "labelname" in header


@functools.lru_cache(maxsize=512)
def columns_of(header: tuple[str, ...], file: Path) -> Columns:
    """Tell the columns by their names.

    Args:
        header: the names as they are written, lower case.
        file: the table, for errors.

    Raises:
        DataError: boxes are written in two ways, or all four numbers in one cell, so that nothing says what they are.
    """
    plain = {re.sub(r"[\s-]+", "_", name): name for name in reversed(header)}
    names = {name: name for name in _PLAIN if name in plain}
    for wanted, others in _ALIKE.items():
        if wanted not in names and (other := next((each for each in others if each in plain), None)):
            names[wanted] = other
    if "label" in plain and (words := next((each for each in _NAMES_OF_LABELS if each in plain), None)):
        names["label"] = words
    if is_open_images(plain):
        names.pop("source", None)  # There it is how the box was drawn.
    found: list[tuple[str, tuple[str, ...]]] = (
        [("corners", _CORNERS)] if all(name in plain for name in _CORNERS) else []
    )
    if not found:
        found = [(way, four) for way, every in _BOXES.items() for four in every if all(name in plain for name in four)]
        # Beside corners, width and height are the photo's.
        found = [pair for pair in found if pair[0] == "corners"] or found
    if len(found) > 1:
        ways = " and ".join(", ".join(four) for _, four in found[:2])
        raise DataError(f"{file}: boxes stand in {ways}; keep the columns of one of them.")
    if found:
        names.update(zip(_CORNERS, found[0][1], strict=True))
        sizes = (pair for pair in _PHOTO_SIZES if all(name in plain and name not in names.values() for name in pair))
        names.update(zip(("width", "height"), next(sizes, ()), strict=False))
    elif one := next((name for name in _ONE_CELL if name in plain), None):
        raise DataError(
            f"{file}: the column {one} holds a box in one cell, and nothing says whether its numbers are corners or a corner "
            "and a size. Write them in four columns: x1, y1, x2, y2, or left, top, width, height."
        )
    else:
        names.update({name: name for name in _CORNERS if name in plain})
    return Columns({plain[column]: name for name, column in names.items()}, found[0][0] if found else "")
