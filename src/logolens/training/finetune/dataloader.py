"""What fine-tuning looks at: which views an epoch holds, and the threads that cut and vary them ahead of the network.

Everything follows from the seed, the epoch and the position in it, so that a run that is taken up again sees what it
would have seen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import BACKGROUND, AugmentSettings, Limits, Preprocessing
from logolens.data import Dataset, Photo
from logolens.io.images import fit, open_rgb, read_known
from logolens.io.views import WHOLE, View, around, background_views, cut, inner_view, pixels
from logolens.training.finetune.augment import augment

__all__ = ["Batch", "Front", "Held", "Plan", "Source", "batches", "held_batches"]

Front = Callable[[npt.NDArray[np.uint8]], tuple[npt.NDArray[Any], ...]]
"""From uint8 views of shape (n, size, size, 3) to what the trained part of the network takes, n rows an array."""

_WHOLE_SHARE, _BACKGROUND_SHARE = 0.18, 0.2
"""Of the views of an epoch, where there are boxes and photos or regions without a logo; crops of logos are the rest."""

_MARGIN = 1.35
"""Side of the square around a box before it is varied, in longer sides of the box."""

_MEMORY = 1 << 29
"""Bytes of decoded photos that are kept; what does not fit is decoded anew each time."""

_CHUNK = 8
"""Views that a thread prepares at a time."""

_LARGEST = 2048
"""The shorter side, in pixels, beyond which no photo is kept, however small its boxes."""


@dataclass(frozen=True)
class Source:
    """Where a view comes from: a photo, or one box of it, or what shows no logo in it."""

    photo: int
    target: int
    box: int | None = None
    background: bool = False


@dataclass(frozen=True)
class Held:
    """A view that is judged and never learned from."""

    photo: int
    view: View
    target: int


@dataclass(frozen=True)
class Batch:
    """Some views, as the trained part of the network takes them.

    Attributes:
        inputs: what the front gave, a row a view.
        truth: int64 of shape (n,), positions in the list of classes.
        weight: float32 of shape (n,); how much each one counts.
    """

    inputs: tuple[npt.NDArray[Any], ...]
    truth: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]


class Plan:
    """What the epochs are made of.

    An epoch holds each box once, or the whole photo where it has no box; beside these, whole photos that have boxes
    (18 % of the views) and regions or photos without a logo (20 %, where the background is learned).

    Args:
        dataset: the photos.
        members: positions of those that may be learned from.
        classes: the names of the outputs, the background last where it is learned.
        boxes: whether crops around boxes are learned from.
        balanced: whether each label weighs the same however many photos it has.
        seed: of every random choice.
    """

    def __init__(
        self,
        dataset: Dataset,
        members: Sequence[int],
        classes: Sequence[str],
        *,
        boxes: bool = True,
        balanced: bool = True,
        seed: int = 0,
    ) -> None:
        self.dataset = dataset
        self.seed = seed
        place = {name: position for position, name in enumerate(classes)}
        self._each: list[Source] = []
        self._wholes: list[Source] = []
        self._empty: list[Source] = []
        for number in members:
            photo = dataset.photos[number]
            if photo.label == BACKGROUND:
                if BACKGROUND in place:
                    self._empty.append(Source(number, place[BACKGROUND], background=True))
                continue
            found = [
                Source(number, place[region.label], box)
                for box, region in enumerate(photo.regions)
                if boxes and region.box is not None and region.label != BACKGROUND
            ]
            # A photo of two brands has no one answer as a whole.
            whole = [Source(number, place[photo.label])] if len(photo.labels) == 1 else []
            self._each += found or whole
            self._wholes += whole if found else []
            if photo.boxes and BACKGROUND in place:
                self._empty.append(Source(number, place[BACKGROUND], background=True))
        crops = sum(source.box is not None for source in self._each)
        self._extra = round(crops * _WHOLE_SHARE / (1 - _WHOLE_SHARE - _BACKGROUND_SHARE)) if self._wholes else 0
        logos = len(self._each) + self._extra
        self._none = round(logos * _BACKGROUND_SHARE / (1 - _BACKGROUND_SHARE)) if self._empty else 0
        counts = np.bincount([source.target for source in self._each], minlength=len(classes)).astype(np.float64)
        weight = np.ones(len(classes))
        if balanced:
            seen = counts > 0
            weight[seen] = np.clip(counts[seen].mean() / counts[seen], 0.1, 10.0)
        self.weight = weight.astype(np.float32)

    def __len__(self) -> int:
        """Views of an epoch."""
        return len(self._each) + self._extra + self._none

    def epoch(self, number: int) -> list[Source]:
        """The sources of an epoch, counted from 1, in the order in which they are learned from."""
        rng = np.random.default_rng([self.seed, number])
        drawn = list(self._each)
        for pool, count in ((self._wholes, self._extra), (self._empty, self._none)):
            while count > 0:
                part = rng.permutation(len(pool))[:count]
                drawn += [pool[index] for index in part]
                count -= len(part)
        return [drawn[index] for index in rng.permutation(len(drawn))]


class Photos:
    """Decoded photos, each no larger than its views need, as many as fit into memory."""

    def __init__(self, dataset: Dataset, size: int, *, memory: int = _MEMORY, limits: Limits = Limits()) -> None:
        self._dataset = dataset
        self._size = size
        self._limits = limits
        self._room = memory
        self._kept: dict[int, Image.Image] = {}

    def get(self, number: int) -> Image.Image:
        """The photo at this position of the data set.

        Raises:
            ImageError: it cannot be read any more, or has changed.
        """
        if (image := self._kept.get(number)) is not None:
            return image
        photo = self._dataset.photos[number]
        side = self._side(photo)
        data = read_known(photo.path, photo.sha256, self._limits)
        image = open_rgb(data, shrink_to=side, limits=self._limits)
        if min(image.size) > 1.1 * side:
            scale = side / min(image.size)
            image = image.resize(
                (math.ceil(image.width * scale), math.ceil(image.height * scale)),
                Image.Resampling.BILINEAR,
                reducing_gap=3.0,
            )
        # What came first stays: a photo that made room for the next would be gone before its turn comes again.
        if (need := 3 * image.width * image.height) <= self._room:
            self._room -= need
            self._kept[number] = image
        return image

    def _side(self, photo: Photo) -> int:
        """The shorter side at which the photo's smallest view still fills the network's square."""
        short = min(photo.width, photo.height)
        smallest = min([short, *(max(box.x2 - box.x1, box.y2 - box.y1, 1.0) for box in photo.boxes)])
        return min(max(self._size, math.ceil(self._size * short / smallest)), _LARGEST)


def _view(source: Source, photo: Photo, crop: float, rng: np.random.Generator) -> View:
    """The region that is learned from this time."""
    size = (photo.width, photo.height)
    boxes = [(box.x1, box.y1, box.x2, box.y2) for box in photo.boxes]
    if source.background and boxes:
        found = background_views(boxes, size, rng, 1)
        # A photo that is full of its logo has no such region; a corner of it is cut that shows least.
        return found[0] if found else _corner(boxes, size)
    if source.box is not None and (box := photo.regions[source.box].box) is not None:
        longer = max(box.x2 - box.x1, box.y2 - box.y1)
        dx, dy = rng.uniform(-1.0, 1.0, 2) * crop * 0.4 * longer
        margin = _MARGIN * math.exp(rng.uniform(-1.0, 1.0) * crop)
        x1, x2 = np.clip([box.x1 + dx, box.x2 + dx], 0, photo.width)
        y1, y2 = np.clip([box.y1 + dy, box.y2 + dy], 0, photo.height)
        return around((float(x1), float(y1), float(x2), float(y2)), size, margin)
    if crop == 0 or rng.random() < 0.5:
        return WHOLE
    return inner_view(boxes, size, rng)


def _corner(boxes: Sequence[tuple[float, float, float, float]], size: tuple[int, int]) -> View:
    """The corner of a photo, a quarter of its side, that the boxes cover least."""

    def covered(view: View) -> float:
        x1, y1, x2, y2 = view.box or (0.0, 0.0, 1.0, 1.0)
        left, top, right, bottom = x1 * size[0], y1 * size[1], x2 * size[0], y2 * size[1]
        return sum(
            max(0.0, min(right, b[2]) - max(left, b[0])) * max(0.0, min(bottom, b[3]) - max(top, b[1])) for b in boxes
        )

    return min((View((x, y, x + 0.25, y + 0.25)) for x in (0.0, 0.75) for y in (0.0, 0.75)), key=covered)


def _square(image: Image.Image, view: View, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    return fit(image if view.box is None else image.crop(pixels(view, image.size)), preprocessing)


def batches(
    plan: Plan,
    photos: Photos,
    epoch: int,
    size: int,
    preprocessing: Preprocessing,
    settings: AugmentSettings,
    front: Front,
    pool: ThreadPoolExecutor,
    ahead: int,
) -> Iterator[Batch]:
    """The batches of an epoch, prepared by a pool of threads while the network learns from those before.

    Args:
        plan: what an epoch holds.
        photos: where pixels come from.
        epoch: counted from 1.
        size: views of a batch; the last one may hold fewer.
        preprocessing: how a view becomes the network's square.
        settings: how views are varied.
        front: the frozen part of the network, run by the threads.
        pool: the threads.
        ahead: how many batches are prepared ahead.
    """
    sources = plan.epoch(epoch)

    def prepare(start: int, stop: int) -> tuple[npt.NDArray[Any], ...]:
        squares = []
        for index in range(start, stop):
            source = sources[index]
            rng = np.random.default_rng([plan.seed, epoch, index])
            view = _view(source, plan.dataset.photos[source.photo], settings.crop, rng)
            square = _square(photos.get(source.photo), view, preprocessing)
            squares.append(augment(square, settings, rng))
        return front(np.stack(squares))

    waiting: deque[tuple[list[Future[tuple[npt.NDArray[Any], ...]]], list[Source]]] = deque()
    starts = iter(range(0, len(sources), size))
    try:
        while True:
            while len(waiting) < ahead and (start := next(starts, None)) is not None:
                stop = min(start + size, len(sources))
                jobs = [pool.submit(prepare, first, min(first + _CHUNK, stop)) for first in range(start, stop, _CHUNK)]
                waiting.append((jobs, sources[start:stop]))
            if not waiting:
                return
            jobs, members = waiting.popleft()
            parts = [job.result() for job in jobs]
            truth = np.array([source.target for source in members], dtype=np.int64)
            inputs = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
            yield Batch(inputs, truth, plan.weight[truth])
    finally:
        for jobs, _ in waiting:
            for job in jobs:
                job.cancel()


def held_batches(
    dataset: Dataset,
    held: Sequence[Held],
    size: int,
    preprocessing: Preprocessing,
    front: Front,
    pool: ThreadPoolExecutor,
    limits: Limits = Limits(),
) -> Iterator[Batch]:
    """The views that are judged, cut on the same road as in prediction and not varied."""

    def prepare(part: Sequence[Held]) -> Batch:
        squares: list[npt.NDArray[np.uint8]] = []
        for one in part:
            photo = dataset.photos[one.photo]
            squares += cut(read_known(photo.path, photo.sha256, limits), [one.view], preprocessing, limits)
        truth = np.array([one.target for one in part], dtype=np.int64)
        return Batch(front(np.stack(squares)), truth, np.ones(len(part), dtype=np.float32))

    yield from pool.map(prepare, [held[start : start + size] for start in range(0, len(held), size)])
