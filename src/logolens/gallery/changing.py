"""References in, out, or under another name: what the gallery's head and list become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND
from logolens.errors import UsageError
from logolens.gallery.ledger import Reference
from logolens.gallery.opening import Entry
from logolens.head import CosineHead, with_thresholds

__all__ = ["assembled", "likened", "new_name"]

Rows = npt.NDArray[np.float32]


def new_name(text: str) -> str:
    """A label as a gallery can have it.

    Raises:
        UsageError: it is empty, the background's, or has signs that a list of labels cannot hold.
    """
    label = text.strip()
    if not label:
        raise UsageError("The label is empty; give the brand's name, as in --label acme.")
    if label.casefold() == BACKGROUND:
        raise UsageError(
            f"{BACKGROUND} is what a gallery says of images that show none of its labels, and no label of its own; give such "
            "images with --backgrounds."
        )
    if not label.isprintable():
        raise UsageError(f"The label {label!r} holds line breaks or control characters; give it without them.")
    return label


def assembled(
    head: CosineHead, entries: Mapping[str, Sequence[Entry]], backgrounds: Rows | None = None
) -> tuple[tuple[str, ...], CosineHead, tuple[Reference, ...]]:
    """The labels in their order, the head that compares with these references, and the list of them.

    Args:
        head: whose projection and backgrounds stay.
        entries: for each label its references and their rows, at least one each.
        backgrounds: in place of the head's.
    """
    labels = tuple(sorted(entries))
    kept = [(place, *entry) for place, label in enumerate(labels) for entry in entries[label]]
    changed = replace(
        head,
        references=np.concatenate([rows for _, _, rows in kept]),
        owners=np.repeat([place for place, _, _ in kept], [len(rows) for _, _, rows in kept]).astype(np.int64),
        thresholds=np.zeros(len(labels), np.float32),
    )
    if backgrounds is not None:
        mean = backgrounds.mean(axis=0)
        changed = replace(changed, backgrounds=backgrounds, empty=mean / max(float(np.linalg.norm(mean)), 1e-6))
    references = tuple(reference for _, reference, _ in kept)
    return labels, with_thresholds(changed), references


def likened(
    head: CosineHead, labels: Sequence[str], required: Mapping[str, float], rows: Rows, own: str
) -> tuple[tuple[str, float, float], ...]:
    """The labels that rows of another one look like: name, mean cosine over the background, and what the label asks for.

    Args:
        head: the gallery.
        labels: its labels, in their order.
        required: what each asks for.
        rows: of references that stand for ``own``.
        own: their label, which is left out.
    """
    above = head.above(rows).mean(axis=0)
    found = [
        (label, float(value), required[label])
        for label, value in zip(labels, above, strict=True)
        if label != own and value > required[label]
    ]
    return tuple(sorted(found, key=lambda entry: entry[2] - entry[1]))
