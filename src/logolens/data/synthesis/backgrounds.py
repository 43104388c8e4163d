"""Backgrounds made from nothing but a random generator: walls, cloth, shelves, screens, streets.

Each draws an RGB picture of the size asked for. The families of training and of the unseen set are disjoint, so that a
figure on the unseen set says nothing about a wall that was seen before.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from logolens.errors import UsageError

__all__ = ["SEEN_BACKGROUNDS", "UNSEEN_BACKGROUNDS", "WORDS", "background", "fractal", "random_colour"]

Floats = NDArray[np.float32]

WORDS: tuple[str, ...] = (
    "OPEN", "SALE", "CAFE", "EXIT", "MENU", "NEWS", "HOTEL", "TAXI", "PARK", "STORE", "Fresh", "Today", "Bakery",
    "Books", "Music", "Market", "City", "Summer", "Garden", "24 h", "-50 %", "No 7", "Salon", "Bar", "Garage", "Lounge",
    "Gallery", "Library", "Pharmacy", "Tickets", "Welcome", "Studio", "Street", "Central", "Express", "Deluxe",
)  # fmt: skip
"""Words of signs and posters. None is the name of a brand that the demo shows."""


def background(family: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A picture of one family.

    Args:
        family: one of ``SEEN_BACKGROUNDS`` or ``UNSEEN_BACKGROUNDS``.
        size: width and height in pixels.
        rng: where every random choice comes from.

    Raises:
        UsageError: there is no such family.
    """
    draw = _FAMILIES.get(family)
    if draw is None:
        raise UsageError(f"There is no background {family!r}; choose one of: {', '.join(sorted(_FAMILIES))}.")
    return draw(size[0], size[1], rng)


def random_colour(
    rng: np.random.Generator, saturation: tuple[float, float] = (0.1, 0.9), value: tuple[float, float] = (0.2, 1.0)
) -> tuple[int, int, int]:
    """An RGB colour of any hue, its saturation and value drawn from the ranges given, pale ones more often."""
    s = saturation[0] + (saturation[1] - saturation[0]) * rng.random() ** 1.6
    r, g, b = colorsys.hsv_to_rgb(rng.random(), s, rng.uniform(*value))
    return int(r * 255), int(g * 255), int(b * 255)


