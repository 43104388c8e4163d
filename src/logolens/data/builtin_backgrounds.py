"""Backgrounds for data sets with none or few: made pictures that show no logo, so that a model can learn to say ``none``."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np

from logolens.config import BACKGROUND, cache_folder
from logolens.data import Dataset, Note, Photo, Region, Split
from logolens.data.synthesis.backgrounds import SEEN_BACKGROUNDS, UNSEEN_BACKGROUNDS, background
from logolens.io.atomic import write_atomically
from logolens.io.images import content_hash

__all__ = ["ENOUGH_BACKGROUND", "builtin_photos", "is_builtin", "with_backgrounds"]

ENOUGH_BACKGROUND = 10
"""Images without a logo that the training part must hold, and the validation part where there is one, to learn `none` from."""

_VERSION = 1
_FOLDER = "built-in backgrounds"
_SIZE = (480, 360)
_EACH = 5
"""Pictures of each family."""

_HELD = 0.25


def is_builtin(photo: Photo) -> bool:
    """Whether a photo is one of these and not the user's; figures leave them out, since they are too easily told."""
    return photo.name.startswith(f"{_FOLDER}/")


def with_backgrounds(dataset: Dataset, splits: Split) -> tuple[Dataset, Split]:
    """The data set with built-in backgrounds to train and to validate on, where too little in it shows none of its labels.

    A data set with boxes, around which there is background, stays as it is, and so does one with `ENOUGH_BACKGROUND` photos
    labelled ``none`` in each of the two parts.
    """
    own = {
        split: sum(dataset.photos[number].label == BACKGROUND for number in numbers)
        for split, numbers in (("train", splits.train), ("val", splits.val))
    }
    least = min(own.values()) if splits.val else own["train"]
    if least >= ENOUGH_BACKGROUND or any(photo.boxes for photo in dataset.photos):
        return dataset, splits
    near = max((photo.near for photo in dataset.photos), default=0)
    made = [dataclasses.replace(photo, near=near + 1 + number) for number, photo in enumerate(builtin_photos())]
    first = len(dataset)
    numbers = np.random.default_rng(0).permutation(np.arange(first, first + len(made))).tolist()
    held = round(_HELD * len(numbers)) if splits.val else 0
    told = sum(own.values())
    note = Note(
        "built-in-backgrounds",
        f"Only {told} photos to learn from show none of the labels, so {len(made)} built-in backgrounds stand beside them."
        " More photos of your own in the folder `none` make `none` surer."
        if told
        else f"No photo shows none of the labels, so {len(made)} built-in backgrounds stand for such photos. A folder `none` "
        "with photos of your own makes `none` surer.",
        len(made),
    )
    return (
        dataclasses.replace(dataset, photos=(*dataset.photos, *made), notes=(*dataset.notes, note)),
        dataclasses.replace(
            splits, train=(*splits.train, *sorted(numbers[held:])), val=(*splits.val, *sorted(numbers[:held]))
        ),
    )


def builtin_photos(each: int = _EACH) -> list[Photo]:
    """Built-in backgrounds, so many of each family; they are drawn once and kept in the cache folder."""
    folder = cache_folder() / "backgrounds" / f"v{_VERSION}"
    found = []
    for family in (*SEEN_BACKGROUNDS, *UNSEEN_BACKGROUNDS):
        for number in range(each):
            name = f"{family}-{number}.jpg"
            path = folder / name
            if not path.exists():
                _draw(family, number, path)
            sha = content_hash(path.read_bytes())
            region = (Region(BACKGROUND),)
            found.append(Photo(path, f"{_FOLDER}/{name}", region, None, None, sha, *_SIZE, near=0))
    return found


def _draw(family: str, number: int, path: Path) -> None:
    picture = background(family, _SIZE, np.random.default_rng([number, *family.encode()]))
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=88)
    write_atomically(path, stream.getvalue())
