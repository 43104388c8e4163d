"""Looking closer in training: what held-out photos say of it, what the finished head answers, and where logos lie."""

from __future__ import annotations

from collections.abc import Sequence
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
from logolens.training.out_of_fold import CrossFit, OutOfFold, build_matcher, cross_fit, evidence_of, fit_out_of_fold
from logolens.training.pairwise import Contrasted, Held, contrast_pairs, opened
from logolens.training.samples import Sample
from logolens.training.words import Seen, expert_words, learnable_words
from logolens.types import Progress

__all__ = ["MultiViewTraining"]


class MultiViewTraining:
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
        splits: Split,
        classes: Sequence[str],
        backbone: ExportedBackbone,
        preprocessing: Preprocessing,
        settings: TrainSettings,
        on_progress: Progress,
    ) -> None:
        self._dataset, self._splits, self._classes = dataset, splits, tuple(classes)
        self._settings, self._on_progress = settings, on_progress
        self._pooling = backbone.pooling
        self._session = Session(backbone.path, preprocessing, threads=settings.threads, outputs=("features", *OUTPUTS))

    def decide(
        self, samples: Sequence[Sample], features: npt.NDArray[np.float32], head: Head, *, tuned: bool
    ) -> OutOfFold | None:
        """What closer views and the matcher are worth, on photos that were held out.

        Args:
            looks: the views that have features.
            features: one row a sample.
            head: the head that has not seen the validation photos.
            tuned: whether the network itself has learned from the training photos; then only validation photos can judge.

        Returns:
            None where too few photos can be held out.
        """
        if tuned:
            crossfit: CrossFit | None = CrossFit(dict.fromkeys(self._splits.val, 0), {0: head})
        else:
            crossfit = cross_fit(
                self._dataset,
                self._splits,
                samples,
                features,
                self._classes,
                self._settings,
                head.best_epoch,
                self._on_progress,
            )
        if crossfit is None:
            return None
        matcher, notes = build_matcher(self._dataset, self._splits, self._settings, self._on_progress)
        return fit_out_of_fold(
            self._dataset,
            samples,
            self._classes,
            self._settings,
            self._pooling,
            self._session,
            crossfit,
            matcher,
            notes,
            self._on_progress,
            {label for pair in self._settings.contrast for label in pair},
            learnable_words(self._dataset, self._splits),
        )

    def contrast(self, samples: Sequence[Sample], held_out: OutOfFold) -> tuple[Contrasted, OutOfFold]:
        """Experts for the pairs that the settings name, and what was held out with those pairs divided by them."""
        probability = held_out.calibration.probability
        labels = np.concatenate([held_out.labels, held_out.also_labels])
        held = Held(
            (*held_out.rows, *held_out.also),
            labels,
            np.ones(len(labels))
            if held_out.scores is None
            else np.concatenate(
                [probability(split) for split in (held_out.scores, held_out.also_scores) if split is not None]
            ),
        )
        found = contrast_pairs(
            self._dataset, samples, held_out.fold_of, held, self._settings, self._session, self._on_progress
        )
        return found, replace(held_out, labels=found.held.labels[: len(held_out.rows)])

    def answer(
        self, samples: Sequence[Sample], head: Head, held_out: OutOfFold, contrasted: Contrasted | None = None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
        """What a bundle with this head would answer: probabilities of the labels, and scores of a logo being there."""
        background = BACKGROUND in self._classes
        cascade = Cascade(
            held_out.stack,
            background=background,
            pooling=self._pooling,
            matcher=held_out.matcher,
            mode=self._settings.views,
        )
        count = len(samples)
        evidence = evidence_of(
            self._dataset, samples, cascade, self._session, [head] * count, [set()] * count, self._on_progress
        )
        stack = held_out.stack
        labels = held_out.calibration.given(stack.logits(evidence))
        scores = stack.score(evidence) if background else None
        if held_out.words is not None and (expert := held_out.words.expert) is not None:
            seen = Seen(stack.logits(evidence), stack.shows(evidence), stack.clear(evidence), held_out.seen)
            words = expert_words(expert, self._dataset, samples, seen, self._settings, self._on_progress)
            labels, score = expert.weights.answer(seen.logits, seen.shows, words)
            scores = score if background else None
        if contrasted is not None and contrasted.pairs:
            probabilities = np.ones(count) if scores is None else held_out.calibration.probability(scores)
            contrast = Contrast(contrasted.pairs, self._dataset.labels)
            for row, sample in enumerate(samples):
                if contrast.wanted(labels[row], float(probabilities[row])):
                    picture = opened(self._dataset, sample, self._session)
                    labels[row], _ = contrast.divided(picture, labels[row], float(probabilities[row]))
        return labels, scores

    def localiser(self, head: Head) -> Localiser | None:
        """What tells where in a view its logo lies, learned from the training photos' boxes; None without enough of them."""
        photos = [self._dataset.photos[number] for number in self._splits.train]
        return fit_localiser(photos, head, self._classes, self._pooling, self._session, self._on_progress)
