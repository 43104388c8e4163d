"""A table in a folder of photos that gives no label by itself: photos.csv beside images, or one for each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from logolens.data.dataset import Listing, Notes
from logolens.data.folder import NO_LABELS
from logolens.data.formats.tree import Tree, split_named
from logolens.data.table import TABLE_SUFFIXES, list_table, names_photos
from logolens.errors import DataError

__all__ = ["list_lone_table"]


def list_lone_table(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of the only table in a folder, or of several that are called after the parts of a data set.

    Read are tables at the top, or in the only folder there, that have columns of photos and labels, where no folders give
    labels: where there is one at most that is not called images, train or the like, and the table names photos in it.

    Raises:
        DataError: a table cannot be understood, or there are several and nothing says which one is meant.
    """
    tables = [file for file in tree.files(*TABLE_SUFFIXES, ".json") if _is_of_photos(file)] if tree.images else []
    tables = [file for file in tables if file.parent == min((each.parent for each in tables), key=_depth)]
    labels = {label for image in tree.images if (label := _label_folder(tree, image)) is not None}
    if not tables:
        return None
    splits = [split_named(file.stem) for file in tables]
    if len(tables) == 1 and labels:
        if not _says_more(tree, list_table(tables[0], Notes()), len(labels)):
            _note_aside(tree, tables, len(labels), notes)
            return None
        return list_table(tables[0], notes)
    if len(labels) > 1:
        _note_aside(tree, tables, len(labels), notes)
        return None
    if len(tables) == 1:
        return list_table(tables[0], notes)
    if None in splits or len(set(splits)) < len(splits):
        names = ", ".join(tree.name(file) for file in tables[:5])
        raise DataError(
            f"{tree.root}: several tables name photos and labels ({names}), and nothing says which one is meant. Give that table "
            "instead of the folder, or call the tables train, valid and test."
        )
    return _divided(tables, splits, notes)


def _divided(tables: Sequence[Path], splits: Sequence[str | None], notes: Notes) -> list[Listing]:
    """The photos of tables of which each is a part's."""
    listed: dict[Path, Listing] = {}
    for file, split in zip(tables, splits, strict=True):
        for item in list_table(file, notes, split=split):
            item = replace(item, split=item.split or split)
            if (earlier := listed.get(item.path)) is not None and earlier.split != item.split:
                notes.add(
                    "several-parts", "Photos that are put in several parts, which are not heeded: {n}.", [item.name]
                )
                item = replace(item, regions=(*earlier.regions, *item.regions), split=None)
            listed[item.path] = item
    return list(listed.values())


def _says_more(tree: Tree, listed: Sequence[Listing], labels: int) -> bool:
    """Whether a table is about the photos in a folder's subfolders, and these are none of its labels, as shops or days."""
    known = frozenset(tree.images)
    found = [item for item in listed if item.path in known]
    if labels == 1:
        return bool(found)
    folders = {_label_folder(tree, item.path) for item in found}
    agree = folders & {region.label for item in found for region in item.regions}
    return not agree and 2 * len(found) >= len(known)


def _note_aside(tree: Tree, tables: Sequence[Path], labels: int, notes: Notes) -> None:
    if labels > 1:
        message = "Tables of photos and labels beside the labels' folders, not read: {n}. To read one, name it itself."
        notes.add("table-aside", message, [tree.name(file) for file in tables])


def _depth(folder: Path) -> tuple[int, str]:
    return len(folder.parts), str(folder)


def _label_folder(tree: Tree, image: Path) -> str | None:
    """The first folder above an image, from the root, that may be a label's."""
    folders = tree.name(image).split("/")[:-1]
    return next((name for name in folders if name.lower() not in NO_LABELS and not split_named(name)), None)


def _is_of_photos(file: Path) -> bool:
    """Whether a table names photos and labels; what a competition wants handed in does, and is made up."""
    return "submission" not in file.name.lower() and names_photos(file)
