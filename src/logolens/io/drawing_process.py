"""Drawings (SVG) drawn in a process of their own, whoever asks: one that ends or hangs its process costs no more than itself."""

from __future__ import annotations

import atexit
import functools
import os

from PIL import Image

from logolens.config import DRAWING, Limits
from logolens.errors import ImageError, WorkerError
from logolens.io.decoder_pool import Decoder

__all__ = ["draw_apart"]

_WORKERS = 2


def draw_apart(data: bytes, limits: Limits = Limits()) -> Image.Image:
    """Draw an SVG as RGBA in a process with limits on memory and time, which starts when it is first needed.

    Raises:
        ImageError: it cannot be drawn, takes too much memory or time, or no process can be started.
    """
    # The process's number: a copy of this process must not speak through this one's pipes.
    decoder = _decoder(os.getpid())
    try:
        return decoder.draw(data, limits)
    except WorkerError as error:
        raise ImageError(f"This is a drawing (SVG). {error}") from error


@functools.lru_cache(maxsize=1)
def _decoder(process: int) -> Decoder:
    decoder = Decoder(min(_WORKERS, os.cpu_count() or 1), DRAWING)

    def close() -> None:
        if os.getpid() == process:
            decoder.close()

    atexit.register(close)
    return decoder
