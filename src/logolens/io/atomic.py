"""Files and folders that appear whole or not at all, whenever a program is killed."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from logolens.config import cache_folder
from logolens.errors import RoomError, UsageError

__all__ = [
    "beside",
    "check_room",
    "naming_full_disk",
    "place_folder",
    "replace_folder",
    "write_atomically",
    "write_file",
    "written_beside",
]


_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


@contextmanager
def naming_full_disk(path: Path, what: str = "") -> Iterator[None]:
    """The system's complaint that there is no room, which names no file, as a sentence that says where and what to set.

    Args:
        path: what is being written.
        what: what it is, as in "the bundle".

    Raises:
        RoomError: the disk, or the user's share of it, is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise RoomError(f"{path}: there is no room on its disk for {what or 'this file'}. {_advice(path)}") from error


def check_room(path: Path, least: int, what: str) -> None:
    """See before long work that a disk has room for what is to be written.

    Args:
        path: the file or folder that is to be written; it need not be there.
        least: bytes that are needed at the least.
        what: what it is, as in "the bundle".

    Raises:
        RoomError: the disk has less.
    """
    above = next((folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists()), None)
    if above is None:
        return
    free = shutil.disk_usage(above).free
    if free < least:
        raise RoomError(
            f"{path}: its disk has {free / 1e6:,.0f} MB of room, and {what} takes {least / 1e6:,.0f} MB or more. {_advice(path)}"
        )


def _advice(path: Path) -> str:
    if path.absolute().is_relative_to(cache_folder().absolute()):
        return "Free some room there, or set LOGOLENS_CACHE to a folder on another disk."
    return "Free some room there, or name a place on another disk."


def beside(path: Path, name: str) -> Path:
    """A file of this name in the folder of another.

    Raises:
        UsageError: the other has no name, as the root of a disk, and so nothing lies beside it.
    """
    if not path.name or path.name == "..":
        raise UsageError(f"{path} is a folder by its name alone; name a file or a folder in it to write to.")
    return path.with_name(name)


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A name beside the one that is meant; what is written to it takes the meant name at the end, and goes if that fails.

    Raises:
        OSError: it cannot be renamed.
    """
    # Not tempfile: its files are readable by their owner alone, whatever the umask says.
    temporary = beside(path, f".{path.name[:60]}-{secrets.token_hex(6)}.tmp")
    try:
        with naming_full_disk(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file, its folder too where that is missing, so that no reader sees half of it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as temporary:
        temporary.write_bytes(data)


def replace_folder(made: Path, out: Path) -> None:
    """Put a complete folder, or file, in its place on the same disk.

    Where the system can exchange two folders at one stroke (Linux), there is no moment without one; elsewhere the old one
    steps aside first.

    Raises:
        OSError: it cannot be renamed; what was there is there again.
    """
    _open_to_others(made)
    if out.is_dir() and not out.is_symlink() and made.is_dir() and _exchange(made, out):
        shutil.rmtree(made, ignore_errors=True)
        return
    old = beside(out, f".{out.name[:60]}-{secrets.token_hex(6)}.old")
    # A file takes a file's place by itself; a folder takes nothing's that is there.
    if aside := out.is_dir() or (made.is_dir() and (out.exists() or out.is_symlink())):
        os.replace(out, old)
    try:
        os.replace(made, out)
    except BaseException:
        if aside:
            os.replace(old, out)
        raise
    if old.is_symlink() or old.is_file():
        old.unlink()
    else:
        shutil.rmtree(old, ignore_errors=True)


def place_folder(made: Path, out: Path) -> None:
    """Put a complete folder where nothing is, or an empty folder.

    Raises:
        OSError: something is there, or it cannot be renamed.
    """
    if out.is_dir() and not out.is_symlink():
        out.rmdir()
    os.rename(made, out)


def _open_to_others(made: Path) -> None:
    """Give what was made the rights that the umask leaves: temporary folders, and what some libraries write, have fewer."""
    probe = beside(made, f".{secrets.token_hex(6)}.tmp")
    probe.mkdir()  # The umask itself cannot be read without being set, which another thread would meet.
    allowed = probe.stat().st_mode & 0o777
    probe.rmdir()
    inside = made.rglob("*") if made.is_dir() else ()
    for path in (made, *inside):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode & 0o777
        wanted = mode | (allowed if path.is_dir() else allowed & 0o666)
        if wanted != mode:
            path.chmod(wanted)


_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names at one stroke; False where the system or the disk cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):  # Not Linux, or a C library without it.
        return False
    names = [os.fsencode(path.absolute()) for path in (one, other)]
    return bool(rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


def write_file(path: str | os.PathLike[str], data: bytes, *, force: bool = False) -> Path:
    """Write a file under a temporary name in its own folder, then rename it.

    Args:
        path: where to; its folder must exist.
        data: what to write.
        force: replace a file of that name.

    Raises:
        UsageError: the file is there and `force` is not given, or it cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file to write to.")
    if target.exists() and not force:
        raise UsageError(f"{target} is there already. Name another file, or say that it may be replaced (force).")
    try:
        with written_beside(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{target} cannot be written: {reason}. Check that its folder exists and is yours.") from error
    return target
