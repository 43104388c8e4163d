"""Composed images among the photos of a training: beside real ones to learn from alone, instead of them where there are none.

A label that has photos is judged on photos: its composed images are learned from, count for less, and are never held out to
decide or to measure. A label with artwork alone is judged on composed images whose backgrounds training does not see.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from logolens.config import BACKGROUND, SynthesisSettings, TrainSettings, cache_folder
from logolens.data import Dataset, Note, Photo, Split, load
from logolens.data.builtin_backgrounds import is_builtin
from logolens.data.synthesis import Synthesised, photo_among, read_synthesised
from logolens.data.synthesis.synthesize import Materials, compose_from, gather
from logolens.errors import DataError, UsageError
from logolens.io.images import content_hash
from logolens.types import Progress

__all__ = [
    "COMPOSED_WEIGHT",
    "beside_photos",
    "composed_alone",
    "composed_data_notes",
    "is_composed",
    "referred",
    "with_composed",
]


COMPOSED_WEIGHT = 0.3
"""What a composed image counts for beside a photo of the same label."""

_FOLDER = "composed images"
_REFERENCES = 12
"""Composed images of a label that local features are matched with: the logos are the same drawing in all of them."""


def is_composed(photo: Photo) -> bool:
    """Whether it is no photo, but was composed for the training."""
    return photo.name.startswith(f"{_FOLDER}/")


def beside_photos(dataset: Dataset) -> frozenset[int]:
    """Positions of the composed images whose label has photos too: those are learned from, and decide nothing."""
    real = {photo.label for photo in dataset.photos if not is_composed(photo)}
    return frozenset(n for n, photo in enumerate(dataset.photos) if is_composed(photo) and photo.label in real)


def referred(photos: Sequence[Photo]) -> list[Photo]:
    """Photos that local features are matched with: all real ones, and of each label some composed ones with large logos."""
    made: dict[str, list[Photo]] = {}
    for photo in photos:
        if is_composed(photo):
            made.setdefault(photo.label, []).append(photo)
    kept: set[str] = set()
    for members in made.values():
        largest = sorted(members, key=lambda photo: (-max((box.area for box in photo.boxes), default=0.0), photo.name))
        kept.update(photo.name for photo in largest[:_REFERENCES])
    return [photo for photo in photos if not is_composed(photo) or photo.name in kept]


def composed_data_notes(data: Path) -> tuple[Note, ...]:
    """What is to be said of data that `logolens synthesize` wrote: that they are no photos. Nothing of other data."""
    try:
        made = read_synthesised(data if data.is_dir() else data.parent)
    except DataError:
        return ()
    count = sum(made.counts.values())
    return (
        Note(
            "composed-data",
            f"All {count:,} images were composed from artwork, and so were those that the figures are taken on. Expect less on "
            "photos.",
            count,
        ),
    )


def composed_alone(artwork: Path, settings: TrainSettings, on_progress: Progress, *, said: bool = False) -> Dataset:
    """A data set of composed images alone, its parts given, each on backgrounds of its own.

    Args:
        artwork: a folder with a subfolder of artwork for each label.
        settings: of the training.
        on_progress: told of the work as it is done.
        said: whether it is artwork for sure, also what has no transparency.

    Raises:
        UsageError: ``artwork`` holds what may be photos.
        DataError: as for `logolens.data.synthesis.synthesize`.
    """
    if not artwork.exists():
        raise DataError(f"{artwork}: there is no such folder. Name one with a subfolder of artwork for each label.")
    if not artwork.is_dir():
        raise UsageError(
            f"{artwork} is no folder of artwork. To compose images beside photos, name the artwork with --artwork FOLDER."
        )
    if not said and (photo := photo_among(artwork)) is not None:
        raise UsageError(
            f"{photo} has no transparency, so {artwork} is taken for photos. To compose images beside photos, name the artwork "
            f"with --artwork FOLDER; if this is artwork, and nothing else, say so with --artwork {artwork}."
        )
    how = _how(settings, none=None)
    materials = gather([artwork], how, progress=on_progress)
    made = _made(materials, how, (), on_progress)
    dataset = load(made.boxes, training=False, progress=lambda done, total: on_progress("reading photos", done, total))
    note = Note(
        "composed-alone",
        f"No photo was given: all {len(dataset):,} images are composed from artwork, and so are those that the figures are "
        "taken on, though on backgrounds that training does not see. Expect less on photos.",
        len(dataset),
    )
    photos = [_named(photo, 0) for photo in dataset.photos]
    advice = []
    if settings.finetune == "none" and settings.head != "gallery":
        advice = [
            Note(
                "composed-frozen",
                "Only the head learns here. Composed images are many enough to train the network too, which takes the "
                "better part of an hour in all: --synthesize 200 --finetune last-6-blocks --finetune-minutes 27.",
                1,
            )
        ]
    return Dataset.of(artwork.resolve().name, photos, (note, *advice, *_notes(materials.notes)))


def with_composed(
    dataset: Dataset, splits: Split, settings: TrainSettings, on_progress: Progress
) -> tuple[Dataset, Split]:
    """The data set with images composed from ``settings.artwork``.

    Raises:
        UsageError: a label of the artwork differs from one of the photos in upper and lower case alone.
        DataError: as for `logolens.data.synthesis.synthesize`.
    """
    assert settings.artwork is not None
    real = {photo.label for photo in dataset.photos}
    # Photos without a logo teach what `none` is where there are some; composed ones add plates and words without it.
    how = _how(settings, none=settings.synthesize if settings.background else 0)
    materials = gather([settings.artwork], how, progress=on_progress)
    new = [label for label in materials.collection.variants if label not in real]
    for label in new:
        if alike := [name for name in real if name.casefold() == label.casefold()]:
            raise UsageError(
                f"{settings.artwork} has the label {label!r} and the photos {alike[0]!r}; write both the same way."
            )
    if not new:
        # Photos judge every label, so none of the backgrounds need be kept back.
        how = dataclasses.replace(how, val=0.0, test=0.0)
        materials = gather([settings.artwork], how, progress=on_progress)
    train_only = sorted(
        ({*materials.collection.variants} & real) | ({BACKGROUND} if BACKGROUND in real or not new else set())
    )
    made = load(_made(materials, how, train_only, on_progress).boxes, training=False)
    near = max((photo.near for photo in dataset.photos), default=0) + 1
    photos = [_named(photo, near) for photo in made.photos]
    first = len(dataset)
    places = {
        split: tuple(first + number for number, photo in enumerate(photos) if photo.split == split)
        for split in ("train", "val", "test")
    }
    joined = dataclasses.replace(
        dataset,
        photos=(*dataset.photos, *photos),
        labels=tuple(sorted({*dataset.labels, *made.labels})),
        notes=(*dataset.notes, *_composed_notes(dataset, made, new, places), *_notes(materials.notes)),
        data_hash=content_hash(f"{dataset.data_hash} {made.data_hash}".encode()),
    )
    return joined, dataclasses.replace(
        splits,
        train=(*splits.train, *places["train"]),
        val=(*splits.val, *places["val"]),
        test=(*splits.test, *places["test"]),
    )


def _composed_notes(
    dataset: Dataset, made: Dataset, new: Sequence[str], places: dict[str, tuple[int, ...]]
) -> list[Note]:
    photos = sum(not is_builtin(photo) for photo in dataset.photos)
    learned = len(places["train"])
    sentence = f"Images composed from artwork to learn from beside {photos:,} photos: {learned:,}; each counts for "
    notes = [Note("composed", f"{sentence}{COMPOSED_WEIGHT:g} of a photo.", learned)]
    if new:
        notes.append(
            Note(
                "composed-labels",
                f"Labels without a photo, whose figures are of composed images: {len(new)}. Expect less on photos.",
                len(new),
                tuple(new[:5]),
            )
        )
    if without := [label for label in dataset.labels if label not in made.labels]:
        notes.append(
            Note(
                "no-artwork",
                f"Labels without artwork, which learn from photos alone: {len(without)}.",
                len(without),
                tuple(without[:5]),
            )
        )
    return notes


def _how(settings: TrainSettings, none: int | None) -> SynthesisSettings:
    return SynthesisSettings(
        count=settings.synthesize,
        none=none if settings.background else 0,
        backgrounds=settings.backgrounds,
        val=settings.val,
        test=settings.test,
        seed=settings.seed,
        threads=settings.threads,
    )


def _made(
    materials: Materials, how: SynthesisSettings, train_only: Sequence[str], on_progress: Progress
) -> Synthesised:
    """The images in the cache folder: composed once, and found there by the next run."""
    folder = cache_folder() / "composed" / materials.key(how, train_only)[:32]
    try:
        return read_synthesised(folder)
    except DataError:
        pass
    try:
        return compose_from(materials, folder, how, train_only=train_only, force=True, progress=on_progress)
    except UsageError:
        return read_synthesised(folder)  # Another process was quicker.


def _named(photo: Photo, near: int) -> Photo:
    group = None if photo.group is None else f"{_FOLDER} on {photo.group}"
    return dataclasses.replace(photo, name=f"{_FOLDER}/{photo.name}", near=photo.near + near, group=group)


def _notes(sentences: Sequence[str]) -> list[Note]:
    return [Note("artwork", sentence, 1) for sentence in sentences]
