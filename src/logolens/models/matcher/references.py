"""What an image is compared with: the logos' boxes where they are known, whole photos otherwise."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

from logolens.config import BACKGROUND, Limits, MatcherSettings
from logolens.errors import ImageError
from logolens.io.images import open_apart, read_known
from logolens.io.threads import processors
from logolens.models.matcher.keypoints import Keypoints, describe
from logolens.models.matcher.remembered import packed, unpacked

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.data.dataset import Note, Notes, Photo
    from logolens.models.features import FeatureCache

__all__ = ["LEAST", "Reference", "References", "describe_photos", "references_from", "references_of"]

LEAST = 4
"""Fewest key points that a reference needs: three decide where it lies, and the fourth is the first proof."""

Edges: TypeAlias = tuple[float, float, float, float]
Region: TypeAlias = tuple[int, int, int, int]
Progress: TypeAlias = Callable[[int, int], None]

_VERSION = 1  # of what is kept in the cache
_PICTURE = 240


@dataclass(frozen=True)
class Reference:
    """One image that photos are compared with.

    Attributes:
        label: what it shows.
        photo: the SHA-256 of the photo that it is, or was cut from, in hexadecimal.
        name: the photo's path as the data set names it.
        keypoints: the strongest first, in pixels of the reference.
        box: (x1, y1, x2, y2) of the logo in pixels of the photo; None when the whole photo is the reference.
        outline: (x1, y1, x2, y2) of the logo in pixels of the reference.
        picture: a small JPEG of the reference, to show beside what matched it; it may be empty.
    """

    label: str
    photo: str
    name: str
    keypoints: Keypoints
    box: Edges | None
    outline: Edges
    picture: bytes = b""

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height in pixels."""
        return self.keypoints.size


