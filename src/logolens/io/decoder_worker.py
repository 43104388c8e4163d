"""What runs in a process of `logolens.io.decoder_pool`: read a request, decode, answer, until the pipe closes."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from types import ModuleType
from typing import IO

from logolens.config import Limits
from logolens.errors import ImageError
from logolens.io.decoder_pool import CLEAR, ERROR, MEMORY, PIXELS, READY, REPLY, REQUEST, SETUP, Died, bands, read
from logolens.io.image_facts import outside_of, stored_size
from logolens.io.images import draw_here, open_rgb, open_rgba

__all__ = ["serve"]


def serve() -> None:
    """The worker's life: read a request, decode, answer, until the pipe closes."""
    source = os.fdopen(os.dup(0), "rb", buffering=0)
    target = os.fdopen(os.dup(1), "wb", buffering=0)
    # Whatever a decoder prints must not stand among the answers.
    with open(os.devnull, "r+b") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    # What an image names must not be found beside the run.
    with contextlib.suppress(OSError):
        os.chdir(os.path.abspath(os.sep))
    resource = _resource()
    with contextlib.suppress(Died, BrokenPipeError):
        memory, seconds = SETUP.unpack(read(source, SETUP.size))
        if resource is not None:
            _bound(resource, memory)
        _answer(target, READY)
        while True:
            kind, shrink, max_pixels, max_side, max_bytes, length = REQUEST.unpack(read(source, REQUEST.size))
            data = read(source, length)
            if resource is not None:
                _bound_time(resource, seconds)
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
                    _put(target, image.crop((0, top, image.width, bottom)).tobytes())
            image = data = None  # type: ignore[assignment]  # An idle worker holds no image.


def _answer(
    target: IO[bytes],
    kind: bytes,
    payload: bytes = b"",
    size: tuple[int, int] = (0, 0),
    stored: tuple[int, int] = (0, 0),
    outside: int = 0,
) -> None:
    _put(target, REPLY.pack(kind, *size, *stored, outside, len(payload)))
    _put(target, payload)


def _put(target: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[target.write(rest) :]


def _resource() -> ModuleType | None:
    try:
        import resource
    except ImportError:  # Windows has none.
        return None
    return resource


def _bound(resource: ModuleType, memory: int) -> None:
    """Let this process take so much memory beyond what it has now, and leave no core dump."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        used = int(Path("/proc/self/statm").read_bytes().split()[5]) * resource.getpagesize()
    # Data alone: the address space also counts libraries, and what threads reserve and never touch.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (used + memory, used + memory))


def _bound_time(resource: ModuleType, seconds: float) -> None:
    """Let this image take so much processor time. It ends a hang even when nobody is left to watch the clock."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 1, hard))
