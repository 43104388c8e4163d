"""From what the user names to images: whatever it is, a folder, a list, an archive, a web site or a bucket."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError, UsageError, require
from logolens.io.files import open_regular
from logolens.io.images import read_bytes
from logolens.io.names import file_name
from logolens.io.sources.archives import SEPARATOR, archive_images
from logolens.io.sources.buckets import bucket_images, bucket_source, is_bucket
from logolens.io.sources.gaps import Gaps
from logolens.io.sources.lists import LIST_SUFFIXES, listed
from logolens.io.sources.local import STDIN, expand, walk
from logolens.io.sources.mime import ARCHIVE_SUFFIXES, HEAD, SCANNED_SUFFIXES, kind_of, suffix_of
from logolens.io.sources.pdf import pdf_images
from logolens.io.sources.source import Source, stamp_of
from logolens.io.sources.urls import Url, is_url, redacted
from logolens.io.sources.videos import Videos

if TYPE_CHECKING:
    from logolens.io.sources.client import Client

__all__ = ["gather", "reopen"]


def gather(
    arguments: Iterable[str],
    settings: SourceSettings = SourceSettings(),
    *,
    limits: Limits = Limits(),
    gaps: Gaps | None = None,
    left: Callable[[str], object] | None = None,
    videos: Videos | None = None,
) -> Iterator[Source]:
    """All images that the arguments name, one by one, found as they are asked for.

    An argument is a file or folder, a pattern, a list (.txt, .csv, .tsv, .jsonl, or @FILE for one of any name), an archive,
    a PDF file, the URL of an image or of a web site, which is crawled, or a bucket's address. What a list names is taken as
    it is: URLs in it are those of images and are not crawled. One bad item ends nothing: it is a source with a problem.

    Args:
        arguments: what to look through.
        settings: how far and how politely.
        limits: how large an image may be.
        gaps: told of what could not be looked into.
        left: told of each linked folder that is not followed.
        videos: tells videos from images; without it a video that is named is taken for an image, and one in a folder left out.

    Raises:
        UsageError: there are no arguments, one is empty, or a list has no column of images; the first two before the
            first source.
    """
    given = list(arguments)
    if not given:
        raise UsageError("Nothing was named to look through; give folders, files, lists, URLs or buckets.")
    if any(not name.strip() for name in given):
        raise UsageError("One of the arguments is empty; check the quotes and variables in the command.")
    if given.count(STDIN) > 1:
        raise UsageError("Standard input (-) can be given only once, for it holds one image.")
    gaps = gaps if gaps is not None else Gaps()
    return gaps.watched(_Gathering(settings, limits, gaps, left, videos).all(given))


def reopen(name: str, settings: SourceSettings = SourceSettings(), *, limits: Limits = Limits()) -> Source:
    """One image again, by the name that `gather` gave it; nothing is walked or crawled.

    What stood in a page itself (``inline:``) has no address to be had from again, and a URL whose secrets were starred
    out cannot be asked for: both come as a source with a problem.

    Args:
        name: a source's name.
        settings: as they were for `gather`.
        limits: how large an image may be.
    """
    gathering = _Gathering(settings, limits, Gaps())
    if name.startswith("inline:"):
        return Source(name, problem=f"{name}: this image stands in a page and has no address of its own.")
    container, inside, member = name.partition(SEPARATOR)
    if inside and member:
        found = next((each for each in gathering.argument(container, crawled=False) if each.name == name), None)
        return found or Source(name, problem=f"{name}: the archive holds no such file any more.")
    return next(gathering.listed_item(name, Path(), single=True))


@functools.lru_cache(maxsize=2)
def _client(settings: SourceSettings) -> Client:
    """One client for all that is reopened, for it holds the rates and the connections."""
    for module in ("httpcore2", "lxml", "protego"):
        require(module, "web")
    from logolens.io.sources.client import Client

    return Client(settings)


class _Gathering:
    def __init__(
        self,
        settings: SourceSettings,
        limits: Limits,
        gaps: Gaps,
        left: Callable[[str], object] | None = None,
        videos: Videos | None = None,
    ) -> None:
        self._settings, self._limits, self._gaps, self._left, self._videos = settings, limits, gaps, left, videos
        self._suffixes = SCANNED_SUFFIXES if videos is None else videos.suffixes

    def all(self, arguments: list[str]) -> Iterator[Source]:
        for name in arguments:
            yield from self.argument(name)

    def argument(self, name: str, *, crawled: bool = True) -> Iterator[Source]:
        """The images that one argument names."""
        if is_url(name):
            yield from self._url(name, crawled=crawled)
        elif name.lower().startswith("file://"):
            yield from self.argument(unquote(urlsplit(name).path))
        elif is_bucket(name) and not os.path.lexists(name):
            yield from bucket_images(name, self._settings, self._limits)
        elif name == STDIN:
            yield from expand([name], limits=self._limits, left=self._left)
        elif name.startswith("@") and not os.path.lexists(name) and os.path.isfile(name[1:]):
            yield from self._listed(Path(name[1:]))
        elif os.path.isdir(name):
            yield from self._folder(name)
        elif os.path.isfile(name):
            yield from self._file(Path(name), name, named=True)
        else:
            for source in expand([name], limits=self._limits, left=self._left):
                # A pattern's matches may be anything that a file named outright may be.
                if source.path is None or not source.path.is_file():
                    # A folder's disk may be unplugged.
                    yield replace(source, hides=True) if source.problem is None else source
                else:
                    yield from self._file(source.path, source.name, named=True)

    def listed_item(self, text: str, folder: Path, *, single: bool = False) -> Iterator[Source]:
        """What a line of a list names: an image, wherever it is."""
        if is_url(text):
            yield from self._url(text, crawled=False)
        elif is_bucket(text) and not text.lower().startswith("file://"):
            yield bucket_source(text)
        else:
            path = _named(folder, text)
            if single or not (path.is_dir() or path.is_file()):
                yield Source(str(path), path)
            elif path.is_dir():
                yield from self._folder(str(path))
            else:
                yield from self._file(path, str(path), named=True, lists=False)

    def _url(self, text: str, *, crawled: bool) -> Iterator[Source]:
        url = Url.parse(text)
        if url is None:
            yield Source(
                redacted(text.strip()), problem=f"{redacted(text.strip())}: this is no URL that can be asked for."
            )
            return
        client = _client(self._settings)
        client.remember(url)
        url = Url(url.scheme, url.host, url.port, url.target)
        from logolens.io.sources.crawl import crawl, fetcher

        if not crawled:
            yield fetcher(client, url)
            return
        yield from crawl(url, client, self._settings, self._limits, self._gaps)

    def _folder(self, name: str) -> Iterator[Source]:
        refused: list[OSError] = []
        found = False
        follow = self._settings.follow_links
        paths = walk(name, suffixes=None, folder_links=follow, on_error=refused.append, left=self._left)
        for path in paths:
            for source in self._file(path, str(path), named=False):
                found = True
                yield source
        for error in refused:
            yield Source(
                str(error.filename), problem=f"{error.filename}: cannot be read ({error.strerror}).", hides=True
            )
        if not found and not refused and not self._gaps.left_below(name):
            yield Source(name, problem=f"{name}: this folder holds no files that end as images do, as in .jpg or .png.")

    def _listed(self, path: Path) -> Iterator[Source]:
        """The images that a list names, a line or a row each."""
        for text, problem in listed(path, self._settings.column):
            if problem is not None:
                yield Source(text, problem=problem)
            else:
                yield from self.listed_item(text, path.parent)

    def _file(self, path: Path, name: str, *, named: bool, lists: bool = True) -> Iterator[Source]:
        """A file's images: a file named outright is judged by its bytes too, one found in a folder by its ending."""
        suffix = suffix_of(path.name)
        if named and lists and suffix in LIST_SUFFIXES:
            yield from self._listed(path)
            return
        kind = _kind(path) if named else ""
        inside = named or self._settings.inside
        if inside and (path.name.lower().endswith(ARCHIVE_SUFFIXES) or kind in ("zip", "tar")):
            size = stamp_of(path)
            opener = functools.partial(open_regular, path)
            yield from archive_images(name, opener, (size and size.size) or 0, self._settings, self._limits)
        elif inside and (suffix == ".pdf" or kind == "pdf"):
            stamp = stamp_of(path)
            try:
                data = read_bytes(path, self._limits)
            except ImageError as error:
                yield Source(name, problem=str(error), hides=True)
                return
            yield from pdf_images(name, data, stamp, self._limits)
        elif named or suffix in self._suffixes:
            source = Source(name, path) if self._videos is None else self._videos.source(name, path, named=named)
            if source is None:
                self._gaps.leave(name)
            else:
                yield source


def _named(folder: Path, text: str) -> Path:
    """The file that a line of a list names, as it is called, as a ``file://`` address, or as a result of ours writes it."""
    if text.lower().startswith("file://"):
        return folder / unquote(urlsplit(text).path, errors="surrogateescape")
    path = folder / text
    if not os.path.lexists(path) and os.path.lexists(written := folder / file_name(text)):
        return written
    return path


def _kind(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return kind_of(file.read(HEAD))
    except OSError:
        return ""
