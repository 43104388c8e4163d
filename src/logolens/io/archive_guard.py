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

__all__ = ["LONGEST_HEADER", "check_directory", "check_header", "check_member", "check_overlaps", "is_bomb"]

LONGEST_HEADER = 1 << 20
"""Bytes; no honest long name or extended header is larger."""

_DIGITS = re.compile(rb"\d{300}")
"""More than a file's name may have in a row: names of digits are honest."""


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


def check_header(data: bytes) -> None:
    """Hold the content of an extended header against what honest ones hold.

    Python's reader looks for numbers in it in a time that grows with the square of their length.

    Raises:
        tarfile.HeaderError: it holds a number that is no number of anything.
    """
    if len(data) > tarfile.BLOCKSIZE and _DIGITS.search(data):
        raise tarfile.HeaderError("one of its headers holds a number of 300 digits or more")


def check_member(member: tarfile.TarInfo, before: int) -> int:
    """Hold a member's size and place against what came before it.

    Args:
        member: as `tarfile` read it.
        before: what this gave for the member before it.

    Returns:
        Where this member's content begins, before which nothing more may stand.

    Raises:
        tarfile.HeaderError: its size is negative, or it lies before or within what was read.
    """
    if member.size < 0:
        raise tarfile.HeaderError(f"a member's size is {member.size:,}")
    if member.offset < before or member.offset_data <= member.offset:
        raise tarfile.HeaderError("its members overlap or go back, as in archives made to be read for ever")
    return member.offset_data
