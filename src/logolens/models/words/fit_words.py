"""Words in training: what those that were read tell of held-out photos, and how much it counts.

The same rule as for every other expert: held-out photos decide. Each is asked with names, and with words learned from photos
of other folds alone; words count where they beat what was seen by more than one standard error of the paired differences.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from logolens.config import TrainSettings
from logolens.metrics.logistic import nonnegative_logistic
from logolens.models.calibration import Calibration, calibrate, rejection, softmax
from logolens.models.contracts.late import Asked, HeldOut, HeldView, UnknownEvidence, Verdict
from logolens.models.words.expert import WordExpert, WordWeights, within
from logolens.models.words.reader import Line
from logolens.models.words.word_readings import ReadingPlan, WordReadings, plan_reading, read_dataset
from logolens.types import FloatArray64

__all__ = [
    "TrainedWords",
    "VisualEvidence",
    "expert_words",
    "fit_held_words",
    "fit_words",
    "held_words",
]

_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Weights of the words' nats beside logits at their own temperature."""

_GAINED = 1e-4
"""Nats a photo below which nothing was gained, however sure it is."""

_LOST = 0.004
"""The share of photos that may lose their right answer where unlikely photos are not read."""

_UNREAD = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the photos without a logo that are tried as those not read; at least the last is, for the sake of time."""


@dataclass(frozen=True)
class VisualEvidence:
    """What was seen of held-out photos, in a row each.

    Attributes:
        logits: for each label, float64 of shape (n, labels).
        shows: for a logo being there, in each label's case; of the same shape.
        clear: whether the answer stood so early that nothing more is asked; bool of shape (n,).
        calibration: that was fitted on these, words aside.
        unknown: what was seen by those who do not know the photos' labels.
    """

    logits: FloatArray64
    shows: FloatArray64
    clear: npt.NDArray[np.bool_]
    calibration: Calibration
    unknown: tuple[UnknownEvidence, ...] = ()

    @property
    def best(self) -> FloatArray64:
        """What speaks for a logo in the case of the best label; of shape (n,)."""
        return np.asarray(self.shows[np.arange(len(self.logits)), self.logits.argmax(axis=1)])


@dataclass(frozen=True)
class TrainedWords:
    """The words of a training.

    Attributes:
        expert: with the words of all photos that may be learned from; None where words count for nothing.
        reason: why, as a sentence.
        notes: what was odd about names.
    """

    expert: WordExpert | None
    reason: str
    notes: tuple[str, ...] = ()


def fit_held_words(held: HeldOut) -> tuple[WordExpert | None, tuple[str, ...], FloatArray64] | None:
    """Read what was held out, and decide whether words count and how much.

    Returns:
        The words, or None where they count for nothing; what was decided and what was odd, a sentence each; and their evidence on
        all samples where these are read, 0 where not, of shape (n, labels, 2). None where words are not to be tried.

    Raises:
        ImageError: a photo cannot be read any more, or has changed.
        MissingExtraError, UsageError, DataError: see `plan_reading`.
    """
    plan = plan_reading(held)
    if plan is None:
        return None
    notes, lines = plan.notes, _read(held, plan.first)
    its = WordReadings(held.dataset, plan.names, lines)
    if plan.rest:
        if why := _hopeless(its, held, plan):
            return None, (why, *notes), np.zeros((*held.verdict.logits.shape, 2))
        its = WordReadings(held.dataset, plan.names, {**lines, **_read(held, plan.rest)})
    split, (decides, rest) = held.deciding, _seen(held)
    found, words = fit_words(
        its,
        held.samples[:split],
        held.truth,
        decides,
        held.fold_of,
        held.learnable,
        held.settings,
        background=held.background,
        notes=notes,
    )
    if found.expert is None:
        return None, (found.reason, *found.notes), words
    weights = found.expert.weights
    more = held_words(its, held.samples[split:], rest, held.fold_of, held.learnable, weights)
    return found.expert, (found.reason, *found.notes), np.concatenate([words, more])


def _read(held: HeldOut, photos: Sequence[int]) -> dict[str, tuple[Line, ...]]:
    """What photos at these positions say, by their SHA-256."""
    return read_dataset([held.dataset.photos[number] for number in photos], held.settings, held.progress)


def _hopeless(readings: WordReadings, held: HeldOut, plan: ReadingPlan) -> str | None:
    """Why no more photos are worth reading, after the first ones, as a sentence; None where more may be worth it.

    What words gain on these, two standard errors above their mean included, is nothing, and names are not read rightly.
    """
    first = {*plan.first}
    rows = [
        row
        for row, truth in enumerate(held.truth.tolist())
        if truth < held.verdict.logits.shape[1] and held.samples[row].photo in first
    ]
    samples = [held.samples[row] for row in rows]
    words = _held(readings, samples, held.fold_of, [number for number in held.learnable if number in first])
    words = np.where(held.verdict.clear[rows, None, None], 0.0, words)
    truth = held.truth[rows]
    gained = _gain(held.verdict.logits[rows], words.sum(axis=2), truth)[1]
    most = float(gained.mean() + 2 * gained.std(ddof=1) / np.sqrt(len(gained))) if len(gained) > 1 else np.inf
    by_name = words[:, :, 0]
    right = (by_name.argmax(axis=1) == truth)[by_name.any(axis=1)]
    if most > _GAINED or 2 * right.sum() > len(right):
        return None
    return (
        f"Words do not surely help to tell labels apart: of {len(first)} photos that were read first, words name a label on "
        f"{int(words.any(axis=(1, 2)).sum())}, so the other {len(plan.rest)} were not read. --words on reads all."
    )


def _seen(held: HeldOut) -> tuple[VisualEvidence, VisualEvidence]:
    """What was seen of the samples that decide, and of the others."""
    its = held.verdict
    parts = [its.rows(slice(held.deciding)), its.rows(slice(held.deciding, None))]
    first, rest = (VisualEvidence(part.logits, part.shows, part.clear, its.calibration) for part in parts)
    return replace(first, unknown=held.unknown), rest


def fit_words(
    readings: WordReadings,
    samples: Sequence[HeldView],
    truth: npt.NDArray[np.int64],
    visual: VisualEvidence,
    fold_of: Mapping[int, int],
    learnable: Collection[int],
    settings: TrainSettings,
    *,
    background: bool,
    notes: tuple[str, ...] = (),
) -> tuple[TrainedWords, FloatArray64]:
    """Decide whether words count, how much, and which photos are read, on photos that neither taught.

    Args:
        readings: what the photos say.
        samples: what is asked about, n of them.
        truth: positions of the classes they show, the background's being beyond the labels; int64 of shape (n,).
        visual: what was seen of them.
        fold_of: the fold of each photo that is held out.
        learnable: positions of the photos whose words may be learned.
        settings: of the training.
        background: whether there is a background to tell logos from.
        notes: what was odd about names.

    Returns:
        The words, and their evidence where photos are read; 0 where they are not, of shape (n, labels, 2).
    """
    words = np.where(visual.clear[:, None, None], 0.0, _held(readings, samples, fold_of, learnable))
    unknown_words = [_words_of_unknown(readings, samples, one, fold_of, learnable) for one in visual.unknown]
    shows = truth < visual.logits.shape[1]
    weight, reason = _weight(visual.logits[shows], words[shows].sum(axis=2), truth[shows])
    # What is learned is what stands beside a logo, on the packs of a trade or in one town, and stands beside those of brands
    # that were never seen, too: few labels that are left out show how often. Where labels have names, these say who is there.
    counts = np.array([1.0, 1.0, 0.0 if readings.are_named else 1.0])

    def calibrated(weights: WordWeights) -> WordWeights:
        return _calibrated(weights, visual, words, unknown_words, truth, settings, background, counts)

    weights = calibrated(WordWeights(weight, 1.0, 0.0, 0.0, 0.0, visual.calibration))
    if background:
        weights = _floored(weights, visual, words, truth, settings)
        words[visual.calibration.probability(visual.best) < weights.floor] = 0.0
        weights = calibrated(weights)
    weights = replace(weights, reason=reason)
    if not (weights.weight or weights.shows_words or weights.shows_learned):
        return TrainedWords(None, reason, notes), np.zeros_like(words)
    return TrainedWords(WordExpert(readings.lexicon(learnable), weights), reason, notes), words


def held_words(
    readings: WordReadings,
    samples: Sequence[HeldView],
    visual: VisualEvidence,
    fold_of: Mapping[int, int],
    learnable: Collection[int],
    weights: WordWeights,
) -> FloatArray64:
    """Evidence of further held-out samples, where they would be read; 0 where not, of shape (n, labels, 2)."""
    words = _held(readings, samples, fold_of, learnable)
    words[visual.clear | (visual.calibration.probability(visual.best) < weights.floor)] = 0.0
    return words


def expert_words(expert: WordExpert, verdict: Verdict, asked: Asked) -> FloatArray64:
    """Evidence of whole photos by a finished expert, of which only those are read that it would read; of shape (n, labels, 2)."""
    dataset, samples = asked.dataset, asked.samples
    likely = verdict.probability
    rows = [row for row in range(len(samples)) if expert.wanted(bool(verdict.clear[row]), float(likely[row]))]
    lines = read_dataset([dataset.photos[samples[row].photo] for row in rows], asked.settings, asked.progress)
    words = np.zeros((len(samples), len(expert.lexicon.labels), 2))
    for row in rows:
        photo = dataset.photos[samples[row].photo]
        box = samples[row].view.box
        its = lines[photo.sha256]
        words[row] = expert.evidence(its if box is None else within(its, box, (photo.width, photo.height)))[0]
    return words


def _held(
    readings: WordReadings,
    samples: Sequence[HeldView],
    fold_of: Mapping[int, int],
    learnable: Collection[int],
    without: Collection[str] = (),
) -> FloatArray64:
    """Evidence of samples, each by the words of photos outside its fold; of shape (n, labels that are not left out, 2)."""
    by_fold = {
        fold: readings.lexicon([number for number in learnable if fold_of.get(number) != fold], without)
        for fold in {fold_of[sample.photo] for sample in samples}
    }
    rows = [by_fold[fold_of[sample.photo]].evidence(readings.of(sample))[0] for sample in samples]
    return np.stack(rows) if rows else np.zeros((0, len(readings.labels) - len({*without}), 2))


def _words_of_unknown(
    readings: WordReadings,
    samples: Sequence[HeldView],
    unknown: UnknownEvidence,
    fold_of: Mapping[int, int],
    learnable: Collection[int],
) -> FloatArray64:
    """What the words of photos of left-out labels say of the others, to who never heard of these; of shape (n, columns, 2).

    A word that several brands write, as on all packs of one trade, is learned for none of them; of an unknown brand's words
    nobody has learned that.
    """
    known = {readings.labels[column] for column in unknown.columns.tolist()}
    asked = [samples[row] for row in unknown.rows.tolist()]
    return _held(readings, asked, fold_of, learnable, {*readings.labels} - known)


def _gain(logits: FloatArray64, words: FloatArray64, truth: npt.NDArray[np.int64]) -> tuple[float, FloatArray64]:
    """The words' best weight beside the logits of what was seen, and the nats that each photo gains by it, of shape (n,).

    ``words`` are of the shape of ``logits``.
    """
    rows = np.arange(len(truth))
    scale = calibrate(logits, truth, background=False, max_false_alarms=1.0).temperature

    def losses(weight: float) -> FloatArray64:
        joined = logits + weight * words
        fitted = calibrate(joined, truth, background=False, max_false_alarms=1.0)
        return np.asarray(-np.log(np.maximum(softmax(joined / fitted.temperature)[rows, truth], 1e-12)))

    before = losses(0.0)
    tried = {weight * scale: losses(weight * scale) for weight in _WEIGHTS}
    best = min(tried, key=lambda weight: float(tried[weight].mean()))
    return best, before - tried[best]


def _weight(logits: FloatArray64, words: FloatArray64, truth: npt.NDArray[np.int64]) -> tuple[float, str]:
    """The words' weight beside the logits of what was seen; 0 where they do not surely help. And a sentence about it.

    ``words`` are of the shape of ``logits``.
    """
    best, gained = _gain(logits, words, truth)
    error = float(gained.std(ddof=1) / np.sqrt(len(gained))) if len(gained) > 1 else float("inf")
    named = words.max(axis=1) > 0
    figures = f"On {int(named.sum())} of {len(truth)} held-out photos in doubt or not, words name a label"
    if named.any():
        figures += f", on {(words.argmax(axis=1) == truth)[named].mean():.0%} of these the right one"
    right, now = (logits.argmax(axis=1) == truth).mean(), ((logits + best * words).argmax(axis=1) == truth).mean()
    if gained.mean() > max(error, _GAINED):
        return best, f"Words count: {figures}; they take right answers from {right:.1%} to {now:.1%}."
    return (
        0.0,
        f"Words do not surely help to tell labels apart: {figures}; right answers would go from {right:.1%} to {now:.1%}.",
    )


def _calibrated(
    weights: WordWeights,
    visual: VisualEvidence,
    words: FloatArray64,
    unknown_words: Sequence[FloatArray64],
    truth: npt.NDArray[np.int64],
    settings: TrainSettings,
    background: bool,
    counts: FloatArray64,
) -> WordWeights:
    """The weights with what tells whether there is a logo, and the calibration of both, fitted on this evidence.

    ``counts`` says which of the three tell it: what was seen, names, learned words.
    """
    shows = truth < visual.logits.shape[1]
    logits = weights.logits(visual.logits, words)
    calibration = calibrate(logits[shows], truth[shows], background=False, max_false_alarms=1.0)
    if not background:
        return replace(weights, calibration=calibration)
    rows, best = np.arange(len(logits)), logits.argmax(axis=1)
    table = np.concatenate([visual.shows[rows, best, None], words[rows, best]], axis=1)
    asked = [
        _where_asked(one, its, visual.calibration, weights.floor)
        for one, its in zip(visual.unknown, unknown_words, strict=True)
    ]
    strange = [_best_of(weights, one, its) for one, its in zip(visual.unknown, asked, strict=True)]
    others = sum(map(len, strange))
    fitted = nonnegative_logistic(
        np.concatenate([table, *strange]) * counts, np.concatenate([shows, np.zeros(others, dtype=bool)])
    )
    # What was seen is in the unit that it was fitted in; words are brought to it.
    unit = next((float(one) for one in fitted if one > 0), None)
    by_seen, by_name, by_learned = (fitted / unit).tolist() if unit is not None else (1.0, 0.0, 0.0)
    weights = replace(weights, shows_seen=by_seen, shows_words=by_name, shows_learned=by_learned)
    scores = weights.score(visual.logits, visual.shows, words)
    unknown = [weights.score(one.logits, one.shows, its) for one, its in zip(visual.unknown, asked, strict=True)]
    threshold, slope = rejection(scores, shows, settings.max_false_alarms, np.concatenate(unknown) if unknown else None)
    return replace(weights, calibration=replace(calibration, threshold=threshold, slope=slope))


def _where_asked(photos: UnknownEvidence, words: FloatArray64, calibration: Calibration, floor: float) -> FloatArray64:
    """What words say of the labels that are known, 0 where photos would not be read; both of shape (n, columns, 2)."""
    best = photos.shows[np.arange(len(photos.rows)), photos.logits.argmax(axis=1)]
    unread = photos.clear | (calibration.probability(best) < floor)
    return np.where(unread[:, None, None], 0.0, words)


def _best_of(weights: WordWeights, unknown_photos: UnknownEvidence, words: FloatArray64) -> FloatArray64:
    """What was seen and what was read, of the label that is answered; of shape (n, 3)."""
    rows, best = np.arange(len(words)), weights.logits(unknown_photos.logits, words).argmax(axis=1)
    return np.concatenate([unknown_photos.shows[rows, best, None], words[rows, best]], axis=1)


def _floored(
    weights: WordWeights,
    visual: VisualEvidence,
    words: FloatArray64,
    truth: npt.NDArray[np.int64],
    settings: TrainSettings,
) -> WordWeights:
    """The weights with the highest floor under which reading so unlikely photos would mend hardly any answer."""
    shows = truth < visual.logits.shape[1]
    likely = visual.calibration.probability(visual.best)

    def kept(floor: float) -> npt.NDArray[np.bool_]:
        asked = np.where((likely >= floor)[:, None, None], words, 0.0)
        scores = weights.score(visual.logits, visual.shows, asked)
        threshold = weights.calibration.threshold
        right = weights.logits(visual.logits, asked).argmax(axis=1) == truth
        return np.asarray(right & (scores > (-np.inf if threshold is None else threshold)) & shows)

    always = kept(0.0)
    floor = 0.0
    for share in _UNREAD:
        floor = float(np.quantile(likely[~shows], share))
        if float((always & ~kept(floor))[shows].mean()) <= _LOST:
            break
    return replace(weights, floor=min(floor, 0.5))
