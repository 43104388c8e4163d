"""What labels are called, where people may have meant another: one name in two spellings, and names for what shows no logo."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from logolens.config import BACKGROUND
from logolens.data.dataset import Notes

__all__ = ["note_names"]

_NO_LOGO = frozenset(
    (
        *(
            "background",
            "backgrounds",
            "bg",
            "negative",
            "negatives",
            "neg",
            "nologo",
            "nologos",
            "notlogo",
            "withoutlogo",
        ),
        *(
            "nothing",
            "nobrand",
            "nobrands",
            "notabrand",
            "unlabeled",
            "unlabelled",
            "unannotated",
            "noobject",
            "null",
            "nan",
        ),
    )
)
"""What other programs and people call photos that show no logo, in letters alone."""


def note_names(counts: Mapping[str, int], notes: Notes) -> None:
    """Tell of labels that a person may have meant as one, and of those that seem to say that there is no logo.

    Args:
        counts: the photos of each label.
        notes: told.
    """
    spellings: dict[str, dict[str, None]] = {}
    seen: dict[str, dict[str, None]] = {}
    for label, count in counts.items():
        spellings.setdefault(label.casefold(), {})[label] = None
        seen.setdefault(_seen(label), {})[label.casefold()] = None
        if label != BACKGROUND and re.sub(r"[\W_]+", "", label.casefold()) in _NO_LOGO:
            message = (
                "Labels that seem to mean photos without a logo, and are learned as logos: {n}. If they show none, call "
                f"them {BACKGROUND}."
            )
            notes.add("no-logo-label", message, [f"{label}: {count}"])
    for alike in spellings.values():
        if len(alike) > 1:
            message = "Labels that differ only in upper and lower case, kept apart: {n}."
            notes.add("alike-labels", message, [" and ".join(alike)])
    for same in seen.values():
        if len(same) > 1:
            message = (
                "Labels that look alike and differ in characters that are not seen, kept apart: {n}. Spell them as one."
            )
            notes.add("unseen-in-labels", message, [" and ".join(f"{label!a}" for label in same)])


def _seen(label: str) -> str:
    """A label as the eye has it: without characters of no width, and every kind of space one blank."""
    shown = "".join(sign for sign in unicodedata.normalize("NFKC", label) if unicodedata.category(sign) != "Cf")
    return " ".join(shown.split()).casefold()
