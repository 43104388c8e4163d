"""From images to the rows that stand for them in a gallery: views as training takes them, on the same road."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, Limits
from logolens.data import Box, Notes
from logolens.data.table import TABLE_SUFFIXES, list_table
from logolens.errors import ImageError, UsageError
from logolens.io.images import content_hash, fit
from logolens.io.sources import expand
from logolens.io.sources.source import Source
from logolens.io.views import WHOLE, Picture, View, around, background_views, inner_view
from logolens.models.matcher import Reference as Drawn
from logolens.models.session import Job, Outputs, Session
from logolens.training.gallery.drawings import drawing_of, views_of
from logolens.training.gallery.knowledge import drawn_references
from logolens.training.gallery.ledger import Reference
from logolens.training.samples import BOX_MARGINS, INNER_VIEWS
from logolens.types import Progress

__all__ = ["Asked", "Embedded", "Embedder", "asked_for", "asked_in_table", "is_table"]

Features = npt.NDArray[np.float32]

_FLAT = 3.0
"""Standard deviation of the pixels, of 255, below which an image shows nothing."""

_SIDE = 64

_OUTSIDE = 4
"""Regions outside the boxes of an image."""

_LEAST_BOX = 4.0
"""Pixels of a box's shorter side below which it shows nothing."""


@dataclass(frozen=True)
class Asked:
    """An image that is to become a reference.

    Attributes:
        source: where it is.
        label: what it shows.
        boxes: where, in pixels of the upright image; empty for the whole of it.
    """

    source: Source
    label: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Embedded:
    """What an image became.

    Attributes:
        reference: what it is.
        features: a row a view; None where it is left out.
        around: rows of regions outside its boxes, which show no label; where they were asked for.
        problem: why it is left out, as a sentence.
        lines: the key points of a drawing, for the matcher.
    """

    reference: Reference
    features: Features | None = None
    around: Features | None = None
    problem: str | None = None
    lines: tuple[Drawn, ...] = ()

    @property
    def rows(self) -> Features:
        """The features of an image that was taken."""
        assert self.features is not None
        return self.features


def asked_for(
    images: Sequence[str], label: str, box: Box | None, left: Callable[[str], object] | None = None
) -> list[Asked]:
    """Images that are named one by one, in folders or by patterns; ``left`` is told of linked folders that are not followed.

    Raises:
        UsageError: none is named, or one box stands for several.
    """
    sources = list(expand(images, left=left))
    if box is not None and len(sources) != 1:
        raise UsageError(
            f"--box is a place in one image, and {len(sources)} were named; add them one by one, or give a table with the "
            "columns path, label, x1, y1, x2 and y2."
        )
    return [Asked(source, label, (box,) if box is not None else ()) for source in sources]


def asked_in_table(table: Path, label: str | None) -> list[Asked]:
    """Images that a table lists, as `logolens train` takes it.

    Args:
        table: the file; rows labelled ``none`` are backgrounds.
        label: only this label's rows; all when None.

    Raises:
        DataError: the table cannot be understood.
        UsageError: no row has the label.
    """
    found = []
    for listing in list_table(table, Notes()):
        for name in dict.fromkeys(region.label for region in listing.regions):
            if label is not None and name != label:
                continue
            boxes = tuple(region.box for region in listing.regions if region.label == name and region.box is not None)
            found.append(Asked(Source(str(listing.path), listing.path), name, boxes))
    if not found:
        raise UsageError(f"{table} has no row labelled {label}; leave --label out to add all that it lists.")
    return found


def is_table(name: str) -> bool:
    """Whether an argument names a table of images."""
    return Path(name).suffix.lower() in TABLE_SUFFIXES


