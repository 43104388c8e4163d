"""How often one host is asked: a rate, a number of requests at a time, and the waits that it asks for itself."""

from __future__ import annotations

import contextlib
import email.utils
import random
import threading
import time
from collections.abc import Iterator

from logolens.config import SourceSettings
from logolens.errors import ImageError

__all__ = ["Hosts", "backoff", "retry_after"]

_FIRST_WAIT = 0.5


class Hosts:
    """What is known of each host that is asked. Threads that would ask one too often wait here, the others pass."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}
        self._closed = threading.Event()

    @contextlib.contextmanager
    def turn(self, host: str) -> Iterator[None]:
        """Wait for this host's turn, and hold one of its connections.

        Raises:
            ImageError: the scan was ended while it waited.
        """
        with self._lock:
            state = self._hosts.setdefault(host, _Host(self._settings))
        with state.slots:
            self.wait(state.reserve())
            yield

    def slow(self, host: str, seconds: float) -> None:
        """Ask this host at most once in so many seconds, as its robots.txt wishes."""
        with self._lock:
            state = self._hosts.setdefault(host, _Host(self._settings))
        state.gap = max(state.gap, seconds)

    def pause(self, host: str, seconds: float) -> None:
        """Ask this host for nothing in the next seconds, whoever wants to."""
        with self._lock:
            state = self._hosts.setdefault(host, _Host(self._settings))
        state.pause(seconds)

    def wait(self, seconds: float) -> None:
        """Sleep, unless the scan is ended meanwhile.

        Raises:
            ImageError: it was ended.
        """
        if self._closed.wait(max(0.0, seconds)):
            raise ImageError("The scan was ended before this was fetched.")

    def close(self) -> None:
        """Wake all who wait."""
        self._closed.set()


class _Host:
    def __init__(self, settings: SourceSettings) -> None:
        self.slots = threading.BoundedSemaphore(settings.connections)
        self.gap = 1.0 / settings.rate
        self._lock = threading.Lock()
        self._next = 0.0

    def reserve(self) -> float:
        """Take the next free moment; how long it is until then."""
        with self._lock:
            now = time.monotonic()
            moment = max(now, self._next)
            self._next = moment + self.gap
            return moment - now

    def pause(self, seconds: float) -> None:
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


def backoff(failures: int, asked: float | None, most: float) -> float:
    """How long to wait after a number of failures: what the server asked for, or twice as long each time, varied."""
    if asked is not None:
        return min(asked, most) + random.uniform(0.0, 0.1)
    longest = min(most, _FIRST_WAIT * 2.0 ** min(failures - 1, 30))
    return random.uniform(longest / 2, longest)


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, in either of its forms; None where it says nothing sensible."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, moment - time.time())
