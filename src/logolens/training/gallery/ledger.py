"""What each reference of a gallery is: where it came from, its content's hash, its boxes, and how many rows it has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from logolens.config import BACKGROUND
from logolens.data import Dataset
from logolens.errors import BundleError
from logolens.io.names import valid_all
from logolens.training.samples import Sample
from logolens.types import Box

__all__ = ["LEDGER", "Reference", "of_training", "read_ledger", "write_ledger"]

LEDGER = "references.json"
"""The file in a gallery's folder."""


@dataclass(frozen=True)
class Reference:
    """An image that stands for a label.

    Attributes:
        label: which.
        name: the image as it was named when it was added.
        sha256: of its bytes, in hexadecimal.
        views: how many rows it has in the gallery.
        boxes: where the logo is, (x1, y1, x2, y2) in pixels; empty where the whole image was taken.
        kind: "photo", or "artwork" of a drawing that was laid on several grounds.
    """

    label: str
    name: str
    sha256: str
    views: int
    boxes: tuple[Box, ...] = ()
    kind: str = "photo"


def of_training(
    dataset: Dataset, samples: Sequence[Sample], rows: Sequence[int], classes: Sequence[str]
) -> list[Reference]:
    """The references that a training's views became, in the order of the gallery's rows.

    Args:
        dataset: the photos.
        samples: all views that were looked at.
        rows: positions of the samples that were learned from.
        classes: the head's outputs.
    """
    shown = [row for row in rows if samples[row].label != BACKGROUND]
    truth = np.array([list(classes).index(samples[row].label) for row in shown])
    ordered = [samples[shown[place]] for place in np.argsort(truth, kind="stable")]
    found = []
    for (label, number), members in groupby(ordered, key=lambda sample: (sample.label, sample.photo)):
        photo = dataset.photos[number]
        boxes = tuple(
            (region.box.x1, region.box.y1, region.box.x2, region.box.y2)
            for region in photo.regions
            if region.box is not None and region.label == label
        )
        found.append(Reference(label, photo.name, photo.sha256, len(list(members)), boxes))
    return found


def write_ledger(references: Sequence[Reference], folder: Path) -> None:
    """Write `LEDGER` into a bundle's folder that is being made."""
    text = json.dumps(
        {"format": 1, "references": [valid_all(asdict(one)) for one in references]}, indent=1, ensure_ascii=False
    )
    (folder / LEDGER).write_text(text + "\n", encoding="utf-8")


def read_ledger(data: bytes, path: Path) -> tuple[Reference, ...]:
    """The inverse of `write_ledger`.

    Raises:
        BundleError: the bytes are no such file.
    """
    try:
        return tuple(_reference(entry) for entry in json.loads(data)["references"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise BundleError(f"{path} is damaged ({error}); copy the gallery again, or make it anew.") from error


def _reference(entry: dict[str, Any]) -> Reference:
    boxes = tuple((float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in entry["boxes"])
    return Reference(**{**entry, "views": int(entry["views"]), "boxes": boxes})
