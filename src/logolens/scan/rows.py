"""One picture of a scan's results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Row"]


@dataclass(frozen=True)
class Row:
    """A picture that was scanned.

    Attributes:
        number: its rank by name, from 1.
        name: its first name: a path, a URL, or a member of an archive.
        sha256: its content; None when it could not be read.
        label: the best label sought where it was found (match, unsure); else the answer, which may be ``none``; None for
            an error.
        confidence: the probability that it shows a label that is sought; None for an error.
        verdict: ``match``, ``unsure``, ``clear`` or ``error``.
        scores: the probability of each label, highest first.
        box: (x1, y1, x2, y2) in fractions of width and height, where the bundle says where the logo is.
        error: why it could not be read.
        names: all names under which it stands.
        places: where it stands: of an image from the web the pages that show it, of others the names themselves.
        group: the number of the first picture of its group of near copies; its own when it is alone.
        width: in pixels.
        height: in pixels.
        word: that was read and speaks for the likeliest label, as ``logolens predict --json`` tells it, and ``read``: whether the
            answer rests on words alone; None where none does.
        change: beside the last finished scan ``new`` (none of its names was there), ``changed`` (a name, what it holds, or
            the verdict), ``same``, or ``gone``.
        stands: where it stands, as ``places``, each with the name under which it does.
        before: the verdict of the same picture, or of what stood under one of its names, in the last finished scan or in the
            baseline; None where neither was there. Of what could not be read then it is what it was when it last could.
        decision: ``accept`` or ``reject`` where a person's decision gave the verdict.
        video: of a video ``seconds`` and ``frames``, how much of it was looked at; ``note``, what was left out; ``shown``, the
            seconds of each label; and ``appearances``, each with ``label``, ``start``, ``end``, ``confidence``, ``verdict``,
            ``at`` (its surest frame), ``share`` and ``largest`` (of the frame's area) and ``box``. Scores and box of the row are
            those of the surest frame. None of an image.
    """

    number: int
    name: str
    sha256: str | None
    label: str | None
    confidence: float | None
    verdict: str
    scores: dict[str, float]
    box: tuple[float, float, float, float] | None
    error: str | None
    names: tuple[str, ...]
    places: tuple[str, ...]
    group: int
    width: int | None
    height: int | None
    change: str
    word: dict[str, Any] | None = None
    stands: tuple[tuple[str, str], ...] = ()
    before: str | None = None
    decision: str | None = None
    video: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The object that ``logolens scan --json`` prints."""
        return {
            "image": self.name,
            "verdict": self.verdict,
            "label": self.label,
            "confidence": self.confidence,
            "change": self.change,
            "before": self.before,
            "decision": self.decision,
            "scores": self.scores,
            "box": self.box,
            "names": list(self.names),
            "places": list(self.places),
            "group": self.group,
            "width": self.width,
            "height": self.height,
            "sha256": self.sha256,
            "error": self.error,
            **({"word": self.word} if self.word is not None else {}),
            **({"video": self.video} if self.video is not None else {}),
        }
