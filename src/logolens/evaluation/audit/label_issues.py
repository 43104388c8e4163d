"""Labels that are likely wrong, and boxes that hardly hold a logo: what models that have not seen a photo think of it.

Confident learning (Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70, 2021),
as the library cleanlab has it, on cross-validated probabilities: heads on the frozen backbone's features are asked about the
photos of the fold that they have not learned from, near copies kept together. What a photo's boxes hold is asked about beside
the whole photo, since small logos are lost in it. The matcher then looks at those that the network doubts: the same drawing in
photos of another label speaks against the label, and in photos of its own for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, AuditSettings, Preprocessing, TrainSettings
from logolens.data import Dataset, Split, photo_groups
from logolens.data.checks.findings import Finding
from logolens.errors import DataError, ImageError, require
from logolens.io.images import read_bytes
from logolens.io.threads import ONE_THREAD_EACH, processors
from logolens.io.views import Picture
from logolens.models.backbones import ExportedBackbone, prepare
from logolens.models.calibration import calibrate, softmax
from logolens.models.matcher import Matcher
from logolens.training.cross_fit import cross_fit
from logolens.training.samples import Sample, classes_of, features_of, samples_of
from logolens.training.task import Task, learn
from logolens.types import FloatArray64, Progress, silent

__all__ = ["Opinion", "about_images", "evidence_by_class", "opinions"]


_EPOCHS = 20
"""Of the heads; ranks no longer change after that."""

_MANY = 5000
"""Photos from which on only the whole photo and one crop a box are looked at, for the sake of time."""

_NUMBERS = 64_000_000
"""Numbers of features that are kept whole, 256 MB; of more, random projections are, which keep what is linear in them
(Johnson and Lindenstrauss, 1984)."""

_PROJECTED = 512
_CHUNK = 20_000

_DOUBTED = 300
"""Photos that the matcher is asked about at the most, the most doubtful first."""

_PROOF = 2.0
"""What one unit of the matcher's evidence weighs beside the network's log-probability."""

_LISTED = 1.5
"""Confident learning tells how many labels are wrong; so many times that number is listed, since its ranks are not perfect and
a person looks at them anyway."""

_NO_LOGO = 0.9
"""The probability of showing no logo from which on a box is said to hardly hold one."""


@dataclass(frozen=True)
class Opinion:
    """What models that have not seen a photo think of one of its labels.

    Attributes:
        photo: its position in the data set.
        label: the label that it carries.
        probabilities: the probability of each class, float64 of shape (classes,), summing to one.
    """

    photo: int
    label: int
    probabilities: FloatArray64


def about_images(dataset: Dataset, settings: AuditSettings, on_progress: Progress) -> tuple[list[Finding], list[str]]:
    """Label errors, the likeliest first, and doubtful boxes; and what could not be checked, a sentence each.

    Raises:
        MissingExtraError: the extra ``train`` is not installed.
        DataError: there is too little to hold some of it out.
        ImageError: a photo changed while it was being used.
    """
    require("torch", "train")
    filtering: Any = require("cleanlab.filter", "train")
    ranking: Any = require("cleanlab.rank", "train")
    dataset, notes = _checkable(dataset)
    labels = sorted({label for photo in dataset.photos for label in photo.labels})
    if len(labels) < 2:
        held = f"one label that can be checked, {labels[0]}" if labels else "no label that can be checked"
        raise DataError(
            f"There is {held}, and so nothing to hold photos against. Add photos of a second label, or of none."
        )
    found, classes, doubtful = opinions(dataset, settings, on_progress)
    truth = np.array([opinion.label for opinion in found])
    probabilities = np.stack([opinion.probabilities for opinion in found])
    issues = filtering.find_label_issues(truth, probabilities, filter_by="low_self_confidence", n_jobs=1)
    quality = ranking.get_label_quality_scores(truth, probabilities, method="self_confidence")
    ranked = [n for n in np.argsort(quality, kind="stable").tolist() if probabilities[n].argmax() != truth[n]]
    findings = []
    for number in ranked[: math.ceil(_LISTED * int(issues.sum()))]:
        photo, best = dataset.photos[found[number].photo], int(probabilities[number].argmax())
        label, likely = classes[truth[number]], classes[best]
        what = "no logo" if likely == BACKGROUND else likely
        sure = f"{probabilities[number, best]:.0%} against {quality[number]:.0%}"
        detail = f"{photo.name} is labelled {label} and looks like {what} ({sure})."
        findings.append(
            Finding("label-error", detail, (photo.name,), label=label, suggested=likely, score=float(quality[number]))
        )
    return [*findings, *doubtful], notes


def _checkable(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """The photos of labels that stand in two groups of photos or more: others cannot be held out and learned at once."""
    groups: dict[str, set[int]] = {}
    for group, photo in zip(photo_groups(dataset), dataset.photos, strict=True):
        for label in photo.labels:
            groups.setdefault(label, set()).add(group)
    lone = sorted(label for label, its in groups.items() if len(its) < 2)
    if not lone:
        return dataset, []
    kept = [n for n, photo in enumerate(dataset.photos) if not set(lone) & set(photo.labels)]
    note = f"Labels of which all photos are one picture, whose labels were not checked: {len(lone)} ({', '.join(lone[:5])})."
    return dataset.subset(kept), [note]


def opinions(
    dataset: Dataset, settings: AuditSettings, on_progress: Progress
) -> tuple[list[Opinion], tuple[str, ...], list[Finding]]:
    """Ask each photo about its labels: the opinions, the classes that they speak of, and boxes that look like no logo.

    Raises:
        DataError: there is too little to hold some of it out.
    """
    training = TrainSettings(
        backbone=settings.backbone, seed=settings.seed, cache=settings.cache, threads=settings.threads
    )
    on_progress("preparing the backbone", 0, 1)
    backbone = prepare(training.backbone, pooling=training.pooling)
    on_progress("preparing the backbone", 1, 1)
    everything = Split(tuple(range(len(dataset))), (), ())
    samples = _samples(dataset, everything, training)
    classes, background = classes_of(dataset, samples, training)
    features = _features(dataset, samples, backbone, training, on_progress)
    crossfit = cross_fit(Task(dataset, everything, tuple(classes), training, on_progress), samples, features, _EPOCHS)
    if crossfit is None:
        raise DataError(
            f"{dataset.name} has too few photos to hold some out and learn from the others, so wrong labels cannot be told."
        )
    logits = np.zeros((len(samples), len(classes)), np.float32)
    for fold, head in crossfit.heads.items():
        rows = [row for row, sample in enumerate(samples) if crossfit.fold_of.get(sample.photo) == fold]
        logits[rows] = head.logits(features[rows])
    # Where no photo is labelled none, whether a logo shows is not in question: which one is.
    columns = list(classes) if BACKGROUND in dataset.counts() else [name for name in classes if name != BACKGROUND]
    found = _calibrated(list(_ask(dataset, samples, softmax(logits[:, : len(columns)]), columns)))
    doubtful = list(_doubtful_boxes(dataset, samples, softmax(logits), classes)) if background else []
    matcher = learn(dataset, everything, training, on_progress).of.get("matcher")
    if matcher is not None:
        found = _proved(dataset, found, columns, matcher, on_progress)
    return found, tuple(columns), doubtful


def _samples(dataset: Dataset, splits: Split, training: TrainSettings) -> list[Sample]:
    samples = samples_of(dataset, splits, training)
    if len(dataset) <= _MANY:
        return samples
    kept: list[Sample] = []
    seen: set[tuple[int, str]] = set()
    for sample in samples:
        key = (sample.photo, sample.label)
        # Of each photo the whole, and of each label in it the first crop.
        if sample.whole or (sample.region is not None and key not in seen):
            kept.append(sample)
            seen.update(() if sample.whole else (key,))
    return kept


def _features(
    dataset: Dataset,
    samples: Sequence[Sample],
    backbone: ExportedBackbone,
    training: TrainSettings,
    on_progress: Progress,
) -> npt.NDArray[np.float32]:
    preprocessing = Preprocessing(size=backbone.size, resize=training.resize, mean=backbone.mean, std=backbone.std)
    if len(samples) * backbone.width <= _NUMBERS:
        return features_of(dataset, samples, backbone, preprocessing, training, on_progress)
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(backbone.width, _PROJECTED)).astype(np.float32) / np.float32(np.sqrt(_PROJECTED))
    parts = []
    for start in range(0, len(samples), _CHUNK):
        chunk = samples[start : start + _CHUNK]
        parts.append(features_of(dataset, chunk, backbone, preprocessing, training, silent) @ basis)
        on_progress("computing features", min(start + _CHUNK, len(samples)), len(samples))
    return np.concatenate(parts)


def _ask(
    dataset: Dataset, samples: Sequence[Sample], probabilities: FloatArray64, columns: Sequence[str]
) -> Iterator[Opinion]:
    """One opinion a photo and label: the mean log-probability of the whole photo and of what its boxes of that label hold."""
    of_photo: dict[int, list[int]] = {}
    for row, sample in enumerate(samples):
        of_photo.setdefault(sample.photo, []).append(row)
    logs = np.log(np.maximum(probabilities, 1e-6))
    for number, rows in of_photo.items():
        photo = dataset.photos[number]
        for label in photo.labels:
            if label not in columns:
                continue
            asked = [
                row
                for row in rows
                # Closer framings of most of the photo say what the whole says.
                if samples[row].label == label and (samples[row].whole or samples[row].region is not None)
            ]
            if asked:
                yield Opinion(number, columns.index(label), softmax(logs[asked].mean(axis=0)[None])[0])


def _calibrated(found: list[Opinion]) -> list[Opinion]:
    """The opinions, no surer than the given labels find them right: a network that is often wrong must not outvote proof."""
    logs = np.log(np.maximum([its.probabilities for its in found], 1e-6))
    truth = np.array([its.label for its in found])
    temperature = calibrate(logs, truth, background=False, max_false_alarms=1.0).temperature
    probabilities = softmax(logs / max(1.0, temperature))
    return [replace(its, probabilities=row) for its, row in zip(found, probabilities, strict=True)]


def _doubtful_boxes(
    dataset: Dataset, samples: Sequence[Sample], probabilities: FloatArray64, classes: Sequence[str]
) -> Iterator[Finding]:
    """Boxes whose every crop looks like no logo."""
    none = probabilities[:, list(classes).index(BACKGROUND)]
    least: dict[tuple[int, int], float] = {}
    for row, sample in enumerate(samples):
        if sample.region is not None:
            key = sample.photo, sample.region
            least[key] = min(float(none[row]), least.get(key, 1.0))
    for (number, place), probability in least.items():
        photo = dataset.photos[number]
        region = photo.regions[place]
        if probability >= _NO_LOGO and region.box is not None:
            edges = (region.box.x1, region.box.y1, region.box.x2, region.box.y2)
            shown = ", ".join(f"{edge:g}" for edge in edges)
            detail = f"The {region.label} box {shown} of {photo.name} looks like no logo ({probability:.0%})."
            yield Finding(
                "doubtful-box", detail, (photo.name,), label=region.label, score=1 - probability, boxes=(edges,)
            )


def _proved(
    dataset: Dataset, found: Sequence[Opinion], columns: Sequence[str], matcher: Matcher, on_progress: Progress
) -> list[Opinion]:
    """The opinions, those that doubt a photo's label held against the matcher's evidence."""
    groups = photo_groups(dataset)
    together: dict[int, set[str]] = {}
    for group, photo in zip(groups, dataset.photos, strict=True):
        together.setdefault(group, set()).add(photo.sha256)
    doubted = [
        n for n, its in enumerate(found) if its.probabilities.argmax() != its.label and columns[its.label] != BACKGROUND
    ]
    doubted.sort(key=lambda n: found[n].probabilities[found[n].label])
    result = list(found)

    def worth(number: int) -> FloatArray64 | None:
        photo = dataset.photos[found[number].photo]
        try:
            with ONE_THREAD_EACH:
                sight = matcher.sight(Picture(read_bytes(photo.path), Preprocessing()))
                matches = matcher.match(sight, without=together[groups[found[number].photo]])
        except ImageError:
            return None  # It went away meanwhile; the network's opinion stands.
        return evidence_by_class(matcher.labels, matches.scores(), columns)

    asked = doubted[:_DOUBTED]
    with ThreadPoolExecutor(processors()) as threads:
        for done, (number, its) in enumerate(zip(asked, threads.map(worth, asked), strict=True), 1):
            if its is not None:
                logs = np.log(np.maximum(found[number].probabilities, 1e-6)) + _PROOF * its
                result[number] = replace(found[number], probabilities=softmax(logs[None])[0])
            on_progress("matching what is doubted", done, len(asked))
    return result


def evidence_by_class(labels: Sequence[str], scores: FloatArray64, classes: Sequence[str]) -> FloatArray64:
    """A matcher's evidence in the order of classes.

    Args:
        labels: that the matcher knows; those that are no class are left aside.
        scores: of each label, float64 of shape (labels,).
        classes: what is asked about.

    Returns:
        float64 of shape (classes,), 0 of a class that the matcher does not know.
    """
    evidence = np.zeros(len(classes))
    place = {name: number for number, name in enumerate(classes)}
    for label, score in zip(labels, scores, strict=True):
        if label in place:
            evidence[place[label]] = score
    return evidence
