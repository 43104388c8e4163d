"""The matcher's trial in training: build it, hold it against the head on held-out folds, keep it where it helps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, TrainSettings
from logolens.datasets import Dataset, Split, grouped_folds
from logolens.errors import DataError
from logolens.features import FeatureCache
from logolens.head import Examples, fit_head
from logolens.looks import Look
from logolens.matcher import Keypoints, Matcher, describe_photos, references_from
from logolens.session import processors
from logolens.stack import Stack, choose_stack

__all__ = ["Stacking", "try_matcher"]

Progress = Callable[[str, int, int], None]

_AUTO_MOST = 300
"""Photos up to which the matcher is tried unasked: beyond, seeking key points takes longer than all the rest of training."""

_AUTO_LEAST = 10
"""With fewer photos nothing can be decided by holding some of them out."""

_ASKED = 300
"""Photos that are held out to decide; more would cost time and decide nothing else."""

_FOLDS = 5


@dataclass(frozen=True)
class Stacking:
    """What the trial gave.

    Attributes:
        stack: how head and matcher are added.
        matcher: with the references of all photos that may be learned from.
        rows: positions of the looks that were held out in turn: whole photos, and views without a logo.
        logits: their stacked out-of-fold logits, float64 of shape (rows, outputs).
        notes: what was odd about the references.
    """

    stack: Stack
    matcher: Matcher
    rows: tuple[int, ...]
    logits: npt.NDArray[np.float64]
    notes: tuple[str, ...]

    def evidence(self, dataset: Dataset, looks: Sequence[Look], threads: int | None = None) -> npt.NDArray[np.float64]:
        """The matcher's scores of other looks, of shape (looks, labels); a view without a logo has none."""
        numbers = list(dict.fromkeys(look.photo for look in looks if look.whole))
        with FeatureCache() as cache:
            found = describe_photos(
                [dataset.photos[number] for number in numbers],
                self.matcher.settings,
                cache=cache,
                threads=threads or processors(),
            )
        everything: list[set[str]] = [set()] * len(found)
        scores = dict(zip(numbers, _scores(self.matcher, found, everything, threads or processors()), strict=True))
        nothing = np.zeros(len(self.matcher.labels))
        return np.array([scores[look.photo] if look.whole else nothing for look in looks])


def try_matcher(
    dataset: Dataset,
    parts: Split,
    looks: Sequence[Look],
    features: npt.NDArray[np.float32],
    classes: Sequence[str],
    settings: TrainSettings,
    epochs: int,
    say: Progress,
) -> Stacking | None:
    """Build a matcher and decide by cross-validation whether it answers, the head does, or both do.

    Args:
        dataset: the photos.
        parts: their split; the test part is not looked at.
        looks: the views with features.
        features: of the looks, one row each.
        classes: the head's outputs.
        settings: ``matcher`` says whether it is tried.
        epochs: of the head's fit, repeated on each fold.
        say: told of the work as it is done.

    Returns:
        None where the matcher was not tried, or has no references.
    """
    pool = [
        number
        for number in (*parts.train, *parts.val)
        if len(dataset.photos[number].labels) == 1 and dataset.photos[number].label in classes
    ]
    if settings.matcher == "off" or (settings.matcher == "auto" and not _AUTO_LEAST <= len(pool) <= _AUTO_MOST):
        return None
    photos = [dataset.photos[number] for number in pool]
    # By content, so that the same photos are asked about wherever they lie.
    asked = sorted(pool, key=lambda number: dataset.photos[number].sha256)[:_ASKED]
    threads = settings.threads or processors()
    with FeatureCache() as cache:

        def told(done: int, total: int) -> None:
            say("seeking key points", done, total)

        wanted = [dataset.photos[number] for number in asked]
        queries = describe_photos(wanted, cache=cache, threads=threads, progress=told)
        references = references_from(photos, cache=cache, threads=threads)
    if not references.found:
        return None
    matcher = Matcher(references.found, labels=dataset.labels)
    notes = tuple(str(note) for note in references.notes)

    fold_of = dict.fromkeys(pool, 0)
    for number, members in enumerate(grouped_folds(dataset.subset(pool), _FOLDS, settings.seed)):
        fold_of.update({pool[int(member)]: number for member in members})
    among = set(asked)
    rows = [
        row
        for row, look in enumerate(looks)
        if look.label in classes
        and (look.photo in among if look.whole else look.photo in fold_of and look.label == BACKGROUND)
    ]
    try:
        logits = _held_out_logits(looks, features, classes, settings, epochs, fold_of, rows)
    except DataError:
        return None  # A label stands in one fold alone, so that nothing can be held out.
    shas: dict[int, set[str]] = {}
    for number, fold in fold_of.items():
        shas.setdefault(fold, set()).add(dataset.photos[number].sha256)
    say("comparing", 0, 1)
    scores = _scores(matcher, queries, [shas[fold_of[number]] for number in asked], threads)
    say("comparing", 1, 1)
    of_photo = dict(zip(asked, scores, strict=True))
    nothing = np.zeros(len(dataset.labels))
    evidence = np.array([of_photo[looks[row].photo] if looks[row].whole else nothing for row in rows])
    truth = np.array([list(classes).index(looks[row].label) for row in rows])
    whole = np.array([looks[row].whole and looks[row].label != BACKGROUND for row in rows])
    stack = choose_stack(logits[whole], evidence[whole], truth[whole])
    return Stacking(stack, matcher, tuple(rows), stack.logits(logits, evidence), notes)


def _scores(
    matcher: Matcher, queries: Sequence[Keypoints], without: Sequence[set[str]], threads: int
) -> list[npt.NDArray[np.float64]]:
    """The matcher's scores of each query, photos of these hashes left out; a thread takes one query at a time."""
    with ThreadPoolExecutor(threads, thread_name_prefix="logolens") as pool:
        return list(pool.map(lambda query, gone: matcher.match(query, without=gone).scores(), queries, without))


def _held_out_logits(
    looks: Sequence[Look],
    features: npt.NDArray[np.float32],
    classes: Sequence[str],
    settings: TrainSettings,
    epochs: int,
    fold_of: dict[int, int],
    rows: Sequence[int],
) -> npt.NDArray[np.float64]:
    """The head's logits of these looks, each from a head that saw no look of its fold."""
    logits = np.zeros((len(rows), len(classes)))
    usable = [row for row, look in enumerate(looks) if look.part in ("train", "val") and look.label in classes]
    for fold in sorted(set(fold_of.values())):
        learned = [row for row in usable if fold_of.get(looks[row].photo) != fold]
        truth = np.array([list(classes).index(looks[row].label) for row in learned], dtype=np.int64)
        examples = Examples(features[learned], truth, np.ones(len(learned), dtype=np.float32))
        head = fit_head(examples, None, len(classes), settings.head_settings(), epochs=epochs)
        held = [position for position, row in enumerate(rows) if fold_of[looks[row].photo] == fold]
        logits[held] = head.logits(features[[rows[position] for position in held]])
    return logits
