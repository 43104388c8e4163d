"""How a view is varied each time that fine-tuning learns from it: as a camera, a printer or a web site would vary it."""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

from logolens.config import AugmentSettings

__all__ = ["augment"]

_LUMA = np.array([0.299, 0.587, 0.114])


def augment(
    square: npt.NDArray[np.uint8], settings: AugmentSettings, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Vary one view; where it was cut (`AugmentSettings.crop`) has been decided before.

    Args:
        square: uint8 of shape (size, size, 3).
        settings: the strengths; with all of them 0 the view comes back as it is.
        rng: decides everything, so that the same state gives the same pixels.

    Returns:
        uint8 of the same shape.
    """
    image = Image.fromarray(square)
    if rng.random() < settings.flip:
        image = ImageOps.mirror(image)
    image = _warped(image, settings, rng)
    if settings.colour:
        image = image.convert("RGB", _colour_matrix(image, settings.colour, rng))
    if rng.random() < settings.grey:
        image = image.convert("L").convert("RGB")
    if rng.random() < settings.invert:
        image = ImageOps.invert(image)
    if rng.random() < settings.blur:
        # Measured in the view's side, so that a small network input is blurred as much as a large one.
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.002, 0.01) * image.width))
    if rng.random() < settings.jpeg:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(rng.integers(25, 85)))
        image = Image.open(stream).convert("RGB")
    return np.asarray(image)


def _warped(image: Image.Image, settings: AugmentSettings, rng: np.random.Generator) -> Image.Image:
    """Turned about its middle and seen from the side; what comes into view at the edges has the view's mean colour."""
    side = image.width
    angle = math.radians(rng.uniform(-1.0, 1.0) * settings.rotation)
    shift = rng.uniform(-1.0, 1.0, (4, 2)) * settings.perspective * float(rng.random() < 0.5)
    if not angle and not shift.any():
        return image
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    seen = ((corners - 0.5) @ turn.T + 0.5 + shift / 2) * side
    mean = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    return image.transform(
        (side, side),
        Image.Transform.PERSPECTIVE,
        _homography(corners * side, seen),
        Image.Resampling.BILINEAR,
        fillcolor=mean,
    )


def _homography(to: npt.NDArray[np.float64], source: npt.NDArray[np.float64]) -> list[float]:
    """The eight numbers that Pillow's PERSPECTIVE takes: where each pixel of the result is taken from."""
    rows, values = [], []
    for (x, y), (u, v) in zip(to, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(values))]


def _colour_matrix(image: Image.Image, strength: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Brightness, contrast, saturation and hue in one matrix of three rows and an offset each."""
    brightness, contrast, saturation = np.exp(rng.uniform(-1.0, 1.0, 3) * strength)
    hue = rng.uniform(-0.5, 0.5) * strength
    grey = np.tile(_LUMA, (3, 1))
    # A turn about the axis of greys (Rodrigues' formula), which leaves them as they are.
    axis = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3.0)
    turn = np.eye(3) + math.sin(hue) * axis + (1 - math.cos(hue)) * (axis @ axis)
    matrix = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * grey) @ turn
    middle = float(_LUMA @ np.asarray(image.resize((1, 1), Image.Resampling.BOX), dtype=np.float64)[0, 0])
    offset = brightness * (1 - contrast) * middle
    return tuple(float(value) for row in matrix for value in (*row, offset))
