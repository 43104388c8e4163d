"""Where to look in a photo: the whole of it, and regions of it.

A view's box is written in fractions of the upright photo's sides, so that it means the same at whatever scale the photo
was decoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import Limits, Preprocessing
from logolens.io.ground import GROUNDS
from logolens.io.images import LARGE, PAD_COLOUR, fit, native_scale, open_apart, stored_size
from logolens.io.stopwatch import stage

__all__ = [
    "WHOLE",
    "Decode",
    "Picture",
    "View",
    "around",
    "background_views",
    "cut",
    "decoding_of",
    "inner_view",
    "pixels",
]

_FILL = 0.7
"""The share of the network's square that a whole photo's shorter side must have in pixels. One of 500 x 333 is so decoded at
half its scale, which takes a third less time and, in cross-validation, costs no accuracy that can be seen. Regions are cut for
their detail, and keep all of it."""

Fractions = tuple[float, float, float, float]


class Decode(Protocol):
    """What turns an encoded image into pixels: `images.open_rgb` in this process, `images.open_apart` in another."""

    def __call__(self, data: bytes, *, shrink_to: int | None = None, limits: Limits = ...) -> Image.Image:
        """An upright RGB image that knows its `images.stored_size`, as `images.open_rgb` gives it, or its ImageError."""


@dataclass(frozen=True)
class View:
    """A region of a photo that is classified.

    Attributes:
        box: (x1, y1, x2, y2) in fractions of width and height, within 0 to 1; None is the whole photo.
    """

    box: Fractions | None = None

    @property
    def key(self) -> str:
        """The text that stands for this view in a cache's key."""
        return "whole" if self.box is None else ",".join(f"{edge:.6f}" for edge in self.box)


WHOLE = View()
"""The whole photo."""


def around(box: Fractions, size: tuple[int, int], margin: float) -> View:
    """A square view around a box, clipped to the photo.

    Args:
        box: (x1, y1, x2, y2) in pixels of the upright photo.
        size: the photo's width and height in pixels.
        margin: the square's side as a multiple of the box's longer side.
    """
    width, height = size
    x1, y1, x2, y2 = box
    centre_x, centre_y = (x1 + x2) / 2, (y1 + y2) / 2
    half = max(x2 - x1, y2 - y1, 2.0) * margin / 2
    return View(
        (
            max(0.0, (centre_x - half) / width),
            max(0.0, (centre_y - half) / height),
            min(1.0, (centre_x + half) / width),
            min(1.0, (centre_y + half) / height),
        )
    )


def background_views(
    boxes: Sequence[Fractions], size: tuple[int, int], rng: np.random.Generator, most: int
) -> list[View]:
    """Square views that touch none of a photo's boxes: what shows no logo.

    Args:
        boxes: all annotated boxes of the photo, in pixels; without any, nothing is known to be free of logos.
        size: the photo's width and height in pixels.
        rng: decides the places; seed it by the photo's content for the same views every time.
        most: how many views at the most.
    """
    if not boxes:
        return []
    width, height = size
    found: list[View] = []
    for _ in range(20 * most):
        side = rng.uniform(0.3, 0.8) * min(width, height)
        x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
        if all(x + side <= b[0] or b[2] <= x or y + side <= b[1] or b[3] <= y for b in boxes):
            found.append(View((x / width, y / height, (x + side) / width, (y + side) / height)))
            if len(found) == most:
                break
    return found


def inner_view(boxes: Sequence[Fractions], size: tuple[int, int], rng: np.random.Generator) -> View:
    """A random view of most of a photo, as if it had been framed closer; boxes that are known stay whole where they can.

    Args:
        boxes: annotated boxes in pixels of the upright photo.
        size: the photo's width and height in pixels.
        rng: decides the place; seed it by the photo's content for the same view every time.
    """
    width, height = size
    view = WHOLE
    for _ in range(10):
        share = rng.uniform(0.7, 0.95)
        x, y = rng.uniform(0, 1 - share), rng.uniform(0, 1 - share)
        view = View((x, y, x + share, y + share))
        if all(
            x * width <= b[0] and b[2] <= (x + share) * width and y * height <= b[1] and b[3] <= (y + share) * height
            for b in boxes
        ):
            break
    return view


def _needed_side(view: View, preprocessing: Preprocessing) -> int:
    """The side that a photo must keep when it is decoded, so that this view still fills the network's square."""
    if view.box is None:
        return math.ceil(_FILL * preprocessing.size)
    x1, y1, x2, y2 = view.box
    return math.ceil(preprocessing.size / max(min(x2 - x1, y2 - y1), 1e-3))