@dataclass(frozen=True)
class References:
    """What was taken from a data set.

    Attributes:
        found: the references, sorted by label, photo and place.
        notes: what was odd: references without enough key points, labels left with one or none.
    """

    found: tuple[Reference, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Place:
    """A reference before it is looked at."""

    photo: Photo
    label: str
    box: Edges | None
    region: Region


def describe_photos(
    photos: Sequence[Photo],
    settings: MatcherSettings = MatcherSettings(),
    *,
    cache: FeatureCache | None = None,
    limits: Limits = Limits(),
    threads: int = 1,
    progress: Progress | None = None,
) -> list[Keypoints]:
    """The key points of whole photos, as a query has them; each is sought once and kept.

    Args:
        photos: of a data set; the files are read.
        settings: how key points are sought.
        cache: where they are kept between runs.
        limits: of the images.
        threads: how many photos are looked at at a time.
        progress: called with (photos done, photos in all).

    Raises:
        ImageError: a photo cannot be read, or is not the one that the data set was read with.
    """
    tasks = [(photo, [(None, settings.query_points, settings.long_side)]) for photo in photos]
    return [found for (found,) in _described(tasks, settings, cache, limits, threads, progress)]


def references_from(
    photos: Sequence[Photo],
    settings: MatcherSettings = MatcherSettings(),
    *,
    cache: FeatureCache | None = None,
    limits: Limits = Limits(),
    threads: int = 1,
    pictures: bool = True,
    progress: Progress | None = None,
) -> References:
    """References out of the training photos of a data set.

    Each box is one, with a little margin; a photo without boxes is one as a whole. Photos of the background are none.
    Of a label with more than ``settings.per_label``, those that cover its photos best are taken: one of each group of
    near copies, the largest box first, then the second of each, and so on.

    Args:
        photos: of a data set; the files are read.
        settings: how key points are sought, and how many references a label may have.
        cache: where key points are kept between runs.
        limits: of the images.
        threads: how many photos are looked at at a time.
        pictures: keep a small JPEG of each, so that a match can be shown.
        progress: called with (photos done, photos in all).

    Raises:
        ImageError: a photo cannot be read, or is not the one that the data set was read with.
    """
    from logolens.data.dataset import Notes as Collected

    notes = Collected()
    chosen = _covering(_places(photos, settings), settings.per_label, notes)
    by_photo: dict[str, list[_Place]] = defaultdict(list)
    for place in chosen:
        by_photo[place.photo.sha256].append(place)
    tasks = [
        (
            places[0].photo,
            [
                (None, settings.query_points, settings.long_side)
                if place.box is None
                else (place.region, settings.box_points, settings.box_side)
                for place in places
            ],
        )
        for places in by_photo.values()
    ]
    described = _described(tasks, settings, cache, limits, threads, progress)
    found = []
    for places, points in zip(by_photo.values(), described, strict=True):
        small = _pictures(places, limits) if pictures else [b""] * len(places)
        for place, its, picture in zip(places, points, small, strict=True):
            if len(its) < LEAST:
                where = place.photo.name if place.box is None else f"{place.photo.name}, box {place.region}"
                notes.add("plain-references", "References too plain or small to be matched, left out: {n}.", [where])
                continue
            left, top = place.region[:2]
            edges = place.box or place.region
            outline = (edges[0] - left, edges[1] - top, edges[2] - left, edges[3] - top)
            kept = its.first(settings.whole_points if place.box is None else settings.box_points)
            found.append(
                Reference(place.label, place.photo.sha256, place.photo.name, kept, place.box, outline, picture)
            )
    for label in sorted({label for photo in photos for label in photo.labels} - {BACKGROUND}):
        count = sum(reference.label == label for reference in found)
        if count == 0:
            notes.add(
                "no-references", "Labels without any reference, which the matcher can never answer: {n}.", [label]
            )
        elif count == 1:
            notes.add(
                "single-references", "Labels with a single reference, which the matcher will often miss: {n}.", [label]
            )
    found.sort(key=lambda reference: (reference.label, reference.name, reference.box or ()))
    return References(tuple(found), notes.all())


def _places(photos: Iterable[Photo], settings: MatcherSettings) -> list[_Place]:
    found: dict[tuple[str, str, Edges | None], _Place] = {}
    for photo in photos:
        for region in photo.regions:
            if region.label == BACKGROUND:
                continue
            if region.box is None:
                place = _Place(photo, region.label, None, (0, 0, photo.width, photo.height))
            else:
                box = (region.box.x1, region.box.y1, region.box.x2, region.box.y2)
                margin = settings.box_margin * max(box[2] - box[0], box[3] - box[1])
                left, top = max(0, math.floor(box[0] - margin)), max(0, math.floor(box[1] - margin))
                right = min(photo.width, max(left + 1, math.ceil(box[2] + margin)))
                bottom = min(photo.height, max(top + 1, math.ceil(box[3] + margin)))
                if left >= right or top >= bottom:
                    continue
                place = _Place(photo, region.label, box, (left, top, right, bottom))
            # The same file under two names is one photo.
            found.setdefault((photo.sha256, region.label, place.box), place)
    return list(found.values())


def _covering(places: Sequence[_Place], most: int, notes: Notes) -> list[_Place]:
    by_label: dict[str, dict[int, list[_Place]]] = defaultdict(lambda: defaultdict(list))
    for place in places:
        by_label[place.label][place.photo.near].append(place)
    chosen = []
    for label in sorted(by_label):
        ranked = []
        for group in by_label[label].values():
            group.sort(key=lambda place: (-_area(place.region), place.photo.sha256, place.region))
            ranked += [(rank, place.photo.sha256, place.region, place) for rank, place in enumerate(group)]
        # Contents decide the order, never names: a renamed data set gives the same references.
        ranked.sort(key=lambda entry: entry[:3])
        if len(ranked) > most:
            message = "Labels with more references than are kept, of which those that cover its photos were: {n}."
            notes.add("capped-references", message, [f"{label}: {most} of {len(ranked)}"])
        chosen += [entry[3] for entry in ranked[:most]]
    return chosen


def _area(region: Region) -> int:
    return (region[2] - region[0]) * (region[3] - region[1])


_Wanted: TypeAlias = tuple[Region | None, int, int]


def _described(
    tasks: Sequence[tuple[Photo, Sequence[_Wanted]]],
    settings: MatcherSettings,
    cache: FeatureCache | None,
    limits: Limits,
    threads: int,
    progress: Progress | None,
) -> list[list[Keypoints]]:
    """Key points of the regions of each photo, in order; what the cache knows is not sought again."""

    def work(task: tuple[Photo, Sequence[_Wanted]]) -> list[Keypoints]:
        photo, wanted = task
        keys = [_key(photo.sha256, one, settings) for one in wanted]
        known = {key: unpacked(value) for key, value in cache.get(keys).items()} if cache else {}
        found = {key: points for key, points in known.items() if points is not None}
        if any(key not in found for key in keys):
            image = _opened(photo, limits)
            fresh = []
            for key, (region, most, side) in zip(keys, wanted, strict=True):
                if key in found:
                    continue
                part = image if region is None else image.crop(region)
                found[key] = describe(part, settings, most=most, long_side=side)
                fresh.append((key, packed(found[key])))
            if cache:
                cache.put(fresh)
        return [found[key] for key in keys]

    results: list[list[Keypoints]] = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for done, result in enumerate(pool.map(work, tasks), 1):
            results.append(result)
            if progress:
                progress(done, len(tasks))
    return results


def _opened(photo: Photo, limits: Limits) -> Image.Image:
    try:
        return open_apart(read_known(photo.path, photo.sha256, limits), limits=limits)
    except ImageError as error:
        reason = str(error).removeprefix(f"{photo.path}: ")
        raise ImageError(f"{photo.path}: {reason}") from error


def _pictures(places: Sequence[_Place], limits: Limits) -> list[bytes]:
    image = _opened(places[0].photo, limits)
    found = []
    for place in places:
        small = image.crop(place.region)
        small.thumbnail((_PICTURE, _PICTURE))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=80)
        found.append(buffer.getvalue())
    return found


def _key(photo: str, wanted: _Wanted, settings: MatcherSettings) -> bytes:
    region, most, side = wanted
    seen = {name: value for name, value in asdict(settings).items() if name in ("upscale", "contrast", "edge")}
    facts = json.dumps([_VERSION, region, most, side, seen], sort_keys=True)
    return hashlib.sha256(f"keypoints\n{photo}\n{facts}".encode()).digest()


def references_of(
    photos: Sequence[Photo], settings: TrainSettings, on_progress: Callable[[str, int, int], None]
) -> tuple[MatcherSettings, References]:
    """The references that photos give, around their boxes where there are any, and how they were sought."""
    from logolens.models.features import FeatureCache

    how = MatcherSettings().for_boxes() if any(photo.boxes for photo in photos) else MatcherSettings()
    with FeatureCache() as cache:
        found = references_from(
            photos,
            how,
            cache=cache if settings.cache else None,
            threads=settings.threads or processors(),
            progress=lambda done, total: on_progress("seeking key points", done, total),
        )
    return how, found
