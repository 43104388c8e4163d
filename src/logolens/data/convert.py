"""A data set written anew in another format, decisions about it included, so that people can go on in another tool."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from logolens.config import BACKGROUND
from logolens.data.dataset import Dataset, Note, Notes, Photo
from logolens.data.formats import WRITERS, Placed
from logolens.errors import DataError, ImageError, UsageError
from logolens.io.atomic import replace_folder
from logolens.io.images import read_known
from logolens.io.names import is_active, text_of, written_name
from logolens.types import Progress, silent

__all__ = ["Converted", "convert"]

_PARTS = {"train": "train", "val": "valid", "test": "test"}
"""What the parts are called by the tools that read these formats."""

_WITHOUT_BOXES = ("folder",)
_WITH_WHOLE = ("csv", "folder")
"""Formats that can label a photo as a whole."""

_LISTS = frozenset(("classes", "class", "class_names", "names", "labels", "predefined_classes"))
"""Stems of files beside label files that name YOLO's classes, and so of no label file."""

_NOT_EVERYWHERE = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f\ud800-\udfff]')
_LONGEST_STEM = 200
"""Bytes of a file's name without its ending: 255 is the most, and a number and another ending must fit."""


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        out: the folder.
        format: in which format.
        photos: how many were copied.
        boxes: how many boxes were written.
        notes: what the format could not hold, and what was odd in the data set.
    """

    out: Path
    format: str
    photos: int
    boxes: int
    notes: tuple[Note, ...]


def convert(dataset: Dataset, out: Path | str, format: str, *, progress: Progress | None = None) -> Converted:
    """Write a data set's photos and what they show to a folder, which appears whole or not at all.

    Args:
        dataset: the photos, as they were loaded and decided upon.
        out: a folder that is not there yet, or is empty.
        format: one of `WRITERS`: csv, yolo, coco, voc or folder.
        progress: told of the photos that are copied.

    Raises:
        UsageError: the format is not known, or something is at ``out``.
        DataError: a label cannot be written in this format, or the folder cannot be written.
        ImageError: a photo has changed since it was read.
    """
    out = Path(out)
    on_progress = progress or silent
    if format not in WRITERS:
        raise UsageError(f"There is no format called {format!r}; known: {', '.join(WRITERS)}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already. Name a folder that is not, or is empty.")
    if not dataset.photos:
        raise DataError(f"{dataset.name} holds no photos to write.")
    writer = WRITERS[format]
    parts = _parts_of(dataset.photos)
    notes = Notes()
    placed: list[Placed] = []
    taken: set[tuple[str, str]] = set()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name[:60]}-", dir=out.parent))
    except OSError as error:
        raise DataError(f"{out}: nothing can be written there ({error.strerror}).") from error
    try:
        for number, (photo, part) in enumerate(zip(dataset.photos, parts, strict=True)):
            folder = writer.folder(photo, part)
            file = Path(folder) / _free(photo, folder, taken)
            _note(photo, format, notes)
            (work / written_name(folder)).mkdir(parents=True, exist_ok=True)
            (work / written_name(file.as_posix())).write_bytes(read_known(photo.path, photo.sha256))
            placed.append(Placed(photo, file.as_posix(), part))
            if format != "csv" and (photo.group or photo.source):
                message = "Photos with a group or a source, which only csv holds: {n}. Training divides those of a group anew."
                notes.add("groups-left", message, [photo.name])
            on_progress("copying photos", number + 1, len(dataset))
        writer.write(placed, dataset.labels, work)
        work.chmod(0o755)
        if out.is_dir():
            out.rmdir()
        replace_folder(work, out)
    except (OSError, ValueError) as error:
        if isinstance(error, (DataError, ImageError)):
            raise
        raise DataError(
            f"{out}: the data set cannot be written there ({getattr(error, 'strerror', error)})."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    boxes = 0 if format in _WITHOUT_BOXES else sum(_boxes(photo, format in _WITH_WHOLE) for photo in dataset.photos)
    return Converted(out, format, len(placed), boxes, (*dataset.notes, *notes.all()))


def _boxes(photo: Photo, whole: bool) -> int:
    """How many boxes are written: those around the whole photo included, where a label must have one."""
    return len(photo.boxes) if whole else sum(1 for region in photo.regions if region.label != BACKGROUND)


def _parts_of(photos: Sequence[Photo]) -> list[str | None]:
    """The folder's name of each photo's part; a photo that is given to none goes where it would be divided from."""
    if all(photo.split is None for photo in photos):
        return [None] * len(photos)
    return [_PARTS[photo.split or "train"] for photo in photos]


def _free(photo: Photo, folder: str, taken: set[tuple[str, str]]) -> str:
    """A file name whose stem is no other's in its folder, since annotations are named after it."""
    stem, ending = photo.path.stem, _portable(photo.path.suffix)
    if photo.path.name not in photo.name and "/" not in photo.name:
        stem = Path(photo.name).stem or stem
    stem = re.sub(r"^\.", "_", _portable(stem))  # A hidden file would not be read.
    name, count = stem, 1
    while name.casefold() in _LISTS or (folder.casefold(), name.casefold()) in taken:
        count += 1
        name = f"{stem}-{count}"
    taken.add((folder.casefold(), name.casefold()))
    return f"{name}{ending}"


def _portable(name: str) -> str:
    """A copy's name as files can be called on every machine, and as every format can write it."""
    text = "".join("_" if is_active(sign) else sign for sign in _NOT_EVERYWHERE.sub("_", text_of(name)))
    return text.encode()[:_LONGEST_STEM].decode("utf-8", "ignore")


def _note(photo: Photo, format: str, notes: Notes) -> None:
    if format in _WITHOUT_BOXES:
        if photo.boxes:
            notes.add(
                "boxes-left",
                "Photos with boxes, which folders cannot hold; their labels were written: {n}.",
                [photo.name],
            )
        if len(photo.labels) > 1:
            message = "Photos of several labels, written under the one whose boxes cover most: {n}."
            notes.add("one-label", message, [photo.name])
    elif format not in _WITH_WHOLE and any(
        region.box is None and region.label != BACKGROUND for region in photo.regions
    ):
        message = "Photos with a label and no box, written with a box of the whole photo: {n}."
        notes.add("whole-box", message, [photo.name])
