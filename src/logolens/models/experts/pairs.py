"""The experts for pairs of near labels: how a pair's probability is divided among its two."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from logolens.errors import BundleError
from logolens.models.calibration import Calibration
from logolens.models.contracts.late import Asked, HeldOut, Inspected, LateFit, Recorded, Verdict
from logolens.models.pairwise import Pair, PairDecision, PairwiseExperts, pair_files

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.data import Dataset, Split

__all__ = ["BundledPair", "Pairs"]


@dataclass(frozen=True)
class BundledPair:
    """A pair whose expert a bundle holds.

    Attributes:
        labels: the two.
        files: the names of its two files, see `pair_files`.
    """

    labels: tuple[str, str]
    files: tuple[str, str]


@dataclass(frozen=True)
class Pairs:
    """Where two near labels are in doubt, the photo is laid over their references; what it knows is `PairwiseExperts`."""

    name: str = "pairs"
    title: str = "experts for pairs"
    cost: float = 15.0
    stage: Literal["late"] = "late"
    place: Literal["closer", "beside"] = "beside"

    def amend(self, knowledge: PairwiseExperts, verdict: Verdict, photo: Inspected) -> Verdict:
        """See `LateExpert.amend`; the proof is the decisions."""
        matcher, (_, points) = photo.knowledge.get("matcher"), photo.found.get("matcher", (None, None))
        sought = (matcher.settings, points) if matcher is not None and points is not None else None
        labels, decisions = knowledge.decide(photo.picture, verdict.labels[0], float(verdict.probability[0]), sought)
        shows = knowledge.ordered(verdict.shows[0], labels)
        proofs = {**verdict.proofs, self.name: decisions}
        return replace(verdict, labels=labels[None], shows=shows[None], proofs=proofs)

    def amend_all(self, knowledge: PairwiseExperts, verdict: Verdict, asked: Asked) -> Verdict:
        """See `LateExpert.amend_all`."""
        from logolens.models.pairwise.sightings import opened

        labels, likely = verdict.labels.copy(), verdict.probability
        for row, sample in enumerate(asked.samples):
            if knowledge.wanted(labels[row], float(likely[row])):
                picture = opened(asked.dataset, sample, asked.session)
                labels[row], _ = knowledge.decide(picture, labels[row], float(likely[row]))
        return replace(verdict, labels=labels)

    def sentence(self, proof: tuple[PairDecision, ...], label: str) -> str | None:
        """How a label was told from the other of its pair."""
        decision = next((one for one in proof if label in one.labels), None)
        return _sentence(decision, label) if decision is not None else None

    def calibration(self, knowledge: PairwiseExperts, before: Calibration) -> Calibration:
        """As before: only the two labels' shares change."""
        return before

    def asks_about(self, settings: TrainSettings) -> Collection[str]:
        """The labels of the pairs, of which every photo is needed."""
        return {label for pair in settings.pair for label in pair}

    def check(self, dataset: Dataset, splits: Split, settings: TrainSettings) -> None:
        """See `LateExpert.check`; both labels must be in the data, with enough photos."""
        if settings.pair:
            from logolens.models.pairwise.fit_pairs import check_pairs

            check_pairs(dataset, splits, settings.pair)

    def fit(self, held: HeldOut) -> LateFit | None:
        """See `LateExpert.fit`; pairs are tried where the settings name some."""
        if not held.settings.pair:
            return None
        from logolens.models.pairwise.fit_pairs import fit_pairs

        found = fit_pairs(held)
        experts = PairwiseExperts(found.pairs, held.dataset.labels) if found.pairs else None
        return LateFit(experts, list(found.facts), found.notes, found.held.verdict)

    def untried(self, settings: TrainSettings) -> tuple[str, ...]:
        """See `LateExpert.untried`."""
        if not settings.pair:
            return ()
        return (
            "No expert for a pair was trained: too few photos can be held out to decide whether that helps. Add photos of "
            "each label.",
        )

    def nothing(self) -> Any:
        """No pairs."""
        return []

    def save(self, knowledge: PairwiseExperts, folder: Path) -> None:
        """See `LateExpert.save`."""
        for number, pair in enumerate(knowledge.pairs, 1):
            weights, matcher = pair_files(number)
            pair.save(folder / weights, folder / matcher)

    def read(self, manifest: Mapping[str, Any]) -> tuple[BundledPair, ...] | None:
        """See `LateExpert.read`; bundles once called a pair a contrast."""
        old = self.name not in manifest
        used = [pair["labels"] for pair in manifest.get("contrast" if old else self.name, ()) if pair["used"]]
        return (
            tuple(
                BundledPair((str(one), str(other)), pair_files(number, old=old))
                for number, (one, other) in enumerate(used, 1)
            )
            or None
        )

    def files_of(self, facts: tuple[BundledPair, ...]) -> tuple[str, ...]:
        """See `LateExpert.files_of`."""
        return tuple(name for pair in facts for name in pair.files)

    def load(self, recorded: Recorded, folder: Path, labels: tuple[str, ...]) -> PairwiseExperts:
        """See `LateExpert.load`."""
        pairs = []
        for pair in recorded.facts:
            if missing := [name for name in pair.labels if name not in labels]:
                raise BundleError(
                    f"{folder} has a pair with {missing[0]}, which is none of its labels; train the bundle again."
                )
            weights, references = pair.files
            pairs.append(Pair.load(pair.labels, recorded.data[weights], folder / weights, folder / references))
        return PairwiseExperts(tuple(pairs), labels)

    def parts(self, facts: tuple[BundledPair, ...]) -> tuple[str, ...]:
        """See `LateExpert.parts`."""
        return tuple(f"expert for {first} and {second}" for first, second in (pair.labels for pair in facts))


def _sentence(decision: PairDecision, label: str) -> str:
    first, second = decision.labels
    sign, other = (1, second) if label == first else (-1, first)
    how = (
        f"laid flat by {decision.sighting.laid} references"
        if decision.sighting.laid
        else "which could not be laid flat"
    )

    def share(odds: float) -> str:
        return f"{1 / (1 + math.exp(-max(-30.0, min(30.0, sign * odds)))):.1%}"

    without = share(decision.ensemble_odds)
    return f"{label} rather than {other}: {share(decision.odds)} by the drawing, {how}; {without} without it"
