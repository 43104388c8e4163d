"""From the answers for a video's frames to when each label is seen: appearances, with hysteresis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.types import Box

__all__ = ["FLICKER", "STAYS", "Appearance", "appearances", "area", "total"]

STAYS = 0.2
"""Probability down to which a label that was seen before or after is taken to be seen still."""

FLICKER = 1.5
"""In gaps between two looks, how long one frame may miss a label without ending its appearance."""


@dataclass(frozen=True)
class Appearance:
    """A stretch of a video in which a label is seen.

    Attributes:
        start: seconds from the video's beginning.
        end: likewise.
        confidence: the answer's, at the surest frame.
        at: the time of the surest frame, in seconds.
        frame: the number of the surest frame among those looked at.
        box: (x1, y1, x2, y2) in the surest frame that has one, in fractions of its width and height; None where none has.
        share: the part of the frame's area that the box takes, the mean over time; None where no frame has one.
        largest: the same, at the most.
    """

    start: float
    end: float
    confidence: float
    at: float
    frame: int
    box: Box | None = None
    share: float | None = None
    largest: float | None = None

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end - self.start


def appearances(
    began: npt.NDArray[np.float64],
    end: float,
    at: npt.NDArray[np.float64],
    confidence: npt.NDArray[np.floating[Any]],
    enters: npt.NDArray[np.bool_],
    stays: npt.NDArray[np.bool_],
    boxes: Sequence[Box | None],
    *,
    flicker: float,
) -> list[Appearance]:
    """When one label is seen: where it enters, and before and after that as long as it stays.

    One frame in which it does not stay, and which holds for a moment only, does not divide an appearance.

    Args:
        began: since when what each frame shows is seen, in seconds, rising; float64 of shape (frames,).
        end: until when what the last one shows is seen.
        at: the frames' own times.
        confidence: of the label in each frame.
        enters: whether the frame's answer is the label.
        stays: whether the label may still be there.
        boxes: where it is in each frame; None where that is not told.
        flicker: for how many seconds a single frame may miss it.
    """
    until = np.append(began[1:], end)
    stays = stays | enters
    for number in range(1, len(stays) - 1):
        short = until[number] - began[number] <= flicker
        if short and not stays[number] and stays[number - 1] and stays[number + 1]:
            stays[number] = True  # The frame after it is looked at as it is, so two in a row are never bridged.
    found: list[Appearance] = []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], stays, [False]]).astype(np.int8)))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        part = np.arange(first, last)
        entered = part[enters[part]]
        if not len(entered):
            continue
        surest = int(entered[np.argmax(confidence[entered])])
        found.append(
            Appearance(
                float(began[first]),
                float(until[last - 1]),
                float(confidence[surest]),
                float(at[surest]),
                surest,
                *_places(part, surest, boxes, confidence, until - began),
            )
        )
    return found


def _places(
    part: npt.NDArray[np.int64],
    surest: int,
    boxes: Sequence[Box | None],
    confidence: npt.NDArray[np.floating[Any]],
    lasts: npt.NDArray[np.float64],
) -> tuple[Box | None, float | None, float | None]:
    boxed = [int(number) for number in part if boxes[number] is not None]
    if not boxed:
        return None, None, None
    areas = np.array([area(boxes[number]) for number in boxed])
    box = boxes[surest] or boxes[max(boxed, key=lambda number: float(confidence[number]))]
    return box, float(np.average(areas, weights=np.maximum(lasts[boxed], 1e-3))), float(areas.max())


def area(box: Box | None) -> float:
    """The part of the frame that a box takes; 0 of none."""
    return 0.0 if box is None else max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def total(parts: Sequence[Appearance]) -> float:
    """For how many seconds a label is seen in all."""
    return sum(part.seconds for part in parts)
