"""Values of a manifest as Markdown: tables, numbers, text that nothing in it can turn into markup."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "as_dict",
    "as_list",
    "code",
    "count",
    "decimal",
    "escape",
    "flat",
    "is_number",
    "markdown_table",
    "plain",
    "share",
    "shown",
]


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """A Markdown table, aligned in its source as well; columns in `numbers` stand to the right. Cells are escaped."""
    cells = [[escape(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(columns))]
    lines = [
        "| "
        + " | ".join(
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in cells
    ]
    rule = "|".join("-" * (width + 1) + ":" if i in numbers else "-" * (width + 2) for i, width in enumerate(widths))
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def as_dict(value: Any) -> Mapping[str, Any]:
    """A mapping, or an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """A list, or an empty one in place of anything else."""
    return list(value) if isinstance(value, (list, tuple)) else []


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as rows of dotted names and values."""
    rows = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", shown(value)))
    return rows


def shown(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(entry) for entry in value)
    return str(value)


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def plain(value: Any) -> str:
    """A number with its thousands parted; nothing for what is none."""
    return f"{value:,}" if is_number(value) else ""


def share(value: Any) -> str:
    """A share as a percentage."""
    return f"{100 * value:.1f} %" if is_number(value) else ""


def decimal(value: Any, places: int = 3) -> str:
    """A number with so many places."""
    return f"{value:.{places}f}" if is_number(value) else ""


def count(n: int, noun: str) -> str:
    """A number and its noun."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def escape(text: str) -> str:
    """Text that Markdown and the HTML in it leave as it is, on one line."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    line = re.sub(r"([\\`*\[\]|~$])", r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An underscore within a word is no emphasis, and names of settings are full of them.
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", line)


def code(value: Any) -> str:
    """A value as code."""
    return "`" + " ".join(str(value).replace("`", "'").split()) + "`"
