"""Single figures from arrays: intervals of shares, calibration error, and the area under the ROC curve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from logolens.errors import UsageError

__all__ = ["SUM_TOLERANCE", "auroc", "bins_of", "expected_calibration_error", "wilson_interval"]

_Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution

SUM_TOLERANCE = 1e-3
"""By how much a row of probabilities may miss 1: what float16 arithmetic over some hundred labels may lose."""


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, 1927, J. Am. Stat. Assoc. 22, 209-212).

    Unlike the textbook interval it keeps its promise for few images and for shares near 0 and 1. It takes images to be
    independent of each other.

    Raises:
        UsageError: n is not positive, or `right` is not from 0 to n.
    """
    if n < 1 or not 0 <= right <= n:
        raise UsageError(f"An interval needs at least one image and from 0 to n right answers; got {right} of {n}.")
    share, spread = right / n, _Z95 * _Z95 / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 * float(np.sqrt(share * (1 - share) / n + spread / (4 * n))) / (1 + spread)
    # At the ends the formula gives exactly 0 and 1 but for rounding.
    return (0.0 if right == 0 else middle - half, 1.0 if right == n else middle + half)


def expected_calibration_error(confidence: npt.ArrayLike, right: npt.ArrayLike, *, bins: int = 15) -> float:
    """How far confidences lie from the share of right answers, over equal-width bins (Guo et al., 2017).

    The paper is "On Calibration of Modern Neural Networks", arXiv:1706.04599.

    Args:
        confidence: (n,) from 0 to 1; a bin holds its upper bound, as in the paper, and the first holds 0 as well.
        right: (n,) whether each answer was right.
        bins: how many.

    Raises:
        UsageError: there are no images, or a confidence is not from 0 to 1.
    """
    sure, hits = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if len(sure) == 0 or len(sure) != len(hits):
        raise UsageError(f"A calibration error needs one answer for each confidence; got {len(sure)} and {len(hits)}.")
    if not (np.isfinite(sure).all() and sure.min() >= 0 and sure.max() <= 1 + SUM_TOLERANCE):
        raise UsageError("A confidence is not from 0 to 1; hand over probabilities, not scores.")
    bin_of = bins_of(sure, bins)
    gaps = np.bincount(bin_of, weights=hits - sure, minlength=bins)
    return float(np.abs(gaps).sum() / len(sure))


def bins_of(confidence: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.int64]:
    """Which of some equal-width bins each confidence lies in; a bin holds its upper bound, and the first holds 0 as well.

    The bounds are compared with, and not multiplied by: 7 / 25 times 25 is more than 7.

    Args:
        confidence: from 0 to 1.
        bins: how many.
    """
    return np.searchsorted(np.arange(1, bins) / bins, confidence, side="left").astype(np.int64)


def auroc(positive: npt.ArrayLike, negative: npt.ArrayLike) -> float | None:
    """The chance that a positive scores above a negative, ties counted half (Mann and Whitney, 1947).

    Args:
        positive: (p,) scores of the images that show a logo.
        negative: (q,) scores of those that do not.

    Returns:
        From 0 to 1, or None where either is empty.
    """
    above, below = np.asarray(positive, dtype=np.float64), np.sort(np.asarray(negative, dtype=np.float64))
    if len(above) == 0 or len(below) == 0:
        return None
    lower = np.searchsorted(below, above, side="left").sum(dtype=np.int64)
    not_higher = np.searchsorted(below, above, side="right").sum(dtype=np.int64)
    return float((lower + not_higher) / (2 * len(above) * len(below)))
