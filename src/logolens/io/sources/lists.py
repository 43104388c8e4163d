"""Lists of images: text files with one path or URL a line, and columns of CSV and JSON Lines files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from logolens.errors import UsageError
from logolens.io.files import open_regular

__all__ = ["LIST_SUFFIXES", "listed"]

LIST_SUFFIXES = frozenset({".txt", ".lst", ".csv", ".tsv", ".jsonl", ".ndjson"})
"""The endings of files that are read as lists, not as images."""

_COLUMNS = (
    *(
        "image",
        "path",
        "file",
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "image_path",
        "url",
        "image_url",
        "uri",
    ),
    *("src", "photo", "picture", "name"),
)
_LONGEST_CELL = 100_000


def listed(path: Path, column: str | None) -> Iterator[tuple[str, str | None]]:
    """The paths and URLs that a list names, in its order, each with None; a row that names none, with its problem.

    Relative paths start from the folder of the list, as in data sets' tables. Blank lines, and in text files those that
    begin with ``#``, are passed over.

    Raises:
        UsageError: the list cannot be read, or has no column of images.
    """
    try:
        with io.TextIOWrapper(open_regular(path), "utf-8-sig", "surrogateescape", "") as file:
            suffix = path.suffix.lower()
            if suffix in (".csv", ".tsv"):
                yield from _rows(path, csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","), column)
            elif suffix in (".jsonl", ".ndjson"):
                yield from _objects(path, file, column)
            else:
                for line in file:
                    text = line.strip()
                    if text and not text.startswith("#"):
                        yield text, None
    except OSError as error:
        raise UsageError(f"{path}: this list cannot be read ({error.strerror or error}).") from error


def _rows(path: Path, rows: Iterator[list[str]], column: str | None) -> Iterator[tuple[str, str | None]]:
    csv.field_size_limit(_LONGEST_CELL)
    position = None
    number = 0
    while True:
        number += 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield f"{path}:{number}", f"{path}, row {number}: this is no CSV ({error})."
            continue
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if position is None:
            position = _position(path, [cell.strip() for cell in row], column)
        elif position < len(row) and row[position].strip():
            yield row[position].strip(), None
        else:
            yield f"{path}:{number}", f"{path}, row {number}: the column of images is empty."


def _position(path: Path, header: list[str], column: str | None) -> int:
    lower = [cell.lower() for cell in header]
    wanted = [column.lower()] if column is not None else list(_COLUMNS)
    for name in wanted:
        if name in lower:
            return lower.index(name)
    if column is None and len(header) == 1:
        return 0
    named = f"no column {column!r}" if column is not None else "no column that is known to name images"
    raise UsageError(f"{path} has {named}; name one of its own with --column: {', '.join(header)[:300]}.")


def _objects(path: Path, lines: Iterator[str], column: str | None) -> Iterator[tuple[str, str | None]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield f"{path}:{number}", f"{where}: this is no JSON ({error})."
            continue
        if isinstance(value, str):
            value = {"image": value}
        if not isinstance(value, dict):
            yield f"{path}:{number}", f"{where}: this is neither an object nor a text."
            continue
        key = column if column is not None else next((name for name in _COLUMNS if name in value), None)
        found = value.get(key) if key is not None else None
        if isinstance(found, str) and found.strip():
            yield found.strip(), None
        else:
            yield f"{path}:{number}", f"{where}: it names no image; name the key that does with --column."
