"""Small pictures of photo files, for pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from logolens.errors import ImageError
from logolens.io.images import open_apart, read_bytes

__all__ = ["thumbnail"]

_SIDE, _QUALITY = 240, 80
_INK = (220, 38, 38)


def thumbnail(file: Path | None, boxes: Sequence[tuple[float, float, float, float]] = ()) -> bytes | None:
    """A small JPEG of a photo.

    Args:
        file: the photo.
        boxes: (x1, y1, x2, y2) in pixels of the upright photo, drawn on it.

    Returns:
        None where there is no file, or it cannot be read any more.
    """
    if file is None:
        return None
    try:
        # With boxes at full size, for they are in its pixels.
        image = open_apart(read_bytes(file), shrink_to=None if boxes else _SIDE)
    except ImageError:
        return None
    scale = min(1.0, _SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    pen = ImageDraw.Draw(small)
    for x1, y1, x2, y2 in boxes:
        edges = (min(x1, x2) * scale, min(y1, y2) * scale, max(x1, x2) * scale, max(y1, y2) * scale)
        pen.rectangle(edges, outline=_INK, width=2)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
