"""What labels are called, and how writing is made comparable: folded, so that capitals, accents and signs do not count."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from logolens.errors import DataError, UsageError

__all__ = ["EXACT", "all_names", "fold", "is_address", "nameless", "names_of", "read_names"]

EXACT = 3
"""Letters up to which a name must be read exactly: every third word is one letter off from `ups`."""

_MOST = 100_000
"""Lines of a file of names; more is another kind of file."""

_LONGEST = 80
"""Letters of a name; what is longer is no name."""

_PLAIN = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})

_CAMEL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\s_\-./\\|,;:+]+")

_DOMAIN = re.compile(
    r"[^\W_][\w-]*\.(com|net|org|info|biz|edu|gov|shop|online|store|[a-z]{2})\b(?!\.\w\b)", re.IGNORECASE
)
_ADDRESS = re.compile(r"@\w|\bwww\b|://|^\.(com|net|org)\b", re.IGNORECASE)


def fold(text: str) -> str:
    """Letters and digits alone, without case, accents and width: "Nestlé-Café" becomes "nestlecafe"."""
    # Signs go first, for the one of a trademark would become letters.
    plain = "".join(letter for letter in text if unicodedata.category(letter) != "So")
    parts = unicodedata.normalize("NFKD", plain.casefold()).casefold().translate(_PLAIN)
    kept = (
        letter for letter in parts if not unicodedata.combining(letter) and unicodedata.category(letter)[0] in "LNM"
    )
    return unicodedata.normalize("NFC", "".join(kept))


def is_address(text: str) -> bool:
    """Whether a word is an address of mail or web, or a name in a network: such names stand on anything."""
    return bool(_ADDRESS.search(text) or _DOMAIN.search(text))


def names_of(label: str) -> tuple[str, ...]:
    """What a label is called, as its own text says: its words, in camel case or between separators, as one phrase.

    Returns:
        None of it where nothing but digits or a single letter is left: folders are numbered, and numbers stand on anything.
    """
    phrase = " ".join(part for part in _SEPARATORS.split(_CAMEL.sub(" ", label)) if part)
    folded = fold(phrase)
    return (phrase,) if len(folded) > 1 and not folded.isdecimal() and len(folded) <= _LONGEST else ()


def nameless(labels: Iterable[str], names: Mapping[str, Sequence[str]]) -> list[str]:
    """The labels that no name is known of, so that no word can speak for them."""
    return [label for label in labels if not names.get(label)]


def all_names(labels: Sequence[str], given: Mapping[str, Sequence[str]] = {}) -> dict[str, tuple[str, ...]]:
    """What each label is called: by the label itself, and as ``read_names`` gives it, each name once."""
    return {label: tuple(dict.fromkeys((*names_of(label), *given.get(label, ())))) for label in labels}


def read_names(path: Path, labels: Sequence[str] | None = None) -> dict[str, tuple[str, ...]]:
    """The names that a file gives to labels: a label a line, ``label: name, another name``; the label's own is kept.

    A line with a label alone adds no name. Empty lines and those that begin with # are passed over.

    Args:
        path: a text file in UTF-8.
        labels: those that there are; any where None.

    Returns:
        The further names of each label of the file, in its order.

    Raises:
        UsageError: the file cannot be read, or holds nothing.
        DataError: a line cannot be understood, or is about a label that there is not.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: the names cannot be read ({error.strerror}); name a text file.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: the names are not written in UTF-8; save the file as UTF-8 text.") from error
    found: dict[str, tuple[str, ...]] = {}
    lines = text.splitlines()
    if len(lines) > _MOST:
        raise DataError(f"{path} has {len(lines):,} lines; a file of names has one for each label, {_MOST:,} at most.")
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        label, _, rest = line.partition(":") if ":" in line else line.partition("\t")
        label = label.strip()
        if not label:
            raise DataError(
                f"{path}, line {number}: no label stands before the colon; write label: name, another name."
            )
        if labels is not None and label not in labels:
            near = next((one for one in labels if fold(one) == fold(label)), None)
            hint = (
                f"did you mean {near}?" if near else f"it must be one of the labels, as {labels[0]}." if labels else ""
            )
            raise DataError(f"{path}, line {number}: there is no label {label}; {hint}")
        names = tuple(name for part in rest.split(",") if (name := part.strip()))
        for name in names:
            if len(fold(name)) < 2 or len(fold(name)) > _LONGEST:
                raise DataError(
                    f"{path}, line {number}: {name[:_LONGEST]!r} cannot be read as a name; use 2 to {_LONGEST} letters."
                )
        found[label] = tuple(dict.fromkeys((*found.get(label, ()), *names)))
    if not found:
        raise UsageError(f"{path} names no label; write a line for each, as in label: name, another name.")
    return found
