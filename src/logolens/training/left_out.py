"""Brands that training never saw, stood in for by labels that are left out: what the rest says of their photos.

A threshold that is set on backgrounds alone lets the photos of unknown brands pass, for they show logos. Here each label, in
groups, is left out of the head and of what the experts know, and its photos are asked about as if its brand were unknown.
What the network saw of a photo is kept, so that a group costs one head and no further look (Scheirer et al., "Toward Open Set
Recognition", PAMI 2013, call this simulating the open space).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from logolens.models.calibration import label_margins
from logolens.models.ensemble import NETWORK, Evidence
from logolens.models.head import Head
from logolens.types import FloatArray32, FloatArray64, IntArray

__all__ = ["LEAST_LABELS", "Group", "LeftOut", "ViewFeatures", "label_groups", "left_out_photos"]

LEAST_LABELS = 4
"""Labels from which on some of them can be left out; of fewer the rest would not be what was trained."""

_GROUPS = 5
_IN_TURN = 9
"""Up to so many labels each is a group of its own."""


@dataclass(frozen=True)
class ViewFeatures:
    """What the network saw of a photo.

    Attributes:
        features: of each view, float32 of shape (views, features).
        spans: for each of the network's experts that was asked, which of the views are its own, from and to.
    """

    features: FloatArray32
    spans: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Group:
    """Labels that are left out, and the head that knows only the others.

    Attributes:
        labels: those left out.
        head: of the others, in their order, and the background.
    """

    labels: frozenset[str]
    head: Head


@dataclass(frozen=True)
class LeftOut:
    """What the rest says of the photos of a group of labels.

    Attributes:
        rows: positions of the photos among those asked about.
        columns: positions of the labels that are left, among all.
        evidence: a row each, for these labels.
    """

    rows: IntArray
    columns: IntArray
    evidence: Evidence


def label_groups(labels: Sequence[str], pairs: Sequence[tuple[str, str]], seed: int) -> list[frozenset[str]]:
    """Labels that are left out together; near labels that are told apart as a pair stand in one group.

    Returns:
        Nothing where there are too few labels, or pairs leave no two groups.
    """
    if len(labels) < LEAST_LABELS:
        return []
    together: list[set[str]] = [{label} for label in labels]
    for pair in pairs:
        met = [members for members in together if members & set(pair)]
        together = [members for members in together if not members & set(pair)] + [set().union(*met)]
    order = [sorted(members) for members in together]
    order = [order[number] for number in np.random.default_rng(seed).permutation(len(order))]
    count = len(order) if len(order) <= _IN_TURN else _GROUPS
    groups = [frozenset(label for members in order[start::count] for label in members) for start in range(count)]
    # What is left must be two labels at the least: of one, nothing could be the next.
    return [group for group in groups if len(labels) - len(group) >= 2] if count > 1 else []


def left_out_photos(
    groups: Sequence[Group],
    labels: Sequence[str],
    shown: Sequence[str],
    evidence: Evidence,
    views: Sequence[ViewFeatures],
) -> tuple[LeftOut, ...]:
    """What is said of photos by those who do not know their label.

    Args:
        groups: the labels left out, and the heads.
        labels: all of them, in order.
        shown: the label of each photo.
        evidence: what all experts say of the photos, a row each; of those beside the network each column is taken to be what
            it would be without the other labels.
        views: what the network saw of each.
    """
    found = []
    for group in groups:
        rows = np.array([row for row, label in enumerate(shown) if label in group.labels], dtype=np.int64)
        columns = np.array([place for place, label in enumerate(labels) if label not in group.labels], dtype=np.int64)
        if not len(rows):
            continue
        table: dict[str, FloatArray64] = {
            name: evidence[name][np.ix_(rows, columns)] for name in evidence.asked if name not in NETWORK
        }
        seen = [_margins(group.head, views[row]) for row in rows]
        for name in NETWORK:
            if name in evidence.asked:
                table[name] = np.stack([_of(name, one) for one in seen])
        found.append(LeftOut(rows, columns, Evidence(table)))
    return tuple(found)


def _margins(head: Head, views: ViewFeatures) -> dict[str, FloatArray64]:
    """The best margins of each of the network's experts that was asked."""
    margins = label_margins(head.logits(views.features), background=True)
    return {name: margins[first:last].max(axis=0) for name, (first, last) in views.spans.items()}


def _of(name: str, seen: Mapping[str, FloatArray64]) -> FloatArray64:
    """An expert's margins, or those of the one before it that was asked."""
    asked = [each for each in NETWORK[: NETWORK.index(name) + 1] if each in seen]
    return seen[asked[-1]]
