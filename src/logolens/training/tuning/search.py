"""From a data set to settings: what is tried, in which order, and what is chosen."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logolens.config import TrainSettings, TuneSettings
from logolens.data import Split, check_enough, check_exclusions, grouped_folds, load, split, without
from logolens.data.boxes_apart import boxes_apart
from logolens.data.builtin_backgrounds import with_backgrounds
from logolens.errors import DataError, LogolensError, UsageError, require
from logolens.metrics import Paired, compare
from logolens.models.backbones import catalogue, find, here
from logolens.training.tuning.trials import Field, Trial, Views, changes
from logolens.types import Progress, silent

__all__ = ["TuneResult", "tune"]

_LOG = logging.getLogger(__name__)


_L2 = (0.001, 0.01, 0.1)
"""Weights of the squared weights that are tried; one of them is the default."""

_SIZES = (0.72, 1.43)
"""Sides of the input that are tried, as shares of the backbone's own: what halves the network's time, and what doubles it."""

_STEP = 32

_SLOWER = 1.5
"""How much longer than the last of its kind of head a trial is taken to be: more features take more."""

_MLP = 4.0
"""How much longer than a linear head's folds those of an mlp are taken to be, before one was tried."""


@dataclass(frozen=True)
class TuneResult:
    """What was tried, and what is chosen.

    Attributes:
        trials: looking closer first, where it was tried, then the best first.
        chosen: the best settings that are better than the defaults by more than one standard error; else the defaults.
        against: they held against the defaults, on the same held-out photos; None where the defaults are chosen.
        photos: how many photos took part.
        left_out: how many test photos were not looked at.
        skipped: what was not tried, and why, a sentence each.
        notes: what was odd about the data, a sentence each.
        seconds: how long it took.
    """

    trials: tuple[Trial, ...]
    chosen: TrainSettings
    against: Paired | None
    photos: int
    left_out: int
    skipped: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The object that ``logolens tune --json`` prints."""
        return {
            "trials": [trial.to_json() for trial in self.trials],
            "chosen": changes(self.chosen),
            "against_defaults": None if self.against is None else dataclasses.asdict(self.against),
            "photos": self.photos,
            "left_out": self.left_out,
            "skipped": list(self.skipped),
            "seconds": round(self.seconds, 1),
        }


def tune(data: Path | str, settings: TuneSettings = TuneSettings(), *, progress: Progress | None = None) -> TuneResult:
    """Seek settings for a data set.

    The test part, as `train` would divide it with the same settings, is left out before anything is looked at. The others are
    held out by folds, near copies together; features come from the cache, so that what was tried once costs little the second
    time, and training with the chosen settings finds its features there. First heads are tried on the default network, then
    other networks whose weights are on this machine, then sizes and ways of resizing of the best one, then heads again.

    Raises:
        UsageError: there are more folds than groups of photos.
        DataError: the data cannot be used.
        MissingExtraError: the extra ``train`` is not installed.
    """
    begin = time.perf_counter()
    require("torch", "train")
    on_progress = progress or silent
    base = TrainSettings(
        test=settings.test,
        seed=settings.seed,
        exclude=settings.exclude,
        examples=settings.examples,
        allow_leaks=settings.allow_leaks,
        threads=settings.threads,
    )
    if settings.exclude is not None:
        check_exclusions(settings.exclude)
    dataset = load(data, training=False, progress=lambda done, total: on_progress("reading photos", done, total))
    if settings.exclude is not None:
        dataset = without(dataset, settings.exclude)
    if settings.examples == "box":
        dataset = boxes_apart(dataset)
    few = check_enough(dataset)
    splits = split(dataset, base.split_settings(), allow_leaks=settings.allow_leaks)
    pool = dataset.subset(sorted((*splits.train, *splits.val)))
    folds = grouped_folds(pool, settings.folds, settings.seed)
    own = len(pool)
    pool, _ = with_backgrounds(pool, Split(tuple(range(own)), (), ()))
    search = _Search(Field(pool, folds, on_progress, settings.threads), begin + 60 * settings.budget, on_progress)
    boxed = any(photo.boxes for photo in pool.photos)
    default = search.attempt(base, always=True)
    assert default is not None
    _seek(search, base, boxed)
    whole = tuple(sorted(search.trials, key=lambda trial: trial.rank))
    near = [photo.near for photo in pool.photos]
    best = next((trial for trial in whole if trial is default or _is_better(_held(trial, default, near))), default)
    against = None if best is default else _held(best, default, near)
    closer = search.closer(best.settings) if settings.closer else None
    chosen = best.settings
    if closer is not None and _held(closer, best, near).difference <= 0:
        chosen = dataclasses.replace(chosen, views="whole")
    return TuneResult(
        (*(() if closer is None else (closer,)), *whole),
        chosen,
        against,
        own,
        len(splits.test),
        tuple(search.skipped),
        tuple(str(note) for note in (*few, *splits.notes)),
        time.perf_counter() - begin,
    )


def _held(one: Trial, other: Trial, near: Sequence[int]) -> Paired:
    """Two trials on the photos that both were asked about."""
    shared = sorted(one.right.keys() & other.right.keys())
    groups = [near[photo] for photo in shared]
    return compare([one.right[photo] for photo in shared], [other.right[photo] for photo in shared], groups)


def _is_better(paired: Paired) -> bool:
    """Whether the first is better by more than one standard error of the difference: less is chance as likely as not."""
    differing = paired.only_this + paired.only_other
    error = math.sqrt(max(differing - paired.n * paired.difference**2, 0.0)) / paired.n
    return paired.difference > error


def _seek(search: _Search, base: TrainSettings, boxed: bool) -> None:
    """Try stage after stage, each beginning with the best so far."""
    search.all(_heads(base, boxed))
    search.all(_backbones(search.best.settings))
    search.all(_feature_variants(search.best.settings))
    search.all(_heads(search.best.settings, boxed))


def _heads(best: TrainSettings, boxed: bool) -> Iterator[TrainSettings]:
    for l2 in _L2:
        yield dataclasses.replace(best, head="linear", l2=l2)
    if boxed:
        yield dataclasses.replace(best, boxes=not best.boxes)
    # Last, for it takes as long as all the others.
    yield dataclasses.replace(best, head="mlp", l2=TrainSettings.l2)


def _backbones(best: TrainSettings) -> Iterator[TrainSettings]:
    near = [backbone for backbone in catalogue() if backbone.name != best.backbone and here(backbone)]
    for backbone in sorted(near, key=lambda its: its.parameters):
        yield dataclasses.replace(best, backbone=backbone.name, size=None)


def _feature_variants(best: TrainSettings) -> Iterator[TrainSettings]:
    backbone = find(best.backbone)
    for resize in ("squash", "pad", "crop"):
        yield dataclasses.replace(best, resize=resize)
    yield dataclasses.replace(best, pooling="avg")
    if not backbone.fixed_size:
        for share in _SIZES:
            step = backbone.step if backbone.step > 1 else _STEP
            side = max(backbone.min_size, round(share * backbone.size / step) * step)
            yield dataclasses.replace(best, size=side)


class _Search:
    """What was tried, what was not, and how much time is left."""

    def __init__(self, field: Field, deadline: float, on_progress: Progress) -> None:
        self.trials: list[Trial] = []
        self.skipped: list[str] = []
        self._field, self._deadline, self._on_progress = field, deadline, on_progress
        self._tried: set[TrainSettings] = set()
        self._views: tuple[TrainSettings, Views] | None = None
        self._last: dict[str, float] = {}

    @property
    def best(self) -> Trial:
        """The best trial so far."""
        return min(self.trials, key=lambda trial: trial.rank)

    def all(self, candidates: Iterator[TrainSettings]) -> None:
        """Try each while there is time."""
        for settings in candidates:
            self.attempt(settings)

    def attempt(self, settings: TrainSettings, *, always: bool = False) -> Trial | None:
        """Try settings; None where they were tried before, there is no time, or they cannot work."""
        if settings in self._tried:
            return None
        self._tried.add(settings)
        begun = time.perf_counter()
        left = self._deadline - begun
        basis = _feature_settings(settings)
        known = self._views is not None and self._views[0] == basis
        try:
            if not always:
                linear = self._last.get("linear", 0.0)
                needed = _SLOWER * self._last.get(settings.head, linear * _MLP)
                if needed <= left and not known:
                    # Exporting a network and looking through it at a few photos takes time, too.
                    needed += self._field.estimate(basis)
                    left = self._deadline - time.perf_counter()
                if needed > left:
                    gone = f"would take some {math.ceil(needed)} s or more, and {max(left, 0):.0f} s are left"
                    self.skipped.append(f"{named(settings)}: {gone}.")
                    return None
            views = self._views[1] if known and self._views is not None else self._field.views(basis)
            self._views = (basis, views)
            fit = time.perf_counter()
            trial = self._field.trial(settings, views, begun)
            self._last[settings.head] = time.perf_counter() - fit
        except (UsageError, DataError, LogolensError) as error:
            if always:
                raise
            self.skipped.append(f"{named(settings)}: {error}")
            return None
        self.trials.append(trial)
        _LOG.info(
            "%s: %.1f %% right, a loss of %.3f, in %.0f s", named(settings), 100 * trial.top1, trial.loss, trial.seconds
        )
        self._on_progress("trying settings", len(self.trials), len(self.trials) + 1)
        return trial

    def closer(self, settings: TrainSettings) -> Trial | None:
        """Look closer with these settings, where there is time for it."""
        needed, left = self._field.closer_seconds(settings), self._deadline - time.perf_counter()
        if needed > left:
            self.skipped.append(f"Looking closer: would take some {needed:.0f} s, and {max(left, 0):.0f} s are left.")
            return None
        basis = _feature_settings(settings)
        known = self._views is not None and self._views[0] == basis
        views = self._views[1] if known and self._views is not None else self._field.views(basis)
        return self._field.closer(settings, views)


def _feature_settings(settings: TrainSettings) -> TrainSettings:
    """The settings that decide the features; views around boxes are always among them."""
    return dataclasses.replace(
        settings, boxes=True, head=TrainSettings.head, l2=TrainSettings.l2, hidden=TrainSettings.hidden
    )


def named(settings: TrainSettings) -> str:
    """Settings in few words."""
    parts = [
        settings.backbone,
        f"{settings.size or find(settings.backbone).size} px",
        settings.resize,
        settings.pooling,
    ]
    parts.append(f"linear, l2 {settings.l2:g}" if settings.head == "linear" else f"mlp of {settings.hidden}")
    return ", ".join(parts if settings.boxes else [*parts, "no boxes"])
