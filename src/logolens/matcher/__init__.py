"""Local features with geometric proof: whether this very drawing is in an image, and where."""

from __future__ import annotations

from logolens.matcher.describe import Keypoints, describe
from logolens.matcher.match import ENOUGH, Match, Matcher, Matches, evidence
from logolens.matcher.references import Reference, References, describe_photos, references_from

__all__ = [
    "ENOUGH",
    "Keypoints",
    "Match",
    "Matcher",
    "Matches",
    "Reference",
    "References",
    "describe",
    "describe_photos",
    "evidence",
    "references_from",
]
