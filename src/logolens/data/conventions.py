"""Boxes as people write them, corners or centres, pixels or fractions, to corners in pixels of the upright photo."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from PIL import Image

from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.indexing import Facts
from logolens.data.misread import ADVICE, SLACK, Kept, corners_of, refuse_misread
from logolens.errors import DataError

__all__ = ["in_pixels"]

_OVER = 1.05
"""Up to this a number may still be a fraction: drawing tools let boxes reach a little past the photo's edge."""

_SAME_SHAPE = 0.02


def in_pixels(kept: Sequence[Kept], place: Path, notes: Notes) -> list[Kept]:
    """The same photos, the boxes of which are corners in pixels of the upright photo.

    Where nothing says what the numbers are measured in, numbers that are all within 0 to 1 are fractions; this is noted.

    Args:
        kept: each listed photo, and what is known of its file.
        place: the data set, for messages.
        notes: told of every reading that the data set did not spell out.

    Raises:
        DataError: the numbers can be read in more ways than one, and nothing decides.
    """
    kept = [(_sized_fractions(item, notes), facts) for item, facts in kept]
    unsized = [pair for pair in kept if pair[0].size is None]
    fractions = _are_fractions([pair[0] for pair in unsized], place, notes)
    convention = _corner_or_centre(unsized, fractions, place, notes)
    known: list[Kept] = []
    for item, facts in kept:
        if item.size is None:
            item = replace(item, size=(1.0, 1.0) if fractions else None)
            if item.convention == "corner-size":
                item = replace(item, convention=convention)
        known.append((item, facts))
    refuse_misread(known, place)
    return [
        (_converted(item, facts, notes) if any(region.box for region in item.regions) else item, facts)
        for item, facts in known
    ]


def _sized_fractions(item: Listing, notes: Notes) -> Listing:
    """An annotation that gives the photo's size in pixels, and boxes of it in fractions."""
    numbers = [number for _, box in _boxes([item]) for number in _numbers(box)]
    if (
        item.size in (None, (1.0, 1.0))
        or not numbers
        or max(numbers) > 1.0
        or not any(number % 1 for number in numbers)
    ):
        return item
    notes.add("fractions", "Boxes read as fractions of the photo's width and height: {n}.", [item.name])
    return replace(item, size=(1.0, 1.0))


def _boxes(items: Sequence[Listing]) -> Iterator[tuple[Listing, Box]]:
    for item in items:
        for region in item.regions:
            if region.box is not None:
                yield item, region.box


def _numbers(box: Box) -> tuple[float, float, float, float]:
    return box.x1, box.y1, box.x2, box.y2


def _are_fractions(items: Sequence[Listing], place: Path, notes: Notes) -> bool:
    """Whether boxes of which nothing is said are fractions.

    Raises:
        DataError: some are and some are not.
    """
    small: list[tuple[Listing, tuple[float, ...]]] = []
    large: list[tuple[Listing, tuple[float, ...]]] = []
    for item, box in _boxes(items):
        numbers = _numbers(box)
        if not any(numbers):
            continue
        within = all(-(_OVER - 1) <= number <= _OVER for number in numbers)
        (small if within else large).append((item, numbers))
    # A pixel of a real box may stand among others of many; what is no whole number and below 1 is no pixel.
    broken = [item.name for item, numbers in small if any(number % 1 for number in numbers)]
    if large and broken:
        raise DataError(
            f"{place}: the boxes of {len(broken):,} rows are fractions of the photo (0 to 1), as of {broken[0]}, and those of "
            f"{len(large):,} are pixels, as of {large[0][0].name}. Write all of them in one way."
        )
    if not small or large:
        return False
    message = "Boxes read as fractions of the photo's width and height, since all their numbers lie within 0 to 1: {n}."
    notes.add("fractions", message, [], count=len(small))
    return True


