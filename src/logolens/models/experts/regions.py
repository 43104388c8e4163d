"""Regions of what a view's maps show, and how much each promises."""

from __future__ import annotations

from collections.abc import Sequence

from logolens.io.views import View
from logolens.models.calibration import label_margins
from logolens.models.experts.contract import Inquiry
from logolens.models.proposals import SCALES, roi_pool, windows

__all__ = ["regions"]


def regions(
    inquiry: Inquiry, number: int, size: tuple[int, int], scales: Sequence[float] = SCALES
) -> tuple[list[View], list[float]]:
    """Regions of one of an inquiry's views, and the best label's margin in each, as far as its maps tell.

    Args:
        inquiry: with the view looked at.
        number: which view.
        size: its width and height in pixels.
        scales: sides of the regions, as shares of its shorter side.
    """
    last, middle = inquiry.maps[number]
    places, views = windows((last.shape[1], last.shape[2]), size, scales)
    if not views:
        return [], []
    pooled = roi_pool(last, middle, places, inquiry.pooling)
    return views, label_margins(inquiry.head.logits(pooled), inquiry.background).max(axis=1).tolist()
