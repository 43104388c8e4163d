"""Photos through a network on ONNX Runtime: the one loop that training and prediction share.

Each worker thread decodes its photos and runs the network on one thread of its own. Decoding and the network so overlap
without a queue between them, and on few cores this is faster than one session that spreads each layer over all of them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import Limits, Preprocessing
from logolens.errors import BundleError, ImageError
from logolens.views import WHOLE, View, cut

__all__ = ["Job", "Outcome", "Session", "processors"]

_BATCH = 16
"""Views in one run of the network: past 8 the rate is flat, and memory still small."""

_PHOTOS = 8
"""Photos that a worker takes at a time."""


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Job:
    """One photo to look at.

    Attributes:
        read: gives the photo's bytes; raises ImageError when it cannot.
        views: where to look.
    """

    read: Callable[[], bytes]
    views: Sequence[View] = (WHOLE,)


@dataclass(frozen=True)
class Outcome:
    """What the network says of one photo.

    Attributes:
        outputs: one float32 array per output of the network, of shape (views, ...); empty when there is an error.
        error: why the photo could not be read, as a sentence.
        beside: what the session's ``beside`` made of the photo, where it has one.
    """

    outputs: tuple[npt.NDArray[np.float32], ...]
    error: str | None = None
    beside: Any = None


class Session:
    """A network on ONNX Runtime that takes views of photos.

    Args:
        model: the ONNX file, or its bytes. Its input ``image`` is uint8 of shape (n, size, size, 3), RGB.
        preprocessing: how views are resized.
        threads: worker threads; all processors when None.
        limits: what is refused unread.
        beside: is given each photo's bytes in the same worker thread, for what the network cannot see.

    Raises:
        BundleError: ONNX Runtime cannot load the model.
    """

    def __init__(
        self,
        model: Path | bytes,
        preprocessing: Preprocessing,
        *,
        threads: int | None = None,
        limits: Limits = Limits(),
        beside: Callable[[bytes], Any] | None = None,
    ) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = ort.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises its own types, all straight from Exception.
            name = "The model" if isinstance(model, bytes) else str(model)
            reason = str(error).splitlines()[0]
            raise BundleError(
                f"{name} cannot be loaded by ONNX Runtime ({reason}); train or export it again."
            ) from error
        self.preprocessing = preprocessing
        self.limits = limits
        self._beside = beside
        self.threads = threads or processors()
        self.output_names: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def run(self, squares: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], ...]:
        """Run the network on uint8 of shape (n, size, size, 3); one array of n rows per output."""
        parts = [
            self._session.run(None, {"image": squares[start : start + _BATCH]})
            for start in range(0, len(squares), _BATCH)
        ]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _work(self, jobs: list[Job]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        squares: list[npt.NDArray[np.uint8]] = []
        spans: list[tuple[int, int, int]] = []
        for job in jobs:
            try:
                data = job.read()
                cuts = cut(data, job.views, self.preprocessing, self.limits)
                beside = self._beside(data) if self._beside else None
            except ImageError as error:
                outcomes.append(Outcome((), str(error)))
                continue
            spans.append((len(outcomes), len(squares), len(squares) + len(cuts)))
            outcomes.append(Outcome((), beside=beside))
            squares += cuts
        if squares:
            outputs = self.run(np.stack(squares))
            for position, start, stop in spans:
                seen = tuple(output[start:stop] for output in outputs)
                outcomes[position] = replace(outcomes[position], outputs=seen)
        return outcomes

    def look(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Look at photos; yields one outcome a photo, in the order given.

        Jobs are drawn as they are needed, so an endless iterable takes no more memory than a short one.
        """
        jobs = iter(jobs)
        waiting: deque[Future[list[Outcome]]] = deque()
        with ThreadPoolExecutor(self.threads, thread_name_prefix="logolens") as pool:
            try:
                # Short first chunks let a single photo, or the first of many, be answered without delay.
                size = 1
                while True:
                    while len(waiting) < 2 * self.threads and (chunk := list(islice(jobs, size))):
                        waiting.append(pool.submit(self._work, chunk))
                        size = min(_PHOTOS, size * 2)
                    if not waiting:
                        return
                    yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
