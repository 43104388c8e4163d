"""Held-out photos walk the whole road: what the closer views and the matcher are worth is measured, and `none` calibrated.

Each photo is answered by a head that has not learned from it, beside references that are not cut from it. What comes out
decides the stack (see ``stack``), its temperature and the threshold of ``none``, so all three hold for unseen photos.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, MATCHED_BOXED, MATCHED_WHOLE, MatcherSettings, TrainSettings
from logolens.data import Dataset, Photo, Split, grouped_folds
from logolens.data.builtin_backgrounds import is_builtin
from logolens.data.composed import referred
from logolens.errors import DataError, ImageError, UsageError
from logolens.io.images import read_known
from logolens.io.threads import processors
from logolens.io.views import Picture
from logolens.models.calibration import Calibration, calibrate, rejection
from logolens.models.cascade import Cascade
from logolens.models.ensemble import EnsembleWeights, Evidence
from logolens.models.features import FeatureCache
from logolens.models.head import Examples, Head, fit_head
from logolens.models.matcher import Matcher, References, references_from
from logolens.models.session import Job, Session
from logolens.training.fit_ensemble import choose_weights, fit_presence
from logolens.training.samples import Sample
from logolens.training.words import Seen, TrainedWords, WordReadings, fit_words, held_words, read_words
from logolens.types import Progress

__all__ = ["CrossFit", "OutOfFold", "build_matcher", "cross_fit", "evidence_of", "fit_out_of_fold", "references_of"]


_LEAST = 10
"""With fewer photos nothing can be decided by holding some of them out."""

_ASKED, _EMPTY = 300, 300
"""Photos and logo-free views that are held out to decide; more would cost time and decide nothing else."""

_ENOUGH = 100
"""Photos of none of the labels from which on they alone say what `none` looks like."""

_FOLDS = 5

_EVERYTHING = EnsembleWeights(tiles=1.0, closest=1.0, matcher=1.0)


@dataclass(frozen=True)
class OutOfFold:
    """What the held-out photos decided.

    Attributes:
        stack: how evidence is added.
        calibration: how it becomes probabilities, and what is ``none``.
        rows: positions of the samples that were held out.
        labels: their probabilities of the labels, given that a logo shows.
        scores: what speaks for a logo being there; None without a background.
        matcher: with the references of all photos that may be learned from; None where it counts for nothing.
        notes: what was odd about the references.
        also: positions of further samples that were asked for, which decided nothing.
        also_labels: their probabilities of the labels.
        also_scores: what speaks for a logo being there in them.
        fold_of: the fold of each photo that was held out.
        seen: the calibration without words.
        words: what words count; None where they were not tried.
    """

    stack: EnsembleWeights
    calibration: Calibration
    rows: tuple[int, ...]
    labels: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64] | None
    matcher: Matcher | None
    notes: tuple[str, ...]
    also: tuple[int, ...]
    also_labels: npt.NDArray[np.float64]
    also_scores: npt.NDArray[np.float64] | None
    fold_of: dict[int, int]
    seen: Calibration
    words: TrainedWords | None = None

    def facts(self, *, localised: bool) -> dict[str, Any]:
        """What the manifest records and `bundle.Closer` reads back."""
        return {
            "stack": asdict(self.stack),
            # That of the words stands beside it: a machine that cannot read answers by this one.
            "calibration": asdict(self.seen),
            "words": self.words.facts() if self.words is not None else None,
            "held_out": len(self.rows),
            "matcher": self.matcher is not None,
            "localiser": localised,
        }


@dataclass(frozen=True)
class CrossFit:
    """What is held out together, and the heads that have not seen it.

    Attributes:
        fold_of: the fold of each photo that may be asked about.
        heads: one for each fold.
    """

    fold_of: dict[int, int]
    heads: dict[int, Head]


def references_of(
    photos: Sequence[Photo], settings: TrainSettings, on_progress: Progress
) -> tuple[MatcherSettings, References]:
    """The references that photos give, around their boxes where there are any, and how they were sought."""
    how = MatcherSettings().for_boxes() if any(photo.boxes for photo in photos) else MatcherSettings()
    with FeatureCache() as cache:
        found = references_from(
            photos,
            how,
            cache=cache if settings.cache else None,
            threads=settings.threads or processors(),
            progress=lambda done, total: on_progress("seeking key points", done, total),
        )
    return how, found


def build_matcher(
    dataset: Dataset, splits: Split, settings: TrainSettings, on_progress: Progress
) -> tuple[Matcher | None, tuple[str, ...]]:
    """A matcher with the references of the training and validation photos, and what was odd about them.

    Returns:
        None in its place where it is not to be tried, or no photo has key points.
    """
    photos = [
        dataset.photos[number]
        for number in (*splits.train, *splits.val)
        if len(dataset.photos[number].labels) == 1 and dataset.photos[number].label in dataset.labels
    ]
    photos = referred(photos)
    boxed = any(photo.boxes for photo in photos)
    most = MATCHED_BOXED if boxed else MATCHED_WHOLE
    if settings.matcher == "off" or (settings.matcher == "auto" and not _LEAST <= len(photos) <= most):
        return None, ()
    how, references = references_of(photos, settings, on_progress)
    notes = tuple(str(note) for note in references.notes)
    return Matcher(references.found, how, labels=dataset.labels) if references.found else None, notes


def cross_fit(
    dataset: Dataset,
    splits: Split,
    samples: Sequence[Sample],
    features: npt.NDArray[np.float32],
    classes: Sequence[str],
    settings: TrainSettings,
    epochs: int,
    on_progress: Progress,
) -> CrossFit | None:
    """Folds of the training and validation photos, and for each a head fitted on the others.

    Returns:
        None where there are too few photos, too few groups of them, or a label stands in one fold alone, so that nothing can
        be held out.
    """
    usable = [row for row, sample in enumerate(samples) if sample.split in ("train", "val") and sample.label in classes]
    # What stands aside is always learned from, and never asked about.
    pool = sorted({samples[row].photo for row in usable if not samples[row].train_only})
    if len(pool) < _LEAST:
        return None
    fold_of: dict[int, int] = {}
    try:
        folds_of_photos = grouped_folds(dataset.subset(pool), _FOLDS, settings.seed)
    except UsageError:  # Near copies of a few pictures make fewer groups than folds.
        return None
    for fold, members in enumerate(folds_of_photos):
        fold_of.update({pool[int(member)]: fold for member in members})

    done = 0

    def fitted(fold: int) -> Head:
        nonlocal done
        learned = [row for row in usable if fold_of.get(samples[row].photo) != fold]
        truth = np.array([list(classes).index(samples[row].label) for row in learned], dtype=np.int64)
        weight = np.array([samples[row].weight for row in learned], dtype=np.float32)
        examples = Examples(features[learned], truth, weight)
        known = BACKGROUND in classes
        head = fit_head(examples, None, len(classes), settings.head_settings(), background=known, epochs=epochs)
        done += 1
        on_progress("holding photos out", done, _FOLDS)
        return head

    folds = sorted(set(fold_of.values()))
    try:
        with ThreadPoolExecutor(min(settings.threads or processors(), 4)) as threads:
            return CrossFit(fold_of, dict(zip(folds, threads.map(fitted, folds), strict=True)))
    except DataError:
        return None


def fit_out_of_fold(
    dataset: Dataset,
    samples: Sequence[Sample],
    classes: Sequence[str],
    settings: TrainSettings,
    pooling: str,
    session: Session,
    crossfit: CrossFit,
    matcher: Matcher | None,
    notes: tuple[str, ...],
    on_progress: Progress,
    also: Collection[str] = (),
    learnable: Collection[int] = (),
) -> OutOfFold | None:
    """Let held-out photos walk the whole road, and decide from what they say.

    Args:
        dataset: the photos.
        looks: the views that training knows.
        classes: the head's outputs.
        settings: of the training.
        pooling: how the network pools its maps.
        session: the network, giving features and maps.
        holding: who is asked by whom.
        matcher: with references of all of them; each photo is asked without those of its fold.
        notes: what was odd about the references.
        say: told of the work as it is done.
        also: labels of which all whole photos are asked about, those too that are not needed to decide.
        learnable: positions of the photos whose words may be learned.

    Returns:
        None where too few photos can be held out.
    """
    background = BACKGROUND in classes
    rows = _asked(dataset, samples, classes, crossfit)
    drawn = [is_builtin(dataset.photos[samples[row].photo]) for row in rows]
    own = sum(samples[row].label == BACKGROUND for row in rows) - sum(drawn)
    if own >= _LEAST:
        # Beside the user's own, drawn pictures would only make the false alarms look few.
        rows = [row for row, made in zip(rows, drawn, strict=True) if not made]
    truth = np.array([list(classes).index(samples[row].label) for row in rows], dtype=np.int64)
    shows = truth < len(dataset.labels)
    if shows.sum() < _LEAST or (background and (~shows).sum() < _LEAST):
        return None
    shas: dict[int, set[str]] = {}
    for number, fold in crossfit.fold_of.items():
        shas.setdefault(fold, set()).add(dataset.photos[number].sha256)
    cascade = Cascade(_EVERYTHING, background=background, pooling=pooling, matcher=matcher, mode=settings.views)
    taken = set(rows)
    more = [
        row
        for row, sample in enumerate(samples)
        if sample.whole and sample.label in also and sample.photo in crossfit.fold_of and row not in taken
    ]
    asked = [*rows, *more]
    heads = [crossfit.heads[crossfit.fold_of[samples[row].photo]] for row in asked]
    gone = [shas[crossfit.fold_of[samples[row].photo]] for row in asked]
    every = evidence_of(dataset, [samples[row] for row in asked], cascade, session, heads, gone, on_progress)
    evidence = every.rows(slice(0, len(rows)))
    stack = choose_weights(evidence.rows(shows), truth[shows], matched=matcher is not None)
    if settings.views == "tiles":
        stack = replace(stack, lead=None, lead_closer=None)  # All of every photo is looked at.
    if background and stack.matcher and own < _LEAST:
        # The network tells drawn pictures from photos, whatever these show. The matcher finds the logo in neither.
        stack = replace(
            stack, shows_whole=0.0, shows_tiles=0.0, shows_closest=0.0, shows_matcher=1.0, lead=None, lead_closer=None
        )
    elif background:
        stack = fit_presence(stack, stack.as_looked(evidence), shows)
    evidence = stack.as_looked(evidence)
    logits = stack.logits(evidence)
    calibration = calibrate(logits[shows], truth[shows], background=False, max_false_alarms=1.0)
    scores = None
    if background:
        scores = stack.score(evidence)
        threshold, slope = rejection(scores, shows, settings.max_false_alarms)
        calibration = replace(calibration, threshold=threshold, slope=slope)
    kept = matcher if stack.matcher or (background and stack.shows_matcher) else None
    rest = stack.as_looked(every.rows(slice(len(rows), None)))
    decided = OutOfFold(
        stack,
        calibration,
        tuple(rows),
        calibration.given(logits),
        scores,
        kept,
        notes,
        tuple(more),
        calibration.given(stack.logits(rest)) if more else np.zeros((0, len(dataset.labels))),
        stack.score(rest) if background and more else None,
        crossfit.fold_of,
        calibration,
    )
    asked_photos = [samples[row].photo for row in asked]
    readings = read_words(dataset, learnable, asked_photos, settings, on_progress)
    if readings is None:
        return decided
    seen = [Seen(stack.logits(part), stack.shows(part), stack.clear(part), calibration) for part in (evidence, rest)]
    return with_words(decided, readings, [samples[row] for row in asked], truth, seen, learnable, settings, background)


def with_words(
    decided: OutOfFold,
    readings: tuple[WordReadings, tuple[str, ...]],
    asked: Sequence[Sample],
    truth: npt.NDArray[np.int64],
    seen: Sequence[Seen],
    learnable: Collection[int],
    settings: TrainSettings,
    background: bool,
) -> OutOfFold:
    """What was decided, with what words add to it where they do.

    Args:
        decided: without words.
        readings: what the photos say, and what is odd about names.
        asked: what was asked about: what decides, then the rest.
        truth: positions of the classes of what decides.
        seen: what was seen of what decides, and of the rest.
        learnable: positions of the photos whose words may be learned.
        settings: of the training.
        background: whether there is one.
    """
    its, notes = readings
    split = len(truth)
    found, words = fit_words(
        its, asked[:split], truth, seen[0], decided.fold_of, learnable, settings, background=background, notes=notes
    )
    if found.expert is None:
        return replace(decided, words=found)
    weights = found.expert.weights
    rest = held_words(its, asked[split:], seen[1], decided.fold_of, learnable, weights)
    labels, scores = weights.answer(seen[0].logits, seen[0].shows, words)
    also_labels, also_scores = weights.answer(seen[1].logits, seen[1].shows, rest)
    return replace(
        decided,
        calibration=weights.calibration,
        labels=labels,
        scores=scores if background else None,
        also_labels=also_labels,
        also_scores=also_scores if decided.also_scores is not None else None,
        words=found,
    )


def _asked(dataset: Dataset, samples: Sequence[Sample], classes: Sequence[str], crossfit: CrossFit) -> list[int]:
    """Positions of whole photos of the labels, and of what shows none of them.

    That is whole photos of ``none``, which is what will be asked about. Where they are few, views without a logo stand beside
    them: one a photo first, then the next of each.
    """
    shown, backgrounds, empty = [], [], []
    seen: dict[int, int] = {}
    for row, sample in enumerate(samples):
        if sample.photo not in crossfit.fold_of or sample.label not in classes:
            continue
        sha = dataset.photos[sample.photo].sha256
        if sample.label == BACKGROUND:
            photo = dataset.photos[sample.photo]
            # Of a photo without any logo the whole is asked about; closer framings of it say the same again.
            if sample.whole and photo.label == BACKGROUND and not is_builtin(photo):
                backgrounds.append((sha, row))
            elif sample.whole or photo.label != BACKGROUND:
                seen[sample.photo] = seen.get(sample.photo, 0) + 1
                empty.append((seen[sample.photo], sha, row))
        elif sample.whole:
            shown.append((sha, row))
    # By content, so that the same photos are asked about wherever they lie.
    none = [row for _, row in sorted(backgrounds)[:_EMPTY]]
    if len(none) < _ENOUGH:
        none += [row for _, _, row in sorted(empty)[: _EMPTY - len(none)]]
    return [row for _, row in sorted(shown)[:_ASKED]] + none


def evidence_of(
    dataset: Dataset,
    samples: Sequence[Sample],
    cascade: Cascade,
    session: Session,
    heads: Sequence[Head],
    without: Sequence[set[str]],
    on_progress: Progress,
) -> Evidence:
    """The evidence of whole photos, and of regions as if they were photos; a row each.

    Args:
        dataset: the photos.
        looks: what is asked about.
        cascade: how far each is looked into.
        session: the network.
        heads: the head for each.
        without: for each, the photos whose references must not count.
        say: told of the work as it is done.

    Raises:
        ImageError: a photo cannot be read any more, or has changed.
    """

    def walk(head: Head, gone: set[str], picture: Picture) -> Generator[Any, Any, Evidence]:
        # The maps of all photos together would not fit into memory.
        return (yield from cascade.look(picture, head, gone)).evidence

    def jobs() -> Iterable[Job]:
        for sample, head, gone in zip(samples, heads, without, strict=True):
            photo = dataset.photos[sample.photo]
            read = partial(read_known, photo.path, photo.sha256, session.limits)
            yield Job(read, steps=partial(walk, head, gone), within=sample.view)

    parts = []
    for number, (sample, outcome) in enumerate(zip(samples, session.look(jobs()), strict=True), 1):
        if outcome.error is not None:
            path = dataset.photos[sample.photo].path
            raise ImageError(f"{path}: {outcome.error.removeprefix(f'{path}: ')}")
        parts.append(outcome.value)
        on_progress("looking closer", number, len(samples))
    return Evidence.of(parts)
