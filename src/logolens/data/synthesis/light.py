"""What comes between a logo and the camera: things that stand in front, shade, glare, the lamp's colour."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from logolens.config import Conditions
from logolens.data.synthesis.backgrounds import fractal, random_colour

__all__ = ["lit", "occluded"]


def occluded(
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


def lit(picture: Image.Image, rng: np.random.Generator, conditions: Conditions = Conditions()) -> Image.Image:
    """Light that falls off across the scene, a hard shadow's edge now and then, a glare on what shines."""
    w, h = picture.size
    y, x = np.meshgrid(np.linspace(-1, 1, h, dtype=np.float32), np.linspace(-1, 1, w, dtype=np.float32), indexing="ij")
    angle = float(rng.uniform(0, 2 * np.pi))
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    gain = 1 + np.float32(rng.uniform(0, 0.28)) * along - np.float32(rng.uniform(0, 0.18)) * (x * x + y * y) / 2
    if rng.random() < 0.18:
        edge = np.clip((along - np.float32(rng.uniform(-0.6, 0.6))) * np.float32(rng.uniform(8, 40)), 0, 1)
        gain = gain * (1 - np.float32(rng.uniform(0.2, 0.45)) * edge)
    if conditions.dappled and rng.random() < conditions.dappled:
        # Leaves or a fence between the sun and the wall.
        cells = float(rng.uniform(3, 9))
        spots = fractal(w, h, (cells, cells), 3, rng)
        shade = np.clip((spots - np.float32(rng.uniform(0.4, 0.6))) * np.float32(rng.uniform(6, 20)) + 0.5, 0, 1)
        gain = gain * (1 - np.float32(rng.uniform(0.2, 0.5)) * shade)
    values = np.asarray(picture, np.float32) * gain[..., None]
    if rng.random() < 0.15:
        gx, gy, r = rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8), rng.uniform(0.15, 0.45)
        glare = np.exp(-((x - np.float32(gx)) ** 2 + (y - np.float32(gy)) ** 2) / np.float32(r * r))
        values += glare[..., None] * np.float32(rng.uniform(40, 110))
    if conditions.lamp and rng.random() < conditions.lamp:
        # Sodium light, dusk, a neon sign: one end of the spectrum prevails.
        tint = rng.uniform(0.6, 1.0, 3).astype(np.float32)
        values = values * (tint / tint.max()) * np.float32(rng.uniform(0.75, 1.15))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
