"""One photo's way from its views to its answer: the cascade looks, evidence is weighed, pairs are divided, places are found."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.bundle.format import Bundle, Closer
from logolens.config import BACKGROUND
from logolens.errors import BundleError
from logolens.inference.instances import Instance, find_all, look_finely
from logolens.inference.locate import Finder, best_match, heat
from logolens.inference.parts import Parts
from logolens.inference.results import Answer, Box, Explanation, Kept, Logo
from logolens.io.views import Picture, View
from logolens.models.calibration import choose, margins
from logolens.models.cascade import Cascade, Observation
from logolens.models.contracts.late import Inspected
from logolens.models.ensemble import EnsembleWeights
from logolens.models.experts import Verdict
from logolens.models.matcher import Matcher
from logolens.models.proposals import iou
from logolens.models.session import Outputs, Steps

__all__ = ["Answering"]

_SAME = 0.3
"""Intersection over union from which two labels' boxes are one logo, which then is the likelier one's."""

_LEAST = 0.5
"""Probability above which a label is told: it is likelier there than not."""


class Answering:
    """How a bundle answers: where it looks, what it weighs and what it tells.

    Args:
        bundle: what is asked.
        parts: what its files hold, loaded when it is needed.
        views: where photos are looked at: "whole", "auto" or "tiles"; as the bundle was trained for when None.
        where: tell where the label is.
        every: tell every label that a photo shows, and every place of it.

    Attributes:
        views: where photos are looked at.
        where: whether it is told where the label is.
        every: whether every label is told.
        background: whether the bundle knows ``none``.
        cascade: how far photos are looked into; None where the whole photo's logits are all that is asked for.
        matcher: the drawings that are known; None where nobody asks them.
        threshold: the score from which a photo gets a label; None without a background.

    Raises:
        BundleError: the bundle was not trained for these views.
    """

    def __init__(self, bundle: Bundle, parts: Parts, *, views: str | None, where: bool, every: bool) -> None:
        closer = bundle.closer
        self._bundle, self._labels = bundle, bundle.labels
        self.views = views or (closer.views if closer is not None else "whole")
        if self.views != "whole" and closer is None:
            raise BundleError(
                f"{bundle.path} was trained to look at whole photos only, so views cannot be {self.views}; train it "
                "again with --views auto."
            )
        self.where, self.every = where or every, every
        self._closer = closer if self.views != "whole" else None
        self.background = BACKGROUND in bundle.classes
        self._late = parts.late if self._closer is not None else ()
        calibration = (self._closer or bundle).calibration
        for expert, knowledge in self._late:
            calibration = expert.calibration(knowledge, calibration)
        self.threshold = calibration.threshold
        self.matcher: Matcher | None = None
        self.cascade: Cascade | None = None
        self._head, self._finder = None, None
        self._knowledge: Mapping[str, Any] = {}
        if closer is not None and (self._closer is not None or self.where):
            self._head = parts.head
            localiser = parts.localiser if self.where else None
            self._knowledge = parts.knowledge if self._closer is not None else {}
            self.matcher = self._knowledge.get("matcher")
            self._finder = Finder(self._head, localiser, self.background, closer.pooling, self.matcher)
            weights = closer.weights if self._closer is not None else EnsembleWeights()
            self.cascade = Cascade(
                weights,
                background=self.background,
                pooling=closer.pooling,
                knowledge=self._knowledge,
                mode=self.views,
            )

    def steps(self, picture: Picture, keep: list[Kept] | None = None) -> Steps:
        """One photo's way from its views to the answer, as the steps of a `session.Job`.

        Args:
            picture: the photo.
            keep: is given what was seen on the way, for `explanation`.
        """
        assert self.cascade is not None
        assert self._head is not None
        assert self._finder is not None
        observation = yield from self.cascade.look(picture, self._head)
        answer = self.answer_whole(observation.logits)
        verdict: Verdict | None = None
        if self._closer is not None:
            verdict = self._verdict(self._closer, observation, picture)
            answer = self._together(verdict)
        shows = self._bundle.classes[choose(answer.probabilities, self.background)] != BACKGROUND
        if keep is not None or (self.where and shows) or self.every:
            observation = self._finder.proved(picture, observation)
        if keep is not None:
            keep.append(Kept(observation))
        box, logos = None, None
        if self.where and shows:
            label = int(answer.labels.argmax())
            box = _word_box(answer, self._labels[label])
            if box is None:
                box = yield from self._finder.find(picture, observation, label, self._labels[label])
        if self.every:
            logos = yield from self._logos(self._finder, picture, observation, answer, box, verdict)
        return replace(answer, box=box, logos=logos)

    def answer_whole(self, logits: npt.NDArray[np.floating[Any]]) -> Answer:
        """The answer by the whole photo alone, from the logits of shape (1, outputs) that it gave."""
        calibration = self._bundle.calibration
        score = float(margins(logits)[0]) if self.background else None
        return Answer(calibration.labels(logits)[0], score, calibration.probabilities(logits)[0])

    def _verdict(self, closer: Closer, observation: Observation, picture: Picture) -> Verdict:
        """What is held of a photo once every expert was asked that is needed."""
        verdict = closer.weights.verdict(observation.evidence, closer.calibration)
        photo = Inspected(picture, self._knowledge, observation.proofs)
        for expert, knowledge in self._late:
            verdict = expert.amend(knowledge, verdict, photo)
        return verdict

    def _together(self, verdict: Verdict) -> Answer:
        """The answer by all evidence."""
        probabilities = verdict.calibration.joint(verdict.labels, verdict.score)[0]
        number = float(verdict.score[0]) if self.background else None
        return Answer(verdict.labels[0], number, probabilities, proofs=verdict.proofs)

    def _logos(
        self,
        finder: Finder,
        picture: Picture,
        observation: Observation,
        answer: Answer,
        box: Box | None,
        verdict: Verdict | None,
    ) -> Generator[Sequence[View], Outputs, tuple[Logo, ...]]:
        """Every place of every label that is likelier there than not."""
        if self.threshold is None:
            best = int(answer.labels.argmax())
            return (Logo(self._labels[best], float(answer.labels[best]), box),) if box is not None else ()
        if verdict is not None:
            probabilities = verdict.calibration.probability(verdict.shows[0])
        else:
            probabilities = self._bundle.calibration.probability(EnsembleWeights().shows(observation.evidence)[0])
        shown = np.argsort(-probabilities, kind="stable")[: int((probabilities > _LEAST).sum())].tolist()
        found: list[Logo] = []
        fine = look_finely(self.matcher, picture) if shown else None
        for label in shown:
            name, likely, others = self._labels[label], float(probabilities[label]), [logo.box for logo in found]
            word = _word_box(answer, name)
            if word is not None:
                places: tuple[Instance, ...] = (Instance(word, 1.0),)
            else:
                places = yield from find_all(finder, picture, observation, fine, label, name)
            # Another label, surer than this one, may have the place already.
            free = [one for one in places if not others or iou(one.box, others).max() < _SAME]
            found += [Logo(name, likely, one.box, one.quality) for one in free]
        return tuple(found)

    def explanation(self, answer: Answer, kept: Kept) -> Explanation:
        """What an answer rests on, given what the job kept."""
        assert self._head is not None
        assert self._bundle.closer is not None
        observation, label = kept.observation, int(answer.labels.argmax())
        cells = heat(
            observation.maps[0], self._head, label, background=self.background, pooling=self._bundle.closer.pooling
        )
        match = best_match(observation.matches, self._labels[label])
        decision = next((one for one in answer.pair_decisions if self._labels[label] in one.labels), None)
        word = next((proof for proof in answer.words if proof.label == self._labels[label]), None)
        said = [
            expert.sentence(answer.proofs[expert.name], self._labels[label])
            for expert, _ in self._late
            if expert.name in answer.proofs
        ]
        return Explanation(
            self._labels[label],
            cells,
            observation.views,
            match,
            observation.size,
            decision,
            word,
            answer.read,
            tuple(sentence for sentence in said if sentence is not None),
        )


def _word_box(answer: Answer, label: str) -> Box | None:
    """Where the word stands that alone speaks for a label; None where more does, or nothing was read."""
    if not answer.read:
        return None
    return next((proof.box for proof in answer.words if proof.label == label), None)
