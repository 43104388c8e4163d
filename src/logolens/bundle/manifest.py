"""What a bundle's manifest says of its training: written once, for every command that writes a bundle."""

from __future__ import annotations

import csv
import dataclasses
import importlib.metadata
import io
import platform
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from logolens._version import __version__
from logolens.bundle.format import FORMAT
from logolens.bundle.validation import read_file
from logolens.config import Preprocessing
from logolens.data import Dataset, Split
from logolens.data.builtin_backgrounds import is_builtin
from logolens.data.composed import is_composed
from logolens.errors import BundleError
from logolens.metrics import Evaluation
from logolens.models.backbones import ExportedBackbone
from logolens.models.calibration import Calibration

__all__ = ["Trained", "manifest_of", "read_split", "write_split"]

_MOST_SPLIT = 1 << 30
_PACKAGES = ("numpy", "onnx", "onnxruntime", "pillow", "timm", "torch", "torchvision")


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a bundle was made of, and how.

    Attributes:
        command: what trained it.
        data: where the photos are.
        dataset: the photos.
        splits: how they were divided.
        settings: all that the command was told; ``pooling`` and, of a bundle that looks closer, ``views`` among it.
        backbone: the exported network.
        preprocessing: how a view becomes its input.
        background: whether ``none`` was learned.
        head: of its kind, layers and training.
        calibration: of the whole photo's logits.
        figures: of the splits "val" and "test".
        notes: what was odd, beside the notes of the data and of the split.
    """

    command: str
    data: Path
    dataset: Dataset
    splits: Split
    settings: Mapping[str, Any]
    backbone: ExportedBackbone
    preprocessing: Preprocessing
    background: bool
    head: Mapping[str, Any]
    calibration: Calibration
    figures: Mapping[str, Evaluation | None]
    notes: tuple[str, ...] = ()


def manifest_of(trained: Trained, **more: Any) -> dict[str, Any]:
    """The manifest of a bundle, but for the hashes of its files, which are added when it is written.

    Args:
        trained: what it was made of.
        more: further parts of the manifest; those that are None are left out.
    """
    dataset, splits, backbone = trained.dataset, trained.splits, trained.backbone
    members = _own(dataset, splits)
    counts = {split: Counter(dataset.photos[number].label for number in numbers) for split, numbers in members.items()}
    made = {split: sum(is_composed(dataset.photos[number]) for number in numbers) for split, numbers in members.items()}
    labels = sorted({*dataset.labels, *(label for found in counts.values() for label in found)})
    return {
        "format": FORMAT,
        "command": trained.command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "logolens": __version__,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "labels": list(dataset.labels),
        "background": trained.background,
        "settings": {
            name: str(value) if isinstance(value, Path) else value for name, value in trained.settings.items()
        },
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
            "precision": backbone.precision,
        },
        "layers": [dataclasses.asdict(layer) for layer in backbone.layers],
        "preprocessing": dataclasses.asdict(trained.preprocessing),
        "data": {
            "name": dataset.name,
            "path": str(trained.data.absolute()),
            "data_hash": dataset.data_hash,
            "photos": sum(not is_builtin(photo) for photo in dataset.photos),
            **{split: len(numbers) for split, numbers in members.items()},
            **({"composed": made} if any(made.values()) else {}),
            "per_label": {label: {split: counts[split][label] for split in members} for label in labels},
            "notes": [str(note) for note in (*dataset.notes, *splits.notes, *trained.notes)],
        },
        "head": dict(trained.head),
        "calibration": dataclasses.asdict(trained.calibration),
        **{name: value for name, value in more.items() if value is not None},
        "metrics": {split: value.to_json() if value is not None else None for split, value in trained.figures.items()},
    }


def write_split(dataset: Dataset, splits: Split, path: Path) -> None:
    """Which photo went where, so that a later evaluation can tell which photos the model has learned from."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "part", "sha256"])
        for split, numbers in _own(dataset, splits).items():
            for photo in (dataset.photos[number] for number in numbers):
                writer.writerow([photo.name, photo.label, split, photo.sha256])


def read_split(bundle: Path) -> list[dict[str, str]]:
    """The rows of a bundle's split.csv, with path, label, part and sha256; none where it lacks the file or that is damaged."""
    try:
        text = read_file(bundle / "split.csv", _MOST_SPLIT).decode("utf-8")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        return [row for row in rows if all(row[key] for key in ("path", "label", "part", "sha256"))]
    except (BundleError, KeyError, ValueError, csv.Error):
        return []


def _own(dataset: Dataset, splits: Split) -> dict[str, list[int]]:
    """The parts without built-in backgrounds, which are nobody's photos and nowhere to be found again."""
    return {
        split: [number for number in numbers if not is_builtin(dataset.photos[number])]
        for split, numbers in splits.by_name().items()
    }
