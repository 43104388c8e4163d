"""Looking closer in training: what held-out photos say of it, what the finished head answers, and where logos lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from logolens.data.builtin_backgrounds import is_builtin
from logolens.data.composed import is_composed
from logolens.models.box_regressor import Localiser, fit_localiser
from logolens.models.contracts import late
from logolens.models.experts import late_experts
from logolens.models.head import Head
from logolens.training.cross_fit import CrossFit, cross_fit
from logolens.training.held_out_evidence import Asked, evidence_of
from logolens.training.out_of_fold import OutOfFold, fit_out_of_fold
from logolens.training.samples import Sample
from logolens.training.task import Context, learn
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
        also = {label for expert in late_experts() for label in expert.asks_about(context.settings)}
        learnable = [
            number
            for number in (*context.splits.train, *context.splits.val)
            if not is_builtin(context.dataset.photos[number]) and not is_composed(context.dataset.photos[number])
        ]
        return fit_out_of_fold(context, samples, crossfit, knowledge, also, learnable)

    def answer(
        self, samples: Sequence[Sample], head: Head, held_out: OutOfFold
    ) -> tuple[FloatArray64, FloatArray64 | None]:
        """What a bundle with this head would answer: probabilities of the labels, and scores of a logo being there."""
        context = self._context
        cascade = context.cascade(held_out.weights, held_out.knowledge.of)
        evidence = evidence_of(context, [Asked(sample, head) for sample in samples], cascade)
        verdict = held_out.weights.verdict(evidence, held_out.ensemble_calibration)
        asked = late.Asked(context.dataset, samples, context.settings, context.session, context.on_progress)
        for expert in late_experts():
            fit = held_out.late.get(expert.name)
            if fit is not None and fit.knowledge is not None:
                verdict = expert.amend_all(fit.knowledge, verdict, asked)
        return verdict.labels, verdict.score if context.background else None

    def localiser(self, head: Head) -> Localiser | None:
        """What tells where in a view its logo lies, learned from the training photos' boxes; None without enough of them."""
        context = self._context
        photos = [context.dataset.photos[number] for number in context.splits.train]
        return fit_localiser(photos, head, context.classes, context.pooling, context.session, context.on_progress)
