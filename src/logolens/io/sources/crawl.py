"""A web site: its pages from the first one on, and every image that stands on them.

The pages of one depth are all read before those of the next, so that what is found does not depend on which server was
quicker. Whatever a page leads to is bounded: by depth, by the number of pages, and by what one site is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError
from logolens.io.images import content_hash
from logolens.io.sources.client import Answer, Client, said
from logolens.io.sources.css import read_css
from logolens.io.sources.gaps import Gaps
from logolens.io.sources.html import Page, read_html
from logolens.io.sources.inline import data_of, drawing_file, read_manifest
from logolens.io.sources.mime import HEAD, SCANNED_SUFFIXES, decoded, kind_of, suffix_of
from logolens.io.sources.robots import Robots
from logolens.io.sources.sitemaps import sitemap_entries
from logolens.io.sources.source import Fetched, Source, Stamp
from logolens.io.sources.urls import Url, digest_of, same_site

__all__ = ["crawl", "fetcher"]

_NO_PAGES = re.compile(
    r"\.(7z|aac|apk|avi|bin|bz2|css|csv|deb|dmg|docx?|eot|epub|exe|flac|flv|gz|ics|iso|jar|js|json|m4[av]|mkv|mov|mp[34g]|"
    r"mpeg|msi|og[gv]|otf|pkg|pptx?|rar|rpm|rtf|swf|tar|tgz|ttf|txt|wav|webm|wma|wmv|woff2?|xlsx?|xz|zip|asc|sig|md5|map|wasm)"
)
_MOST_SHEETS = 5_000
_MOST_REPEATS = 5  # of one part in a path, as in /a/a/a/a/a/a, which links relative to nowhere make without end
_GONE = (404, 410)
_WINDOW = 2  # pages under way for each connection


def fetcher(client: Client, url: Url, robots: Robots | None = None) -> Source:
    """A source that reads an image from the web when it is asked to."""

    def fetch(limits: Limits, known: Stamp | None) -> Fetched | None:
        return client.image(url, limits, known, robots.check if robots is not None else None)

    return Source(url.name, fetch=fetch, needs_login=client.has_login(url))


def crawl(
    start: Url, client: Client, settings: SourceSettings, limits: Limits = Limits(), gaps: Gaps | None = None
) -> Iterator[Source]:
    """The images of a site, from one of its pages on. Where the address is that of an image, that image alone.

    An image that further pages show comes again for each of them, with ``repeated`` set. Pages that cannot be read come
    as sources with a problem.

    Args:
        start: the first page.
        client: what fetches.
        settings: how far to go.
        limits: how large an image may be.
        gaps: told of the pages that were read.
    """
    yield from _Crawl(start, client, settings, limits, gaps if gaps is not None else Gaps()).run()


@dataclass
class _Visit:
    """What asking for a page gave."""

    answer: Answer | None = None
    page: Page | None = None
    problem: str | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the server says that there is no such page any more."""
        return self.answer is not None and self.answer.status in _GONE


@dataclass
class _Shared:
    """A stylesheet or manifest, which many pages name: what is in it, and the pages that wait to be told."""

    depth: int
    done: bool = False
    images: list[str] = field(default_factory=list)
    imports: list[Url] = field(default_factory=list)
    base: str = ""
    problem: str | None = None
    lost: bool = False
    pages: list[str] = field(default_factory=list)


class _OutsideError(ImageError):
    """A redirect leads to another site, which is not followed and no failure."""


