"""What a person can check of an answer, in shares of the photo's sides: matched points, places that decide, a word."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from logolens.inference.results import Explanation, Prediction
from logolens.inference.word_sentences import word_json, word_sentence
from logolens.models.matcher import Matcher
from logolens.models.pairwise import PairDecision
from logolens.types import Box

__all__ = ["MatchProof", "PairProof", "Proofs", "Spot", "WordShown", "proofs_of"]

Spot = tuple[float, float]


@dataclass(frozen=True)
class MatchProof:
    """Points of a reference that were found in the photo.

    Attributes:
        source: in pixels of the reference's picture.
        target: the same points in shares of the photo's sides.
        from_photo: the name of the photo that the reference was cut from.
        picture: the reference; None where the bundle holds no picture of it.
    """

    source: tuple[Spot, ...]
    target: tuple[Spot, ...]
    from_photo: str
    picture: Image.Image | None


@dataclass(frozen=True)
class PairProof:
    """Where a photo's drawing is that of one label rather than of the other.

    Attributes:
        cells: corners of places, and how much each speaks for the label (or, below 0, for the other).
        other_label: the other label.
    """

    cells: tuple[tuple[tuple[Spot, ...], float], ...]
    other_label: str


@dataclass(frozen=True)
class WordShown:
    """What was read.

    Attributes:
        sentence: without its full stop.
        box: where it stands.
    """

    sentence: str
    box: Box


@dataclass(frozen=True)
class Proofs:
    """All that can be shown of one answer.

    Attributes:
        outline: corners of the logo, however they were found.
        match: None where geometry found no reference.
        pair: None where no expert for a pair laid the drawing flat.
        word: None where nothing that was read speaks for the label.
    """

    outline: tuple[Spot, ...] = ()
    match: MatchProof | None = None
    pair: PairProof | None = None
    word: WordShown | None = None


def proofs_of(prediction: Prediction, found: Explanation, matcher: Matcher | None) -> Proofs:
    """What can be shown of an answer that was explained.

    Args:
        prediction: the answer.
        found: what it rests on.
        matcher: whose reference it is; None where the bundle has none.
    """
    outline, match, pair, word = _corners(prediction.box), None, None, None
    if found.pair_decision is not None and (laid := _laid(found.pair_decision, found.label)) is not None:
        # The frame it was laid into is truer than the network's guess, and the reference's outline truer still.
        outline, pair = laid
    if found.match is not None and matcher is not None:
        reference = matcher.references[found.match.reference]
        width, height = found.size
        outline = tuple((x / width, y / height) for x, y in found.match.outline.tolist())
        picture = Image.open(io.BytesIO(reference.picture)) if reference.picture else None
        grown = (
            (1.0, 1.0) if picture is None else (picture.width / reference.size[0], picture.height / reference.size[1])
        )
        match = MatchProof(
            tuple((x * grown[0], y * grown[1]) for x, y in found.match.source.tolist()),
            tuple((x / width, y / height) for x, y in found.match.target.tolist()),
            reference.name,
            picture,
        )
    if found.word is not None:
        word = WordShown(word_sentence(word_json(found.word), found.read), found.word.box)
    return Proofs(outline, match, pair, word)


def _corners(box: Box | None) -> tuple[Spot, ...]:
    if box is None:
        return ()
    left, top, right, bottom = box
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _laid(decision: PairDecision, label: str) -> tuple[tuple[Spot, ...], PairProof] | None:
    """The frame that a drawing was laid into, and the cells that tell a label from the other of its pair."""
    sighting, (first, second) = decision.sighting, decision.labels
    if sighting.outline is None or sighting.by_cell is None:
        return None
    edges = sighting.outline
    corner, across, down = edges[0], edges[1] - edges[0], edges[3] - edges[0]
    count = len(sighting.by_cell)

    def spot(column: int, row: int) -> Spot:
        x, y = (corner + across * column / count + down * row / count).tolist()
        return float(x), float(y)

    sign = 1 if label == first else -1
    cells = tuple(
        (
            tuple(spot(column + x, row + y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))),
            float(sighting.by_cell[row, column]) * sign,
        )
        for row in range(count)
        for column in range(count)
    )
    outline = tuple((float(x), float(y)) for x, y in edges.tolist())
    return outline, PairProof(cells, second if label == first else first)
