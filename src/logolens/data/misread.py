"""Boxes whose numbers are not what their format or columns say: refused, for a guess would teach the wrong place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from logolens.data.dataset import Box, Listing
from logolens.data.indexing import Facts
from logolens.errors import DataError

__all__ = ["ADVICE", "SLACK", "Kept", "corners_of", "refuse_misread"]

SLACK = 0.02
"""How far past the photo's edge, as a share of its side, a box may reach before the reading of its numbers is in doubt."""

ADVICE = (
    "Name the columns for what they are: x1, y1, x2, y2 for corners; left, top, width, height for the upper left corner and "
    "the size; cx, cy, width, height for the centre and the size."
)

Kept = tuple[Listing, Facts]

_CALLED = {
    "corners": "two corners (x1, y1, x2, y2)",
    "corner-size": "the upper left corner, width and height",
    "centre-size": "the centre, width and height",
}
_FEWEST, _SHARE_WRONG, _SHARE_RIGHT = 4, 0.05, 0.01
_PERCENT, _PERCENT_BOXES, _PERCENT_SIDE, _PERCENT_REACH = 100.5, 8, 200, 60
_PERCENT_BEGINS = {False: 30, True: 50}
"""How far to the right and down some boxes begin, by whether all numbers are whole, as pixels are and percentages seldom."""


def corners_of(box: Box, convention: str) -> Box:
    """The corners of a box whose four numbers are what the convention says, see `logolens.data.dataset.Listing`."""
    if convention == "corner-size":
        return Box(box.x1, box.y1, box.x1 + box.x2, box.y1 + box.y2)
    if convention == "centre-size":
        half_x, half_y = box.x2 / 2, box.y2 / 2
        return Box(box.x1 - half_x, box.y1 - half_y, box.x1 + half_x, box.y1 + half_y)
    return box


def refuse_misread(kept: Sequence[Kept], place: Path) -> None:
    """Hold boxes against their photos: those of another convention reach past the edges, or end before they begin.

    Args:
        kept: each listed photo, its convention and size settled, and what is known of its file.
        place: the data set, for messages.

    Raises:
        DataError: so many do that the numbers are something else than they are said to be.
    """
    _refuse_inverted(kept, place)
    for said in _CALLED:
        boxes = [
            (item.name, box, item.size or (float(facts.width), float(facts.height)))
            for item, facts in kept
            if item.convention == said
            for region in item.regions
            if (box := region.box) is not None and any((box.x1, box.y1, box.x2, box.y2))
        ]
        wrong = {way: [name for name, box, size in boxes if _is_wrong(box, size, way)] for way in _CALLED}
        count, bad = len(boxes), len(wrong[said])
        fits = next((way for way in _CALLED if way != said and len(wrong[way]) <= _SHARE_RIGHT * count), None)
        if fits and count >= _FEWEST and bad > max(1, _SHARE_WRONG * count):
            raise DataError(
                f"{place}: boxes are said to be {_CALLED[said]}, but of {count:,} boxes {bad:,} reach past the photo's edge or "
                f"end before they begin, as of {wrong[said][0]}; read as {_CALLED[fits]} they fit. Write them as their format "
                "has them, or in a table whose columns say so: x1, y1, x2, y2; left, top, width, height; cx, cy, width, height."
            )
    _refuse_percent([pair for pair in kept if pair[0].size is None], place)


def _is_wrong(box: Box, size: tuple[float, float], way: str) -> bool:
    width, height = size
    corners = corners_of(box, way)
    return (
        corners.x2 <= corners.x1
        or corners.y2 <= corners.y1
        or min(corners.x1 / width, corners.y1 / height) < -SLACK
        or max(corners.x2 / width, corners.y2 / height) > 1 + SLACK
    )


def _refuse_inverted(kept: Sequence[Kept], place: Path) -> None:
    """Corners of which the second lies before the first, again and again, are a size.

    Raises:
        DataError: so it is.
    """
    boxes = [
        (item, region.box)
        for item, _ in kept
        if item.convention == "corners"
        for region in item.regions
        if region.box is not None
    ]
    wrong = [item.name for item, box in boxes if box.x2 < box.x1 or box.y2 < box.y1]
    if len(wrong) > max(2, 0.2 * len(boxes)):
        raise DataError(
            f"{place}: of {len(boxes):,} boxes {len(wrong):,} end before they begin (x2 below x1, or y2 below y1), as of "
            f"{wrong[0]}, so these numbers are no corners. {ADVICE}"
        )


def _refuse_percent(unsized: Sequence[Kept], place: Path) -> None:
    """Numbers of which none is above 100, in photos far larger than that, are percentages, if they lie all over the photo.

    Logos that all stand in the upper left corner, as on screenshots of sites, are pixels: none of them begins far from it.

    Raises:
        DataError: so they seem to be.
    """
    boxes = [
        (facts, corners_of(region.box, item.convention))
        for item, facts in unsized
        for region in item.regions
        if region.box
    ]
    numbers = [number for _, box in boxes for number in (box.x1, box.y1, box.x2, box.y2)]
    if len(boxes) < _PERCENT_BOXES or len({id(facts) for facts, _ in boxes}) < _PERCENT_BOXES // 2:
        return
    side = median(min(facts.width, facts.height) for facts, _ in boxes)
    begins = _PERCENT_BEGINS[all(number.is_integer() for number in numbers)]
    if (
        max(numbers) <= _PERCENT
        and side >= _PERCENT_SIDE
        and min(max(box.x2 for _, box in boxes), max(box.y2 for _, box in boxes)) > _PERCENT_REACH
        and min(max(box.x1 for _, box in boxes), max(box.y1 for _, box in boxes)) > begins
    ):
        raise DataError(
            f"{place}: no number of {len(boxes):,} boxes is above 100, though most photos have sides of {side:,.0f} pixels and "
            "more, so these may be percentages. Divide them by 100, for fractions are read, or write pixels."
        )
