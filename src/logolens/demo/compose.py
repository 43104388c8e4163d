"""Photo-like pictures of logos: a drawing on a sign, a sticker, cloth or a screen, seen at an angle in poor light.

Only numpy and Pillow take part. Every random choice comes from the generator that the caller gives, in one fixed order,
so that a seed gives the same picture again.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from logolens.backgrounds import WORDS, background, fractal, random_colour
from logolens.demo.brands import Artwork
from logolens.errors import UsageError

__all__ = ["LogoBox", "compose", "decoy", "encode", "photo_size"]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_MIN_CONTRAST = 65.0  # Luma or colour distance below which a print cannot be read from a few steps away.


@dataclass(frozen=True)
class LogoBox:
    """Where the visible part of a logo lies: pixels, x to the right and y down, x2 and y2 exclusive."""

    label: str
    x1: int
    y1: int
    x2: int
    y2: int


def photo_size(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height of a photo: the long side from 320 to 640 pixels, in a usual proportion."""
    long = int(rng.integers(320, 641))
    short = round(long / float(rng.choice([1.0, 4 / 3, 4 / 3, 3 / 2, 16 / 9])))
    return (long, short) if rng.random() < 0.7 else (short, long)


def decoy(rng: np.random.Generator) -> Artwork:
    """A drawing that is nobody's logo: a word, or a plain shape."""
    colour = random_colour(rng)
    side = 256
    canvas = Image.new("L", (side * 2, side), 0)
    draw = ImageDraw.Draw(canvas)
    kind = int(rng.integers(0, 8))
    if kind < 4:
        draw.text((12, 60), str(rng.choice(WORDS)), fill=255, font=_font(110), stroke_width=int(rng.integers(0, 6)))
    elif kind == 4:
        draw.ellipse((20, 20, 236, 236), fill=255)
        draw.ellipse((70, 70, 186, 186), fill=0 if rng.random() < 0.5 else 255)
        draw.rectangle((118, 30, 138, 226), fill=0)
    elif kind == 5:  # An arrow.
        draw.polygon([(20, 100), (140, 100), (140, 40), (250, 128), (140, 216), (140, 156), (20, 156)], fill=255)
    else:  # A star, or a polygon.
        points, inner = int(rng.integers(3, 9)), float(rng.uniform(0.35, 1.0))
        angle = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False) - np.pi / 2
        radius = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner) * 115
        corners = zip((128 + radius * np.cos(angle)).tolist(), (128 + radius * np.sin(angle)).tolist(), strict=True)
        draw.polygon(list(corners), fill=255)
    if rng.random() < 0.3:
        canvas = canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if kind >= 4 else canvas
    return Artwork("", np.asarray(canvas), colour)


