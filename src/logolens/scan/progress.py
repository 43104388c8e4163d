"""How far a scan has come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Counts", "Progress"]


@dataclass(frozen=True)
class Progress:
    """How far a scan has come.

    Attributes:
        done: names answered, in this call.
        classified: contents that were classified.
        drawn: names that were met so far.
        exhausted: whether all names were met.
        found: names with each verdict.
    """

    done: int
    classified: int
    drawn: int
    exhausted: bool
    found: dict[str, int]


class Counts:
    """Counts verdicts, and tells of them a few times a second."""

    def __init__(self, progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self._done = 0
        self._reported = 0.0
        self._found: dict[str, int] = {}

    def add(self, verdict: str, classified: int, drawn: int, exhausted: bool) -> None:
        """One more name has this verdict; an empty one counts nothing."""
        if verdict:
            self._done += 1
            self._found[verdict] = self._found.get(verdict, 0) + 1
        if time.monotonic() - self._reported > 0.2:
            self.update(classified, drawn, exhausted)

    def update(self, classified: int, drawn: int, exhausted: bool) -> None:
        """Tell now."""
        self._reported = time.monotonic()
        if self._progress is not None:
            self._progress(Progress(self._done, classified, drawn, exhausted, dict(self._found)))
