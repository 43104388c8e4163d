"""The ground that an image with transparency is looked at over: white, as artwork is drawn for paper, unless that hides it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

__all__ = ["DARK", "GREY", "GROUNDS", "WHITE", "ground_of", "over_ground"]

WHITE, DARK, GREY, BLUE = (255, 255, 255), (28, 30, 34), (120, 120, 120), (34, 76, 140)
GROUNDS = (WHITE, DARK, GREY, BLUE)
"""Paper, night, concrete and a coloured wall, in the order in which they are preferred."""

_SIDE = 256
"""Of the longer side at which the choice is made, in pixels."""

_CLEAR = 0.02
"""The share of transparent pixels below which the ground does not matter."""

_INK = 64
"""The opacity, of 255, from which a pixel belongs to what is drawn."""

_LEAST_CONTRAST = 40.0
"""Mean difference from the ground, of 255, below which an outline cannot be seen there."""

_HIDDEN = 0.2
"""The share of the outline that may be hidden on white before another ground is sought."""

Colour = tuple[int, int, int]


def over_ground(image: Image.Image, ground: Colour) -> Image.Image:
    """An image with transparency, of any mode, laid over a ground, as RGB."""
    below = Image.new("RGBA", image.size, (*ground, 255))
    return Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")


def ground_of(image: Image.Image) -> Colour:
    """The first of `GROUNDS` on which the outline of an image with transparency can be seen, or the one that hides least of it.

    Only the outline counts, where what is drawn meets the ground: white letters on a red plate are seen on any.
    """
    outline = _outline(image)
    if not len(outline):
        return WHITE
    hidden = [float((np.abs(outline - ground).mean(axis=1) < _LEAST_CONTRAST).mean()) for ground in GROUNDS]
    if hidden[0] <= _HIDDEN:
        return WHITE
    return GROUNDS[next((place for place, share in enumerate(hidden) if share <= _HIDDEN), int(np.argmin(hidden)))]


def _outline(image: Image.Image) -> npt.NDArray[np.float64]:
    """The colours of the pixels of what is drawn that touch what is transparent: float64 of shape (n, 3)."""
    if image.mode not in ("RGBA", "LA"):
        # A palette cannot be averaged, and a large image takes much room in another mode.
        image = _shrunk(image, 8 * _SIDE, Image.Resampling.NEAREST).convert("RGBA")
    image = _shrunk(image, _SIDE, Image.Resampling.BOX).convert("RGBA")
    alpha = image.getchannel("A")
    drawn = np.asarray(alpha) >= _INK
    if float((~drawn).mean()) < _CLEAR:
        return np.zeros((0, 3))
    # Two pixels deep, so that smoothed edges are not all that is looked at.
    inside = np.asarray(Image.fromarray(drawn.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(5))) > 0
    edge = drawn & ~inside
    return np.asarray(image)[edge][:, :3].astype(np.float64)


def _shrunk(image: Image.Image, side: int, method: Image.Resampling) -> Image.Image:
    scale = side / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), method)