def compose(
    artworks: Sequence[Artwork],
    family: str,
    rng: np.random.Generator,
    *,
    size: tuple[int, int] | None = None,
    others: Sequence[Artwork] = (),
    width_share: tuple[float, float] = (0.15, 0.8),
    ink: bool = True,
) -> tuple[Image.Image, list[LogoBox]]:
    """A photo-like picture of some logos, and where they are.

    Args:
        artworks: the logos shown, each boxed in the answer; may be empty.
        family: the background's name, see ``logolens.backgrounds``.
        rng: where every random choice comes from.
        size: width and height in pixels; by default that of a small photo, see ``photo_size``.
        others: drawings shown as well, below the logos, that get no box.
        width_share: the logo's width as a share of the picture's, from and to.
        ink: with False all is drawn but the logos' own ink (their plates stay), so that two pictures of the same
            generator state differ by the logos alone.

    Returns:
        The RGB picture, and one box for each logo in the order given.

    Raises:
        UsageError: there is no such background, or the picture or the share is too small to show a logo.
    """
    if size is None:
        size = photo_size(rng)
    if min(size) < 64:
        raise UsageError(f"A picture of {size[0]} x {size[1]} pixels is too small for a logo; give at least 64 x 64.")
    if not 0.02 <= width_share[0] <= width_share[1] <= 1.0:
        raise UsageError(f"The logo's width share is {width_share}; it must rise from at least 0.02 to at most 1.")
    picture = background(family, size, rng)
    if rng.random() < 0.35:  # Shallow depth of field: the wall behind is out of focus.
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.8, 3.5))))
    for other in others:
        # Beside a logo the rest is small; with none it may fill the picture.
        share = (0.08, 0.3) if artworks else width_share
        picture, _ = _place(picture, other, rng, width_share=share, ink=True, cut=bool(artworks))
    masks: list[Image.Image] = []
    for artwork in artworks:
        picture, mask = _place(picture, artwork, rng, width_share=width_share, ink=ink, cut=False)
        # What was drawn before lies below: the newcomer hides it.
        masks = [ImageChops.multiply(m, ImageChops.invert(mask)) for m in masks]
        masks.append(mask)
    if rng.random() < 0.3:
        picture, masks = _occlude(picture, masks, rng)
    picture = _light(picture, rng)
    boxes = [_box(artwork.label, mask) for artwork, mask in zip(artworks, masks, strict=True)]
    smallest = min((min(b.x2 - b.x1, b.y2 - b.y1) for b in boxes), default=min(size) // 4)
    return _camera(picture, rng, smallest), boxes


def encode(image: Image.Image, rng: np.random.Generator) -> bytes:
    """The picture as JPEG, of a quality from 40 to 95."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(40, 96)))
    return buffer.getvalue()


# --- one logo on its carrier ---------------------------------------------------------------------------------------


def _place(
    picture: Image.Image,
    artwork: Artwork,
    rng: np.random.Generator,
    *,
    width_share: tuple[float, float],
    ink: bool,
    cut: bool,
) -> tuple[Image.Image, Image.Image]:
    """Put one drawing on its carrier into the picture; the answer's second part is the mask of its ink."""
    w, h = picture.size
    share = float(rng.uniform(*width_share))
    aspect = artwork.alpha.shape[1] / artwork.alpha.shape[0]
    lw = share * w
    lh = lw / aspect
    if lh > 0.8 * h:
        lw, lh = lw * 0.8 * h / lh, 0.8 * h
    logo = Image.fromarray(artwork.alpha).resize((max(6, round(lw)), max(6, round(lh))), Image.Resampling.LANCZOS)
    margin = max(3, round(float(rng.uniform(0.1, 0.4)) * min(lw, lh) + 0.04 * max(lw, lh)))
    quad = _quad(lw, lh, margin, w, h, rng, cut)
    around = np.asarray(picture.crop(_clip_box(quad, w, h)).resize((12, 12), Image.Resampling.BOX), np.float32)
    carrier, colour, solid = _carrier(logo, margin, artwork.colour, around.reshape(-1, 3), rng)

    x0, y0 = np.floor(quad.min(axis=0)).astype(int) - 2
    x1, y1 = np.ceil(quad.max(axis=0)).astype(int) + 2
    window = (int(x1 - x0), int(y1 - y0))
    maps = _homography(quad - (x0, y0), (float(carrier.width), float(carrier.height)))
    plate = carrier.transform(window, Image.Transform.PERSPECTIVE, maps, Image.Resampling.BILINEAR)
    flat = Image.new("L", carrier.size, 0)
    flat.paste(logo, (margin, margin))
    mask = flat.transform(window, Image.Transform.PERSPECTIVE, maps, Image.Resampling.BICUBIC)

    result = picture.copy()
    if solid and rng.random() < 0.8:  # A plate stands off the wall and throws a shadow.
        reach = max(1.0, 0.03 * max(lw, lh)) * float(rng.uniform(0.4, 1.6))
        shade = plate.getchannel("A").point(lambda a: int(a * 0.55)).filter(ImageFilter.BoxBlur(reach))
        offset = (int(x0 + reach * rng.uniform(-1, 1)), int(y0 + reach * rng.uniform(0.3, 1.3)))
        result.paste((10, 10, 15), offset, shade)
    result.paste(plate.convert("RGB"), (int(x0), int(y0)), plate.getchannel("A"))
    strength = 1.0 if solid else float(rng.uniform(0.82, 1.0))  # Paint lets a little of the wall through.
    texture = fractal(window[0], window[1], (5, 5), 3, rng)
    if ink:
        tone = np.array(colour, np.float32) * (0.9 + 0.2 * texture)[..., None]
        layer = Image.fromarray(np.clip(tone, 0, 255).astype(np.uint8))
        result.paste(layer, (int(x0), int(y0)), mask.point(lambda a: int(a * strength)))
    whole = Image.new("L", (w, h), 0)
    whole.paste(mask, (int(x0), int(y0)))
    return result, whole


def _carrier(
    logo: Image.Image,
    margin: int,
    brand: tuple[int, int, int],
    around: NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[Image.Image, tuple[int, int, int], bool]:
    """What the logo is printed on (RGBA, a margin wider than the logo), the ink's colour, and whether it is a plate."""
    w, h = logo.width + 2 * margin, logo.height + 2 * margin
    white, black = (250, 250, 248), (22, 22, 24)
    inks = [brand, brand, white, black]
    kind = str(rng.choice(["bare", "bare", "plate", "plate", "sign", "sticker", "badge"]))
    patch = Image.new("RGBA", (w, h), (0, 0, 0, 0))
    draw = ImageDraw.Draw(patch)
    if kind == "bare":
        # Nearly everywhere, not on average alone: on a motley wall only a plate can be read.
        readable = [ink for ink in inks if np.percentile(_distance(ink, around), 15) >= _MIN_CONTRAST]
        if readable:
            return patch, readable[int(rng.integers(0, len(readable)))], False
        kind = "plate"
    if kind == "sticker":
        # Cut along the outline: the drawing grown by a few pixels, in white or another pale colour.
        edge = white if _distance(brand, white) >= _MIN_CONTRAST else black
        grow = max(3, margin // 2) | 1
        small = Image.new("L", (w, h), 0)
        small.paste(logo, (margin, margin))
        outline = small.filter(ImageFilter.GaussianBlur(grow / 2)).point(lambda a: 255 if a > 24 else 0)
        patch.paste((*edge, 255), mask=outline.filter(ImageFilter.GaussianBlur(1.2)))
        return patch, _readable(inks, edge, rng), True
    plates = [brand, white, black, random_colour(rng)]
    plate = plates[int(rng.integers(0, len(plates)))]
    ink = _readable(inks, plate, rng)
    if kind == "badge":
        draw.ellipse((0, 0, w - 1, h - 1), fill=(*plate, 255))
        # The logo's corners would leave an ellipse: grow it to a rounded rectangle where they do.
        inset = margin // 3
        inner = (inset, inset, w - 1 - inset, h - 1 - inset)
        draw.rounded_rectangle(inner, min(w, h) // 3, fill=(*plate, 255))
    else:
        radius = int(min(w, h) * float(rng.choice([0.0, 0.0, 0.06, 0.15])))
        draw.rounded_rectangle((0, 0, w - 1, h - 1), radius, fill=(*plate, 255))
        if kind == "sign" or rng.random() < 0.25:
            line = max(1, margin // int(rng.integers(4, 9)))
            frame = ink if rng.random() < 0.5 else random_colour(rng)
            draw.rounded_rectangle((0, 0, w - 1, h - 1), radius, outline=(*frame, 255), width=line)
        if kind == "sign" and margin > 14:  # Small print below the logo.
            size = margin * 0.45
            draw.text((margin, h - margin + size * 0.3), str(rng.choice(WORDS)), fill=(*ink, 255), font=_font(size))
    return patch, ink, True


def _quad(
    lw: float, lh: float, margin: int, w: int, h: int, rng: np.random.Generator, cut: bool
) -> NDArray[np.float64]:
    """The carrier's corners in the picture, turned and skewed: top left, top right, bottom right, bottom left."""
    half = np.array([lw / 2 + margin, lh / 2 + margin])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    lean = rng.uniform(-0.14, 0.14, 2) * (rng.random() < 0.7)  # Seen from one side: that edge is shorter.
    corners[:, 1] *= 1 + lean[0] * corners[:, 0] / half[0]
    corners[:, 0] *= 1 + lean[1] * corners[:, 1] / half[1]
    corners[:, 0] *= float(rng.uniform(0.82, 1.0))
    corners += rng.uniform(-0.03, 0.03, (4, 2)) * half
    turn = np.deg2rad(np.clip(rng.normal(0, 8), -20, 20))
    corners = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    # The logo itself stays inside; its plate may leave the picture.
    reach = np.abs(corners).max(axis=0) - margin * 0.8
    reach = np.minimum(reach, np.array([w, h]) / 2 - 1) * (0.4 if cut else 1.0)
    centre = np.array([rng.uniform(reach[0], w - reach[0]), rng.uniform(reach[1], h - reach[1])])
    moved: NDArray[np.float64] = corners + centre
    return moved


def _homography(quad: NDArray[np.float64], source: tuple[float, float]) -> tuple[float, ...]:
    """Pillow's eight numbers that carry a point of the picture back to a point of the patch."""
    w, h = source
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)], strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(values)).tolist())


def _clip_box(quad: NDArray[np.float64], w: int, h: int) -> tuple[int, int, int, int]:
    x1, y1 = np.clip(np.floor(quad.min(axis=0)), 0, (w - 2, h - 2)).astype(int).tolist()
    x2, y2 = np.clip(np.ceil(quad.max(axis=0)), (x1 + 1, y1 + 1), (w, h)).astype(int).tolist()
    return x1, y1, x2, y2


def _distance(one: Sequence[float], others: Sequence[float] | NDArray[np.float32]) -> NDArray[np.float32]:
    """How far a colour stands apart from others (..., 3): mostly by lightness, which is what a shape is read by."""
    delta = np.asarray(others, np.float32) - np.asarray(one, np.float32)
    distance: NDArray[np.float32] = np.abs(delta @ _LUMA) + np.float32(0.25) * np.abs(delta).max(axis=-1)
    return distance


def _readable(
    inks: list[tuple[int, int, int]], plate: tuple[int, int, int], rng: np.random.Generator
) -> tuple[int, int, int]:
    good = [ink for ink in inks if _distance(ink, plate) >= _MIN_CONTRAST]
    if not good:
        good = [max(inks, key=lambda ink: float(_distance(ink, plate)))]
    return good[int(rng.integers(0, len(good)))]


# --- what comes between the logo and the file ----------------------------------------------------------------------


def _occlude(
    picture: Image.Image, masks: list[Image.Image], rng: np.random.Generator
) -> tuple[Image.Image, list[Image.Image]]:
    """Something stands in front: a pole, a blurred passer-by, a leaf. It never hides more than 35 % of a logo's ink."""
    w, h = picture.size
    cover = Image.new("L", (w, h), 0)
    draw = ImageDraw.Draw(cover)
    kind = int(rng.integers(0, 3))
    x, y = float(rng.uniform(0, w)), float(rng.uniform(0, h))
    if masks and (found := masks[-1].getbbox()) is not None:
        x, y = float(rng.uniform(found[0], found[2])), float(rng.uniform(found[1], found[3]))
    if kind == 0:
        width, lean = w * float(rng.uniform(0.015, 0.06)), w * float(rng.uniform(-0.08, 0.08))
        draw.polygon([(x, 0), (x + width, 0), (x + width + lean, h), (x + lean, h)], fill=255)
    elif kind == 1:  # A head and shoulders from below.
        r = w * float(rng.uniform(0.05, 0.12))
        draw.ellipse((x - r, y, x + r, y + 2.4 * r), fill=255)
        draw.ellipse((x - 2.4 * r, y + 2.2 * r, x + 2.4 * r, h + 4 * r), fill=255)
    else:
        for _ in range(int(rng.integers(1, 5))):
            a, b = w * float(rng.uniform(0.02, 0.09)), w * float(rng.uniform(0.02, 0.06))
            cx, cy = x + float(rng.normal(0, w * 0.06)), y + float(rng.normal(0, h * 0.06))
            draw.ellipse((cx - a, cy - b, cx + a, cy + b), fill=255)
    colour = random_colour(rng, (0.05, 0.6), (0.08, 0.7))
    cover = cover.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.6, 3.0))))
    hidden = [ImageChops.multiply(mask, ImageChops.invert(cover)) for mask in masks]
    for before, after in zip(masks, hidden, strict=True):
        if _amount(after) < 0.65 * _amount(before):
            return picture, masks
    result = picture.copy()
    tone = np.array(colour, np.float32) * (0.75 + 0.5 * fractal(w, h, (3, 3), 3, rng))[..., None]
    result.paste(Image.fromarray(np.clip(tone, 0, 255).astype(np.uint8)), mask=cover)
    return result, hidden


