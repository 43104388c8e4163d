"""Sitemaps: the pages that a site says it has, and the images on them."""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from logolens.errors import ImageError
from logolens.io.sources.client import Client, said
from logolens.io.sources.mime import decoded
from logolens.io.sources.robots import Robots
from logolens.io.sources.urls import Url

__all__ = ["SitemapEntry", "read_sitemap", "sitemap_entries"]

_MOST_BYTES = 60_000_000
_MOST_SITEMAPS = 1_000
_LOC = re.compile(r"<(?:\w{1,20}:)?loc\b[^>]{0,200}>\s*(?:<!\[CDATA\[)?([^<\]]{1,8000})", re.I)
_OTHER = re.compile(r"<(?:image|video|news|xhtml):", re.I)
_ENTRY = re.compile(r"<(?:\w{1,20}:)?(url|sitemap)\s*>", re.I)


@dataclass
class SitemapEntry:
    """One page of a sitemap, with the images that it is said to show; or a problem with the sitemap itself."""

    page: str | None
    images: list[str] = field(default_factory=list)
    problem: str | None = None


def read_sitemap(data: bytes) -> tuple[list[str], list[SitemapEntry]]:
    """Take a sitemap apart: the sitemaps that it names, and the pages. XML, gzip of it, or one URL a line.

    It is not parsed as XML: no entity can be made to grow, and a sitemap that breaks off half way gives its first half.
    """
    if data[:2] == b"\x1f\x8b":
        unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            data = unpack.decompress(data, _MOST_BYTES)
        except zlib.error:
            return [], []
    text = decoded(data)
    if "<" not in text[:1000]:
        return [], [SitemapEntry(line.strip()) for line in text.splitlines() if line.strip()]
    starts = [*_ENTRY.finditer(text)]
    further: list[str] = []
    pages: list[SitemapEntry] = []
    for index, start in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
        entry = SitemapEntry(None)
        for found in _LOC.finditer(text, start.end(), end):
            address = html.unescape(found[1].strip())
            if _OTHER.match(found[0]):
                if found[0][1:6].lower() == "image":
                    entry.images.append(address)
                continue
            entry.page = entry.page or address
        if entry.page is None:
            continue
        if start[1].lower() == "sitemap":
            further.append(entry.page)
        else:
            pages.append(entry)
    return further, pages


def sitemap_entries(client: Client, robots: Robots, start: Url) -> Iterator[SitemapEntry]:
    """All that the sitemaps of a site name: those of its robots.txt, or else the one at the usual place."""
    named = robots.sitemaps(start)
    todo = [address for text in named if (address := Url.parse(text, start.text))]
    usual = not todo
    if usual:
        todo = [Url(start.scheme, start.host, start.port, "/sitemap.xml")]
    seen: set[str] = set()
    while todo:
        url = todo.pop(0)
        if url.text in seen or len(seen) >= _MOST_SITEMAPS:
            continue
        seen.add(url.text)
        try:
            answer = client.get(url, _MOST_BYTES, check=robots.check)
        except ImageError as error:
            yield SitemapEntry(url.name, problem=str(error))
            continue
        if not 200 <= answer.status < 300:
            if not usual:
                yield SitemapEntry(url.name, problem=f"{url.name}: {said(answer)}; this sitemap was not read.")
            continue
        further, pages = read_sitemap(answer.body)
        todo += [address for text in further if (address := Url.parse(text, url.text))]
        yield from pages
