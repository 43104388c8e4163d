"""A scan's results for other programs: JSON lines, CSV and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from logolens.errors import require
from logolens.io.atomic import written_beside
from logolens.scan.queries import Row

__all__ = ["COLUMNS", "is_table", "safe_cell", "write_csv", "write_parquet"]

COLUMNS = (
    *("image", "verdict", "label", "confidence", "change", "names", "places", "group", "width", "height", "box"),
    *("sha256", "error"),
)
"""The columns of a table of results."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROWS = 10_000


def safe_cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def is_table(path: Path) -> bool:
    """Whether a file is a table of results, CSV or Parquet, so that the table of a further scan may take its place."""
    heading = ",".join(COLUMNS).encode()
    try:
        with open(path, "rb") as file:
            start = file.read(len(heading) + 2)
        if start[:4] == b"PAR1":
            parquet: Any = require("pyarrow.parquet", "parquet")
            return tuple(parquet.read_schema(path).names) == (*COLUMNS, "scores")
    except (OSError, ValueError):  # pyarrow's own errors are ValueErrors and OSErrors, too.
        return False
    return start.rstrip(b"\r\n") == heading


def write_csv(rows: Iterable[Row], path: Path) -> int:
    """Write a table with a heading; several names or places of a picture stand on lines of one cell. Returns the count."""
    with written_beside(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        return _write_csv(rows, file)


def _write_csv(rows: Iterable[Row], file: TextIO) -> int:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        count += 1
        record = row.to_json()
        for column in ("names", "places"):
            record[column] = "\n".join(str(safe_cell(value)) for value in record[column])
        record["box"] = None if row.box is None else " ".join(f"{edge:.4f}" for edge in row.box)
        writer.writerow([safe_cell(record[column]) for column in COLUMNS])
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
        **dict.fromkeys(COLUMNS, text),
        **dict.fromkeys(("names", "places"), arrow.list_(text)),
        **dict.fromkeys(("group", "width", "height"), arrow.int64()),
        "confidence": floats,
        "box": arrow.list_(floats),
        "scores": arrow.map_(text, floats),
    }
    schema = arrow.schema([(name, kinds[name]) for name in (*COLUMNS, "scores")])
    rows, count = iter(rows), 0
    with written_beside(path) as temporary, parquet.ParquetWriter(str(temporary), schema) as writer:
        while part := [row.to_json() for row in islice(rows, _ROWS)]:
            count += len(part)
            columns = {name: [record[name] for record in part] for name in COLUMNS}
            columns["scores"] = [list(record["scores"].items()) for record in part]
            writer.write_table(arrow.table(columns, schema=schema))
    return count
