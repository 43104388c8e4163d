"""The photos that an export is held against: those of the bundle's own split, found again by their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from logolens.bundle.format import Bundle
from logolens.bundle.manifest import read_split
from logolens.config import BACKGROUND, Limits
from logolens.data import load
from logolens.data.boxes_apart import BOX_MARK
from logolens.errors import DataError, ImageError
from logolens.io.images import content_hash, read_bytes
from logolens.io.sources import walk
from logolens.io.views import WHOLE, cut
from logolens.types import Progress

__all__ = ["Photos", "Sample", "find_photos", "made_up", "spread", "squares"]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Sample:
    """One photo.

    Attributes:
        path: the file.
        labels: what it shows; empty where nobody says.
    """

    path: Path
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Photos:
    """The photos at hand.

    Attributes:
        learned: those that the bundle was trained and tuned on; a quantisation may look at them.
        test: those that it has not seen.
        own: whether they are of the bundle's own split.
    """

    learned: tuple[Sample, ...] = ()
    test: tuple[Sample, ...] = ()
    own: bool = False


def find_photos(bundle: Bundle, data: Path | None, most: tuple[int, int | None], progress: Progress) -> Photos:
    """The photos of the bundle's split where they can still be read, or those of ``data``.

    Photos of ``data`` that the split knows keep their part. Where it knows none of them, every second photo is taken to
    be seen, the others to be unseen. A folder without labels serves as well, though no accuracy can be told from it.

    Args:
        bundle: the bundle.
        data: another place to look in than the one that the bundle was trained from.
        most: how many learned photos and how many test photos are wanted, None for all; only these are looked for.
        progress: told of the reading.

    Raises:
        DataError: ``data`` is given and holds no image.
    """
    if data is not None and not data.exists():
        raise DataError(f"There is no {data}; name a folder of photos, or leave --data out.")
    named = str(bundle.manifest.get("data", {}).get("path", ""))
    if data is None and not (named and Path(named).exists()):
        return Photos()
    place = data if data is not None else Path(named)
    rows = read_split(bundle.path)
    learned = spread([row for row in rows if row["part"] != "test"], most[0])
    rows = learned + spread([row for row in rows if row["part"] == "test"], most[1])
    found = _by_name(rows, place)
    if rows and 2 * len(found) < len(rows):
        found = {**_by_loading(rows, place, progress), **found}
    if found:
        parts = [(rows[number]["part"], sample) for number, sample in sorted(found.items())]
        return Photos(
            tuple(sample for part, sample in parts if part != "test"),
            tuple(sample for part, sample in parts if part == "test"),
            own=True,
        )
    return _strangers(bundle, data) if data is not None else Photos()


def _by_name(rows: list[dict[str, str]], place: Path) -> dict[int, Sample]:
    """The photos that lie where the rows say, by the rows' numbers."""
    root = place if place.is_dir() else place.parent
    found = {}
    for number, row in enumerate(rows):
        path = root / row["path"]
        try:
            if path.is_file() and content_hash(read_bytes(path)) == row["sha256"]:
                found[number] = Sample(path, (row["label"],))
        except (ImageError, OSError, ValueError):
            continue
    return found


def _by_loading(rows: list[dict[str, str]], place: Path, progress: Progress) -> dict[int, Sample]:
    """Photos that a list or an archive names otherwise than their files are named."""
    try:
        dataset = load(
            place,
            training=False,
            examples="box" if any(BOX_MARK in row["path"] for row in rows) else "photo",
            progress=lambda done, total: progress("reading photos", done, total),
        )
    except DataError:
        return {}
    photos = {photo.sha256: photo for photo in dataset.photos}
    known = ((number, photos.get(row["sha256"])) for number, row in enumerate(rows))
    return {number: Sample(photo.path, photo.labels) for number, photo in known if photo is not None}


def _strangers(bundle: Bundle, data: Path) -> Photos:
    try:
        photos = load(data, training=False).photos
        samples = [
            Sample(photo.path, photo.labels) for photo in photos if set(photo.labels) <= {*bundle.labels, BACKGROUND}
        ]
    except DataError:
        samples = []
    if not samples:
        samples = [Sample(path) for path in walk(data)]
    if not samples:
        raise DataError(f"{data} holds no photo; name a folder of photos like those that the model is to see.")
    return Photos(tuple(samples[::2]), tuple(samples[1::2]) or tuple(samples))


def squares(
    samples: Iterable[Sample], bundle: Bundle, most: int
) -> tuple[npt.NDArray[np.uint8], list[tuple[str, ...]]]:
    """Photos as the network takes them, uint8 of shape (n, size, size, 3), and their labels; unreadable ones are left out."""
    rows: list[npt.NDArray[np.uint8]] = []
    labels = []
    for sample in samples:
        if len(rows) == most:
            break
        try:
            rows += cut(read_bytes(sample.path), (WHOLE,), bundle.preprocessing, Limits())
        except ImageError:
            continue
        labels.append(sample.labels)
    size = bundle.preprocessing.size
    return np.stack(rows) if rows else np.zeros((0, size, size, 3), np.uint8), labels


def spread(items: Sequence[_Item], most: int | None) -> list[_Item]:
    """At most so many, evenly from all of them, the same ones on every machine."""
    order = np.random.default_rng(0).permutation(len(items))[:most]
    return [items[int(number)] for number in sorted(order)]


def made_up(bundle: Bundle, count: int = 8) -> npt.NDArray[np.uint8]:
    """Images to compare on where there is no photo: soft shades with a plain shape, and noise as the last."""
    size, random = bundle.preprocessing.size, np.random.default_rng(0)
    down, across = np.mgrid[0:size, 0:size][..., None] / size
    images = []
    for _ in range(count - 1):
        waves = random.uniform(1, 9, (2, 3))
        image = 127 + 100 * np.sin(down * waves[0] + across * waves[1])
        top, left = random.integers(0, size // 2, 2)
        image[top : top + size // 3, left : left + size // 3] = random.integers(0, 256, 3)
        images.append(image.astype(np.uint8))
    return np.stack([*images, random.integers(0, 256, (size, size, 3), dtype=np.uint8)])
