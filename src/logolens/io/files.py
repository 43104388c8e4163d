"""Opening what a name leads to: files alone, and without waiting for whoever holds the other end of something else."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from logolens.errors import ImageError

__all__ = ["open_regular", "plain_path", "read_regular", "unreadable_as_error"]

_KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_MOST = 4 << 30
"""Bytes; more than any table, list or model that is read whole."""

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # Opening a pipe waits for its writer otherwise.
    | getattr(os, "O_NOCTTY", 0)
)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file, or a link to one, for reading.

    Raises:
        OSError: there is no such file, it cannot be read, or it is something else: IsADirectoryError of a folder.
    """
    # Before it is opened, for opening a device may do something; and after, for another may stand there by then.
    _check(os.stat(path).st_mode, path)
    number = os.open(path, _FLAGS)
    try:
        _check(os.fstat(number).st_mode, path)
        return cast(BinaryIO, os.fdopen(number, "rb"))
    except BaseException:
        os.close(number)
        raise


def read_regular(path: str | os.PathLike[str], most: int = _MOST) -> bytes:
    """What a regular file holds that lies where others may have put something else.

    Raises:
        OSError: as of `open_regular`, or it is larger than ``most`` bytes.
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", os.fspath(path))
    return data


@contextmanager
def plain_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """A path of a file for programs that take no name but one in UTF-8: its own, or that of the file once it is opened.

    Raises:
        OSError: as of `open_regular`, of a file whose name is no UTF-8.
    """
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        with open_regular(path) as file:
            yield f"/dev/fd/{file.fileno()}"
    else:
        yield name


def _check(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
    raise OSError(errno.EINVAL, f"it is {kind}, and only files are read", os.fspath(path))


@contextmanager
def unreadable_as_error(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Say in a sentence why a user's file cannot be opened or read.

    Args:
        path: the file.
        kind: what it was taken for, as in "an image".

    Raises:
        ImageError: it is missing, a folder, no regular file, or cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, not {kind}.") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from error
