"""One request's life: what is asked, the body, its images through the batcher, and the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from logolens.config import ServeSettings
from logolens.errors import BundleError, LogolensError
from logolens.inference.classifier import Prediction
from logolens.io.sources.mime import HEAD, kind_of
from logolens.serve.batcher import Batcher, Task
from logolens.serve.bodies import Upload, check_type, uploads
from logolens.serve.bundles import Served, Shelf
from logolens.serve.fetcher import Fetcher
from logolens.serve.gate import Slot
from logolens.serve.metrics import Metrics
from logolens.serve.refusal import Refusal, Sender

__all__ = ["Answering", "Asked"]

_LARGE = 64_000
"""Bytes of a body from which taking it apart would hold up other requests, and so is done on a thread."""

_PARSERS = 2
"""Threads that take bodies apart: more would only keep the one that speaks HTTP from its turn."""


@dataclass(frozen=True)
class Asked:
    """What a request wants to know; see docs/how-to/serve.md."""

    bundle: str | None = None
    top: int | None = None
    threshold: float | None = None
    views: str | None = None
    where: bool = False
    every: bool = False
    heat: bool = False


class Answering:
    """Answers requests.

    Args:
        settings: the bounds.
        shelf: the bundles.
        batcher: does the work.
        metrics: is told.
        fetcher: fetches images by URL; None where that is not allowed.
    """

    def __init__(
        self, settings: ServeSettings, shelf: Shelf, batcher: Batcher, metrics: Metrics, fetcher: Fetcher | None
    ) -> None:
        self._settings, self._shelf, self._batcher = settings, shelf, batcher
        self._metrics, self._fetcher = metrics, fetcher
        self._parsers = ThreadPoolExecutor(_PARSERS, thread_name_prefix="logolens-parse")

    def close(self) -> None:
        """End the threads; bodies that wait for one are not taken apart any more."""
        self._parsers.shutdown(wait=False, cancel_futures=True)

    def served(self, name: str | None) -> Served:
        """The bundle of this name, or the first.

        Raises:
            Refusal: there is none, or it is not loaded.
        """
        try:
            served = self._shelf.get(name)
        except KeyError:
            names = ", ".join(self._shelf.names)
            raise Refusal(404, f"No bundle of this name is served; choose one of: {names}.", reason="bundle") from None
        if served is None:
            raise Refusal(
                503, "The service is not ready yet; ask again in a moment.", reason="not_ready", retry_after=1
            )
        return served

    async def answer(self, asked: Asked, content_type: str, receive: Sender, slot: Slot) -> dict[str, Any] | None:
        """The answer to a request; None where the client has gone.

        Args:
            asked: what is wanted.
            content_type: of the body.
            receive: gives the body's messages, and later whether the client has gone.
            slot: what the request holds.

        Raises:
            Refusal: it is not answered.
        """
        served = self.served(asked.bundle)
        try:
            classifier = served.classifier(asked.views, where=asked.where or asked.heat, every=asked.every)
        except BundleError as error:
            raise Refusal(409, str(error), reason="parameter") from error
        check_type(content_type)
        began = time.monotonic()
        body = await _read(receive)
        if body is None:
            return None
        self._metrics.stages.labels("body").observe(time.monotonic() - began)
        await slot.work()
        uploaded = await self._uploads(content_type, body, slot)
        del body
        found = await self._fetched(uploaded, receive, slot)
        if found is None:
            return None
        waiting = _Waiting()
        tasks = [
            None if upload.error else Task(upload.data, classifier, waiting.done, keep=asked.heat) for upload in found
        ]
        running = [task for task in tasks if task is not None]
        try:
            if running and not await self._run(running, waiting, receive, slot):
                return None
        finally:
            for task in running:
                self._batcher.drop(task)
        results = [self._result(asked, upload, task) for upload, task in zip(found, tasks, strict=True)]
        if len(results) == 1 and results[0]["error"] is not None:
            raise _of_one(found[0], results[0]["error"])
        return {"bundle": served.name, "results": results}

    async def _uploads(self, content_type: str, body: bytes, slot: Slot) -> list[Upload]:
        def check() -> None:
            if time.monotonic() > slot.until:
                raise self._late()

        take_apart = partial(uploads, content_type, body, self._settings, check)
        if len(body) <= _LARGE or content_type.lower().startswith(("image/", "application/octet-stream")):
            return take_apart()
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, slot.until - began)):
                found = await asyncio.get_running_loop().run_in_executor(self._parsers, take_apart)
        except TimeoutError:
            raise self._late() from None
        self._metrics.stages.labels("parse").observe(time.monotonic() - began)
        return found

    async def _fetched(self, found: list[Upload], receive: Sender, slot: Slot) -> list[Upload] | None:
        """The same images with those that were named by URL; None where the client has gone."""
        if self._fetcher is None or all(upload.url is None for upload in found):
            await slot.work(len(found))
            return found
        slot.rest()  # Whoever waits for other servers holds no room that others could use.
        began = time.monotonic()
        fetching = asyncio.ensure_future(self._fetcher.fetch(found, lambda count: slot.hold(slot.came + count)))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait(
                {fetching, gone}, timeout=max(0.0, slot.until - began), return_when=asyncio.FIRST_COMPLETED
            )
            if not fetching.done():
                if gone.done():
                    self._metrics.rejected.labels("disconnected").inc()
                    return None
                raise self._late()
            fetched = fetching.result()
        finally:
            gone.cancel()
            fetching.cancel()
        self._metrics.stages.labels("fetch").observe(time.monotonic() - began)
        await slot.work(max(1, sum(upload.error is None for upload in fetched)))
        return fetched

    async def _run(self, tasks: Sequence[Task], waiting: _Waiting, receive: Sender, slot: Slot) -> bool:
        """Have tasks answered; whether the client has stayed for it."""
        waiting.count = len(tasks)
        try:
            for task in tasks:
                self._batcher.submit(task)
        except LogolensError as error:
            raise Refusal(503, str(error), reason="ending", retry_after=1) from error
        self._metrics.waiting.set(self._batcher.waiting)
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait(
                {waiting.all, gone},
                timeout=max(0.0, slot.until - time.monotonic()),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            gone.cancel()
            self._metrics.waiting.set(self._batcher.waiting)
        if waiting.all.done():
            return True
        if gone.done() and not gone.cancelled():
            self._metrics.rejected.labels("disconnected").inc()
            return False
        raise self._late()

    def _late(self) -> Refusal:
        return Refusal(
            504,
            f"The answer took longer than {self._settings.deadline:g} seconds; ask again later, for fewer images at a time.",
            reason="late",
        )

    def _result(self, asked: Asked, upload: Upload, task: Task | None) -> dict[str, Any]:
        """One image's object of the answer."""
        if task is None:
            self._metrics.images.labels("unreadable").inc()
            return self._json(asked, Prediction(upload.name, None, None, {}, upload.error), None)
        for stage, seconds in task.times.items():
            self._metrics.stages.labels(stage).observe(seconds)
        if task.failed or task.outcome is None:
            self._metrics.images.labels("failed").inc()
            raise Refusal(503, "The service could not answer; ask again in a moment.", reason="failed", retry_after=1)
        self._metrics.images.labels("answered" if task.outcome.error is None else "unreadable").inc()
        self._metrics.views.observe(task.views)
        prediction = task.classifier.to_prediction(upload.name, task.outcome)
        if asked.threshold is not None:
            prediction = prediction.at(asked.threshold)
        return self._json(asked, prediction, task)

    def _json(self, asked: Asked, prediction: Prediction, task: Task | None) -> dict[str, Any]:
        found = prediction.to_json(asked.top)
        if asked.heat:
            found["heat"] = None
            if task is not None and task.outcome is not None and prediction.error is None:
                explained = task.classifier.explanation(task.outcome.value, task.kept[0])
                found["heat"] = {"label": explained.label, "cells": explained.heat.round(3).tolist()}
        return found


class _Waiting:
    """Until all of a request's images are answered."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.all: asyncio.Future[None] = self._loop.create_future()
        self.count = 0

    def done(self, _: Task) -> None:
        """One more is answered; called from the batcher's threads."""
        self._loop.call_soon_threadsafe(self._one)

    def _one(self) -> None:
        self.count -= 1
        if self.count <= 0 and not self.all.done():
            self.all.set_result(None)


async def _read(receive: Sender) -> bytes | None:
    """A body as it comes; None where the client has gone."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts) if len(parts) > 1 else parts[0]


async def _gone(receive: Sender) -> None:
    """Until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _of_one(upload: Upload, error: str) -> Refusal:
    """What is said of the only image of a request, which could not be read."""
    if upload.error is not None:
        return Refusal(upload.status, error, reason="image")
    is_image = kind_of(upload.data[:HEAD]) in ("image", "svg")
    return Refusal(422 if is_image else 415, error, reason="image")
