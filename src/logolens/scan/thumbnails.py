"""Small pictures, made from the decode that was done anyway."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import Limits
from logolens.data.near_duplicates import THUMB, thumbnails
from logolens.io.images import stored_size

__all__ = ["NEAR_BYTES", "DecodedPicture", "Pictures"]

_LONG_SIDE = 160
_QUALITY = 80
_KEPT_SIDE = 512
"""Long side in pixels to which what waits for its answer is brought."""

NEAR_BYTES = 2 * THUMB * THUMB + 16
"""Length of what near copies are found by: two grey pictures, and two aspects as float64."""


class DecodedPicture:
    """A picture as it was decoded, small enough to wait for its answer."""

    def __init__(self, image: Image.Image, size: tuple[int, int]) -> None:
        self.size = size
        self._image = image

    def thumbnail(self) -> bytes:
        """A small JPEG."""
        small = _within(self._image, _LONG_SIDE)
        out = io.BytesIO()
        small.save(out, "JPEG", quality=_QUALITY)
        return out.getvalue()

    def near(self) -> bytes:
        """What near copies are found by; see `unpack`."""
        grey, trimmed, whole = thumbnails(self._image)
        return grey.tobytes() + np.array([trimmed, whole]).tobytes()


def _within(image: Image.Image, side: int) -> Image.Image:
    """An image whose longer side is at most ``side`` pixels: the very same one where it is."""
    if max(image.size) <= side:
        return image
    scale = side / max(image.size)
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1.0)


class Pictures:
    """Decodes as ``decode`` does, and keeps a small picture of each image until it is taken.

    Args:
        decode: `images.open_rgb`, or a `Decoder`.
    """

    def __init__(self, decode: Callable[..., Image.Image]) -> None:
        self._decode = decode
        self._seen: dict[int, DecodedPicture] = {}
        self._lock = threading.Lock()

    def __call__(self, data: bytes, *, shrink_to: int | None = None, limits: Limits = Limits()) -> Image.Image:
        """See `images.open_rgb`."""
        image = self._decode(data, shrink_to=shrink_to, limits=limits)
        # The bytes stay with their Content until the answer is there, so that their address is theirs alone.
        if id(data) not in self._seen:
            stored = stored_size(image) or image.size
            size = stored[::-1] if (stored[0] > stored[1]) != (image.width > image.height) else stored
            small = _within(image, _KEPT_SIDE)
            with self._lock:
                self._seen[id(data)] = DecodedPicture(small, size)
        return image

    def take(self, data: bytes) -> DecodedPicture | None:
        """The picture of these bytes, which are the very ones that were decoded; None when they were not."""
        with self._lock:
            return self._seen.pop(id(data), None)

    def see(self, data: bytes) -> DecodedPicture | None:
        """The picture of bytes that the classifier has decoded in some other way."""
        self(data, shrink_to=_LONG_SIDE)
        return self.take(data)


def unpack(blobs: list[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """The arrays that `logolens.data.near_duplicates.near_pairs` takes, from what a store keeps of its images."""
    table = np.frombuffer(b"".join(blobs), np.uint8).reshape(len(blobs), NEAR_BYTES)
    thumbs = table[:, : 2 * THUMB * THUMB].reshape(len(blobs), 2, THUMB, THUMB)
    return thumbs, table[:, 2 * THUMB * THUMB :].copy().view(np.float64)
