"""Small real videos for the tests, written with PyAV from drawn photos."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import draw
from PIL import Image

Scene = tuple[str | Image.Image, float]
"""What is shown, a label to draw or an image, and for how many seconds."""

SIZE = (160, 120)
VIDEO: tuple[Scene, ...] = (("acme", 2.0), ("none", 2.0), ("bolt", 2.0), ("acme", 2.0))
"""Eight seconds: a logo, none, another, the first again."""


def write_video(
    path: Path,
    scenes: Sequence[Scene] = VIDEO,
    *,
    size: tuple[int, int] = SIZE,
    fps: int = 10,
    codec: str = "libx264",
    rotation: float = 0.0,
    times: Sequence[float] | None = None,
) -> Path:
    """Write a video; of ``times``, a frame at each of these seconds in place of a steady rate, each scene in turn."""
    av = pytest.importorskip("av", reason="needs the extra video")
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        unit = Fraction(1, fps) if times is None else Fraction(1, 1000)
        stream.codec_context.time_base = unit
        if rotation:
            stream.set_display_rotation(rotation)
        out.start_encoding()
        for picture, at in _moments(scenes, size, fps, times):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = round(at / unit), unit
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return path


def _moments(
    scenes: Sequence[Scene], size: tuple[int, int], fps: int, times: Sequence[float] | None
) -> list[tuple[Image.Image, float]]:
    pictures = [
        (draw(shown, 4000 + number, size) if isinstance(shown, str) else shown.resize(size), seconds)
        for number, (shown, seconds) in enumerate(scenes)
    ]
    if times is not None:
        return [(pictures[number % len(pictures)][0], at) for number, at in enumerate(times)]
    found: list[tuple[Image.Image, float]] = []
    for picture, seconds in pictures:
        found += [(picture, (len(found) + more) / fps) for more in range(round(seconds * fps))]
    return found


def write_sound(path: Path) -> Path:
    """Write a file with a second of silence and no pictures."""
    av = pytest.importorskip("av", reason="needs the extra video")
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        sound.rate = 8000
        for packet in [*stream.encode(sound), *stream.encode(None)]:
            out.mux(packet)
    return path
