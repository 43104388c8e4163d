"""Fetching over HTTP from servers that nobody vouches for, and as a guest of theirs.

Every answer is bounded: in bytes as sent and as unpacked, in redirects, in the silence between two bytes and in time as
a whole. Addresses are checked where the connection is made (see `addresses`), and so at each redirect too.
"""

from __future__ import annotations

import base64
import http
import threading
import time
import urllib.request
import weakref
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpcore2

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError, UsageError
from logolens.io.sources.mime import HEAD
from logolens.io.sources.source import Fetched, Stamp
from logolens.io.sources.ssrf_guard import Clock, GuardedBackend, is_private_literal
from logolens.io.sources.throttle import Hosts, backoff, retry_after
from logolens.io.sources.urls import Url

__all__ = ["Answer", "Client", "said"]

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BROKEN = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)
_MOST_CONNECTIONS = 64

Wanted = Callable[[bytes], bool]

Check = Callable[[Url], None]
"""Called with each address before it is asked, also after redirects; raises ImageError to refuse it."""


@dataclass(frozen=True)
class Answer:
    """What a server said.

    Attributes:
        url: where the answer came from, after redirects.
        status: the status code; 304 where nothing has changed.
        headers: by lower-case name; of headers sent twice the first.
        body: the bytes, unpacked; empty unless the status is 2xx.
    """

    url: Url
    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def stamp(self) -> Stamp:
        """What a later scan asks with."""
        return Stamp(
            size=len(self.body),
            etag=self.headers.get("etag"),
            last_modified=self.headers.get("last-modified"),
        )

    @property
    def type(self) -> str:
        """What the server says that the bytes are, lower case, without parameters; servers err in this."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class _AgainError(Exception):
    """This attempt failed in a way that the next one may not."""

    def __init__(self, reason: str, wait: float | None = None, answer: Answer | None = None) -> None:
        super().__init__(reason)
        self.wait = wait
        self.answer = answer


class Client:
    """An HTTP client for any number of threads.

    Args:
        settings: limits and manners.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings
        self.hosts = Hosts(settings)
        self._clock = Clock()
        self._pool = _pool(settings, self._clock)
        self._logins: dict[str, str] = {}
        self._lock = threading.Lock()
        # A client has no one moment of its end: sources that it fetches for are read long after they were found.
        self._closer = weakref.finalize(self, _close, self._pool, self.hosts)

    def close(self) -> None:
        """Close all connections; whoever waits for a turn is told that the scan was ended."""
        self._closer()

    def remember(self, url: Url) -> None:
        """Keep a URL's credentials for its origin. They go to no other, whatever redirects say, and into no result."""
        if url.login is not None:
            with self._lock:
                self._logins[url.origin] = base64.b64encode(":".join(url.login).encode()).decode("ascii")

    def has_login(self, url: Url) -> bool:
        """Whether credentials are kept for a URL's origin."""
        with self._lock:
            return url.origin in self._logins

    def image(self, url: Url, limits: Limits, known: Stamp | None = None, check: Check | None = None) -> Fetched | None:
        """An image's bytes, or None when the server says that it is still what it was.

        Raises:
            ImageError: it cannot be had; the sentence names the URL.
        """
        answer = self.get(url, limits.max_bytes, known=known, check=check)
        if answer.status == 304 and known is not None:
            return None
        if not 200 <= answer.status < 300:
            raise ImageError(f"{url.name}: {said(answer)}.")
        if not answer.body:
            raise ImageError(f"{url.name}: the server's answer is empty.")
        return Fetched(answer.body, answer.stamp)

    def get(
        self,
        url: Url,
        max_bytes: int,
        *,
        known: Stamp | None = None,
        check: Check | None = None,
        wanted: Wanted | None = None,
    ) -> Answer:
        """Ask for a URL, and again where that may help; redirects are followed.

        Args:
            url: where.
            max_bytes: most bytes of the body, as sent and as unpacked.
            known: what a former answer was stamped with; the server may then say 304.
            check: asked before each request, also of redirects.
            wanted: judges the first bytes; where it says no, the rest is not fetched and the body is left empty.

        Returns:
            The answer, whatever its status.

        Raises:
            ImageError: there is no answer, or it passes a limit; the sentence names the URL.
        """
        failures = 0
        while True:
            try:
                return self._follow(url, max_bytes, known, check, wanted)
            except _AgainError as error:
                failures += 1
                if failures > self.settings.retries:
                    if error.answer is not None:
                        return error.answer
                    tries = f" ({failures} attempts)" if failures > 1 else ""
                    raise ImageError(f"{url.name}: {error}{tries}.") from error
                wait = backoff(failures, error.wait, self.settings.max_wait)
                if error.wait is not None:
                    self.hosts.pause(url.authority, wait)
                else:
                    self.hosts.wait(wait)
            except ImageError as error:
                raise ImageError(f"{url.name}: {error}") from error

    def _follow(
        self, url: Url, max_bytes: int, known: Stamp | None, check: Check | None, wanted: Wanted | None
    ) -> Answer:
        seen: set[str] = set()
        here = url
        for _ in range(self.settings.max_redirects + 1):
            if here.text in seen:
                raise ImageError("the server's redirects lead in a circle.")
            seen.add(here.text)
            if self.settings.proxy and not self.settings.allow_private and is_private_literal(here.host):
                raise ImageError(f"{here.host} is not a public address, so the proxy is not asked for it.")
            if check is not None:
                check(here)
            with self.hosts.turn(here.authority):
                answer = self._once(here, max_bytes, known, wanted)
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                return answer
            there = Url.parse(_latin(answer.headers["location"]), here.text)
            if there is None:
                raise ImageError("the server redirects to what is no http or https address.")
            here = Url(there.scheme, there.host, there.port, there.target)
        raise ImageError(f"the server redirects more than {self.settings.max_redirects} times.")

    def _once(self, url: Url, max_bytes: int, known: Stamp | None, wanted: Wanted | None) -> Answer:
        timeout = self.settings.timeout
        self._clock.deadline = time.monotonic() + self.settings.max_time
        try:
            with self._pool.stream(
                "GET",
                httpcore2.URL(
                    scheme=url.scheme.encode(),
                    host=url.host.strip("[]").encode(),
                    port=url.port,
                    target=url.target.encode("ascii"),
                ),
                headers=self._headers(url, known),
                extensions={"timeout": {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}},
            ) as response:
                return self._received(url, response, max_bytes, wanted)
        except _BROKEN as error:
            if time.monotonic() >= self._clock.deadline:
                raise ImageError(
                    f"the server took longer than {self.settings.max_time:g} seconds; raise --max-time if it is only slow."
                ) from error
            raise _AgainError(_reason(error, timeout)) from error
        except httpcore2.UnsupportedProtocol as error:
            raise ImageError("only http and https are fetched.") from error
        finally:
            self._clock.deadline = float("inf")

    def _headers(self, url: Url, known: Stamp | None) -> list[tuple[bytes, bytes]]:
        headers = {
            "Host": url.authority,
            "User-Agent": self.settings.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "gzip, deflate",
        }
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        if known is not None and known.last_modified:
            headers["If-Modified-Since"] = known.last_modified
        with self._lock:
            login = self._logins.get(url.origin)
        if login is not None:
            headers["Authorization"] = f"Basic {login}"
        # A stamp comes back from a store and once came from a server: it may not end a line.
        return [
            (key.encode(), value.encode("latin-1", "ignore").translate(None, b"\r\n\0"))
            for key, value in headers.items()
        ]

    def _received(self, url: Url, response: httpcore2.Response, max_bytes: int, wanted: Wanted | None) -> Answer:
        headers: dict[str, str] = {}
        for key, value in response.headers:
            headers.setdefault(key.decode("latin-1").lower(), value.decode("latin-1").strip())
        status = response.status
        if status in _AGAIN:
            answer = Answer(url, status, headers)
            raise _AgainError(said(answer), retry_after(headers.get("retry-after")), answer)
        if not 200 <= status < 300:
            return Answer(url, status, headers)
        body = bytearray()
        length = headers.get("content-length", "")
        size = int(length[:18]) if length.isascii() and length.isdigit() else 0
        large = ImageError(f"the answer has {size:,} bytes, more than the limit of {max_bytes:,}.")
        if size > max_bytes and wanted is None:
            raise large
        for chunk in _unpacked(response, headers.get("content-encoding", ""), max_bytes):
            if wanted is not None and not wanted(chunk):
                return Answer(url, status, headers)
            wanted = None
            if size > max_bytes:
                raise large
            body += chunk
        return Answer(url, status, headers, bytes(body))


