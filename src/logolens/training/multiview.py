"""Looking closer in training: what held-out photos say of it, what the finished head answers, and where logos lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset, Split
from logolens.models.backbones import ExportedBackbone
from logolens.models.box_regressor import Localiser, fit_localiser
from logolens.models.cascade import OUTPUTS, Cascade
from logolens.models.head import Head
from logolens.models.pairwise import Contrast
from logolens.models.session import Session
from logolens.training.out_of_fold import Holding, Stacking, build_matcher, folds_and_heads, hold_out, look_at
from logolens.training.pairwise import Contrasted, Held, contrast_pairs, opened
from logolens.training.samples import Look

__all__ = ["CloserTraining"]

Progress = Callable[[str, int, int], None]


class CloserTraining:
    """One training's looking closer, on the network that it ends with.

    Args:
        dataset: the photos.
        parts: their split; the test part is only answered.
        classes: the head's outputs.
        backbone: the exported network.
        preprocessing: how views become its input.
        settings: of the training.
        say: told of the work as it is done.
    """

    def __init__(
        self,
        dataset: Dataset,
        parts: Split,
        classes: Sequence[str],
        backbone: ExportedBackbone,
        preprocessing: Preprocessing,
        settings: TrainSettings,
        say: Progress,
    ) -> None:
        self._dataset, self._parts, self._classes = dataset, parts, tuple(classes)
        self._settings, self._say = settings, say
        self._pooling = backbone.pooling
        self._session = Session(backbone.path, preprocessing, threads=settings.threads, outputs=("features", *OUTPUTS))

    def decide(
        self, looks: Sequence[Look], features: npt.NDArray[np.float32], head: Head, *, tuned: bool
    ) -> Stacking | None:
        """What closer views and the matcher are worth, on photos that were held out.

        Args:
            looks: the views that have features.
            features: one row a look.
            head: the head that has not seen the validation photos.
            tuned: whether the network itself has learned from the training photos; then only validation photos can judge.

        Returns:
            None where too few photos can be held out.
        """
        if tuned:
            holding: Holding | None = Holding(dict.fromkeys(self._parts.val, 0), {0: head})
        else:
            holding = folds_and_heads(
                self._dataset, self._parts, looks, features, self._classes, self._settings, head.best_epoch, self._say
            )
        if holding is None:
            return None
        matcher, notes = build_matcher(self._dataset, self._parts, self._settings, self._say)
        return hold_out(
            self._dataset,
            looks,
            self._classes,
            self._settings,
            self._pooling,
            self._session,
            holding,
            matcher,
            notes,
            self._say,
            {label for pair in self._settings.contrast for label in pair},
        )

    def contrast(self, looks: Sequence[Look], stacking: Stacking) -> tuple[Contrasted, Stacking]:
        """Experts for the pairs that the settings name, and what was held out with those pairs divided by them."""
        chance = stacking.calibration.chance
        labels = np.concatenate([stacking.labels, stacking.also_labels])
        held = Held(
            (*stacking.rows, *stacking.also),
            labels,
            np.ones(len(labels))
            if stacking.scores is None
            else np.concatenate([chance(part) for part in (stacking.scores, stacking.also_scores) if part is not None]),
        )
        found = contrast_pairs(self._dataset, looks, stacking.fold_of, held, self._settings, self._session, self._say)
        return found, replace(stacking, labels=found.held.labels[: len(stacking.rows)])

    def answer(
        self, looks: Sequence[Look], head: Head, stacking: Stacking, contrasted: Contrasted | None = None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
        """What a bundle with this head would answer: probabilities of the labels, and scores of a logo being there."""
        background = BACKGROUND in self._classes
        cascade = Cascade(
            stacking.stack,
            background=background,
            pooling=self._pooling,
            matcher=stacking.matcher,
            mode=self._settings.views,
        )
        count = len(looks)
        evidence = look_at(self._dataset, looks, cascade, self._session, [head] * count, [set()] * count, self._say)
        labels = stacking.calibration.given(stacking.stack.logits(evidence))
        scores = stacking.stack.score(evidence) if background else None
        if contrasted is not None and contrasted.pairs:
            chances = np.ones(count) if scores is None else stacking.calibration.chance(scores)
            contrast = Contrast(contrasted.pairs, self._dataset.labels)
            for row, look in enumerate(looks):
                if contrast.wanted(labels[row], float(chances[row])):
                    picture = opened(self._dataset, look, self._session)
                    labels[row], _ = contrast.divided(picture, labels[row], float(chances[row]))
        return labels, scores

    def localiser(self, head: Head) -> Localiser | None:
        """What tells where in a view its logo lies, learned from the training photos' boxes; None without enough of them."""
        photos = [self._dataset.photos[number] for number in self._parts.train]
        return fit_localiser(photos, head, self._classes, self._pooling, self._session, self._say)
