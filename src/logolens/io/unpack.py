"""Unpacking archives that nobody vouches for.

Members are streamed one by one into a fresh folder, and only regular files are written, each by creating it anew: no
link is ever made, so none can be written through. `tarfile.extractall` is not used, with or without its filters.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import stat
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from logolens.config import check, setting
from logolens.errors import ArchiveError
from logolens.io.archive_guard import (
    LONGEST_HEADER,
    Headers,
    check_directory,
    check_overlaps,
    is_bomb,
)
from logolens.io.atomic import place_folder
from logolens.io.files import open_regular

__all__ = ["ArchiveLimits", "unpack"]

_CHUNK = 1 << 18


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may unpack to before it is refused."""

    max_total: int = setting(4_000_000_000, "largest sum of all unpacked files, in bytes", low=1)
    max_members: int = setting(200_000, "most members", low=1)
    max_ratio: float = setting(100.0, "most unpacked bytes for each byte of the archive", low=1)

    def __post_init__(self) -> None:
        check(self)


def unpack(
    archive: str | os.PathLike[str], target: str | os.PathLike[str], *, limits: ArchiveLimits = ArchiveLimits()
) -> list[Path]:
    """Unpack a .tar, .tar.gz or .zip archive into a folder that does not exist yet.

    The files are written to a temporary folder beside the target, which takes its name at the end: the target appears
    whole or not at all. The format is told by content, not by name. Folders are made as files need them; permissions,
    owners and times are not taken over; macOS's ``._name`` and ``__MACOSX`` members are left out.

    Args:
        archive: the file.
        target: the folder to make; it must not exist, or be empty.
        limits: what is refused.

    Returns:
        The files written, relative to the target, in the archive's order.

    Raises:
        ArchiveError: the archive is damaged or truncated; a member is a link, a device or encrypted, has an absolute or
            climbing or unusable name, or repeats another's (also in another case); a limit is passed; the target is in
            use or cannot be written. Nothing is left behind.
    """
    source, goal = Path(archive), Path(target)
    if goal.is_symlink() or (goal.exists() and not (goal.is_dir() and not any(goal.iterdir()))):
        raise ArchiveError(f"{goal} exists already; name a folder that does not, or remove it first.")
    work: Path | None = None
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{goal.name}-", dir=goal.parent))
        inside = work / "files"
        inside.mkdir()
        written = _unpack(source, inside, limits)
        place_folder(inside, goal)
        return written
    except ArchiveError:
        raise
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        reason = str(error) or "it ends early"
        raise ArchiveError(f"{source}: the archive is damaged or cut short ({reason}); get it again.") from error
    except Exception as error:  # The readers', of whatever kind.
        raise ArchiveError(f"{source}: it cannot be unpacked into {goal} ({error}).") from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def _unpack(source: Path, folder: Path, limits: ArchiveLimits) -> list[Path]:
    size = max(1, source.stat().st_size)
    with open_regular(source) as file:
        head = file.read(512)
        file.seek(0)
        budget = _Budget(source, limits, size)
        if head.startswith(b"PK"):
            return _write(source, _zip_members(source, file, budget, limits), folder, budget)
        if head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as stream:
                return _write(source, _tar_members(source, _Forward(source, stream, budget), budget), folder, budget)
        if head[257:262] == b"ustar" or _is_old_tar(head):
            return _write(source, _tar_members(source, _Forward(source, file, budget), budget), folder, budget)
    raise ArchiveError(f"{source}: this is no .tar, .tar.gz or .zip archive.")


def _is_old_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


class _Budget:
    """What has been spent of the limits."""

    def __init__(self, source: Path, limits: ArchiveLimits, size: int) -> None:
        self._source, self._limits, self._size = source, limits, size
        self._members = self._total = 0

    def member(self) -> None:
        self._members += 1
        if self._members > self._limits.max_members:
            raise ArchiveError(f"{self._source}: it holds more than {self._limits.max_members:,} members, the limit.")

    def produced(self, total: int) -> None:
        """Hold the number of bytes that decompression has given so far against total and ratio."""
        if total > self._limits.max_total:
            raise ArchiveError(f"{self._source}: it unpacks to more than {self._limits.max_total:,} bytes, the limit.")
        if is_bomb(total, self._size, self._limits.max_ratio):
            raise ArchiveError(
                f"{self._source}: it unpacks to more than {self._limits.max_ratio:g} times its size, as archives made "
                "to fill a disk do. Raise the limit if you trust it."
            )

    def written(self, count: int) -> None:
        self._total += count
        self.produced(self._total)


