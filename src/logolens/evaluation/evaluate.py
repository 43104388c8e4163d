"""Measure a bundle on labelled photos that it has not seen."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND
from logolens.data import Dataset, Photo, Region, load
from logolens.errors import DataError
from logolens.evaluation.seen import seen_before
from logolens.inference.classifier import Answer, Classifier
from logolens.io.images import read_bytes
from logolens.io.views import View, around
from logolens.metrics import Answered, Details, Evaluation, Paired, compare, detail
from logolens.metrics import evaluate as measure
from logolens.models.calibration import choose
from logolens.training.samples import BOX_MARGINS
from logolens.types import Progress, silent

__all__ = ["Compared", "EvaluateResult", "evaluate"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compared:
    """Another bundle, asked about the same photos.

    Attributes:
        bundle: its folder.
        paired: the two held against one another, on photos that show a logo and both could answer.
        only_this: the photos that the first alone answers rightly.
        only_other: those that the other alone does.
    """

    bundle: Path
    paired: Paired
    only_this: tuple[str, ...]
    only_other: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        figures = {**asdict(self.paired), "only_this": list(self.only_this), "only_other": list(self.only_other)}
        return {"bundle": str(self.bundle), **figures}


@dataclass(frozen=True)
class EvaluateResult:
    """What an evaluation gave.

    Attributes:
        evaluation: the figures.
        details: their intervals, parts of the photos apart, and what confidences are worth.
        compared: the other bundle's; None where none was named.
        notes: what was odd about the data, a sentence each; that the model was trained on some of it, first of all.
        files: the file of each photo.
        trained_on: how many of the photos this bundle was trained or tuned on, by their content. Figures of such flatter.
    """

    evaluation: Evaluation
    details: Details
    compared: Compared | None
    notes: tuple[str, ...]
    files: dict[str, Path]
    trained_on: int

    def to_json(self) -> dict[str, Any]:
        """The object that ``logolens evaluate --json`` prints."""
        out = {
            "trained_on": self.trained_on,
            **self.evaluation.to_json(),
            **self.details.to_json(),
            "notes": list(self.notes),
        }
        return out if self.compared is None else {**out, "compare": self.compared.to_json()}


def evaluate(
    bundle: Path | str,
    data: Path | str,
    *,
    against: Path | str | None = None,
    crops: bool = True,
    views: str | None = None,
    examples: str = "photo",
    threads: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> EvaluateResult:
    """Measure a bundle on a data set's photos.

    Every photo that shows a logo is answered with its best label, ``none`` aside, so that the figures compare with those of
    other tools; `Evaluation.missed` says how many of them `predict` would have answered with ``none``, and
    `Details.open_set` how often what it says is right. Photos labelled ``none`` are left out of the other figures. Photos
    that are near copies of one another count together when intervals are drawn.

    Args:
        bundle: a bundle's folder, or its address on the Hugging Face Hub.
        data: as for training: a folder, a list, or the Flickr Logos 27 archive or folder.
        against: another bundle, to be asked about the same photos.
        crops: ask about the largest box of each label of a photo, too, as if it were a photo.
        views: where photos are looked at, "whole", "auto" or "tiles"; as the bundle was trained for when None.
        examples: what one example is, "photo" or "box", as for training.
        threads: processor threads; all of them when None.
        device: what the network runs on, one of `config.DEVICES`.
        progress: told of the work as it is done.

    Raises:
        BundleError: a bundle cannot be used.
        DataError: the data cannot be used, or holds a label that a bundle does not know.
    """
    on_progress = progress or silent
    classifier = Classifier.load(bundle, threads=threads, views=views, device=device)
    other = None if against is None else Classifier.load(against, threads=threads, views=views, device=device)
    dataset = load(
        data,
        training=False,
        examples=examples,
        progress=lambda done, total: on_progress("reading photos", done, total),
    )
    for path, asked in ((bundle, classifier), (against, other)):
        if asked is not None:
            dataset = _spelled(dataset, asked.labels)
            _check_labels(dataset, asked, f"{data}", f"{path}")
    notes = [str(note) for note in dataset.notes]
    trained_on = 0
    for number, asked in enumerate(its for its in (classifier, other) if its is not None):
        which = "this bundle" if not number else f"the other bundle, {against}"
        seen, its_notes = seen_before(dataset, asked.bundle.path, which)
        trained_on = trained_on if number else seen
        notes[number:number] = its_notes

    answers, unread = _ask(classifier, dataset, "evaluating", on_progress)
    notes += [f"{name} could not be read and was left out: {why}" for name, why in unread]
    if not answers:
        raise DataError(f"No photo of {data} can be read.")
    photos = [dataset.photos[number] for number in answers]
    _LOG.info("%s answered %d photos; %d could not be read", bundle, len(photos), len(unread))
    answered = _answered(classifier, photos, list(answers.values()))
    evaluation = measure(
        answered.labels,
        [tuple(label for label in photo.labels if label != BACKGROUND) or (BACKGROUND,) for photo in photos],
        classifier.labels,
        images=answered.images,
        scores=answered.scores,
        threshold=classifier.threshold,
        closed=True,
        groups=answered.groups,
    )
    cut = _crops(classifier, photos, on_progress) if crops else None
    compared = None
    if other is not None and against is not None:
        theirs, _ = _ask(other, dataset, "asking the other bundle", on_progress)
        compared = _compared(other.bundle.path, answered, _answered(other, photos, [theirs.get(n) for n in answers]))
    return EvaluateResult(
        evaluation,
        detail(answered, classifier.labels, crops=cut),
        compared,
        tuple(notes),
        {photo.name: photo.path for photo in photos},
        trained_on,
    )


def _spelled(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """The photos with their labels as a bundle has them, where it was trained before accents were composed in reading."""
    apart = {unicodedata.normalize("NFC", label): label for label in labels}
    theirs = {label: apart[label] for label in dataset.labels if label not in labels and label in apart}
    if not theirs:
        return dataset
    photos = [
        replace(photo, regions=tuple(Region(theirs.get(its.label, its.label), its.box) for its in photo.regions))
        for photo in dataset.photos
    ]
    return Dataset.of(dataset.name, photos, dataset.notes)


def _check_labels(dataset: Dataset, classifier: Classifier, data: str, bundle: str) -> None:
    unknown = sorted(set(dataset.labels) - set(classifier.labels))
    if unknown:
        raise DataError(
            f"{data} has labels that {bundle} does not know: {', '.join(unknown[:10])}. It knows: "
            f"{', '.join(classifier.labels[:30])}. Rename the labels, or train a bundle on them."
        )


def _ask(
    classifier: Classifier, dataset: Dataset, stage: str, on_progress: Progress
) -> tuple[dict[int, Answer], list[tuple[str, str]]]:
    """The answer to each photo, by its position; and the photos that could not be read, with the reason."""
    answers: dict[int, Answer] = {}
    unread = []
    each = classifier.answers_each((photo.name, partial(read_bytes, photo.path)) for photo in dataset.photos)
    for number, (photo, answer) in enumerate(zip(dataset.photos, each, strict=True)):
        on_progress(stage, number + 1, len(dataset))
        if isinstance(answer, str):
            unread.append((photo.name, answer))
        else:
            answers[number] = answer
    return answers, unread


def _answered(classifier: Classifier, photos: Sequence[Photo], answers: Sequence[Answer | None]) -> Answered:
    """The arrays that the metrics take; a photo without an answer is answered with nothing."""
    names = classifier.labels
    background = classifier.threshold is not None
    blank = np.full(len(names), 1 / len(names))
    said = [None if its is None else choose(its.probabilities, background) for its in answers]
    scores = np.array([-np.inf if its is None or its.score is None else its.score for its in answers])
    return Answered(
        images=[photo.name for photo in photos],
        truth=[tuple(names.index(label) for label in photo.labels if label != BACKGROUND) for photo in photos],
        labels=np.stack([blank if its is None else its.labels for its in answers]),
        shows=np.array([place is not None and place < len(names) for place in said], dtype=np.bool_),
        scores=scores if background else None,
        confidence=np.array(
            [
                0.0 if its is None or place is None else its.probabilities[place]
                for its, place in zip(answers, said, strict=True)
            ]
        ),
        groups=[photo.near for photo in photos],
        sizes=_sizes(photos),
        sources=[_source(photo) for photo in photos],
    )


def _sizes(photos: Sequence[Photo]) -> npt.NDArray[np.float64]:
    """The share of each photo that its largest box covers; not a number without a box."""
    shares = []
    for photo in photos:
        areas = [box.area / (photo.width * photo.height) for box in photo.boxes]
        shares.append(max(areas) if areas else np.nan)
    return np.array(shares)


def _source(photo: Photo) -> str | None:
    """Where a photo comes from: as the table says, else the user's group, else the folder that it lies in."""
    if photo.source or photo.group:
        return photo.source or photo.group
    folder = PurePosixPath(photo.name).parent
    # A folder that is called as the label says nothing of where its photos come from.
    parts = [part for part in folder.parts if part not in photo.labels]
    return "/".join(parts) or None


