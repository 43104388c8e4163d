"""robots.txt: what its owner lets a crawler fetch, and how often."""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass, field
from urllib.parse import quote

import protego

from logolens.config import SourceSettings
from logolens.errors import ImageError
from logolens.io.sources.client import Client, said
from logolens.io.sources.urls import Url

__all__ = ["Robots"]

_MOST_BYTES = 600_000
_MOST_DELAY = 30.0


@dataclass
class _Rules:
    parsed: protego.Protego | None = None
    allowed: bool = True
    reason: str = ""
    sitemaps: list[str] = field(default_factory=list)


class Robots:
    """The rules of every host that is met, each fetched once.

    As RFC 9309 has it, a robots.txt that is not there (4xx) forbids nothing, and one that cannot be had (5xx, no
    answer) forbids all.
    """

    def __init__(self, client: Client, settings: SourceSettings) -> None:
        self._client = client
        self._settings = settings
        # The name that a robots.txt calls a crawler by is the first word of what it calls itself.
        self._agent = re.split(r"[/\s(]", settings.user_agent.strip(), maxsplit=1)[0] or "logolens"
        self._lock = threading.Lock()
        self._rules: dict[str, _Rules] = {}
        self._locks: dict[str, threading.Lock] = {}

    def check(self, url: Url) -> None:
        """Hold a URL against its host's rules.

        Raises:
            ImageError: it may not be fetched.
        """
        if not self._settings.robots:
            return
        rules = self._of(url)
        if not rules.allowed:
            raise ImageError(
                f"the robots.txt of {url.authority} cannot be had, so nothing is fetched there ({rules.reason})."
            )
        # Where a parser of hostile text fails, what it would have said is not known: that is no permission.
        allowed = False
        if rules.parsed is not None:
            with contextlib.suppress(ValueError, RecursionError):
                allowed = rules.parsed.can_fetch(quote(url.text, safe="%/:?&=#@!$'()*+,;~[]|^"), self._agent)
        if rules.parsed is not None and not allowed:
            raise ImageError(
                f"the robots.txt of {url.authority} forbids this. On a site of your own, --no-robots passes it."
            )

    def sitemaps(self, url: Url) -> list[str]:
        """The sitemaps that a host's robots.txt names."""
        return self._of(url).sitemaps

    def _of(self, url: Url) -> _Rules:
        with self._lock:
            lock = self._locks.setdefault(url.origin, threading.Lock())
        with lock:
            if url.origin not in self._rules:
                self._rules[url.origin] = self._fetched(url)
            return self._rules[url.origin]

    def _fetched(self, url: Url) -> _Rules:
        try:
            answer = self._client.get(Url(url.scheme, url.host, url.port, "/robots.txt"), _MOST_BYTES)
        except ImageError as error:
            return _Rules(allowed=False, reason=str(error).rstrip("."))
        if answer.status == 429 or answer.status >= 500:
            return _Rules(allowed=False, reason=said(answer))
        if not 200 <= answer.status < 300:
            return _Rules()
        try:
            parsed = protego.Protego.parse(answer.body.decode("utf-8-sig", "replace"))
            delay = parsed.crawl_delay(self._agent)
        except (ValueError, RecursionError) as error:
            return _Rules(allowed=False, reason=f"it cannot be read: {error}")
        if delay and self._settings.robots:
            self._client.hosts.slow(url.authority, min(float(delay), _MOST_DELAY))
        return _Rules(parsed, sitemaps=list(parsed.sitemaps)[:1000])
