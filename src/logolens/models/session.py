"""Photos through a network on ONNX Runtime: the one loop that training and prediction share.

Each worker thread decodes its photos and runs the network on one thread of its own. Decoding and the network so overlap
without a queue between them, and on few cores this is faster than one session that spreads each layer over all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import Limits, Preprocessing
from logolens.errors import BundleError, DeviceError, ImageError
from logolens.io.images import open_apart
from logolens.io.stopwatch import Stopwatch, stage
from logolens.io.threads import ONE_THREAD_EACH, processors
from logolens.io.views import WHOLE, Decode, Picture, View, pixels
from logolens.models.devices import onnx_session

__all__ = ["Job", "Outcome", "Outputs", "Session", "Steps"]


Outputs = dict[str, npt.NDArray[np.float32]]
"""What the network says of some views: an array of as many rows for each of its outputs, by name."""

Steps = Generator[Sequence[View], Outputs, Any]
"""One photo's way: it yields views, is sent what the network says of them, may ask for more, and returns the answer."""


@dataclass(frozen=True)
class Job:
    """One photo to look at.

    Attributes:
        read: gives the photo's bytes; raises ImageError when it cannot.
        views: where to look.
        answer: what the network's outputs on ``views`` come to; one array per output when not given.
        steps: given the photo, asks for views by turns; in place of ``views`` and ``answer``.
        within: the region that is taken for the whole photo, as when a part without a logo is asked about.
        picture: the photo, where it was opened before (`Session.open`); ``read`` is then not called.
    """

    read: Callable[[], bytes]
    views: Sequence[View] = (WHOLE,)
    answer: Callable[[Outputs], Any] | None = None
    steps: Callable[[Picture], Steps] | None = None
    within: View = WHOLE
    picture: Picture | None = None

    def begin(self, picture: Picture) -> Steps:
        """The photo's way; without ``steps`` all views are asked for at once."""
        return self.steps(picture) if self.steps is not None else _all_at_once(self.views, self.answer)


def _all_at_once(views: Sequence[View], answer: Callable[[Outputs], Any] | None) -> Steps:
    outputs = yield views
    return tuple(outputs.values()) if answer is None else answer(outputs)


@dataclass(frozen=True)
class Outcome:
    """What was found out about one photo.

    Attributes:
        value: what the job's steps or its ``answer`` returned; without either one float32 array per output of the network,
            of shape (views, ...); None when there is an error.
        error: why the photo could not be read, as a sentence.
    """

    value: Any
    error: str | None = None

    @property
    def outputs(self) -> tuple[npt.NDArray[np.float32], ...]:
        """The network's outputs, of a job without steps and answer; empty when there is an error."""
        return () if self.error is not None else self.value