class _Crawl:
    def __init__(self, start: Url, client: Client, settings: SourceSettings, limits: Limits, gaps: Gaps) -> None:
        self._start, self._client, self._settings, self._limits = start, client, settings, limits
        self._gaps = gaps
        self._robots = Robots(client, settings)
        self._pages: set[bytes] = set()
        self._visited: set[bytes] = set()
        self._images: set[bytes] = set()
        self._shared: dict[str, _Shared] = {}
        self._futures: dict[Future[_Visit], tuple[int, Url, str | None] | tuple[Url, str]] = {}
        self._scheduled = 0
        self._left_out = 0

    def run(self) -> Iterator[Source]:
        workers = ThreadPoolExecutor(self._settings.connections + 2, thread_name_prefix="logolens-crawl")
        try:
            yield from self._run(workers)
        finally:
            workers.shutdown(wait=True, cancel_futures=True)

    def _run(self, workers: ThreadPoolExecutor) -> Iterator[Source]:
        level: list[tuple[Url, str | None]] = []
        self._enter(level, self._start, None)
        for depth in range(self._settings.depth + 1):
            found: list[tuple[int, list[tuple[Url, str]]]] = []
            yield from self._read_level(workers, level, found, last=depth == self._settings.depth)
            level = []
            for _, links in sorted(found, key=lambda each: each[0]):
                for url, page in links:
                    self._enter(level, url, page)
            if depth == 0 and self._settings.depth > 0 and self._visited:
                yield from self._sitemaps(level)
        if self._left_out:
            yield Source(
                self._start.name,
                problem=f"{self._start.name}: {self._left_out} more links were found than --max-pages "
                f"{self._settings.max_pages} lets be read; raise it to see them all.",
                hides=True,
            )

    def _enter(self, level: list[tuple[Url, str | None]], url: Url, page: str | None) -> None:
        """Put a page on the list, unless it is there, or is one too many."""
        if not self._is_page(url) or not _is_new(self._pages, url.text):
            return
        if self._scheduled >= self._settings.max_pages:
            self._left_out += 1
            return
        self._scheduled += 1
        level.append((url, page))

    def _is_page(self, url: Url) -> bool:
        if url.text == self._start.text:
            return True
        if not same_site(url, self._start, subdomains=self._settings.subdomains):
            return False
        parts = [part for part in url.path.split("/") if part]
        return not _NO_PAGES.fullmatch(suffix_of(url.path)) and all(
            parts.count(part) <= _MOST_REPEATS for part in set(parts)
        )

    def _sitemaps(self, level: list[tuple[Url, str | None]]) -> Iterator[Source]:
        for entry in sitemap_entries(self._client, self._robots, self._start):
            if entry.problem is not None:
                yield Source(
                    entry.page or self._start.name, problem=entry.problem, places=(self._start.name,), hides=True
                )
                continue
            url = Url.parse(entry.page or "", self._start.text)
            if url is not None:
                self._enter(level, url, None)
                for address in entry.images:
                    yield from self._image(address, url.text, url.name)

    def _read_level(
        self,
        workers: ThreadPoolExecutor,
        level: list[tuple[Url, str | None]],
        found: list[tuple[int, list[tuple[Url, str]]]],
        *,
        last: bool,
    ) -> Iterator[Source]:
        waiting = iter(enumerate(level))
        window = self._settings.connections * _WINDOW
        more = True
        while more or self._futures:
            while more and len(self._futures) < window:
                following = next(waiting, None)
                if following is None:
                    more = False
                    break
                index, (url, page) = following
                self._futures[workers.submit(self._visit, url)] = (index, url, page)
            if not self._futures:
                break
            for future in wait(self._futures, return_when=FIRST_COMPLETED).done:
                task = self._futures.pop(future)
                if len(task) == 2:
                    yield from self._take_shared(workers, *task, future.result())
                    continue
                index, url, referrer = task
                links: list[tuple[Url, str]] = []
                yield from self._take_page(workers, url, referrer, future.result(), links)
                if not last:
                    found.append((index, links))

    def _visit(self, url: Url) -> _Visit:
        """Fetch a page; in a thread of its own."""

        def check(each: Url) -> None:
            # The address that the user gave may redirect to where the site is now; the pages found may not lead out.
            redirected = url.text not in (each.text, self._start.text)
            if redirected and not same_site(each, self._start, subdomains=self._settings.subdomains):
                raise _OutsideError("outside")
            self._robots.check(each)

        pdf = self._settings.inside and suffix_of(url.path) == ".pdf"
        most = (
            self._limits.max_bytes if pdf or suffix_of(url.path) in SCANNED_SUFFIXES else self._settings.max_page_bytes
        )
        try:
            answer = self._client.get(url, most, check=check, wanted=_is_wanted)
        except ImageError as error:
            outside = isinstance(error.__cause__, _OutsideError)
            return _Visit(problem=None if outside else str(error))
        if not 200 <= answer.status < 300:
            return _Visit(answer, problem=f"{url.name}: {said(answer)}; this page was not read.")
        page = None
        if kind_of(answer.body[:HEAD]) == "text":
            page = read_html(decoded(answer.body, _charset(answer)))
        return _Visit(answer, page)

    def _take_page(
        self, workers: ThreadPoolExecutor, url: Url, referrer: str | None, visit: _Visit, links: list[tuple[Url, str]]
    ) -> Iterator[Source]:
        places = (referrer,) if referrer else ()
        if visit.problem is not None:
            yield Source(url.name, problem=visit.problem, places=places, hides=not visit.is_gone)
        if visit.problem is None or visit.is_gone:
            self._gaps.read(url.name)
        if visit.answer is None or visit.problem is not None:
            return
        here = visit.answer.url
        if url.text == self._start.text and here.text != url.text:
            # What the first address redirects to is the site that was meant.
            self._start = here
            self._pages.add(digest_of(here.text))
        if not _is_new(self._visited, here.text):
            return  # Another address that leads to the same page.
        if visit.page is None:
            yield from self._take_file(visit.answer, places)
            return
        self._gaps.read(here.name)
        yield from self._take_parts(workers, visit.page, visit.answer, links)

    def _take_parts(
        self, workers: ThreadPoolExecutor, page: Page, answer: Answer, links: list[tuple[Url, str]]
    ) -> Iterator[Source]:
        """What a page shows, and where it leads to."""
        here, base = answer.url, answer.url.text
        if page.base and (named := Url.parse(page.base, base)):
            base = named.text
        for address in page.images:
            yield from self._image(address, base, here.name)
        for drawing in page.drawings:
            yield from self._inline(drawing_file(drawing), "svg", here.name)
        for address in page.sheets + page.manifests:
            sheet = Url.parse(address, base)
            if sheet is not None:
                yield from self._subscribe(workers, sheet, here.name, 0)
        obeyed = self._settings.robots
        follow = page.follow and "nofollow" not in answer.headers.get("x-robots-tag", "").lower()
        for address in page.links:
            link = Url.parse(address, base)
            if link is None:
                continue
            if suffix_of(link.path) in SCANNED_SUFFIXES:
                # What is linked as an image is one, also where another host keeps it.
                yield from self._image(address, base, here.name)
            elif follow or not obeyed:
                links.append((Url(link.scheme, link.host, link.port, link.target), here.name))

    def _take_file(self, answer: Answer, places: tuple[str, ...]) -> Iterator[Source]:
        """A link that leads to no page: an image is taken, a PDF file looked into, anything else left."""
        kind = kind_of(answer.body[:HEAD])
        if kind in ("image", "svg"):
            if _is_new(self._images, answer.url.text):
                yield Source(answer.url.name, data=answer.body, stamp=answer.stamp, places=places)
        elif kind == "pdf" and self._settings.inside:
            from logolens.io.sources.pdf import pdf_images

            yield from pdf_images(answer.url.name, answer.body, answer.stamp, self._limits, places=places)

    def _subscribe(self, workers: ThreadPoolExecutor, url: Url, page: str, depth: int) -> Iterator[Source]:
        """Have a page told of what a stylesheet shows, now or once it is there."""
        shared = self._shared.get(url.text)
        if shared is None:
            if len(self._shared) >= _MOST_SHEETS or depth > _MOST_REPEATS:
                return
            shared = self._shared[url.text] = _Shared(depth)
            self._futures[workers.submit(self._visit_shared, url)] = (url, url.text)
        if shared.done:
            yield from self._sources_of(workers, shared, url, page)
        elif page not in shared.pages:
            shared.pages.append(page)

    def _visit_shared(self, url: Url) -> _Visit:
        try:
            answer = self._client.get(url, self._settings.max_page_bytes, check=self._robots.check)
        except ImageError as error:
            return _Visit(problem=str(error))
        if not 200 <= answer.status < 300:
            return _Visit(answer, problem=f"{url.name}: {said(answer)}; this stylesheet was not read.")
        return _Visit(answer)

    def _take_shared(self, workers: ThreadPoolExecutor, url: Url, key: str, visit: _Visit) -> Iterator[Source]:
        shared = self._shared[key]
        shared.done, shared.problem = True, visit.problem
        if visit.answer is not None and visit.problem is None:
            shared.base = visit.answer.url.text
            text = decoded(visit.answer.body, _charset(visit.answer))
            sheet = read_manifest(text) or read_css(text)
            shared.images = sheet.images
            shared.imports = [each for address in sheet.imports if (each := Url.parse(address, shared.base))]
        if shared.problem is not None:
            yield Source(url.name, problem=shared.problem, places=tuple(shared.pages), hides=not visit.is_gone)
            shared.lost = not visit.is_gone
        for page in shared.pages:
            yield from self._sources_of(workers, shared, url, page)
        shared.pages = []

    def _sources_of(self, workers: ThreadPoolExecutor, shared: _Shared, url: Url, page: str) -> Iterator[Source]:
        if shared.lost:
            self._gaps.unread(page)
        todo, seen = [(url, shared)], {url.text}
        while todo:
            _, sheet = todo.pop()
            for address in sheet.images:
                yield from self._image(address, sheet.base, page)
            for each in sheet.imports:
                if each.text in seen:
                    continue
                seen.add(each.text)
                further = self._shared.get(each.text)
                if further is not None and further.done:
                    todo.append((each, further))
                else:
                    yield from self._subscribe(workers, each, page, sheet.depth + 1)

    def _image(self, address: str, base: str, page: str) -> Iterator[Source]:
        """An image on a page, as a source; also of one that was met before, for the page's sake."""
        if address[:5].lower() == "data:":
            data = data_of(address)
            if data:
                yield from self._inline(data, kind_of(data[:HEAD]), page)
            return
        url = Url.parse(address, base)
        if url is None:
            return
        if _is_new(self._images, url.text):
            yield replace(fetcher(self._client, url, self._robots), places=(page,))
        else:
            yield Source(url.name, places=(page,), repeated=True)

    def _inline(self, data: bytes, kind: str, page: str) -> Iterator[Source]:
        """An image that stands in the page itself. It has no address, so it is called by its content."""
        if kind not in ("image", "svg") or len(data) > self._limits.max_bytes:
            return
        name = f"inline:{kind}/{content_hash(data)[:32]}"
        if _is_new(self._images, name):
            yield Source(name, data=data, stamp=Stamp(size=len(data), etag=name), places=(page,))
        else:
            yield Source(name, places=(page,), repeated=True)


def _is_new(seen: set[bytes], text: str) -> bool:
    digest = digest_of(text)
    if digest in seen:
        return False
    seen.add(digest)
    return True


def _is_wanted(head: bytes) -> bool:
    return kind_of(head[:HEAD]) in ("text", "image", "svg", "pdf")


def _charset(answer: Answer) -> str | None:
    found = re.search(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", answer.headers.get("content-type", ""), re.I)
    return found[1] if found else None
