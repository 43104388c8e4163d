"""The experiment of a well-known tutorial, done as written and then done right.

The tutorial takes Flickr Logos 27, puts pooling, Dense 128, dropout and softmax on a frozen network, trains for 100 epochs
and reports the accuracy on a tenth or so of the annotation's rows. The annotation lists most photos several times, so nearly
every row that it validates on shows a photo that it has trained on. Here the same layers are trained on a split by photo,
with the network's own preprocessing, and the split by rows is repeated beside it to show how far its figure flatters.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset, Split, load, split
from logolens.errors import DataError, UsageError
from logolens.inference.classifier import Classifier
from logolens.inference.visualize import show_prediction
from logolens.io.atomic import write_file
from logolens.io.images import open_apart
from logolens.io.views import WHOLE
from logolens.models.backbones import prepare
from logolens.models.features import FeatureCache, Sight, extract
from logolens.models.head import Examples, fit_head
from logolens.models.session import Session
from logolens.training.train import TrainResult, train

__all__ = ["RECIPE", "CaseStudyResult", "Leak", "case_study"]

RECIPE = TrainSettings(
    backbone="mobilenet_v2",
    size=128,
    pooling="avg",
    boxes=False,
    background=False,
    matcher="off",
    words="off",
    views="whole",
    head="mlp",
    hidden=128,
    dropout=0.5,
    epochs=100,
    patience=0,
    batch=32,
    learning_rate=0.001,
    balanced=False,
    refit=False,
)
"""The tutorial's layers, epochs, batch and optimiser (Adam)."""


@dataclass(frozen=True)
class Leak:
    """What the split by annotation rows reports, and what it hides.

    Attributes:
        rows: how many rows the annotation has.
        photos: how many photos they show.
        seen: the share of validation rows whose photo was trained on.
        reported: accuracy on the validation rows, the tutorial's figure.
        unseen: the same model's accuracy on photos that it never saw.
    """

    rows: int
    photos: int
    seen: float
    reported: float
    unseen: float


@dataclass(frozen=True)
class CaseStudyResult:
    """What the case study left: the folder, the honest run, and the leak beside it."""

    folder: Path
    training: TrainResult
    leak: Leak


def case_study(
    data: Path | str,
    out: Path | str,
    *,
    backbone: str = RECIPE.backbone,
    weights: Path | None = None,
    epochs: int = RECIPE.epochs,
    seed: int = RECIPE.seed,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> CaseStudyResult:
    """Run the tutorial's experiment on its data set.

    Args:
        data: the Flickr Logos 27 archive or folder, or any other data set.
        out: the folder to write: ``bundle/`` with its plots, ``prediction.png``, ``report.md``.
        backbone: the frozen network; the tutorial names VGG, ResNet, Inception, AlexNet and MobileNet.
        weights: the backbone's weights, as a file.
        epochs: passes over the training photos.
        seed: of the splits and the training.
        force: replace what an earlier case study wrote there.
        progress: told of the work as it is done.

    Raises:
        UsageError: ``out`` holds something.
        DataError: the data cannot be used.
    """
    out = Path(out)
    if out.exists() and any(out.iterdir()) and not (force and (out / "report.md").is_file()):
        raise UsageError(
            f"{out} holds files already; name another folder, or replace an earlier case study with --force."
        )
    size = RECIPE.size if backbone == RECIPE.backbone else None
    settings = replace(RECIPE, backbone=backbone, weights=weights, epochs=epochs, seed=seed, size=size)
    training = train(data, out / "bundle", settings, force=force, progress=progress)
    dataset = load(data)
    splits = split(dataset, settings.split_settings())
    if progress:
        progress("repeating the leak", 0, 1)
    leak = _leak(dataset, splits, settings)
    if progress:
        progress("repeating the leak", 1, 1)
    held = splits.test or splits.val or splits.train
    photo = dataset.photos[held[0]]
    classifier = Classifier.load(out / "bundle")
    answer = classifier.predict(photo.path)[0]
    image = open_apart(photo.path.read_bytes(), shrink_to=800)
    show_prediction(image, answer.to_json(), out / "prediction.png", force=True)
    write_file(out / "report.md", _report(training, leak, photo.label, os.fspath(photo.name)).encode(), force=True)
    return CaseStudyResult(out, training, leak)


def _leak(dataset: Dataset, splits: Split, settings: TrainSettings) -> Leak:
    """Train on rows split at random, as the tutorial does, all rows from photos outside the honest test part."""
    unseen = set(splits.test or splits.val)
    photos = [photo for photo in dataset.photos if len(photo.labels) == 1 and photo.label != BACKGROUND]
    places = {photo.path: number for number, photo in enumerate(dataset.photos)}
    backbone = prepare(settings.backbone, size=settings.size, weights=settings.weights, pooling=settings.pooling)
    preprocessing = Preprocessing(size=backbone.size, resize=settings.resize, mean=backbone.mean, std=backbone.std)
    with FeatureCache() as cache:
        features = extract(
            [Sight(photo.path, photo.sha256, (WHOLE,)) for photo in photos],
            Session(backbone.path, preprocessing, threads=settings.threads, outputs=("features",)),
            backbone.sha256,
            cache=cache,
        )
    label = {name: position for position, name in enumerate(dataset.labels)}
    truth = np.array([label[photo.label] for photo in photos], dtype=np.int64)
    held = np.array([places[photo.path] in unseen for photo in photos])
    rows = np.repeat(np.flatnonzero(~held), [photo.rows for photo, out in zip(photos, held, strict=True) if not out])
    order = np.random.default_rng(settings.seed).permutation(rows)
    cut = round(len(order) * (1 - settings.val))
    trained, validated = order[:cut], order[cut:]
    if not len(validated) or len(set(truth[trained])) < len(label):
        raise DataError(
            "There are too few rows to split at random; the case study needs a data set of some hundred photos."
        )

    def examples(which: npt.NDArray[np.int64]) -> Examples:
        return Examples(features[which], truth[which], np.ones(len(which), dtype=np.float32))

    head = fit_head(examples(trained), None, len(label), settings.head_settings())

    def right(which: npt.NDArray[np.int64]) -> float:
        return float((head.logits(features[which]).argmax(axis=1) == truth[which]).mean())

    return Leak(
        rows=sum(photo.rows for photo in dataset.photos),
        photos=len(dataset.photos),
        seen=float(np.isin(validated, trained).mean()),
        reported=right(validated),
        unseen=right(np.flatnonzero(held)),
    )


def _report(training: TrainResult, leak: Leak, label: str, photo: str) -> str:
    evaluation = training.evaluation
    honest = "not measured" if evaluation is None or evaluation.top1 is None else f"{evaluation.top1:.1%}"
    return f"""# The case study

The same layers, epochs and optimiser, measured in two ways.

| split | accuracy reported | accuracy on photos never seen |
| --- | ---: | ---: |
| annotation rows at random, as in the tutorial | {leak.reported:.1%} | {leak.unseen:.1%} |
| by photo, near copies kept together | {honest} | {honest} |

The annotation has {leak.rows:,} rows and {leak.photos:,} photos. Split by rows, {leak.seen:.0%} of the validation rows show a
photo that the network was trained on, so the figure says how well it remembers, not how well it recognises.

Pixels go through the network's own preprocessing; the tutorial divides them by 255, which is not what the network was
trained with.

![Loss and accuracy, training against validation](bundle/curves.png)

![{label}: {photo}](prediction.png)

The layers are in `logolens summary {training.bundle.as_posix()}`. A better recipe for the same photos is `logolens train`.
"""
