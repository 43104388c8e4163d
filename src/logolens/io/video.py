"""Videos: told by their bytes, hashed, and decoded to the frames worth looking at, in a process of their own with limits.

The process is given the open file as its standard input and nothing else: no name, no folder. It knows formats that hold their
video themselves, none that names other files or addresses.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, BinaryIO, Self

from PIL import Image

from logolens.config import DecodeSettings, Limits, VideoSettings
from logolens.errors import ImageError, WorkerError, require
from logolens.io.decoder_pool import Died, read
from logolens.io.files import open_regular, unreadable_as_error
from logolens.io.worker_process import start_worker

__all__ = [
    "DONE",
    "ERROR",
    "FRAME",
    "HELD",
    "MEMORY",
    "READY",
    "REPLY",
    "VIDEO_SUFFIXES",
    "Frame",
    "VideoReader",
    "hash_video",
    "is_video",
    "need_video",
    "open_video",
    "reads_video",
]

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *(
            "mp4",
            "m4v",
            "mov",
            "mkv",
            "webm",
            "avi",
            "mpg",
            "mpeg",
            "m2ts",
            "wmv",
            "asf",
            "flv",
            "f4v",
            "ogv",
            "3gp",
            "3g2",
        ),
        *("mxf", "vob"),
    )
)
"""The file endings, lower case, that are looked at as videos in a folder. ``.ts`` and ``.mts`` are more often source code."""

REPLY = struct.Struct("<cddqqq")
"""Kind, time in seconds, since when what is seen is seen, width, height, length of what follows."""

READY, FRAME, HELD, DONE, ERROR, MEMORY = b"R", b"F", b"H", b"D", b"E", b"M"
"""The kinds of replies. After FRAME come its pixels, three bytes each."""

_START_SECONDS = 120.0
_BLOCK = 1 << 20
_CODE = "from logolens.io.video_worker import serve; serve()"


@dataclass(frozen=True)
class Frame:
    """A frame to look at.

    Attributes:
        at: its time, in seconds from the first frame.
        began: since when what it shows is seen, in seconds; until the next frame's ``began``, or the end.
        image: RGB, upright, its longer side at most 1,280 pixels.
    """

    at: float
    began: float
    image: Image.Image


def is_video(head: bytes) -> bool:
    """Whether a file that begins with these bytes (`mime.HEAD` of them) is a video of a kind that is known."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in (
            b"avif",
            b"avis",
            b"mif1",
            b"msf1",
            b"miaf",
            b"heic",
            b"heix",
            b"hevc",
            b"heim",
            b"heis",
            b"M4A ",
        )
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free") and int.from_bytes(head[:4], "big") >= 8:
        return True
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return True
    return head.startswith(
        (
            b"\x1a\x45\xdf\xa3",
            b"FLV\x01",
            b"OggS",
            b"\0\0\x01\xba",
            b"\0\0\x01\xb3",
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
            b"DKIF",
        )
    )


def reads_video() -> bool:
    """Whether the extra ``video`` is installed."""
    return importlib.util.find_spec("av") is not None


def need_video() -> None:
    """See that videos can be read.

    Raises:
        MissingExtraError: the extra ``video`` is not installed.
    """
    if not reads_video():
        require("av", "video")


def open_video(path: str | os.PathLike[str], settings: VideoSettings = VideoSettings()) -> BinaryIO:
    """Open a video file for reading.

    Raises:
        ImageError: it is missing, a folder, a pipe or a device, empty, unreadable, or larger than ``max_video_bytes``.
    """
    with unreadable_as_error(path, "a video"):
        file = open_regular(path)
    size = os.fstat(file.fileno()).st_size
    problem = None
    if not size:
        problem = "the file is empty."
    elif size > settings.max_video_bytes:
        problem = (
            f"the file has {size:,} bytes, more than the limit of {settings.max_video_bytes:,}; cut or shrink the video, or "
            "raise --max-video-bytes."
        )
    if problem is not None:
        file.close()
        raise ImageError(f"{path}: {problem}")
    return file


def hash_video(path: str | os.PathLike[str], settings: VideoSettings = VideoSettings()) -> str:
    """The SHA-256 of a video file, in hexadecimal, read a block at a time.

    Raises:
        ImageError: as of `open_video`.
    """
    digest = hashlib.sha256()
    with open_video(path, settings) as file:
        try:
            while block := file.read(_BLOCK):
                digest.update(block)
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return digest.hexdigest()


