"""What photos of a data set say, each read once and kept: reading one takes a tenth of a second and more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from logolens.config import Limits, ReaderSettings
from logolens.io.images import open_apart, read_known
from logolens.io.threads import ONE_THREAD_EACH, processors
from logolens.models.features import FeatureCache
from logolens.models.words.reader import Line, Reader, reader

__all__ = ["kept_reading", "read_by_content", "read_photos"]

_WIDTH = 4
"""Bytes of one number of the cache."""


class _Photo(Protocol):
    """A file, and the SHA-256 of its bytes."""

    @property
    def path(self) -> Path: ...

    @property
    def sha256(self) -> str: ...


def kept_reading(
    photo: str, reads: Reader, read: Callable[[], tuple[Line, ...]], cache: FeatureCache | None
) -> tuple[Line, ...]:
    """What a photo says, out of the cache where it was read before.

    Args:
        photo: the SHA-256 of its bytes.
        reads: by whom.
        read: reads it.
        cache: where readings are kept; None reads anew.
    """
    key = hashlib.sha256(f"words\n{photo}\n{reads.key}".encode()).digest()
    if cache is not None and (known := cache.get([key])) and (lines := _unpacked(known[key])) is not None:
        return lines
    lines = read()
    if cache is not None:
        cache.put([(key, _packed(lines))])
    return lines


def read_photos(
    photos: Sequence[_Photo],
    settings: ReaderSettings = ReaderSettings(),
    *,
    cache: FeatureCache | None = None,
    limits: Limits = Limits(),
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[Line, ...]]:
    """What each photo says; the photos are read side by side.

    Args:
        photos: of a data set; the files are read.
        settings: how writing is sought.
        cache: where readings are kept between runs.
        limits: of the images.
        threads: how many photos are read at a time.
        progress: called with (photos done, photos in all).

    Raises:
        ImageError: a photo cannot be read, or is not the one that the data set was read with.
        MissingExtraError: the extra ``words`` is not installed.
    """
    reads = reader(settings)

    def work(photo: _Photo) -> tuple[Line, ...]:
        def read() -> tuple[Line, ...]:
            image = open_apart(read_known(photo.path, photo.sha256, limits), shrink_to=settings.side, limits=limits)
            return reads.read(image)

        with ONE_THREAD_EACH:
            return kept_reading(photo.sha256, reads, read, cache)

    results: list[tuple[Line, ...]] = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for done, lines in enumerate(pool.map(work, photos), 1):
            results.append(lines)
            if progress:
                progress(done, len(photos))
    return results


def _packed(lines: Sequence[Line]) -> npt.NDArray[np.float32]:
    """Readings as one vector: the cache keeps bits, whatever they stand for."""
    data = json.dumps([astuple(line) for line in lines], ensure_ascii=True).encode()
    return np.frombuffer(data + b" " * (-len(data) % _WIDTH), dtype="<f4")


def _unpacked(value: npt.NDArray[np.float32]) -> tuple[Line, ...] | None:
    """What `_packed` made a vector of; None where it is something else."""
    try:
        rows = json.loads(np.ascontiguousarray(value, dtype="<f4").tobytes())
        return tuple(
            Line(str(text), float(sure), (x1, y1, x2, y2), float(high)) for text, sure, (x1, y1, x2, y2), high in rows
        )
    except (ValueError, TypeError):
        return None


def read_by_content(
    photos: Sequence[_Photo], *, cached: bool, threads: int | None, progress: Callable[[int, int], None]
) -> dict[str, tuple[Line, ...]]:
    """What photos say, by their SHA-256: each content is read once.

    Args:
        photos: as of `read_photos`.
        cached: whether readings are taken from the cache folder and kept there.
        threads: how many photos are read at a time; all processors when None.
        progress: called with (photos done, photos in all).

    Raises:
        ImageError, MissingExtraError: as `read_photos`.
    """
    unique = list({photo.sha256: photo for photo in photos}.values())
    with FeatureCache() as cache:
        lines = read_photos(unique, cache=cache if cached else None, threads=threads or processors(), progress=progress)
    return {photo.sha256: its for photo, its in zip(unique, lines, strict=True)}
