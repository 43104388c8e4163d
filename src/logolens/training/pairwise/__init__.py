"""Training experts for pairs of labels that are near each other."""

from __future__ import annotations

from logolens.training.pairwise.fit import NEEDED, Contrasted, Held, check_pairs, contrast_pairs
from logolens.training.pairwise.sightings import opened

__all__ = ["NEEDED", "Contrasted", "Held", "check_pairs", "contrast_pairs", "opened"]
