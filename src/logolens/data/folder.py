"""Folders of photos: one subfolder a label, or train, val and test folders that hold such subfolders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from logolens.config import BACKGROUND
from logolens.data.types import Listing, Notes, Region
from logolens.errors import DataError
from logolens.io.images import IMAGE_SUFFIXES
from logolens.io.sources import walk

__all__ = ["CONTACT_SHEET", "SPLIT_NAMES", "clean_label", "entries", "list_folder"]

CONTACT_SHEET = "contact-sheet.png"
"""What `logolens synthesize` leaves beside the labels' folders for people to look at; it is no photo."""

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""What people call the three parts, lower case, and what they are called here."""


def clean_label(text: str) -> str:
    """A label without surrounding space; any spelling of ``none`` is the background."""
    label = text.strip()
    return BACKGROUND if label.casefold() == BACKGROUND else label


def list_folder(folder: Path, notes: Notes) -> list[Listing]:
    """List the photos of a folder with one subfolder a label.

    Files at any depth below a label's folder count for it. When every subfolder is called train, val or test (or
    validation, training, ...), training is among them and each holds subfolders, these are the given parts.

    Raises:
        DataError: there are no subfolders, or no images in them.
    """
    subfolders = entries(folder, folders=True)
    if not subfolders:
        loose = next(walk(folder), None)
        found = "only images that have no label" if loose else "no images"
        raise DataError(
            f"{folder} holds {found}. Make one subfolder for each label, as in {folder.name or folder}/acme/photo.jpg, "
            "or give a CSV file with the columns path and label."
        )
    parts = {SPLIT_NAMES.get(name.name.lower()) for name in subfolders}
    divided = None not in parts and "train" in parts and all(entries(part, folders=True) for part in subfolders)
    listed: list[Listing] = []
    if divided:
        for part in subfolders:
            _note_loose(part, folder, notes)
            for label in entries(part, folders=True):
                listed.extend(_list_label(label, folder, SPLIT_NAMES[part.name.lower()], notes))
    else:
        for label in subfolders:
            listed.extend(_list_label(label, folder, None, notes))
    _note_loose(folder, folder, notes)
    if not listed:
        raise DataError(
            f"{folder}: none of its {len(subfolders)} subfolders holds an image. Looked for files that end in "
            f"{', '.join(sorted(IMAGE_SUFFIXES)[:6])} and the like."
        )
    return listed


def entries(folder: Path, *, folders: bool) -> list[Path]:
    """The folders or the files that stand in a folder, in order; neither hidden ones nor what macOS leaves in archives.

    Raises:
        DataError: the folder cannot be listed.
    """
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: this folder cannot be listed ({error.strerror}).") from error
    # A label's folder may itself be a link, as people keep big folders elsewhere; links below it are not followed.
    return [
        Path(entry.path)
        for entry in found
        if entry.is_dir() == folders and not entry.name.startswith(".") and entry.name != "__MACOSX"
    ]


def _list_label(label: Path, root: Path, split: str | None, notes: Notes) -> Iterator[Listing]:
    refused: list[OSError] = []
    region = Region(clean_label(label.name))
    found = False
    for path in walk(label, suffixes=None, file_links=True, on_error=refused.append):
        name = path.relative_to(root).as_posix()
        if path.suffix.lower() in IMAGE_SUFFIXES:
            found = True
            yield Listing(path, name, (region,), split)
        else:
            message = "Files among the photos whose endings are not those of images, left out: {n}."
            notes.add("not-image", message, [name])
    for error in refused:
        notes.add("unlistable", "Folders that could not be listed, left out: {n}.", [str(error.filename)])
    if not found:
        name = label.relative_to(root).as_posix()
        notes.add("empty-folder", "Subfolders without images, which give no label: {n}.", [name])


def _note_loose(folder: Path, root: Path, notes: Notes) -> None:
    for entry in sorted(folder.iterdir()):
        if entry.name == CONTACT_SHEET or entry.name.startswith("."):
            continue
        if entry.is_file() and entry.suffix.lower() in IMAGE_SUFFIXES:
            name = entry.relative_to(root).as_posix()
            notes.add("unlabelled", "Images beside the labels' folders, left out for want of a label: {n}.", [name])
