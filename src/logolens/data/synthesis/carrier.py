"""What a logo is printed on: a plate, a sign, a sticker, a badge, or the wall itself; and in which ink."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from logolens.data.synthesis.artwork import LUMA, Artwork
from logolens.data.synthesis.backgrounds import WORDS, random_colour
from logolens.types import FloatArray32

__all__ = ["carrier_for", "painted_carrier"]

Colour = tuple[int, int, int]

_MIN_CONTRAST = 65.0  # Luma or colour distance below which a print cannot be read from a few steps away.
_WHITE, _BLACK = (250, 250, 248), (22, 22, 24)


def carrier_for(
    logo: Image.Image, margin: int, brand: Colour, around: FloatArray32, rng: np.random.Generator, wording: float = 0.0
) -> tuple[Image.Image, Colour, bool]:
    """The carrier of a drawing in one ink.

    Args:
        logo: its coverage at the size that it is shown, mode L.
        margin: how many pixels wider the carrier is on each side.
        brand: the brand's own colour.
        around: colours of the place that it will stand in, shape (n, 3).
        rng: where every random choice comes from.
        wording: how often words stand beside the logo.

    Returns:
        The carrier (RGBA), the ink's colour, and whether it is a plate that stands off the wall.
    """
    w, h = logo.width + 2 * margin, logo.height + 2 * margin
    inks = [brand, brand, _WHITE, _BLACK]
    kind = str(rng.choice(["bare", "bare", "plate", "plate", "sign", "sticker", "badge"]))
    patch = Image.new("RGBA", (w, h), (0, 0, 0, 0))
    if kind == "bare":
        # Nearly everywhere, not on average alone: on a motley wall only a plate can be read.
        readable = [ink for ink in inks if np.percentile(_distance(ink, around), 15) >= _MIN_CONTRAST]
        if readable:
            ink = readable[int(rng.integers(0, len(readable)))]
            _words(patch, margin, ink, rng, wording)
            return patch, ink, False
        kind = "plate"
    if kind == "sticker":
        edge = _WHITE if _distance(brand, _WHITE) >= _MIN_CONTRAST else _BLACK
        _sticker(patch, logo, margin, edge)
        return patch, _readable(inks, edge, rng), True
    plates = [brand, _WHITE, _BLACK, random_colour(rng)]
    plate = plates[int(rng.integers(0, len(plates)))]
    ink = _readable(inks, plate, rng)
    _plate(patch, kind, margin, plate, ink, rng)
    _words(patch, margin, ink, rng, wording if kind != "sign" else 0.0)  # A sign has words already.
    return patch, ink, True


def painted_carrier(
    logo: Image.Image, margin: int, art: Artwork, around: FloatArray32, rng: np.random.Generator, wording: float = 0.0
) -> tuple[Image.Image, bool]:
    """The carrier of a drawing in its own colours: one on which most of them can be read.

    The arguments are those of `carrier_for`, with the artwork itself in place of its colour.

    Returns:
        The carrier (RGBA), and whether it is a plate that stands off the wall.
    """
    patch = Image.new("RGBA", (logo.width + 2 * margin, logo.height + 2 * margin), (0, 0, 0, 0))
    kind = str(rng.choice(["bare", "bare", "plate", "plate", "sign", "sticker", "badge"]))
    if art.opaque:
        # A rectangle brings its own ground: it hangs as a poster does, or stands on a plate of any colour.
        if kind in ("bare", "sticker", "badge"):
            return patch, True
        _plate(patch, kind, margin, random_colour(rng, (0.0, 0.6), (0.1, 1.0)), _BLACK, rng)
        return patch, True
    if kind == "bare":
        if _legible(art, around) >= 0.55:
            _words(patch, margin, _ink_beside(np.median(around, axis=0)), rng, wording)
            return patch, False
        kind = "plate"
    plates = [_WHITE, _WHITE, _BLACK, art.colour, random_colour(rng), random_colour(rng, (0.0, 0.3), (0.1, 1.0))]
    shares = [_legible(art, np.array([plate], np.float32)) for plate in plates]
    good = [plate for plate, share in zip(plates, shares, strict=True) if share >= 0.6]
    plate = good[int(rng.integers(0, len(good)))] if good else plates[int(np.argmax(shares))]
    if kind == "sticker":
        _sticker(patch, logo, margin, plate)
        return patch, True
    _plate(patch, kind, margin, plate, _ink_beside(plate), rng)
    _words(patch, margin, _ink_beside(plate), rng, wording if kind != "sign" else 0.0)
    return patch, True


def _sticker(patch: Image.Image, logo: Image.Image, margin: int, edge: Colour) -> None:
    """Cut along the outline: the drawing grown by a few pixels, in a colour of its own."""
    grow = max(3, margin // 2) | 1
    small = Image.new("L", patch.size, 0)
    small.paste(logo, (margin, margin))
    outline = small.filter(ImageFilter.GaussianBlur(grow / 2)).point(lambda a: 255 if a > 24 else 0)
    patch.paste((*edge, 255), mask=outline.filter(ImageFilter.GaussianBlur(1.2)))


def _plate(patch: Image.Image, kind: str, margin: int, plate: Colour, ink: Colour, rng: np.random.Generator) -> None:
    w, h = patch.size
    draw = ImageDraw.Draw(patch)
    if kind == "badge":
        draw.ellipse((0, 0, w - 1, h - 1), fill=(*plate, 255))
        # The logo's corners would leave an ellipse: grow it to a rounded rectangle where they do.
        inset = margin // 3
        inner = (inset, inset, w - 1 - inset, h - 1 - inset)
        draw.rounded_rectangle(inner, min(w, h) // 3, fill=(*plate, 255))
        return
    radius = int(min(w, h) * float(rng.choice([0.0, 0.0, 0.06, 0.15])))
    draw.rounded_rectangle((0, 0, w - 1, h - 1), radius, fill=(*plate, 255))
    if kind == "sign" or rng.random() < 0.25:
        line = max(1, margin // int(rng.integers(4, 9)))
        frame = ink if rng.random() < 0.5 else random_colour(rng)
        draw.rounded_rectangle((0, 0, w - 1, h - 1), radius, outline=(*frame, 255), width=line)
    if kind == "sign" and margin > 14:  # Small print below the logo.
        size = margin * 0.45
        draw.text((margin, h - margin + size * 0.3), str(rng.choice(WORDS)), fill=(*ink, 255), font=_font(size))


def _words(patch: Image.Image, margin: int, ink: Colour, rng: np.random.Generator, share: float) -> None:
    """Words in the margin above or below, as a claim or an address stands beside a logo."""
    if not share or margin < 12 or rng.random() >= share:
        return
    draw = ImageDraw.Draw(patch)
    size = margin * float(rng.uniform(0.4, 0.7))
    text = " ".join(str(word) for word in rng.choice(WORDS, int(rng.integers(1, 4))))
    room = patch.width - 2 * margin * 0.4
    size = min(size, size * room / max(1.0, draw.textlength(text, font=_font(size))))
    y = patch.height - margin * 0.95 if rng.random() < 0.7 else margin * 0.08
    draw.text((margin * 0.4, y), text, fill=(*ink, 255), font=_font(size))


def _legible(art: Artwork, ground: FloatArray32) -> float:
    """The share of a drawing's colours that stand apart from a ground's."""
    apart = [float(np.percentile(_distance(shade, ground), 20)) for shade in art.shades[::4]]
    return float(np.mean(np.array(apart) >= _MIN_CONTRAST * 0.7))


def _ink_beside(ground: Sequence[float] | npt.NDArray[np.floating]) -> Colour:
    return _BLACK if float(np.asarray(ground, np.float32) @ LUMA) > 120 else _WHITE


def _distance(one: Sequence[float] | FloatArray32, others: Sequence[float] | FloatArray32) -> FloatArray32:
    """How far a colour stands apart from others (..., 3): mostly by lightness, which is what a shape is read by."""
    delta = np.asarray(others, np.float32) - np.asarray(one, np.float32)
    distance: FloatArray32 = np.abs(delta @ LUMA) + np.float32(0.25) * np.abs(delta).max(axis=-1)
    return distance


def _readable(inks: list[Colour], plate: Colour, rng: np.random.Generator) -> Colour:
    good = [ink for ink in inks if _distance(ink, plate) >= _MIN_CONTRAST]
    if not good:
        good = [max(inks, key=lambda ink: float(_distance(ink, plate)))]
    return good[int(rng.integers(0, len(good)))]


def _font(size: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(8, size))
