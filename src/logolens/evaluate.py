"""Measure a bundle on labelled photos that it has not seen."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from logolens.config import BACKGROUND
from logolens.datasets import load
from logolens.errors import DataError
from logolens.images import read_bytes
from logolens.metrics import Evaluation
from logolens.metrics import evaluate as measure
from logolens.predict import Answer, Classifier

__all__ = ["EvaluateResult", "evaluate"]


@dataclass(frozen=True)
class EvaluateResult:
    """What an evaluation gave.

    Attributes:
        evaluation: the figures.
        notes: what was odd about the data, a sentence each; that the model was trained on some of it, first of all.
    """

    evaluation: Evaluation
    notes: tuple[str, ...]


def evaluate(
    bundle: Path | str,
    data: Path | str,
    *,
    views: str | None = None,
    threads: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> EvaluateResult:
    """Measure a bundle on a data set's photos.

    Every photo that shows a logo is answered with its best label, ``none`` aside, so that the figures compare with those of
    other tools; `Evaluation.missed` says how many of them `predict` would have answered with ``none``. Photos labelled
    ``none`` are left out of the figures and say how often a photo without a logo would be given a label. Photos that are
    near copies of one another count together when the interval is drawn.

    Args:
        bundle: a bundle's folder.
        data: as for training: a folder, a list, or the Flickr Logos 27 archive or folder.
        views: where photos are looked at, "whole", "auto" or "tiles"; as the bundle was trained for when None.
        threads: processor threads; all of them when None.
        progress: told of the work as it is done.

    Raises:
        BundleError: the bundle cannot be used.
        DataError: the data cannot be used, or holds a label that the bundle does not know.
    """
    say = progress or (lambda stage, done, total: None)
    classifier = Classifier.load(bundle, threads=threads, views=views)
    dataset = load(data, training=False, progress=lambda done, total: say("reading photos", done, total))
    unknown = sorted(set(dataset.labels) - set(classifier.labels))
    if unknown:
        raise DataError(
            f"{data} has labels that {bundle} does not know: {', '.join(unknown[:10])}. It knows: "
            f"{', '.join(classifier.labels[:30])}. Rename the labels, or train a bundle on them."
        )
    notes = [str(note) for note in dataset.notes]
    if seen := _seen(classifier.bundle.path, {photo.sha256 for photo in dataset.photos}):
        notes.insert(
            0,
            f"{seen} of these {len(dataset.photos)} photos were used to train or tune this bundle; the figures flatter it.",
        )

    photos = list(dataset.photos)
    rows: list[Answer] = []
    kept = []
    answers = classifier.answers_each((photo.name, partial(read_bytes, photo.path)) for photo in photos)
    for number, (photo, answer) in enumerate(zip(photos, answers, strict=True), 1):
        say("evaluating", number, len(photos))
        if isinstance(answer, str):
            notes.append(f"{photo.name} could not be read and was left out: {answer}")
        else:
            rows.append(answer)
            kept.append(photo)
    if not rows:
        raise DataError(f"No photo of {data} can be read.")
    evaluation = measure(
        np.stack([answer.labels for answer in rows]),
        [tuple(label for label in photo.labels if label != BACKGROUND) or (BACKGROUND,) for photo in kept],
        classifier.labels,
        images=[photo.name for photo in kept],
        scores=None if classifier.threshold is None else [answer.score or 0.0 for answer in rows],
        threshold=classifier.threshold,
        closed=True,
        groups=[photo.near for photo in kept],
    )
    return EvaluateResult(evaluation, tuple(notes))


def _seen(bundle: Path, hashes: set[str]) -> int:
    """How many of these photos the bundle was trained or tuned on, as its split.csv says."""
    try:
        with (bundle / "split.csv").open(newline="", encoding="utf-8") as file:
            return len({row["sha256"] for row in csv.DictReader(file) if row["part"] != "test"} & hashes)
    except (OSError, KeyError, csv.Error):
        return 0