class VideoReader:
    """The frames of a video that are worth looking at, decoded in a process with limits; they are decoded as they are drawn.

    Args:
        file: the video, a file of the system's that is open for reading; it stays open.
        settings: how often it is looked at, and how much of it.
        limits: how large its frames may be.
        decode: how much memory the process may take, and how long until the next frame.

    Attributes:
        end: when the last frame that was decoded ends, in seconds; known when all frames are drawn.
        size: width and height of the upright frames in pixels; likewise.
        note: what was left out and why, as a sentence; empty where all was looked at; likewise.

    Raises:
        MissingExtraError: the extra ``video`` is not installed.
    """

    def __init__(
        self,
        file: BinaryIO,
        settings: VideoSettings = VideoSettings(),
        limits: Limits = Limits(),
        decode: DecodeSettings = DecodeSettings(),
    ) -> None:
        need_video()
        self._file, self._decode = file, decode
        self._told = json.dumps(
            {
                **asdict(settings),
                "max_pixels": limits.max_pixels,
                "max_side": limits.max_side,
                "memory": decode.decode_memory,
                "seconds": decode.decode_seconds,
            }
        )
        self.end = 0.0
        self.size = (0, 0)
        self.note = ""

    def frames(self) -> Iterator[Frame]:
        """The frames, in order.

        Raises:
            ImageError: it is no video, is broken, exceeds the limits, or takes too much memory or time.
            WorkerError: no process can be started.
        """
        self._file.seek(0)
        try:
            process = start_worker(_CODE, self._told, stdin=self._file)
        except OSError as error:
            raise WorkerError(
                f"A process for decoding videos cannot be started ({error.strerror or error}); check the machine's free memory "
                "and its limit on processes."
            ) from error
        with _Watch(process) as watch:
            try:
                assert process.stdout is not None
                yield from self._read(process.stdout, watch)
            except Died:
                raise ImageError(self._died(watch.stop())) from None

    def _read(self, pipe: IO[bytes], watch: _Watch) -> Iterator[Frame]:
        watch.until(_START_SECONDS)
        while True:
            kind, at, began, width, height, length = REPLY.unpack(read(pipe, REPLY.size))
            watch.until(self._decode.decode_seconds)
            if kind == FRAME:
                image = Image.frombytes("RGB", (width, height), read(pipe, 3 * width * height))
                watch.until(None)  # What is done with it takes as long as it takes.
                yield Frame(at, began, image)
                watch.until(self._decode.decode_seconds)
            elif kind == DONE:
                said = json.loads(read(pipe, length))
                self.end, self.size, self.note = at, (said["size"][0], said["size"][1]), said["note"]
                return
            elif kind == MEMORY:
                raise ImageError(
                    f"Decoding needed more memory than {self._decode.decode_memory:,} bytes; the video may be made to do that. "
                    "If it is not, shrink it, or raise --decode-memory where there is this flag."
                )
            elif kind == ERROR:
                raise ImageError(read(pipe, length).decode("utf-8", "replace"))

    def _died(self, late: bool) -> str:
        if late:
            return (
                f"Decoding took longer than {self._decode.decode_seconds:g} seconds without a frame; the video may be made to do "
                "that. If it is not, shrink it, or raise --decode-seconds where there is this flag."
            )
        return "Decoding this video ends the process that tries; it is damaged, or made to do that."


class _Watch:
    """Ends a process that lets itself be waited for too long, and in any case at the end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._deadline: float | None = None
        self._late = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="logolens-video", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def until(self, seconds: float | None) -> None:
        """It must say something within so many seconds; with None it may take its time."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def stop(self) -> bool:
        """End the process; whether it had been given up, or had given up itself, for the time it took."""
        self._over.set()
        self._deadline = None
        with contextlib.suppress(OSError):
            if self._process.stdout is not None:
                self._process.stdout.close()
        # One that has given up itself is let end, so that it says so.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        with contextlib.suppress(OSError):
            self._process.kill()
        code = self._process.wait()
        return self._late or code == -getattr(signal, "SIGXCPU", 0xFFFF)

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            deadline: float | None = self._deadline
            if deadline is not None and deadline < time.monotonic():
                self._late = True
                with contextlib.suppress(OSError):
                    self._process.kill()
