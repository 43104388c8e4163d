"""Image bytes to RGB, within limits, and from RGB to the square that a network takes.

This is the only road: training, evaluation and prediction all read their images here, so that they cannot drift apart.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import IcoImagePlugin, Image, ImageOps

from logolens.config import Limits, Preprocessing
from logolens.errors import ImageError
from logolens.io.apart import decode_apart, draw_apart
from logolens.io.files import open_regular, unreadable_as_error
from logolens.io.ground import ground_of, over_ground
from logolens.io.heif import heif_format, is_heif
from logolens.io.image_facts import keep_outside, keep_stored_size, outside_of, stored_size
from logolens.io.jpeg2000 import check_codestreams
from logolens.io.parts import check_parts
from logolens.io.svg import is_svg, rasterize

__all__ = [
    "IMAGE_SUFFIXES",
    "LARGE",
    "PAD_COLOUR",
    "as_rgb",
    "content_hash",
    "draw_here",
    "fit",
    "keep_stored_size",
    "native_scale",
    "open_apart",
    "open_rgb",
    "open_rgba",
    "outside_of",
    "read_bytes",
    "read_known",
    "stored_size",
]

# MPO is left out: such files open as JPEG, and naming MPO makes Pillow raise KeyError on them.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "ICO", "JPEG2000", "AVIF")

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "dib", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "pnm", "tga", "ico", "jp2", "avif", "heic", "heif"),
    )
)
"""The file endings, lower case, that are looked at in a folder. A file named outright is read whatever its ending."""

_BAND = 1 << 20  # pixels that are converted at a time
LARGE = 12_000_000
"""Pixels above which an image of any format comes at a JPEG's scales: what decodes it then hands on what is asked for."""

PAD_COLOUR = (127, 127, 127)
"""What fills the network's square beside a photo that is padded."""

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def content_hash(data: bytes) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal: a photo's identity, whatever its name."""
    return hashlib.sha256(data).hexdigest()


def read_bytes(path: str | os.PathLike[str], limits: Limits = Limits()) -> bytes:
    """Read an image file whole.

    Raises:
        ImageError: it is missing, a folder, a pipe or a device, empty, unreadable, or larger than ``limits.max_bytes``.
    """
    with unreadable_as_error(path, "an image"), open_regular(path) as file:
        data = file.read(limits.max_bytes + 1)
    if not data:
        raise ImageError(f"{path}: the file is empty.")
    if len(data) > limits.max_bytes:
        raise ImageError(
            f"{path}: the file is larger than {limits.max_bytes} bytes; raise the limit or shrink the image."
        )
    return data


def read_known(path: str | os.PathLike[str], sha256: str, limits: Limits = Limits()) -> bytes:
    """Read an image file that was read before, and must still hold the same.

    Args:
        path: the file.
        sha256: of its bytes as they were.
        limits: what is refused unread.

    Raises:
        ImageError: it has changed, or as for `read_bytes`. The message names the file.
    """
    data = read_bytes(path, limits)
    if content_hash(data) != sha256:
        raise ImageError(f"{path}: it changed while it was being used; run the command again.")
    return data


class _Quiet:
    """Silences warnings while any thread decodes: odd metadata is not worth a word to anyone.

    ``warnings.catch_warnings`` swaps state of the whole process. Threads that each entered and left it by turns would
    see one another's filters, and leave the wrong ones behind; here the first in sets them and the last out restores.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._caught.__exit__(None, None, None)


_QUIET = _Quiet()


def _shown_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of what decoding would give, before it is decoded."""
    if isinstance(image, IcoImagePlugin.IcoImageFile):
        # An icon's own directory may say 16 x 16 of a picture inside that is huge.
        return image.ico.getimage(image.size).size
    return image.size


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: transparency over a ground that shows it (`ground`), 16 bits scaled to 8 instead of clipped."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        # Pillow opens 16-bit greyscale as I;16 or I; a plain convert("RGB") would clip all above 255 to white.
        brightest = max(float(_values(band).max(initial=0.0)) for _, band in _bands(image))
        # Neither mode says where white is: it is the least of the usual places that nothing in the image passes.
        usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        top = next((white for white in usual if brightest <= white), brightest)

        def scaled(band: Image.Image) -> Image.Image:
            return Image.fromarray(np.clip(_values(band) / top * 255.0, 0, 255).astype(np.uint8)).convert("RGB")

        return _by_bands(image, scaled)
    if image.has_transparency_data:
        ground = ground_of(image)
        return _by_bands(image, lambda band: over_ground(band, ground))
    return image if image.mode == "RGB" else image.convert("RGB")