def fractal(width: int, height: int, cells: tuple[float, float], octaves: int, rng: np.random.Generator) -> Floats:
    """Value noise summed over octaves, each of half the amplitude and double the frequency of the last.

    Args:
        cells: how many cells the coarsest octave has across and down.

    Returns:
        Values from 0 to 1, shape (height, width).
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        grid = rng.random((
            min(height, round(cells[1] * 2**octave)) + 2,
            min(width, round(cells[0] * 2**octave)) + 2,
        )).astype(np.float32)  # fmt: skip
        layer = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer) * np.float32(0.5**octave)
    low, high = float(total.min()), float(total.max())
    return (total - low) / np.float32(max(high - low, 1e-6))


def _mix(first: tuple[int, ...], second: tuple[int, ...], share: Floats) -> Floats:
    a, b = np.array(first, np.float32), np.array(second, np.float32)
    return a + (b - a) * share[..., None]


def _image(values: Floats) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _between(rng: np.random.Generator, low: float, high: float) -> int:
    return int(rng.integers(int(low), max(int(low) + 1, int(high) + 1)))


def _near(colour: tuple[int, ...], rng: np.random.Generator, spread: float) -> tuple[int, int, int]:
    # Mostly lighter or darker, a little of another hue: what dye lots and lamps do.
    common = rng.normal(0, spread)
    r, g, b = (int(np.clip(c + common + rng.normal(0, spread * 0.3), 0, 255)) for c in colour)
    return r, g, b


def _plaster(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    base = random_colour(rng, (0.02, 0.5), (0.25, 0.98))
    n = fractal(w, h, (3, 3), 6, rng)
    values = _mix(base, _near([int(c * 0.65) for c in base], rng, 14), n)  # type: ignore[arg-type]
    values += rng.normal(0, 4, (h, w, 1)).astype(np.float32)
    picture = _image(values)
    if rng.random() < 0.4:  # A floor, and a skirting board above it.
        y = _between(rng, 0.68 * h, 0.92 * h)
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, y, w, h), fill=random_colour(rng, (0.05, 0.5), (0.15, 0.6)))
        draw.rectangle((0, y - h // 60, w, y), fill=_near(base, rng, 30))
    return picture


def _bricks(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    bh = max(6, h // _between(rng, 9, 22))
    bw, joint = int(bh * rng.uniform(2.0, 3.2)), max(1, bh // 8)
    y, x = np.mgrid[0:h, 0:w]
    row = y // bh
    shifted = x + (row % 2) * (bw // 2)
    column = shifted // bw
    base = random_colour(rng, (0.15, 0.65), (0.3, 0.85)) if rng.random() < 0.4 else _near((150, 78, 60), rng, 22)
    shade = rng.normal(1.0, 0.13, (int(row.max()) + 1, int(column.max()) + 1)).astype(np.float32)
    values = np.array(base, np.float32) * shade[row, column][..., None]
    mortar = (y % bh < joint) | (shifted % bw < joint)
    values[mortar] = _near((178, 172, 165), rng, 25)
    return _image(values * (0.75 + 0.4 * fractal(w, h, (4, 4), 5, rng))[..., None])


def _fabric(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    base = random_colour(rng, (0.0, 0.8), (0.12, 0.97))
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    values = np.broadcast_to(np.array(base, np.float32), (h, w, 3)).copy()
    other = np.array(random_colour(rng, (0.0, 0.8), (0.15, 0.95)), np.float32)
    style = rng.random()
    pitch = w / rng.uniform(5, 16)
    if style < 0.25:
        values[((y / pitch) % 1) < 0.45] = other
    elif style < 0.4:
        values += (other - values) * 0.45 * (((y / pitch) % 1) < 0.4)[..., None]
        values += (other - values) * 0.45 * (((x / pitch) % 1) < 0.4)[..., None]
    weave = 1 + 0.06 * np.sin(x * rng.uniform(1.2, 2.4)) * np.sin(y * rng.uniform(1.2, 2.4))
    folds = fractal(w, h, (rng.uniform(1, 3), rng.uniform(1, 3)), 3, rng)
    light = np.gradient(folds, axis=1) * np.float32(w / 14)  # Folds are seen by the light that falls across them.
    return _image(values * (weave * (0.75 + 0.25 * folds + np.clip(light, -0.3, 0.2)))[..., None])


def _shelves(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (w, h), random_colour(rng, (0.05, 0.4), (0.08, 0.3)))
    draw = ImageDraw.Draw(picture)
    rows = _between(rng, 2, 4)
    board = random_colour(rng, (0.0, 0.4), (0.5, 0.95))
    for row in range(rows):
        floor = (row + 1) * h // rows
        x = 0
        goods = random_colour(rng)
        while x < w:
            if rng.random() < 0.3:
                goods = random_colour(rng)
            width = _between(rng, w / 26, w / 9)
            top = floor - h // 22 - _between(rng, 0.45 * h / rows, 0.85 * h / rows)
            foot = floor - h // 22
            if rng.random() < 0.4:  # A bottle: a body, shoulders and a cap.
                draw.rounded_rectangle((x, top + (foot - top) // 3, x + width, foot), width // 4, fill=goods)
                neck = (x + width // 3, top, x + width - width // 3, top + (foot - top) // 2)
                draw.rectangle(neck, fill=_near(goods, rng, 25))
            else:
                draw.rectangle((x, top, x + width, foot), fill=goods)
            middle = (top + foot) // 2
            label = (x + width // 8, middle, x + width - width // 8, middle + (foot - top) // 4)
            draw.rectangle(label, fill=random_colour(rng, (0, 0.6), (0.5, 1)))
            draw.line((label[0] + 2, middle + 4, label[2] - 2, middle + 4), fill=(60, 60, 60))
            x += width + _between(rng, 1, w / 90)
        draw.rectangle((0, floor - h // 22, w, floor), fill=board)
        for x in range(0, w, max(20, w // 8)):
            draw.rectangle((x + 4, floor - h // 26, x + w // 16, floor - h // 80), fill=(250, 248, 235))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 2.0)))


def _screen(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    dark = rng.random() < 0.4
    paper = _near((28, 30, 36) if dark else (246, 247, 249), rng, 5)
    ink = _near((200, 200, 205) if dark else (90, 95, 105), rng, 12)
    accent = random_colour(rng, (0.4, 0.9), (0.4, 0.9))
    picture = Image.new("RGB", (w, h), paper)
    draw = ImageDraw.Draw(picture)
    bar = h // _between(rng, 9, 15)
    draw.rectangle((0, 0, w, bar), fill=accent if rng.random() < 0.5 else _near(paper, rng, 16))
    for i in range(_between(rng, 2, 5)):
        draw.text((w * (0.4 + 0.13 * i), bar * 0.25), str(rng.choice(WORDS)), fill=ink, font=_font(bar * 0.5))
    columns = _between(rng, 1, 3)
    for column in range(columns):
        x0, x1 = int(w * (column + 0.08) / columns), int(w * (column + 0.92) / columns)
        y = bar * 2
        while y < h:
            if rng.random() < 0.35:
                height = _between(rng, h / 10, h / 3.5)
                tint = random_colour(rng, (0.1, 0.7), (0.4, 0.95))
                draw.rounded_rectangle((x0, y, x1, y + height), bar // 4, fill=tint)
                y += height + bar // 2
            else:
                for _ in range(_between(rng, 2, 6)):
                    draw.rectangle((x0, y, x0 + int((x1 - x0) * rng.uniform(0.5, 1)), y + max(2, h // 110)), fill=ink)
                    y += max(5, h // 45)
                y += bar // 2
    if rng.random() < 0.5:  # The bezel of a monitor, and the wall behind it.
        edge = _between(rng, w / 40, w / 14)
        draw.rectangle((0, 0, w - 1, h - 1), outline=random_colour(rng, (0, 0.4), (0.2, 0.9)), width=edge)
        frame = (edge, edge, w - 1 - edge, h - 1 - edge)
        draw.rectangle(frame, outline=_near((22, 22, 24), rng, 6), width=max(4, edge // 2))
    return picture


def _bokeh(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    top, foot = random_colour(rng, (0.2, 0.8), (0.05, 0.6)), random_colour(rng, (0.2, 0.8), (0.05, 0.6))
    values = _mix(top, foot, np.repeat(np.linspace(0, 1, h, dtype=np.float32)[:, None], w, axis=1))
    hue = random_colour(rng, (0.2, 0.8), (0.7, 1.0))
    lights = Image.new("RGB", (w, h))
    draw = ImageDraw.Draw(lights)
    for _ in range(_between(rng, 10, 45)):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), w * rng.uniform(0.01, 0.07)
        tint = _near(hue if rng.random() < 0.6 else random_colour(rng, (0.1, 0.8), (0.6, 1.0)), rng, 20)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tint)
    lights = lights.filter(ImageFilter.GaussianBlur(w * rng.uniform(0.004, 0.03)))
    return _image(values + np.asarray(lights, np.float32) * np.float32(rng.uniform(0.4, 0.9)))


def _posters(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    picture = _plaster(w, h, rng)
    for _ in range(_between(rng, 5, 14)):
        pw, ph = _between(rng, w / 9, w / 3.2), _between(rng, h / 9, h / 2.6)
        paper = random_colour(rng, (0.0, 0.9), (0.3, 1.0))
        poster = Image.new("RGBA", (pw, ph), (*paper, 255))
        draw = ImageDraw.Draw(poster)
        for _ in range(_between(rng, 1, 4)):
            x, y, r = rng.uniform(0, pw), rng.uniform(0, ph), pw * rng.uniform(0.06, 0.4)
            box = (x - r, y - r * rng.uniform(0.4, 1), x + r, y + r)
            (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=random_colour(rng))
        for _ in range(_between(rng, 1, 3)):
            place = (pw * rng.uniform(0.02, 0.3), ph * rng.uniform(0.02, 0.8))
            draw.text(place, str(rng.choice(WORDS)), fill=random_colour(rng), font=_font(pw * rng.uniform(0.12, 0.3)))
        poster = poster.rotate(rng.normal(0, 5), Image.Resampling.BILINEAR, expand=True)
        picture.paste(poster, (_between(rng, -pw / 3, w - pw / 2), _between(rng, -ph / 3, h - ph / 2)), poster)
    return picture


def _wood(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    base = _near((156, 108, 66), rng, 28)
    planks = _between(rng, 3, 9)
    y = np.mgrid[0:h, 0:w][0].astype(np.float32)
    plank = np.minimum((y * planks / h).astype(np.int64), planks - 1)
    bend = fractal(w, h, (2, 2.0 * planks), 3, rng)
    rings = np.sin((y / h * planks * rng.uniform(4, 9) + bend * rng.uniform(6, 14)) * 2)
    streaks = fractal(w, h, (2, h / 3), 2, rng)
    shade = rng.normal(1, 0.11, planks).astype(np.float32)[plank]
    values = np.array(base, np.float32) * (shade * (0.78 + 0.07 * rings + 0.34 * streaks))[..., None]
    values[((y * planks / h) % 1) < 0.03] *= 0.35
    picture = _image(values)
    return picture.transpose(Image.Transpose.ROTATE_90).resize((w, h)) if rng.random() < 0.4 else picture


def _tiles(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    side = w / rng.uniform(4, 13)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    row, column = (y / side).astype(np.int64), (x / side).astype(np.int64)
    first, second = random_colour(rng, (0.0, 0.5), (0.5, 1.0)), random_colour(rng, (0.0, 0.7), (0.2, 1.0))
    chequered = ((row + column) % 2 == 0) if rng.random() < 0.35 else np.zeros_like(row, dtype=bool)
    values = np.where(chequered[..., None], np.array(second, np.float32), np.array(first, np.float32))
    shade = rng.normal(1, 0.05, (int(row.max()) + 1, int(column.max()) + 1)).astype(np.float32)[row, column]
    gloss = 0.85 + 0.25 * (((x / side) % 1) * ((y / side) % 1))
    values = values * (shade * gloss)[..., None]
    joint = 2.0 / side + 0.015
    values[(((x / side) % 1) < joint) | (((y / side) % 1) < joint)] = _near((200, 198, 192), rng, 30)
    return _image(values * (0.8 + 0.3 * fractal(w, h, (2, 2), 2, rng))[..., None])


def _street(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    top, foot = _near((110, 160, 220), rng, 30), _near((215, 225, 235), rng, 15)
    sky = _mix(top, foot, np.repeat(np.linspace(0, 1, h, dtype=np.float32)[:, None], w, axis=1))
    picture = _image(sky)
    draw = ImageDraw.Draw(picture)
    horizon = _between(rng, 0.72 * h, 0.9 * h)
    x = -_between(rng, 0, w / 6)
    while x < w:
        width, roof = _between(rng, w / 6, w / 2.4), _between(rng, 0, 0.45 * h)
        wall = random_colour(rng, (0.03, 0.5), (0.35, 0.92))
        draw.rectangle((x, roof, x + width, horizon), fill=wall)
        across, storey = _between(rng, 2, 5), max(18, h // _between(rng, 6, 11))
        pane = _near((70, 85, 105), rng, 20)
        for floor in range(roof + storey // 3, horizon - storey, storey):
            for i in range(across):
                left = x + width * (i + 0.22) / across
                box = (left, floor, left + width * 0.56 / across, floor + storey * 0.62)
                draw.rectangle(box, fill=_near(pane, rng, 14), outline=_near(wall, rng, 25), width=2)
        shop = (x + width * 0.06, horizon - storey, x + width * 0.94, horizon)
        draw.rectangle(shop, fill=_near((45, 48, 55), rng, 12))
        draw.rectangle((x, horizon - int(storey * 1.25), x + width, horizon - storey), fill=random_colour(rng))
        x += width
    draw.rectangle((0, horizon, w, h), fill=_near((120, 118, 115), rng, 15))
    grain = 0.85 + 0.25 * fractal(w, h, (5, 5), 4, rng)
    return _image(np.asarray(picture, np.float32) * grain[..., None]).filter(
        ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5))
    )


def _leaves(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (w, h), _near((30, 52, 26), rng, 10))
    for layer in range(3):
        draw = ImageDraw.Draw(picture)
        for _ in range(140):
            x, y = rng.uniform(0, w), rng.uniform(0, h)
            a, b, turn = w * rng.uniform(0.015, 0.05), w * rng.uniform(0.006, 0.02), rng.uniform(0, np.pi)
            t = np.linspace(0, 2 * np.pi, 10)
            px = x + a * np.cos(t) * np.cos(turn) - b * np.sin(t) * np.sin(turn)
            py = y + a * np.cos(t) * np.sin(turn) + b * np.sin(t) * np.cos(turn)
            green = _near((60 + 35 * layer, 95 + 35 * layer, 40 + 18 * layer), rng, 16)
            draw.polygon(list(zip(px.tolist(), py.tolist(), strict=True)), fill=green)
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.0)))
    return picture


def _metal(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    bare = rng.random() < 0.6
    base = random_colour(rng, (0.0, 0.12) if bare else (0.4, 0.9), (0.35, 0.85))
    streaks = fractal(w, h, (3, h / 2), 2, rng)
    sheen = fractal(w, h, (1, 1), 2, rng)
    picture = _image(np.array(base, np.float32) * (0.65 + 0.18 * streaks + 0.45 * sheen)[..., None])
    draw = ImageDraw.Draw(picture)
    if rng.random() < 0.6:  # Panels, riveted along their seams.
        for i in range(1, _between(rng, 2, 5)):
            seam = w * i // 4
            draw.line((seam, 0, seam, h), fill=tuple(int(c * 0.4) for c in base), width=2)
            for y in range(h // 24, h, max(10, h // 12)):
                draw.ellipse((seam + 6, y, seam + 6 + w // 70, y + w // 70), fill=tuple(int(c * 0.75) for c in base))
    return picture


def _desk(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    values = np.array(random_colour(rng, (0.0, 0.45), (0.3, 0.95)), np.float32)
    picture = _image(values * (0.8 + 0.25 * fractal(w, h, (2, 8), 4, rng))[..., None])
    for _ in range(_between(rng, 2, 6)):
        pw, ph = _between(rng, w / 8, w / 2.4), _between(rng, h / 8, h / 2.2)
        sheet = Image.new("RGBA", (pw, ph), (*random_colour(rng, (0.0, 0.3), (0.6, 1.0)), 255))
        draw = ImageDraw.Draw(sheet)
        for y in range(ph // 8, ph - 6, max(6, ph // 12)):
            draw.line((pw // 10, y, int(pw * rng.uniform(0.5, 0.9)), y), fill=(120, 120, 130), width=max(1, ph // 70))
        sheet = sheet.rotate(rng.uniform(-40, 40), Image.Resampling.BILINEAR, expand=True)
        place = (_between(rng, -pw / 3, w - pw / 2), _between(rng, -ph / 3, h - ph / 2))
        shade = Image.new("L", sheet.size).point(lambda _: 0)
        shade.paste(110, mask=sheet.getchannel("A"))
        picture.paste((15, 15, 20), (place[0] + 4, place[1] + 5), shade.filter(ImageFilter.GaussianBlur(4)))
        picture.paste(sheet, place, sheet)
    draw = ImageDraw.Draw(picture)
    for _ in range(_between(rng, 0, 3)):  # Cups seen from above.
        cx, cy, r = rng.uniform(0, w), rng.uniform(0, h), w * rng.uniform(0.04, 0.09)
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=random_colour(rng, (0, 0.6), (0.5, 1)))
        r *= 0.8
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=_near((70, 42, 25), rng, 10))
    return picture


def _font(size: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    # Pillow's own font: the same letters on every machine.
    return ImageFont.load_default(max(8, size))


_FAMILIES: dict[str, Callable[[int, int, np.random.Generator], Image.Image]] = {
    "bokeh": _bokeh,
    "bricks": _bricks,
    "desk": _desk,
    "fabric": _fabric,
    "leaves": _leaves,
    "metal": _metal,
    "plaster": _plaster,
    "posters": _posters,
    "screen": _screen,
    "shelves": _shelves,
    "street": _street,
    "tiles": _tiles,
    "wood": _wood,
}

SEEN_BACKGROUNDS: tuple[str, ...] = ("bokeh", "bricks", "fabric", "plaster", "posters", "screen", "shelves")
"""The families that training photos stand on."""

UNSEEN_BACKGROUNDS: tuple[str, ...] = ("desk", "leaves", "metal", "street", "tiles", "wood")
"""The families that only unseen photos stand on."""
