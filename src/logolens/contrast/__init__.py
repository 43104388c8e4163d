"""Two labels that are near each other, as an old and a new logo of one brand: an expert that only decides between the two."""

from __future__ import annotations

from logolens.contrast.division import Contrast, Divided, divide, in_doubt, log_odds
from logolens.contrast.frame import Frame, Hits, Ties, frame_of, tie
from logolens.contrast.pair import Difference, Laid, Pair, Sighting, lay, matched, pair_files

__all__ = [
    "Contrast",
    "Difference",
    "Divided",
    "Frame",
    "Hits",
    "Laid",
    "Pair",
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