def _values(image: Image.Image) -> npt.NDArray[np.float64]:
    return np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Where each band begins, and its rows: what is made on the way from one mode to another takes several times its room."""
    rows = max(1, _BAND // image.width)
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _by_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    if image.width * image.height <= _BAND:
        return convert(image)
    made = Image.new("RGB", image.size)
    for top, band in _bands(image):
        made.paste(convert(band), (0, top))
    return made


def native_scale(size: tuple[int, int], shrink_to: int) -> int:
    """The largest of JPEG's native reductions (8, 4, 2, 1) that leaves both sides at least ``shrink_to`` pixels."""
    return next(scale for scale in (8, 4, 2, 1) if scale == 1 or min(size) // scale >= shrink_to)


Draw = Callable[[bytes, Limits], Image.Image]


def open_rgb(
    data: bytes, *, shrink_to: int | None = None, limits: Limits = Limits(), draw: Draw = draw_apart
) -> Image.Image:
    """Decode an image's first frame to RGB, upright.

    Args:
        data: the file's bytes, of any format that Pillow and logolens both allow; a drawing (SVG) with the extra ``svg``.
        shrink_to: when given, a JPEG is decoded at the smallest of its native scales (1, 1/2, 1/4, 1/8) at which both
            sides are still at least this many pixels, which for a large photo is several times faster. Of another format
            an image of more than 12 megapixels comes at such a scale, too.
        limits: what is refused unread.
        draw: turns an SVG into RGBA; a process of its own does if not given.

    Returns:
        An RGB image, transposed as its EXIF orientation says, transparency laid over white, or where that would
        hide it over another ground (`ground`). `stored_size` tells at which size a JPEG is stored.

    Raises:
        ImageError: the bytes are no image, are broken, or exceed the limits. The message does not name the file.
    """
    return _open(data, _to_rgb, shrink_to, limits, draw)


def open_apart(data: bytes, *, shrink_to: int | None = None, limits: Limits = Limits()) -> Image.Image:
    """Decode an image as `open_rgb` does, in a process with limits on memory and time: whatever it holds, it costs no more.

    Raises:
        ImageError: as for `open_rgb`, or it takes too much memory or time.
        WorkerError: no process can be started.
    """
    return (open_rgb if is_svg(data) else decode_apart)(data, shrink_to=shrink_to, limits=limits)


def open_rgba(data: bytes, *, limits: Limits = Limits(), draw: Draw = draw_apart) -> Image.Image:
    """Decode an image as `open_rgb` does, and keep its transparency: an RGBA image, upright.

    Of a drawing `outside_of` tells how often it refers to something outside itself.

    Raises:
        ImageError: as for `open_rgb`.
    """
    return _open(data, _to_rgba, None, limits, draw)


def _to_rgba(image: Image.Image) -> Image.Image:
    return image.convert("RGBA") if image.has_transparency_data else _to_rgb(image).convert("RGBA")


def draw_here(data: bytes, limits: Limits = Limits()) -> Image.Image:
    """Draw an SVG as RGBA in this process, which a harmful one may end: for processes that are there to be ended.

    Raises:
        ImageError: it cannot be drawn.
    """
    png, outside = rasterize(data)
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        _check_size(image.size, limits)
        return keep_outside(image.convert("RGBA"), outside)


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageError(
            f"The image has {width} x {height} pixels, more than the limit of {limits.max_pixels}; "
            "shrink it or raise the limit."
        )
    if max(size) > limits.max_side:
        raise ImageError(
            f"The image has {width} x {height} pixels, and a side longer than the limit of {limits.max_side}; "
            "cut it or raise the limit."
        )


def _open(
    data: bytes, convert: Callable[[Image.Image], Image.Image], shrink_to: int | None, limits: Limits, draw: Draw
) -> Image.Image:
    if not data:
        raise ImageError("The image is empty (0 bytes).")
    try:
        if is_svg(data):
            return convert(draw(data, limits))
        check_parts(data)
        formats = (*_FORMATS, heif_format()) if is_heif(data) else _FORMATS
        with _QUIET, Image.open(io.BytesIO(data), formats=formats) as image:
            width, height = _shown_size(image)
            _check_size((width, height), limits)
            if image.format == "JPEG2000":
                check_codestreams(data, limits)
            is_jpeg = image.format == "JPEG"
            if shrink_to is not None and is_jpeg:
                image.draft(None, (shrink_to, shrink_to))
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # In a new image it would copy also what is upright.
            made = convert(image)
            if shrink_to is not None and not is_jpeg and width * height > LARGE:
                return keep_stored_size(made.reduce(native_scale((width, height), shrink_to)), (width, height))
            return keep_stored_size(made, (width, height)) if is_jpeg else made
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, ValueError, SyntaxError, struct.error and more.
        raise ImageError(f"This is not an image that can be read ({_reason(error)}).") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """A Pillow image as its file would be opened: upright, RGB, transparency over a ground that shows it.

    Raises:
        ImageError: it was opened lazily and cannot be decoded, or has no pixels.
    """
    if not image.width or not image.height:
        raise ImageError("The image has no pixels.")
    try:
        with _QUIET:
            return _to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # As in decoding a file.
        raise ImageError(f"The image cannot be used ({_reason(error)}).") from error


def _reason(error: Exception) -> str:
    """A decoder's complaint in one line, without addresses of Python objects."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "cannot identify image file" in text:
        return "its format is not known, or it is damaged from the first byte"
    return text.split("<_io")[0].rstrip()[:160]


def fit(image: Image.Image, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Resize an RGB image to the network's square.

    Returns:
        uint8 of shape (size, size, 3), ready for a backbone's ``image`` input.
    """
    size, method = preprocessing.size, _FILTERS[preprocessing.interpolation]
    if preprocessing.resize == "squash":
        square = image.resize((size, size), method)
    elif preprocessing.resize == "crop":
        square = ImageOps.fit(image, (size, size), method)
    else:
        square = ImageOps.pad(image, (size, size), method, color=PAD_COLOUR)
    return np.asarray(square)