class Session:
    """A network on ONNX Runtime that takes views of photos.

    Args:
        model: the ONNX file, or its bytes. Its input ``image`` is uint8 of shape (n, size, size, 3), RGB.
        preprocessing: how views are resized.
        threads: worker threads; all processors when None.
        limits: what is refused unread.
        outputs: which of the network's outputs are wanted; all if not given.
        decode: turns encoded images into pixels.
        device: what the network runs on, one of `DEVICES`.
        stopwatch: told where time goes; None where nobody asks.

    Attributes:
        device: what it runs on in fact, also where that was left to be chosen.

    Raises:
        BundleError: ONNX Runtime cannot load the model.
        DeviceError: the device is not there, or cannot be started.
    """

    def __init__(
        self,
        model: Path | bytes,
        preprocessing: Preprocessing,
        *,
        threads: int | None = None,
        limits: Limits = Limits(),
        outputs: Sequence[str] | None = None,
        decode: Decode = open_apart,
        device: str = "cpu",
        stopwatch: Stopwatch | None = None,
    ) -> None:
        try:
            opened = onnx_session(model, device)
        except DeviceError:
            raise
        except Exception as error:  # ONNX Runtime raises its own types, all straight from Exception.
            name = "The model" if isinstance(model, bytes) else str(model)
            reason = str(error).splitlines()[0]
            raise BundleError(
                f"{name} cannot be loaded by ONNX Runtime ({reason}); train or export it again."
            ) from error
        self._session: Any = opened.session
        self.device = opened.device
        self._stopwatch = stopwatch
        self.preprocessing = preprocessing
        self.limits = limits
        self._decode = decode
        self.threads = threads or processors()
        given = tuple(output.name for output in self._session.get_outputs())
        self.output_names: tuple[str, ...] = given if outputs is None else tuple(outputs)
        if missing := [name for name in self.output_names if name not in given]:
            raise BundleError(
                f"The model has no output {missing[0]}, only {', '.join(given)}; train or export it again."
            )

    def run(self, squares: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], ...]:
        """Run the network on uint8 of shape (n, size, size, 3); one array of n rows per output."""
        parts = [
            self._session.run(self.output_names, {"image": squares[start : start + self.device.batch]})
            for start in range(0, len(squares), self.device.batch)
        ]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def open(self, data: bytes) -> Picture:
        """A photo, decoded as its whole view needs it. The network takes no part in this.

        Raises:
            ImageError: it cannot be decoded.
        """
        return Picture(data, self.preprocessing, self.limits, self._decode).opened()

    def together(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Take some photos their ways side by side, in this thread: the views of all go through the network together.

        None is answered before all are. `look` is for more photos than fit into memory.
        """
        with ONE_THREAD_EACH, self._stopwatch.running() if self._stopwatch is not None else nullcontext():
            return self._side_by_side(jobs)

    def _side_by_side(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(jobs)
        ways: dict[int, tuple[Picture, Steps]] = {}
        wanted: dict[int, Sequence[View]] = {}

        def advance(number: int, picture: Picture, steps: Steps, answer: Outputs | None) -> None:
            try:
                views = steps.send(answer) if answer is not None else next(steps)
            except StopIteration as end:
                outcomes[number] = Outcome(end.value)
            except ImageError as error:
                outcomes[number] = Outcome(None, str(error))
            else:
                ways[number], wanted[number] = (picture, steps), views

        for number, job in enumerate(jobs):
            try:
                picture = job.picture or self._read(job)
                if job.within is not WHOLE:
                    whole = picture.image()
                    picture = Picture.of(whole.crop(pixels(job.within, whole.size)), self.preprocessing)
            except ImageError as error:
                outcomes[number] = Outcome(None, str(error))
                continue
            advance(number, picture, job.begin(picture), None)
        while wanted:
            asked, spans = dict(wanted), {}
            squares: list[npt.NDArray[np.uint8]] = []
            wanted.clear()
            for number, views in asked.items():
                try:
                    with stage("cut views", len(views)):
                        cuts = ways[number][0].cut(views)
                except ImageError as error:
                    outcomes[number] = Outcome(None, str(error))
                    continue
                spans[number] = slice(len(squares), len(squares) + len(cuts))
                squares += cuts
                if jobs[number].steps is None:  # Nothing more is asked of it, and a photo's pixels may take 100 MB.
                    ways[number][0].release()
            if squares:
                with stage("network", len(squares)):
                    outputs = self.run(np.stack(squares))
                for number, span in spans.items():
                    answer = {name: part[span] for name, part in zip(self.output_names, outputs, strict=True)}
                    advance(number, *ways[number], answer)
        return [outcome for outcome in outcomes if outcome is not None]

    def _read(self, job: Job) -> Picture:
        with stage("read"):
            data = job.read()
        return Picture(data, self.preprocessing, self.limits, self._decode)

    def look(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Look at photos; yields one outcome a photo, in the order given.

        Jobs are drawn as they are needed, so an endless iterable takes no more memory than a short one.

        Until the last outcome is drawn, linear algebra keeps to one thread in the whole process. So what is done with an
        outcome comes to the same numbers whether or not a worker happens to be busy beside it.
        """
        jobs = iter(jobs)
        waiting: deque[Future[list[Outcome]]] = deque()
        with ONE_THREAD_EACH, ThreadPoolExecutor(self.threads, thread_name_prefix="logolens") as pool:
            try:
                # Short first chunks let a single photo, or the first of many, be answered without delay.
                size = 1
                while True:
                    while len(waiting) < 2 * self.threads and (chunk := list(islice(jobs, size))):
                        waiting.append(pool.submit(self.together, chunk))
                        size = min(self.device.photos, size * 2)
                    if not waiting:
                        return
                    yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
