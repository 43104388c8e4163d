"""A scan's result store, read while the scan may go on: opened when someone asks, let go when no one does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logolens.config import BACKGROUND
from logolens.scan import StoreReader, Wanted

__all__ = ["Listed", "Results"]

_FRESH = 5.0
"""Seconds for which what was read of a store is good enough while a scan writes to it."""

_IDLE = 60.0
"""Seconds without a question after which the store is closed: an open reader keeps a scan's log from shrinking."""


@dataclass(frozen=True)
class Listed:
    """One page of results.

    Attributes:
        scan: what the scan sought and found, as JSON.
        total: how many pictures pass the filters.
        offset: how many of them come before this page.
        results: one JSON object a picture, as of ``logolens scan --json``, and ``thumbnail``: whether one was kept.
    """

    scan: dict[str, Any]
    total: int
    offset: int
    results: list[dict[str, Any]]


class Results:
    """A result store to browse. It may be asked from several threads.

    Args:
        path: the file.
        clock: seconds that only grow.

    Raises:
        StoreError: it is not there, or no result store. It may be one into which no scan was made yet.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self._clock = path, clock
        self._lock = threading.Lock()
        self._store: StoreReader | None = None
        self._stamp: tuple[Any, ...] = ()
        self._opened = 0.0
        self._timer: threading.Timer | None = None
        StoreReader(path).close()

    def page(self, wanted: Wanted, *, order: str, offset: int, limit: int) -> Listed:
        """A page of the pictures that are asked for; see `StoreReader.rows`.

        Raises:
            StoreError: the store holds no scan yet, or cannot be read any longer.
        """
        with self._open() as store:
            facts = store.facts()
            found: list[dict[str, Any]] = []
            for row in store.rows(wanted, order=order, limit=limit, offset=offset):
                kept = row.sha256 is not None and store.thumbnail(row.sha256) is not None
                found.append(row.to_json() | {"thumbnail": kept})
            scan = {
                "bundle": facts.bundle,
                "find": list(facts.find),
                "labels": [name for name in facts.labels if name != BACKGROUND],
                "threshold": facts.threshold,
                "unsure": facts.unsure,
                "started": facts.started,
                "finished": facts.finished,
                "run": facts.run,
                "pictures": facts.pictures,
                "verdicts": facts.verdicts,
                "changes": facts.changes,
                "labelled": facts.labelled,
            }
            return Listed(scan, store.count(wanted), offset, found)

    def thumbnail(self, sha256: str) -> bytes | None:
        """A small JPEG of a picture, where one was kept.

        Raises:
            StoreError: the store cannot be read any longer.
        """
        with self._open() as store:
            return store.thumbnail(sha256)

    def close(self) -> None:
        """Let the store go; the next question opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._store is not None:
            self._store.close()
            self._store = None

    @contextmanager
    def _open(self) -> Iterator[StoreReader]:
        with self._lock:
            stamp = self._look()
            stale = stamp != self._stamp and self._clock() - self._opened >= _FRESH
            if self._store is None or stale:
                self._close()
                self._store = StoreReader(self.path)
                self._stamp, self._opened = stamp, self._clock()
            try:
                yield self._store
            except BaseException:
                self._close()
                raise
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(_IDLE, self.close)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> tuple[Any, ...]:
        """What changes when a scan writes: the file itself, and the log beside it."""
        found: list[Any] = []
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            try:
                stat = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)
