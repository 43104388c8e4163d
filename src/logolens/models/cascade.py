"""One photo's way to its evidence: the whole of it, then closer views, then the other experts, as far as each is needed.

Training sends held-out photos this way, with the heads and references that have not seen them; prediction does it with those
of the bundle. It is written once, here, so that what was measured is what is done.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from logolens.io.views import Picture, View
from logolens.models.contracts.first import Inquiry, Maps
from logolens.models.ensemble import EnsembleWeights, Evidence
from logolens.models.experts import first_experts
from logolens.types import FloatArray32, FloatArray64

if TYPE_CHECKING:
    from logolens.models.head import Head
    from logolens.models.matcher import Keypoints, Matches
    from logolens.models.session import Outputs

__all__ = ["OUTPUTS", "Cascade", "Observation"]

OUTPUTS = ("last", "middle")
"""The network's outputs that proposals are made from."""


@dataclass(frozen=True)
class Observation:
    """What was found out about one photo.

    Attributes:
        logits: of the whole photo, of shape (1, outputs).
        evidence: what speaks for each label, one row.
        views: where was looked, the whole photo first.
        margins: of each label in each view, float64 of shape (views, labels).
        maps: the last and the middle map of each view, in the views' order.
        matches: what the matcher found; None where it was not asked.
        size: width and height of the image that the matches' pixels are of.
        points: the key points that were matched; None where the matcher was not asked.
        features: of each view, where the network gives them.
        proofs: what experts found that a person can check, by their names.
        spans: for each expert that had the network look, which of the views are its own, from and to.
    """

    logits: npt.NDArray[np.floating[Any]]
    evidence: Evidence
    views: tuple[View, ...]
    margins: FloatArray64
    maps: tuple[Maps, ...]
    matches: Matches | None
    size: tuple[int, int]
    points: Keypoints | None = None
    features: tuple[FloatArray32, ...] = ()
    proofs: Mapping[str, Any] = field(default_factory=dict)
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class Cascade:
    """How far photos are looked into.

    Args:
        weights: what counts; no expert is asked that counts for nothing.
        background: whether the head's last output is the background.
        pooling: how the network pools its maps.
        knowledge: what experts learned, by their names; those that need to have learned and are not in it are not asked.
        mode: "auto" looks at proposals where the whole photo leaves doubt, "tiles" at squares all over every photo.
    """

    def __init__(
        self,
        weights: EnsembleWeights,
        *,
        background: bool,
        pooling: str,
        knowledge: Mapping[str, Any] | None = None,
        mode: str = "auto",
    ) -> None:
        self.weights = weights
        self.background = background
        self._pooling = pooling
        self._knowledge = {name: known for name, known in (knowledge or {}).items() if known is not None}
        self._mode = mode
        self._experts = [
            expert
            for expert in first_experts()
            if weights.asks(expert.name) and (not expert.files or expert.name in self._knowledge)
        ]

    def look(
        self, picture: Picture, head: Head, without: Collection[str] = ()
    ) -> Generator[Sequence[View], Outputs, Observation]:
        """One photo's way, as the steps of a `session.Job`; the network must give ``logits`` or ``features``, and its maps.

        It is a generator so that the views of many photos, at whatever step each is, go through the network together.

        Args:
            picture: the photo.
            head: the head; where the network gives logits, it is their own.
            without: SHA-256 of photos that no expert may have learned from.
        """
        inquiry = Inquiry(picture, head, self.background, self._pooling, self._mode, self._knowledge, without)
        spans: dict[str, tuple[int, int]] = {}
        for expert in self._experts:
            before = len(inquiry.views)
            said = yield from expert.ask(inquiry)
            if len(inquiry.views) > before:
                spans[expert.name] = (before, len(inquiry.views))
            if said is not None:
                inquiry.evidence[expert.name] = said
            if self._mode != "tiles" and self.weights.ends(expert.name, self._evidence(inquiry)).all():
                break
        matches, points = inquiry.proofs.get("matcher", (None, None))
        return Observation(
            inquiry.logits,
            self._evidence(inquiry),
            tuple(inquiry.views),
            inquiry.margins,
            tuple(inquiry.maps),
            matches,
            points.size if points is not None else picture.size,
            points,
            tuple(inquiry.features),
            inquiry.proofs,
            spans,
        )

    @staticmethod
    def _evidence(inquiry: Inquiry) -> Evidence:
        return Evidence({name: values[None] for name, values in inquiry.evidence.items()})
