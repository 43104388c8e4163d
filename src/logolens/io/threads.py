"""How many processors there are, and a linear algebra that leaves them to the worker threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

__all__ = ["ONE_THREAD_EACH", "processors"]


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


class _OneThreadEach:
    """While any thread is inside, numpy's linear algebra keeps to the thread that calls it.

    Worker threads are as many as processors already. Small products spread over threads of their own wait for one another
    most of the time: four times as long, measured on the matcher on two processors.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._leave = threading.Event()
        self._holder: threading.Thread | None = None

    @cached_property
    def _controller(self) -> Any:
        import numpy as np
        from threadpoolctl import ThreadpoolController

        np.dot(np.ones(1), np.ones(1))  # Its library must be loaded before it can be found.
        return ThreadpoolController()

    def _hold(self, limit: Callable[[], Any], begun: threading.Event, leave: threading.Event) -> None:
        try:
            with limit():
                begun.set()
                leave.wait()
        finally:
            begun.set()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                limit = partial(self._controller.limit, limits=1, user_api="blas")
                # Only the thread that set a limit can take it back, and the first to come need not be the last to leave.
                begun, self._leave = threading.Event(), threading.Event()
                self._holder = threading.Thread(target=self._hold, args=(limit, begun, self._leave), daemon=True)
                self._holder.start()
                begun.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._holder is not None:
                self._leave.set()
                self._holder.join()


ONE_THREAD_EACH = _OneThreadEach()
"""``with ONE_THREAD_EACH:`` around what a worker thread does."""
