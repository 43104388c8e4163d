"""Local features with geometric proof: whether this very drawing is in an image, and where."""

from __future__ import annotations

from logolens.models.matcher.keypoints import Keypoints, describe
from logolens.models.matcher.match import ENOUGH, Match, Matcher, Matches, evidence
from logolens.models.matcher.references import Reference, References, describe_photos, references_from, references_of
from logolens.models.matcher.remembered import Remembered

__all__ = [
    "ENOUGH",
    "Keypoints",
    "Match",
    "Matcher",
    "Matches",
    "Reference",
    "References",
    "Remembered",
    "describe",
    "describe_photos",
    "evidence",
    "references_from",
    "references_of",
]
