"""What runs in a process of `logolens.io.video`: decode a video from standard input, and hand on the frames to look at."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from logolens.errors import ImageError
from logolens.io.decoder_pool import Died
from logolens.io.video import DONE, ERROR, FRAME, HELD, MEMORY, READY, REPLY
from logolens.io.video_frames import PROBE_SIDE, Chooser
from logolens.io.worker_process import bound_memory, bound_time, pipes_taken, put

__all__ = ["serve"]

_FORMATS = (
    *(
        "mov",
        "mp4",
        "m4a",
        "3gp",
        "3g2",
        "mj2",
        "matroska",
        "webm",
        "avi",
        "mpeg",
        "mpegts",
        "mpegvideo",
        "flv",
        "asf",
        "ogg",
    ),
    *("mxf", "ivf", "h264", "hevc", "m4v", "nut"),
)
"""FFmpeg's readers of files that hold a video themselves. Those that name other files or addresses are none of them."""

_CODECS = (
    *(
        "h264",
        "hevc",
        "mpeg4",
        "mpeg1video",
        "mpeg2video",
        "msmpeg4",
        "msmpeg4v2",
        "msmpeg4v1",
        "vp6",
        "vp6f",
        "vp8",
        "vp9",
    ),
    *(
        "libvpx",
        "libvpx-vp9",
        "av1",
        "libdav1d",
        "theora",
        "mjpeg",
        "wmv1",
        "wmv2",
        "wmv3",
        "vc1",
        "prores",
        "dnxhd",
        "flv",
    ),
    *("h263", "h263p", "dvvideo", "ffv1", "huffyuv", "rawvideo", "png", "cinepak", "svq1", "svq3", "libx264"),
)
"""Its decoders that are used."""

_LONG_SIDE = 1280
"""Pixels to which the longer side of a frame is brought at the most."""

_BROKEN = 200
"""Packets in a row that cannot be decoded, after which the rest is given up."""

_PLENTY = 20
"""Frames for each that may be looked at, from which those are passed over that no other is decoded from."""

_BEAT = 0.5
"""Seconds of processor time after which the other side is told that all is well."""


def serve() -> None:
    """The worker's life: one video, given as standard input."""
    asked = json.loads(sys.argv[1])
    with contextlib.suppress(Died, BrokenPipeError), pipes_taken() as (source, target):
        import av

        bound_memory(asked["memory"])
        reply(target, READY)
        try:
            _Reading(av, source, target, asked).run()
        except MemoryError:
            reply(target, MEMORY)
        except ImageError as error:
            short = isinstance(error.__cause__, MemoryError)
            reply(target, MEMORY if short else ERROR, b"" if short else str(error).encode())


def reply(
    target: IO[bytes],
    kind: bytes,
    payload: bytes = b"",
    at: float = 0.0,
    began: float = 0.0,
    size: tuple[int, int] = (0, 0),
) -> None:
    """Say one thing to the other side."""
    put(target, REPLY.pack(kind, at, began, *size, len(payload)))
    put(target, payload)


@dataclass
class _Clock:
    """Times of frames as seconds from the first one, never going back, whatever the file says of them."""

    period: float
    first: float | None = None
    last: float = -1.0

    def __call__(self, frame: Any) -> float:
        said = None if frame.pts is None or frame.time is None else float(frame.time)
        if said is not None and not math.isfinite(said):
            said = None
        if self.first is None:
            self.first, self.last = said or 0.0, 0.0
            return 0.0
        passed = self.last + self.period if said is None else said - self.first
        self.last = max(passed, self.last)
        return self.last


