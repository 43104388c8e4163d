"""Folders of photos: one subfolder a label, or train, val and test folders that hold such subfolders."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from logolens.config import BACKGROUND
from logolens.data.dataset import Listing, Notes, Region
from logolens.errors import DataError
from logolens.io.images import IMAGE_SUFFIXES
from logolens.io.names import text_of
from logolens.io.sources import is_leftover, walk

__all__ = ["CONTACT_SHEET", "NO_LABELS", "SPLIT_NAMES", "clean_label", "entries", "list_folder", "split_named"]

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
    "train_set": "train",
    "training_set": "train",
    "val_set": "val",
    "validation_set": "val",
    "test_set": "test",
}
"""What people call the three parts, lower case, and what they are called here."""

NO_LABELS = frozenset(("images", "image", "imgs", "img", "photos", "pictures", "jpegimages", "labels", "annotations"))
"""Folders that other formats keep photos and boxes in."""

_TRAILING = re.compile(r"[\W_]*\d*$")

_NO_TEXT = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters that JSON can name, and no file can hold; not those that stand for bytes of a folder's name."""

_SOUGHT = (
    "Looked for YOLO (label files in a folder labels), COCO (a JSON file), Pascal VOC (XML files) and ImageFolder "
    "(metadata.csv); or make one subfolder for each label."
)


def clean_label(text: str) -> str:
    """A label without surrounding space, its accents composed (NFC); any spelling of ``none`` is the background."""
    # macOS and some zips write an accent as a letter of its own; it is the same word.
    label = _NO_TEXT.sub("\ufffd", unicodedata.normalize("NFC", text)).strip()
    return BACKGROUND if label.casefold() == BACKGROUND else label


def split_named(name: str) -> str | None:
    """The part that a folder or file is called after: train, valid, test2017, train_images; None where it is called otherwise."""
    lowered = name.lower()
    if (known := SPLIT_NAMES.get(lowered) or SPLIT_NAMES.get(_TRAILING.sub("", lowered))) is not None:
        return known
    words = re.findall(r"[^\W\d_]+", lowered)
    parts = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    plain = all(
        word in SPLIT_NAMES or word in NO_LABELS or word in ("set", "data", "dataset", "split") for word in words
    )
    return parts.pop() if plain and len(parts) == 1 else None


def list_folder(folder: Path, notes: Notes, hint: str | None = None) -> list[Listing]:
    """List the photos of a folder with one subfolder a label.

    Files at any depth below a label's folder count for it. Where a subfolder called train (or training) holds subfolders of
    photos and another is called val or test (or validation, testing, ...), or nothing else holds photos, these are the given
    parts. What stands beside them, and photos in a part without a label's folder, is left out and noted.

    Args:
        folder: the folder.
        notes: told of what is left out.
        hint: a sentence on annotations that lie there and are not read, for errors.

    Raises:
        DataError: there are no subfolders, no images in them, or nothing but folders whose names are no labels.
    """
    subfolders = entries(folder, folders=True)
    if not subfolders:
        loose = next(walk(folder), None)
        found = "only images that have no label" if loose else "no images"
        if loose and folder.name.lower() in NO_LABELS:
            hint = f"{hint or ''} If what they show is written beside {folder.name}, give the folder above it.".strip()
        raise DataError(
            f"{folder} holds {found}. Make one subfolder for each label, as in {folder.name or folder}/acme/photo.jpg, "
            f"or give a CSV file with the columns path and label.{_after(hint)}{_named_alike(folder)}"
        )
    if (inner := _wrapped(folder, subfolders)) is not None:
        notes.add("wrapped", f"The photos are read from the only folder in it, {inner.name}.")
        return list_folder(inner, notes, hint)
    parts = _parts(folder, subfolders, hint)
    listed: list[Listing] = []
    if parts:
        for other in subfolders:
            if other not in parts and next(walk(other), None) is not None:
                message = "Folders with images beside train and the like, which are no part and were left out: {n}."
                notes.add("no-part", message, [other.name])
        for part in parts:
            inner = _within(part)
            for each in {part, inner}:
                _note_loose(each, folder, notes)
            labels = entries(inner, folders=True)
            _note_names(inner, labels, notes)
            for label in labels:
                listed.extend(_list_label(label, folder, split_named(part.name), notes))
    else:
        _note_names(folder, subfolders, notes)
        inside = _same_inside(folder, subfolders, notes, hint)
        for label in subfolders:
            listed.extend(_list_label(label, folder, None, notes))
        if inside:
            # As acme/train/1.jpg: the parts lie within each label.
            listed = [replace(item, split=inside.get(item.path.relative_to(folder).parts[1])) for item in listed]
    _note_loose(folder, folder, notes)
    if not listed:
        raise DataError(
            f"{folder}: none of its {len(subfolders)} subfolders holds an image. Looked for files that end in "
            f"{', '.join(sorted(IMAGE_SUFFIXES)[:6])} and the like.{_after(hint)}"
        )
    _refuse_no_labels(folder, listed, hint)
    return listed


