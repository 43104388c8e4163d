"""What Google's Open Images write beside boxes: groups, labels that were seen not to be there, and what labels' codes mean."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from logolens.data.dataset import Notes
from logolens.data.folder import clean_label

__all__ = ["BESIDE", "described", "is_left_out"]

BESIDE = frozenset(("isoccluded", "istruncated", "isgroupof", "isdepiction", "isinside", "width", "height"))
"""Columns that other tools write and that are known not to be needed, lower case."""

_MOST = 100_000_000


def is_left_out(row: Mapping[str, object], number: int, notes: Notes) -> bool:
    """Whether a row says that something is not there, or stands for a group of things.

    Args:
        row: its cells by the columns' names in lower case.
        number: of the row, for notes.
        notes: told of what is left out.
    """
    if str(row.get("confidence") or "1").strip() in ("0", "0.0"):
        message = "Rows of labels that were seen not to be there (Confidence 0), left out: {n}."
        notes.add("not-there", message, [f"row {number}"])
        return True
    if str(row.get("isgroupof") or "0").strip() == "1":
        notes.add("crowd", "Boxes around groups (IsGroupOf), left out: {n}.", [f"row {number}"])
        return True
    return False


def described(table: Path) -> dict[str, str]:
    """The labels that codes such as ``/m/01g317`` stand for, from class-descriptions.csv beside a table; empty without it."""
    for file in sorted(table.parent.glob("*class-descriptions*.csv")):
        try:
            if file.stat().st_size > _MOST:
                continue
            with file.open(encoding="utf-8-sig", newline="") as text:
                return {
                    row[0].strip(): clean_label(row[1]) for row in csv.reader(text) if len(row) > 1 and row[1].strip()
                }
        except (OSError, ValueError, csv.Error):
            continue
    return {}
