"""How many processors there are, and a linear algebra that leaves them to the worker threads."""

from __future__ import annotations

import os
import threading
from functools import cached_property
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
        self._limit: Any = None

    @cached_property
    def _controller(self) -> Any:
        import numpy as np
        from threadpoolctl import ThreadpoolController

        np.dot(np.ones(1), np.ones(1))  # Its library must be loaded before it can be found.
        return ThreadpoolController()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limit = self._controller.limit(limits=1, user_api="blas")
                self._limit.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.__exit__(None, None, None)


ONE_THREAD_EACH = _OneThreadEach()
"""``with ONE_THREAD_EACH:`` around what a worker thread does."""
