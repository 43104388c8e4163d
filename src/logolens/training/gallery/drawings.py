"""A drawing (SVG, or PNG with transparency) as the views that photos of it might give: on plain grounds, in two sizes."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from logolens.config import Limits
from logolens.errors import ImageError
from logolens.io.images import open_rgba
from logolens.io.svg import is_svg

__all__ = ["drawing_of", "views_of"]

_SIDE = 448
_GROUNDS = ((255, 255, 255), (236, 232, 224), (120, 120, 120), (28, 30, 34), (34, 76, 140))
"""Paper, card, concrete, night, and a coloured wall."""

_SHARES = (0.82, 0.5)
"""The drawing's longer side, as shares of the view's: what the crops around boxes show, and more of the surroundings."""

_LEAST_CONTRAST = 40.0
"""Mean difference from the ground, of 255, below which a drawing cannot be read there."""

_ONE_COLOUR = 24.0
_CLEAR = 0.02
"""The share of transparent pixels from which a picture is taken for a drawing."""


def drawing_of(data: bytes, limits: Limits = Limits()) -> Image.Image | None:
    """The drawing that bytes hold, cropped to its ink, as RGBA; None of a photo.

    Raises:
        ImageError: it is a drawing, but cannot be drawn or shows nothing.
    """
    if not is_svg(data) and not _may_be_clear(data):
        return None
    drawn = open_rgba(data, limits=limits)
    alpha = np.asarray(drawn)[..., 3]
    if float((alpha < 128).mean()) < _CLEAR:
        return None
    box = drawn.getchannel("A").point(lambda value: 255 * (value > 16)).getbbox()
    if box is None:
        raise ImageError("The drawing shows nothing: all of it is transparent.")
    return drawn.crop(box)


def _may_be_clear(data: bytes) -> bool:
    """Whether an image file has transparency at all, from its header."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "WEBP", "GIF")) as image:
            return image.has_transparency_data
    except Exception:  # Of whatever kind: reading it as a photo says what is wrong with it.
        return False


def views_of(drawing: Image.Image) -> list[Image.Image]:
    """RGB pictures of a drawing; one of a single colour is also shown in white and in black."""
    pixels = np.asarray(drawing)
    ink = pixels[pixels[..., 3] >= 128][:, :3]
    if not len(ink):
        ink = pixels[pixels[..., 3] > 16][:, :3]
    inks: list[tuple[int, int, int] | None] = [None]
    if float(np.abs(ink - ink.mean(axis=0)).mean()) < _ONE_COLOUR:
        inks += [(250, 250, 250), (20, 20, 20)]
    found: list[Image.Image] = []
    for colour in inks:
        inked = drawing if colour is None else _recoloured(drawing, colour)
        shown = ink.astype(np.float64) if colour is None else np.array([colour], np.float64)
        if colour is not None and float(np.abs(ink.mean(axis=0) - colour).mean()) < _LEAST_CONTRAST:
            continue  # It is of that colour already.
        for ground in _GROUNDS:
            if float(np.abs(shown - ground).mean()) < _LEAST_CONTRAST:
                continue
            found += [_laid(inked, ground, share) for share in _SHARES]
    return found or [_laid(drawing, (255, 255, 255), share) for share in _SHARES]


def _recoloured(drawing: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    plain = Image.new("RGBA", drawing.size, (*colour, 255))
    plain.putalpha(drawing.getchannel("A"))
    return plain


def _laid(drawing: Image.Image, ground: tuple[int, int, int], share: float) -> Image.Image:
    canvas = Image.new("RGBA", (_SIDE, _SIDE), (*ground, 255))
    scale = share * _SIDE / max(drawing.size)
    size = (max(1, round(drawing.width * scale)), max(1, round(drawing.height * scale)))
    small = drawing.resize(size, Image.Resampling.LANCZOS)
    canvas.alpha_composite(small, ((_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2))
    return canvas.convert("RGB")
