"""Images decoded and drawings (SVG) drawn in processes of their own, whoever asks: one that ends or hangs its process, or fills
its memory, costs no more than itself."""

from __future__ import annotations

import atexit
import functools
import os
import threading

from PIL import Image

from logolens.config import DRAWING, DecodeSettings, Limits
from logolens.errors import ImageError, WorkerError
from logolens.io.decoder_pool import Decoder
from logolens.io.threads import processors

__all__ = ["decode_apart", "draw_apart", "prepare_apart"]

_DRAWERS = 2


def decode_apart(data: bytes, *, shrink_to: int | None = None, limits: Limits = Limits()) -> Image.Image:
    """Decode an image as `images.open_rgb` does, in a process with limits on memory and time.

    Raises:
        ImageError: as `images.open_rgb` does, or it takes too much memory or time.
        WorkerError: no process can be started.
    """
    return _decoder(DecodeSettings(), processors())(data, shrink_to=shrink_to, limits=limits)


def prepare_apart() -> None:
    """Begin to start the process that `decode_apart` asks first, without waiting for it."""
    _decoder(DecodeSettings(), processors()).prepare(1)


def draw_apart(data: bytes, limits: Limits = Limits()) -> Image.Image:
    """Draw an SVG as RGBA in a process with limits on memory and time, which starts when it is first needed.

    Raises:
        ImageError: it cannot be drawn, takes too much memory or time, or no process can be started.
    """
    decoder = _decoder(DRAWING, min(_DRAWERS, os.cpu_count() or 1))
    try:
        return decoder.draw(data, limits)
    except WorkerError as error:
        raise ImageError(f"This is a drawing (SVG). {error}") from error


_MAKING = threading.Lock()


def _decoder(settings: DecodeSettings, workers: int) -> Decoder:
    with _MAKING:
        # The process's number: a copy of this process must not speak through this one's pipes.
        return _made(os.getpid(), settings, workers)


@functools.lru_cache(maxsize=2)
def _made(process: int, settings: DecodeSettings, workers: int) -> Decoder:
    decoder = Decoder(workers, settings)

    def close() -> None:
        if os.getpid() == process:
            decoder.close()

    atexit.register(close)
    return decoder
