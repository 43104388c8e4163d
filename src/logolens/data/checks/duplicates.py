"""The same picture more than once: copies and near copies, across parts, labels and data sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from logolens.config import Limits
from logolens.data import PARTS, Dataset, Photo
from logolens.data.checks.block_correlation import covers
from logolens.data.checks.findings import Finding
from logolens.data.same_photo import BY_NAME, SAME_FILE

__all__ = ["about_copies"]

_NAMED = 4
"""Photos of a group that a sentence names."""

_MOST_COMPARED = 12
"""Pairs of a group with different labels that are looked at more closely."""


def about_copies(dataset: Dataset, other: Dataset | None = None, *, limits: Limits = Limits()) -> Iterator[Finding]:
    """What the groups of copies say.

    Args:
        dataset: the photos; their ``near`` says which are one picture.
        other: another data set whose ``near`` counts on from the same groups.
        limits: how large an image may be, where two are looked at more closely.
    """
    groups: dict[int, list[Photo]] = defaultdict(list)
    for photo in dataset.photos:
        groups[photo.near].append(photo)
    elsewhere: dict[int, list[Photo]] = defaultdict(list)
    for photo in other.photos if other is not None else ():
        elsewhere[photo.near].append(photo)
    for number, members in groups.items():
        if number in elsewhere:
            yield _against(members, elsewhere[number])
        if len(members) > 1:
            yield from _about_group(members, limits)


def _against(members: Sequence[Photo], others: Sequence[Photo]) -> Finding:
    files = {photo.sha256 for photo in members} & {photo.sha256 for photo in others}
    how = "the same file as" if files else "the same photo as"
    names = tuple(photo.name for photo in members)
    return Finding(
        "leak-against",
        f"{_joined(members)} {'is' if len(members) == 1 else 'are'} {how} {_joined(others)} of the other data set"
        f"{_shown((*members, *others))}.",
        names,
        exclude=names,
        others=tuple(photo.name for photo in others),
    )


def _about_group(members: Sequence[Photo], limits: Limits) -> Iterator[Finding]:
    names = tuple(photo.name for photo in members)
    parts = {photo.split for photo in members if photo.split is not None}
    if len(parts) > 1:
        last = max(parts, key=PARTS.index)
        yield Finding(
            "leak",
            f"{_joined(members, parts=True)} are one photo{_shown(members)}.",
            names,
            # What is measured on stays; what was learned from is what makes it flatter.
            exclude=tuple(photo.name for photo in members if photo.split not in (None, last)),
        )
    conflict = _conflict(members)
    if conflict:
        sure = _surely_in_conflict(members, limits)
        kind, are = ("two-labels", "are one picture") if sure else ("look-alike", "look alike")
        yield Finding(kind, f"{_joined(members, labels=True)} {are}{_shown(members)}.", names)
    first: dict[str, str] = {}
    again = tuple(photo.name for photo in members if first.setdefault(photo.sha256, photo.name) != photo.name)
    if again:
        same = [photo for photo in members if sum(photo.sha256 == its.sha256 for its in members) > 1]
        # Which of two labels is right must be decided first.
        yield Finding(
            "copy",
            f"{_joined(same)} hold the same file.",
            tuple(photo.name for photo in same),
            () if conflict else again,
        )
    if len(first) > 1 and not conflict:
        yield Finding("near-copy", f"{_joined(members)} are {_are(members)}{_shown(members)}.", names)


def _conflict(members: Sequence[Photo]) -> bool:
    """Whether two of the photos share no label."""
    sets = [frozenset(photo.labels) for photo in members]
    return any(one.isdisjoint(two) for one in set(sets) for two in set(sets))


def _surely_in_conflict(members: Sequence[Photo], limits: Limits) -> bool:
    """Whether two photos that share no label are the same file, or are one picture at a closer look."""
    pairs = [(one, two) for one, two in combinations(members, 2) if set(one.labels).isdisjoint(two.labels)]
    if any(one.sha256 == two.sha256 for one, two in pairs):
        return True
    return any(covers(one.path, two.path, limits=limits) for one, two in pairs[:_MOST_COMPARED])


def _are(members: Sequence[Photo]) -> str:
    by_name = {how for photo in members for how in photo.evidence} == {BY_NAME}
    return "versions of one photo" if by_name else "near copies"


def _shown(members: Sequence[Photo]) -> str:
    """The evidence that joins the photos, in brackets."""
    evidence = sorted({how for photo in members for how in photo.evidence} - {SAME_FILE})
    return f" ({'; '.join(evidence)})" if evidence else ""


def _joined(members: Sequence[Photo], *, labels: bool = False, parts: bool = False) -> str:
    words = [
        photo.name
        + (f" ({' and '.join(photo.labels)})" if labels else f" ({photo.split or 'no part'})" if parts else "")
        for photo in members[:_NAMED]
    ]
    if len(members) > _NAMED:
        words.append(f"{len(members) - _NAMED} more")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
