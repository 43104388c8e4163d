"""What a classifier may be asked about from Python: one image or many, in whatever form they are at hand."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError, UsageError
from logolens.io.images import as_rgb, read_bytes
from logolens.io.sources import reopen
from logolens.io.sources.urls import is_url

__all__ = ["PATH_COLUMNS", "ImageLike", "Input", "inputs"]

ImageLike: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | npt.NDArray[np.uint8] | IO[bytes]
)
"""An image: a path, an URL (http, https), a file's bytes, a Pillow image, an array of shape (H, W, 3), uint8 and RGB, or a
binary file that is open."""

Input: TypeAlias = tuple[str, Callable[[], bytes], Any]
"""An image's name, what reads it, and what it can be shown from again."""

PATH_COLUMNS = ("path", "image", "file", "filename", "url")
"""Columns of a DataFrame that hold images; the first that is there is taken."""

_TAKEN = (
    "an image is a path, an URL, bytes, a binary file, a Pillow image, or an array of shape (height, width, 3) and uint8, "
    "in RGB"
)


def inputs(images: Any, limits: Limits = Limits(), sources: SourceSettings = SourceSettings()) -> Iterator[Input]:
    """Name images, and say how each is read; nothing is read yet but what is an open file.

    Args:
        images: one image; or an iterable of them, a DataFrame with a column of `PATH_COLUMNS`, or a column of one.
        limits: what is refused unread.
        sources: how URLs are asked for. Private and local addresses are refused unless it says otherwise.

    Raises:
        UsageError: it is nothing of these. Raised for a single image at once, for one of several when it is met.
        MissingExtraError: an URL is among them, and the extra ``web`` is not installed.
    """
    if _is_one(images):
        return iter([_input(images, 0, limits, sources)])
    if _is_frame(images):
        images = _column(images)
    if isinstance(images, dict) or not isinstance(images, Iterable):
        raise UsageError(f"There is nothing to look at in a {_kind(images)}: {_TAKEN}; or many of them in an iterable.")
    return (_input(image, number, limits, sources) for number, image in enumerate(images))


def _is_one(images: Any) -> bool:
    if isinstance(images, np.ndarray):
        return not _holds_objects(images)
    return hasattr(images, "read") or isinstance(images, (str, os.PathLike, bytes, bytearray, memoryview, Image.Image))


def _holds_objects(images: npt.NDArray[Any]) -> bool:
    """Whether it is an array of names or images, as pandas and scikit-learn hand them on, and no image."""
    return images.ndim == 1 and images.dtype.kind in "OUT"


def _is_frame(images: Any) -> bool:
    return hasattr(images, "columns") and hasattr(images, "__getitem__")


def _column(frame: Any) -> Iterable[Any]:
    names = [str(name) for name in frame.columns]
    name = next((name for name in PATH_COLUMNS if name in names), None)
    if name is None:
        raise UsageError(
            f"The table has no column of images ({', '.join(PATH_COLUMNS)}), only {', '.join(names) or 'none'}; hand over the "
            "column itself, as in table['photo']."
        )
    return frame[name]  # type: ignore[no-any-return]


def _input(image: Any, number: int, limits: Limits, sources: SourceSettings) -> Input:
    name = f"image {number + 1}"
    if isinstance(image, str) and is_url(image):
        source = reopen(image, sources, limits=limits)
        return source.name, lambda: source.read(limits), None
    if isinstance(image, (str, os.PathLike)) and not isinstance(image, bytes):
        path = Path(image)
        return os.fspath(image), lambda: read_bytes(path, limits), path
    if isinstance(image, (bytes, bytearray, memoryview)):
        data = bytes(image)
        return name, lambda: data, data
    if isinstance(image, Image.Image):
        return getattr(image, "filename", "") or name, lambda: _encoded(image), image
    if isinstance(image, np.ndarray):
        array = _checked(image, name)
        return name, lambda: _encoded(Image.fromarray(array)), array
    if hasattr(image, "read"):
        given = getattr(image, "name", "")
        return _file(image, given if isinstance(given, str) and given else name, limits)
    raise UsageError(f"{name} is a {_kind(image)}: {_TAKEN}.")


def _checked(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.uint8]:
    """An array, if it is an image."""
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.size:
        return np.ascontiguousarray(array)
    hint = ""
    if array.ndim == 4:
        hint = " Several go as a list: list(arrays)."
    elif array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        hint = " Channels go last: array.transpose(1, 2, 0)."
    elif array.ndim == 3 and array.shape[2] == 3 and array.size:
        hint = " Values from 0 to 1 become uint8 by (255 * array).round().astype('uint8')."
    elif array.ndim in (2, 3):
        hint = " Image.fromarray(array) of Pillow takes other kinds, and its images may be handed over."
    raise UsageError(
        f"{name} is an array of shape {array.shape} and {array.dtype}; it must be of shape (height, width, 3) and uint8, in RGB."
        + hint
    )


def _file(file: Any, name: str, limits: Limits) -> Input:
    try:
        data = file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:  # Closed, or open for writing.
        problem = f"{name}: the file cannot be read ({error})."
        return name, lambda: _refuse(problem), None
    if not isinstance(data, bytes):
        raise UsageError(f"{name} is open as text; open it as bytes: open(path, 'rb').")
    if len(data) > limits.max_bytes:
        return name, lambda: _refuse(f"{name}: the file is larger than {limits.max_bytes:,} bytes."), None
    return name, lambda: data, data


def _refuse(problem: str) -> bytes:
    raise ImageError(problem)


def _encoded(image: Image.Image) -> bytes:
    """A Pillow image as bytes without loss, so that it takes the same road as a file."""
    out = io.BytesIO()
    as_rgb(image).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__