def _unpacked(response: httpcore2.Response, encoding: str, max_bytes: int) -> Iterator[bytes]:
    """The body in pieces, of which the first is large enough to tell what it is."""
    packing = encoding.strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise ImageError(f"the server packed its answer as {packing[:40]!r}, which was not asked for.")
    unpack = None
    sent = came = 0
    held = b""
    try:
        for chunk in response.iter_stream():
            if sent == 0 and packing not in ("", "identity"):
                unpack = _unpacker(packing, chunk)
            sent += len(chunk)
            held += chunk if unpack is None else unpack.decompress(chunk, max_bytes + 1 - came)
            if sent > max_bytes or came + len(held) > max_bytes:
                if came == 0:
                    yield held[:HEAD]  # What is not wanted anyway need not be called too large.
                raise ImageError(f"the answer is larger than the limit of {max_bytes:,} bytes.")
            if came or len(held) >= HEAD:
                came += len(held)
                yield held
                held = b""
    except zlib.error as error:
        raise ImageError(f"the server's answer is packed, and damaged ({error}).") from error
    if held:
        yield held
    if unpack is not None and not unpack.eof:
        raise _AgainError("the connection ended within the packed answer")


def _unpacker(packing: str, head: bytes) -> zlib._Decompress | None:
    """For what is packed as announced; some servers announce it of files that they send as they are."""
    if packing == "deflate":
        return zlib.decompressobj() if head[:1] == b"\x78" else zlib.decompressobj(-zlib.MAX_WBITS)
    return zlib.decompressobj(16 + zlib.MAX_WBITS) if head[:2] == b"\x1f\x8b" or len(head) < 2 else None


