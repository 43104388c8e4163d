"""What tools of annotation draw around things, in pixels of the photo, to the box that holds it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from logolens.data.dataset import Box

__all__ = ["box_around", "box_of_circle", "number_of", "numbers_of", "size_of"]


def number_of(value: Any) -> float | None:
    """A finite number, as JSON or a text has it; None of anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def numbers_of(values: Any) -> list[float]:
    """The numbers of a list; none where one of them is no finite number."""
    found = [number_of(value) for value in values] if isinstance(values, (list, tuple)) else []
    return [] if None in found else [number for number in found if number is not None]


def size_of(width: Any, height: Any) -> tuple[float, float] | None:
    """The photo's size that an annotation gives; None where it gives none."""
    numbers = numbers_of([width, height])
    return (numbers[0], numbers[1]) if len(numbers) == 2 and min(numbers) >= 1 else None


def box_around(points: Sequence[Sequence[float]]) -> Box | None:
    """The box around points; None of fewer than two, or where one is none."""
    if len(points) < 2 or any(len(point) < 2 for point in points):
        return None
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    return Box(min(xs), min(ys), max(xs), max(ys))


def box_of_circle(centre: Sequence[float], rim: Sequence[float]) -> Box:
    """The box around a circle of this centre, through this point."""
    radius = math.hypot(rim[0] - centre[0], rim[1] - centre[1])
    return Box(centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