def decoding_of(preprocessing: Preprocessing) -> dict[str, object]:
    """What a whole photo goes through before it becomes the network's square, for those who feed the network themselves.

    Returns:
        ``jpeg_least_side``: a JPEG is decoded at the smallest of its native scales (1, 1/2, 1/4, 1/8) at which both sides
        keep as many pixels, as Pillow's ``image.draft(None, (side, side))`` does; the rest in words.
    """
    return {
        "jpeg_least_side": _needed_side(WHOLE, preprocessing),
        "other_formats": f"of more than {LARGE:,} pixels are reduced by the same scales, by averaging blocks (Pillow's reduce)",
        "frame": "the first",
        "orientation": "turned upright as EXIF says, after decoding",
        "colours": "RGB; more than 8 bits a channel are scaled to 8",
        "transparency": f"laid over {GROUNDS[0]}, or, where that hides more than a fifth of the outline, over the first of "
        f"{', '.join(map(str, GROUNDS[1:]))} that does not",
        "pad_colour": list(PAD_COLOUR),
    }


class Picture:
    """One image, decoded at the scales that its views ask for, each once.

    A view's pixels never depend on which other views are asked for beside it.

    Args:
        data: the encoded image.
        preprocessing: how a view becomes the network's square.
        limits: what is refused unread.
        decode: turns bytes into pixels, as `images.open_rgb` does.
    """

    def __init__(
        self, data: bytes, preprocessing: Preprocessing, limits: Limits = Limits(), decode: Decode = open_apart
    ) -> None:
        self._data = data
        self._preprocessing = preprocessing
        self._limits = limits
        self._decode = decode
        self._decoded: dict[int, Image.Image] = {}
        self._stored: tuple[int, int] | None = None

    @classmethod
    def of(cls, image: Image.Image, preprocessing: Preprocessing) -> Self:
        """An RGB image that is decoded already."""
        picture = cls(b"", preprocessing)
        picture._decoded[0] = image
        return picture

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright image, at whatever scale it was decoded: their ratio is what counts.

        Raises:
            ImageError: it cannot be decoded.
        """
        if not self._decoded:
            self.square(WHOLE)
        return next(iter(self._decoded.values())).size

    @property
    def sides(self) -> tuple[int, int]:
        """Width and height of the upright image in pixels of the file.

        Raises:
            ImageError: it cannot be decoded.
        """
        width, height = self.size
        if self._stored is None:
            return width, height
        long, short = max(self._stored), min(self._stored)
        return (long, short) if width >= height else (short, long)

    def opened(self) -> Self:
        """This picture, decoded as its whole view needs it.

        Raises:
            ImageError: it cannot be decoded.
        """
        self.image(_needed_side(WHOLE, self._preprocessing))
        return self

    def image(self, side: int | None = None) -> Image.Image:
        """The upright RGB image, its shorter side at least ``side`` pixels where the file has as many; whole if not given.

        Raises:
            ImageError: it cannot be decoded.
        """
        if self._decoded and (scale := self._scale(side)) in self._decoded:
            return self._decoded[scale]
        with stage("decode"):
            image = self._decode(self._data, shrink_to=side, limits=self._limits)
        if not self._decoded:
            self._stored = stored_size(image)
        return self._decoded.setdefault(self._scale(side), image)

    def release(self) -> None:
        """Let go of the pixels. Whoever asks for them again has the image decoded again, unless it was given decoded."""
        if self._data:
            self._decoded.clear()

    def _scale(self, side: int | None) -> int:
        """The one among a JPEG's scales at which it is decoded for this side; 0 for a format that has but one."""
        return 0 if self._stored is None else 1 if side is None else native_scale(self._stored, side)

    def square(self, view: View) -> npt.NDArray[np.uint8]:
        """A view as the network takes it: uint8 of shape (size, size, 3).

        Raises:
            ImageError: the image cannot be decoded.
        """
        image = self.image(_needed_side(view, self._preprocessing))
        return fit(image if view.box is None else image.crop(pixels(view, image.size)), self._preprocessing)

    def cut(self, views: Iterable[View]) -> list[npt.NDArray[np.uint8]]:
        """Views as the network takes them, in order.

        Raises:
            ImageError: the image cannot be decoded.
        """
        return [self.square(view) for view in views]


def pixels(view: View, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The whole pixels (left, top, right, bottom) of an image of this size that a view covers, at least one."""
    width, height = size
    x1, y1, x2, y2 = view.box or (0.0, 0.0, 1.0, 1.0)
    left, top = min(math.floor(x1 * width), width - 1), min(math.floor(y1 * height), height - 1)
    right, bottom = max(left + 1, math.ceil(x2 * width)), max(top + 1, math.ceil(y2 * height))
    return left, top, min(right, width), min(bottom, height)


def cut(
    data: bytes, views: Sequence[View], preprocessing: Preprocessing, limits: Limits = Limits()
) -> list[npt.NDArray[np.uint8]]:
    """Decode a photo and cut its views out.

    Returns:
        One uint8 array of shape (size, size, 3) per view, in order.

    Raises:
        ImageError: the photo cannot be decoded.
    """
    return Picture(data, preprocessing, limits).cut(views)
