"""Names and labels as every reader's listings leave them: valid text, a label on one line."""

from __future__ import annotations

import re
from dataclasses import replace

from logolens.data.dataset import Listing, Notes, Region
from logolens.data.folder import clean_label
from logolens.errors import DataError
from logolens.io.names import valid

__all__ = ["as_text", "label_on_a_line"]

_BREAKS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]")
"""Line breaks of every kind and control characters: ``labels.txt`` has a label a line."""


def as_text(item: Listing, notes: Notes) -> Listing:
    """A listing whose name and labels are text, as the files of a bundle, tables and pages hold them.

    Args:
        item: as a reader found it.
        notes: told of labels that are written anew.

    Raises:
        DataError: nothing of a label is left.
    """
    # Readers of folders have written names out; what others took from bytes that are no text has surrogates still.
    name = valid(item.name)
    labels = {label: _label(label, name, notes) for label in dict.fromkeys(region.label for region in item.regions)}
    if name == item.name and all(label == line for label, line in labels.items()):
        return item
    return replace(item, name=name, regions=tuple(Region(labels[region.label], region.box) for region in item.regions))


def label_on_a_line(label: str) -> str:
    """A label with each run of line breaks, tabs and control characters as one space, and all else as it is."""
    text = valid(label)
    return clean_label(" ".join(_BREAKS.sub(" ", text).split())) if _BREAKS.search(text) else text


def _label(label: str, name: str, notes: Notes) -> str:
    line = label_on_a_line(label)
    if not line:
        raise DataError(f"{name}: its label {label!r} holds nothing but line breaks and the like; give it a name.")
    if _BREAKS.search(label):
        message = "Labels with line breaks, tabs or control characters in them, which are read as one space: {n}."
        notes.add("broken-label", message, [line])
    return line
