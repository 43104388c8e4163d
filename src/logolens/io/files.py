"""Opening what a name leads to: files alone, and without waiting for whoever holds the other end of something else."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, cast

__all__ = ["open_regular"]

_KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
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


def _check(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
    raise OSError(errno.EINVAL, f"it is {kind}, and only files are read", os.fspath(path))
