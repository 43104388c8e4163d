"""Tables of photos: CSV, TSV and JSON Lines with path, label and optionally x1, y1, x2, y2, split, group and source."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from logolens.data.addresses import Fetch, fetched, whole_address
from logolens.data.columns import Columns, columns_of, is_open_images
from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.folder import SPLIT_NAMES, clean_label
from logolens.data.listed_files import ListedFiles
from logolens.data.open_images import BESIDE, described, is_left_out
from logolens.errors import DataError
from logolens.io.files import open_regular
from logolens.io.images import IMAGE_SUFFIXES
from logolens.io.sources.urls import redacted

__all__ = ["COLUMNS", "TABLE_SUFFIXES", "list_table", "names_photos"]

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl"})
"""The endings of tables."""

COLUMNS = ("path", "label", "x1", "y1", "x2", "y2", "split", "group", "source")
"""The columns that are read; path and label are required. Case and order do not matter, and see `columns` for other names."""

_CORNERS = ("x1", "y1", "x2", "y2")
_MEANT = {"path": "photos' files", "label": "labels"}
_JSON = (".jsonl", ".json")
_MOST_JSON = 20_000_000
"""Bytes of a JSON file that is looked into for rows; larger ones are annotations of another kind."""

_NO_NUMBERS = frozenset(("nan", "none", "null", "na", "n/a"))
"""What programs write into cells without a number, lower case."""

_SHOWN = 5


@dataclass
class _Entry:
    """What the rows of one photo have said so far, and the row that first named its split, its group and its source."""

    regions: list[Region] = field(default_factory=list)
    split: tuple[str, int] | None = None
    group: tuple[str, int] | None = None
    source: tuple[str, int] | None = None
    size: tuple[float, float] | None = None


class _RowError(Exception):
    """One row cannot be understood."""


_NO_ROW = _RowError('it is not an object such as {"path": "a.jpg", "label": "acme"}')


def names_photos(file: Path) -> bool:
    """Whether a table has a column of photos and one of labels; False of what cannot be read."""
    try:
        if file.suffix.lower() == ".json" and file.stat().st_size > _MOST_JSON:
            return False
        text = _text(file)
        if file.suffix.lower() in _JSON:
            row = next((row for _, row in _json_rows(file, text)), None)
            # Lists and objects are what tools of annotation write.
            header = (
                tuple(key for key, cell in row.items() if isinstance(cell, (str, int))) if isinstance(row, dict) else ()
            )
        else:
            header = tuple(_opened(file, text)[1])
    except (DataError, OSError, csv.Error):
        return False
    try:
        taken = columns_of(tuple(dict.fromkeys(filter(None, header))), file).names.values()
    except DataError:
        return True  # It has boxes that can be read in two ways, which is said where it is read.
    return "path" in taken and "label" in taken


def list_table(file: Path, notes: Notes, *, split: str | None = None, fetch: Fetch | None = None) -> list[Listing]:
    """List the photos of a table. Several rows for one photo are several regions; relative paths start at the table.

    Args:
        file: the table.
        notes: told of what was odd.
        split: the part that the table is of, where it is a part's; of several photos of a name that part's is meant.
        fetch: gives what addresses in the table lead to; without it, they are refused.

    Raises:
        DataError: the table cannot be read or lacks its header, or rows are wrong: the first five are named by number,
            counted as an editor counts lines.
    """
    text = _text(file)
    rows = _json_rows(file, text) if file.suffix.lower() in _JSON else _csv_rows(file, text, notes)
    entries: dict[str, _Entry] = {}
    problems: list[str] = []
    unknown: dict[str, None] = {}
    conventions: dict[str, int] = {}
    try:
        for number, row in rows:
            try:
                if isinstance(row, _RowError):
                    raise row
                columns = columns_of(tuple(row), file)
                unknown.update(dict.fromkeys(name for name in row if name not in (*columns.names, *BESIDE)))
                conventions.setdefault(columns.convention, number)
                if is_open_images(row) and is_left_out(row, number, notes):
                    continue
                _add(
                    entries,
                    number,
                    {columns.names.get(name, name): cell for name, cell in row.items()},
                    fetch is not None,
                )
                _note_columns(columns, notes)
            except _RowError as error:
                problems.append(f"row {number}: {error}")
    except csv.Error as error:
        raise DataError(f"{file}: this is not a table that can be read ({error}); save it as CSV in UTF-8.") from error
    if unknown:
        notes.add("unknown-column", "Columns of the table that are not known and were not used: {n}.", list(unknown))
    named = {name: row for name, row in conventions.items() if name}
    if len(named) > 1:
        places = ", ".join(f"row {row}: {name}" for name, row in named.items())
        raise DataError(f"{file}: boxes are written in more ways than one ({places}); write all in one way.")
    if problems:
        more = f" (and {len(problems) - _SHOWN} more rows)" if len(problems) > _SHOWN else ""
        raise DataError(f"{file}: {'; '.join(problems[:_SHOWN])}{more}. Correct these rows and run again.")
    if not entries:
        raise DataError(f"{file}: the table has no rows. Each row names one photo and its label.")
    addresses = [name for name in entries if whole_address(name)]
    kept = fetched(addresses, fetch, notes) if fetch is not None and addresses else {}
    gone = {name for name in addresses if name not in kept}
    entries = {name: entry for name, entry in entries.items() if name not in gone}
    return _listed(file, entries, next(iter(named), "corners"), split, kept, notes)


def _listed(
    file: Path,
    entries: Mapping[str, _Entry],
    convention: str,
    part: str | None,
    kept: Mapping[str, Path],
    notes: Notes,
) -> list[Listing]:
    files = ListedFiles(file)
    words = described(file) if any(its.regions[0].label.startswith("/") for its in entries.values()) else {}
    listed: dict[Path, Listing] = {}
    for name, entry in entries.items():
        split = entry.split[0] if entry.split else None
        path = kept.get(name) or files.find(name, split=split, part=part, label=entry.regions[0].label)
        if path is None:
            continue
        entry.regions = [Region(words.get(region.label, region.label), region.box) for region in entry.regions]
        more = (split, entry.group[0] if entry.group else None, entry.source[0] if entry.source else None)
        if (earlier := listed.get(path)) is not None:
            message = "Photos that the table writes in several ways, read as one each: {n}."
            notes.add("written-twice", message, [f"{earlier.name} and {name}"])
            listed[path] = replace(earlier, regions=(*earlier.regions, *entry.regions))
            continue
        # Whether x, y, w, h are a corner's or a centre's is told by the photo itself.
        size = None if convention == "corner-size" else entry.size
        shown = redacted(name) if name in kept else Path(name).as_posix()
        listed[path] = Listing(path, shown, tuple(entry.regions), *more, convention, size)
    if files.several:
        message = f"Names in the table that several photos have, left out: {{n}}. Write each path as it is from {file.parent}."
        notes.add("several-files", message, files.several)
    return list(listed.values())


def _note_columns(columns: Columns, notes: Notes) -> None:
    for name, taken in columns.names.items():
        if name != taken and taken in ("path", "label"):
            message = f"The table's column {name!r} is taken for {taken!r}."
            notes.add(f"column-{taken}", message, count=0)
    if columns.convention == "centre-size":
        notes.add("centre-size-columns", "Boxes read as centre and size, as the table's columns are called.", count=0)


def _text(file: Path) -> str:
    try:
        with open_regular(file) as opened:
            data = opened.read()
    except OSError as error:
        raise DataError(f"{file}: the table cannot be read ({error.strerror}).") from error
    # Excel saves "Unicode text" as UTF-16; only its byte order mark tells, or, without one, that every other byte is 0.
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    for name, others in (("utf-16-le", data[1:200:2]), ("utf-16-be", data[:200:2])):
        if encoding == "utf-8-sig" and len(others) > 3 and others.count(0) > 0.8 * len(others):
            encoding = name
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        name = encoding.upper().removesuffix("-SIG")
        raise DataError(
            f"{file}: row {line} is not valid {name}, perhaps since the table was saved as Latin-1 (Windows-1252); save it as "
            'UTF-8, in Excel as "CSV UTF-8".'
        ) from error


def _opened(file: Path, text: str) -> tuple[Any, list[str], str, int]:
    """A reader behind the first row, the names in this, how it is written, and how many lines stand before it."""
    first = text.split("\n", 1)[0]
    stream = io.StringIO(text, newline="")
    skipped = 0
    # Spreadsheets of half the world write semicolons, and some exports tabs or bars, into files that end in .csv.
    signs = ",;\t|" if file.suffix.lower() != ".tsv" or "\t" not in first else "\t"
    delimiter = max(signs, key=lambda sign: (first.count(sign), sign == ","))
    if said := re.fullmatch(r"sep=(.)\r?", first):  # What Excel is told, and no row.
        delimiter, skipped = said[1], 1
        stream.readline()
        first = text.split("\n", 2)[1] if text.count("\n") else ""
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    return reader, [name.strip().lower() for name in next(reader, [])], first, skipped


def _csv_rows(file: Path, text: str, notes: Notes) -> Iterator[tuple[int, Mapping[str, object] | _RowError]]:
    reader, header, first, skipped = _opened(file, text)
    if not any(header):
        raise DataError(f"{file}: the first row is empty; it must name the columns, as in: {','.join(COLUMNS)}.")
    taken = columns_of(tuple(dict.fromkeys(name for name in header if name)), file).names.values()
    if missing := [name for name in ("path", "label") if name not in taken]:
        raise DataError(
            f"{file}: the first row has no column {' and no column '.join(missing)}; it reads {first.strip()[:80]!r}. "
            f"The first row must name the columns, as in: {','.join(COLUMNS)} (the first two are required)."
            + (
                f" If one of its columns holds the {_MEANT[missing[0]]}, call it {missing[0]}."
                if len(missing) == 1
                else ""
            )
        )
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise DataError(f"{file}: the column {twice[0]} stands twice in the first row; keep one.")
    number = reader.line_num + skipped
    for cells in reader:
        begin, number = number + 1, reader.line_num + skipped
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            yield (
                begin,
                _RowError(
                    f"it has {len(cells)} cells but the first row names {len(header)} columns (a cell with a comma in it "
                    "needs quotes)"
                ),
            )
            continue
        yield begin, {name: cell for name, cell in zip(header, cells, strict=False) if name}


class _Object(dict[str, Any]):
    """A JSON object that remembers keys that stand in it more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def _json_rows(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, object] | _RowError]]:
    """The rows of JSON Lines, or of one JSON value: a list of objects, or an object with a label for each name."""
    if file.suffix.lower() == ".json":
        try:
            # A name that stands twice would be lost without a word.
            value = json.loads(text, object_pairs_hook=_Object)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, _Object) and value and all(isinstance(label, str) for label in value.values()):
            value = [{"path": name, "label": label} for name, label in value.pairs]
            value = [row for row in value if Path(row["path"]).suffix.lower() in IMAGE_SUFFIXES]
        for number, row in enumerate(value if isinstance(value, list) else (), 1):
            yield (
                number,
                {str(name).strip().lower(): cell for name, cell in row.items()} if isinstance(row, dict) else _NO_ROW,
            )
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, _RowError(f"it is not JSON ({getattr(error, 'msg', 'nested too deeply')})")
            continue
        if not isinstance(value, dict):
            yield number, _NO_ROW
            continue
        yield number, {str(name).strip().lower(): cell for name, cell in value.items()}


