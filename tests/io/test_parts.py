"""Files of very many parts: refused before each is gone over; files of as many as programs write are read."""

from __future__ import annotations

import io
import struct
import time
import zlib

import pytest
from PIL import Image

from logolens.errors import ImageError
from logolens.io.images import open_rgb


def jpeg(side: int, **how: object) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((side, side), 90).convert("RGB").save(file, "JPEG", **how)
    return file.getvalue()


def scans(count: int) -> bytes:
    """A progressive JPEG, the last scan of which is repeated."""
    data = jpeg(64, progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + b"\xff\xd9"


def segments(count: int) -> bytes:
    data = jpeg(16)
    return data[:2] + b"\xff\xe1\x00\x0aExif\0\0ab" * count + data[2:]


def chunks(count: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    text = struct.pack(">I", 3) + b"tEXta\0b"
    one = text + struct.pack(">I", zlib.crc32(text[4:]))
    data = file.getvalue()
    return data[:33] + one * count + data[33:]


@pytest.mark.parametrize(
    ("data", "match"),
    [(scans(4000), "100 scans"), (segments(200_000), "10,000 segments"), (chunks(1_000_000), "100,000 chunks")],
)
def test_very_many_parts_are_refused_at_once(data: bytes, match: str) -> None:
    begun = time.process_time()
    with pytest.raises(ImageError, match=match):
        open_rgb(data)
    assert time.process_time() - begun < 2  # Decoding took 10 to 60 s.


@pytest.mark.parametrize(
    "data", [scans(50), segments(300), chunks(500), jpeg(600, quality=100), jpeg(64, restart_marker_rows=1)]
)
def test_as_many_parts_as_programs_write_are_read(data: bytes) -> None:
    assert open_rgb(data).width >= 8


def test_what_follows_the_picture_is_not_counted() -> None:
    film = b"\xff\xda\x00\x02" * 5000  # As a telephone hangs a film of a few seconds on its photo.
    assert open_rgb(jpeg(64) + film).size == (64, 64)
