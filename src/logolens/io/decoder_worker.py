"""What runs in a process of `logolens.io.decoder_pool`: read a request, decode, answer, until the pipe closes."""

from __future__ import annotations

import contextlib
from typing import IO

from logolens.config import Limits
from logolens.errors import ImageError
from logolens.io.decoder_pool import CLEAR, ERROR, MEMORY, PIXELS, READY, REPLY, REQUEST, SETUP, Died, bands, read
from logolens.io.image_facts import outside_of, stored_size
from logolens.io.images import draw_here, open_rgb, open_rgba
from logolens.io.worker_process import bound_memory, bound_time, pipes_taken, put

__all__ = ["serve"]


def serve() -> None:
    """The worker's life: read a request, decode, answer, until the pipe closes."""
    with contextlib.suppress(Died, BrokenPipeError), pipes_taken() as (source, target):
        memory, seconds = SETUP.unpack(read(source, SETUP.size))
        bound_memory(memory)
        _answer(target, READY)
        while True:
            kind, shrink, max_pixels, max_side, max_bytes, length = REQUEST.unpack(read(source, REQUEST.size))
            data = read(source, length)
            bound_time(seconds)
            limits = Limits(max_pixels=max_pixels, max_side=max_side, max_bytes=max_bytes)
            try:
                if kind == CLEAR:
                    image = open_rgba(bytes(data), limits=limits, draw=draw_here)
                else:
                    shrink_to = None if shrink < 0 else shrink
                    image = open_rgb(bytes(data), shrink_to=shrink_to, limits=limits, draw=draw_here)
            except MemoryError:
                _answer(target, MEMORY)
            except ImageError as error:
                # The decode makes every complaint an ImageError; what it was made from says whether room was short.
                short = isinstance(error.__cause__, MemoryError)
                _answer(target, MEMORY if short else ERROR, b"" if short else str(error).encode())
            else:
                _answer(target, PIXELS, b"", image.size, stored_size(image) or (0, 0), outside_of(image))
                for top, bottom in bands(*image.size):
                    put(target, image.crop((0, top, image.width, bottom)).tobytes())
            image = data = None  # type: ignore[assignment]  # An idle worker holds no image.


def _answer(
    target: IO[bytes],
    kind: bytes,
    payload: bytes = b"",
    size: tuple[int, int] = (0, 0),
    stored: tuple[int, int] = (0, 0),
    outside: int = 0,
) -> None:
    put(target, REPLY.pack(kind, *size, *stored, outside, len(payload)))
    put(target, payload)
