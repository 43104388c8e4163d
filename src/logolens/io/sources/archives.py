"""Images inside archives, read where they are: nothing is unpacked to disk, so no member's name is ever a path."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import posixpath
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, cast

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError
from logolens.io.archive_guard import (
    LONGEST_HEADER,
    Headers,
    check_directory,
    check_overlaps,
    is_bomb,
)
from logolens.io.sources.local import is_hidden
from logolens.io.sources.mime import ARCHIVE_SUFFIXES, HEAD, SCANNED_SUFFIXES, kind_of, suffix_of
from logolens.io.sources.source import Fetched, Source, Stamp

__all__ = ["SEPARATOR", "archive_images"]

SEPARATOR = "!/"
"""Stands between an archive's name and that of what is in it."""

_RATIO = 200
_XZ_MEMORY = 300_000_000
Opener = Callable[[], BinaryIO]


def archive_images(
    name: str, opener: Opener, size: int, settings: SourceSettings, limits: Limits = Limits()
) -> Iterator[Source]:
    """The images in a .zip or .tar archive, the latter also packed with gzip, bzip2 or xz. What it is, its bytes tell.

    Members of a zip file and of a plain tar are read when they are asked for; those of a packed tar come with their
    bytes, for it can only be read from front to back. Archives within the archive are told of and not opened.

    Args:
        name: what the archive is called; members are called ``NAME!/MEMBER``.
        opener: opens it for reading, with seeking.
        size: its bytes.
        settings: how many members are looked at.
        limits: how large an image may be.
    """
    try:
        with opener() as file:
            kind = kind_of(file.read(HEAD))
        if kind == "zip":
            yield from _zip_images(name, opener, size, settings, limits)
        elif kind in ("tar", "gzip", "bzip2", "xz"):
            yield from _tar_images(name, opener, size, kind, settings, limits)
        else:
            yield Source(
                name, problem=f"{name}: this is no archive that can be read; it takes .zip and .tar.", hides=True
            )
    except Exception as error:  # Its reader's own, of whatever kind: a damaged archive is one record.
        yield Source(name, problem=f"{name}: the archive is damaged, or made to do harm ({_short(error)}).", hides=True)


def _zip_images(name: str, opener: Opener, size: int, settings: SourceSettings, limits: Limits) -> Iterator[Source]:
    file = opener()
    try:
        check_directory(file, settings.max_members)
    except BaseException:
        file.close()
        raise
    archive = _Zip(file)
    members = archive.infolist()
    if len(members) > settings.max_members:
        raise ImageError(f"it holds {len(members):,} members, more than the limit of {settings.max_members:,}")
    check_overlaps(members)
    seen: dict[str, int] = {}
    for info in members:
        if "\0" in info.orig_filename:
            # Other programs may show what Python's reader takes for a folder, or for another kind of file.
            refused = (
                f"{name}: a member's name holds a NUL character ({info.orig_filename[:100]!r}); pack the archive anew."
            )
            yield Source(_numbered(f"{name}{SEPARATOR}{info.filename}", seen), problem=refused, hides=True)
            continue
        if info.is_dir():
            continue
        shown = _numbered(f"{name}{SEPARATOR}{info.filename}", seen)
        stamp = Stamp(size=info.file_size, etag=f"crc32:{info.CRC:08x}")
        problem = None
        if info.flag_bits & 1:
            problem = "it is encrypted; unpack the archive with its password"
        elif info.file_size > limits.max_bytes:
            problem = f"it has {info.file_size:,} bytes, more than the limit of {limits.max_bytes:,}"
        elif is_bomb(info.file_size, info.compress_size, _RATIO):
            problem = f"it unpacks to more than {_RATIO} times its size, as archives made to fill a disk do"
        yield from _member(shown, info.filename, stamp, problem, _zip_fetch(archive, info, shown, stamp), limits)