class _Forward(io.RawIOBase):
    """A stream for tarfile that is only ever read forward, counted, and never asked for a huge piece at once.

    tarfile reads extended headers whole, with the size that the archive claims; and it steps back one byte to see
    whether the file goes on, so the last bytes are kept.
    """

    def __init__(self, source: Path, stream: _Readable, budget: _Budget) -> None:
        self._source, self._stream, self._budget = source, stream, budget
        self._produced = self._position = 0
        self._last = b""
        self.latest = b""
        self.headers = Headers()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence != 0 or offset < self._produced - len(self._last):
            raise tarfile.StreamError("a member points back into the archive")
        while self._produced < offset:
            if not self._more(min(_CHUNK, offset - self._produced)):
                break
        self._position = min(offset, self._produced)
        return self._position

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > LONGEST_HEADER:
            raise ArchiveError(f"{self._source}: a header claims {size:,} bytes; the archive is damaged or harmful.")
        self.latest = data = self.read_content(size)
        self.headers.take(data)
        return data

    def read_content(self, size: int) -> bytes:
        """As ``read``, of what stands within a member."""
        begin = len(self._last) - (self._produced - self._position)
        kept = self._last[begin : begin + size] if self._position < self._produced else b""
        parts = [kept]
        missing = size - len(kept)
        while missing > 0 and (piece := self._more(missing)):
            parts.append(piece)
            missing -= len(piece)
        data = b"".join(parts)
        self._position += len(data)
        return data

    def _more(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._produced += len(piece)
        self._budget.produced(self._produced)
        self._last = (self._last + piece)[-1024:]
        return piece


_Member = tuple[str, _Readable, int]


def _tar_members(source: Path, stream: _Forward, budget: _Budget) -> Iterator[_Member]:
    with tarfile.open(fileobj=stream, mode="r:", errorlevel=2) as tar:
        while (member := tar.next()) is not None:
            # tarfile keeps every member; a long archive need not stay in memory.
            tar.members = []  # type: ignore[attr-defined]
            budget.member()
            stream.headers.end(member)
            if member.isdir():
                _clean(source, member.name, folder=True)
                continue
            if not member.isreg() or member.issparse():
                kind = "a link" if member.issym() or member.islnk() else "no regular file"
                raise ArchiveError(f"{source}: the member {member.name!r} is {kind}; only plain files are unpacked.")
            stream.seek(member.offset_data)
            yield member.name, _Content(stream, member.size), member.size
    # tarfile also stops, without a word, at the end of the file and at a header that makes no sense.
    if stream.latest != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("its end mark is missing")
    # gzip checks its own sum only at the end.
    while stream.read_content(_CHUNK):
        pass


class _Content:
    """What stands within one member of a tar file, read forward."""

    def __init__(self, stream: _Forward, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read_content(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(data)
        return data


def _zip_members(source: Path, file: IO[bytes], budget: _Budget, limits: ArchiveLimits) -> Iterator[_Member]:
    check_directory(file, limits.max_members)
    with zipfile.ZipFile(file) as archive:
        check_overlaps(archive.infolist())
        for member in archive.infolist():
            budget.member()
            # zipfile cuts names at a NUL; the name as written is judged.
            name = member.orig_filename
            mode = member.external_attr >> 16
            if member.is_dir():
                _clean(source, name, folder=True)
                continue
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
                raise ArchiveError(f"{source}: the member {name!r} is {kind}; only plain files are unpacked.")
            if member.flag_bits & 1:
                raise ArchiveError(f"{source}: the member {name!r} is encrypted; unpack it by hand first.")
            with archive.open(member) as content:
                yield name, content, member.file_size


def _write(source: Path, members: Iterator[_Member], folder: Path, budget: _Budget) -> list[Path]:
    written: list[Path] = []
    seen: set[str] = set()
    for name, content, size in members:
        path = _clean(source, name)
        if path.name.startswith("._") or "__MACOSX" in path.parts:
            continue
        # Two names that one file system keeps apart are one file on another.
        folded = unicodedata.normalize("NFC", str(path)).casefold()
        if folded in seen:
            raise ArchiveError(f"{source}: the member {name!r} stands in it twice, so one would overwrite the other.")
        seen.add(folded)
        place = folder.joinpath(*path.parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        left = size
        with place.open("xb") as out:
            while piece := content.read(min(_CHUNK, left + 1)):
                left -= len(piece)
                if left < 0:
                    raise ArchiveError(f"{source}: the member {name!r} is longer than it says.")
                budget.written(len(piece))
                out.write(piece)
        if left:
            raise ArchiveError(f"{source}: the archive ends within the member {name!r}; it is cut short, get it again.")
        written.append(Path(*path.parts))
    if not written:
        raise ArchiveError(f"{source}: the archive holds no files.")
    return written


_DEEPEST = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"^[A-Za-z]:")


def _longest(parts: list[str]) -> int | None:
    """Bytes of the longest part of a path; None where a part cannot be a name here.

    Linux and its kin take any bytes, which are kept, as of names in a folder; Windows and macOS take text alone.
    """
    try:
        kept = "strict" if os.name == "nt" or sys.platform == "darwin" else "surrogateescape"
        return max((len(part.encode("utf-8", kept)) for part in parts), default=0)
    except UnicodeEncodeError:
        return None


def _clean(source: Path, name: str, *, folder: bool = False) -> PurePosixPath:
    """The member's path below the target.

    Names are judged by the strictest system: what climbs, is absolute, or means something else on Windows is refused.
    """
    wrong = None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or _DRIVE.match(name):
        wrong = "is an absolute path"
    elif ".." in parts:
        wrong = "climbs out of the folder"
    elif "\\" in name or ":" in name or _CONTROL.search(name):
        wrong = "holds a character that file names cannot have everywhere"
    elif (length := _longest(parts)) is None:
        wrong = "is not valid UTF-8, and this system takes no other names"
    elif length > 255 or len(name) > 4096:
        wrong = "is too long"
    elif len(parts) > _DEEPEST:
        wrong = f"lies in more than {_DEEPEST} folders"
    elif not parts and not folder:
        wrong = "is empty"
    if wrong is not None:
        raise ArchiveError(f"{source}: the name of the member {name[:200]!r} {wrong}. Nothing was unpacked.")
    return PurePosixPath(*parts)
