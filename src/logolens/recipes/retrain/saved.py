"""The bundle that ``saved_model_dir`` asks for: what the graph file holds, in the form that the other commands read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from logolens.bundle.format import attach_head, write_bundle
from logolens.bundle.manifest import Trained, manifest_of, write_split
from logolens.bundle.model_card import model_card
from logolens.config import BACKGROUND, Preprocessing, RetrainSettings
from logolens.data import Dataset, Split
from logolens.metrics import Evaluation, evaluate
from logolens.models.backbones import ExportedBackbone
from logolens.models.calibration import Calibration, calibrate, margins
from logolens.models.head import Examples, Head

__all__ = ["save_bundle"]

_FALSE_ALARMS = 0.1


def save_bundle(
    out: Path,
    *,
    settings: RetrainSettings,
    dataset: Dataset,
    splits: Split,
    backbone: ExportedBackbone,
    preprocessing: Preprocessing,
    pooling: str,
    labels: tuple[str, ...],
    head: Head,
    temperature: float,
    held: dict[str, Examples],
) -> None:
    """Write the trained network as a bundle; one that is there is replaced.

    Args:
        out: the folder.
        settings: of the run.
        dataset: the photos.
        splits: how they were divided.
        backbone: the exported network.
        preprocessing: how a photo becomes its input.
        pooling: how its maps became features.
        labels: the labels in the order of the head's outputs.
        head: the trained layer.
        temperature: what its logits are divided by.
        held: the examples of "val" and "test", in the order of ``parts``.
    """
    # A bundle's background is its last output.
    order = sorted(range(len(labels)), key=lambda place: labels[place] == BACKGROUND)
    classes = tuple(labels[place] for place in order)
    background = BACKGROUND in classes
    weights, bias = head.layers[0]
    head = Head(((np.ascontiguousarray(weights[:, order]), bias[order]),))
    position = np.argsort(order)
    calibration = Calibration(temperature)
    if background:
        val = held["val"]
        fitted = calibrate(
            head.logits(val.features), position[val.truth], background=True, max_false_alarms=_FALSE_ALARMS
        )
        calibration = dataclasses.replace(fitted, temperature=temperature)

    def judge(split: str, members: tuple[int, ...]) -> Evaluation | None:
        photos = [dataset.photos[number] for number in members]
        if all(photo.label == BACKGROUND for photo in photos):
            return None
        logits = head.logits(held[split].features)
        return evaluate(
            calibration.labels(logits),
            [photo.label for photo in photos],
            dataset.labels,
            images=[photo.name for photo in photos],
            scores=margins(logits) if background else None,
            threshold=calibration.threshold,
            closed=True,
        )

    figures = {"val": judge("val", splits.val), "test": judge("test", splits.test)}
    made = Trained(
        command="retrain",
        data=Path(settings.image_dir),
        dataset=dataset,
        splits=splits,
        settings={**vars(settings), "pooling": pooling},
        backbone=backbone,
        preprocessing=preprocessing,
        background=background,
        head={
            "kind": "linear",
            "layers": [list(weights.shape) for weights, _ in head.layers],
            "parameters": head.parameters,
            "steps": settings.how_many_training_steps,
        },
        calibration=calibration,
        figures=figures,
    )
    manifest = manifest_of(made)

    def extras(folder: Path) -> None:
        write_split(dataset, splits, folder / "split.csv")
        (folder / "README.md").write_text(model_card(manifest), encoding="utf-8")

    model = attach_head(backbone.path, head, calibration)
    write_bundle(out, manifest=manifest, classes=classes, model=model, head=head, extras=extras, force=True)