class _Zip(zipfile.ZipFile):
    """A zip file that stays open as long as one of its members can still be asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        try:
            super().__init__(file)
        except BaseException:
            file.close()
            raise

    def __del__(self) -> None:
        self._file.close()


Fetch = Callable[[Limits, Stamp | None], Fetched | None]


def _zip_fetch(archive: zipfile.ZipFile, info: zipfile.ZipInfo, shown: str, stamp: Stamp) -> Fetch:
    def fetch(limits: Limits, known: Stamp | None) -> Fetched:
        try:
            with archive.open(info) as member:
                data = member.read(limits.max_bytes + 1)
        except Exception as error:  # As when the archive was opened.
            raise ImageError(f"{shown}: cannot be read from the archive ({_short(error)}).") from error
        return Fetched(_sized(data, shown, limits), stamp)

    return fetch


def _tar_images(
    name: str, opener: Opener, size: int, kind: str, settings: SourceSettings, limits: Limits
) -> Iterator[Source]:
    with opener() as file:
        stream = _Careful(_unpacked(file, kind), size if kind != "tar" else None)
        seen: dict[str, int] = {}
        with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:", errorlevel=2) as archive:
            for count, info in enumerate(iter(archive.next, None)):
                archive.members = []  # type: ignore[attr-defined]  # It would remember every one of a million.
                if info is None:
                    break
                stream.headers.end(info)
                if count >= settings.max_members:
                    raise ImageError(f"it holds more than {settings.max_members:,} members, the limit")
                if not info.isreg():
                    continue  # Links and devices show nothing, and are never followed.
                shown = _numbered(f"{name}{SEPARATOR}{info.name}", seen)
                stamp = Stamp(size=info.size, modified=float(info.mtime) if math.isfinite(info.mtime) else 0.0)
                problem = None
                if info.size > limits.max_bytes:
                    problem = f"it has {info.size:,} bytes, more than the limit of {limits.max_bytes:,}"
                elif info.issparse():
                    problem = "it is stored with gaps; unpack the archive"
                fetch = _tar_fetch(opener, info.offset_data, info.size, shown, stamp)
                if kind != "tar" and problem is None and suffix_of(info.name) in SCANNED_SUFFIXES | {".pdf"}:
                    data = _read_whole(stream, info)
                    fetch = _having(data, shown, stamp)
                yield from _member(shown, info.name, stamp, problem, fetch, limits)


def _unpacked(file: BinaryIO, kind: str) -> BinaryIO:
    if kind == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if kind == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(file))
    if kind == "xz":
        # An xz file says how much memory unpacking it takes; said too high, it is refused before it is taken.
        head = file.read(1 << 16)
        lzma.LZMADecompressor(memlimit=_XZ_MEMORY).decompress(head, 1)
        file.seek(0)
        return cast(BinaryIO, lzma.LZMAFile(file))
    return file


class _Careful(io.RawIOBase):
    """A tar file being read: no header may take more memory than an honest one, and no archive unpack to too much."""

    def __init__(self, inner: BinaryIO, packed: int | None) -> None:
        self._inner, self._packed = inner, packed
        self._reached = 0
        self.headers = Headers()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_HEADER:
            raise ImageError("one of its headers is far too large")
        data = self.read_member(size)
        self.headers.take(data)
        return data

    def read_member(self, size: int) -> bytes:
        """As ``read``, of a size that was held against the limits."""
        data = self._inner.read(size)
        self._reached = max(self._reached, self._inner.tell())
        self._hold()
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        # A reader looks at the last byte of what it has read, and at nothing before.
        if whence == 0 and offset < self._reached - 1:
            raise tarfile.HeaderError("its members overlap or go back, as in archives made to be read for ever")
        # In steps, for a packed file is unpacked on the way.
        while whence == 0 and self._packed is not None and offset - (here := self._inner.tell()) > LONGEST_HEADER:
            if len(self._inner.read(LONGEST_HEADER)) < LONGEST_HEADER:
                break
            self._hold()
            if self._inner.tell() == here:
                break
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def _hold(self) -> None:
        if self._packed is not None and is_bomb(came := self._inner.tell(), self._packed, _RATIO):
            raise ImageError(
                f"it unpacks to {came:,} bytes and more from {self._packed:,}, as archives made to fill a disk do"
            )


def _read_whole(stream: _Careful, info: tarfile.TarInfo) -> bytes:
    stream.seek(info.offset_data)
    data = stream.read_member(info.size)
    if len(data) < info.size:
        raise EOFError("it ends early")
    return data


def _having(data: bytes, shown: str, stamp: Stamp) -> Fetch:
    return lambda limits, known: Fetched(_sized(data, shown, limits), stamp)


def _tar_fetch(opener: Opener, offset: int, size: int, shown: str, stamp: Stamp) -> Fetch:
    def fetch(limits: Limits, known: Stamp | None) -> Fetched:
        try:
            with opener() as file:
                file.seek(offset)
                data = file.read(min(size, limits.max_bytes + 1))
        except OSError as error:
            raise ImageError(f"{shown}: cannot be read from the archive ({_short(error)}).") from error
        if len(data) < min(size, limits.max_bytes + 1):
            raise ImageError(f"{shown}: the archive ends within this file; get it again.")
        return Fetched(_sized(data, shown, limits), stamp)

    return fetch


def _member(
    shown: str, member: str, stamp: Stamp, problem: str | None, fetch: Fetch, limits: Limits
) -> Iterator[Source]:
    """What one file of an archive gives: itself, the images inside it, or nothing where it is no image."""
    suffix = suffix_of(member)
    if any(is_hidden(part) for part in member.split("/") if part not in ("", ".", "..")):
        return
    if member.lower().endswith(ARCHIVE_SUFFIXES):
        yield Source(shown, problem=f"{shown}: an archive within an archive is not looked into; unpack it first.")
    elif suffix == ".pdf" and problem is None:
        from logolens.io.sources.pdf import pdf_images

        try:
            found = fetch(limits, None)
        except ImageError as error:
            yield Source(shown, problem=str(error), hides=True)
            return
        assert found is not None
        yield from pdf_images(shown, found.data, stamp, limits)
    elif suffix in SCANNED_SUFFIXES or suffix == ".pdf":
        if problem is not None:
            yield Source(shown, problem=f"{shown}: {problem}.")
        else:
            yield Source(shown, stamp=stamp, fetch=fetch)


def _numbered(shown: str, seen: dict[str, int]) -> str:
    """Two members may bear one name; the second is told apart."""
    shown = posixpath.normpath(shown) if "//" in shown.partition(SEPARATOR)[2] else shown
    count = seen[shown] = seen.get(shown, 0) + 1
    return shown if count == 1 else f"{shown}#{count}"


def _sized(data: bytes, shown: str, limits: Limits) -> bytes:
    if not data:
        raise ImageError(f"{shown}: the file is empty.")
    if len(data) > limits.max_bytes:
        raise ImageError(f"{shown}: the file is larger than {limits.max_bytes} bytes.")
    return data


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200].rstrip(".")
