"""The value objects of a data set: boxes, regions, photos, and notes on what was odd about them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from logolens.config import BACKGROUND

__all__ = ["Box", "Dataset", "Listing", "Note", "Notes", "Photo", "Region"]

_EXAMPLES = 5


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle in pixels of the upright (EXIF-transposed) photo; x2 and y2 lie just outside it."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def area(self) -> float:
        """In square pixels; 0 for an empty or inverted box."""
        return max(0.0, self.x2 - self.x1) * max(0.0, self.y2 - self.y1)

    def clipped(self, width: int, height: int) -> Box:
        """The part of the box that lies in a photo of this size; its area is 0 when none does."""
        return Box(
            min(max(self.x1, 0.0), width),
            min(max(self.y1, 0.0), height),
            min(max(self.x2, 0.0), width),
            min(max(self.y2, 0.0), height),
        )


@dataclass(frozen=True)
class Region:
    """A label, and where in the photo it shows; a box of None means that only the photo as a whole is labelled."""

    label: str
    box: Box | None = None


@dataclass(frozen=True)
class Photo:
    """One image file of a data set.

    Attributes:
        path: the file.
        name: the path as the data set names it, with forward slashes.
        regions: what it shows, at least one; duplicates removed, boxes clipped to the photo.
        split: "train", "val" or "test" where the data set says so, else None.
        group: the user's own name for photos that belong together, or None.
        sha256: of the file's bytes, in hexadecimal.
        width: of the upright photo, in pixels.
        height: of the upright photo, in pixels.
        near: a number shared by all photos of the data set that are the same photo, see `logolens.data.same_photo`.
        rows: how many rows of the annotation list it, repeated ones included.
        source: where it comes from, as the user's own table says, or None.
        evidence: what joins it to others of the same ``near``: "the same file", "by picture, mirrored", "by name".
    """

    path: Path
    name: str
    regions: tuple[Region, ...]
    split: str | None
    group: str | None
    sha256: str
    width: int
    height: int
    near: int
    rows: int = 1
    source: str | None = None
    evidence: tuple[str, ...] = ()

    @cached_property
    def label(self) -> str:
        """The one label the photo counts for: of several, the one whose boxes cover most of it."""
        covered: dict[str, float] = {}
        for region in self.regions:
            area = region.box.area if region.box else float(self.width * self.height)
            covered[region.label] = covered.get(region.label, 0.0) + area
        if len(covered) > 1:
            covered.pop(BACKGROUND, None)
        return min(covered, key=lambda label: (-covered[label], label))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """All its labels, sorted."""
        return tuple(sorted({region.label for region in self.regions}))

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All its boxes, of whatever label."""
        return tuple(region.box for region in self.regions if region.box is not None)


@dataclass(frozen=True)
class Note:
    """Something about the data that was handled, and that its owner should know; one for each kind.

    Attributes:
        kind: a short fixed word for programs, as in "empty-box".
        message: a full sentence for people.
        count: how many times it was met.
        examples: the first few places, named.
    """

    kind: str
    message: str
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.examples:
            return self.message
        shown = self.examples[:_EXAMPLES]
        more = ", ..." if self.count > len(shown) else ""
        return f"{self.message} ({', '.join(shown)}{more})"


@dataclass
class Notes:
    """Collects what is met while a data set is read, one note for each kind, in the order of first meeting.

    Attributes:
        most: how many places of each kind are remembered by name.
    """

    most: int = _EXAMPLES
    _met: dict[str, tuple[str, dict[str, None], list[int]]] = field(default_factory=dict)

    def add(self, kind: str, message: str, examples: Sequence[str] = (), *, count: int | None = None) -> None:
        """Count one more of a kind. ``{n}`` in the message becomes the final count."""
        _, seen, total = self._met.setdefault(kind, (message, {}, [0]))
        for example in examples:
            if len(seen) < self.most:
                seen[example] = None
        total[0] += count if count is not None else max(1, len(examples))

    def all(self) -> tuple[Note, ...]:
        """The notes so far."""
        return tuple(
            Note(kind, message.replace("{n}", f"{total[0]:,}"), total[0], tuple(seen))
            for kind, (message, seen, total) in self._met.items()
        )


@dataclass(frozen=True)
class Listing:
    """One photo as a reader found it listed, before its file is opened.

    Attributes:
        path: the file.
        name: the path as the data set names it.
        regions: as written. The four numbers of a box are what ``convention`` says, until `conventions.in_pixels` has made
            them the corners in pixels that they are everywhere else.
        split: "train", "val" or "test" where the data set says so.
        group: the user's own name for photos that belong together.
        source: where it comes from.
        convention: what a box's four numbers are: "corners" (x1, y1, x2, y2), "corner-size" (x, y, width, height of the
            upper left corner) or "centre-size" (x, y of the centre, width, height).
        size: the width and height that the numbers are measured in: (1, 1) for fractions, the size that the annotation
            gives, or None, where nothing is said, for the photo's own pixels.
    """

    path: Path
    name: str
    regions: tuple[Region, ...]
    split: str | None = None
    group: str | None = None
    source: str | None = None
    convention: str = "corners"
    size: tuple[float, float] | None = None


@dataclass(frozen=True)
class Dataset:
    """Labelled photos, each once.

    Attributes:
        name: for people: the folder's or file's name.
        photos: sorted by name.
        labels: sorted, without the background.
        notes: what was odd.
        data_hash: SHA-256 over the photos' contents, labels, boxes and given parts; independent of paths and order.
    """

    name: str
    photos: tuple[Photo, ...]
    labels: tuple[str, ...]
    notes: tuple[Note, ...]
    data_hash: str

    @staticmethod
    def of(name: str, photos: Iterable[Photo], notes: Iterable[Note] = ()) -> Dataset:
        """Build a data set from its photos; labels and hash follow from them."""
        kept = tuple(sorted(photos, key=lambda photo: photo.name))
        labels = {label for photo in kept for label in photo.labels} - {BACKGROUND}
        return Dataset(name, kept, tuple(sorted(labels)), tuple(notes), _hash(kept))

    def __len__(self) -> int:
        return len(self.photos)

    def subset(self, indices: Iterable[int]) -> Dataset:
        """The photos at these positions, as a data set of its own; it keeps the notes."""
        return Dataset.of(self.name, (self.photos[index] for index in indices), self.notes)

    def with_notes(self, notes: Iterable[Note]) -> Dataset:
        """The same photos with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def counts(self) -> dict[str, int]:
        """Photos of each label, the background last where there is any; a photo counts for its ``label``."""
        found = Counter(photo.label for photo in self.photos)
        order = [*self.labels, *([BACKGROUND] if BACKGROUND in found else [])]
        return {label: found[label] for label in order}


def _hash(photos: Iterable[Photo]) -> str:
    lines = []
    for photo in photos:
        regions = sorted(f"{region.label}\t{_numbers(region.box)}" for region in photo.regions)
        lines.append("\n".join([f"{photo.sha256}\t{photo.split or ''}\t{photo.group or ''}", *regions]))
    return hashlib.sha256("\n\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()


def _numbers(box: Box | None) -> str:
    return "" if box is None else f"{box.x1:.2f} {box.y1:.2f} {box.x2:.2f} {box.y2:.2f}"
