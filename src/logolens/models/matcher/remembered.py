"""Key points that are kept between runs, by the pixels they were found in: training asks about the same photos each time."""

from __future__ import annotations

import hashlib
import importlib
import json
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from logolens.errors import UsageError
from logolens.models.features import FeatureCache
from logolens.models.matcher.keypoints import WIDTH, Keypoints

__all__ = ["Remembered", "packed", "unpacked"]

_VERSION = 1
_HEAD = 6


class Remembered:
    """Finds key points once, and then knows them again; safe to share among threads.

    What the cache cannot keep, or no longer has, is found again: it never fails where finding them would not.

    Args:
        cache: where they are kept; that of features if not given, opened when it is first asked and closed with this object.
    """

    def __init__(self, cache: FeatureCache | None = None) -> None:
        self._cache = cache
        self._tried = cache is not None

    def __call__(
        self, pixels: npt.NDArray[np.uint8], how: tuple[float, ...], find: Callable[[], Keypoints]
    ) -> Keypoints:
        """The key points of an image.

        Args:
            pixels: what they are sought in.
            how: all else that decides which are found.
            find: finds them.
        """
        cache = self._opened()
        if cache is None:
            return find()
        # Another release of OpenCV may find others.
        facts = json.dumps([_VERSION, importlib.import_module("cv2").__version__, pixels.shape, how])
        seen = hashlib.sha256(pixels.tobytes()).hexdigest()
        key = hashlib.sha256(f"sighted\n{seen}\n{facts}".encode()).digest()
        known = cache.get([key]).get(key)
        points = None if known is None else unpacked(known)
        if points is None:
            points = find()
            with suppress(sqlite3.OperationalError):  # Another process holds the lock for long, or the disk is full.
                cache.put([(key, packed(points))])
        return points

    def _opened(self) -> FeatureCache | None:
        if not self._tried:
            self._tried = True
            with suppress(UsageError):
                cache = FeatureCache()
                weakref.finalize(self, cache.close)
                self._cache = cache
        return self._cache


def packed(points: Keypoints) -> npt.NDArray[np.float32]:
    """Key points as one vector: the cache keeps bits, whatever they stand for."""
    head = np.array([_HEAD, WIDTH, *points.size, len(points), 0], "<f4")
    rows = np.concatenate([points.points, points.scale[:, None], points.angle[:, None]], 1).astype("<f4")
    return np.concatenate([head, rows.ravel(), np.ascontiguousarray(points.descriptors).ravel().view("<f4")])


def unpacked(value: npt.NDArray[np.float32]) -> Keypoints | None:
    """The key points again; None of what was cut short, which is then sought anew."""
    if len(value) < _HEAD or tuple(value[:2]) != (_HEAD, WIDTH):
        return None
    width, height, count = (int(number) for number in value[2:5])
    if len(value) != _HEAD + count * (4 + WIDTH // 4):
        return None
    rows = value[_HEAD : _HEAD + 4 * count].reshape(count, 4)
    raw = np.frombuffer(value[_HEAD + 4 * count :].tobytes(), np.uint8).reshape(count, WIDTH)
    return Keypoints((width, height), rows[:, :2].copy(), rows[:, 2].copy(), rows[:, 3].copy(), raw)
