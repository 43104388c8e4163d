"""Roboflow's CSV beside the photos of each part: _annotations.csv with boxes, or _classes.csv with a column for each label."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from logolens.data.dataset import Listing, Notes, Region
from logolens.data.folder import clean_label
from logolens.data.formats.tree import Tree, annotated, text_of
from logolens.data.table import list_table
from logolens.errors import DataError

__all__ = ["list_roboflow_csv"]


def list_roboflow_csv(tree: Tree, notes: Notes) -> list[Listing] | None:
    """List the photos of all such tables, by the parts that their folders are called after; None where there are none.

    Raises:
        DataError: a table cannot be understood.
    """
    files = [file for file in tree.files(".csv") if file.name.lower() in ("_annotations.csv", "_classes.csv")]
    if not files:
        return None
    listed: dict[Path, Listing] = {}
    for file in files:
        split = tree.split_of(file)
        for item in list_table(file, notes) if file.name.lower() == "_annotations.csv" else _classes(file, notes):
            listed[item.path] = replace(item, name=tree.name(item.path), split=item.split or split)
    left = [tree.name(image) for image in tree.images if image not in listed]
    if left:
        notes.add("unlisted", "Photos in the folder that no annotation file lists, left out: {n}.", left)
    return list(listed.values())


def _classes(file: Path, notes: Notes) -> Iterator[Listing]:
    """The photos of a table of ones and zeros; a photo of zeros alone shows none of the labels.

    Raises:
        DataError: a row holds something else.
    """
    try:
        header, *rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text_of(file))) if any(row)]
    except (ValueError, csv.Error) as error:
        raise DataError(f"{file}: this is not a table that can be read; the first row names the labels.") from error
    labels = [clean_label(name) for name in header[1:]]
    for number, (name, *marks) in enumerate(rows, 2):
        if len(marks) != len(labels) or not set(marks) <= {"0", "1"}:
            raise DataError(
                f"{file}: row {number} does not hold a 0 or a 1 for each label of the first row; correct it."
            )
        regions = [Region(label) for label, mark in zip(labels, marks, strict=True) if mark == "1" and label]
        yield Listing(file.parent / name, name, annotated(regions))
