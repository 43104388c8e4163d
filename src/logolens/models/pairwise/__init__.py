"""Two labels that are near each other, as an old and a new logo of one brand: an expert that only decides between the two."""

from __future__ import annotations

from logolens.models.pairwise.alignment import Frame, Hits, Ties, frame_of, tie
from logolens.models.pairwise.apply import PairDecision, PairwiseExperts, divide, in_doubt, log_odds
from logolens.models.pairwise.pair import Difference, Laid, Pair, Sighting, lay, matched, pair_files

__all__ = [
    "Difference",
    "Frame",
    "Hits",
    "Laid",
    "Pair",
    "PairDecision",
    "PairwiseExperts",
    "Sighting",
    "Ties",
    "divide",
    "frame_of",
    "in_doubt",
    "lay",
    "log_odds",
    "matched",
    "pair_files",
    "tie",
]
