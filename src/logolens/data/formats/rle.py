"""Masks as COCO writes them, run lengths down the columns as a list or packed into text: the boxes around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from logolens.data.dataset import Box

__all__ = ["box_of_runs"]

_SIGN = 48
"""The code of the character that stands for 0 in packed counts (pycocotools' rleToString)."""


def box_of_runs(value: Any) -> Box | None:
    """The box around a mask, as its corner and its size in pixels; None where it is empty, or no mask that can be understood.

    Args:
        value: ``{"size": [height, width], "counts": ...}``; the counts are lengths of runs, of zeros and ones in turn, down
            one column after the other, as a list or packed into text.
    """
    if not isinstance(value, dict):
        return None
    try:
        height, width = (int(side) for side in value["size"])
        counts = value["counts"]
        runs = _unpacked(counts) if isinstance(counts, str) else (int(count) for count in counts)
        return _around(runs, height, width)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _around(runs: Iterator[int], height: int, width: int) -> Box | None:
    x1, y1, x2, y2 = width, height, 0, 0
    begin = 0
    for place, run in enumerate(runs):
        end = begin + run
        if run < 0 or end > height * width:
            return None
        if place % 2 and run:
            (first, top), (last, bottom) = divmod(begin, height), divmod(end - 1, height)
            x1, x2 = min(x1, first), max(x2, last + 1)
            # A run that goes on in the next column touches the lower and the upper edge.
            y1 = min(y1, top if first == last else 0)
            y2 = max(y2, bottom + 1 if first == last else height)
        begin = end
    return Box(x1, y1, x2 - x1, y2 - y1) if x2 > x1 else None


def _unpacked(text: str) -> Iterator[int]:
    """Five bits a character, the sixth says that more follow; from the fourth number on, what is added to the last but one."""
    earlier: list[int] = []
    place = 0
    while place < len(text):
        number = shift = 0
        while True:
            piece = ord(text[place]) - _SIGN
            if not 0 <= piece < 64 or shift > 60:
                raise ValueError(text[place])
            number |= (piece & 31) << shift
            place, shift = place + 1, shift + 5
            if not piece & 32:
                break
            if place >= len(text):
                raise ValueError(text)
        if piece & 16:
            number -= 1 << shift
        if len(earlier) > 2:
            number += earlier[-2]
        earlier.append(number)
        yield number
