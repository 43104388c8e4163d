"""The words of a bundle: ``words.json``, which a person may read."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from logolens.config import ReaderSettings, WordSettings
from logolens.errors import BundleError, LogolensError
from logolens.io.atomic import write_file
from logolens.models.words.expert import WordExpert, WordWeights
from logolens.models.words.lexicon import Lexicon

__all__ = ["WORDS", "load_words", "save_words"]

WORDS = "words.json"
"""The words that speak for labels, in a bundle that reads them."""

_LARGEST = 50_000_000
"""Bytes of ``words.json``; more is not what training wrote."""


def save_words(expert: WordExpert, path: Path) -> None:
    """Write the lexicon, with the settings that words are compared by and photos are read with."""
    record = {
        "about": "Words that speak for labels: their names, and words that training photos of one label showed and others did "
        "not. odds is the natural logarithm of how much likelier the label is where the word is read.",
        "reader": asdict(ReaderSettings()),
        "settings": asdict(expert.lexicon.settings),
        **expert.lexicon.to_json(),
    }
    write_file(path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode(), force=True)


def load_words(
    data: bytes, weights: WordWeights, labels: tuple[str, ...], where: Path
) -> tuple[WordExpert, ReaderSettings]:
    """The expert, and how photos are to be read for it.

    Args:
        data: the bytes of ``words.json``.
        weights: how words count.
        labels: of the bundle.
        where: the file, for messages.

    Raises:
        BundleError: ``words.json`` is not what training wrote.
    """
    try:
        if len(data) > _LARGEST:
            raise ValueError(f"it has {len(data):,} bytes")
        record = json.loads(data)
        settings, reader = _known(WordSettings, record["settings"]), _known(ReaderSettings, record["reader"])
        return WordExpert(Lexicon.from_json(record, labels, settings), weights), reader
    except BundleError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, LogolensError) as error:
        raise BundleError(f"{where} cannot be understood ({error}); copy or train the bundle again.") from error


def _known(kind: type, given: dict[str, Any]) -> Any:
    """Settings out of a file; what a later release added is left aside."""
    names = {spec.name for spec in fields(kind)}
    return kind(**{name: value for name, value in given.items() if name in names})
