"""What speaks for each label, and how it is added: the whole photo, closer views and the matcher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.types import FloatArray64

__all__ = ["EnsembleWeights", "Evidence", "lead"]


@dataclass(frozen=True)
class Evidence:
    """What speaks for each label in some photos; all float64 of shape (n, labels).

    Attributes:
        whole: margins of the whole photo over the background, in logits.
        tiles: the best margins of closer views; the whole photo's own where none was looked at.
        closest: the best margins of views within the most promising closer views; those of ``tiles`` where none was looked at.
        matcher: the matcher's evidence; 0 where it was not asked.
    """

    whole: FloatArray64
    tiles: FloatArray64
    closest: FloatArray64
    matcher: FloatArray64

    def __len__(self) -> int:
        return len(self.whole)

    def rows(self, which: Any) -> Evidence:
        """That of some photos."""
        return Evidence(self.whole[which], self.tiles[which], self.closest[which], self.matcher[which])

    @staticmethod
    def of(parts: Sequence[Evidence]) -> Evidence:
        """That of all photos together."""
        return Evidence(
            np.concatenate([part.whole for part in parts]),
            np.concatenate([part.tiles for part in parts]),
            np.concatenate([part.closest for part in parts]),
            np.concatenate([part.matcher for part in parts]),
        )


@dataclass(frozen=True)
class EnsembleWeights:
    """How evidence is added.

    Attributes:
        whole: weight of the whole photo's margins in telling labels apart.
        tiles: weight of the closer views' margins.
        closest: weight of the margins of views within these; 0 where none is looked at.
        matcher: weight of the matcher's evidence; 0 where it is not asked.
        shows_whole: weight of the whole photo's margin in telling whether there is a logo.
        shows_tiles: weight of the closer views' margin in that.
        shows_closest: weight of the margin of the views within these.
        shows_matcher: weight of the matcher's evidence in that.
        lead: how far the whole photo's best margin must stand above the next, and above 0, for its answer to stand at once.
        lead_closer: the same of the mean of the whole photo's margins and the closer views', for nothing more to be asked.
        reason: why, as a sentence with the figures.
    """

    whole: float = 1.0
    tiles: float = 0.0
    closest: float = 0.0
    matcher: float = 0.0
    shows_whole: float = 1.0
    shows_tiles: float = 0.0
    shows_closest: float = 0.0
    shows_matcher: float = 0.0
    lead: float | None = None
    lead_closer: float | None = None
    reason: str = "Only the whole photo is looked at."

    @property
    def looks_closer(self) -> bool:
        """Whether closer views count for anything."""
        return bool(self.tiles or self.shows_tiles or self.looks_closest)

    @property
    def looks_closest(self) -> bool:
        """Whether views within the closer ones count for anything."""
        return bool(self.closest or self.shows_closest)

    def logits(self, evidence: Evidence) -> FloatArray64:
        """What speaks for each label, of shape (n, labels)."""
        return (
            self.whole * evidence.whole
            + self.tiles * evidence.tiles
            + self.closest * evidence.closest
            + self.matcher * evidence.matcher
        )

    def shows(self, evidence: Evidence) -> FloatArray64:
        """What speaks for a logo being there at all, in each label's case; of shape (n, labels)."""
        return (
            self.shows_whole * evidence.whole
            + self.shows_tiles * evidence.tiles
            + self.shows_closest * evidence.closest
            + self.shows_matcher * evidence.matcher
        )

    def clear(self, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """Where the answer stands before all that counts was asked; bool of shape (n,)."""
        stands = np.zeros(len(evidence), dtype=bool) if self.lead is None else lead(evidence.whole) >= self.lead
        if self.lead_closer is not None:
            stands = stands | (lead((evidence.whole + evidence.tiles) / 2) >= self.lead_closer)
        return stands

    def as_looked(self, evidence: Evidence) -> Evidence:
        """Full evidence as it would be, had nothing more been looked at where the whole photo's answer stands."""
        early = np.zeros(len(evidence), dtype=bool) if self.lead is None else lead(evidence.whole) >= self.lead
        tiles = np.where(early[:, None], evidence.whole, evidence.tiles)
        clear = early
        if self.lead_closer is not None:
            clear = early | (lead((evidence.whole + evidence.tiles) / 2) >= self.lead_closer)
        closest = np.where(clear[:, None], tiles, evidence.closest)
        return Evidence(evidence.whole, tiles, closest, np.where(clear[:, None], 0.0, evidence.matcher))

    def score(self, evidence: Evidence) -> FloatArray64:
        """What speaks for a logo being there at all, in the case of the best label; of shape (n,)."""
        best = self.logits(evidence).argmax(axis=1)
        return np.asarray(self.shows(evidence)[np.arange(len(best)), best])


def lead(margins: FloatArray64) -> FloatArray64:
    """How far the best margin of each row stands above the next, and above 0; of shape (n,)."""
    if margins.shape[1] == 1:
        return margins[:, 0]
    two = np.partition(margins, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - np.maximum(two[:, 0], 0.0))