def _crops(classifier: Classifier, photos: Sequence[Photo], on_progress: Progress) -> tuple[list[bool], list[int]]:
    """Whether the largest box of each label of each photo is answered rightly, and the photos' groups."""
    asked: list[tuple[Photo, str, View]] = []
    for photo in photos:
        for label in photo.labels:
            boxes = [its.box for its in photo.regions if its.label == label and its.box is not None]
            if boxes and label != BACKGROUND:
                box = max(boxes, key=lambda its: its.area)
                view = around((box.x1, box.y1, box.x2, box.y2), (photo.width, photo.height), BOX_MARGINS[0])
                asked.append((photo, label, view))
    hits, groups = [], []
    each = classifier.crops_each((photo.name, partial(read_bytes, photo.path), view) for photo, _, view in asked)
    for number, ((photo, label, _), answer) in enumerate(zip(asked, each, strict=True), 1):
        on_progress("evaluating crops", number, len(asked))
        if not isinstance(answer, str):
            hits.append(classifier.labels[int(answer.labels.argmax())] == label)
            groups.append(photo.near)
    return hits, groups


def _compared(bundle: Path, one: Answered, two: Answered) -> Compared | None:
    """None where no photo shows a logo."""
    places = np.flatnonzero(one.is_logo).tolist()
    if not places:
        return None
    right, other = one.right[places], two.right[places]
    paired = compare(right, other, [one.groups[place] for place in places])
    names = [one.images[place] for place in places]
    return Compared(
        bundle,
        paired,
        tuple(name for name, mine, its in zip(names, right, other, strict=True) if mine and not its),
        tuple(name for name, mine, its in zip(names, right, other, strict=True) if its and not mine),
    )
