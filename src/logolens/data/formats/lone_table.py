"""A table in a folder of photos that gives no label by itself: photos.csv beside images."""

from __future__ import annotations

from pathlib import Path

from logolens.data.dataset import Listing, Notes
from logolens.data.folder import NO_LABELS
from logolens.data.formats.tree import Tree, split_named, text_of
from logolens.data.table import TABLE_SUFFIXES, list_table

__all__ = ["list_lone_table"]


def list_lone_table(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of the only table in a folder, where the photos lie beside it or in a folder such as ``images``.

    None where there are more tables, where folders give labels, and where the table's columns are not those of photos.

    Raises:
        DataError: the table cannot be understood.
    """
    tables = [file for file in tree.files(*TABLE_SUFFIXES) if file.parent == tree.root and _is_of_photos(file)]
    folders = {name for image in tree.images for name in tree.name(image).split("/")[:-1]}
    plain = all(name.lower() in NO_LABELS or split_named(name) for name in folders)
    return list_table(tables[0], notes) if len(tables) == 1 and plain and tree.images else None


def _is_of_photos(file: Path) -> bool:
    """Whether a table names photos and labels; what a competition wants handed in does, and is made up."""
    first = text_of(file).split("\n", 1)[0].lower()
    names = any(word in first for word in ("path", "file", "image"))
    return names and "label" in first and "submission" not in file.name.lower()
