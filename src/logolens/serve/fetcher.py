"""Images that a request names by address: fetched as a scan fetches them, from public addresses alone.

Other people's servers decide how long that takes, so it has a room of its own: so many images wait at a time, each request has so
many of them fetched side by side, and requests take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from logolens.config import Limits, ServeSettings, SourceSettings
from logolens.errors import ImageError, require
from logolens.serve.bodies import Upload
from logolens.serve.refusal import Refusal

__all__ = ["Fetcher"]

_LOG = logging.getLogger(__name__)

_THREADS = 16
_AT_A_TIME = 4
"""Fetches side by side, in all and of one request."""

_SECONDS = 10.0


@dataclass(eq=False)
class _Order:
    """What one request wants, and where it is told."""

    waiting: deque[tuple[int, Upload]]
    on_done: Callable[[int, Upload], object]
    running: int = 0


class Fetcher:
    """Fetches images for requests, a few at a time.

    Args:
        settings: say how large an image may be, and how many wait at a time.
        sources: how servers are asked; private addresses are refused unless these say otherwise.

    Raises:
        MissingExtraError: the extra ``web`` is not installed.
    """

    def __init__(self, settings: ServeSettings, sources: SourceSettings | None = None) -> None:
        require("httpcore2", "web")
        from logolens.io.sources.client import Client

        # Someone waits: a server that does not answer now is not waited for.
        sources = sources or SourceSettings(timeout=5.0, max_time=_SECONDS, retries=0, max_redirects=5, rate=100.0)
        self._settings = settings
        self._limits = Limits(max_pixels=settings.max_pixels, max_bytes=settings.max_bytes)
        self._client: Any = Client(sources)
        self._orders: deque[_Order] = deque()
        self._asked = 0
        self._is_closed = False
        self._changed = threading.Condition()
        # Daemons: a server that drips would else keep this process from ending.
        self._threads = [
            threading.Thread(target=self._work, name=f"logolens-fetch-{number}", daemon=True)
            for number in range(_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    async def fetch(self, uploads: list[Upload], hold: Callable[[int], object] = lambda _: None) -> list[Upload]:
        """The same images with their bytes, or with the reason why there are none.

        Args:
            uploads: the images.
            hold: is given the bytes that have been fetched, in all, as they come; it may raise a refusal.

        Raises:
            Refusal: too many images wait to be fetched already.
        """
        if self._asked and self._asked + len(uploads) > self._settings.fetch_queue:
            raise Refusal(
                503,
                f"The service waits for {self._asked} images from other servers; ask again in a moment, or send the images.",
                reason="fetch",
                retry_after=5,
            )
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[tuple[int, Upload]] = asyncio.Queue()

        def on_done(number: int, upload: Upload) -> None:
            with contextlib.suppress(RuntimeError):  # The loop may have ended; nobody waits then.
                loop.call_soon_threadsafe(arrived.put_nowait, (number, upload))

        order = _Order(deque(enumerate(uploads)), on_done)
        self._asked += len(uploads)
        try:
            with self._changed:
                self._orders.append(order)
                self._changed.notify_all()
            found, total = list(uploads), 0
            for _ in uploads:
                number, upload = await arrived.get()
                if total + len(upload.data) > self._settings.max_body:
                    what = f"The images are larger than {self._settings.max_body:,} bytes together; ask for fewer at a time."
                    upload = replace(upload, data=b"", error=what, status=413)
                total += len(upload.data)
                hold(total)
                found[number] = upload
            return found
        finally:
            self._asked -= len(uploads)
            with self._changed:
                order.waiting.clear()

    def close(self) -> None:
        """Close all connections; whoever waits is told so."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._client.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                while (order := self._next()) is None:
                    if self._is_closed:
                        return
                    self._changed.wait()
                number, upload = order.waiting.popleft()
                order.running += 1
            try:
                done = self._one(upload)
            except Exception:
                _LOG.exception("An image could not be fetched, for no fault of its own.")
                done = replace(upload, error="The image could not be fetched; send the image itself.")
            with self._changed:
                order.running -= 1
                self._changed.notify()
            order.on_done(number, done)

    def _next(self) -> _Order | None:
        """Whose turn it is, of those that do not have as many fetches running as one may have."""
        for _ in range(len(self._orders)):
            order = self._orders.popleft()
            if not order.waiting:
                continue
            self._orders.append(order)
            if order.running < _AT_A_TIME:
                return order
        return None

    def _one(self, upload: Upload) -> Upload:
        from logolens.io.sources.ssrf_guard import NotPublicError
        from logolens.io.sources.urls import Url, redacted

        url = Url.parse(upload.url or "")
        if url is None:
            return replace(
                upload, name=redacted(upload.name), error="This is no http or https address; send one in full."
            )
        try:
            fetched = self._client.image(replace(url, login=None), self._limits)
        except ImageError as error:
            reason = str(error).removeprefix(f"{url.name}: ")
            if isinstance(error.__cause__, NotPublicError):
                # What names lead to in the network within is nobody's affair.
                reason = "This is no public address; the service fetches from no other."
            return replace(upload, name=url.name, error=reason)
        return replace(upload, name=url.name, data=fetched.data)
