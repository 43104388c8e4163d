"""Training experts for pairs of labels that are near each other."""

from __future__ import annotations

from logolens.training.pairwise.fit import NEEDED, FittedPairs, Held, check_pairs, fit_pairs
from logolens.training.pairwise.sightings import opened

__all__ = ["NEEDED", "FittedPairs", "Held", "check_pairs", "fit_pairs", "opened"]
