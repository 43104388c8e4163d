"""From a folder of photos to a bundle: load, split, look, fit, measure, write."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logolens.bundle.format import check_out
from logolens.config import TrainSettings
from logolens.data import Note
from logolens.errors import UsageError, require
from logolens.metrics import Evaluation
from logolens.models.devices import check_device
from logolens.models.experts import late_experts
from logolens.models.head import Epoch
from logolens.training.bundle_stage import write
from logolens.training.finetune import RateTest, rate_files
from logolens.training.stages import (
    Asked,
    Callbacks,
    Fitted,
    MultiViewFit,
    fine_tune,
    fit_frozen,
    fit_multiview,
    leave_one_out,
    measure,
)
from logolens.training.tracking import Tracked
from logolens.types import Message, Progress, silent

__all__ = ["TrainResult", "find_rate", "train"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a training run gave.

    Attributes:
        bundle: the folder that was written.
        manifest: as written to ``manifest.json``.
        evaluation: on the test photos, or on the validation photos where no test part was kept; None without either.
        split: which of the two, "test" or "val".
        notes: what was odd about the data, a sentence each.
        seconds: how long each stage took.
    """

    bundle: Path
    manifest: dict[str, Any]
    evaluation: Evaluation | None
    split: str
    notes: tuple[str, ...]
    seconds: dict[str, float]


def train(
    data: Path | str,
    out: Path | str,
    settings: TrainSettings = TrainSettings(),
    *,
    force: bool = False,
    restart: bool = False,
    progress: Progress | None = None,
    announce: Message | None = None,
    on_stage: Callable[[str, float], object] | None = None,
    on_epoch: Callable[[str, Epoch], object] | None = None,
    log: Sequence[str] = (),
    log_folder: Path | str = "runs",
) -> TrainResult:
    """Train a classifier and write it as a bundle.

    Args:
        data: a folder with one subfolder a label, a .csv or .jsonl list, or the Flickr Logos 27 archive or folder; with
            ``settings.synthesize`` and no ``settings.artwork``, a folder of artwork.
        out: the bundle's folder; it must be empty or absent, or a bundle when ``force`` is set.
        settings: everything else.
        force: replace a bundle that is there.
        restart: set the checkpoint that an earlier fine-tuning left beside ``out`` aside, instead of going on with it.
        progress: told of the work as it is done.
        announce: told what should be known at once, a sentence each: what stands out among the data, and how long
            fine-tuning will take.
        on_stage: called as ``on_stage(name, seconds)`` when a stage has ended: data, backbone, features, head and so on. What it
            raises ends the training.
        on_epoch: called as ``on_epoch(stage, epoch)`` after each epoch of the stages "head" and "fine-tuning"; ``epoch`` has
            ``epoch``, ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``. What it raises ends the training.
        log: where figures go as well: "tensorboard", "mlflow", "wandb".
        log_folder: where TensorBoard's and Weights & Biases' files go; MLflow goes where its own settings say.

    Raises:
        UsageError: a setting cannot work, ``out`` holds something, or the checkpoint beside it is another run's.
        DataError: the data cannot be used; LeakError when its own split holds the same photo twice.
        WeightsError: the backbone's weights cannot be had.
        DeviceError: what the network is to run on is not there.
        MissingExtraError: the extra ``train`` is not installed.
    """
    data, out = Path(data), Path(out)
    check_out(out, force)
    require("torch", "train")  # Now, and not after all photos have been read.
    check_device(settings.device)
    _LOG.info("training on %s, for %s", data, out)
    asked = Asked(data, out, _that_work(settings), restart)
    tracked = Tracked(log, out, asked.settings, Path(log_folder))

    def stage_ended(name: str, seconds: float) -> None:
        tracked.stage(name, seconds)
        if on_stage is not None:
            on_stage(name, seconds)

    def epoch_ended(stage: str, epoch: Epoch) -> None:
        tracked.epoch(stage, epoch)
        if on_epoch is not None:
            on_epoch(stage, epoch)

    callbacks = Callbacks(progress or silent, announce or (lambda text: None), epoch_ended)
    try:
        result = _train(asked, callbacks, _Clock(stage_ended), force)
    except BaseException:
        tracked.end({}, None)
        raise
    tracked.end(_figures(result), out)
    return result


def _figures(result: TrainResult) -> dict[str, float]:
    """The figures that a tracker keeps at the end, those that were measured."""
    its = result.evaluation
    if its is None:
        return {}
    figures = {"top1": its.top1, "top5": its.top5, "macro_f1": its.macro_f1, "ece": its.ece, "miss_rate": its.missed}
    if its.none is not None:
        figures |= {"auroc": its.none.auroc, "false_alarm_rate": its.none.false_alarm_rate}
    return {f"{result.split}/{name}": float(value) for name, value in figures.items() if value is not None}


