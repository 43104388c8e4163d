"""What an audit would find without looking at a photo again, in two lines: for those who train."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable

from logolens.data import Dataset
from logolens.data.checks.duplicates import about_copies
from logolens.data.checks.findings import KINDS, SEVERITIES

__all__ = ["in_short"]

_NOTED = {"unreadable", "missing", "empty-box", "outside-box", "alike-labels", "several-labels", "few-photos"}
"""Notes of the reading that are findings of the same name."""

_WORDS = {
    "unreadable": ("file that cannot be read", "files that cannot be read"),
    "missing": ("listed photo that is not there", "listed photos that are not there"),
    "leak": ("picture in two parts of the split", "pictures in two parts of the split"),
    "two-labels": ("picture under two labels", "pictures under two labels"),
    "look-alike": ("group of look-alikes under two labels", "groups of look-alikes under two labels"),
    "empty-box": ("empty box", "empty boxes"),
    "outside-box": ("box outside its photo", "boxes outside their photo"),
    "copy": ("file that is there more than once", "files that are there more than once"),
    "near-copy": ("group of near copies", "groups of near copies"),
    "several-labels": ("photo of several labels", "photos of several labels"),
    "few-photos": ("label with few photos", "labels with few photos"),
    "alike-labels": ("label in two spellings", "labels in two spellings"),
}


def in_short(dataset: Dataset, data: str) -> tuple[str, ...]:
    """Two sentences on what matters most about a data set, or one where nothing does.

    It takes what reading the data has found out anyway; no photo is opened.

    Args:
        dataset: as it was loaded, with its notes.
        data: what it is called on the command line.
    """
    counts: Counter[str] = Counter(finding.kind for finding in about_copies(dataset))
    counts.update({note.kind: note.count for note in dataset.notes if note.kind in _NOTED})
    if not counts:
        return (f"Audit: nothing stands out among {len(dataset):,} photos of {len(dataset.counts())} labels.",)
    grave = [kind for kind in KINDS if counts[kind] and KINDS[kind].severity != SEVERITIES[-1]]
    slight = [kind for kind in KINDS if counts[kind] and kind not in grave]
    words = [f"{counts[kind]:,} {_WORDS[kind][counts[kind] != 1]}" for kind in (*grave, *slight)]
    return (
        f"Audit: {_listed(words)} among {len(dataset):,} photos.",
        f"See them, and labels that are likely wrong: logolens audit {shlex.quote(data)} -o audit.html --fixes fixes.csv",
    )


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
