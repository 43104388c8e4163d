"""Photos as phones take them (HEIC), with the extra ``heif``."""

from __future__ import annotations

from logolens.errors import ImageError, MissingExtraError, require

__all__ = ["heif_format", "is_heif"]

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
_GENERAL = (b"mif1", b"msf1")
"""Brands of any image in this container, AVIF's too; what else a file is compatible with tells."""


def is_heif(data: bytes) -> bool:
    """Whether bytes are an image in HEVC's container, by their first bytes; AVIF, which Pillow reads by itself, is not."""
    if data[4:8] != b"ftyp":
        return False
    if data[8:12] in _BRANDS:
        return True
    if data[8:12] not in _GENERAL:
        return False
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[start : start + 4] for start in range(16, size, 4)}
    return bool(brands & set(_BRANDS)) and b"avif" not in brands


def heif_format() -> str:
    """Make Pillow able to open such photos, and give the format's name there.

    Raises:
        ImageError: the extra that reads them is not installed.
    """
    try:
        require("pillow_heif", "heif").register_heif_opener()
    except MissingExtraError as error:
        raise ImageError(f"This is a photo in HEIC. {error}") from error
    return "HEIF"
