"""Looking closer in training: what held-out photos say of it, what the finished head answers, and where logos lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from logolens.models.box_regressor import Localiser, fit_localiser
from logolens.models.head import Head
from logolens.models.pairwise import PairwiseExperts
from logolens.training.cross_fit import CrossFit, cross_fit
from logolens.training.held_out_evidence import Asked, evidence_of
from logolens.training.out_of_fold import OutOfFold, fit_out_of_fold
from logolens.training.pairwise import FittedPairs, Held, fit_pairs, opened
from logolens.training.samples import Sample
from logolens.training.task import Context, learn
from logolens.training.word_readings import learnable_words
from logolens.training.words import VisualEvidence, expert_words
from logolens.types import FloatArray64

__all__ = ["MultiViewTraining"]


class MultiViewTraining:
    """One training's looking closer, on the network that it ends with.

    Args:
        context: the photos, the network and the settings; the test split is only answered.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def decide(
        self, samples: Sequence[Sample], features: npt.NDArray[np.float32], head: Head, *, tuned: bool
    ) -> OutOfFold | None:
        """What each expert is worth, on photos that were held out.

        Args:
            samples: the views that have features.
            features: one row a sample.
            head: the head that has not seen the validation photos.
            tuned: whether the network itself has learned from the training photos; then only validation photos can judge.

        Returns:
            None where too few photos can be held out.
        """
        context = self._context
        if tuned:
            crossfit: CrossFit | None = CrossFit(dict.fromkeys(context.splits.val, 0), {0: head})
        else:
            crossfit = cross_fit(context, samples, features, head.best_epoch)
        if crossfit is None:
            return None
        knowledge = learn(context.dataset, context.splits, context.settings, context.on_progress)
        paired = {label for pair in context.settings.pair for label in pair}
        words = learnable_words(context.dataset, context.splits)
        return fit_out_of_fold(context, samples, crossfit, knowledge, paired, words)

    def pairs(self, samples: Sequence[Sample], held_out: OutOfFold) -> tuple[FittedPairs, OutOfFold]:
        """Experts for the pairs that the settings name, and what was held out with those pairs divided by them."""
        context = self._context
        probability = held_out.calibration.probability
        labels = np.concatenate([held_out.labels, held_out.also_labels])
        scores = [one for one in (held_out.scores, held_out.also_scores) if one is not None]
        shown = np.ones(len(labels)) if held_out.scores is None else np.concatenate([probability(s) for s in scores])
        held = Held((*held_out.rows, *held_out.also), labels, shown)
        found = fit_pairs(
            context.dataset, samples, held_out.fold_of, held, context.settings, context.session, context.on_progress
        )
        return found, replace(held_out, labels=found.held.labels[: len(held_out.rows)])

    def answer(
        self, samples: Sequence[Sample], head: Head, held_out: OutOfFold, fitted: FittedPairs | None = None
    ) -> tuple[FloatArray64, FloatArray64 | None]:
        """What a bundle with this head would answer: probabilities of the labels, and scores of a logo being there."""
        context, count = self._context, len(samples)
        cascade = context.cascade(held_out.weights, held_out.knowledge.of)
        evidence = evidence_of(context, [Asked(sample, head) for sample in samples], cascade)
        weights = held_out.weights
        labels = held_out.calibration.given(weights.logits(evidence))
        scores = weights.score(evidence) if context.background else None
        if held_out.words is not None and (expert := held_out.words.expert) is not None:
            seen = VisualEvidence(
                weights.logits(evidence), weights.shows(evidence), weights.clear(evidence), held_out.seen
            )
            words = expert_words(expert, context.dataset, samples, seen, context.settings, context.on_progress)
            labels, score = expert.weights.answer(seen.logits, seen.shows, words)
            scores = score if context.background else None
        if fitted is not None and fitted.pairs:
            probabilities = np.ones(count) if scores is None else held_out.calibration.probability(scores)
            experts = PairwiseExperts(fitted.pairs, context.dataset.labels)
            for row, sample in enumerate(samples):
                if experts.wanted(labels[row], float(probabilities[row])):
                    picture = opened(context.dataset, sample, context.session)
                    labels[row], _ = experts.decide(picture, labels[row], float(probabilities[row]))
        return labels, scores

    def localiser(self, head: Head) -> Localiser | None:
        """What tells where in a view its logo lies, learned from the training photos' boxes; None without enough of them."""
        context = self._context
        photos = [context.dataset.photos[number] for number in context.splits.train]
        return fit_localiser(photos, head, context.classes, context.pooling, context.session, context.on_progress)
