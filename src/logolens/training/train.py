"""From a folder of photos to a bundle: load, split, look, fit, measure, write."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from logolens.bundle.format import LOCALISER, MATCHER, WORDS, attach_head, check_out, write_bundle
from logolens.bundle.manifest import manifest_of, write_split
from logolens.bundle.model_card import model_card
from logolens.bundle.plots import plot_confusion, plot_curves, write_history
from logolens.bundle.words import save_words
from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset, Note, Split
from logolens.data.composed import is_composed
from logolens.errors import UsageError, require
from logolens.metrics import Evaluation
from logolens.models.backbones import ExportedBackbone, prepare
from logolens.models.calibration import calibrate
from logolens.models.head import CosineHead, Head, fit_head
from logolens.models.matcher.serialization import save_matcher
from logolens.training.finetune import Finetuning, Held, RateTest, rate_files
from logolens.training.gallery import facts_of, head_facts, of_training, write_ledger
from logolens.training.leave_one_out import measured_by_leaving_out
from logolens.training.multiview import MultiViewTraining
from logolens.training.pairwise import Contrasted
from logolens.training.prepare_data import assemble
from logolens.training.samples import Picker, Sample, classes_of, features_of, samples_of
from logolens.types import Progress, silent

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["TrainResult", "find_rate", "train"]


@dataclass(frozen=True)
class TrainResult:
    """What a training run gave.

    Attributes:
        bundle: the folder that was written.
        manifest: as written to ``manifest.json``.
        evaluation: on the test photos, or on the validation photos where no test part was kept; None without either.
        part: which of the two, "test" or "val".
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
    announce: Callable[[str], None] | None = None,
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

    Raises:
        UsageError: a setting cannot work, ``out`` holds something, or the checkpoint beside it is another run's.
        DataError: the data cannot be used; LeakError when its own split holds the same photo twice.
        WeightsError: the backbone's weights cannot be had.
        MissingExtraError: the extra ``train`` is not installed.
    """
    data, out = Path(data), Path(out)
    check_out(out, force)
    require("torch", "train")  # Now, and not after all photos have been read.
    on_progress = progress or silent
    clock = _Clock()
    if settings.finetune != "none":
        # The head belongs to weights that were chosen on the validation photos; it cannot learn from them as well.
        settings = dataclasses.replace(settings, refit=False)
    if settings.head == "gallery":
        # The matcher's own references and the names would not follow when labels are added.
        settings = dataclasses.replace(settings, matcher="off", words="off", names=None)
    on_message = announce or (lambda text: None)
    frozen = _fit_frozen(data, out, settings, restart, on_progress, on_message, clock)
    dataset, splits, backbone, classes = frozen.dataset, frozen.splits, frozen.backbone, frozen.classes
    samples, features, head = frozen.samples, frozen.features, frozen.head
    tuned = None
    if frozen.finetuning is not None:
        tuned = frozen.finetuning.run(
            head,
            frozen.pick.examples("train"),
            frozen.held(),
            classes,
            progress=on_progress,
            announce=on_message,
        )
        backbone, head = tuned.backbone, tuned.head
        samples = [sample for sample in samples if sample.split != "train"]
        # No other run has use for the features of this network.
        uncached = dataclasses.replace(settings, cache=False)
        features = features_of(dataset, samples, backbone, frozen.preprocessing, uncached, on_progress)
        clock.lap("fine-tuning")

    pick = Picker(samples, features, classes)
    held = pick.examples("val", whole=True)
    calibration = calibrate(
        head.logits(held.features),
        held.truth,
        background=frozen.background,
        max_false_alarms=settings.max_false_alarms,
    )
    figures = {"val": pick.evaluate(head, calibration, dataset, "val")}
    closer = MultiViewTraining(dataset, splits, classes, backbone, frozen.preprocessing, settings, on_progress)
    held_out, contrasted = None, None
    if settings.views != "whole":
        held_out = closer.decide(samples, features, head, tuned=tuned is not None)
        clock.lap("looking closer")
    if held_out is not None and settings.contrast:
        contrasted, held_out = closer.contrast(samples, held_out)
        clock.lap("contrast")
    if settings.refit and figures["val"] is not None:
        again = fit_head(
            pick.examples("train", "val"),
            None,
            len(classes),
            settings.head_settings(),
            background=frozen.background,
            epochs=head.best_epoch,
        )
        head = dataclasses.replace(again, history=head.history, best_epoch=head.best_epoch)
    rows = pick.judged("test")
    if held_out is None:
        figures["test"] = pick.evaluate(head, calibration, dataset, "test")
    else:
        threshold = held_out.calibration.threshold
        figures["val"] = pick.measure(held_out.labels, held_out.scores, held_out.rows, threshold, dataset)
        figures["test"] = None
        if rows:
            answers = closer.answer([samples[row] for row in rows], head, held_out, contrasted)
            figures["test"] = pick.measure(*answers, rows, threshold, dataset)
    # Without evidence there is no looking closer, and no one to ask where.
    localiser = closer.localiser(head) if held_out is not None else None
    clock.lap("measuring")

    split = "test" if figures["test"] is not None else "val"
    evaluation = figures[split]
    few: tuple[Note, ...] = ()
    if evaluation is None and tuned is None and not any(is_composed(photo) for photo in dataset.photos):
        few = (measured_by_leaving_out(dataset, samples, features, classes, settings, head.best_epoch),)
        clock.lap("leaving one out")
    gallery, references = None, []
    if isinstance(head, CosineHead):
        learned = pick.rows("train", "val") if settings.refit and figures["val"] is not None else pick.rows("train")
        references = of_training(dataset, samples, learned, classes)
        gallery = facts_of(head, dataset.labels, references, calibration, settings.max_false_alarms, begun="training")
    manifest = manifest_of(
        "train",
        data,
        dataset=dataset,
        splits=splits,
        settings=vars(settings),
        backbone=backbone,
        preprocessing=frozen.preprocessing,
        background=BACKGROUND in classes,
        head=_facts_of(head, settings),
        calibration=calibration,
        figures=figures,
        notes=(*(tuned.notes if tuned is not None else ()), *map(str, few)),
        finetune=tuned.facts if tuned is not None else None,
        closer=held_out.facts(localised=localiser is not None) if held_out is not None else None,
        gallery=gallery,
        contrast=list(contrasted.facts) if contrasted is not None else [],
    )

    def extras(folder: Path) -> None:
        history: list[dict[str, Any]] = [epoch.row() for epoch in head.history]
        if tuned is not None:
            history = [{**row, "stage": stage} for row, stage in zip(history, tuned.stages, strict=True)]
        if history:
            write_history(history, folder / "history.csv")
            plot_curves(history, folder / "curves.png", kept=head.best_epoch)
        if gallery is not None:
            write_ledger(references, folder)
        if evaluation is not None:
            plot_confusion(evaluation, folder / "confusion.png")
        write_split(dataset, splits, folder / "split.csv")
        if held_out is not None and held_out.matcher is not None:
            save_matcher(held_out.matcher, folder / MATCHER)
        if held_out is not None and held_out.words is not None and held_out.words.expert is not None:
            save_words(held_out.words.expert, folder / WORDS)
        if localiser is not None:
            localiser.save(folder / LOCALISER)
        if contrasted is not None:
            contrasted.save(folder)
        card = model_card(manifest, evaluation.to_json() if evaluation is not None else None)
        (folder / "README.md").write_text(card, encoding="utf-8")

    on_progress("writing the bundle", 0, 1)
    manifest = write_bundle(
        out,
        manifest=manifest,
        classes=classes,
        model=attach_head(backbone.path, head, calibration),
        head=head,
        extras=extras,
        force=force,
    )
    if frozen.finetuning is not None:
        frozen.finetuning.close()
    on_progress("writing the bundle", 1, 1)
    clock.lap("bundle")
    notes = tuple(
        str(note)
        for note in (
            *dataset.notes,
            *splits.notes,
            *few,
            *(tuned.notes if tuned else ()),
            *((held_out.stack.reason, *held_out.notes) if held_out is not None else ()),
            *((held_out.words.reason, *held_out.words.notes) if held_out is not None and held_out.words else ()),
            *_told(settings, contrasted),
        )
    )
    return TrainResult(out, manifest, evaluation, split, notes, clock.laps)


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
    on_progress = progress or silent
    frozen = _fit_frozen(Path(data), None, settings, False, on_progress, lambda text: None, _Clock())
    assert frozen.finetuning is not None
    return frozen.finetuning.find_rate(
        frozen.head, frozen.pick.examples("train"), frozen.held(), frozen.classes, progress=on_progress
    )


@dataclass(frozen=True)
class _Frozen:
    """All that a training has once a head stands on the frozen features."""

    dataset: Dataset
    splits: Split
    backbone: ExportedBackbone
    preprocessing: Preprocessing
    samples: list[Sample]
    features: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    background: bool
    head: Head
    finetuning: Finetuning | None

    @property
    def pick(self) -> Picker:
        return Picker(self.samples, self.features, self.classes)

    def held(self) -> list[Held]:
        """The validation views that judge fine-tuning: those that judge the head."""
        return [
            Held(sample.photo, sample.view, self.classes.index(sample.label))
            for sample in self.samples
            if sample.split == "val" and sample.label in self.classes and (sample.whole or sample.label == BACKGROUND)
        ]


def _fit_frozen(
    data: Path,
    out: Path | None,
    settings: TrainSettings,
    restart: bool,
    on_progress: Progress,
    announce: Callable[[str], None],
    clock: _Clock,
) -> _Frozen:
    """From the data to a head on frozen features; a checkpoint is looked for beside ``out``."""
    dataset, splits = assemble(data, settings, on_progress, announce)
    clock.lap("data")

    on_progress("preparing the backbone", 0, 1)
    backbone = prepare(settings.backbone, size=settings.size, weights=settings.weights, pooling=settings.pooling)
    preprocessing = Preprocessing(size=backbone.size, resize=settings.resize, mean=backbone.mean, std=backbone.std)
    finetuning = None
    if settings.finetune != "none":
        finetuning = Finetuning(out, dataset, splits, backbone, preprocessing, settings, restart=restart)
    on_progress("preparing the backbone", 1, 1)
    clock.lap("backbone")

    samples = samples_of(dataset, splits, settings)
    features = features_of(dataset, samples, backbone, preprocessing, settings, on_progress)
    clock.lap("features")

    classes, background = classes_of(dataset, samples, settings)
    pick = Picker(samples, features, classes)
    head = fit_head(
        pick.examples("train"),
        pick.examples("val", whole=True),
        len(classes),
        settings.head_settings(),
        background=background,
        progress=lambda epoch: on_progress("training", epoch.epoch, settings.epochs),
    )
    clock.lap("head")
    return _Frozen(dataset, splits, backbone, preprocessing, samples, features, classes, background, head, finetuning)


def _facts_of(head: Head, settings: TrainSettings) -> dict[str, Any]:
    """What the manifest says of the head."""
    if isinstance(head, CosineHead):
        return head_facts(head)
    return {
        "kind": settings.head,
        "layers": [list(weights.shape) for weights, _ in head.layers],
        "parameters": head.parameters,
        "epochs": len(head.history),
        "best_epoch": head.best_epoch,
    }


def _told(settings: TrainSettings, contrasted: Contrasted | None) -> tuple[str, ...]:
    """What came of the pairs."""
    if contrasted is None and settings.contrast:
        return (
            "No pair was contrasted: too few photos can be held out to decide whether that helps. Add photos of each label.",
        )
    return contrasted.notes if contrasted is not None else ()


class _Clock:
    """Seconds from one lap to the next."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now
