"""What a drawing looks like once it lies flat: directions of its edges in a grid of cells, whatever its colours and light.

These are histograms of oriented gradients (Dalal and Triggs, CVPR 2005) without the gradient's sign, so that a logo in white
on black is described as one in black on white.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.types import FloatArray32

__all__ = ["CELLS", "SIDE", "WIDTH", "cells", "flat"]

Motion = npt.NDArray[np.float64]

SIDE = 96
"""Pixels along a side of the square that drawings are laid into."""

CELLS = 12
"""Cells along a side of it."""

_DIRECTIONS = 8

WIDTH = CELLS * CELLS * _DIRECTIONS
"""Numbers that describe a drawing."""


def flat(image: Image.Image, motion: Motion) -> FloatArray32:
    """The part of an image that a square frame covers, laid flat.

    Args:
        image: in grey ("L").
        motion: of shape (2, 3), from pixels of the frame to pixels of the image.

    Returns:
        float32 of shape (SIDE, SIDE), from 0 to 255; beyond the image's edge its edge goes on.
    """
    # A pixel of the frame that covers several of the image is their mean, or fine patterns would turn into others.
    shrink = max(1, math.floor(math.sqrt(abs(float(np.linalg.det(motion[:, :2]))))))
    corners = np.array([(x, y, 1.0) for x in (0, SIDE) for y in (0, SIDE)]) @ motion.T
    low = np.clip(np.floor(corners.min(axis=0)) - 2 * shrink, 0, np.array(image.size) - 1).astype(int)
    high = np.maximum(np.clip(np.ceil(corners.max(axis=0)) + 2 * shrink, 1, image.size).astype(int), low + 1)
    part = image.crop((*low.tolist(), *high.tolist()))
    pixels = np.asarray(part.reduce(shrink) if shrink > 1 else part, np.float32)
    steps = np.arange(SIDE) + 0.5
    grid = np.stack([*np.meshgrid(steps, steps), np.ones((SIDE, SIDE))], axis=-1) @ motion.T
    spots = (grid - low) / shrink - 0.5
    x = np.clip(spots[..., 0], 0, pixels.shape[1] - 1)
    y = np.clip(spots[..., 1], 0, pixels.shape[0] - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = np.minimum(left + 1, pixels.shape[1] - 1), np.minimum(top + 1, pixels.shape[0] - 1)
    x, y = x - left, y - top
    upper = pixels[top, left] * (1 - x) + pixels[top, right] * x
    lower = pixels[below, left] * (1 - x) + pixels[below, right] * x
    return np.asarray(upper * (1 - y) + lower * y, np.float32)


def cells(drawing: FloatArray32) -> FloatArray32:
    """Describe a drawing that lies flat.

    Args:
        drawing: as `flat` gives it.

    Returns:
        float32 of shape (WIDTH,): for each direction, the strength of its edges in each cell, rows of cells from the top;
        beside the strength of what lies around the cell, so that shadows do not count.
    """
    soft = _softened(drawing)
    across, down = np.zeros_like(soft), np.zeros_like(soft)
    across[:, 1:-1] = soft[:, 2:] - soft[:, :-2]
    down[1:-1] = soft[2:] - soft[:-2]
    strength = np.hypot(across, down)
    turn = np.mod(np.arctan2(down, across), np.pi) * (_DIRECTIONS / np.pi)
    first = np.floor(turn).astype(int)
    share = (turn - first).astype(np.float32)
    first %= _DIRECTIONS
    planes = np.zeros((_DIRECTIONS, SIDE, SIDE), np.float32)
    rows, columns = np.indices(first.shape)
    planes[first, rows, columns] = strength * (1 - share)
    planes[(first + 1) % _DIRECTIONS, rows, columns] += strength * share
    size = SIDE // CELLS
    found = planes.reshape(_DIRECTIONS, CELLS, size, CELLS, size).mean(axis=(2, 4))
    power = (found**2).sum(axis=0)
    wide = np.pad(power, 1, mode="edge")
    around = sum(wide[y : y + CELLS, x : x + CELLS] for y in range(3) for x in range(3)) / 9
    return np.asarray(found / np.sqrt(around + 0.1 * power.mean() + 1e-3), np.float32).ravel()


def _softened(drawing: FloatArray32) -> FloatArray32:
    """Smoothed by about one pixel, against noise."""
    for axis in (0, 1):
        for _ in range(2):
            wide = np.pad(drawing, [(1, 1) if along == axis else (0, 0) for along in (0, 1)], mode="edge")
            before, after = (wide[:-2], wide[2:]) if axis == 0 else (wide[:, :-2], wide[:, 2:])
            drawing = np.asarray((before + 2 * drawing + after) / 4, np.float32)
    return drawing
