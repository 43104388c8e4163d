"""What all experts say of held-out photos: which are asked about, and what each is asked."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from logolens.config import BACKGROUND
from logolens.data import Dataset
from logolens.data.builtin_backgrounds import is_builtin
from logolens.errors import ImageError
from logolens.io.images import read_known
from logolens.io.views import Picture
from logolens.models.cascade import Cascade
from logolens.models.ensemble import EnsembleWeights, Evidence
from logolens.models.experts import first_experts
from logolens.models.head import Head
from logolens.models.session import Job
from logolens.training.cross_fit import LEAST_PHOTOS, CrossFit
from logolens.training.left_out import ViewFeatures
from logolens.training.samples import Sample
from logolens.training.task import Context, Knowledge

__all__ = ["Asked", "evidence_held_out", "evidence_of", "held_out_to_decide"]

_ASKED, _EMPTY = 300, 300
"""Photos and logo-free views that are held out to decide; more would cost time and decide nothing else."""

_ENOUGH = 100
"""Photos of none of the labels from which on they alone say what `none` looks like."""


@dataclass(frozen=True)
class Asked:
    """One sample that is asked about.

    Attributes:
        sample: the view; a region is asked about as if it were the photo.
        head: the head that answers.
        without: SHA-256 of photos that no expert may have learned from.
    """

    sample: Sample
    head: Head
    without: Collection[str] = ()


def evidence_of(
    context: Context, asked: Sequence[Asked], cascade: Cascade, views: list[ViewFeatures] | None = None
) -> Evidence:
    """The evidence of whole photos, and of regions as if they were photos; a row each.

    Args:
        context: the photos and the network.
        asked: what is asked about.
        cascade: how far each is looked into.
        views: is given what the network saw of each, if anything is to be kept.

    Raises:
        ImageError: a photo cannot be read any more, or has changed.
    """
    photos, session = context.dataset.photos, context.session

    def ask(one: Asked, picture: Picture) -> Generator[Any, Any, tuple[Evidence, ViewFeatures | None]]:
        # The maps of all photos together would not fit into memory.
        its = yield from cascade.look(picture, one.head, one.without)
        return its.evidence, ViewFeatures(np.stack(its.features), its.spans) if views is not None else None

    def jobs() -> Iterable[Job]:
        for one in asked:
            photo = photos[one.sample.photo]
            read = partial(read_known, photo.path, photo.sha256, session.limits)
            yield Job(read, steps=partial(ask, one), within=one.sample.view)

    parts = []
    for number, (one, outcome) in enumerate(zip(asked, session.look(jobs()), strict=True), 1):
        if outcome.error is not None:
            path = photos[one.sample.photo].path
            raise ImageError(f"{path}: {outcome.error.removeprefix(f'{path}: ')}")
        evidence, seen = outcome.value
        parts.append(evidence)
        if views is not None and seen is not None:
            views.append(seen)
        context.on_progress("looking closer", number, len(asked))
    return Evidence.of(parts)


def held_out_to_decide(context: Context, samples: Sequence[Sample], crossfit: CrossFit) -> tuple[list[int], int]:
    """Positions of what is held out to decide, and how many of the user's own views without a logo there are."""
    photos = context.dataset.photos
    rows = _asked(context.dataset, samples, context.classes, crossfit)
    drawn = [is_builtin(photos[samples[row].photo]) for row in rows]
    own = sum(samples[row].label == BACKGROUND for row in rows) - sum(drawn)
    if own >= LEAST_PHOTOS:
        # Beside the user's own, drawn pictures would only make the false alarms look few.
        rows = [row for row, made in zip(rows, drawn, strict=True) if not made]
    return rows, own


def evidence_held_out(
    context: Context,
    samples: Sequence[Sample],
    rows: Sequence[int],
    crossfit: CrossFit,
    knowledge: Knowledge,
    views: list[ViewFeatures],
) -> Evidence:
    """What all experts say of held-out samples, a row each, without what each one's fold taught.

    ``views`` is given what the network saw of each, where labels are to be left out.
    """
    shas: dict[int, set[str]] = {}
    for number, fold in crossfit.fold_of.items():
        shas.setdefault(fold, set()).add(context.dataset.photos[number].sha256)
    everything = EnsembleWeights(labels={expert.name: 1.0 for expert in first_experts()})
    folds = [crossfit.fold_of[samples[row].photo] for row in rows]
    asked = [Asked(samples[row], crossfit.heads[fold], shas[fold]) for row, fold in zip(rows, folds, strict=True)]
    cascade = context.cascade(everything, knowledge.of)
    return evidence_of(context, asked, cascade, views if crossfit.groups else None)


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