def said(answer: Answer) -> str:
    """The status in words."""
    try:
        phrase = f" {http.HTTPStatus(answer.status).phrase}"
    except ValueError:
        phrase = ""
    return f"the server answered {answer.status}{phrase}"


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, (httpcore2.ReadTimeout, httpcore2.WriteTimeout)):
        return f"nothing came for {timeout:g} seconds"
    if isinstance(error, (httpcore2.ConnectTimeout, httpcore2.PoolTimeout)):
        return f"no connection within {timeout:g} seconds"
    if isinstance(error, httpcore2.ConnectError):
        return f"the server cannot be reached ({_short(error)})"
    return f"the connection broke ({_short(error)})"


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]


def _latin(value: str) -> str:
    """A header's text: UTF-8 where it is, as browsers take it."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _pool(settings: SourceSettings, clock: Clock) -> httpcore2.ConnectionPool:
    proxy = _proxy(settings.proxy)
    return httpcore2.ConnectionPool(
        proxy=proxy,
        max_connections=_MOST_CONNECTIONS,
        max_keepalive_connections=_MOST_CONNECTIONS,
        keepalive_expiry=5.0,
        # The user chose the proxy, which may well stand on a private address. It does the resolving then.
        network_backend=GuardedBackend(clock, allow_private=settings.allow_private or proxy is not None),
    )


def _proxy(named: str | None) -> httpcore2.Proxy | None:
    if named == "env":
        found = urllib.request.getproxies()
        named = found.get("https") or found.get("http") or found.get("all")
    if not named:
        return None
    url = Url.parse(named if "://" in named else f"http://{named}")
    if url is None:
        raise UsageError("proxy must be an http or https address, as in http://proxy.example:3128.")
    return httpcore2.Proxy(url.origin, auth=url.login)


def _close(pool: httpcore2.ConnectionPool, hosts: Hosts) -> None:
    hosts.close()
    pool.close()
