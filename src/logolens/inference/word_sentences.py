"""Words that were read, as JSON has them and as people are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from logolens.models.words import WordProof

__all__ = ["word_json", "word_sentence"]


def word_json(proof: WordProof) -> dict[str, Any]:
    """A word that was read, as JSON has it."""
    return {
        "word": proof.word,
        "label": proof.label,
        "name": proof.name,
        "similarity": round(proof.similarity, 4),
        "confidence": round(proof.confidence, 4),
        "evidence": round(proof.evidence, 4),
        "box": [round(edge, 4) for edge in proof.box],
    }


def word_sentence(word: Mapping[str, Any], read: bool) -> str:
    """A word that was read, as people are told of it.

    Args:
        word: as `word_json` gives it.
        read: whether the answer rests on words alone.
    """
    text = f"“{word['word']}” is written there"
    if float(word["similarity"]) < 1:
        text += f", {float(word['similarity']):.0%} like “{word['name']}”"
    return f"Read, not seen: {text}" if read else text
