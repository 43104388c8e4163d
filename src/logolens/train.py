"""From a folder of photos to a bundle: load, split, look, fit, measure, write."""

from __future__ import annotations

import csv
import dataclasses
import importlib.metadata
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens import report
from logolens._version import __version__
from logolens.backbones import ExportedBackbone, prepare
from logolens.bundle import FORMAT, check_out, join, write_bundle
from logolens.calibration import Calibration, calibrate, margins
from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.datasets import Dataset, Photo, Split, load, split
from logolens.errors import DataError
from logolens.features import FeatureCache, Sight, extract
from logolens.head import Examples, Head, fit_head
from logolens.metrics import Evaluation, evaluate
from logolens.session import Session
from logolens.views import WHOLE, View, around, background_views, inner_view

__all__ = ["Progress", "TrainResult", "train"]

Progress = Callable[[str, int, int], None]
"""Told of work as it is done: what is being done, how much of it is, and how much there is."""

_BOX_MARGIN = 1.35
"""Side of the square cut around a box, in longer sides of the box: some surroundings help to tell logos apart."""

_BACKGROUND_VIEWS = {"train": 2, "val": 1, "test": 1}
"""Logo-free regions taken from a photo with boxes."""

_FEW_BACKGROUND = 10
"""With fewer views that show no logo, in training or in validation, the background is not learned."""


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
    part: str
    notes: tuple[str, ...]
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Look:
    """One view of one photo: what the head learns from or is judged on."""

    photo: int
    view: View
    label: str
    part: str
    whole: bool


