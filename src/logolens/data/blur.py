"""How blurred a photo is, whatever it shows and however strong its contrast.

After Crété, Dolmiere, Ladret and Nicolas, "The blur effect: perception and estimation with a new no-reference perceptual
blur metric" (SPIE 6492, 2007): blurring what is sharp takes away much of the variation between neighbouring pixels, and
blurring what is blurred already takes away little. Other than there, a variation counts by its square once more, so that the
strongest edges decide: a logo before a smooth ground, or artwork with gradients, is no blurred photo.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["blur_of"]

_SIDE = 256
"""Long side at which it is measured: about what a network sees. Finer detail than that helps nobody."""

_KERNEL = 9
_TRIVIAL = 1e-3


def blur_of(image: Image.Image) -> tuple[float, float]:
    """How blurred a picture is, and how much its brightness varies.

    Args:
        image: upright RGB.

    Returns:
        From 0, sharp, to 1, blurred beyond recognition; and the standard deviation of the grey levels. A plain surface has no
        edge that could be sharp: its blur is 0 and its spread says what it is.
    """
    grey = image.convert("L")
    if max(grey.size) > _SIDE:
        grey.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    values = np.asarray(grey, np.float32)
    spread = float(values.std())
    if min(values.shape) <= _KERNEL or spread < 1.0:
        return 0.0, spread
    # Every other line tells as much in half the time.
    return max(_along(values[:, ::2]), _along(values.T[:, ::2])), spread


def _along(values: npt.NDArray[np.float32]) -> float:
    """The blur along the first axis: the share of the variation at the strongest edges that a further blur leaves."""
    sums: npt.NDArray[Any] = np.cumsum(values, axis=0)
    blurred = (sums[_KERNEL:] - sums[:-_KERNEL]) / _KERNEL
    middle = values[(_KERNEL + 1) // 2 : (_KERNEL + 1) // 2 + len(blurred)]
    before, after = np.abs(np.diff(middle, axis=0)), np.abs(np.diff(blurred, axis=0))
    weight = before * before
    total = float((weight * before).sum(dtype=np.float64))
    return float((weight * np.minimum(before, after)).sum(dtype=np.float64)) / total if total > _TRIVIAL else 0.0
