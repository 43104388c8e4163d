"""How many parts an image file is made of, counted before it is decoded: each costs time, whatever little it holds."""

from __future__ import annotations

import re
import struct

from logolens.errors import ImageError

__all__ = ["check_parts"]

_MOST_SCANS = 100
"""Of a JPEG: programs write about ten, and each goes over the whole picture once more."""

_MOST_SEGMENTS = 10_000
"""Of a JPEG: 64 KB each, of which a file of the largest size that is read has 1,500."""

_MOST_CHUNKS = 100_000
"""Of a PNG: programs write 8 KB in each, and a file of the largest size that is read has 12,000 of these."""

_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_ALONE = frozenset((0x01, 0xD8))
_END, _SCAN = 0xD9, 0xDA


def check_parts(data: bytes) -> None:
    """Refuse a JPEG of very many scans or segments, or a PNG of very many chunks.

    Raises:
        ImageError: it is one.
    """
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_png(data)


def _check_jpeg(data: bytes) -> None:
    at = 2
    for _ in range(_MOST_SEGMENTS):
        # What goes before the picture is read segment by segment.
        found = _MARKER.match(data, at)
        if found is None or found[1][0] in (_END, _SCAN):
            break
        at = found.end()
        if found[1][0] not in _ALONE and at + 2 <= len(data):
            at += struct.unpack_from(">H", data, at)[0]
    else:
        raise ImageError(f"This JPEG is made of more than {_MOST_SEGMENTS:,} segments, to cost time; save it anew.")
    # A count in all that follows is fast, and passes what has few; what lies within segments is told apart only then.
    if data.count(b"\xff\xda", at) > _MOST_SCANS and _scans(data, at) > _MOST_SCANS:
        raise ImageError(f"This JPEG is made of more than {_MOST_SCANS} scans, to cost time; save it anew.")


def _scans(data: bytes, at: int) -> int:
    """How many scans there are up to the picture's end; what follows, as a camera's film, is no part of it."""
    count = 0
    while (found := _MARKER.search(data, at)) is not None and found[1][0] != _END and count <= _MOST_SCANS:
        at = found.end()
        count += found[1][0] == _SCAN
        if found[1][0] not in _ALONE and at + 2 <= len(data):
            at += struct.unpack_from(">H", data, at)[0]
    return count


def _check_png(data: bytes) -> None:
    at = 8
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data) or data[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + struct.unpack_from(">I", data, at)[0]
    raise ImageError(f"This PNG is made of more than {_MOST_CHUNKS:,} chunks, to cost time; save it anew.")
