"""Where to look in a photo: the whole of it, and regions of it.

A view's box is written in fractions of the upright photo's sides, so that it means the same at whatever scale the photo
was decoded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import Limits, Preprocessing
from logolens.images import fit, jpeg_size, native_scale, open_rgb

__all__ = ["WHOLE", "View", "around", "background_views", "cut", "inner_view"]

_FILL = 0.7
"""The share of the network's square that a whole photo's shorter side must have in pixels. One of 500 x 333 is so decoded at
half its scale, which takes a third less time and, in cross-validation, costs no accuracy that can be seen. Regions are cut for
their detail, and keep all of it."""

Fractions = tuple[float, float, float, float]


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


def cut(
    data: bytes, views: Sequence[View], preprocessing: Preprocessing, limits: Limits = Limits()
) -> list[npt.NDArray[np.uint8]]:
    """Decode a photo and cut its views out.

    A photo is decoded once for each native scale that its views ask for, so that a view's pixels never depend on which
    other views were asked for beside it.

    Returns:
        One uint8 array of shape (size, size, 3) per view, in order.

    Raises:
        ImageError: the photo cannot be decoded.
    """
    decoded: dict[int, Image.Image] = {}
    size = jpeg_size(data) if any(view.box for view in views) else None
    squares = []
    for view in views:
        side = _needed_side(view, preprocessing)
        scale = 0 if size is None else native_scale(size, side)
        if scale not in decoded:
            decoded[scale] = open_rgb(data, shrink_to=side, limits=limits)
        image = decoded[scale]
        if view.box is not None:
            width, height = image.size
            x1, y1, x2, y2 = view.box
            left, top = min(math.floor(x1 * width), width - 1), min(math.floor(y1 * height), height - 1)
            right, bottom = max(left + 1, math.ceil(x2 * width)), max(top + 1, math.ceil(y2 * height))
            image = image.crop((left, top, min(right, width), min(bottom, height)))
        squares.append(fit(image, preprocessing))
    return squares
