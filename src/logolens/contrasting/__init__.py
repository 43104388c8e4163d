"""Training experts for pairs of labels that are near each other."""

from __future__ import annotations

from logolens.contrasting.references import opened
from logolens.contrasting.run import NEEDED, Contrasted, Held, check_pairs, contrast_pairs

__all__ = ["NEEDED", "Contrasted", "Held", "check_pairs", "contrast_pairs", "opened"]
