"""What decoding a JPEG 2000 file would take, told from its header: few bytes of it can ask for very much."""

from __future__ import annotations

import struct

from logolens.config import Limits
from logolens.errors import ImageError

__all__ = ["check_codestreams"]

_START = b"\xff\x4f\xff\x51"  # the markers SOC and SIZ, with which a codestream begins
_SIZ = struct.Struct(">HHIIIIIIIIH")
_BYTES = 4  # that the decoder holds of each component of each pixel
_SHARE = 8  # bytes a pixel of the limit, twice what a decoded image of that many holds


def check_codestreams(data: bytes, limits: Limits) -> None:
    """Hold the size that each codestream states against the limits, for the file's own header may state another.

    Raises:
        ImageError: decoding would take too much memory.
    """
    at = data.find(_START)
    while at >= 0:
        if len(data) >= at + len(_START) + _SIZ.size:
            header = _SIZ.unpack_from(data, at + len(_START))
            (_, _, right, bottom, left, top, tile_width, tile_height, _, _, components) = header
            width, height = max(0, right - left), max(0, bottom - top)
            pixels = max(width * height, min(tile_width, right) * min(tile_height, bottom))
            if max(width, height) > limits.max_side or pixels * _BYTES * components > limits.max_pixels * _SHARE:
                raise ImageError(
                    f"The image has {width} x {height} pixels of {components} components in JPEG 2000, which take more "
                    "memory to decode than the limit on pixels allows; save it as JPEG or PNG, or raise the limit."
                )
        at = data.find(_START, at + 1)
