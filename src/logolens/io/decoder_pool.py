"""Decoding in worker processes: a bomb, a crash or a hang costs one image, never the run.

A worker is this Python with nothing but the decode in it. It is given bytes through a pipe and gives pixels back the same
way. Where the system has resource limits, a worker may take only so much memory and processor time; a watchman in this
process ends one that takes too long by the clock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO, Self

from PIL import Image

from logolens.config import DecodeSettings, Limits
from logolens.errors import ImageError, WorkerError
from logolens.io.image_facts import keep_outside, keep_stored_size
from logolens.io.worker_process import start_worker

__all__ = [
    "CLEAR",
    "ERROR",
    "MEMORY",
    "OPAQUE",
    "PIXELS",
    "READY",
    "REPLY",
    "REQUEST",
    "SETUP",
    "Decoder",
    "Died",
    "bands",
    "read",
]

_LOG = logging.getLogger(__name__)

SETUP = struct.Struct("<qd")
"""What a worker is told first: bytes of memory, seconds of processor time."""

REQUEST = struct.Struct("<cqqqqq")
"""Kind, shrink to (-1: as it is), most pixels, longest side, most bytes, length of the data that follow."""

REPLY = struct.Struct("<cqqqqqq")
"""Kind, width, height, both as a JPEG stores them (else 0), references left out, length of what follows."""

OPAQUE, CLEAR = b"O", b"C"
"""The kinds of requests: RGB, or a drawing as RGBA."""

READY, PIXELS, ERROR, MEMORY = b"R", b"P", b"E", b"M"
"""The kinds of replies."""

_PIPE = 1 << 20
"""Bytes that a pipe holds, where the system lets us say so: most images then pass in one go."""

_BAND = 1 << 21
"""Pixels that are handed over at a time."""

_START_SECONDS = 120.0
_CODE = "from logolens.io.decoder_worker import serve; serve()"


class Decoder:
    """Decodes images in worker processes, with limits on memory and time. It may be called from several threads.

    It is called as `images.open_rgb` is and gives the same pixels. A worker that dies is replaced; an image at which two
    workers died is given up.

    Args:
        workers: processes; as many as there are processors when None. They start when they are first needed, or ahead of
            that by `prepare`.
        settings: how much memory and time an image may take.
    """

    def __init__(self, workers: int | None = None, settings: DecodeSettings = DecodeSettings()) -> None:
        self.settings = settings
        self.workers = workers or os.cpu_count() or 1
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(self.workers):
            self._idle.put(None)
        self._busy: dict[_Worker, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._watchman: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, data: bytes, *, shrink_to: int | None = None, limits: Limits = Limits()) -> Image.Image:
        """Decode an image; see `images.open_rgb`.

        Raises:
            ImageError: the bytes are no image, are broken, exceed the limits, or took too much memory or time.
            WorkerError: no worker process can be started, or the decoder was closed.
        """
        return self._asked(OPAQUE, data, shrink_to, limits)

    def draw(self, data: bytes, limits: Limits = Limits()) -> Image.Image:
        """Draw an SVG as RGBA, its background transparent; `image_facts.outside_of` tells what was left out.

        Raises:
            ImageError: as `images.open_rgba` does, or it took too much memory or time.
            WorkerError: no worker process can be started, or the decoder was closed.
        """
        return self._asked(CLEAR, data, None, limits)

    def _asked(self, kind: bytes, data: bytes, shrink_to: int | None, limits: Limits) -> Image.Image:
        if not data:
            raise ImageError("The image is empty (0 bytes).")
        worker = self._idle.get()
        try:
            for _ in range(2):
                given, worker = worker, None  # Whatever comes of it, it is put back no more.
                worker = self._ready(given)
                try:
                    with self._watched(worker, self.settings.decode_seconds):
                        return worker.decode(kind, data, shrink_to, limits)
                except Died:
                    late = worker.end()
                    worker = None
                    if self._closed.is_set():
                        raise WorkerError("The decoder was closed while it was decoding.") from None
                    if late:
                        raise ImageError(_too_long(kind, self.settings.decode_seconds)) from None
                    _LOG.info("a decoding process ended in the middle of an image")
                    # Anything may have ended the worker, and not this image: a second one is asked before it is blamed.
            what = "Drawing this SVG" if kind == CLEAR else "Decoding this image"
            raise ImageError(f"{what} ends the process that tries; it is damaged, or made to do that.")
        finally:
            self._idle.put(worker)

    def prepare(self, count: int | None = None) -> None:
        """Begin to start so many workers, or all, without waiting for one: whoever loads a network beside it then waits for
        neither.

        A worker that cannot be started is tried again when it is needed, which then says why.
        """
        workers: list[_Worker | None] = []
        with contextlib.suppress(queue.Empty):  # Those that are missing are at work, so they have been started.
            workers += [self._idle.get_nowait() for _ in range(self.workers if count is None else count)]
        for worker in workers:
            if worker is None and not self._closed.is_set():
                with contextlib.suppress(OSError):
                    worker = _Worker(self.settings)
            self._idle.put(worker)

    def close(self) -> None:
        """End the workers; whatever is still being decoded is given up."""
        self._closed.set()
        with self._lock:
            for worker in self._busy:
                worker.kill()
        workers: list[_Worker | None] = []
        # A thread that was decoding gives its worker back as soon as the kill has reached it.
        with contextlib.suppress(queue.Empty):
            workers += [self._idle.get(timeout=5.0) for _ in range(self.workers)]
        idle = [worker for worker in workers if worker is not None]
        for worker in idle:  # They hold nothing; a Python that ends by itself takes a while to clear up.
            worker.kill()
        for worker in idle:
            worker.end()
        for _ in range(self.workers):
            self._idle.put(None)
        if self._watchman is not None:
            self._watchman.join(5.0)

    def _ready(self, worker: _Worker | None) -> _Worker:
        """This worker once it can be asked, or a new one where it ended or there is none."""
        if worker is not None and not worker.is_alive():
            worker.end()
            worker = None
        if worker is not None and worker.is_ready:
            return worker
        if self._closed.is_set():
            if worker is not None:
                worker.end()
            raise WorkerError("The decoder was closed; make another one.")
        with self._lock:
            if self._watchman is None:
                self._watchman = threading.Thread(target=self._watch, name="logolens-decoding", daemon=True)
                self._watchman.start()
        reason = "it ended at once"
        # One that was started ahead may have ended since, for whatever reason: a new one tells whether one can be had.
        for prepared in (worker, None) if worker is not None else (None,):
            try:
                started = prepared or _Worker(self.settings)
            except OSError as error:
                reason = error.strerror or str(error)
                continue
            try:
                with self._watched(started, _START_SECONDS):
                    started.wait()
                return started
            except Died:
                started.end()
        raise WorkerError(
            f"A process for decoding cannot be started with {sys.executable} ({reason}); check the machine's free memory "
            "and its limit on processes, or decode without processes (--no-isolate)."
        )

    @contextlib.contextmanager
    def _watched(self, worker: _Worker, seconds: float) -> Iterator[None]:
        with self._lock:
            self._busy[worker] = time.monotonic() + seconds
        try:
            yield
        finally:
            with self._lock:
                del self._busy[worker]

    def _watch(self) -> None:
        while not self._closed.wait(0.2):
            now = time.monotonic()
            with self._lock:
                # Under the lock, for outside it the worker may have gone on to another image.
                for worker, deadline in self._busy.items():
                    if deadline < now:
                        worker.is_late = True
                        worker.kill()


class Died(Exception):
    """The other end of the pipe is gone."""


class _Worker:
    """One process that decodes."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._process = start_worker(_CODE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._settings = settings
        self.pid = self._process.pid
        self.is_late = self.is_ready = False
        _widen(self._to)
        _widen(self._from)

    def wait(self) -> None:
        """Until it stands ready."""
        self._write(SETUP.pack(self._settings.decode_memory, self._settings.decode_seconds))
        if read(self._from, REPLY.size)[:1] != READY:
            raise Died
        self.is_ready = True

    def decode(self, kind: bytes, data: bytes, shrink_to: int | None, limits: Limits) -> Image.Image:
        """Have one image decoded; raises ImageError as the decode in the worker did."""
        shrink = -1 if shrink_to is None else shrink_to
        self._write(REQUEST.pack(kind, shrink, limits.max_pixels, limits.max_side, limits.max_bytes, len(data)))
        self._write(data)
        answer, width, height, *stored, outside, length = REPLY.unpack(read(self._from, REPLY.size))
        if answer == PIXELS:
            image = self._image("RGB" if kind == OPAQUE else "RGBA", width, height)
            if outside:
                keep_outside(image, outside)
            return keep_stored_size(image, (stored[0], stored[1])) if stored[0] else image
        if answer == MEMORY:
            raise ImageError(_too_large(kind, self._settings.decode_memory))
        raise ImageError(read(self._from, length).decode("utf-8", "replace"))

    def _image(self, mode: str, width: int, height: int) -> Image.Image:
        """The pixels that come, a band at a time: those of a large image are never held twice."""
        row = len(mode) * width
        image = None
        for top, bottom in bands(width, height):
            part = Image.frombytes(mode, (width, bottom - top), read(self._from, row * (bottom - top)))
            if bottom - top == height:
                return part
            image = image or Image.new(mode, (width, height), None)
            image.paste(part, (0, top))
        assert image is not None
        return image

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._to.write(rest) :]
        except OSError:
            raise Died from None

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()

    def end(self) -> bool:
        """End the process; whether it had been given up, or had given up itself, for the time it took."""
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            # It ends by itself when its pipes close; if it is in the middle of something, not at once.
            code = self._process.wait(1.0 if not self.is_late else None)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait()
        return self.is_late or code == -getattr(signal, "SIGXCPU", 0xFFFF)


