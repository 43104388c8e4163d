"""What speaks for each label, and how it is added: a row for each expert, see `experts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.models.calibration import Calibration
from logolens.models.experts import Verdict, expert_of, first_experts
from logolens.types import FloatArray64

__all__ = ["NETWORK", "EnsembleWeights", "Evidence", "above_next", "lead", "mean_through", "promise"]

NETWORK = tuple(expert.name for expert in first_experts() if expert.name == "whole" or expert.stands_in)
"""Experts whose evidence is margins of one head, so that their mean is one too."""

_SURELY = 30.0
"""What is taken off the score of a photo that nothing more was asked about because it surely shows none."""

_OLD_NAMES = {"whole": "whole", "tiles": "closer", "closest": "closest", "matcher": "matcher"}
_OLD_STOPS = {"lead": "whole", "lead_closer": "closer"}


class Evidence:
    """What speaks for each label in some photos, by expert: float64 of shape (n, labels) each.

    An expert that was not asked has the evidence of the one that stands in for it, or zeros.

    Args:
        table: of the experts that were asked; the whole photo is always among them, or another that was asked first.
    """

    def __init__(self, table: Mapping[str, FloatArray64]) -> None:
        self._table = {expert.name: table[expert.name] for expert in first_experts() if expert.name in table}

    def __getitem__(self, name: str) -> FloatArray64:
        if name in self._table:
            return self._table[name]
        stands_in = expert_of(name).stands_in
        return self[stands_in] if stands_in is not None else np.zeros_like(next(iter(self._table.values())))

    def __len__(self) -> int:
        """How many photos."""
        return len(next(iter(self._table.values()), ()))

    @property
    def asked(self) -> tuple[str, ...]:
        """The experts that were asked about some of the photos."""
        return tuple(self._table)

    def rows(self, which: Any) -> Evidence:
        """That of some photos."""
        return Evidence({name: values[which] for name, values in self._table.items()})

    @staticmethod
    def of(parts: Sequence[Evidence]) -> Evidence:
        """That of all photos together."""
        asked = [expert.name for expert in first_experts() if any(expert.name in part.asked for part in parts)]
        return Evidence({name: np.concatenate([part[name] for part in parts]) for name in asked})


@dataclass(frozen=True)
class EnsembleWeights:
    """How evidence is added.

    Attributes:
        labels: weight of each expert in telling labels apart; an expert that is not named has none.
        presence: weight of each expert in telling whether there is a logo.
        stop_margins: after which expert, how far the best margin of those so far (their mean) must stand above the next, and
            above 0, for the answer to stand and nothing more to be asked.
        none_floors: after which expert, how high the best margin of those so far (see `promise`) must be for anything more to be
            asked: below it the answer is none.
        gap: weight, in telling whether there is a logo, of how far a label's evidence stands above the next label's.
        reason: why, as a sentence with the figures.
    """

    labels: Mapping[str, float] = field(default_factory=lambda: {"whole": 1.0})
    presence: Mapping[str, float] = field(default_factory=lambda: {"whole": 1.0})
    stop_margins: Mapping[str, float] = field(default_factory=dict)
    none_floors: Mapping[str, float] = field(default_factory=dict)
    gap: float = 0.0
    reason: str = "Only the whole photo is looked at."

    @staticmethod
    def from_json(facts: Mapping[str, Any]) -> EnsembleWeights:
        """From what a manifest holds; also as earlier releases wrote it, a field for each weight.

        Raises:
            TypeError, KeyError, ValueError: it holds something else.
        """
        if "labels" in facts:
            tables = {name: {str(k): float(v) for k, v in facts[name].items()} for name in ("labels", "presence")}
            ends = {
                kind: {str(name): float(value) for name, value in facts.get(kind, {}).items()}
                for kind in ("stop_margins", "none_floors")
            }
            return EnsembleWeights(**tables, **ends, gap=float(facts.get("gap", 0.0)), reason=str(facts["reason"]))
        weights = {new: float(facts[old]) for old, new in _OLD_NAMES.items() if facts.get(old)}
        presence = {new: float(facts[f"shows_{old}"]) for old, new in _OLD_NAMES.items() if facts.get(f"shows_{old}")}
        stops = {new: float(facts[old]) for old, new in _OLD_STOPS.items() if facts.get(old) is not None}
        return EnsembleWeights(weights, presence, stops, reason=str(facts["reason"]))

    def to_json(self) -> dict[str, Any]:
        """What a manifest holds."""
        return {
            "labels": dict(self.labels),
            "presence": dict(self.presence),
            "stop_margins": dict(self.stop_margins),
            "none_floors": dict(self.none_floors),
            "gap": self.gap,
            "reason": self.reason,
        }

    def asks(self, name: str) -> bool:
        """Whether an expert counts for anything, or one that counts needs it; the whole photo is always looked at."""
        if name == "whole" or self.labels.get(name) or self.presence.get(name) or name in self.none_floors:
            return True
        return any(name in expert.needs and self.asks(expert.name) for expert in first_experts())

    @property
    def looks_closer(self) -> bool:
        """Whether closer views count for anything."""
        return self.asks("closer")

    def logits(self, evidence: Evidence) -> FloatArray64:
        """What speaks for each label, of shape (n, labels)."""
        return _added(self.labels, evidence)

    def shows(self, evidence: Evidence) -> FloatArray64:
        """What speaks for a logo being there at all, in each label's case; of shape (n, labels)."""
        total = _added(self.presence, evidence)
        if self.gap:
            total = total + self.gap * above_next(self.logits(evidence))
        surely_none = self._floored(evidence)
        return np.where(surely_none[:, None], total - _SURELY, total) if surely_none.any() else total

    def score(self, evidence: Evidence) -> FloatArray64:
        """What speaks for a logo being there at all, in the case of the best label; of shape (n,)."""
        best = self.logits(evidence).argmax(axis=1)
        return np.asarray(self.shows(evidence)[np.arange(len(best)), best])

    def verdict(self, evidence: Evidence, calibration: Calibration) -> Verdict:
        """What is held of photos once their evidence is added, for late experts to amend.

        Args:
            evidence: a row each.
            calibration: how the sum becomes probabilities.
        """
        logits = self.logits(evidence)
        return Verdict(
            logits,
            self.shows(evidence),
            self.clear(evidence),
            calibration.given(logits),
            self.score(evidence),
            calibration,
        )

    def stops(self, name: str, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """Whether the answer stands once this expert was asked; bool of shape (n,)."""
        if name not in self.stop_margins:
            return np.zeros(len(evidence), dtype=bool)
        return np.asarray(lead(mean_through(name, evidence)) >= self.stop_margins[name])

    def floored(self, name: str, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """Whether the answer is none once this expert was asked; bool of shape (n,)."""
        if name not in self.none_floors:
            return np.zeros(len(evidence), dtype=bool)
        return np.asarray(promise(name, evidence) < self.none_floors[name])

    def ends(self, name: str, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """Whether nothing more is asked once this expert was; bool of shape (n,)."""
        return self.stops(name, evidence) | self.floored(name, evidence)

    def _floored(self, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """Whether the answer is none for the sake of a floor; an answer that stood before is not."""
        found = np.zeros(len(evidence), dtype=bool)
        stands = found
        for name in (expert.name for expert in first_experts()):
            found = found | (self.floored(name, evidence) & ~stands)
            stands = stands | (self.stops(name, evidence) & ~found)
        return found

    def clear(self, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """Where the answer stood before all that counts was asked; bool of shape (n,)."""
        stopped = np.zeros(len(evidence), dtype=bool)
        for name in {*self.stop_margins, *self.none_floors}:
            stopped = stopped | self.ends(name, evidence)
        return stopped

    def with_early_stops(self, evidence: Evidence) -> Evidence:
        """Full evidence as it would be, had nothing more been asked where the answer stood."""
        table: dict[str, FloatArray64] = {}
        stopped = np.zeros(len(evidence), dtype=bool)
        for name in evidence.asked:
            values = evidence[name]
            if stopped.any():
                stands_in = expert_of(name).stands_in
                instead = Evidence(table)[stands_in] if stands_in is not None else np.zeros_like(values)
                values = np.where(stopped[:, None], instead, values)
            table[name] = values
            if name in self.stop_margins or name in self.none_floors:
                stopped = stopped | self.ends(name, evidence)
        return Evidence(table)


def lead(margins: FloatArray64) -> FloatArray64:
    """How far the best margin of each row stands above the next, and above 0; of shape (n,)."""
    if margins.shape[1] == 1:
        return margins[:, 0]
    two = np.partition(margins, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - np.maximum(two[:, 0], 0.0))


def above_next(logits: FloatArray64) -> FloatArray64:
    """How far each label stands above the best of the others, 0 where it does not; of the shape of ``logits``."""
    if logits.shape[1] < 2:
        return np.zeros_like(logits)
    two = np.partition(logits, -2, axis=1)[:, -2:]
    return np.where(logits == two[:, 1:], logits - two[:, :1], 0.0)


def mean_through(name: str, evidence: Evidence) -> FloatArray64:
    """The mean of the network's margins up to this expert; of shape (n, labels)."""
    names = NETWORK[: NETWORK.index(name) + 1]
    total = evidence[names[0]]
    for each in names[1:]:
        total = total + evidence[each]
    return total / len(names)


def promise(name: str, evidence: Evidence) -> FloatArray64:
    """The best label's margin once this expert was asked: the mean of its own and of those that it needs; of shape (n,)."""
    if name in NETWORK:
        return np.asarray(mean_through(name, evidence).max(axis=1))
    names = (*expert_of(name).needs, name)
    return np.asarray(np.mean([evidence[each] for each in names], axis=0).max(axis=1))


def _added(weights: Mapping[str, float], evidence: Evidence) -> FloatArray64:
    total: FloatArray64 | None = None
    for expert in first_experts():
        if weights.get(expert.name):
            part = weights[expert.name] * evidence[expert.name]
            total = part if total is None else total + part
    return np.zeros_like(evidence["whole"]) if total is None else total
