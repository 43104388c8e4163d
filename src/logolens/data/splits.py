"""Training, validation and test parts, and folds, that share no picture.

What is divided are groups: photos that are copies or near copies of one another, or that the user's own ``group``
joins. Which group goes where is decided by the SHA-256 of its photos' contents and the seed, never by path or order, so
that a renamed or moved data set is divided as before.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logolens.config import SplitSettings
from logolens.data.dataset import Dataset, Note, Photo
from logolens.data.near_duplicates import groups_of
from logolens.errors import DataError, LeakError, UsageError

__all__ = ["PARTS", "Split", "check_leaks", "grouped_folds", "photo_groups", "split"]

PARTS = ("train", "val", "test")
"""The names of the parts."""

_SHOWN = 5


@dataclass(frozen=True)
class Split:
    """The parts of a data set, each as sorted positions in ``dataset.photos``.

    Attributes:
        train, val, test: each sorted, no photo in two of them.
        notes: what was odd, such as leaks that were allowed.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    notes: tuple[Note, ...] = ()

    def by_name(self) -> dict[str, tuple[int, ...]]:
        """The three parts by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


@dataclass(frozen=True)
class _Group:
    """Photos that stay together: their positions, the label most of them have, and the hash that orders groups."""

    members: tuple[int, ...]
    label: str
    key: str


def photo_groups(dataset: Dataset) -> list[int]:
    """For each photo the number of its group: the same photo, and the user's groups, joined through one another."""
    return groups_of(len(dataset), _joined(dataset.photos))


def split(dataset: Dataset, settings: SplitSettings = SplitSettings(), *, allow_leaks: bool = False) -> Split:
    """Divide a data set into training, validation and test parts.

    Parts that the data set gives are kept. Photos given to training, and photos given to none, form the pool; the
    validation and test parts that are not given are taken out of it. A photo that is given to no part follows a near
    copy that is given to validation or test. Each label is divided by itself, to the shares of the settings: it always
    has a photo in training, and one in each other part when it has three groups or more. A part whose share is 0 stays
    empty.

    Args:
        dataset: the photos.
        settings: shares and seed.
        allow_leaks: turn given parts that leak into a note instead of an error.

    Raises:
        LeakError: the given parts share a picture or a group; the pairs are named.
        DataError: nothing is left to train on.
    """
    groups = _groups(dataset, settings.seed)
    given = {index: photo.split for index, photo in enumerate(dataset.photos) if photo.split is not None}
    notes: tuple[Note, ...] = ()
    if given:
        named = {part: [index for index, its in given.items() if its == part] for part in PARTS}
        notes = check_leaks(dataset, named, allow_leaks=allow_leaks)
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    pool = []
    for group in groups:
        # Only with allowed leaks can a group have been given to two parts; then each photo stays where it was put.
        fixed = [given[index] for index in group.members if given.get(index) in ("val", "test")]
        if not fixed:
            pool.append(group)
            continue
        for index in group.members:
            parts[given.get(index) or fixed[0]].append(index)
    shares = (("test", settings.test), ("val", settings.val))
    open_parts = [(part, share) for part, share in shares if not parts[part] and share > 0]
    for part, members in _divide(dataset, pool, open_parts).items():
        parts[part].extend(members)
    if not parts["train"]:
        raise DataError(f"{dataset.name}: all photos are given to val or test, which leaves nothing to train on.")
    train, val, test = (tuple(sorted(parts[part])) for part in PARTS)
    return Split(train, val, test, (*notes, *_note_absent(dataset, parts)))


def grouped_folds(dataset: Dataset, k: int = 5, seed: int = 0) -> list[npt.NDArray[np.int64]]:
    """Divide a data set into k folds for cross-validation, groups kept together and labels spread evenly.

    Returns:
        k sorted int64 arrays of positions in ``dataset.photos``, disjoint and together all of it; train on all but one.

    Raises:
        UsageError: k is below 2 or above the number of groups.
    """
    groups = _groups(dataset, seed)
    if not 2 <= k <= len(groups):
        raise UsageError(
            f"{k} folds cannot be made of {len(groups)} groups of photos; choose from 2 to {len(groups)} folds."
            if len(groups) >= 2
            else f"{dataset.name} has {len(groups)} group of photos, and folds need at least 2."
        )
    folds: list[list[int]] = [[] for _ in range(k)]
    held: list[Counter[str]] = [Counter() for _ in range(k)]
    # The largest groups first, each into the fold that lacks its label most: what comes last is small and evens out.
    for group in sorted(groups, key=lambda group: (-len(group.members), group.key)):
        fold = min(range(k), key=lambda number: (held[number][group.label], len(folds[number]), number))
        folds[fold].extend(group.members)
        held[fold].update(dataset.photos[index].label for index in group.members)
    return [np.array(sorted(fold), dtype=np.int64) for fold in folds]


