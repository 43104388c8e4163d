"""Drawings as brands have them that are nobody's: monograms, badges, petals, strokes, made-up names.

Whoever knows some logos meets many others. What a label is not is learned from drawings of the same make, a new one each
time, as domain randomisation does (Tobin et al., "Domain Randomization for Transferring Deep Neural Networks", 2017).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

from logolens.data.synthesis.artwork import Artwork
from logolens.data.synthesis.backgrounds import random_colour
from logolens.errors import DataError

__all__ = ["made_up_name", "mark"]

_SIDE = 512
"""Of the square that a sign is drawn in; it is then halved, so that its edges are smooth."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_STARTS = (
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "qu",
    "r",
    "s",
    "t",
    "v",
    "w",
    "x",
    "z",
    "st",
    "tr",
    "ch",
    "",
)
_VOWELS = ("a", "e", "i", "o", "u", "y", "ai", "oo", "ea", "io")
_ENDS = ("", "", "", "n", "r", "s", "x", "l", "t", "m")

_AS_WORD, _BESIDE_WORD = 0.25, 0.3
"""Shares of the marks that are a name alone, and a sign with a name."""


def made_up_name(rng: np.random.Generator) -> str:
    """A name that can be spoken and means nothing, as ``Trelio`` or ``KANNEX``."""
    parts = (
        str(rng.choice(_STARTS)) + str(rng.choice(_VOWELS)) + str(rng.choice(_ENDS))
        for _ in range(int(rng.integers(1, 4)))
    )
    name = "".join(parts)
    return (name.upper(), name.capitalize(), name.capitalize(), name)[int(rng.integers(0, 4))]


