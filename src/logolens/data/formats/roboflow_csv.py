"""Roboflow's CSV: an _annotations.csv beside the photos of each part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from logolens.data.dataset import Listing, Notes
from logolens.data.formats.tree import Tree
from logolens.data.table import list_table

__all__ = ["list_roboflow_csv"]


def list_roboflow_csv(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of all such tables, by the parts that their folders are called after; None where there are none.

    Raises:
        DataError: a table cannot be understood.
    """
    files = [file for file in tree.files(".csv") if file.name.lower() == "_annotations.csv"]
    if not files:
        return None
    listed: dict[Path, Listing] = {}
    for file in files:
        split = tree.split_of(file)
        for item in list_table(file, notes):
            listed[item.path] = replace(item, name=tree.name(item.path), split=item.split or split)
    left = [tree.name(image) for image in tree.images if image not in listed]
    if left:
        notes.add("unlisted", "Photos in the folder that no annotation file lists, left out: {n}.", left)
    return list(listed.values())