def check_leaks(
    dataset: Dataset, parts: Split | Mapping[str, Iterable[int]], *, allow_leaks: bool = False
) -> tuple[Note, ...]:
    """Hold parts against one another: no picture, near copy or group of the user may stand in two.

    Args:
        dataset: the photos.
        parts: a split, or positions in ``dataset.photos`` by name of the part.
        allow_leaks: return a note instead of raising.

    Returns:
        No note when nothing leaks.

    Raises:
        LeakError: something leaks; the first pairs of files and their number are named.
    """
    named = parts.by_name() if isinstance(parts, Split) else parts
    by_group: dict[int, list[tuple[str, int]]] = defaultdict(list)
    groups = photo_groups(dataset)
    for part, indices in named.items():
        for index in indices:
            by_group[groups[index]].append((part, int(index)))
    count = 0
    shown: list[str] = []
    for members in by_group.values():
        sizes = Counter(part for part, _ in members)
        if len(sizes) < 2:
            continue
        total = sum(sizes.values())
        count += (total * total - sum(size * size for size in sizes.values())) // 2
        part, index = members[0]
        for other_part, other in members[1:]:
            if other_part != part and len(shown) < _SHOWN:
                one, two = dataset.photos[index], dataset.photos[other]
                shown.append(f"{one.name} ({part}) and {two.name} ({other_part}): {_why(one, two)}")
    if not count:
        return ()
    what = f"{count:,} pair{'s' if count > 1 else ''} of photos"
    if allow_leaks:
        message = f"The given parts leak, which was allowed: {what} stand in two parts, and flatter the figures."
        return (Note("leaks", message, count, tuple(shown)),)
    more = "; ..." if count > len(shown) else ""
    raise LeakError(
        f"{dataset.name}: the given parts leak: {what} stand in two parts, so the test would flatter the model. "
        f"{'; '.join(shown)}{more}. Move each to one part, or leave the split to logolens."
    )


def _why(one: Photo, other: Photo) -> str:
    if one.sha256 == other.sha256:
        return "the same file"
    if one.near == other.near:
        how = [each for each in one.evidence if each in other.evidence] or sorted({*one.evidence, *other.evidence})
        return f"near copies ({'; '.join(how)})" if how else "near copies"
    if one.group is not None and one.group == other.group:
        return f"the same group {one.group}"
    return "joined by copies and groups"


def _joined(photos: Sequence[Photo]) -> Iterable[tuple[int, int]]:
    first: dict[tuple[str, object], int] = {}
    for index, photo in enumerate(photos):
        yield first.setdefault(("near", photo.near), index), index
        yield first.setdefault(("content", photo.sha256), index), index
        if photo.group is not None:
            yield first.setdefault(("group", photo.group), index), index


def _groups(dataset: Dataset, seed: int) -> list[_Group]:
    """The groups in the order that content and seed decide."""
    members: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(photo_groups(dataset)):
        members[number].append(index)
    groups = []
    for indices in members.values():
        labels = Counter(dataset.photos[index].label for index in indices)
        label = min(labels, key=lambda name: (-labels[name], name))
        content = min(dataset.photos[index].sha256 for index in indices)
        groups.append(_Group(tuple(indices), label, hashlib.sha256(f"{seed}:{content}".encode()).hexdigest()))
    return sorted(groups, key=lambda group: group.key)


def _divide(dataset: Dataset, pool: Sequence[_Group], parts: Sequence[tuple[str, float]]) -> dict[str, list[int]]:
    """Take the parts' shares of each label out of the pool; the rest is for training."""
    result: dict[str, list[int]] = defaultdict(list)
    strata: dict[str, list[_Group]] = defaultdict(list)
    for group in pool:
        strata[group.label].append(group)
    for label in sorted(strata):
        rest = strata[label]
        total = sum(len(group.members) for group in rest)
        enough = len(rest) > len(parts)
        for later, (part, share) in enumerate(parts):
            wanted = round(share * total)
            # Whoever comes after, and training, needs a group of its own.
            spare = len(rest) - (len(parts) - later)
            taken = _take(rest, max(1, wanted) if enough else wanted, spare)
            chosen = {group.key for group in taken}
            rest = [group for group in rest if group.key not in chosen]
            result[part].extend(index for group in taken for index in group.members)
        result["train"].extend(index for group in rest for index in group.members)
    _mend(dataset, pool, result)
    return result


def _take(groups: Sequence[_Group], wanted: int, most: int) -> list[_Group]:
    """Groups in their order, as many as fit into the wanted number of photos; the smallest when none fits."""
    taken: list[_Group] = []
    size = 0
    if wanted <= 0 or most <= 0:
        return taken
    for group in groups:
        if len(taken) < most and size + len(group.members) <= wanted:
            taken.append(group)
            size += len(group.members)
    return taken or [min(groups, key=lambda group: (len(group.members), group.key))]


def _mend(dataset: Dataset, pool: Sequence[_Group], result: dict[str, list[int]]) -> None:
    """A label may stand only in groups that most photos give to another label: see that training has one of it."""
    present = {dataset.photos[index].label for index in result["train"]}
    for group in pool:
        lacking = {dataset.photos[index].label for index in group.members} - present
        if not lacking or group.members[0] in result["train"]:
            continue
        for members in result.values():
            members[:] = [index for index in members if index not in group.members]
        result["train"].extend(group.members)
        present |= {dataset.photos[index].label for index in group.members}


def _note_absent(dataset: Dataset, parts: Mapping[str, Sequence[int]]) -> list[Note]:
    notes = []
    learnt = {dataset.photos[index].label for index in parts["train"]}
    for part in ("val", "test"):
        held = {dataset.photos[index].label for index in parts[part]}
        unlearnt = sorted(held - learnt)
        if unlearnt:
            message = f"{len(unlearnt)} labels of the {part} part have no photo in training and cannot be answered."
            notes.append(Note(f"untrained-{part}", message, len(unlearnt), tuple(unlearnt[:_SHOWN])))
        absent = sorted(learnt - held)
        if held and absent:
            message = f"{len(absent)} labels have no photo in the {part} part, for they have too few groups of photos."
            notes.append(Note(f"absent-{part}", message, len(absent), tuple(absent[:_SHOWN])))
    return notes