def mark(rng: np.random.Generator) -> Artwork:
    """A drawing that could be a logo: a sign, a made-up name, or both; of one colour or two.

    Args:
        rng: where every random choice comes from.
    """
    while True:  # Now and then cutting out leaves nothing to see.
        shown = rng.random()
        if shown < _AS_WORD:
            ink = _word(rng)
            tone = Image.new("L", ink.size, 0)
        else:
            ink, tone = _sign(rng)
            if shown < _AS_WORD + _BESIDE_WORD:
                ink, tone = _beside(ink, tone, _word(rng), rng)
        if rng.random() < 0.15:  # Set slanted.
            ink, tone = (_slanted(layer, 0.25) for layer in (ink, tone))
        half = (max(1, ink.width // 2), max(1, ink.height // 2))
        alpha, second = (np.asarray(layer.resize(half, Image.Resampling.BOX)) for layer in (ink, tone))
        colours = [(20, 20, 24) if rng.random() < 0.25 else random_colour(rng, (0.3, 1.0), (0.15, 1.0)) for _ in "12"]
        paint = None
        if second.max() > 127:
            share = second[..., None].astype(np.float32) / 255
            low, high = (np.array(colour, np.float32) for colour in colours)
            paint = np.round(low + (high - low) * share).astype(np.uint8)
        try:
            return Artwork("", alpha, colours[0], paint=paint)
        except DataError:
            continue


def _empty() -> Image.Image:
    return Image.new("L", (_SIDE, _SIDE), 0)


def _sign(rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """Where a sign has ink, and where that is of the second colour."""
    ink = _draw(rng)
    tone = _empty()
    dressed = rng.random()
    if dressed < 0.3:  # Cut out of a badge, or laid on it in a second colour.
        badge, inner = _badge(rng), _empty()
        small = ink.resize((int(_SIDE * 0.56),) * 2, Image.Resampling.BILINEAR)
        inner.paste(small, ((_SIDE - small.width) // 2, (_SIDE - small.height) // 2))
        if rng.random() < 0.6:
            return ImageChops.subtract(badge, inner), tone
        return badge, ImageChops.multiply(badge, inner)
    if dressed < 0.55:  # Of two colours, divided by another shape.
        tone = ImageChops.multiply(ink, _draw(rng))
    elif dressed < 0.7:  # A bar cut through it.
        cut = _empty()
        middle, half = rng.uniform(0.25, 0.75) * _SIDE, rng.uniform(0.02, 0.05) * _SIDE
        ImageDraw.Draw(cut).rectangle((0, int(middle - half), _SIDE, int(middle + half)), fill=255)
        ink = ImageChops.subtract(ink, cut.rotate(float(rng.choice([0, 45, 90, -45])), Image.Resampling.BILINEAR))
    return ink, tone


def _draw(rng: np.random.Generator) -> Image.Image:
    return _SIGNS[int(rng.integers(0, len(_SIGNS)))](rng)


def _badge(rng: np.random.Generator) -> Image.Image:
    """A filled shape that a sign is set in."""
    image = _empty()
    draw = ImageDraw.Draw(image)
    low, high = 16, _SIDE - 16
    kind = int(rng.integers(0, 5))
    if kind == 0:
        draw.ellipse((low, low, high, high), fill=255)
    elif kind == 1:
        draw.rounded_rectangle((low, low, high, high), float(rng.uniform(0.0, 0.3)) * _SIDE, fill=255)
    elif kind == 2:  # A shield.
        draw.polygon([(60, 20), (452, 20), (452, 300), (256, 496), (60, 300)], fill=255)
    elif kind == 3:  # A polygon on its side or its point.
        draw.regular_polygon((256, 256, 240), int(rng.integers(4, 9)), float(rng.choice([0, 22.5, 30, 45])), fill=255)
    else:
        draw.ellipse((low, 110, high, _SIDE - 110), fill=255)
    return image


def _monogram(rng: np.random.Generator) -> Image.Image:
    """One to three letters, close together."""
    text = "".join(rng.choice(list(_LETTERS), int(rng.choice([1, 1, 1, 2, 2, 3]))))
    text = text if rng.random() < 0.6 else text.lower()
    return _within(_written(text, rng), 460, 460)


def _petals(rng: np.random.Generator) -> Image.Image:
    """One shape, again and again around a point."""
    one = _empty()
    draw = ImageDraw.Draw(one)
    count = int(rng.integers(2, 10))
    near, far = rng.uniform(0, 90), rng.uniform(150, 245)
    wide = rng.uniform(0.25, 1.3) * np.pi * (near + far) / 2 / count
    kind = int(rng.integers(0, 4))
    top, bottom = 256 - far, 256 - near
    if kind == 0:
        draw.ellipse((256 - wide, top, 256 + wide, bottom), fill=255)
    elif kind == 1:
        draw.polygon([(256, top), (256 + wide, bottom), (256 - wide, bottom)], fill=255)
    elif kind == 2:
        draw.polygon(
            [(256, top), (256 + wide, (top + bottom) / 2), (256, bottom), (256 - wide, (top + bottom) / 2)], fill=255
        )
    else:
        draw.rounded_rectangle((256 - wide / 2, top, 256 + wide / 2, bottom), min(wide, far - near) / 3, fill=255)
    image = _empty()
    lean = float(rng.choice([0, 0, 180 / count]))
    crossing = ImageChops.difference if rng.random() < 0.3 else ImageChops.lighter
    for number in range(count):
        image = crossing(image, one.rotate(lean + 360 * number / count, Image.Resampling.BILINEAR))
    return image


def _blob(rng: np.random.Generator) -> Image.Image:
    """A smooth outline, the same left and right or not, sometimes with another cut out of it."""
    image = _empty()
    draw = ImageDraw.Draw(image)
    even = rng.random() < 0.6
    turn = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    for fill, size in ((255, 1.0), (0, float(rng.uniform(0.3, 0.6)))):
        if not fill and rng.random() < 0.5:
            break
        radius = np.ones_like(turn)
        for wave in range(1, 7):
            phase = 0.0 if even else float(rng.uniform(0, 2 * np.pi))
            radius += rng.normal(0, 0.28 / wave**0.5) * np.cos(wave * turn + phase)
        radius = np.clip(radius, 0.15, None) / max(1.0, float(np.abs(radius).max())) * 245 * size
        corners = zip((256 + radius * np.sin(turn)).tolist(), (256 - radius * np.cos(turn)).tolist(), strict=True)
        draw.polygon(list(corners), fill=fill)
    return image


def _strokes(rng: np.random.Generator) -> Image.Image:
    """A thick line from point to point of a coarse grid, maybe mirrored."""
    image = _empty()
    draw = ImageDraw.Draw(image)
    width = int(rng.uniform(36, 92))
    places = [70, 163, 256, 349, 442]
    for _ in range(int(rng.integers(1, 3))):
        points = [tuple(rng.choice(places, 2).tolist()) for _ in range(int(rng.integers(3, 6)))]
        draw.line(points, fill=255, width=width, joint="curve")
        if rng.random() < 0.5:
            for x, y in points:
                draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    if rng.random() < 0.4:
        image = ImageChops.lighter(image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    return image


def _grid(rng: np.random.Generator) -> Image.Image:
    """Dots or squares in rows, the same left and right."""
    image = _empty()
    draw = ImageDraw.Draw(image)
    count = int(rng.integers(2, 6))
    filled = rng.random((count, count)) < 0.6
    filled |= filled[:, ::-1]
    cell, gap = 480 / count, float(rng.uniform(0, 0.3))
    shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
    for row, column in np.argwhere(filled).tolist():
        x, y = 16 + column * cell, 16 + row * cell
        shape((x + cell * gap / 2, y + cell * gap / 2, x + cell * (1 - gap / 2), y + cell * (1 - gap / 2)), fill=255)
    return image


def _arcs(rng: np.random.Generator) -> Image.Image:
    """Parts of rings around one point."""
    image = _empty()
    draw = ImageDraw.Draw(image)
    count = int(rng.integers(1, 5))
    width = int(rng.uniform(0.35, 0.8) * 240 / count)
    start, span = float(rng.uniform(0, 360)), float(rng.choice([360, 270, 180, rng.uniform(90, 330)]))
    for ring in range(count):
        reach = 245 - ring * 240 / count
        draw.arc((256 - reach, 256 - reach, 256 + reach, 256 + reach), start, start + span, fill=255, width=width)
        if rng.random() < 0.4:
            start += float(rng.choice([90, 180]))
    return image


def _bars(rng: np.random.Generator) -> Image.Image:
    """Stripes of their own lengths, upright, flat or slanted."""
    image = _empty()
    draw = ImageDraw.Draw(image)
    count = int(rng.integers(2, 7))
    pitch, thick = 480 / count, float(rng.uniform(0.4, 0.85))
    for number in range(count):
        first, last = sorted(rng.uniform(16, 496, 2).tolist()) if rng.random() < 0.7 else (16.0, 496.0)
        y = 16 + number * pitch
        draw.rounded_rectangle(
            (first, y, max(last, first + 40), y + pitch * thick), float(rng.choice([0, 0.4])) * pitch * thick, fill=255
        )
    return image.rotate(float(rng.choice([0, 90, 30, 45])), Image.Resampling.BILINEAR)


_SIGNS: tuple[Callable[[np.random.Generator], Image.Image], ...] = (
    _monogram, _monogram, _petals, _petals, _blob, _strokes, _strokes, _grid, _arcs, _bars, _badge,
)  # fmt: skip


def _word(rng: np.random.Generator) -> Image.Image:
    """A made-up name in one line."""
    name = made_up_name(rng)
    image = _written(name, rng)
    if rng.random() < 0.12:  # Underlined.
        ImageDraw.Draw(image).rectangle(
            (0, image.height - int(image.height * 0.08), image.width, image.height), fill=255
        )
    return image


def _written(text: str, rng: np.random.Generator) -> Image.Image:
    """Letters, thin or fat, narrow or wide, loose or tight, cut to what is seen of them."""
    font = ImageFont.load_default(200)
    stroke, loose = int(rng.integers(0, 14)), float(rng.choice([0, 0, -14, 26]))
    widths = [font.getlength(letter) for letter in text]
    canvas = Image.new("L", (int(sum(widths) + (abs(loose) + 4) * len(text)) + 120, 400), 0)
    draw = ImageDraw.Draw(canvas)
    x = 60.0
    for letter, width in zip(text, widths, strict=True):
        draw.text((x, 80), letter, fill=255, font=font, stroke_width=stroke)
        x += width + loose
    cut = canvas.crop(canvas.getbbox())
    return cut.resize((max(1, round(cut.width * float(rng.uniform(0.7, 1.35)))), cut.height), Image.Resampling.BILINEAR)


def _within(image: Image.Image, width: int, height: int) -> Image.Image:
    """An image scaled to fit and set in the middle of the square."""
    scale = min(width / image.width, height / image.height)
    small = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BILINEAR
    )
    square = _empty()
    square.paste(small, ((_SIDE - small.width) // 2, (_SIDE - small.height) // 2))
    return square


def _beside(
    ink: Image.Image, tone: Image.Image, word: Image.Image, rng: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """A sign with a name to its right or below it."""
    if right := rng.random() < 0.6:
        high = int(rng.uniform(0.25, 0.6) * _SIDE)
        word = word.resize((max(1, round(word.width * high / word.height)), high), Image.Resampling.BILINEAR)
        size, place = (_SIDE + 50 + word.width, _SIDE), (_SIDE + 50, (_SIDE - high) // 2)
    else:
        wide = int(rng.uniform(0.8, 1.5) * _SIDE)
        word = word.resize((wide, max(1, round(word.height * wide / word.width))), Image.Resampling.BILINEAR)
        size, place = (max(_SIDE, wide), _SIDE + 40 + word.height), ((max(_SIDE, wide) - wide) // 2, _SIDE + 40)
    layers = []
    # The name is of the second colour now and then.
    coloured = Image.new("L", word.size, 0) if rng.random() < 0.7 else word
    for sign, name in ((ink, word), (tone, coloured)):
        layer = Image.new("L", size, 0)
        layer.paste(sign, (0 if right else (size[0] - _SIDE) // 2, 0))
        layer.paste(name, place)
        layers.append(layer)
    return layers[0], layers[1]


def _slanted(image: Image.Image, lean: float) -> Image.Image:
    more = int(lean * image.height)
    return image.transform(
        (image.width + more, image.height), Image.Transform.AFFINE, (1, lean, -more, 0, 1, 0), Image.Resampling.BILINEAR
    )
