"""What a gathering could not look into: what stood there the last time is not met again, and still need not be gone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from logolens.io.sources.archives import SEPARATOR
from logolens.io.sources.source import Source
from logolens.io.sources.urls import digest_of, is_url

__all__ = ["Gaps"]

_ENDS = re.compile(f"{re.escape(SEPARATOR)}|/")
_WILD = re.compile(r"[^/]*[*?\[].*", re.DOTALL)


class Gaps:
    """Remembers which folders, archives and buckets could not be listed, and which sites not be gone through whole.

    A thread may draw the sources while another waits; it is asked when all are drawn.
    """

    def __init__(self) -> None:
        self._containers: set[str] = set()
        self._sites: set[str] = set()
        self._read: set[bytes] = set()
        self._left: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._containers or self._sites or self._left)

    def watched(self, sources: Iterable[Source]) -> Iterator[Source]:
        """The sources as they come; those that hide others are remembered."""
        for source in sources:
            if source.hides and is_url(source.name):
                self._sites.add(_site(source.name))
            elif source.hides:
                # Of a bucket's pattern, all below the folder in which it begins; elsewhere brackets are part of a name.
                name = _WILD.sub("", source.name) if "://" in source.name else source.name
                self._containers.add(name.rstrip("/"))
            yield source

    def leave(self, name: str) -> None:
        """Say that a file is there and was left out, for what reads it is not installed."""
        self._left.add(name)

    def left_below(self, folder: str) -> bool:
        """Whether a file below this folder was left out."""
        return any(Path(name).is_relative_to(folder) for name in self._left)

    def read(self, page: str) -> None:
        """Say that all that a page shows was met, or that the page is gone."""
        self._read.add(digest_of(page))

    def unread(self, page: str) -> None:
        """Say that a part of what a page shows was not met after all."""
        self._read.discard(digest_of(page))

    def hold(self, name: str, places: Iterable[str]) -> tuple[bool, tuple[str, ...]]:
        """Whether an image that was not met may stand where it stood, and on which of its pages.

        Args:
            name: what the image is called.
            places: the pages on which it stood.
        """
        if name in self._left or any(name[: end.start()] in self._containers for end in _ENDS.finditer(name)):
            return True, tuple(places)
        left = tuple(page for page in places if _site(page) in self._sites and digest_of(page) not in self._read)
        return bool(left), left


def _site(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
