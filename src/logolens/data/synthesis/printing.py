"""What print and displays leave on a surface: dots of ink, a grid of pixels, and the stripes that two grids make."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from logolens.types import FloatArray32

__all__ = ["dots", "moire", "pixels"]


def dots(size: tuple[int, int], rng: np.random.Generator) -> Callable[[FloatArray32], FloatArray32]:
    """Ink in dots, as newspapers print: middle tones are broken into them, full and empty ones hardly.

    Returns:
        What changes values from 0 to 255 of shape (height, width, 3) so.
    """
    pitch = float(rng.uniform(2.6, 5.5))
    angle = float(rng.uniform(0, np.pi / 2))
    depth = float(rng.uniform(0.5, 1.0))
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    u = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))) * np.float32(2 * np.pi / pitch)
    v = (y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))) * np.float32(2 * np.pi / pitch)
    grid = ((np.cos(u) + np.cos(v)) / 4)[..., None]
    bias = np.float32(rng.uniform(0.03, 0.12))  # Paper shines through full ink, and a few dots stain the paper.

    def change(values: FloatArray32) -> FloatArray32:
        tone = values / np.float32(255)
        middle = bias + 4 * tone * (1 - tone) * np.float32(0.5)
        return np.asarray(np.clip(tone + grid * middle * np.float32(depth), 0, 1) * np.float32(255), np.float32)

    return change


def pixels(size: tuple[int, int], rng: np.random.Generator) -> Callable[[FloatArray32], FloatArray32]:
    """The grid of a display seen from near: red, green and blue columns, dark lines between rows.

    Returns:
        What changes values from 0 to 255 of shape (height, width, 3) so.
    """
    pitch = float(rng.uniform(2.5, 6.0))
    depth = np.float32(rng.uniform(0.15, 0.5))
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    columns = x[..., None] * np.float32(2 * np.pi / pitch) + np.array([0, 2.1, 4.2], np.float32)
    rows = np.cos(y * np.float32(2 * np.pi / pitch))[..., None]
    gain = 1 - depth * (np.float32(0.5) - np.float32(0.35) * np.cos(columns) - np.float32(0.15) * rows)
    light = np.float32(rng.uniform(1.05, 1.3))

    def change(values: FloatArray32) -> FloatArray32:
        return np.asarray((values * np.float32(0.93) + np.float32(10)) * gain * light, np.float32)

    return change


def moire(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A display photographed: its grid and the camera's make coloured stripes across the whole picture."""
    w, h = picture.size
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    # The eye sees the difference of two fine grids: stripes, a little bent by the lens.
    angle, waves = float(rng.uniform(0, np.pi)), float(rng.uniform(8, 60))
    along = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))) / np.float32(max(w, h))
    bent = along + np.float32(rng.uniform(-0.25, 0.25)) * ((x / w - 0.5) ** 2 + (y / h - 0.5) ** 2)
    phases = np.array([0.0, *rng.uniform(0.2, 2.0, 2)], np.float32)
    stripes = np.cos(bent[..., None] * np.float32(2 * np.pi * waves) + phases)
    fine = (
        np.cos(x * np.float32(rng.uniform(1.6, 2.9)))[..., None]
        * np.cos(y * np.float32(rng.uniform(1.6, 2.9)))[..., None]
    )
    values = np.asarray(picture, np.float32)
    values = values * (1 + np.float32(rng.uniform(0.02, 0.09)) * stripes + np.float32(rng.uniform(0.0, 0.07)) * fine)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
