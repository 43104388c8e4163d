"""One image that was asked for: what it is called, where it stands, and how its bytes are had."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from logolens.config import Limits
from logolens.errors import ImageError
from logolens.io.images import read_bytes

__all__ = ["Fetched", "Source", "Stamp", "stamp_of"]


@dataclass(frozen=True)
class Stamp:
    """What tells, without reading an image, whether it is still the one that was read before.

    Attributes:
        size: bytes.
        modified: when the file was last written, in seconds since 1970.
        etag: the server's mark, as it was sent; of an archive's member, its checksum.
        last_modified: the server's date, as it was sent.
    """

    size: int | None = None
    modified: float | None = None
    etag: str | None = None
    last_modified: str | None = None

    def is_same(self, known: Stamp | None) -> bool:
        """Whether both stand for the same bytes. What says too little is never the same."""
        if known is None or self.size != known.size:
            return False
        if self.etag is not None or known.etag is not None:
            return self.etag == known.etag
        return self.size is not None and self.modified is not None and self.modified == known.modified


@dataclass(frozen=True)
class Fetched:
    """An image's bytes, with the stamp that they were read under."""

    data: bytes
    stamp: Stamp


@dataclass(frozen=True)
class Source:
    """One image that was asked for.

    Attributes:
        name: what the user would call it, and its identity in results: the path as given, or the folder as given plus
            what was found below it; a URL without credentials and fragment; ``archive.zip!/member.png``.
        path: the file, or None for what is no plain file and for what was not found.
        data: the bytes, where they came with the source (standard input, a stream).
        problem: a sentence that says why there is nothing to read, or None.
        places: the addresses of the pages that show the image; empty for files.
        stamp: what is known of it before it is read.
        fetch: gets the bytes of what is no plain file. It is given the limits and the stamp that a former scan knew,
            answers None when nothing has changed since, and raises ImageError. Any thread may call it.
        repeated: the name was yielded before; this one only tells of further places.
        hides: whether other images may stand behind it that are not met for it, as in a folder that cannot be read; see
            `logolens.io.sources.gaps`.
        is_video: whether it is a video, of which frames are looked at; its ``path`` is then a file, or its ``problem`` told.
        needs_login: what fetches it holds a login that its name does not tell, so that no other process can fetch it.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None
    problem: str | None = None
    places: tuple[str, ...] = ()
    stamp: Stamp | None = None
    fetch: Callable[[Limits, Stamp | None], Fetched | None] | None = None
    repeated: bool = False
    hides: bool = False
    needs_login: bool = False
    is_video: bool = False

    def read(self, limits: Limits = Limits()) -> bytes:
        """The image's bytes, read now.

        Raises:
            ImageError: it is missing, empty, too large, or cannot be read.
        """
        found = self.read_if_changed(limits, None)
        if found is None:  # Nothing was known that it could be the same as.
            raise ImageError(f"{self.name}: the server says that nothing has changed, but was not asked that.")
        return found[0]

    def read_if_changed(self, limits: Limits = Limits(), known: Stamp | None = None) -> tuple[bytes, Stamp] | None:
        """The image's bytes and the stamp to remember, or None when it is still what it was at ``known``.

        Raises:
            ImageError: as `read`.
        """
        if self.problem is not None:
            raise ImageError(self.problem)
        if self.stamp is not None and self.stamp.is_same(known):
            return None
        if self.data is not None:
            return self.data, self.stamp or Stamp(size=len(self.data))
        if self.fetch is not None:
            fetched = self.fetch(limits, known)
            return None if fetched is None else (fetched.data, fetched.stamp)
        path = self.path if self.path is not None else Path(self.name)
        # Taken before the bytes: a file that is written meanwhile then looks changed next time, never unchanged.
        stamp = stamp_of(path)
        if stamp is not None and stamp.is_same(known):
            return None
        data = read_bytes(self.name if self.path is None else path, limits)
        return data, stamp or Stamp(size=len(data))


def stamp_of(path: str | os.PathLike[str]) -> Stamp | None:
    """A file's stamp, or None where there is none to be had; reading it says why."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return Stamp(size=status.st_size, modified=status.st_mtime)
