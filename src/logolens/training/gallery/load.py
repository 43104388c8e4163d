"""A gallery as it lies on the disk: its bundle, its head and what its references are, verified."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logolens.bundle.format import Bundle, load_bundle, read_head, verified
from logolens.errors import BundleError, UsageError
from logolens.models.head import CosineHead
from logolens.training.gallery.ledger import LEDGER, Reference, read_ledger

__all__ = ["Entry", "Gallery", "open_gallery"]

Entry = tuple[Reference, npt.NDArray[np.float32]]
"""A reference, and its rows of the gallery."""


@dataclass(frozen=True)
class Gallery:
    """A bundle that can be changed without training.

    Attributes:
        bundle: as it was loaded; of a gallery that is being begun, what it will be made of.
        head: its projection and references.
        references: what these are, in the order of the head's rows.
    """

    bundle: Bundle
    head: CosineHead
    references: tuple[Reference, ...]

    def entries(self) -> dict[str, list[Entry]]:
        """The references with their rows, by label."""
        found: dict[str, list[Entry]] = {label: [] for label in self.bundle.labels}
        start = 0
        for reference in self.references:
            rows = self.head.references[start : start + reference.views]
            found[reference.label].append((reference, rows))
            start += reference.views
        return found

    def required(self) -> dict[str, float]:
        """For each label, how far its cosine must stand above the background's for the whole photo to be given it."""
        shared = (self.bundle.calibration.threshold or 0.0) / self.head.sharpness
        return {label: float(own) + shared for label, own in zip(self.bundle.labels, self.head.thresholds, strict=True)}

    def known(self, label: str) -> str:
        """The label, if there is one of this name.

        Raises:
            UsageError: there is none; the message names those that are spelt alike.
        """
        if label in self.bundle.labels:
            return label
        near = difflib.get_close_matches(label, self.bundle.labels, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {_listed(self.bundle.labels)}."
        raise UsageError(f"{self.bundle.path} has no label {label!r}; {hint}")


def open_gallery(path: Path) -> Gallery:
    """Read a gallery and verify it.

    Raises:
        BundleError: it is not a bundle, no gallery, or was altered.
    """
    bundle = load_bundle(path)
    if bundle.manifest.get("head", {}).get("kind") != "gallery":
        kind = bundle.manifest.get("head", {}).get("kind", "trained")
        raise BundleError(
            f"{path} is a bundle with a {kind} head and no gallery, so its labels cannot be changed; train it with --head "
            "gallery, or name a folder that is not there yet."
        )
    head = read_head(verified(bundle, "head.safetensors"), path)
    references = read_ledger(verified(bundle, LEDGER), path / LEDGER)
    if not isinstance(head, CosineHead) or head.labels != len(bundle.labels):
        raise BundleError(f"{path}: its head is of other labels than labels.txt; copy the gallery again.")
    views: Counter[str] = Counter()
    for reference in references:
        views[reference.label] += reference.views
    counts = np.bincount(head.owners, minlength=head.labels).tolist()
    if dict(views) != dict(zip(bundle.labels, counts, strict=True)) or any(one.views < 1 for one in references):
        raise BundleError(f"{path}: {LEDGER} tells of other references than the head holds; copy the gallery again.")
    return Gallery(bundle, head, references)


def _listed(labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:10])
    return f"{shown} and {len(labels) - 10} more" if len(labels) > 10 else shown
