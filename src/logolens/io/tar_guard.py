"""What tar files are held to beside what `tarfile` asks: no header may take it back, hold it up, or promise what cannot be."""

from __future__ import annotations

import re
import tarfile

__all__ = ["LONGEST_HEADER", "check_header", "check_member"]

LONGEST_HEADER = 1 << 20
"""Bytes; no honest long name or extended header is larger."""

_DIGITS = re.compile(rb"\d{300}")
"""More than a file's name may have in a row: names of digits are honest."""


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
