"""What the photos of a training say: their words are read, and labels have names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from logolens.config import TrainSettings, WordSettings
from logolens.data import Dataset, photo_groups
from logolens.io.views import WHOLE
from logolens.models.contracts.late import HeldOut, HeldView
from logolens.models.words.expert import within
from logolens.models.words.label_names import all_names, fold, nameless, read_names
from logolens.models.words.lexicon import Lexicon, Reading
from logolens.models.words.reader import Line, model_hashes, reads
from logolens.models.words.readings import read_by_content
from logolens.types import Progress

__all__ = ["ReadingPlan", "WordReadings", "names_for", "plan_reading", "read_dataset", "shared_names"]

_MOST, _MOST_OF_EACH = 3000, 20
"""Photos that words are learned from, in all and of each label; more would take minutes and teach the same words."""

_FIRST, _FIRST_OF_EACH = 60, 5
"""Photos that are read before it is decided whether more are worth it, and of each label: a word is learned from three."""

_TOO_FEW = 8
"""Photos on which nothing can be decided."""

_NEARLY_ALL = 0.7
"""The share of all photos from which these are all read at once."""


class WordReadings:
    """What the photos of a data set say, and what their labels are called.

    Args:
        dataset: the photos.
        names: what each label is called.
        lines: what was read, by the SHA-256 of the photo.
        settings: how words are compared.
    """

    def __init__(
        self,
        dataset: Dataset,
        names: Mapping[str, Sequence[str]],
        lines: Mapping[str, tuple[Line, ...]],
        settings: WordSettings = WordSettings(),
    ) -> None:
        self._dataset, self._names, self._lines, self._settings = dataset, names, lines, settings
        groups = photo_groups(dataset)
        self._readings = {
            number: Reading(photo.label, groups[number], lines[photo.sha256])
            for number, photo in enumerate(dataset.photos)
            if len(photo.labels) == 1 and photo.sha256 in lines
        }

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the data set."""
        return self._dataset.labels

    @property
    def are_named(self) -> bool:
        """Whether any label has a name that could be read."""
        return any(self._names.get(label) for label in self.labels)

    def lexicon(self, photos: Collection[int], without: Collection[str] = ()) -> Lexicon:
        """The names, and what these photos teach.

        Args:
            photos: positions of the photos that may be learned from.
            without: labels that are left out, as if nobody had heard of them: their names, their photos, and that a word of
                theirs speaks less for others.
        """
        met = [self._readings[number] for number in sorted(photos) if number in self._readings]
        readings = [reading for reading in met if reading.label not in without]
        labels = [label for label in self._dataset.labels if label not in without]
        return Lexicon.learn(labels, self._names, readings, self._settings)

    def of(self, sample: HeldView) -> tuple[Line, ...]:
        """What was read in a view of a photo; nothing where it was not read."""
        photo = self._dataset.photos[sample.photo]
        lines = self._lines.get(photo.sha256, ())
        if sample.view is WHOLE or sample.view.box is None:
            return lines
        return within(lines, sample.view.box, (photo.width, photo.height))


def names_for(dataset: Dataset, settings: TrainSettings) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """What each label is called, and what is odd about that, a sentence each.

    Raises:
        UsageError, DataError: the file of names cannot be used.
    """
    given = read_names(settings.names, dataset.labels) if settings.names is not None else {}
    names = all_names(dataset.labels, given)
    notes = []
    if lost := nameless(dataset.labels, names):
        notes.append(
            f"Labels with no name that could be read, as digits alone are none: {len(lost)} ({', '.join(lost[:5])}). Give them "
            "one with --names."
        )
    return names, (*notes, *shared_names(names))


def shared_names(names: Mapping[str, Sequence[str]]) -> list[str]:
    """A sentence about names that two labels have."""
    owners: dict[str, dict[str, str]] = {}
    for label, its in names.items():
        for name in its:
            owners.setdefault(fold(name), {})[label] = name
    shared = [f"{next(iter(its.values()))} of {' and '.join(its)}" for its in owners.values() if len(its) > 1]
    if not shared:
        return []
    return [f"Names of several labels, which so speak for none of them: {len(shared)} ({'; '.join(shared[:5])})."]


@dataclass(frozen=True)
class ReadingPlan:
    """Which photos of a training are read, before any is.

    Attributes:
        names: what each label is called.
        notes: what is odd about names, a sentence each.
        first: positions of the photos that are read first, some of each label; whether more are worth it is decided on them.
        rest: positions of the others; none where all are read at once.
    """

    names: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    first: tuple[int, ...]
    rest: tuple[int, ...]


def plan_reading(held: HeldOut) -> ReadingPlan | None:
    """Choose the photos that words are learned from and decided on.

    Returns:
        None where words are not to be tried, or the extra ``words`` is not installed and nobody asked for it.

    Raises:
        MissingExtraError: it is not installed, and the settings ask for words or have names.
        UsageError, DataError: the file of names cannot be used.
    """
    settings = held.settings
    unasked = settings.words == "auto" and settings.names is None
    if settings.words == "off" or (unasked and not reads()):
        return None
    names, notes = names_for(held.dataset, settings)
    model_hashes()
    asked = {sample.photo for sample in held.samples}
    wanted = [number for number in sorted(asked | _to_learn_from(held, asked)) if number not in held.builtin]
    first = _some_of_each(held, wanted) if unasked else wanted
    if len(first) < _TOO_FEW or len(first) > _NEARLY_ALL * len(wanted):
        first = wanted
    return ReadingPlan(names, notes, tuple(first), tuple(sorted({*wanted} - {*first})))


def _to_learn_from(held: HeldOut, asked: Collection[int]) -> set[int]:
    """Positions of the photos that words are learned from: of each label those that are asked about, and some more."""
    photos, taken, of_label = held.dataset.photos, set[int](), Counter[str]()
    # By content, so that the same photos are read wherever they lie.
    for number in sorted(held.learnable, key=lambda number: (number not in asked, photos[number].sha256)):
        its = photos[number].labels or ("",)  # What shows none of the labels is a kind of its own.
        if number in asked or any(of_label[label] < _MOST_OF_EACH for label in its):
            taken.add(number)
            of_label.update(its)
        if len(taken) == _MOST:
            break
    return taken


def _some_of_each(held: HeldOut, wanted: Collection[int]) -> list[int]:
    """Positions of some photos of each label among those that words are decided on, in turn, one of each group of copies."""
    groups, photos, among = photo_groups(held.dataset), held.dataset.photos, {*wanted}
    decides = [
        sample
        for sample, truth in zip(held.samples[: held.deciding], held.truth.tolist(), strict=True)
        if truth < held.verdict.logits.shape[1]
    ]
    of_label: dict[str, dict[int, int]] = {}
    for sample in sorted(decides, key=lambda sample: photos[sample.photo].sha256):
        if sample.photo in among:
            of_label.setdefault(sample.label, {}).setdefault(groups[sample.photo], sample.photo)
    in_turn = [number for its in zip_longest(*(its.values() for its in of_label.values())) for number in its]
    most = max(_FIRST, _FIRST_OF_EACH * len(of_label))
    return sorted([number for number in in_turn if number is not None][:most])


def read_dataset(photos: Sequence[Any], settings: TrainSettings, on_progress: Progress) -> dict[str, tuple[Line, ...]]:
    """What photos say, by their SHA-256."""
    return read_by_content(
        photos,
        cached=settings.cache,
        threads=settings.threads,
        progress=lambda done, total: on_progress("reading words", done, total),
    )
