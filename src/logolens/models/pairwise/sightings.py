"""A pair's references, what each photo shows of them, and how they so lie over one another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from logolens.config import TrainSettings
from logolens.data import Box, Dataset, Photo, Region
from logolens.errors import ImageError
from logolens.io.images import read_known
from logolens.io.threads import ONE_THREAD_EACH, processors
from logolens.io.views import WHOLE, Picture, pixels
from logolens.models.contracts.late import HeldView
from logolens.models.matcher import Matcher, Matches, Remembered, references_of
from logolens.models.pairwise.alignment import Hits, Ties, frame_of, tie
from logolens.models.pairwise.hog import SIDE
from logolens.models.session import Session
from logolens.types import Progress

__all__ = ["Sighted", "members", "only", "opened", "references"]


_FOUND = 4
"""Photos of each label whose logo must be found for references to be cut from around it."""

_LEAST_SIDE = 8


def members(dataset: Dataset, numbers: Collection[int], label: str) -> list[int]:
    """Those photos that show one label alone, in the order of their content."""
    found = [number for number in numbers if dataset.photos[number].labels == (label,)]
    return sorted(found, key=lambda number: dataset.photos[number].sha256)


def opened(dataset: Dataset, sample: HeldView, session: Session) -> Picture:
    """What a sample shows, as if it were the whole photo.

    Raises:
        ImageError: the photo cannot be read any more, or has changed.
    """
    photo = dataset.photos[sample.photo]
    try:
        picture = session.open(read_known(photo.path, photo.sha256, session.limits))
        if sample.view is WHOLE:
            return picture
        whole = picture.image()
    except ImageError as error:
        raise ImageError(f"{photo.path}: {str(error).removeprefix(f'{photo.path}: ')}") from error
    return Picture.of(whole.crop(pixels(sample.view, whole.size)), session.preprocessing)


@dataclass(frozen=True)
class Sighted:
    """A pair's references, and what each look shows of them.

    Attributes:
        matcher: the references.
        ties: how they match one another.
        matches: of each look, those of its own photo and of near copies aside.
        sizes: of each look, width and height of the image that the matches' pixels are of.
    """

    matcher: Matcher
    ties: Ties
    matches: list[Matches]
    sizes: list[tuple[int, int]]


def references(
    dataset: Dataset,
    numbers: Collection[int],
    labels: tuple[str, str],
    samples: Sequence[HeldView],
    session: Session,
    settings: TrainSettings,
    on_progress: Progress,
) -> Sighted | None:
    """References of two labels, and samples held against them.

    Without boxes whole photos are compared first; where that tells where the logos are, references are cut from there, which
    says nothing of which logo it is.

    Args:
        dataset: the photos.
        numbers: those that references are taken from.
        labels: the two.
        samples: what is held against them; whole photos of all ``numbers`` are among it.
        session: opens photos.
        settings: of the training.
        on_progress: told of the work as it is done.

    Returns:
        None where no photo has points to match.
    """
    photos = [dataset.photos[number] for number in sorted(numbers)]
    matcher = _matcher(photos, labels, settings, on_progress)
    if matcher is None:
        return None
    if matcher.pooling == "mean":
        own = [sample for sample in samples if sample.whole and sample.photo in numbers]
        boxed = _found(photos, _sighted(dataset, own, matcher, session, settings, on_progress), labels)
        matcher = (_matcher(boxed, labels, settings, on_progress) if boxed else None) or matcher
    return _sighted(dataset, samples, matcher, session, settings, on_progress)


def only(matches: Matches, among: Collection[int], matcher: Matcher) -> Matches:
    """What would have been found, had there been only some of the references."""
    labels = [matcher.references[number].label for number in among]
    counts = np.array([labels.count(label) for label in matches.labels], np.int64)
    return replace(matches, found=tuple(match for match in matches.found if match.reference in among), counts=counts)


def _matcher(
    photos: Sequence[Photo], labels: tuple[str, str], settings: TrainSettings, on_progress: Progress
) -> Matcher | None:
    how, references = references_of(photos, settings, on_progress)
    found = references.found
    recall = Remembered() if settings.cache else None
    return Matcher(found, how, labels=labels, recall=recall) if found else None


def _sighted(
    dataset: Dataset,
    samples: Sequence[HeldView],
    matcher: Matcher,
    session: Session,
    settings: TrainSettings,
    on_progress: Progress,
) -> Sighted:
    near: dict[int, set[str]] = {}
    for photo in dataset.photos:
        near.setdefault(photo.near, set()).add(photo.sha256)

    def work(sample: HeldView) -> tuple[Matches, tuple[int, int]]:
        points = matcher.sight(opened(dataset, sample, session))
        return matcher.match(points, without=near[dataset.photos[sample.photo].near]), points.size

    found = []
    with ONE_THREAD_EACH, ThreadPoolExecutor(settings.threads or processors()) as pool:
        for done, its in enumerate(pool.map(work, samples), 1):
            found.append(its)
            on_progress(f"telling {' from '.join(matcher.labels)}", done, len(samples))
    photos = [
        Hits(photo.sha256, matches.found, size, (photo.width, photo.height))
        for sample, (matches, size) in zip(samples, found, strict=True)
        if sample.whole and (photo := dataset.photos[sample.photo])
    ]
    return Sighted(matcher, tie(matcher, photos), [matches for matches, _ in found], [size for _, size in found])


def _found(photos: Sequence[Photo], sighted: Sighted, labels: tuple[str, str]) -> list[Photo]:
    """The photos whose logo is found by what they have in common, with its box; none where too few are."""
    frame = frame_of(sighted.ties, range(len(sighted.matcher.references)))
    if frame is None:
        return []
    by_sha = {photo.sha256: photo for photo in photos}
    edge = SIDE / 12  # The room that the frame leaves around the drawing.
    corners = np.array([(x, y, 1.0) for x in (edge, SIDE - edge) for y in (edge, SIDE - edge)])
    boxed = []
    for number, reference in enumerate(sighted.matcher.references):
        if not frame.holds(number):
            continue
        photo = by_sha[reference.photo]
        spots = corners @ frame.back[number].T
        box = Box(*spots.min(axis=0).tolist(), *spots.max(axis=0).tolist()).clipped(photo.width, photo.height)
        if min(box.x2 - box.x1, box.y2 - box.y1) >= _LEAST_SIDE:
            boxed.append(replace(photo, regions=(Region(reference.label, box),)))
    if min(sum(photo.label == label for photo in boxed) for label in labels) < _FOUND:
        return []
    return boxed