def _corner_or_centre(unsized: Sequence[Kept], fractions: bool, place: Path, notes: Notes) -> str:
    """What x and y of "x, y, width, height" are: the upper left corner as most write it, unless the boxes say otherwise.

    Raises:
        DataError: the numbers are fractions, of which both are customary, and fit both.
    """
    asked = [(item, facts) for item, facts in unsized if item.convention == "corner-size"]
    outside = {"corner-size": 0, "centre-size": 0}
    total = 0
    for item, facts in asked:
        width, height = (1.0, 1.0) if fractions else (float(facts.width), float(facts.height))
        for _, box in _boxes([item]):
            total += 1
            for convention in outside:
                corners = corners_of(box, convention)
                outside[convention] += (
                    corners.x1 < -SLACK * width
                    or corners.y1 < -SLACK * height
                    or corners.x2 > (1 + SLACK) * width
                    or corners.y2 > (1 + SLACK) * height
                )
    if not total:
        return "corner-size"
    corner, centre = outside["corner-size"], outside["centre-size"]
    allowed = 0.01 * total
    if corner <= allowed < centre or (not fractions and corner <= allowed):
        message = "Boxes read as x, y of the upper left corner, width and height: {n}."
        notes.add("corner-size", message, [], count=total)
        return "corner-size"
    if centre <= allowed < corner:
        message = (
            "Boxes read as x, y of the centre, width and height, since most would reach past the photo's edge if x, y were "
            "the upper left corner: {n}."
        )
        notes.add("centre-size", message, [], count=total)
        return "centre-size"
    how = "fit either" if centre <= allowed else f"fit neither ({corner:,} and {centre:,} reach past the photo's edge)"
    raise DataError(
        f"{place}: x, y, width and height of {total:,} boxes may be measured from the upper left corner or from the centre; "
        f"the numbers {how}. {ADVICE}"
    )


def _converted(item: Listing, facts: Facts, notes: Notes) -> Listing:
    turn = 1
    scale_x = scale_y = 1.0
    if item.size is not None:
        width, height = item.size
        scale_x, scale_y = facts.width / width, facts.height / height
        if item.size != (1.0, 1.0) and (scale_x, scale_y) != (1.0, 1.0):
            turn, scale_x, scale_y = _of_another_size(item, facts, notes)
    regions = []
    for region in item.regions:
        box = region.box
        if box is not None:
            box = corners_of(box, item.convention)
            if turn != 1 and item.size is not None:
                box = _turned(box, turn, *item.size)
            box = Box(box.x1 * scale_x, box.y1 * scale_y, box.x2 * scale_x, box.y2 * scale_y)
        regions.append(Region(region.label, box))
    return replace(item, regions=tuple(regions), convention="corners", size=None)


def _of_another_size(item: Listing, facts: Facts, notes: Notes) -> tuple[int, float, float]:
    """How the boxes of a photo whose annotation gives another size than it has are to be turned and scaled."""
    assert item.size is not None
    width, height = item.size
    if "turned" in facts.traits and abs(height / width / (facts.width / facts.height) - 1) <= _SAME_SHAPE:
        orientation = _orientation(item.path)
        if orientation in (5, 6, 7, 8):
            notes.add(
                "turned-boxes", "Photos whose boxes were drawn before EXIF turned them, turned too: {n}.", [item.name]
            )
            return orientation, facts.width / height, facts.height / width
    if abs(width / height / (facts.width / facts.height) - 1) <= _SAME_SHAPE:
        message = "Photos that have another size than their annotation says; their boxes are scaled: {n}."
        notes.add("scaled-boxes", message, [item.name])
        return 1, facts.width / width, facts.height / height
    message = (
        "Photos that have another shape than their annotation says; their boxes are taken as pixels of the file: {n}."
    )
    notes.add("size-mismatch", message, [item.name])
    return 1, 1.0, 1.0


def _orientation(path: Path) -> int:
    with contextlib.suppress(Exception), Image.open(BytesIO(path.read_bytes())) as image:
        return int(image.getexif().get(0x0112, 1))
    return 1


def _turned(box: Box, orientation: int, width: float, height: float) -> Box:
    """A box of the stored picture (width x height) in the upright one, of an EXIF orientation that swaps the sides."""
    xs, ys = (box.x1, box.x2), (box.y1, box.y2)
    if orientation in (7, 8):
        xs = (width - box.x2, width - box.x1)
    if orientation in (6, 7):
        ys = (height - box.y2, height - box.y1)
    return Box(ys[0], xs[0], ys[1], xs[1])
