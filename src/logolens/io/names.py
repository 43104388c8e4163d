r"""Names from outside, as text: every file name has one, and every text can be shown without doing anything.

A file's name is bytes. Inside the program it is what Python makes of it: bytes that are no text become lone surrogates
(``os.fsdecode``), so that the file can still be opened. Where a name leaves the program, in JSON, CSV, a store, a bundle
or on the screen, it is valid Unicode in every locale:

- a byte that is no UTF-8 is written ``\xNN``, with two lower-case hexadecimal digits;
- so that this can be read back, a backslash that stands before ``x`` and two such digits is written ``\x5c``.

Every other name is written as it is, so `file_name` gives back exactly the name that `text_of` was given.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import unicodedata
from typing import Any

__all__ = ["ShownLines", "file_name", "is_active", "shown", "text_of", "valid", "valid_all", "written_name"]

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_LIKE_AN_ESCAPE = re.compile(r"\\(?=x[0-9a-f]{2})")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that steer a terminal, break a line, or turn the order of what follows."""

_HARMLESS = "\u00ad\u200c\u200d"
"""Format characters that words and emoji are written with: the soft hyphen and the two joiners."""


def text_of(name: str | os.PathLike[str]) -> str:
    r"""A name as valid Unicode, the same in every locale.

    Args:
        name: as Python gave it: lone surrogates stand for bytes that it could not decode.

    Returns:
        The name; bytes that are no UTF-8 as ``\xNN``.
    """
    text = os.fspath(name)
    if _SURROGATE.search(text):
        # In a locale that is not UTF-8 the bytes of an "é" arrive as two surrogates: together they are text again.
        text = _bytes_of(text).decode("utf-8", "surrogateescape")
    elif "\\x" not in text:
        return text
    text = _LIKE_AN_ESCAPE.sub(r"\\x5c", text)
    return _SURROGATE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)


def valid(text: str) -> str:
    r"""A text that is no file's name, such as a label, as valid Unicode; it is left as it is where it is that.

    Args:
        text: as Python gave it: lone surrogates stand for bytes that it could not decode, also those of an "é" on the command
            line in the locale C.
    """
    return text_of(text) if _SURROGATE.search(text) else text


def valid_all(value: Any) -> Any:
    """What JSON can hold, with every text in it as valid Unicode; tuples become lists."""
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, dict):
        return {valid_all(key): valid_all(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [valid_all(each) for each in value]
    return value


def written_name(text: str) -> str:
    """The path under which a file is made whose name is to be this text, in every locale; compare `file_name`.

    Args:
        text: the name, or a path in which names as this machine gave them may stand, too.
    """
    return text if text.isascii() or os.name == "nt" else os.fsdecode(text.encode("utf-8", "surrogateescape"))


def file_name(text: str) -> str:
    """The name that `text_of` made this text of, as this machine's files are opened by.

    Args:
        text: what `text_of` gave.
    """
    if "\\x" not in text and (text.isascii() or sys.getfilesystemencoding() == "utf-8"):
        return text
    parts = _ESCAPE.split(text)
    data = b"".join(
        bytes.fromhex(part) if number % 2 else part.encode("utf-8", "surrogatepass")
        for number, part in enumerate(parts)
    )
    return data.decode("utf-8", "surrogateescape") if os.name == "nt" else os.fsdecode(data)


def shown(text: object) -> str:
    r"""A text as it can be put on a screen: what would steer the terminal, or fake a line, is written out (``\x1b``, ``\n``)."""
    line = str(text)
    line = valid(line)
    if line.isascii() and line.isprintable():
        return line
    return "".join(_written(character) for character in line)


def is_active(character: str) -> bool:
    """Whether a character does something where it is shown, instead of only being seen."""
    return unicodedata.category(character) in _ACTIVE and character not in _HARMLESS


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii") if is_active(character) else character


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except (
        UnicodeEncodeError
    ):  # Windows has names with surrogates that stand for no byte; they become three bytes each.
        return b"".join(
            bytes([ord(one) - 0xDC00]) if "\udc80" <= one <= "\udcff" else one.encode("utf-8", "surrogatepass")
            for one in text
        )


class ShownLines(logging.Formatter):
    """Log records as lines in which nothing from outside steers the terminal; a traceback keeps its lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return "\n".join(shown(line) for line in super().format(record).split("\n"))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The record's own line."""
        record.message = shown(record.message)
        return super().formatMessage(record)