def _train(asked: Asked, callbacks: Callbacks, clock: _Clock, force: bool) -> TrainResult:
    out = asked.out
    assert out is not None
    frozen = fit_frozen(asked, callbacks, clock)
    tuned = fine_tune(frozen, callbacks)
    clock.lap("fine-tuning", when=tuned is not frozen)
    multiview = fit_multiview(tuned, callbacks, clock)
    measured = measure(tuned, multiview)
    clock.lap("measuring")
    few = leave_one_out(tuned, measured)
    clock.lap("leaving one out", when=bool(few))

    callbacks.progress("writing the bundle", 0, 1)
    manifest = write(asked, tuned, multiview, dataclasses.replace(measured, few=few), force=force)
    callbacks.progress("writing the bundle", 1, 1)
    clock.lap("bundle")
    return TrainResult(
        out, manifest, measured.evaluation, measured.split, _notes(asked.settings, tuned, multiview, few), clock.laps
    )


def _that_work(settings: TrainSettings) -> TrainSettings:
    """Settings that go together."""
    if settings.finetune != "none":
        # The head belongs to weights that were chosen on the validation photos; it cannot learn from them as well.
        settings = dataclasses.replace(settings, refit=False)
    if settings.head == "gallery":
        # The matcher's own references and the names would not follow when labels are added.
        settings = dataclasses.replace(settings, matcher="off", words="off", names=None)
    return settings


def _notes(settings: TrainSettings, fitted: Fitted, multiview: MultiViewFit, few: Sequence[Note]) -> tuple[str, ...]:
    """What was odd about the data, and what was decided, a sentence each."""
    held_out = multiview.held_out
    notes = [*fitted.dataset.notes, *fitted.splits.notes, *few, *(fitted.tuned.notes if fitted.tuned else ())]
    if fitted.precision is not None and fitted.precision.note is not None:
        notes.append(fitted.precision.note)
    if held_out is not None:
        notes += [held_out.weights.reason, *held_out.knowledge.notes]
        if (unknown := held_out.unknown) is not None:
            notes.append(
                f"Brands it never saw: of {unknown['photos']:.0f} photos of labels that were left out in turn, "
                f"{unknown['labelled']:.0%} would get a label ({settings.max_false_alarms:.0%} asked); "
                f"{unknown['kept']:.0%} of the photos with a logo keep theirs. --max-false-alarms moves both, "
                "--no-unknown-brands leaves unknown brands aside."
            )
    for expert in late_experts():
        if held_out is None:
            notes += expert.untried(settings)
        elif (fit := held_out.late.get(expert.name)) is not None:
            notes += fit.notes
    return tuple(map(str, notes))


def find_rate(
    data: Path | str,
    out: Path | str,
    settings: TrainSettings,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> RateTest:
    """The learning-rate range test of fine-tuning: trains with a growing rate, keeps nothing, and suggests one.

    Args:
        data: as for `train`.
        out: the bundle's folder of the training to come; `RateTest.write` writes beside it, this function nothing.
        settings: as for `train`; ``finetune`` says what is trained.
        force: go on although an earlier test's files are there.
        progress: told of the work as it is done.

    Raises:
        UsageError: ``finetune`` is "none", an earlier test's files are there, or as for `train`.
        DataError: as for `train`, or no rate can be suggested.
    """
    if settings.finetune == "none":
        raise UsageError("A rate can be found for fine-tuning only; say what is trained, as in --finetune all.")
    if not force and (there := [path for path in rate_files(Path(out)) if path.exists()]):
        raise UsageError(f"{there[0]} is there already; name another bundle, or replace it with --force.")
    require("torch", "train")
    callbacks = Callbacks(progress or silent, lambda text: None)
    frozen = fit_frozen(Asked(Path(data), None, settings, False), callbacks, _Clock())
    assert frozen.finetuning is not None
    return frozen.finetuning.find_rate(
        frozen.head, frozen.pick.examples("train"), frozen.held(), frozen.classes, progress=callbacks.progress
    )


class _Clock:
    """Seconds from one lap to the next."""

    def __init__(self, ended: Callable[[str, float], None] = lambda name, seconds: None) -> None:
        self._ended = ended
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str, *, when: bool = True) -> None:
        if not when:
            return
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        _LOG.info("%s: %.1f s", name, self.laps[name])
        self._last = now
        self._ended(name, self.laps[name])
