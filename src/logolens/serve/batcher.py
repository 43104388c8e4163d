"""From an image's bytes to its answer, on threads: decoding, then the network for several images side by side.

    submit -> waiting -> threads that open (the pixels come from worker processes) -> opened -> threads that look -> done

Nothing waits for a batch to fill: a thread that is free takes what has gathered while it was busy. What nobody waits for any
longer is dropped wherever it stands.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from logolens.errors import ImageError, LogolensError
from logolens.inference.classifier import Classifier
from logolens.inference.results import Kept
from logolens.io.threads import ONE_THREAD_EACH
from logolens.io.views import Picture
from logolens.models.session import Job, Outcome, Steps

__all__ = ["Batcher", "Task"]

_OPENED_BYTES = 256_000_000
_BATCH_BYTES = 64_000_000
"""Bytes of pixels that wait for the network, and that one batch takes, from which no more are added. A small file may be a large
image."""

_LOG = logging.getLogger(__name__)


@dataclass(eq=False, repr=False)
class Task:
    """One image on its way.

    Attributes:
        data: the encoded image; let go of once it is opened.
        classifier: who answers.
        done: is called once, from a thread of the batcher, with this task.
        keep: whether to keep what was seen on the way.
        outcome: what it came to.
        failed: the image is not to blame: the service could not answer.
        is_wanted: whether anyone still waits.
        is_finished: whether ``done`` was called.
        pixels: bytes of the opened image.
        times: seconds of each stage that it has passed.
        evidence: seconds that its evidence took beside the network.
        views: of it that went through the network.
    """

    data: bytes
    classifier: Classifier
    done: Callable[[Task], object]
    keep: bool = False
    outcome: Outcome | None = None
    failed: bool = False
    is_wanted: bool = True
    is_finished: bool = False
    kept: list[Kept] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    pixels: int = 0
    evidence: float = 0.0
    views: int = 0
    _picture: Picture | None = None
    _since: float = field(default_factory=time.monotonic)

    def passed(self, stage: str) -> None:
        """Note that a stage has ended."""
        now = time.monotonic()
        self.times[stage], self._since = now - self._since, now


class Batcher:
    """Threads that answer tasks.

    Args:
        openers: threads that decode; one more than decodes at a time keeps the network supplied.
        lookers: threads that run the network.
        batch: most images side by side in one of them.
        observe: is given the number of images of each batch.
    """

    def __init__(
        self, openers: int, lookers: int, batch: int, observe: Callable[[int], object] = lambda _: None
    ) -> None:
        self._batch = batch
        self._observe = observe
        self._waiting: deque[Task] = deque()
        self._opened: deque[Task] = deque()
        self._room = lookers * (batch + 1)
        self._reserved = 0
        self._lock = threading.Lock()
        self._to_open = threading.Condition(self._lock)
        self._to_look = threading.Condition(self._lock)
        self._closed = False
        self._threads = [
            threading.Thread(target=self._open, name=f"logolens-open-{number}", daemon=True)
            for number in range(openers)
        ] + [
            threading.Thread(target=self._look, name=f"logolens-look-{number}", daemon=True)
            for number in range(lookers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task) -> None:
        """Take a task on.

        Raises:
            LogolensError: the batcher was closed.
        """
        with self._lock:
            if self._closed:
                raise LogolensError("The service is ending; ask again in a moment.")
            self._waiting.append(task)
            self._to_open.notify()

    def drop(self, task: Task) -> None:
        """Let go of a task that nobody waits for any longer; one that is finished is left as it is."""
        if task.is_finished:
            return
        task.is_wanted = False
        with self._lock, contextlib.suppress(ValueError):
            self._waiting.remove(task)

    @property
    def waiting(self) -> int:
        """Images that are not with the network yet."""
        return len(self._waiting) + len(self._opened)

    def close(self, timeout: float = 5.0) -> None:
        """End the threads once they have answered what was submitted; what takes longer is given up."""
        with self._lock:
            self._closed = True
            self._to_open.notify_all()
            self._to_look.notify_all()
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _open(self) -> None:
        while True:
            with self._lock:
                # Opened images are large: no more are opened than the network has use for soon.
                while not (self._waiting and self._has_room()):
                    if self._closed and not self._waiting:
                        self._to_look.notify_all()
                        return
                    self._to_open.wait()
                task = self._waiting.popleft()
                self._reserved += 1
            is_opened = False
            if task.is_wanted:
                task.passed("queue")
                is_opened = self._attempt(task)
                task.passed("decode")
            with self._lock:
                self._reserved -= 1
                if is_opened:
                    self._opened.append(task)
                    self._to_look.notify()
                else:
                    self._to_open.notify()
                    if self._closed:
                        self._to_look.notify_all()
            if not is_opened:
                self._finish(task)

    def _has_room(self) -> bool:
        return (
            len(self._opened) + self._reserved < self._room
            and sum(task.pixels for task in self._opened) < _OPENED_BYTES
        )

    def _attempt(self, task: Task) -> bool:
        """Whether a task's image could be opened; else its outcome says why not."""
        try:
            task._picture = picture = task.classifier.open(task.data)
            task.pixels = 3 * picture.size[0] * picture.size[1]
        except ImageError as error:
            task.outcome = Outcome(None, str(error))
        except Exception:
            _LOG.exception("An image could not be opened, for no fault of its own.")
            task.failed = True
        else:
            return True
        return False

    def _look(self) -> None:
        with ONE_THREAD_EACH:  # Once for all: entering it anew for each batch starts a thread.
            self._look_on()

    def _look_on(self) -> None:
        while True:
            with self._lock:
                while not self._opened:
                    if self._closed and not self._waiting and not self._reserved:
                        return
                    self._to_look.wait()
                batch = self._take()
                self._to_open.notify_all()
            wanted = [task for task in batch if task.is_wanted]
            if wanted:
                self._observe(len(wanted))
                for task in wanted:
                    task.passed("batch")
                self._answer(wanted)
                for task in wanted:
                    task.passed("network")
                    # What is made of the network's answers on the way: closer views, the matcher, words, the box.
                    if task.evidence:
                        task.times["network"] = max(0.0, task.times["network"] - task.evidence)
                        task.times["evidence"] = task.evidence
            for task in batch:
                self._finish(task)

    def _take(self) -> list[Task]:
        """The first task, and those behind it that the same network answers."""
        batch = [self._opened.popleft()]
        while (
            self._opened
            and len(batch) < self._batch
            and sum(task.pixels for task in batch) + self._opened[0].pixels <= _BATCH_BYTES
            and self._opened[0].classifier.shares(batch[0].classifier)
        ):
            batch.append(self._opened.popleft())
        return batch

    def _answer(self, tasks: list[Task]) -> None:
        try:
            jobs = [
                _timed(task.classifier.job(task._picture or _nothing, keep=task.kept if task.keep else None), task)
                for task in tasks
            ]
            for task, outcome in zip(tasks, tasks[0].classifier.together(jobs), strict=True):
                task.outcome = outcome
        except Exception:
            if len(tasks) > 1:  # Whichever it is, the others are to be answered.
                for task in tasks:
                    self._answer([task])
                return
            _LOG.exception("An image could not be answered, for no fault of its own.")
            tasks[0].failed = True

    def _finish(self, task: Task) -> None:
        task._picture, task.data, task.is_finished = None, b"", True
        try:
            task.done(task)
        except Exception:  # The event loop may have ended; nobody waits then.
            _LOG.debug("Nobody waits for an answer any longer.", exc_info=True)


def _timed(job: Job, task: Task) -> Job:
    """A job that notes for its task how long its steps take between the network's runs."""
    steps = job.steps
    if steps is None or task.classifier.bundle.closer is None:
        task.views = len(job.views)
        return job

    def begin(picture: Picture) -> Steps:
        inner, outputs = steps(picture), None
        while True:
            began = time.perf_counter()
            try:
                views = inner.send(outputs) if outputs is not None else next(inner)
            except StopIteration as stop:
                return stop.value
            finally:
                task.evidence += time.perf_counter() - began
            task.views += len(views)
            outputs = yield views

    return replace(job, steps=begin)


def _nothing() -> Any:
    raise AssertionError("A task reached the network without a picture.")
