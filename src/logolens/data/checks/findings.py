"""What an audit can find, and what it found, as values that go to JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "SEVERITIES", "Audit", "Finding", "Kind", "ordered"]

SEVERITIES = ("error", "warning", "note")
"""From what spoils a model or its figures, over what is worth a look, to what is merely good to know."""


@dataclass(frozen=True)
class Kind:
    """One kind of finding: its short name, how grave it is, what it is called, and what to do about it."""

    name: str
    severity: str
    title: str
    advice: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("unreadable", "error", "Files that cannot be read", "Replace or remove them; training leaves them out."),
        Kind("missing", "error", "Listed photos that are not there", "Bring them back, or remove their rows."),
        Kind(
            "leak-against", "error", "The same photo in both data sets",
            "Figures measured on the one flatter a model that was trained on the other. Take it out of one of them.",
        ),
        Kind(
            "leak", "error", "The same photo in two parts of the split",
            "The figures of the later part flatter. Keep it in one part, or leave the split to logolens.",
        ),
        Kind(
            "two-labels", "error", "The same picture under two labels",
            "At most one can be right, unless the photo shows both logos. Correct one of them.",
        ),
        Kind(
            "look-alike", "warning", "Photos that look alike under two labels",
            "They may be one picture with a wrong label, or two products of one layout. Compare them where the names stand.",
        ),
        Kind(
            "label-error", "warning", "Labels that are likely wrong, the likeliest first",
            "Models that have not seen the photo are surer of another label than of its own. Look at each: a hard photo with "
            "the right label looks the same to a machine.",
        ),
        Kind(
            "other-name", "warning", "Photos in which another label's name is written",
            "The label may be wrong, or another logo stands beside; a photo of none with a name teaches to overlook it.",
        ),
        Kind("empty-box", "warning", "Empty boxes", "The photo keeps its label without them; draw them anew."),
        Kind("outside-box", "warning", "Boxes outside their photo", "Often of another size or turn of it; draw them anew."),
        Kind("cut-box", "warning", "Boxes that lie mostly outside their photo", "What is left hardly holds the logo."),
        Kind("small-box", "warning", "Boxes too small to hold a logo", "Check that they were meant; a slip draws such."),
        Kind(
            "doubtful-box", "warning", "Boxes that hardly hold the logo",
            "To models that have not seen the photo, what they hold looks like no logo at all. Draw them anew.",
        ),
        Kind(
            "copy", "warning", "The very same file more than once",
            "Copies teach nothing and weigh double. The fix list keeps the first of each.",
        ),
        Kind("near-copy", "note", "Near copies", "Splits keep them together; they count less than their number says."),
        Kind("several-labels", "note", "Photos of several labels", "Training learns from their boxes alone."),
        Kind("tiny", "warning", "Tiny photos", "Little can be seen in them; find larger ones."),
        Kind("plain", "warning", "Photos that show nothing", "They are of one colour."),
        Kind("blurred", "warning", "Blurred photos", "Keep them if photos like these will be asked about."),
        Kind("misnamed", "note", "Files of another format than their ending says", "Other programs may refuse them."),
        Kind("odd-file", "note", "Files that are read, with something left out", "See that what is used is meant."),
        Kind("few-photos", "warning", "Labels with few photos", "Expect little of them; 50 or more each serve better."),
        Kind("unbalanced", "warning", "Unbalanced labels", "Add photos of the small ones."),
        Kind("alike-labels", "warning", "Labels that differ in spelling alone", "Give one logo one name."),
    )
}  # fmt: skip
"""Every kind, the gravest first; it is the order of the page."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: a key of `KINDS`.
        detail: what it is, as a sentence.
        photos: the photos that it is about, as the data set names them; none where it is about a label.
        exclude: those of them that the fix list suggests to leave out.
        others: the photos of the other data set that it is about.
        label: the label that it is about, where it is about one.
        suggested: the label that is likely right.
        score: how likely the label is right, from 0 to 1.
        count: how many times it was met in these photos.
        boxes: (x1, y1, x2, y2) in pixels of the upright photo, of a finding about boxes.
    """

    kind: str
    detail: str
    photos: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    label: str | None = None
    suggested: str | None = None
    score: float | None = None
    count: int = 1
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A plain object, without what is empty."""
        facts: dict[str, Any] = {
            "kind": self.kind,
            "severity": KINDS[self.kind].severity,
            "detail": self.detail,
            "photos": list(self.photos),
            "exclude": list(self.exclude),
            "others": list(self.others),
            "label": self.label,
            "suggested": self.suggested,
            "score": None if self.score is None else round(self.score, 4),
            "count": self.count,
            "boxes": [[round(edge, 1) for edge in box] for box in self.boxes],
        }
        return {key: value for key, value in facts.items() if value not in (None, [], "")}


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        data: the data set, as it was named.
        against: the other data set, as it was named; None without one.
        photos: how many photos can be read.
        labels: how many photos each label has.
        findings: the gravest kinds first; label errors the likeliest first.
        notes: what else is good to know of the data, a sentence each.
        unchecked: why wrong labels were not sought; None where they were.
        files: the file of each photo that a finding names.
        other_files: the same of the other data set.
        seconds: how long it took.
    """

    data: str
    against: str | None
    photos: int
    labels: dict[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    unchecked: str | None
    files: dict[str, Path]
    other_files: dict[str, Path]
    seconds: float

    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind that was met, the gravest first."""
        return {kind: count for kind in KINDS if (count := sum(its.count for its in self.of(kind)))}

    def of(self, kind: str) -> list[Finding]:
        """The findings of a kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def fails(self, on: Iterable[str]) -> list[str]:
        """The kinds that were met among those named.

        ``error`` and ``warning`` name all kinds of at least this gravity, and ``leak`` also ``leak-against``.
        """
        named = set(on)
        if "leak" in named:
            named.add("leak-against")
        grave = {kind for kind in self.counts() if named & set(SEVERITIES[SEVERITIES.index(KINDS[kind].severity) :])}
        return [kind for kind in self.counts() if kind in named | grave]

    def to_json(self) -> dict[str, Any]:
        """The object that ``logolens audit --json`` prints."""
        return {
            "data": self.data,
            "against": self.against,
            "photos": self.photos,
            "labels": self.labels,
            "counts": self.counts(),
            "unchecked": self.unchecked,
            "notes": list(self.notes),
            "findings": [finding.to_json() for finding in self.findings],
            "seconds": round(self.seconds, 3),
        }


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The gravest kinds first; within a kind as they came."""
    place = {kind: number for number, kind in enumerate(KINDS)}
    return tuple(sorted(findings, key=lambda finding: place[finding.kind]))
