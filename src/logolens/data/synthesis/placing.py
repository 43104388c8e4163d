"""From a drawing to a place in a picture: its carrier, bent where it is on something round, printed, and seen at an angle."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from logolens.config import Conditions
from logolens.data.synthesis.artwork import Artwork
from logolens.data.synthesis.backgrounds import fractal
from logolens.data.synthesis.carrier import carrier_for, painted_carrier
from logolens.data.synthesis.printing import dots, pixels
from logolens.types import FloatArray32

__all__ = ["place"]

Points = npt.NDArray[np.float64]

_LEAST = 14
"""Pixels across, below which no eye knows a logo."""

_TRIES = 20


def place(
    picture: Image.Image,
    artwork: Artwork,
    rng: np.random.Generator,
    *,
    width_share: tuple[float, float],
    ink: bool,
    cut: bool,
    conditions: Conditions = Conditions(),
    taken: Sequence[tuple[int, int, int, int]] = (),
) -> tuple[Image.Image, Image.Image]:
    """Put one drawing on its carrier into a picture.

    Args:
        picture: what is there so far, RGB.
        artwork: the drawing.
        rng: where every random choice comes from.
        width_share: the logo's width as a share of the picture's, from and to.
        ink: with False only the carrier is drawn.
        cut: whether it may leave the picture for the greater part.
        conditions: what befalls it.
        taken: boxes that it should not hide.

    Returns:
        The picture with it, and the mask of its ink (L, of the picture's size).
    """
    w, h = picture.size
    painted = artwork.paint is not None
    if painted and conditions.one_colour and not artwork.opaque:  # Of a rectangle one ink would leave blots.
        painted = rng.random() >= conditions.one_colour
    drawing = artwork if painted else artwork.one_colour
    lw, lh = _size(drawing, (w, h), width_share, conditions, rng)
    logo = Image.fromarray(drawing.alpha).resize((max(6, round(lw)), max(6, round(lh))), Image.Resampling.LANCZOS)
    margin = max(3, round(float(rng.uniform(0.1, 0.4)) * min(lw, lh) + 0.04 * max(lw, lh)))
    quad = _quad(lw, lh, margin, w, h, rng, cut)
    for _ in range(_TRIES if taken else 0):
        if not _hides(quad, taken):
            break
        quad = _quad(lw, lh, margin, w, h, rng, cut)
    around = np.asarray(picture.crop(_clip_box(quad, w, h)).resize((12, 12), Image.Resampling.BOX), np.float32)
    around = around.reshape(-1, 3)
    if painted:
        carrier, solid = painted_carrier(logo, margin, drawing, around, rng, conditions.wording)
        paint = _padded(_colours(drawing, logo.size), margin)
        colour = drawing.colour
    else:
        carrier, colour, solid = carrier_for(logo, margin, drawing.colour, around, rng, conditions.wording)
        paint = None
    flat = Image.new("L", carrier.size, 0)
    flat.paste(logo, (margin, margin))
    carrier, flat, paint = _printed(carrier, flat, paint, colour, solid, ink, rng, conditions)

    x0, y0 = np.floor(quad.min(axis=0)).astype(int) - 2
    x1, y1 = np.ceil(quad.max(axis=0)).astype(int) + 2
    corner, window = (int(x0), int(y0)), (int(x1 - x0), int(y1 - y0))
    maps = _homography(quad - (x0, y0), (float(carrier.width), float(carrier.height)))
    plate = carrier.transform(window, Image.Transform.PERSPECTIVE, maps, Image.Resampling.BILINEAR)
    mask = flat.transform(window, Image.Transform.PERSPECTIVE, maps, Image.Resampling.BICUBIC)

    result = picture.copy()
    if solid and rng.random() < 0.8:  # A plate stands off the wall and throws a shadow.
        reach = max(1.0, 0.03 * max(lw, lh)) * float(rng.uniform(0.4, 1.6))
        shade = plate.getchannel("A").point(lambda a: int(a * 0.55)).filter(ImageFilter.BoxBlur(reach))
        offset = (int(x0 + reach * rng.uniform(-1, 1)), int(y0 + reach * rng.uniform(0.3, 1.3)))
        result.paste((10, 10, 15), offset, shade)
    result.paste(plate.convert("RGB"), corner, plate.getchannel("A"))
    strength = 1.0 if solid else float(rng.uniform(0.82, 1.0))  # Paint lets a little of the wall through.
    texture = fractal(window[0], window[1], (5, 5), 3, rng)
    if ink:
        tone: FloatArray32 = np.array(colour, np.float32)
        if paint is not None:
            seen = paint.transform(window, Image.Transform.PERSPECTIVE, maps, Image.Resampling.BILINEAR)
            tone = np.asarray(seen, np.float32)
        layer = Image.fromarray(np.clip(tone * (0.9 + 0.2 * texture)[..., None], 0, 255).astype(np.uint8))
        result.paste(layer, corner, mask.point(lambda a: int(a * strength)))
    whole = Image.new("L", (w, h), 0)
    whole.paste(mask, corner)
    return result, whole


def _size(
    artwork: Artwork,
    picture: tuple[int, int],
    width_share: tuple[float, float],
    conditions: Conditions,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """The logo's width and height in pixels."""
    w, h = picture
    if conditions.small is None:
        lw = float(rng.uniform(*width_share)) * w
    else:
        low, high = width_share
        lw = max(_LEAST, low * (high / low) ** float(rng.random() ** conditions.small) * w)
    lh = lw * artwork.alpha.shape[0] / artwork.alpha.shape[1]
    if lh > 0.8 * h:
        lw, lh = lw * 0.8 * h / lh, 0.8 * h
    return lw, lh


def _colours(artwork: Artwork, size: tuple[int, int]) -> Image.Image:
    """The drawing's own colours at a size, spread past its edge so that no fringe shows."""
    assert artwork.paint is not None
    rgba = np.dstack([artwork.paint, np.maximum(artwork.alpha, 1)])
    # Pillow weighs RGBA by its alpha while it scales, so what is clear lends no colour.
    scaled = Image.fromarray(rgba, "RGBA").resize(
        size, Image.Resampling.BOX if size[0] < 40 else Image.Resampling.LANCZOS
    )
    return scaled.convert("RGB")


def _padded(image: Image.Image, margin: int) -> Image.Image:
    values = np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    return Image.fromarray(values)


def _printed(
    carrier: Image.Image,
    flat: Image.Image,
    paint: Image.Image | None,
    colour: tuple[int, int, int],
    solid: bool,
    ink: bool,
    rng: np.random.Generator,
    conditions: Conditions,
) -> tuple[Image.Image, Image.Image, Image.Image | None]:
    """The carrier, the ink's mask and its colours once they are printed or shown, and bent."""
    effect = None
    if solid and conditions.halftone and rng.random() < conditions.halftone:
        effect = dots(carrier.size, rng)
    elif solid and conditions.screen and rng.random() < conditions.screen:
        effect = pixels(carrier.size, rng)
    bent = bool(conditions.curved) and rng.random() < conditions.curved
    if effect is None and not bent:
        return carrier, flat, paint
    ground = np.asarray(carrier.convert("RGB"), np.float32)
    inked = (
        np.asarray(paint, np.float32)
        if paint is not None
        else np.broadcast_to(np.array(colour, np.float32), ground.shape)
    )
    alpha = np.asarray(carrier.getchannel("A"), np.float32)
    mask = np.asarray(flat, np.float32)
    if effect is not None:
        ground, inked = effect(ground), effect(inked)
    if bent:
        along, down, shade = _bend(carrier.size, rng)
        cv2: Any = importlib.import_module("cv2")
        ground, inked, alpha, mask = (
            cv2.remap(np.ascontiguousarray(each), along, down, cv2.INTER_LINEAR)
            for each in (ground, inked, alpha, mask)
        )
        ground, inked = ground * shade[..., None], inked * shade[..., None]
    layers = [np.clip(each, 0, 255).astype(np.uint8) for each in (ground, inked, alpha, mask)]
    carrier = Image.fromarray(np.dstack([layers[0], layers[2]]), "RGBA")
    return carrier, Image.fromarray(layers[3]), Image.fromarray(layers[1])


def _bend(size: tuple[int, int], rng: np.random.Generator) -> tuple[FloatArray32, FloatArray32, FloatArray32]:
    """Where each pixel of a bent sheet comes from (two maps), and how light it is there."""
    w, h = size
    y, x = np.meshgrid(np.linspace(-1, 1, h, dtype=np.float32), np.linspace(-1, 1, w, dtype=np.float32), indexing="ij")
    if rng.random() < 0.55:  # A bottle, a can, a pillar: its sides turn away and grow dark.
        upright = rng.random() < 0.8
        across, up = (x, y) if upright else (y, x)
        reach = float(rng.uniform(0.6, 1.25))
        turn = np.arcsin(across * np.float32(np.sin(reach)))
        lamp = float(rng.uniform(-0.5, 0.5))
        shade = (0.35 + 0.65 * np.cos(turn - np.float32(lamp))) * np.float32(rng.uniform(1.0, 1.15))
        bow = float(rng.uniform(-0.25, 0.25))
        fold = np.float32(bow) * (np.cos(turn) - np.float32(np.cos(reach)))
        turned, moved = turn / np.float32(reach), up * np.float32(1 + abs(bow)) + fold
        source = (turned, moved) if upright else (moved, turned)
    else:  # Cloth, a flag, a crumpled bag.
        waves = np.zeros_like(x)
        other = np.zeros_like(x)
        for _ in range(int(rng.integers(2, 5))):
            fx, fy = rng.uniform(0.5, 3.2), rng.uniform(0.2, 1.6)
            phase = np.float32(rng.uniform(0, 2 * np.pi))
            wave = np.sin(np.float32(fx * np.pi / 2) * x + np.float32(fy * np.pi / 2) * y + phase)
            waves += wave * np.float32(1 / (0.6 + fx))
            other += np.cos(np.float32(fy * np.pi / 2) * x - np.float32(fx * np.pi / 2) * y + phase) / np.float32(
                1 + fx
            )
        size_of = np.float32(rng.uniform(0.025, 0.075))
        slope = np.asarray(np.gradient(waves, axis=1), np.float32) * np.float32(w / 2)
        shade = 1 + np.clip(slope * np.float32(rng.uniform(0.05, 0.16)), -0.4, 0.3)
        grown = np.float32(1) + 2 * size_of
        source = (x * grown + waves * size_of, y * grown + other * size_of)
    along = (source[0] + 1) / 2 * (w - 1)
    down = (source[1] + 1) / 2 * (h - 1)
    return along.astype(np.float32), down.astype(np.float32), shade.astype(np.float32)


def _quad(lw: float, lh: float, margin: int, w: int, h: int, rng: np.random.Generator, cut: bool) -> Points:
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
    moved: Points = corners + centre
    return moved


def _hides(quad: Points, taken: Sequence[tuple[int, int, int, int]]) -> bool:
    (x1, y1), (x2, y2) = quad.min(axis=0), quad.max(axis=0)
    for left, top, right, bottom in taken:
        across, down = min(x2, right) - max(x1, left), min(y2, bottom) - max(y1, top)
        if across > 0 and down > 0 and across * down > 0.12 * (right - left) * (bottom - top):
            return True
    return False


def _homography(quad: Points, source: tuple[float, float]) -> tuple[float, ...]:
    """Pillow's eight numbers that carry a point of the picture back to a point of the patch."""
    w, h = source
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)], strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(values)).tolist())


def _clip_box(quad: Points, w: int, h: int) -> tuple[int, int, int, int]:
    x1, y1 = np.clip(np.floor(quad.min(axis=0)), 0, (w - 2, h - 2)).astype(int).tolist()
    x2, y2 = np.clip(np.ceil(quad.max(axis=0)), (x1 + 1, y1 + 1), (w, h)).astype(int).tolist()
    return x1, y1, x2, y2