def _add(entries: dict[str, _Entry], number: int, row: Mapping[str, object], may_fetch: bool) -> None:
    name, label = _cell(row, "path"), clean_label(_cell(row, "label"))
    if not name:
        raise _RowError("the path is empty")
    address = whole_address(name)
    if address is not None and not (may_fetch and re.match("https?:", address, re.IGNORECASE)):
        raise _RowError(
            f"{redacted(name)[:80]} is an address, and a table names files: `logolens datasets convert TABLE OUT --format csv "
            "--allow-urls` fetches http and https ones; else fetch the images first, and write where they lie"
        )
    if "\0" in name:
        raise _RowError("the path holds a NUL character")
    if not label:
        raise _RowError(f"{name} has no label (a photo that shows none of the labels is labelled none)")
    if re.fullmatch(r"(?s)\[.*\]|\{.*\}", label):
        raise _RowError(
            f"the label {label[:40]!r} is a list or an object, as tools of annotation write it; export boxes as YOLO or COCO, or "
            "write one label in each row"
        )
    box = _box(row)
    split = _cell(row, "split").lower()
    if split and split not in SPLIT_NAMES:
        raise _RowError(f"the split is {split!r}; it must be train, val or test, or empty")
    entry = entries.setdefault(address or os.path.normpath(name), _Entry())
    entry.regions.append(Region(label, box))
    entry.size = entry.size or _photo_size(row, box)
    if split:
        part = SPLIT_NAMES[split]
        if entry.split is not None and entry.split[0] != part:
            raise _RowError(f"{name} is put in {part}, but row {entry.split[1]} put it in {entry.split[0]}")
        entry.split = entry.split or (part, number)
    if group := _cell(row, "group"):
        if entry.group is not None and entry.group[0] != group:
            raise _RowError(f"{name} is in group {group}, but row {entry.group[1]} put it in {entry.group[0]}")
        entry.group = entry.group or (group, number)
    if source := _cell(row, "source"):
        if entry.source is not None and entry.source[0] != source:
            raise _RowError(f"{name} is from {source}, but row {entry.source[1]} said it is from {entry.source[0]}")
        entry.source = entry.source or (source, number)


