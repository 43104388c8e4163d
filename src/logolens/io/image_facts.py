"""What is known of an image beside its pixels, and goes with it from where it was decoded."""

from __future__ import annotations

from PIL import Image

__all__ = ["keep_outside", "keep_stored_size", "outside_of", "stored_size"]

_STORED = "logolens stored size"
_OUTSIDE = "logolens outside references"


def stored_size(image: Image.Image) -> tuple[int, int] | None:
    """Width and height at which a JPEG is stored, of the image that `open_rgb` made of it; None of any other format.

    A JPEG alone has more scales than one to be decoded at. Neither side is turned as the EXIF orientation says, and what
    was cut out of the image since says the same as the whole.
    """
    size: tuple[int, int] | None = image.info.get(_STORED)
    return size


def keep_stored_size(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The same image, of which `stored_size` says this."""
    image.info[_STORED] = size
    return image


def outside_of(image: Image.Image) -> int:
    """How often a drawing (SVG) refers to something outside itself, a file or a host, none of which is ever fetched."""
    return int(image.info.get(_OUTSIDE, 0))


def keep_outside(image: Image.Image, count: int) -> Image.Image:
    """The same image, of which `outside_of` says this."""
    image.info[_OUTSIDE] = count
    return image
