"""What confidences are worth: how honest they are, and what not answering below one of them gains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logolens.errors import UsageError
from logolens.metrics.scores import bins_of

__all__ = ["COVERAGES", "Bin", "Risk", "area_under_risk", "reliability", "risk_coverage"]

COVERAGES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Shares of images answered at which the risk is told."""


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies above `low` and up to `high`: how many, their mean confidence, the share answered rightly."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Risk:
    """Answer the surest images alone: the share that is answered, the share of these that is wrong, from which confidence on."""

    coverage: float
    risk: float
    confidence: float


def reliability(confidence: npt.ArrayLike, right: npt.ArrayLike, *, bins: int = 10) -> tuple[Bin, ...]:
    """The points of a reliability diagram, over equal-width bins; bins without images are left out.

    Raises:
        UsageError: the lengths differ.
    """
    sure, hits = _pair(confidence, right)
    place = bins_of(sure, bins)
    found = []
    for number in np.unique(place).tolist():
        here = place == number
        found.append(
            Bin(number / bins, (number + 1) / bins, int(here.sum()), float(sure[here].mean()), float(hits[here].mean()))
        )
    return tuple(found)


def risk_coverage(confidence: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Risk, ...]:
    """The risk at `COVERAGES`, the whole first (El-Yaniv and Wiener, "On the foundations of noise-free selective
    classification", JMLR 11, 2010). Images of one confidence are answered together or not at all, so that a coverage is the
    least that can be had from this one on.

    Raises:
        UsageError: the lengths differ.
    """
    coverages, risks, sure = _curve(*_pair(confidence, right))
    if not len(coverages):
        return ()
    places = dict.fromkeys(int(np.searchsorted(coverages, share - 1e-9)) for share in COVERAGES)
    return tuple(Risk(float(coverages[at]), float(risks[at]), float(sure[at])) for at in places)


def area_under_risk(confidence: npt.ArrayLike, right: npt.ArrayLike) -> float | None:
    """The mean risk over all coverages (AURC: Geifman, Uziel and El-Yaniv, ICLR 2019); None without images."""
    sure, hits = _pair(confidence, right)
    if not len(sure):
        return None
    order = np.argsort(-sure, kind="stable")
    return float((np.cumsum(1 - hits[order]) / np.arange(1, len(sure) + 1)).mean())


def _curve(
    sure: npt.NDArray[np.float64], hits: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Coverage, risk and confidence at each confidence that occurs, the highest first."""
    order = np.argsort(-sure, kind="stable")
    last = np.flatnonzero(np.diff(sure[order], append=-1.0))
    answered = np.arange(1, len(sure) + 1, dtype=np.float64)
    risk = np.cumsum(1 - hits[order]) / answered
    return answered[last] / max(1, len(sure)), risk[last], sure[order][last]


def _pair(confidence: npt.ArrayLike, right: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    sure, hits = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if sure.shape != hits.shape or sure.ndim != 1:
        raise UsageError(f"Each confidence needs one answer; got {sure.shape} and {hits.shape}.")
    return sure, hits