def _after(hint: str | None) -> str:
    return f" {hint}" if hint else ""


def _parts(folder: Path, subfolders: list[Path], hint: str | None) -> list[Path]:
    """The subfolders that are given parts; none where the subfolders are labels.

    Raises:
        DataError: they are called after parts, and hold no folders of labels.
    """
    named = [path for path in subfolders if split_named(path.name)]
    splits = {split_named(path.name) for path in named}
    others = [path for path in subfolders if path not in named and next(walk(path), None) is not None]
    if "train" not in splits or (len(splits) < 2 and others):
        return []
    # A part is divided into labels when its own folders hold images; a flat test (as of Kaggle) is left out.
    divided = [path for path in named if split_named(path.name) == "train" and _holds_labels(_within(path))]
    if divided:
        return named
    if len(splits) < 2:
        return []
    raise DataError(
        f"{folder}: its folders {', '.join(path.name for path in named)} are called after the parts of a data set, but train "
        f"holds no subfolder of photos for each label, so nothing says what the photos show.{_after(hint)}"
        + _named_alike(next(path for path in named if split_named(path.name) == "train"))
    )


def _within(part: Path) -> Path:
    """The folder that holds a part's labels: the part itself, or one called train or images that alone lies in it."""
    full = [path for path in entries(part, folders=True) if _holds_images(path)]
    if len(full) == 1 and (split_named(full[0].name) or full[0].name.lower() in NO_LABELS):
        return _within(full[0])
    return part


def _named_alike(folder: Path) -> str:
    """A sentence on what the names of a folder's photos begin with, where that may be labels, as in acme.1.jpg."""
    counts: dict[str, int] = {}
    for path in entries(folder, folders=False):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            begin = re.match(r"([^\W\d_]{2,})[\W_]*\d", path.stem)
            counts[begin[1] if begin else ""] = counts.get(begin[1] if begin else "", 0) + 1
    if "" in counts or not 2 <= len(counts) <= 50 or min(counts.values()) < 2:
        return ""
    return (
        f" The photos' names begin with {', '.join(sorted(counts)[:4])}{' ...' if len(counts) > 4 else ''}: if these are the "
        "labels, sort the photos into folders called so."
    )


def _holds_labels(part: Path) -> bool:
    """Whether a part has subfolders of photos other than ``images`` and the like."""
    return any(
        label.name.lower() not in NO_LABELS and next(walk(label), None) is not None
        for label in entries(part, folders=True)
    )


def _wrapped(folder: Path, subfolders: list[Path]) -> Path | None:
    """The one subfolder, as archives have it, where that holds given parts or several labels; else None."""
    full = [path for path in subfolders if next(walk(path, folder_links=True), None) is not None]
    if len(full) != 1 or _has_images(folder):
        return None
    subfolders = full
    inner = entries(subfolders[0], folders=True)
    if subfolders[0].name.lower() in NO_LABELS and inner and not _has_images(subfolders[0]):
        return subfolders[0]  # As images/acme/1.jpg, beside nothing that says more.
    names = {split_named(path.name) for path in inner}
    if "train" in names and len(names - {None}) > 1:
        return subfolders[0]
    # As dataset/acme/1.jpg, where one label could be told from nothing.
    name = subfolders[0].name
    if clean_label(name) == BACKGROUND or split_named(name) or _has_images(subfolders[0]):
        return None
    several = sum(1 for path in inner if path.name.lower() not in NO_LABELS and _holds_images(path)) > 1
    return subfolders[0] if several or (inner and _wrapped(subfolders[0], inner)) else None


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in entries(folder, folders=False))


def _refuse_no_labels(folder: Path, listed: list[Listing], hint: str | None) -> None:
    """Folders called images and labels are how other formats keep photos; they are no labels.

    Raises:
        DataError: no folder is called otherwise.
    """
    labels = {region.label for item in listed for region in item.regions}
    plain = labels and all(_TRAILING.sub("", label.lower()) in NO_LABELS for label in labels)
    # As dataset1/img/1.jpg beside dataset1/ann: folders are labels only where nothing else says what photos show.
    parts = hint and all(map(split_named, labels))
    if plain or parts or (hint and all(item.path.parent.name.lower() in NO_LABELS for item in listed)):
        raise DataError(
            f"{folder}: its photos lie in {', '.join(sorted(labels))}, which is no label, and no annotations were found that say "
            f"what they show. {hint or _SOUGHT}"
        )