def _amount(mask: Image.Image) -> float:
    return float(np.asarray(mask, np.float32).sum())


def _light(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light that falls off across the scene, a hard shadow's edge now and then, a glare on what shines."""
    w, h = picture.size
    y, x = np.meshgrid(np.linspace(-1, 1, h, dtype=np.float32), np.linspace(-1, 1, w, dtype=np.float32), indexing="ij")
    angle = float(rng.uniform(0, 2 * np.pi))
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    gain = 1 + np.float32(rng.uniform(0, 0.28)) * along - np.float32(rng.uniform(0, 0.18)) * (x * x + y * y) / 2
    if rng.random() < 0.18:
        edge = np.clip((along - np.float32(rng.uniform(-0.6, 0.6))) * np.float32(rng.uniform(8, 40)), 0, 1)
        gain = gain * (1 - np.float32(rng.uniform(0.2, 0.45)) * edge)
    values = np.asarray(picture, np.float32) * gain[..., None]
    if rng.random() < 0.15:
        gx, gy, r = rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), rng.uniform(0.15, 0.45)
        glare = np.exp(-((x - np.float32(gx)) ** 2 + (y - np.float32(gy)) ** 2) / np.float32(r * r))
        values += glare[..., None] * np.float32(rng.uniform(40, 110))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _camera(picture: Image.Image, rng: np.random.Generator, smallest: int) -> Image.Image:
    """A small camera: soft focus or shake (less where the logo is small), colour cast, exposure, noise."""
    limit = min(1.8, 0.3 + smallest / 90)
    if rng.random() < 0.6:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, limit))))
    elif rng.random() < 0.3:
        step = int(min(4, 1 + smallest // 40))
        shifted = ImageChops.offset(picture, step, int(rng.integers(-step, step + 1)))
        picture = Image.blend(picture, shifted, 0.5)
    values = np.asarray(picture, np.float32)
    values = values * rng.uniform(0.86, 1.14, 3).astype(np.float32)
    values = (values - 128) * np.float32(rng.uniform(0.75, 1.15)) + 128 + np.float32(rng.uniform(-22, 22))
    grey = np.asarray(values @ _LUMA, np.float32)
    values = grey[..., None] + (values - grey[..., None]) * np.float32(rng.uniform(0.55, 1.15))
    noise = rng.standard_normal(values.shape[:2], dtype=np.float32)[..., None] * np.float32(rng.uniform(0, 10))
    return Image.fromarray(np.clip(values + noise, 0, 255).astype(np.uint8))


def _box(label: str, mask: Image.Image) -> LogoBox:
    found = mask.point(lambda a: 255 if a >= 64 else 0).getbbox() or mask.getbbox() or (0, 0, *mask.size)
    return LogoBox(label, *found)


def _font(size: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(8, size))
