"""Where to look closer: a photo's one pass through the network scores all windows of its maps, and the best are cut out.

A convolutional map keeps the places of what it shows. Pooled over a part of the photo's map, it tells roughly what a pass over
that part alone would tell (He et al., "Spatial pyramid pooling in deep convolutional networks", 2014), at no cost: enough to
propose where a small logo is, too little to name it. The proposals are cut from the photo itself and named by a pass each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from logolens.io.views import View
from logolens.types import FloatArray32

__all__ = ["SCALES", "iou", "nms", "roi_pool", "rooted", "tiles", "windows"]


SCALES = (1.0, 0.6, 0.36)
"""Sides of the squares that are looked at, as shares of the photo's shorter side."""

_LEAST_SIDE = 24
"""Pixels of the photo below which a square shows nothing that the whole photo does not."""

_MOST_TILES = 400
"""Of a long strip; no other photo has as many."""

_OVERLAP = 0.5
"""Intersection over union from which two windows are taken for one."""


def _scales(size: tuple[int, int], scales: Sequence[float]) -> list[float]:
    """Those whose squares have enough pixels; a square photo's largest is the photo itself and left out."""
    width, height = size
    short = min(width, height)
    return [
        scale for scale in scales if scale * short >= _LEAST_SIDE and (scale < 1.0 or max(width, height) > 1.05 * short)
    ]


def tiles(size: tuple[int, int], scales: Sequence[float] = SCALES) -> list[View]:
    """Squares of several sizes all over a photo, neighbours overlapping by half.

    Args:
        size: the photo's width and height in pixels.
        scales: their sides, as shares of the shorter side.
    """
    width, height = size
    found: list[View] = []
    for scale in _scales(size, scales):
        side = scale * min(width, height)
        across, down = (max(1, math.ceil(2 * (length - side) / side - 1e-6) + 1) for length in (width, height))
        step = max(1, math.ceil(across * down / _MOST_TILES))
        places = [
            (x, y) for y in np.linspace(0, height - side, down) for x in np.linspace(0, width - side, across)[::step]
        ]
        found += [View((x / width, y / height, (x + side) / width, (y + side) / height)) for x, y in places]
    return found


def windows(
    cells: tuple[int, int], size: tuple[int, int], scales: Sequence[float] = SCALES
) -> tuple[npt.NDArray[np.int64], list[View]]:
    """The windows of a map, and the region of the photo that each stands for.

    Args:
        cells: the map's rows and columns; it covers the whole photo.
        size: the photo's width and height in pixels.
        scales: sides of the regions, as shares of the shorter side.

    Returns:
        int64 of shape (n, 4), the cells (left, top, right, bottom) of each window, and n views: the square about the
        window's middle, within the photo, or a longer region where the window itself is much longer.
    """
    rows, columns = cells
    width, height = size
    found: list[tuple[int, int, int, int]] = []
    views: list[View] = []
    for scale in _scales(size, scales):
        side = scale * min(width, height)
        across = min(columns, max(min(2, columns), round(columns * side / width)))
        down = min(rows, max(min(2, rows), round(rows * side / height)))
        # A strip's cells are long: a square in the middle of such a window would miss most of it.
        wide = min(width, max(side, 0.8 * across * width / columns))
        high = min(height, max(side, 0.8 * down * height / rows))
        for top in range(rows - down + 1):
            for left in range(columns - across + 1):
                x = min(max((left + across / 2) / columns * width - wide / 2, 0.0), width - wide)
                y = min(max((top + down / 2) / rows * height - high / 2, 0.0), height - high)
                found.append((left, top, left + across, top + down))
                views.append(View((x / width, y / height, (x + wide) / width, (y + high) / height)))
    return np.array(found, dtype=np.int64).reshape(-1, 4), views


def roi_pool(last: FloatArray32, middle: FloatArray32, places: npt.NDArray[np.int64], pooling: str) -> FloatArray32:
    """Features of windows, pooled as the network pools its whole maps (see ``backbones.network.Network.forward``).

    Args:
        last: the last map, of shape (channels, rows, columns).
        middle: the middle map, of shape (channels, rows, columns), as many cells or more.
        places: int64 of shape (n, 4), cells of the last map.
        pooling: "rich" or "avg".

    Returns:
        float32 of shape (n, width).
    """
    # Channels last, so that a window's values are summed and compared as whole rows.
    here = np.ascontiguousarray(last.transpose(1, 2, 0))
    if pooling == "avg":
        return _means_and_maxima(here, places)[0]
    there = np.ascontiguousarray(middle.transpose(1, 2, 0))
    down, across = middle.shape[1] / last.shape[1], middle.shape[2] / last.shape[2]
    fine = places * (across, down, across, down)
    fine = np.concatenate([np.floor(fine[:, :2]), np.ceil(fine[:, 2:])], axis=1).astype(np.int64)
    blocks = (*_means_and_maxima(here, places), *_means_and_maxima(there, fine))
    return np.concatenate([_normalised(block) for block in blocks], axis=1)


def _means_and_maxima(cells: FloatArray32, places: npt.NDArray[np.int64]) -> tuple[FloatArray32, FloatArray32]:
    """Of each window of a map of shape (rows, columns, channels); windows of one size are reduced together."""
    means = np.empty((len(places), cells.shape[2]), np.float32)
    maxima = np.empty_like(means)
    sizes = places[:, 2:] - places[:, :2]
    for wide, high in np.unique(sizes, axis=0).tolist():
        which = np.flatnonzero((sizes == (wide, high)).all(axis=1))
        left, top = places[which, :2].T
        for into, add in ((means, np.add), (maxima, np.maximum)):
            # Down first, then across: as many steps as a window has rows and columns, for all windows at once.
            grid = _run(_run(cells, high, add), wide, add, axis=1)
            into[which] = grid[top, left]
        means[which] /= np.float32(wide * high)
    return means, maxima


def _run(values: FloatArray32, length: int, add: np.ufunc, axis: int = 0) -> FloatArray32:
    """At each place of an axis, this many values from there on, added up or their greatest."""
    count = values.shape[axis] - length + 1
    found = values[:count] if axis == 0 else values[:, :count]
    for step in range(1, length):
        found = add(found, values[step : step + count] if axis == 0 else values[:, step : step + count])
    return found


def rooted(values: FloatArray32) -> FloatArray32:
    """Each value v as sign(v) * sqrt(|v|), as the network pools it."""
    return np.asarray(values / np.sqrt(np.abs(values) + np.float32(1e-6)), np.float32)


def _normalised(block: FloatArray32) -> FloatArray32:
    root = rooted(block)
    return np.asarray(root / np.sqrt((root * root).sum(axis=1, keepdims=True) + np.float32(1e-12)), np.float32)


def iou(box: npt.ArrayLike, boxes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Intersection over union of one box (x1, y1, x2, y2) with each of n boxes; float64 of shape (n,)."""
    one, many = np.asarray(box, dtype=np.float64), np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    shared = np.clip(np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2]), 0.0, None).prod(axis=1)
    areas = (many[:, 2:] - many[:, :2]).prod(axis=1) + (one[2:] - one[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-12))


def nms(boxes: npt.ArrayLike, scores: npt.ArrayLike, most: int, limit: float = _OVERLAP) -> list[int]:
    """Positions of the best boxes, of which no two overlap by more than ``limit``; the best first, ``most`` at the most."""
    many = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    kept: list[int] = []
    for position in np.argsort(-np.asarray(scores), kind="stable").tolist():
        if len(kept) == most:
            break
        if not kept or iou(many[position], many[kept]).max() < limit:
            kept.append(position)
    return kept
