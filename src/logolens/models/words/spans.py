"""What could be a name among the lines that were read: words, runs of words, whole lines and joined neighbours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from logolens.models.words.label_names import fold, is_address
from logolens.models.words.reader import Line

__all__ = ["Candidate", "candidates"]

Box = tuple[float, float, float, float]

_BREAKS = re.compile(r"[\s/|,;:·•()\[\]{}\"“”„«»!?<>*=]+")
"""What words stand between. Hyphens, dots, apostrophes and ampersands are parts of names."""

_RUN = 4
"""Words in a run."""

_WORDS = 40
"""Words of one line that are looked at."""

_LONGEST = 100
"""Letters beyond which nothing is a name."""

_MOST = 3000
"""Candidates of one photo."""


@dataclass(frozen=True)
class Candidate:
    """A piece of writing that may be a name.

    Attributes:
        text: as it was read.
        folded: as it is compared.
        confidence: of the reading.
        box: of the line, or of both lines, in fractions of the photo's sides.
        height: of its letters, as a share of the photo's shorter side.
        share: of all writing in the photo that its lines take up, 0 to 1.
        alone: whether it is one word as it stood, or a whole line, so that a short name may be meant.
        words: which words of which lines it is made of.
    """

    text: str
    folded: str
    confidence: float
    box: Box
    height: float
    share: float
    alone: bool
    words: frozenset[tuple[int, int]]


def candidates(lines: Sequence[Line]) -> list[Candidate]:
    """All that could be a name in what was read of one photo; addresses are left out."""
    split = [_words(line.text) for line in lines]
    beside = {
        (first, second): side
        for first in range(len(lines))
        for second in range(len(lines))
        if first != second and (side := _beside(lines[first], lines[second]))
    }
    # Addresses are often read in parts: "www", "acme", ".com".
    for first, second in beside:
        if beside[first, second] == "right" and is_address(f"{lines[first].text}{lines[second].text}".replace(" ", "")):
            tail, head = split[first], split[second]
            split[first], split[second] = tail[:-1] + [""] * bool(tail), [""] * bool(head) + head[1:]
    found: list[Candidate] = []

    room = [line.height * max(line.box[2] - line.box[0], line.box[3] - line.box[1]) for line in lines]
    whole = sum(room) or 1.0

    def add(text: str, members: Sequence[tuple[int, int]], alone: bool) -> None:
        folded = fold(text)
        if 2 <= len(folded) <= _LONGEST and len(found) < _MOST:
            numbers = sorted({number for number, _ in members})
            its = [lines[number] for number in numbers]
            found.append(
                Candidate(
                    text,
                    folded,
                    min(line.confidence for line in its),
                    _around([line.box for line in its]),
                    min(line.height for line in its),
                    sum(room[number] for number in numbers) / whole,
                    alone,
                    frozenset(members),
                )
            )

    for number, words in enumerate(split):
        for start in range(len(words)):
            for stop in range(start + 1, min(start + _RUN, len(words)) + 1):
                if not all(words[start:stop]):
                    break
                members = [(number, word) for word in range(start, stop)]
                alone = stop == start + 1 or (start == 0 and stop == len(words))
                add(" ".join(words[start:stop]), members, alone)
        if len(words) > _RUN and all(words):
            members = [(number, word) for word in range(len(words))]
            add(" ".join(words), members, True)
    for first, second in beside:
        if split[first] and split[second] and all(split[first]) and all(split[second]):
            members = [(line, word) for line in (first, second) for word in range(len(split[line]))]
            add(" ".join((*split[first], *split[second])), members, False)
    return found


def _around(boxes: Sequence[Box]) -> Box:
    """The smallest box around some."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _words(text: str) -> list[str]:
    """The words of a line; empty in place of an address, so that nothing is joined across it."""
    tight = re.sub(r"\s*([.@])\s*(?=(?:com|net|org)\b)", r"\1", text, flags=re.IGNORECASE)
    tight = re.sub(r"@\s+", "@", tight)
    found: list[str] = []
    for chunk in tight.split():
        found += [""] if is_address(chunk) else [word for word in _BREAKS.split(chunk) if fold(word)]
    return found[:_WORDS]


def _beside(one: Line, two: Line) -> str:
    """Whether the second line goes on where the first ends: "right" of it, "below" it, or "" for neither."""
    if max(one.height, two.height) > 2.5 * min(one.height, two.height):
        return ""
    (a1, b1, a2, b2), (c1, d1, c2, d2) = one.box, two.box
    high, wide = min(b2 - b1, d2 - d1), min(a2 - a1, c2 - c1)
    if min(b2, d2) - max(b1, d1) > 0.5 * high and c1 > a1 and -0.5 * high < c1 - a2 < 1.5 * max(b2 - b1, d2 - d1):
        return "right"
    if min(a2, c2) - max(a1, c1) > 0.3 * wide and d1 > b1 and -0.5 * high < d1 - b2 < 1.0 * max(b2 - b1, d2 - d1):
        return "below"
    return ""