def entries(folder: Path, *, folders: bool) -> list[Path]:
    """The folders or the files that stand in a folder, in order; neither hidden ones nor what systems and tools leave.

    A folder whose name begins with a dot is listed where it holds images: ``.NET`` is a brand, and what tools leave is known
    by name (see `is_leftover`).

    Raises:
        DataError: the folder cannot be listed.
    """
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: this folder cannot be listed ({error.strerror}).") from error
    # A label's folder may itself be a link, as people keep big folders elsewhere.
    return [
        Path(entry.path)
        for entry in found
        if entry.is_dir() == folders
        and not is_leftover(entry.name)
        and (not entry.name.startswith(".") or (folders and _holds_images(Path(entry.path))))
    ]


def _holds_images(folder: Path) -> bool:
    return next(walk(folder), None) is not None


def _note_names(folder: Path, taken: list[Path], notes: Notes) -> None:
    """Tell of folders that a person may have meant otherwise: those taken for a tool's own, and hidden ones that are not."""
    left = [entry.name for entry in sorted(folder.iterdir()) if entry.is_dir() and is_leftover(entry.name)]
    if names := [text_of(name) for name in left if _holds_images(folder / name)]:
        message = (
            "Folders with images that systems and tools leave beside photos, left out: {n}. Rename one that is a label."
        )
        notes.add("leftover", message, names)
    if names := [text_of(path.name) for path in taken if path.name.startswith(".")]:
        notes.add(
            "dot-label", "Folders whose names begin with a dot and that hold images, taken for labels: {n}.", names
        )


def _list_label(label: Path, root: Path, split: str | None, notes: Notes) -> Iterator[Listing]:
    refused: list[OSError] = []
    region = Region(clean_label(text_of(label.name)))
    found = False
    left: list[str] = []
    if label.is_symlink() and root.resolve().is_relative_to(label.resolve()):
        left.append(str(label))  # A loop: all that is read lies below it.
        paths: Iterator[Path] = iter(())
    else:
        paths = walk(label, suffixes=None, folder_links=True, within=root, on_error=refused.append, left=left.append)
    for path in paths:
        name = text_of(path.relative_to(root).as_posix())
        if path.suffix.lower() in IMAGE_SUFFIXES:
            found = True
            yield Listing(path, name, (region,), split)
        else:
            message = "Files among the photos whose endings are not those of images, left out: {n}."
            notes.add("not-image", message, [name])
    for error in refused:
        notes.add("unlistable", "Folders that could not be listed, left out: {n}.", [text_of(str(error.filename))])
    if left:
        message = (
            "Linked folders that lead back into the data set, whose photos count where they lie, not followed: {n}."
        )
        notes.add("linked-back", message, [text_of(Path(each).relative_to(root).as_posix()) for each in left])
    if not found and left != [str(label)]:
        name = text_of(label.relative_to(root).as_posix())
        notes.add("empty-folder", "Subfolders without images, which give no label: {n}.", [name])


def _same_inside(folder: Path, labels: list[Path], notes: Notes, hint: str | None) -> dict[str, str]:
    """Judge labels' folders that all hold folders of the same names, as acme/train and bolt/train, or 2023/acme and 2024/acme.

    Returns:
        The part that each inner folder is called after, where these are parts; else nothing.

    Raises:
        DataError: one of the outer folders is called after a part, and another is not.
    """
    inner = [{path.name for path in entries(label, folders=True)} for label in labels if _holds_images(label)]
    shared = set.intersection(*inner) if len(inner) > 1 else set()
    parts = {name: split for name in set().union(*inner) if (split := split_named(name))}
    divided = "train" in parts.values() and len(set(parts.values())) > 1
    if divided and all(name in parts for names in inner for name in names):
        notes.add("parts-inside", "The parts lie within the labels' folders: {n}.", sorted(parts))
        return parts
    if len(shared) > 1 and all(names == shared for names in inner):
        shown = ", ".join(text_of(name) for name in sorted(shared)[:5])
        if named := [path.name for path in labels if split_named(path.name)]:
            others = ", ".join(text_of(path.name) for path in labels if path.name not in named)
            raise DataError(
                f"{folder}: its folders hold the same folders ({shown}), which seem to be the labels, and {named[0]} is called "
                f"after a part of a data set, but {others} is not. Call the parts train, valid and test.{_after(hint)}"
            )
        notes.add(
            "same-inside",
            f"Each label's folder holds the same folders ({shown}). If these are the labels, make one folder of each, or write a "
            "table.",
        )
    return {}


def _note_loose(folder: Path, root: Path, notes: Notes) -> None:
    for entry in sorted(folder.iterdir()):
        if entry.name == CONTACT_SHEET or entry.name.startswith("."):
            continue
        if entry.is_file() and entry.suffix.lower() in IMAGE_SUFFIXES:
            name = text_of(entry.relative_to(root).as_posix())
            notes.add("unlabelled", "Images beside the labels' folders, left out for want of a label: {n}.", [name])
