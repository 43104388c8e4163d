"""Backgrounds for data sets with none or few: made pictures that show no logo, so that a model can learn to say ``none``."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np

from logolens.config import BACKGROUND, cache_folder
from logolens.data import Dataset, Note, Photo, Region, Split
from logolens.data.synthesis.backgrounds import SEEN_BACKGROUNDS, UNSEEN_BACKGROUNDS, background
from logolens.errors import ImageError
from logolens.io.atomic import write_atomically
from logolens.io.files import open_regular
from logolens.io.images import content_hash, open_rgb
from logolens.io.views import background_views

__all__ = [
    "ENOUGH_BACKGROUND",
    "ENOUGH_REGIONS",
    "background_regions",
    "builtin_photos",
    "is_builtin",
    "with_backgrounds",
]

ENOUGH_BACKGROUND = 10
"""Regions without a logo that the training part must give, and the validation part where there is one, to learn `none` from."""

ENOUGH_REGIONS = 100
"""Regions without a logo that both parts together must give, a photo labelled ``none`` counting for `_OF_NONE`."""

_OF_NONE = 3
"""The views that training takes of a photo that shows none: the whole and two closer ones."""

_OF_BOXED = {"train": 4, "val": 2}
"""The regions outside boxes that training seeks in a photo."""

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

    What shows none are photos labelled ``none``, and regions outside the boxes of other photos: where boxes fill their photos
    there are few of these. Built-in ones are added below `ENOUGH_REGIONS` in all, or `ENOUGH_BACKGROUND` in either part.
    """
    regions, labelled = {"train": 0, "val": 0}, 0
    for split, numbers in (("train", splits.train), ("val", splits.val)):
        for photo in (dataset.photos[number] for number in numbers):
            labelled += photo.label == BACKGROUND
            regions[split] += _OF_NONE if photo.label == BACKGROUND else background_regions(photo, _OF_BOXED[split])
    least = min(regions.values()) if splits.val else regions["train"]
    if least >= ENOUGH_BACKGROUND and sum(regions.values()) >= ENOUGH_REGIONS:
        return dataset, splits
    near = max((photo.near for photo in dataset.photos), default=0)
    made = [dataclasses.replace(photo, near=near + 1 + number) for number, photo in enumerate(builtin_photos())]
    first = len(dataset)
    numbers = np.random.default_rng(0).permutation(np.arange(first, first + len(made))).tolist()
    held = round(_HELD * len(numbers)) if splits.val else 0
    note = Note(
        "built-in-backgrounds", _why(labelled, sum(regions.values()) - _OF_NONE * labelled, len(made)), len(made)
    )
    return (
        dataclasses.replace(dataset, photos=(*dataset.photos, *made), notes=(*dataset.notes, note)),
        dataclasses.replace(
            splits, train=(*splits.train, *sorted(numbers[held:])), val=(*splits.val, *sorted(numbers[:held]))
        ),
    )


def background_regions(photo: Photo, most: int) -> int:
    """How many regions outside a photo's boxes show none of the labels, of so many that are sought there at the most."""
    boxes = [(box.x1, box.y1, box.x2, box.y2) for box in photo.boxes]
    # Seeded by content: the same photo gives the same count on every machine.
    rng = np.random.default_rng(int(photo.sha256[:16], 16))
    return len(background_views(boxes, (photo.width, photo.height), rng, most))


def _why(photos: int, regions: int, made: int) -> str:
    advice = "a folder `none` with photos of your own makes `none` surer."
    if not photos and not regions:
        return (
            f"No photo, and no region outside a box, shows none of the labels, so {made} built-in backgrounds stand for such "
            f"photos. {advice.capitalize()}"
        )
    found = [f"{photos:,} photos labelled none"] if photos else []
    found += [f"{regions:,} regions outside the boxes"] if regions else []
    return (
        f"Only {' and '.join(found)} show none of the labels, which is little to learn `none` from, so {made} built-in "
        f"backgrounds stand beside them; {advice}"
    )


def builtin_photos(each: int = _EACH) -> list[Photo]:
    """Built-in backgrounds, so many of each family; they are drawn once and kept in the cache folder."""
    folder = cache_folder() / "backgrounds" / f"v{_VERSION}"
    found = []
    for family in (*SEEN_BACKGROUNDS, *UNSEEN_BACKGROUNDS):
        for number in range(each):
            name = f"{family}-{number}.jpg"
            path = folder / name
            if not _is_whole(path):
                _draw(family, number, path)
            sha = content_hash(path.read_bytes())
            region = (Region(BACKGROUND),)
            found.append(Photo(path, f"{_FOLDER}/{name}", region, None, None, sha, *_SIZE, near=0))
    return found


def _is_whole(path: Path) -> bool:
    """Whether it is there and is a picture of the size that these have; whatever else lies there is drawn over."""
    try:
        with open_regular(path) as file:
            return open_rgb(file.read()).size == _SIZE
    except (OSError, ImageError):
        return False


def _draw(family: str, number: int, path: Path) -> None:
    picture = background(family, _SIZE, np.random.default_rng([number, *family.encode()]))
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=88)
    write_atomically(path, stream.getvalue())
