"""References in, out, or under another name: what the gallery's head and list become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND
from logolens.errors import UsageError
from logolens.io.names import is_active, valid
from logolens.models.head import CosineHead, with_thresholds
from logolens.training.gallery.ledger import Reference
from logolens.training.gallery.load import Entry

__all__ = ["Like", "assembled", "likened", "new_name"]

Rows = npt.NDArray[np.float32]

_ALIKE = 0.2
"""The share of a label's references that may look like another label before it is said."""


@dataclass(frozen=True)
class Like:
    """A label whose references look like another's.

    Attributes:
        label: the one.
        other: the other.
        like: how many of its references stand as near to the other as to the rest of their own.
        references: how many it has.
        cosine: their mean cosine with the other, over the background's.
        asked: the other's own threshold.
    """

    label: str
    other: str
    like: int
    references: int
    cosine: float
    asked: float


def new_name(text: str) -> str:
    """A label as a gallery can have it.

    Raises:
        UsageError: it is empty, the background's, or has signs that a list of labels cannot hold.
    """
    label = valid(text).strip()
    if not label:
        raise UsageError("The label is empty; give the brand's name, as in --label acme.")
    if label.casefold() == BACKGROUND:
        raise UsageError(
            f"{BACKGROUND} is what a gallery says of images that show none of its labels, and no label of its own; give such "
            "images with --backgrounds."
        )
    if any(map(is_active, label)):
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
    head: CosineHead, labels: Sequence[str], entries: Mapping[str, Sequence[Entry]], own: str
) -> tuple[Like, ...]:
    """The labels that the references of another look like: those whose threshold they pass, at least as well as their own.

    Args:
        head: the gallery as it is with the references.
        labels: its labels, in their order.
        entries: its references, by label.
        own: the label whose references are held against the others.
    """
    rows = np.stack([rows[0] for _, rows in entries[own]])
    above = head.above(rows) - head.thresholds
    mine = np.array([_beside(head, entries[own], place) for place in range(len(rows))])
    mine -= head.thresholds[list(labels).index(own)]
    found = []
    for place, label in enumerate(labels):
        like = int((above[:, place] > np.maximum(mine, 0.0)).sum())
        if label != own and like > _ALIKE * len(rows):
            cosine, asked = float(head.above(rows)[:, place].mean()), float(head.thresholds[place])
            found.append(Like(own, label, like, len(rows), cosine, asked))
    return tuple(sorted(found, key=lambda one: (-one.like, one.other)))


def _beside(head: CosineHead, entries: Sequence[Entry], place: int) -> float:
    """How far above the background a reference stands with its label's others; with its own other views, where it is alone."""
    row = entries[place][1][0]
    others = [rows for number, (_, rows) in enumerate(entries) if number != place] or [entries[place][1][1:]]
    return head.beside(row, np.concatenate(others))
