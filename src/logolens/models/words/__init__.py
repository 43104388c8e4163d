"""The expert that reads: what is written in a photo, and which label it names."""

from __future__ import annotations

from logolens.models.words.expert import WordExpert, WordWeights, within
from logolens.models.words.label_names import all_names, fold, is_address, nameless, names_of, read_names
from logolens.models.words.lexicon import Entry, Lexicon, Reading, WordProof
from logolens.models.words.reader import Line, Reader, model_hashes, reader, reads
from logolens.models.words.readings import kept_reading, read_by_content, read_photos

__all__ = [
    "Entry",
    "Lexicon",
    "Line",
    "Reader",
    "Reading",
    "WordExpert",
    "WordProof",
    "WordWeights",
    "all_names",
    "fold",
    "is_address",
    "kept_reading",
    "model_hashes",
    "nameless",
    "names_of",
    "read_by_content",
    "read_names",
    "read_photos",
    "reader",
    "reads",
    "within",
]