class Embedder:
    """Turns images into features.

    Args:
        session: the gallery's network, giving ``features``.
        known: what is a reference already, by hash: the label and boxes of each.
        limits: what is refused unread.
        surroundings: look at regions outside boxes too.
    """

    def __init__(
        self, session: Session, known: Iterable[Reference], limits: Limits = Limits(), *, surroundings: bool = False
    ) -> None:
        self._session, self._limits, self._surroundings = session, limits, surroundings
        self._known: dict[str, list[tuple[str, tuple[tuple[float, ...], ...], str]]] = {}
        for reference in known:
            self._note(reference)

    def _note(self, reference: Reference) -> None:
        self._known.setdefault(reference.sha256, []).append((reference.label, reference.boxes, reference.name))

    def look(self, asked: Sequence[Asked], on_progress: Progress) -> Iterator[Embedded]:
        """Each image in its order; one that cannot be taken says why and ends nothing."""
        embedded: list[Embedded] = []

        def jobs() -> Iterator[Job]:
            for one in asked:
                found, job = self._job(one)
                embedded.append(found)
                if job is not None:
                    yield job

        done = 0
        for outcome in self._session.look(jobs()):
            # Those before it that needed no look at the network are told first.
            while embedded[done].problem is not None or embedded[done].features is not None:
                yield embedded[done]
                done += 1
            found = embedded[done]
            if outcome.error is not None:
                yield replace(found, problem=outcome.error)
            else:
                rows, around = outcome.value
                yield replace(_with(found, rows), around=around)
            done += 1
            on_progress("looking at references", done, len(asked))
        yield from embedded[done:]
        on_progress("looking at references", len(asked), len(asked))

    def _job(self, one: Asked) -> tuple[Embedded, Job | None]:
        boxes = tuple((box.x1, box.y1, box.x2, box.y2) for box in one.boxes)
        reference = Reference(one.label, one.source.name, "", 0, boxes)
        try:
            data = one.source.read(self._limits)
            reference = replace(reference, sha256=content_hash(data))
            self._refuse_known(reference)
            drawing = drawing_of(data, self._limits) if not boxes else None
            self._note(reference)
            if drawing is None:
                steps = partial(_look, one.boxes, reference.sha256, self._surroundings)
                return Embedded(reference), Job(lambda: data, steps=steps)
            squares = [fit(picture, self._session.preprocessing) for picture in views_of(drawing)]
            lines = drawn_references(drawing, one.label, reference.sha256, one.source.name)
            found = Embedded(replace(reference, kind="artwork"), lines=lines)
            return _with(found, self._session.run(np.stack(squares))[0]), None
        except ImageError as error:
            return Embedded(reference, problem=str(error).removeprefix(f"{one.source.name}: ")), None

    def _refuse_known(self, reference: Reference) -> None:
        for label, boxes, name in self._known.get(reference.sha256, []):
            if label == reference.label and (boxes == reference.boxes or not reference.boxes):
                raise ImageError(f"It is a reference of {label} already (as {name}), and is skipped.")
            if label != reference.label and BACKGROUND in (label, reference.label):
                raise ImageError(f"It is given as {label} and as {reference.label}; it cannot be both.")
            if label != reference.label and boxes == reference.boxes:
                raise ImageError(
                    f"It is a reference of {label} (as {name}); remove it there, or say with --box which part of it shows "
                    f"{reference.label}."
                )


def _with(found: Embedded, features: Features) -> Embedded:
    return replace(found, reference=replace(found.reference, views=len(features)), features=features)


def _look(
    boxes: Sequence[Box], sha256: str, surroundings: bool, picture: Picture
) -> Generator[Sequence[View], Outputs, tuple[Features, Features]]:
    """The views that training would take: the whole, closer framings of it, crops around boxes, and what is outside them."""
    picture.opened()
    size = picture.sides
    if float(np.asarray(picture.image(_SIDE).resize((_SIDE, _SIDE))).std()) < _FLAT:
        raise ImageError("The image shows nothing but one plain colour.")
    placed = [_placed(box, size) for box in boxes]
    rng = np.random.default_rng(int(sha256[:16], 16))
    views = [WHOLE, *(inner_view(placed, size, rng) for _ in range(INNER_VIEWS))]
    views += [around(box, size, margin) for box in placed for margin in BOX_MARGINS]
    outside = background_views(placed, size, rng, _OUTSIDE) if surroundings else []
    outputs = yield [*views, *outside]
    features = outputs["features"]
    return features[: len(views)], features[len(views) :]


def _placed(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A box within an image of this size.

    Raises:
        ImageError: it is empty, or most of it lies outside.
    """
    inside = box.clipped(*size)
    edges = f"{box.x1:g},{box.y1:g},{box.x2:g},{box.y2:g}"
    if box.x2 - box.x1 < _LEAST_BOX or box.y2 - box.y1 < _LEAST_BOX:
        raise ImageError(f"The box {edges} is empty or smaller than {_LEAST_BOX:g} pixels; it must read x1,y1,x2,y2.")
    if inside.area < 0.5 * box.area:
        raise ImageError(f"The box {edges} lies outside the image, which has {size[0]} x {size[1]} pixels.")
    return inside.x1, inside.y1, inside.x2, inside.y2
