"""Types that several rooms share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Box", "FloatArray32", "FloatArray64", "IntArray", "Message", "Progress", "silent"]

FloatArray32: TypeAlias = npt.NDArray[np.float32]
FloatArray64: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom; in shares of an image's sides unless it is said otherwise."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told of work as it is done: what is being done, how much of it is, and how much there is."""

Message: TypeAlias = Callable[[str], None]
"""Told what should be known at once, a sentence each."""


def silent(stage: str, done: int, total: int) -> None:
    """The `Progress` of those who ask for none."""
