"""Where time goes while photos are answered: seconds by stage, for whoever asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["OTHER", "Spent", "Stopwatch", "stage"]

OTHER = "other"
"""What lies between the stages that have a name."""


@dataclass(frozen=True)
class Spent:
    """What a stage took.

    Attributes:
        seconds: on the clock, in all threads together.
        processor: seconds of these threads' own processor time; what other processes do for them, as decoding, is not in it.
        times: how often; of the network, the views that it looked at.
    """

    seconds: float = 0.0
    processor: float = 0.0
    times: int = 0


class Stopwatch:
    """Adds up what stages take, in whatever threads; each moment counts for one stage, the innermost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent: dict[str, Spent] = {}

    @property
    def spent(self) -> dict[str, Spent]:
        """What each stage took so far, the longest first."""
        with self._lock:
            return dict(sorted(self._spent.items(), key=lambda entry: -entry[1].seconds))

    @contextmanager
    def running(self) -> Iterator[None]:
        """While inside, what this thread does counts."""
        run = _Run(self)
        before = _RUN.set(run)
        try:
            yield
        finally:
            run.note()
            _RUN.reset(before)

    def add(self, name: str, seconds: float, processor: float, times: int) -> None:
        """Count what a stage took."""
        with self._lock:
            so_far = self._spent.get(name, Spent())
            self._spent[name] = Spent(so_far.seconds + seconds, so_far.processor + processor, so_far.times + times)


class _Run:
    """One thread's way through the stages."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self.names = [OTHER]
        self._clock, self._used = time.perf_counter(), time.thread_time()

    def note(self, times: int = 0) -> None:
        """Count what has passed since the last change for the stage that is on."""
        clock, used = time.perf_counter(), time.thread_time()
        self._watch.add(self.names[-1], clock - self._clock, used - self._used, times)
        self._clock, self._used = clock, used


_RUN: ContextVar[_Run | None] = ContextVar("run", default=None)


@contextmanager
def stage(name: str, times: int = 1) -> Iterator[None]:
    """Count what is done inside for a stage, where a `Stopwatch` is running in this thread."""
    run = _RUN.get()
    if run is None:
        yield
        return
    run.note()
    run.names.append(name)
    try:
        yield
    finally:
        run.note(times)
        run.names.pop()