def _too_long(kind: bytes, seconds: float) -> str:
    if kind == CLEAR:
        return f"This drawing (SVG) takes longer than {seconds:g} seconds to draw; simplify it, or give a PNG file."
    return (
        f"Decoding took longer than {seconds:g} seconds; the image may be made to do that. If it is not, shrink it, "
        "or raise --decode-seconds where there is this flag."
    )


def _too_large(kind: bytes, memory: int) -> str:
    if kind == CLEAR:
        return f"This drawing (SVG) takes more memory than {memory:,} bytes to draw; simplify it, or give a PNG file."
    return (
        f"Decoding needed more memory than {memory:,} bytes; the image may be made to do that. If it is not, shrink it, or "
        "raise --decode-memory where there is this flag."
    )


def _widen(pipe: IO[bytes]) -> None:
    if sys.platform == "linux":
        import fcntl

        # What all pipes of a user may hold together is bounded, too; the smaller pipe only costs time.
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def bands(width: int, height: int) -> Iterator[tuple[int, int]]:
    """The rows, from and up to which, that are handed over together."""
    rows = max(1, _BAND // max(1, width))
    for top in range(0, height, rows):
        yield top, min(height, top + rows)


def read(pipe: IO[bytes], count: int) -> bytearray:
    """Exactly so many bytes; raises Died when they do not come."""
    data = bytearray(count)
    rest = memoryview(data)
    try:
        while rest:
            got = pipe.readinto(rest)  # type: ignore[attr-defined]
            if not got:
                raise Died
            rest = rest[got:]
    except (OSError, ValueError):
        raise Died from None
    return data
