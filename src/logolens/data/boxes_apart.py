"""Each annotated box as an example of its own: cut out with some surroundings, and kept in the cache folder."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

from logolens.config import Limits, cache_folder
from logolens.data.dataset import Box, Dataset, Note, Photo, Region
from logolens.io.atomic import write_atomically
from logolens.io.images import content_hash, open_apart, read_known

__all__ = ["BOX_MARK", "boxes_apart"]

BOX_MARK = "#box"
"""What stands in the name of an example between its photo and its number."""

_SURROUNDINGS = 0.25
"""What is kept on each side of a box, as a share of its longer side."""


def boxes_apart(
    dataset: Dataset, *, limits: Limits = Limits(), progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """A data set in which each box is an example. Photos without a box stay as they are.

    All boxes of a photo stay in its part of a split, and with its near copies.

    Args:
        dataset: the photos.
        limits: how large an image may be.
        progress: called as ``progress(done, total)`` with photos.

    Raises:
        ImageError: a photo has changed since it was read.
    """
    photos: list[Photo] = []
    cut = 0
    for number, photo in enumerate(dataset.photos):
        boxed = [(place, region) for place, region in enumerate(photo.regions) if region.box is not None]
        if boxed:
            photos += [_example(photo, place, region, limits) for place, region in boxed]
            cut += len(boxed)
        else:
            photos.append(photo)
        if progress is not None:
            progress(number + 1, len(dataset))
    message = f"Each of {cut:,} boxes is an example of its own, with {_SURROUNDINGS:.0%} of its longer side around it."
    return Dataset.of(dataset.name, photos, (*dataset.notes, Note("boxes-apart", message, cut)))


def _example(photo: Photo, place: int, region: Region, limits: Limits) -> Photo:
    assert region.box is not None
    box = region.box
    around = _SURROUNDINGS * max(box.x2 - box.x1, box.y2 - box.y1)
    left, top = max(0, round(box.x1 - around)), max(0, round(box.y1 - around))
    right = max(left + 1, min(photo.width, round(box.x2 + around)))
    bottom = max(top + 1, min(photo.height, round(box.y2 + around)))
    edges = (left, top, right, bottom)
    path = cache_folder() / "boxes" / photo.sha256[:2] / f"{photo.sha256}-{'-'.join(map(str, edges))}.png"
    if not path.exists():
        _cut(photo, edges, path, limits)
    inner = Box(box.x1 - left, box.y1 - top, box.x2 - left, box.y2 - top).clipped(right - left, bottom - top)
    return dataclasses.replace(
        photo,
        path=path,
        name=f"{photo.name}{BOX_MARK}{place + 1}",
        regions=(Region(region.label, inner),),
        sha256=content_hash(path.read_bytes()),
        width=right - left,
        height=bottom - top,
        rows=1,
    )


def _cut(photo: Photo, edges: tuple[int, int, int, int], path: Path, limits: Limits) -> None:
    image = open_apart(read_known(photo.path, photo.sha256, limits), limits=limits)
    stream = io.BytesIO()
    image.crop(edges).save(stream, "PNG", compress_level=1)
    write_atomically(path, stream.getvalue())
