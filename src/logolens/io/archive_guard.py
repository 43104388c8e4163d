"""What archives are held to beside what Python's readers ask.

No tar header may take the reader back, hold it up, or promise what cannot be; no zip file's directory may fill the memory, and no
two of its members share bytes; and nothing unpacks to out of all proportion.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Sequence
from typing import IO

__all__ = ["LONGEST_HEADER", "Headers", "check_directory", "check_overlaps", "is_bomb"]

LONGEST_HEADER = 1 << 20
"""Bytes; no honest long name or extended header is larger."""

_MOST_BLOCKS = 1_000
"""Headers before one member's content. An honest one has up to five, and a sparse file's map some more."""

_MOST_SHARED = 1 << 18
"""Bytes of all headers that hold for the rest of the archive: `tarfile` keeps and copies them for each member."""

_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_KIND = slice(156, 157)
_LENGTH = re.compile(rb"(\d{1,8}) [^=\n]{1,1000}=")
_DIGITS = re.compile(rb"\d+")

_MOST_STEPS = 20_000_000
"""Of a search that begins anew at each digit, as `tarfile` makes it: half the square of each number's length, which is a
fifth of a second. A name may have 255 digits in a row, and a path thousands of such names."""

_ENTRY = 46
"""Bytes that a zip file's directory spends on each member at least."""

_RATIO_FROM = 1 << 24
"""Small files of text, and images of one colour, pack well: a ratio says something only past this many bytes."""


def is_bomb(unpacked: int, packed: int, ratio: float) -> bool:
    """Whether so many bytes out of so few are those of a file that was made to fill a disk."""
    return unpacked > _RATIO_FROM and unpacked > ratio * max(1, packed)


def check_directory(file: IO[bytes], most: int) -> None:
    """Hold the length of a zip file's directory against what may be in it before it is read: each entry takes room in memory.

    Raises:
        zipfile.BadZipFile: it tells of more members.
    """
    record = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if record and record[5] > most * (_ENTRY + 20):
        raise zipfile.BadZipFile(f"its directory holds more members than the limit of {most:,}")


def check_overlaps(members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse the trick of the smallest bombs: many members that share the same packed bytes.

    Raises:
        zipfile.BadZipFile: two do.
    """
    ends = 0
    for info in sorted(members, key=lambda each: each.header_offset):
        if info.header_offset < ends:
            raise zipfile.BadZipFile("its members overlap, as in archives made to fill a disk")
        ends = info.header_offset + info.compress_size


class Headers:
    """Holds an archive's headers, as they are read, against what honest ones hold.

    `tarfile` reads some of them in a time and with a memory that grow with the square of their length.
    """

    def __init__(self) -> None:
        self._blocks = self._shared = self._end = 0
        self._extended = b""  # The kind of header whose content is read next: an extended one, or a long name.

    def take(self, data: bytes) -> None:
        """Judge what was read as a header or its content.

        Raises:
            tarfile.HeaderError: it is made to take much to read.
        """
        if self._extended:
            kind, self._extended = self._extended, b""
            if kind in _LONG_NAMES:
                return
            _check_records(data)
            if kind == tarfile.XGLTYPE:
                self._shared += len(data)
                if self._shared > _MOST_SHARED:
                    raise tarfile.HeaderError("the headers that hold for all of it are far too long")
        elif len(data) == tarfile.BLOCKSIZE:
            self._blocks += 1
            if self._blocks > _MOST_BLOCKS:
                raise tarfile.HeaderError(f"one of its members has more than {_MOST_BLOCKS:,} headers")
            if data[_KIND] in (*_EXTENDED, *_LONG_NAMES):
                self._extended = data[_KIND]

    def end(self, member: tarfile.TarInfo) -> None:
        """Hold a member's size and place against what came before it, once its headers are read.

        Raises:
            tarfile.HeaderError: its size is negative, or it lies before or within what was read.
        """
        self._blocks, self._extended = 0, b""
        if member.size < 0:
            raise tarfile.HeaderError(f"a member's size is {member.size:,}")
        if member.offset < self._end or member.offset_data <= member.offset:
            raise tarfile.HeaderError("its members overlap or go back, as in archives made to be read for ever")
        self._end = member.offset_data


def _check_records(data: bytes) -> None:
    """Hold the content of an extended header to its form: records of ``LENGTH KEY=VALUE``, one behind the other.

    `tarfile` goes on wherever a length says. Where that is within the record, it takes all that follows for a name, again and
    again, and keeps each.
    """
    at, end = 0, len(data.rstrip(b"\0"))
    while at < end:
        found = _LENGTH.match(data, at)
        length = int(found[1]) if found else 0
        if found is None or at + length > end or found.end() >= at + length or data[at + length - 1] != 0x0A:
            raise tarfile.HeaderError("one of its extended headers has no records")
        at += length
    if sum(len(number) ** 2 for number in _DIGITS.findall(data)) > 2 * _MOST_STEPS:
        raise tarfile.HeaderError("one of its extended headers holds endless numbers")
