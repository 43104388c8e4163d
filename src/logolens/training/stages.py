"""The stages of a training, in order: each takes values and gives a value, and none looks back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset, Note, Split
from logolens.data.composed import is_composed
from logolens.metrics import Evaluation
from logolens.models.backbones import ExportedBackbone, prepare
from logolens.models.box_regressor import Localiser
from logolens.models.calibration import Calibration, calibrate
from logolens.models.experts import late_experts
from logolens.models.head import Epoch, Head, fit_head
from logolens.training.finetune import Finetuning, Held, Tuned
from logolens.training.leave_one_out import measured_by_leaving_out
from logolens.training.multiview import MultiViewTraining
from logolens.training.out_of_fold import OutOfFold
from logolens.training.precision import Precision, Viewed, choose_precision
from logolens.training.prepare_data import assemble
from logolens.training.samples import Picker, Sample, classes_of, features_of, samples_of
from logolens.training.task import Task
from logolens.types import FloatArray32, Message, Progress

if TYPE_CHECKING:
    pass

__all__ = [
    "Asked",
    "Callbacks",
    "Fitted",
    "Measured",
    "MultiViewFit",
    "fine_tune",
    "fit_frozen",
    "fit_multiview",
    "leave_one_out",
    "measure",
]


@dataclass(frozen=True)
class Asked:
    """What a training was asked for.

    Attributes:
        data: the photos, as `train` takes them.
        out: the bundle's folder; None where none is to be written.
        settings: everything else.
        restart: set an earlier fine-tuning's checkpoint aside.
    """

    data: Path
    out: Path | None
    settings: TrainSettings
    restart: bool


@dataclass(frozen=True)
class Callbacks:
    """What a training calls as it goes on.

    Attributes:
        progress: of the work as it is done.
        announce: of what should be known at once.
        on_epoch: of each epoch of the head and of fine-tuning, with the stage's name.
    """

    progress: Progress
    announce: Message
    on_epoch: Callable[[str, Epoch], None] = lambda stage, epoch: None


class Clock(Protocol):
    """Told when a stage ends."""

    def lap(self, name: str, *, when: bool = True) -> None:
        """The stage of this name has ended."""


@dataclass(frozen=True)
class Fitted:
    """All that a training has once a head stands on a network's features.

    Attributes:
        settings: of the training.
        dataset: the photos.
        splits: how they are divided.
        backbone: the network.
        preprocessing: how a view becomes its input.
        samples: the views that have features.
        features: one row a sample.
        classes: the head's outputs, the background last where it is learned.
        head: the head.
        finetuning: what fine-tunes the network, where that is asked for.
        tuned: what came of it, once it is done.
        precision: which numbers the network computes in, and why; None where it was not asked.
    """

    settings: TrainSettings
    dataset: Dataset
    splits: Split
    backbone: ExportedBackbone
    preprocessing: Preprocessing
    samples: Sequence[Sample]
    features: FloatArray32
    classes: tuple[str, ...]
    head: Head
    finetuning: Finetuning | None = None
    tuned: Tuned | None = None
    precision: Precision | None = None

    @property
    def background(self) -> bool:
        """Whether the background is learned."""
        return BACKGROUND in self.classes

    @property
    def pick(self) -> Picker:
        """The samples, by what they are for."""
        return Picker(self.samples, self.features, self.classes)

    def held(self) -> list[Held]:
        """The validation views that judge fine-tuning: those that judge the head."""
        return [
            Held(sample.photo, sample.view, self.classes.index(sample.label))
            for sample in self.samples
            if sample.split == "val" and sample.label in self.classes and (sample.whole or sample.label == BACKGROUND)
        ]


def fit_frozen(asked: Asked, callbacks: Callbacks, clock: Clock) -> Fitted:
    """From the data to a head on the features of the network as it was pre-trained.

    A checkpoint of an earlier fine-tuning is looked for beside ``asked.out``.
    """
    settings, on_progress = asked.settings, callbacks.progress
    dataset, splits = assemble(asked.data, settings, on_progress, callbacks.announce)
    clock.lap("data")

    on_progress("preparing the backbone", 0, 1)
    backbone = prepare(settings.backbone, size=settings.size, weights=settings.weights, pooling=settings.pooling)
    preprocessing = Preprocessing(size=backbone.size, resize=settings.resize, mean=backbone.mean, std=backbone.std)
    finetuning = None
    if settings.finetune != "none":
        finetuning = Finetuning(asked.out, dataset, splits, backbone, preprocessing, settings, restart=asked.restart)
    on_progress("preparing the backbone", 1, 1)
    clock.lap("backbone")

    samples = samples_of(dataset, splits, settings)
    classes, background = classes_of(dataset, samples, settings)

    def fit(pick: Picker, on_epoch: Callable[[Epoch], None] | None = None) -> Head:
        learned, held = pick.examples("train"), pick.examples("val", whole=True)
        return fit_head(learned, held, len(classes), settings.head_settings(), background=background, progress=on_epoch)

    def on_epoch(epoch: Epoch) -> None:
        on_progress("training", epoch.epoch, settings.epochs)
        callbacks.on_epoch("head", epoch)

    precision = Precision(backbone)
    if finetuning is None:  # Else the fine-tuned network is what is quantised.
        viewed = Viewed(dataset, samples, classes, preprocessing, settings)
        precision = _announced(choose_precision(backbone, viewed, fit, on_progress), callbacks)
        clock.lap("precision", when=precision.facts is not None)
    backbone = precision.backbone
    features = features_of(dataset, samples, backbone, preprocessing, settings, on_progress)
    clock.lap("features")

    head = fit(Picker(samples, features, classes), on_epoch)
    clock.lap("head")
    return Fitted(
        settings,
        dataset,
        splits,
        backbone,
        preprocessing,
        samples,
        features,
        classes,
        head,
        finetuning,
        precision=precision,
    )


def _announced(precision: Precision, callbacks: Callbacks) -> Precision:
    if precision.note is not None:
        callbacks.announce(precision.note)
    return precision


def fine_tune(fitted: Fitted, callbacks: Callbacks) -> Fitted:
    """The same on the fine-tuned network, where that is asked for; the features are its own."""
    if fitted.finetuning is None:
        return fitted
    tuned = fitted.finetuning.run(
        fitted.head,
        fitted.pick.examples("train"),
        fitted.held(),
        fitted.classes,
        progress=callbacks.progress,
        announce=callbacks.announce,
        on_epoch=callbacks.on_epoch,
    )
    samples = [sample for sample in fitted.samples if sample.split != "train"]
    # No other run has use for the features of this network.
    uncached = dataclasses.replace(fitted.settings, cache=False)
    viewed = Viewed(fitted.dataset, fitted.samples, fitted.classes, fitted.preprocessing, uncached)
    precision = _announced(choose_precision(tuned.backbone, viewed, tuned.head, callbacks.progress), callbacks)
    network = precision.backbone
    features = features_of(fitted.dataset, samples, network, fitted.preprocessing, uncached, callbacks.progress)
    return dataclasses.replace(
        fitted, backbone=network, head=tuned.head, samples=samples, features=features, tuned=tuned, precision=precision
    )


@dataclass(frozen=True)
class MultiViewFit:
    """What held-out photos decided, and the head that will answer.

    Attributes:
        head: of the bundle; fitted once more with the validation photos where the settings say so.
        calibration: of the whole photo's logits.
        training: what looks closer; None where only whole photos are looked at.
        held_out: what the experts are worth; None where too few photos can be held out.
    """

    head: Head
    calibration: Calibration
    training: MultiViewTraining | None
    held_out: OutOfFold | None


def fit_multiview(fitted: Fitted, callbacks: Callbacks, clock: Clock) -> MultiViewFit:
    """Decide from held-out photos what each expert is worth, then let the head learn from the validation photos too."""
    settings, pick = fitted.settings, fitted.pick
    held = pick.examples("val", whole=True)
    calibration = calibrate(
        fitted.head.logits(held.features),
        held.truth,
        background=fitted.background,
        max_false_alarms=settings.max_false_alarms,
    )
    training, held_out = None, None
    if settings.views != "whole":
        task = Task(fitted.dataset, fitted.splits, fitted.classes, settings, callbacks.progress)
        training = MultiViewTraining(task.with_network(fitted.backbone, fitted.preprocessing))
        held_out = training.decide(fitted.samples, fitted.features, fitted.head, tuned=fitted.tuned is not None)
        clock.lap("looking closer")
        if held_out is not None:
            for expert in late_experts():
                held_out = held_out.with_late(expert)
                clock.lap(expert.name, when=expert.name in held_out.late)
    return MultiViewFit(_refitted(fitted), calibration, training, held_out)


def _refitted(fitted: Fitted) -> Head:
    """The head, fitted once more with the validation photos where the settings say so and there are any."""
    head, pick = fitted.head, fitted.pick
    if not fitted.settings.refit or not pick.shows_logos("val"):
        return head
    again = fit_head(
        pick.examples("train", "val"),
        None,
        len(fitted.classes),
        fitted.settings.head_settings(),
        background=fitted.background,
        epochs=head.best_epoch,
    )
    return dataclasses.replace(again, history=head.history, best_epoch=head.best_epoch)


@dataclass(frozen=True)
class Measured:
    """How good what was trained is.

    Attributes:
        figures: of the splits "val" and "test"; None of a split without photos that show a logo.
        localiser: what tells where in a view a logo lies; None where nothing does.
        few: what leaving photos out one at a time tells, where they are too few for either split.
    """

    figures: dict[str, Evaluation | None]
    localiser: Localiser | None
    few: tuple[Note, ...] = ()

    @property
    def split(self) -> str:
        """The split that stands for unseen photos."""
        return "test" if self.figures["test"] is not None else "val"

    @property
    def evaluation(self) -> Evaluation | None:
        """Its figures."""
        return self.figures[self.split]


def measure(fitted: Fitted, multiview: MultiViewFit) -> Measured:
    """Measure on photos that were not learned from, as the bundle will answer."""
    pick, dataset, held_out = fitted.pick, fitted.dataset, multiview.held_out
    if held_out is None or multiview.training is None:
        val = pick.evaluate(fitted.head, multiview.calibration, dataset, "val")
        test = pick.evaluate(multiview.head, multiview.calibration, dataset, "test")
        # Without evidence there is no looking closer, and no one to ask where.
        return Measured({"val": val, "test": test}, None)
    threshold = held_out.calibration.threshold
    figures: dict[str, Evaluation | None] = {
        "val": pick.measure(held_out.labels, held_out.scores, held_out.rows, threshold, dataset),
        "test": None,
    }
    if rows := pick.judged("test"):
        answers = multiview.training.answer([fitted.samples[row] for row in rows], multiview.head, held_out)
        figures["test"] = pick.measure(*answers, rows, threshold, dataset)
    return Measured(figures, multiview.training.localiser(multiview.head))


def leave_one_out(fitted: Fitted, measured: Measured) -> tuple[Note, ...]:
    """What leaving photos out one at a time tells, where nothing else was measured; nothing of composed images."""
    dataset = fitted.dataset
    if measured.evaluation is not None or fitted.tuned is not None or any(map(is_composed, dataset.photos)):
        return ()
    epochs = fitted.head.best_epoch
    return (measured_by_leaving_out(dataset, fitted.samples, fitted.features, fitted.classes, fitted.settings, epochs),)
