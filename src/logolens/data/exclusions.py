"""Photos that are to be left out: the fix list that an audit wrote, or a list of one's own."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from logolens.data.dataset import Dataset, Notes
from logolens.errors import DataError
from logolens.io.names import valid

__all__ = ["ACTIONS", "check_exclusions", "without"]

ACTIONS = ("exclude", "look")
"""What a fix list can say of a photo: leave it out, or only look at it."""

_SHOWN = 5
_GONE = ("unreadable", "missing")  # kinds of finding whose photos no data set holds anyway


def check_exclusions(file: str | os.PathLike[str]) -> None:
    """See that a list can be read, before the many photos are that it is about.

    Raises:
        DataError: it cannot, as for `without`.
    """
    _rows(Path(file))


def without(dataset: Dataset, file: str | os.PathLike[str]) -> Dataset:
    """A data set without the photos that a list names.

    Args:
        dataset: the photos.
        file: a CSV file with a column ``path``, the photos as the data set names them. With a column ``action``, as in the
            fix list of `logolens audit`, only rows that say ``exclude`` count; without one, all do.

    Raises:
        DataError: the file cannot be read, an action is none of ``exclude`` and ``look``, no row names a photo of this data
            set, or nothing would be left.
    """
    file = Path(file)
    gone, unused = set(), []
    names = {photo.name for photo in dataset.photos}
    rows = _rows(file)
    for path, kind in rows:
        if path in names:
            gone.add(path)
        elif kind not in _GONE:
            unused.append(path)
    if unused and not gone:
        raise DataError(
            f"{file}: none of the {len(unused)} photos that it would leave out is one of {dataset.name}'s; the first is "
            f"{unused[0]}. Give the list that was made for this data set."
        )
    if len(gone) == len(dataset):
        raise DataError(f"{file} would leave out every photo of {dataset.name}; see its column action.")
    notes = Notes()
    if gone:
        notes.add("excluded", f"Photos left out, as {file.name} says: {{n}}.", count=len(gone))
    if unused:
        message = f"Photos that {file.name} would leave out and the data set does not hold: {{n}}."
        notes.add("unused-exclusion", message, unused)
    left = (photo for photo in dataset.photos if photo.name not in gone)
    return Dataset.of(dataset.name, left, (*dataset.notes, *notes.all()))


def _rows(file: Path) -> list[tuple[str, str]]:
    """The path and the kind of each row that says to leave its photo out."""
    try:
        # A list that people made may hold names as the files have them, which need not be Unicode.
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError(f"{file}: the list cannot be read ({error.strerror}).") from error
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        if "path" not in columns:
            raise DataError(
                f"{file}: the first row has no column path; give the CSV file that `logolens audit --fixes` writes, or one with "
                "the columns path and, if not all rows are to count, action."
            )
        rows, wrong = [], []
        for row in reader:
            action = (row.get("action") or "").strip().lower() if "action" in columns else "exclude"
            path = (row.get("path") or "").strip()
            if action not in (*ACTIONS, ""):
                wrong.append(f"row {reader.line_num} says {action!r}")
            elif action == "exclude" and path:
                rows.append((_name(path), (row.get("kind") or "").strip()))
    except csv.Error as error:
        raise DataError(f"{file}: this is not a table that can be read ({error}); save it as CSV in UTF-8.") from error
    if wrong:
        more = f" (and {len(wrong) - _SHOWN} more rows)" if len(wrong) > _SHOWN else ""
        raise DataError(
            f"{file}: {'; '.join(wrong[:_SHOWN])}{more} in the column action; it must be {' or '.join(ACTIONS)}, or empty."
        )
    return rows


def _name(path: str) -> str:
    """A photo's name as data sets give it."""
    return valid(Path(path).as_posix())