def train(
    data: Path | str,
    out: Path | str,
    settings: TrainSettings = TrainSettings(),
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a classifier and write it as a bundle.

    Args:
        data: a folder with one subfolder a label, a .csv or .jsonl list, or the Flickr Logos 27 archive or folder.
        out: the bundle's folder; it must be empty or absent, or a bundle when ``force`` is set.
        settings: everything else.
        force: replace a bundle that is there.
        progress: told of the work as it is done.

    Raises:
        UsageError: a setting cannot work, or ``out`` holds something.
        DataError: the data cannot be used; LeakError when its own split holds the same photo twice.
        WeightsError: the backbone's weights cannot be had.
    """
    data, out = Path(data), Path(out)
    check_out(out, force)
    say = progress or (lambda stage, done, total: None)
    clock = _Clock()

    dataset = load(data, progress=lambda done, total: say("reading photos", done, total))
    parts = split(dataset, settings.split_settings(), allow_leaks=settings.allow_leaks)
    clock.lap("data")

    say("preparing the backbone", 0, 1)
    backbone = prepare(settings.backbone, size=settings.size, weights=settings.weights, pooling=settings.pooling)
    say("preparing the backbone", 1, 1)
    clock.lap("backbone")

    preprocessing = Preprocessing(size=backbone.size, resize=settings.resize, mean=backbone.mean, std=backbone.std)
    looks = _looks(dataset, parts, settings)
    features = _features(dataset, looks, backbone, preprocessing, settings, say)
    clock.lap("features")

    classes, background = _classes(dataset, looks, settings)
    pick = _Picker(looks, features, classes)
    head = fit_head(
        pick.examples("train"),
        pick.examples("val", whole=True),
        len(classes),
        settings.head_settings(),
        progress=lambda epoch: say("training", epoch.epoch, settings.epochs),
    )
    held = pick.examples("val", whole=True)
    calibration = calibrate(
        head.logits(held.features),
        held.truth,
        background=background,
        max_false_alarms=settings.max_false_alarms,
    )
    figures: dict[str, Evaluation | None] = {"val": pick.evaluate(head, calibration, dataset, "val"), "test": None}
    if settings.refit and figures["val"] is not None:
        again = fit_head(
            pick.examples("train", "val"), None, len(classes), settings.head_settings(), epochs=head.best_epoch
        )
        head = dataclasses.replace(again, history=head.history, best_epoch=head.best_epoch)
    figures["test"] = pick.evaluate(head, calibration, dataset, "test")
    clock.lap("head")

    part = "test" if figures["test"] is not None else "val"
    evaluation = figures[part]
    manifest = _manifest(data, dataset, parts, settings, backbone, preprocessing, head, calibration, classes, figures)

    def extras(folder: Path) -> None:
        history = [epoch.row() for epoch in head.history]
        report.write_history(history, folder / "history.csv")
        report.plot_curves(history, folder / "curves.png", kept=head.best_epoch)
        if evaluation is not None:
            report.plot_confusion(evaluation, folder / "confusion.png")
        _write_split(dataset, parts, folder / "split.csv")
        card = report.model_card(manifest, evaluation.to_json() if evaluation is not None else None)
        (folder / "README.md").write_text(card, encoding="utf-8")

    say("writing the bundle", 0, 1)
    manifest = write_bundle(
        out,
        manifest=manifest,
        classes=classes,
        model=join(backbone.path, head, calibration),
        head=head,
        extras=extras,
        force=force,
    )
    say("writing the bundle", 1, 1)
    clock.lap("bundle")
    notes = tuple(str(note) for note in (*dataset.notes, *parts.notes))
    return TrainResult(out, manifest, evaluation, part, notes, clock.laps)


class _Clock:
    """Seconds from one lap to the next."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


def _looks(dataset: Dataset, parts: Split, settings: TrainSettings) -> list[_Look]:
    """Every view that is needed, in the order of the photos.

    A photo of two brands has no one answer as a whole, so only its boxes are learned from.
    """
    looks: list[_Look] = []
    for part, members in (("train", parts.train), ("val", parts.val), ("test", parts.test)):
        for number in members:
            photo = dataset.photos[number]
            if len(photo.labels) == 1 or part == "test":
                looks.append(_Look(number, WHOLE, photo.label, part, True))
            size = (photo.width, photo.height)
            boxes = [(box.x1, box.y1, box.x2, box.y2) for box in photo.boxes]
            # Seeded by content: the same photo gives the same views on every machine.
            rng = np.random.default_rng(int(photo.sha256[:16], 16))
            if part == "train" and len(photo.labels) == 1:
                looks.append(_Look(number, inner_view(boxes, size, rng), photo.label, part, False))
            if settings.boxes and part == "train":
                looks += [
                    _Look(
                        number, around((box.x1, box.y1, box.x2, box.y2), size, _BOX_MARGIN), region.label, part, False
                    )
                    for region in photo.regions
                    if (box := region.box) is not None and region.label != BACKGROUND
                ]
            if settings.background and photo.label != BACKGROUND:
                looks += [
                    _Look(number, view, BACKGROUND, part, False)
                    for view in background_views(boxes, size, rng, _BACKGROUND_VIEWS[part])
                ]
    return looks


def _features(
    dataset: Dataset,
    looks: Sequence[_Look],
    backbone: ExportedBackbone,
    preprocessing: Preprocessing,
    settings: TrainSettings,
    say: Progress,
) -> npt.NDArray[np.float32]:
    """Features of all looks, one row each; looks at one photo stand together, so each photo is decoded once."""
    sights: list[Sight] = []
    views: list[View] = []
    for position, look in enumerate(looks):
        views.append(look.view)
        if position + 1 == len(looks) or looks[position + 1].photo != look.photo:
            photo = dataset.photos[look.photo]
            sights.append(Sight(photo.path, photo.sha256, tuple(views)))
            views = []
    session = Session(backbone.path, preprocessing, threads=settings.threads)
    cache = FeatureCache() if settings.cache else None
    try:
        return extract(
            sights,
            session,
            backbone.sha256,
            cache=cache,
            progress=lambda done, total: say("computing features", done, total),
        )
    finally:
        if cache is not None:
            cache.close()


def _classes(dataset: Dataset, looks: Sequence[_Look], settings: TrainSettings) -> tuple[tuple[str, ...], bool]:
    """The names of the head's outputs, and whether the last is the background: where there is enough to learn it from."""
    trained = {look.label for look in looks if look.part == "train"}
    if missing := [label for label in dataset.labels if label not in trained]:
        raise DataError(
            f"No photo is left to train on for: {', '.join(missing)}. Add photos, or lower --val and --test."
        )
    held = Counter(look.part for look in looks if look.label == BACKGROUND)
    if settings.background and min(held["train"], held["val"] or held["train"]) >= _FEW_BACKGROUND:
        return (*dataset.labels, BACKGROUND), True
    return dataset.labels, False


class _Picker:
    """Takes the looks apart by what they are for."""

    def __init__(self, looks: Sequence[_Look], features: npt.NDArray[np.float32], classes: Sequence[str]) -> None:
        self._looks = looks
        self._features = features
        self._classes = tuple(classes)
        self._place = {name: position for position, name in enumerate(classes)}

    def examples(self, *parts: str, whole: bool = False, background: bool = True) -> Examples:
        """The looks of these parts; with ``whole`` no crops of logos; without ``background`` only what shows a logo."""
        rows = [
            row
            for row, look in enumerate(self._looks)
            if look.part in parts
            and look.label in self._place
            and (look.whole or not whole or look.label == BACKGROUND)
            and (background or look.label != BACKGROUND)
        ]
        truth = np.array([self._place[self._looks[row].label] for row in rows], dtype=np.int64)
        return Examples(self._features[rows], truth, np.ones(len(rows), dtype=np.float32))

    def evaluate(self, head: Head, calibration: Calibration, dataset: Dataset, part: str) -> Evaluation | None:
        """Figures on the whole photos of a part; regions without a logo stand in for photos of none."""
        rows = [
            row
            for row, look in enumerate(self._looks)
            if look.part == part and (look.whole or look.label == BACKGROUND)
        ]
        if not any(self._looks[row].label != BACKGROUND for row in rows):
            return None
        logits = head.logits(self._features[rows])
        photos = [dataset.photos[self._looks[row].photo] for row in rows]
        return evaluate(
            calibration.labels(logits),
            [_truth(photo, self._looks[row]) for photo, row in zip(photos, rows, strict=True)],
            [name for name in self._classes if name != BACKGROUND],
            images=[photo.name for photo in photos],
            scores=None if calibration.threshold is None else margins(logits),
            threshold=calibration.threshold,
            closed=True,
        )


def _truth(photo: Photo, look: _Look) -> tuple[str, ...]:
    return (
        tuple(label for label in photo.labels if label != BACKGROUND) or (BACKGROUND,) if look.whole else (look.label,)
    )


def _write_split(dataset: Dataset, parts: Split, path: Path) -> None:
    """Which photo went where, so that a later evaluation can tell which photos the model has learned from."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "part", "sha256"])
        for part, numbers in parts.parts().items():
            for photo in (dataset.photos[number] for number in numbers):
                writer.writerow([photo.name, photo.label, part, photo.sha256])


def _manifest(
    data: Path,
    dataset: Dataset,
    parts: Split,
    settings: TrainSettings,
    backbone: ExportedBackbone,
    preprocessing: Preprocessing,
    head: Head,
    calibration: Calibration,
    classes: Sequence[str],
    figures: dict[str, Evaluation | None],
) -> dict[str, Any]:
    members = {"train": parts.train, "val": parts.val, "test": parts.test}
    per_label: dict[str, dict[str, int]] = {}
    for part, numbers in members.items():
        for label, count in Counter(dataset.photos[number].label for number in numbers).items():
            per_label.setdefault(label, dict.fromkeys(members, 0))[part] = count
    packages = ("numpy", "onnx", "onnxruntime", "pillow", "timm", "torch", "torchvision")
    return {
        "format": FORMAT,
        "command": "train",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "logolens": __version__,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in packages},
        "labels": list(dataset.labels),
        "background": BACKGROUND in classes,
        "settings": {name: str(value) if isinstance(value, Path) else value for name, value in vars(settings).items()},
        "backbone": {
            "name": backbone.name,
            "family": backbone.family,
            "weights_sha256": backbone.weights_sha256,
            "weights_origin": backbone.origin,
            "license": backbone.license,
            "features": backbone.width,
            "size": backbone.size,
            "parameters": backbone.parameters,
            "export_version": backbone.version,
        },
        "layers": [dataclasses.asdict(layer) for layer in backbone.layers],
        "preprocessing": dataclasses.asdict(preprocessing),
        "data": {
            "name": dataset.name,
            "path": str(data.absolute()),
            "data_hash": dataset.data_hash,
            "photos": len(dataset.photos),
            **{part: len(numbers) for part, numbers in members.items()},
            "per_label": {label: per_label[label] for label in sorted(per_label)},
            "notes": [str(note) for note in (*dataset.notes, *parts.notes)],
        },
        "head": {
            "kind": settings.head,
            "layers": [list(weights.shape) for weights, _ in head.layers],
            "parameters": head.parameters,
            "epochs": len(head.history),
            "best_epoch": head.best_epoch,
        },
        "calibration": dataclasses.asdict(calibration),
        "metrics": {part: value.to_json() if value is not None else None for part, value in figures.items()},
    }
