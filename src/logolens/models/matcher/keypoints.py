"""Local features: where an image has key points, and what each looks like.

Key points and descriptors are SIFT's (Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004),
found by OpenCV. The descriptors become RootSIFT: each divided by its sum, then its square root (Arandjelović and
Zisserman, "Three things everyone should know to improve object retrieval", CVPR 2012), so that the Euclidean distance
compares them as distributions. They are kept in bytes, in steps of 1/512.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import MatcherSettings
from logolens.io.images import as_rgb

__all__ = ["WIDTH", "Keypoints", "Recall", "describe", "inverted", "zoom_of"]

WIDTH = 128
"""Numbers in a descriptor: 4 x 4 cells of 8 directions."""

STEPS = 512.0
"""What a RootSIFT value of 1 is in bytes; no value of a photo comes near the 255 / 512 where bytes end."""

_LEAST_SIDE = 64
_SMALLEST = 12  # pixels after enlarging, below which there is nothing that a descriptor could lie on


@dataclass(frozen=True)
class Keypoints:
    """The key points of an image, the strongest first.

    Attributes:
        size: width and height of the image.
        points: float32 of shape (n, 2), x and y in pixels of the image, 0.5 being the middle of the first pixel.
        scale: float32 of shape (n,), diameter of what the key point looks at, in pixels of the image.
        angle: float32 of shape (n,), its direction in radians, clockwise as y points down.
        descriptors: uint8 of shape (n, 128), RootSIFT in steps of 1/512.
    """

    size: tuple[int, int]
    points: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    angle: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)

    def first(self, most: int) -> Keypoints:
        """The strongest ``most`` of them."""
        if len(self) <= most:
            return self
        return replace(
            self,
            points=self.points[:most],
            scale=self.scale[:most],
            angle=self.angle[:most],
            descriptors=self.descriptors[:most],
        )

    @staticmethod
    def none(size: tuple[int, int]) -> Keypoints:
        """An image without key points."""
        empty = np.zeros(0, np.float32)
        return Keypoints(size, np.zeros((0, 2), np.float32), empty, empty, np.zeros((0, WIDTH), np.uint8))


Recall: TypeAlias = Callable[[npt.NDArray[np.uint8], tuple[float, ...], Callable[[], Keypoints]], Keypoints]
"""Knows key points that were found before: of these pixels, with these numbers that decide, or finds them."""


def zoom_of(size: tuple[int, int], long_side: int, upscale: float) -> float:
    """By how much an image is enlarged (or shrunk, below 1) before its key points are sought.

    Its long side becomes ``long_side``, unless that would enlarge it more than ``upscale`` times, or leave a long strip
    fewer than 64 pixels wide; no image comes to more than ``long_side`` squared pixels.
    """
    long, short = max(size), min(size)
    zoom = max(long_side / long, min(1.0, _LEAST_SIDE / short))
    return min(upscale, zoom, long_side / math.sqrt(long * short))


def describe(
    image: Image.Image,
    settings: MatcherSettings = MatcherSettings(),
    *,
    most: int | None = None,
    long_side: int | None = None,
    recall: Recall | None = None,
) -> Keypoints:
    """The key points of an image.

    Args:
        image: upright RGB; of another mode it is converted, transparency over a ground that shows it.
        settings: how they are sought.
        most: how many, the strongest first; those of a query if not given.
        long_side: what the image's long side is brought to; that of a whole photo if not given.
        recall: asked first, with the pixels, all else that decides, and the way to find them; see `Remembered`.

    Returns:
        Key points in pixels of the image as given. An image that is too small or too plain has none, which is no error.
    """
    most = settings.query_points if most is None else most
    grey = (image if image.mode == "RGB" else as_rgb(image)).convert("L")
    zoom = zoom_of(grey.size, settings.long_side if long_side is None else long_side, settings.upscale)
    width, height = (max(1, round(side * zoom)) for side in grey.size)
    if min(width, height) < _SMALLEST:
        return Keypoints.none(image.size)
    pixels = np.asarray(grey.resize((width, height), Image.Resampling.BICUBIC))
    if not np.ptp(pixels):
        return Keypoints.none(image.size)
    if recall is None:
        return _found(pixels, image.size, most, settings)
    how = (*image.size, most, settings.contrast, settings.edge)
    return recall(pixels, how, lambda: _found(pixels, image.size, most, settings))


def _found(pixels: npt.NDArray[np.uint8], size: tuple[int, int], most: int, settings: MatcherSettings) -> Keypoints:
    """The key points in grey pixels, told in pixels of the image that these were resized from."""
    found, raw = _sift(most, settings.contrast, settings.edge).detectAndCompute(pixels, None)
    if not found:
        return Keypoints.none(size)
    rows = np.array([(*spot.pt, spot.size, spot.angle, spot.response) for spot in found], np.float32)
    # OpenCV keeps ties beyond the limit and promises no order; position decides between equal responses.
    order = np.lexsort((rows[:, 3], rows[:, 1], rows[:, 0], -rows[:, 4]))[:most]
    rows, raw = rows[order], raw[order]
    scale = np.array([size[0] / pixels.shape[1], size[1] / pixels.shape[0]], np.float32)
    return Keypoints(
        size=size,
        points=(rows[:, :2] + np.float32(0.5)) * scale,
        scale=rows[:, 2] * np.float32(math.sqrt(float(scale.prod()))),
        angle=np.deg2rad(rows[:, 3]),
        descriptors=_root(raw),
    )


def inverted(points: Keypoints) -> Keypoints:
    """What the same key points would be in the negative of the image.

    All gradients turn by half a circle, and with them each key point's own direction, against which the descriptor's
    directions and its 4 x 4 cells are laid: the directions stay and the grid of cells turns.
    """
    grid = points.descriptors.reshape(-1, 4, 4, 8)[:, ::-1, ::-1]
    return replace(
        points,
        angle=points.angle + np.float32(np.pi),
        descriptors=np.ascontiguousarray(grid).reshape(-1, WIDTH),
    )


def _root(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    share = raw / np.maximum(raw.sum(1, keepdims=True), np.float32(1e-6))
    steps: npt.NDArray[np.uint8] = np.minimum(np.rint(np.sqrt(share) * np.float32(STEPS)), 255).astype(np.uint8)
    return steps


@cache
def _sift(most: int, contrast: float, edge: float) -> Any:
    cv2: Any = importlib.import_module("cv2")
    # ONNX Runtime has its own threads, and a run over many photos has one process for each core.
    cv2.setNumThreads(1)
    return cv2.SIFT_create(nfeatures=most, contrastThreshold=contrast, edgeThreshold=edge)