def _photo_size(row: Mapping[str, object], box: Box | None) -> tuple[float, float] | None:
    """The size of the photo that a row's box was drawn in; None where the row gives none, or the box's own."""
    try:
        width, height = float(_cell(row, "width")), float(_cell(row, "height"))
    except (ValueError, _RowError):
        return None
    if box is None or not (1 < width < math.inf and 1 < height < math.inf):
        return None
    own = abs(box.x2 - box.x1 - width) <= 1 and abs(box.y2 - box.y1 - height) <= 1
    # A box as large as its photo is either; it begins at the corner.
    return None if own and (box.x1 > 1 or box.y1 > 1) else (width, height)


def _cell(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, (dict, list, bool)):
        raise _RowError(f"{name} is {json.dumps(value)[:40]}, not a text")
    return str(value).strip()


def _box(row: Mapping[str, object]) -> Box | None:
    cells = [_cell(row, corner) for corner in _CORNERS]
    if not any(cell and cell.lower() not in _NO_NUMBERS for cell in cells):
        return None
    if not all(cells):
        missing = [corner for corner, cell in zip(_CORNERS, cells, strict=True) if not cell]
        raise _RowError(f"the box lacks {', '.join(missing)}; give all four corners or none")
    numbers = []
    for corner, cell in zip(_CORNERS, cells, strict=True):
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            hint = " (a point goes before decimals, not a comma)" if re.fullmatch(r"-?\d+,\d+", cell) else ""
            raise _RowError(f"{corner} is {cell!r}, which is not a number of pixels{hint}")
        numbers.append(value)
    return Box(*numbers)
