"""What the photos of a training say: their words are read, and labels have names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from logolens.config import TrainSettings, WordSettings
from logolens.data import Dataset, Split, photo_groups
from logolens.data.builtin_backgrounds import is_builtin
from logolens.data.composed import is_composed
from logolens.io.views import WHOLE
from logolens.models.words import (
    Lexicon,
    Line,
    Reading,
    all_names,
    model_hashes,
    nameless,
    read_by_content,
    read_names,
    reads,
    within,
)
from logolens.training.samples import Sample
from logolens.types import Progress

__all__ = ["WordReadings", "learnable_words", "names_for", "read_dataset", "read_words", "shared_names"]

_MOST = 3000
"""Photos that words are learned from; more would take minutes and teach the same words."""


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

    def of(self, sample: Sample) -> tuple[Line, ...]:
        """What was read in a view of a photo; nothing where it was not read."""
        photo = self._dataset.photos[sample.photo]
        lines = self._lines.get(photo.sha256, ())
        if sample.view is WHOLE or sample.view.box is None:
            return lines
        return within(lines, sample.view.box, (photo.width, photo.height))


def learnable_words(dataset: Dataset, splits: Split) -> list[int]:
    """Positions of the photos whose words may be learned: real ones, of the training and validation parts."""
    return [
        number
        for number in (*splits.train, *splits.val)
        if not is_builtin(dataset.photos[number]) and not is_composed(dataset.photos[number])
    ]


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
    from logolens.models.words import fold

    owners: dict[str, dict[str, str]] = {}
    for label, its in names.items():
        for name in its:
            owners.setdefault(fold(name), {})[label] = name
    shared = [f"{next(iter(its.values()))} of {' and '.join(its)}" for its in owners.values() if len(its) > 1]
    if not shared:
        return []
    return [f"Names of several labels, which so speak for none of them: {len(shared)} ({'; '.join(shared[:5])})."]


def read_words(
    dataset: Dataset, photos: Collection[int], asked: Collection[int], settings: TrainSettings, on_progress: Progress
) -> tuple[WordReadings, tuple[str, ...]] | None:
    """Read the photos that words are learned from and decided on.

    Args:
        dataset: all photos.
        photos: positions of those that may be learned from.
        asked: positions of those that decide.
        settings: of the training.
        on_progress: told of the work as it is done.

    Returns:
        None where words are not to be tried, or the extra ``words`` is not installed and nobody asked for it.

    Raises:
        MissingExtraError: it is not installed, and ``settings`` asks for words or has names.
        UsageError, DataError: the file of names cannot be used.
    """
    if settings.words == "off" or (settings.words == "auto" and settings.names is None and not reads()):
        return None
    names, notes = names_for(dataset, settings)
    model_hashes()
    # By content, so that the same photos are read wherever they lie.
    learned = sorted(photos, key=lambda number: dataset.photos[number].sha256)[:_MOST]
    wanted = [dataset.photos[number] for number in sorted({*learned, *asked}) if not is_builtin(dataset.photos[number])]
    lines = read_dataset(wanted, settings, on_progress)
    return WordReadings(dataset, names, lines), notes


def read_dataset(photos: Sequence[Any], settings: TrainSettings, on_progress: Progress) -> dict[str, tuple[Line, ...]]:
    """What photos say, by their SHA-256."""
    return read_by_content(
        photos,
        cached=settings.cache,
        threads=settings.threads,
        progress=lambda done, total: on_progress("reading words", done, total),
    )