class _Reading:
    def __init__(self, av: Any, source: IO[bytes], target: IO[bytes], asked: dict[str, Any]) -> None:
        self._av, self._source, self._target, self._asked = av, source, target, asked
        self._chooser = Chooser(asked["fps"])
        self._looked = self._shown = 0
        self._beat_at = time.process_time()
        self._size = (0, 0)
        self._note = ""

    def run(self) -> None:
        av = self._av
        bound_time(self._asked["seconds"])
        try:
            container = av.open(
                self._source,
                options={
                    "format_whitelist": _format_names(av),
                    "codec_whitelist": ",".join(_CODECS),
                    "protocol_whitelist": "none",
                },
                metadata_errors="replace",
                io_open=_refuse,
            )
        except Exception as error:  # FFmpeg's errors come as many types, and as none of its own.
            _check_room(error)
            raise ImageError(f"This is not a video that can be read ({_reason(error)}).") from error
        with container:
            stream = self._stream(container)
            end = self._frames(container, stream)
        if not self._shown:
            raise ImageError(self._note or "The video has no frames (0); it is damaged, or was never finished.")
        said = {"note": self._note, "size": self._size}
        reply(self._target, DONE, json.dumps(said).encode(), end)

    def _stream(self, container: Any) -> Any:
        pictures = [
            stream for stream in container.streams.video if not stream.disposition & self._av.stream.Disposition.attached_pic
        ]  # fmt: skip
        if not pictures:
            raise ImageError(
                "This file holds no pictures that move, only sound or nothing; name one with a video in it."
            )
        stream = max(pictures, key=lambda each: (each.width or 0) * (each.height or 0))
        if stream.codec_context is None:
            raise ImageError("The video is in a format that cannot be decoded here; convert it to MP4 (H.264) or WebM.")
        self._check_size(stream.width or 0, stream.height or 0)
        codec = stream.codec_context
        codec.thread_count = 1
        codec.options = {"max_pixels": str(self._asked["max_pixels"])}
        if float(stream.average_rate or 0) >= _PLENTY * self._asked["fps"]:
            codec.skip_frame = "NONREF"  # Half of the frames or fewer are decoded, and enough are left to compare.
        return stream

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._asked["max_pixels"] or max(width, height) > self._asked["max_side"]:
            raise ImageError(
                f"The video's frames have {width} x {height} pixels, more than the limit of {self._asked['max_pixels']} "
                f"pixels or {self._asked['max_side']} a side; shrink it or raise the limit."
            )

    def _frames(self, container: Any, stream: Any) -> float:
        """Hand on what is to be looked at; the time at which it ends."""
        rate = float(stream.average_rate or stream.base_rate or 0) or 25.0
        clock = _Clock(min(1.0, 1.0 / rate))
        at = 0.0
        for frame in self._decoded(container, stream):
            at = clock(frame)
            if at > self._asked["max_duration"]:
                self._note = f"Only the first {self._asked['max_duration']:g} seconds were looked at (--max-duration)."
                return float(self._asked["max_duration"])
            self._shown += 1
            if self._chooser.wants(at) and not self._look(stream, frame, at):
                self._note = f"Only the first {at:.0f} seconds were looked at, {self._looked:,} frames (--max-frames)."
                return at
            if time.process_time() > self._asked["max_decoding"]:
                self._note = f"Only the first {at:.0f} seconds were looked at: decoding takes long (--max-decoding)."
                break
            self._beat(at)
        end = at + clock.period
        declared = (container.duration or 0) / self._av.time_base
        if not self._note and end < declared - max(1.0, 0.05 * declared):
            said = f"The file says that it lasts {declared:.0f} seconds and ends after {end:.0f}"
            self._note = f"{said}; it was cut off, or is damaged."
        return end

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        """The frames in order; what is broken is passed over, and said."""
        broken = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except Exception as error:
                self._note = f"The file is damaged or ends early ({_reason(error)}); what comes before was looked at."
                break
            try:
                frames = stream.decode(packet)
            except Exception as error:
                _check_room(error)
                if isinstance(error, self._av.error.EOFError):
                    break
                broken += 1
                self._note = "Parts of the video are damaged and were passed over."
                if broken >= _BROKEN:
                    break
                self._beat(0.0)
                continue
            if frames:
                broken = 0
            yield from frames

    def _look(self, stream: Any, frame: Any, at: float) -> bool:
        """Hand a frame on where it is to be looked at; False where it is and there were enough."""
        try:
            self._check_size(frame.width, frame.height)
            probe = frame.to_ndarray(format="gray", width=PROBE_SIDE, height=PROBE_SIDE, interpolation="AREA")
            began = self._chooser.show(at, np.ascontiguousarray(probe))
            if began is None:
                return True
            if self._looked >= self._asked["max_frames"]:
                return False
            pixels = upright(frame, stream.codec_context.sample_aspect_ratio)
        except ImageError:
            raise
        except Exception as error:
            _check_room(error)
            raise ImageError(f"A frame of the video cannot be used ({_reason(error)}).") from error
        self._looked += 1
        height, width = pixels.shape[:2]
        turned = int(frame.rotation) % 180 != 0
        self._size = (frame.height, frame.width) if turned else (frame.width, frame.height)
        reply(self._target, FRAME, b"", at, began, (width, height))
        put(self._target, pixels.tobytes())
        self._beat_at = time.process_time()
        bound_time(self._asked["seconds"])
        return True

    def _beat(self, at: float) -> None:
        if time.process_time() - self._beat_at > _BEAT:
            reply(self._target, HELD, b"", at)
            self._beat_at = time.process_time()
            bound_time(self._asked["seconds"])


def upright(frame: Any, aspect: Any) -> npt.NDArray[np.uint8]:
    """A frame as it is shown: turned as its metadata says, its pixels made square, its longer side bounded.

    Returns:
        uint8 of shape (height, width, 3), RGB.
    """
    stretch = float(aspect) if aspect else 1.0
    width, height = frame.width * (stretch if 0.2 < stretch < 5 else 1.0), float(frame.height)
    scale = min(1.0, _LONG_SIDE / max(width, height))
    size = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
    pixels = frame.to_ndarray(format="rgb24", interpolation="AREA" if scale < 1 else "BICUBIC", **size)
    return np.ascontiguousarray(np.rot90(pixels, round(float(frame.rotation) / 90) % 4))


def _format_names(av: Any) -> str:
    """The names that FFmpeg knows the readers by: of some, all their names in one."""
    whole = {name for name in av.formats_available if set(name.split(",")) & set(_FORMATS)}
    return ",".join(sorted({*_FORMATS, *whole}))


def _check_room(error: Exception) -> None:
    """FFmpeg says that there is no memory in words of its own, and where it is for a thread, that it could not be started."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) in (errno.ENOMEM, errno.EAGAIN):
        raise MemoryError from error


def _refuse(url: str, flags: int, options: Any) -> Any:
    """What a video names is no part of it."""
    raise OSError("a video may not name other files")


def _reason(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error or type(error).__name__).splitlines()[0]
    return text.split("'<")[0].rstrip(" :;,.")[:160] or type(error).__name__
