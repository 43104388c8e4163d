"""From the scene to the file: focus, shake, exposure, noise, rescaling and JPEG."""

from __future__ import annotations

import importlib
import io
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from logolens.config import Conditions
from logolens.data.synthesis.artwork import LUMA

__all__ = ["encode", "photographed"]

_LEGIBLE = 20
"""Pixels that the shorter side of a logo keeps when its image is made smaller."""


def photographed(
    picture: Image.Image, rng: np.random.Generator, smallest: int, conditions: Conditions = Conditions()
) -> Image.Image:
    """A small camera: soft focus or shake (less where the logo is small), colour cast, exposure, noise.

    Args:
        picture: the scene.
        rng: where every random choice comes from.
        smallest: the shorter side of the smallest logo, in pixels.
        conditions: what befalls the image.
    """
    limit = min(1.8, 0.3 + smallest / 90)
    if conditions.shaken and rng.random() < conditions.shaken:
        picture = _shaken(picture, rng, smallest)
    elif rng.random() < 0.6:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, limit))))
    elif rng.random() < 0.3:
        step = int(min(4, 1 + smallest // 40))
        shifted = ImageChops.offset(picture, step, int(rng.integers(-step, step + 1)))
        picture = Image.blend(picture, shifted, 0.5)
    values = np.asarray(picture, np.float32)
    values = values * rng.uniform(0.86, 1.14, 3).astype(np.float32)
    values = (values - 128) * np.float32(rng.uniform(0.75, 1.15)) + 128 + np.float32(rng.uniform(-22, 22))
    grey = np.asarray(values @ LUMA, np.float32)
    values = grey[..., None] + (values - grey[..., None]) * np.float32(rng.uniform(0.55, 1.15))
    noise = rng.standard_normal(values.shape[:2], dtype=np.float32)[..., None] * np.float32(rng.uniform(0, 10))
    taken = Image.fromarray(np.clip(values + noise, 0, 255).astype(np.uint8))
    if conditions.rescaled and rng.random() < conditions.rescaled:
        taken = _handed_on(taken, rng, smallest)
    return taken


def encode(image: Image.Image, rng: np.random.Generator) -> bytes:
    """The picture as JPEG, of a quality from 40 to 95."""
    return _jpeg(image, int(rng.integers(40, 96)))


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _shaken(picture: Image.Image, rng: np.random.Generator, smallest: int) -> Image.Image:
    """Blur along a line, at most an eighth of the smallest logo long."""
    cv2: Any = importlib.import_module("cv2")
    length = int(np.clip(smallest / 8, 2, 9) * rng.uniform(0.5, 1.0)) | 1
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1.0
    turned = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), float(rng.uniform(0, 180)), 1.0)
    kernel = cv2.warpAffine(kernel, turned, (length, length))
    return Image.fromarray(cv2.filter2D(np.asarray(picture), -1, kernel / max(float(kernel.sum()), 1e-6)))


def _handed_on(picture: Image.Image, rng: np.random.Generator, smallest: int) -> Image.Image:
    """Sent on and saved anew: smaller and large again, sharpened, or through another JPEG."""
    least = min(1.0, _LEGIBLE / max(1, smallest))
    factor = float(rng.uniform(max(0.35, least), 1.0)) if least < 0.95 else 1.0
    filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.NEAREST)
    if factor < 0.95:
        small = (max(8, round(picture.width * factor)), max(8, round(picture.height * factor)))
        how = filters[int(rng.choice([0, 0, 1, 1, 2]))]
        picture = picture.resize(small, Image.Resampling.BOX).resize(picture.size, how)
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.UnsharpMask(2, int(rng.integers(40, 140)), 2))
    with Image.open(io.BytesIO(_jpeg(picture, int(rng.integers(30, 85))))) as again:
        return again.convert("RGB")
