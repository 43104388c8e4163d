"""A closer look at two photos that thumbnails call one: do they agree everywhere that shows something?

Packs of one layout with one warning agree as thumbnails; where their names stand they do not. Both photos are trimmed and
brought to 256 pixels a side, and each block of one is sought near its place in the other by normalised correlation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from logolens.config import Limits
from logolens.data.candidates import WAYS, laid
from logolens.data.near_duplicates import trim
from logolens.errors import ImageError
from logolens.io.images import open_apart, read_bytes
from logolens.types import FloatArray32

__all__ = ["covers"]

_SIDE, _BLOCK, _REACH, _COARSE = 256, 32, 10, 32
_AGREES = 0.75
_MOST = 0.9
_SHOWS = 8.0
"""Standard deviation in grey levels above which a block shows something."""


def covers(one: Path, other: Path, *, limits: Limits = Limits()) -> bool:
    """Whether two photos are one picture over most of both.

    Args:
        one: a photo's file.
        other: another's; it may be turned by right angles or mirrored.
        limits: how large an image may be.

    Returns:
        False, too, where a file cannot be read any more.
    """
    try:
        first, second = _grey(one, limits), _grey(other, limits)
    except ImageError:
        return False
    small = _coarse(first)
    # The two closest ways: a picture that is nearly symmetrical leaves it open which.
    turned = [laid(second[None], np.array([way]))[0] for way in range(len(WAYS))]
    order = sorted(turned, key=lambda image: -float((small * _coarse(image)).mean()))
    return any(_agree(first, image) and _agree(image, first) for image in order[:2])


def _grey(path: Path, limits: Limits) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    image = open_apart(read_bytes(path, limits), shrink_to=_SIDE, limits=limits).convert("L")
    image = trim(image).resize(
        (_SIDE, _SIDE), Image.Resampling.BOX if min(image.size) > _SIDE else Image.Resampling.BILINEAR
    )
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1.5)))


def _coarse(image: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> FloatArray32:
    step = _SIDE // _COARSE
    values = image.reshape(_COARSE, step, _COARSE, step).mean((1, 3)).astype(np.float32)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-3), np.float32)


def _agree(
    fixed: np.ndarray[tuple[int, int], np.dtype[np.uint8]], moving: np.ndarray[tuple[int, int], np.dtype[np.uint8]]
) -> bool:
    """Whether nearly every block of the first that shows something stands in the second, near its place."""
    padded = np.pad(moving.astype(np.float32), _REACH, mode="edge")
    good = shown = 0
    for top in range(0, _SIDE, _BLOCK):
        for left in range(0, _SIDE, _BLOCK):
            block = fixed[top : top + _BLOCK, left : left + _BLOCK].astype(np.float32)
            spread = float(block.std())
            if spread < _SHOWS:
                continue
            around = padded[top : top + _BLOCK + 2 * _REACH, left : left + _BLOCK + 2 * _REACH]
            views = np.lib.stride_tricks.sliding_window_view(around, (_BLOCK, _BLOCK))[::2, ::2].reshape(
                -1, _BLOCK * _BLOCK
            )
            product = views @ ((block - block.mean()) / spread).ravel() / _BLOCK**2
            shown += 1
            good += bool((product / np.maximum(views.std(axis=1), 1.0)).max() >= _AGREES)
    return shown > 0 and good >= _MOST * shown
