"""A scan's results for other programs: JSON lines, CSV and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from logolens.errors import require
from logolens.io.atomic import written_beside
from logolens.io.files import open_regular
from logolens.scan.queries import Row

__all__ = ["COLUMNS", "is_table", "safe_cell", "write_csv", "write_parquet"]

COLUMNS = (
    *("place", "image", "verdict", "label", "confidence", "change", "before", "decision", "group", "width", "height"),
    *("box", "sha256", "error", "start", "end", "share"),
)
"""The columns of a CSV file of results, which has one row a place, and of a video one for each time at each place."""

_LISTS = (
    *("image", "verdict", "label", "confidence", "change", "before", "decision", "names", "places", "group", "width"),
    *("height", "box", "sha256", "error", "scores"),
)
"""The columns of a Parquet file, which has one row a picture."""

_EARLIER = (
    *("image", "verdict", "label", "confidence", "change", "names", "places", "group", "width", "height", "box"),
    *("sha256", "error"),
)
"""The columns of both in earlier releases, whose files may be replaced as well."""

_BEFORE_VIDEOS = COLUMNS[:-3]

_BREAKS = {ord(sign): repr(sign)[1:-1] for sign in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROWS = 10_000


def safe_cell(value: object) -> object:
    """A cell of one line that no spreadsheet takes for a formula.

    Text that begins like one gets an apostrophe before it; a line break is written out (``\\n``), for many a program that reads
    tables takes it for the end of the row.
    """
    if not isinstance(value, str):
        return value
    return f"'{value}".translate(_BREAKS) if value.startswith(_FORMULA) else value.translate(_BREAKS)


def is_table(path: Path) -> bool:
    """Whether a file is a table of results, CSV or Parquet, so that the table of a further scan may take its place."""
    headings = [",".join(columns).encode() for columns in (COLUMNS, _BEFORE_VIDEOS, _EARLIER)]
    try:
        with open_regular(path) as file:
            start = file.readline(max(map(len, headings)) + 2)
        if start[:4] == b"PAR1":
            parquet: Any = require("pyarrow.parquet", "parquet")
            return tuple(parquet.read_schema(path).names) in (_LISTS, (*_EARLIER, "scores"))
    except (OSError, ValueError):  # pyarrow's own errors are ValueErrors and OSErrors, too.
        return False
    return start.rstrip(b"\r\n") in headings


def write_csv(rows: Iterable[Row], path: Path) -> int:
    """Write a table with a heading, and a row for each place where a picture stands. Returns the count."""
    with written_beside(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        return _write_csv(rows, file)


def _write_csv(rows: Iterable[Row], file: TextIO) -> int:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        record = row.to_json()
        for record["place"], record["image"] in row.stands:
            for times in (row.video or {}).get("appearances") or [{}]:
                # Of a video what is said of the appearance; label and box of an image are its own.
                cells = {**record, **dict.fromkeys(("start", "end", "share")), **times, "verdict": row.verdict}
                cells["box"] = None if cells["box"] is None else " ".join(f"{edge:.4f}" for edge in cells["box"])
                count += 1
                writer.writerow([safe_cell(cells[column]) for column in COLUMNS])
    return count


def write_parquet(rows: Iterable[Row], path: Path) -> int:
    """Write a Parquet file, whose lists are lists; returns the count.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    arrow: Any = require("pyarrow", "parquet")
    parquet: Any = require("pyarrow.parquet", "parquet")
    text, floats = arrow.string(), arrow.float64()
    kinds = {
        **dict.fromkeys(_LISTS, text),
        **dict.fromkeys(("names", "places"), arrow.list_(text)),
        **dict.fromkeys(("group", "width", "height"), arrow.int64()),
        "confidence": floats,
        "box": arrow.list_(floats),
        "scores": arrow.map_(text, floats),
    }
    schema = arrow.schema([(name, kinds[name]) for name in _LISTS])
    rows, count = iter(rows), 0
    with written_beside(path) as temporary, parquet.ParquetWriter(str(temporary), schema) as writer:
        while part := [row.to_json() for row in islice(rows, _ROWS)]:
            count += len(part)
            columns = {name: [record[name] for record in part] for name in _LISTS}
            columns["scores"] = [list(record["scores"].items()) for record in part]
            writer.write_table(arrow.table(columns, schema=schema))
    return count
