"""Local features of a photo, few and small enough to keep for each of 100,000: what remains of it when it is cut, sheared, made
noisy or partly covered.

SIFT finds and describes key points in a small grey copy. Each descriptor is kept as 256 signs of fixed sums and differences of
its numbers, so that the share of signs in common tells how alike two are. The sums come in pairs, each the mirror image of the
other: to swap the signs of every pair is to describe the mirrored photo.
"""

from __future__ import annotations

import hashlib
import importlib
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.types import FloatArray32

__all__ = ["BITS", "MOST", "ROW", "mirrored_signs", "places", "points", "signs"]

MOST = 64
"""Key points that are kept of a photo, the strongest."""

BITS = 256
"""Signs that describe a key point."""

ROW = BITS // 8 + 8
"""Bytes that a key point takes: its signs, then its place, size and angle."""

_SIDE = 128
_CONTRAST = 0.02
_SPAN = 65535
_LARGEST = 0.5  # of a key point, as a share of the photo's height

_Bytes: TypeAlias = npt.NDArray[np.uint8]


def points(image: Image.Image) -> _Bytes:
    """A photo's local features.

    Args:
        image: upright RGB, 128 pixels a side or more where the photo has them.

    Returns:
        uint8 of shape (up to 64, 40), one row a key point.
    """
    grey = image.convert("L")
    scale = _SIDE / max(grey.size)
    if scale < 1:
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        grey = grey.resize(size, Image.Resampling.BOX, reducing_gap=1.0)
    cv2: Any = importlib.import_module("cv2")
    cv2.setNumThreads(1)
    sift = cv2.SIFT_create(nfeatures=MOST, contrastThreshold=_CONTRAST)
    found, descriptors = sift.detectAndCompute(np.asarray(grey), None)
    if descriptors is None:
        return np.zeros((0, ROW), np.uint8)
    count = min(len(found), MOST)
    order = sorted(range(len(found)), key=lambda n: (-found[n].response, found[n].pt))[:count]
    place = np.array([[*found[n].pt, found[n].size, found[n].angle] for n in order], np.float64)
    span = np.array([grey.width, grey.height, grey.height * _LARGEST, 360.0])
    kept = np.clip(np.rint(place / span * _SPAN), 0, _SPAN).astype("<u2")
    bits = np.packbits(descriptors[order].astype(np.float32) @ _sums() > 0, axis=1)
    return np.concatenate([bits, np.ascontiguousarray(kept).view(np.uint8).reshape(count, 8)], axis=1)


def signs(rows: _Bytes) -> npt.NDArray[np.bool_]:
    """The signs of key points, bool of shape (n, 256)."""
    return np.unpackbits(rows[:, : BITS // 8], axis=1).astype(bool)


def mirrored_signs(its: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What the signs would be if the photo were mirrored."""
    return its.reshape(len(its), BITS // 2, 2)[:, :, ::-1].reshape(len(its), BITS)


def places(rows: _Bytes, aspect: float) -> FloatArray32:
    """Where key points are, float32 of shape (n, 4): x and y and size in heights of the photo, and the angle in radians.

    Args:
        rows: as `points` gives them.
        aspect: the photo's width over height.
    """
    values = np.ascontiguousarray(rows[:, BITS // 8 :]).view("<u2").astype(np.float32) / np.float32(_SPAN)
    return np.asarray(values * np.array([aspect, 1.0, _LARGEST, 2 * np.pi], np.float32), np.float32)


@cache
def _sums() -> FloatArray32:
    """Which of a descriptor's 128 numbers are added and which are taken away for each sign, of shape (128, 256).

    They come from a hash, which is the same everywhere and for ever: signs are kept between runs.
    """
    drawn = np.frombuffer(hashlib.shake_256(b"logolens points").digest(128 * 128 * 4), "<u4").reshape(128, 128)
    half = np.where(np.argsort(np.argsort(drawn, axis=1, kind="stable"), axis=1, kind="stable") < 64, 1, -1)
    # 4 rows and 4 columns of cells along the key point's own axes, 8 directions each.
    number = np.arange(128).reshape(4, 4, 8)
    mirrored = number[::-1][:, :, (-np.arange(8)) % 8].reshape(128)
    both = np.stack([half, half[:, mirrored]], axis=1).reshape(BITS, 128)
    return np.ascontiguousarray(both.T.astype(np.float32))
