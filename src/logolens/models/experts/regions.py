"""Regions of what a view's maps show, and how much each promises."""

from __future__ import annotations

from collections.abc import Sequence

from logolens.io.views import View
from logolens.models.calibration import label_margins
from logolens.models.contracts.first import Inquiry
from logolens.models.proposals import SCALES, roi_pool, windows
from logolens.types import FloatArray64

__all__ = ["regions"]


def regions(
    inquiry: Inquiry, number: int, size: tuple[int, int], scales: Sequence[float] = SCALES
) -> tuple[list[View], FloatArray64]:
    """Regions of one of an inquiry's views, and each label's margin in each, as far as its maps tell.

    Args:
        inquiry: with the view looked at.
        number: which view.
        size: its width and height in pixels.
        scales: sides of the regions, as shares of its shorter side.

    Returns:
        n views, and float64 of shape (n, labels).
    """
    known = inquiry.regions.get((number, tuple(scales)))
    if known is None:
        known = inquiry.regions[number, tuple(scales)] = _regions(inquiry, number, size, scales)
    return known


def _regions(
    inquiry: Inquiry, number: int, size: tuple[int, int], scales: Sequence[float]
) -> tuple[list[View], FloatArray64]:
    last, middle = inquiry.maps[number]
    places, views = windows((last.shape[1], last.shape[2]), size, scales)
    if not views:
        return [], inquiry.margins[:0]
    pooled = roi_pool(last, middle, places, inquiry.pooling)
    return views, label_margins(inquiry.head.logits(pooled), inquiry.background)
