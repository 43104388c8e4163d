"""Who is let in, decided before a body is read: so many requests, so many bytes, and so long for them to come.

A request that is turned away costs its head and a short answer. One that is let in has a slot, which it gives back when it is
answered, given up or broken off.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from logolens.config import ServeSettings
from logolens.serve.refusal import Message, Refusal, Sender, respond

if TYPE_CHECKING:
    from logolens.serve.metrics import Metrics

__all__ = ["SLOT", "Admission", "Gate", "Slot"]

SLOT = "logolens.slot"
"""The key of a request's slot in its ASGI scope."""

_LINE = 1000
"""Most requests that wait for room; what they hold is a connection and what the system has received of their bodies."""

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 32_000_000


class Gate:
    """Counts what is taken on, and keeps a line of those who wait for room. Used by the event loop alone.

    Args:
        settings: how much is taken on.
        metrics: is told.
    """

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self.settings = settings
        self._metrics = metrics
        self.images = 0
        self.bytes = 0
        self._line: deque[tuple[Slot, asyncio.Future[None]]] = deque()
        self._pace = 0.0
        self._last = time.monotonic()

    async def enter(self, announced: int | None) -> Slot:
        """Take a request on, at once or when there is room for it.

        A client that is turned away at once comes back at once, and a few hundred of them would keep a processor busy with
        saying no; one that stands in the line costs nothing.

        Args:
            announced: the body's length, where the client says it.

        Raises:
            Refusal: there is no room for it, nor will there be soon.
        """
        if announced is not None and announced > self.settings.max_body:
            raise self.too_large()
        slot = Slot(self, announced or 0)
        if not self._line and self._has_room(slot):
            self._take(slot)
            return slot
        if len(self._line) >= _LINE or not self.settings.patience:
            raise self.busy("queue")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((slot, turn))
        try:
            async with asyncio.timeout(self.settings.patience):
                await turn
        except TimeoutError:
            if not self._was_taken(slot, turn):
                raise self.busy("queue") from None
        except asyncio.CancelledError:
            if self._was_taken(slot, turn):
                self.leave(slot)
            raise
        slot.begin()
        return slot

    def _was_taken(self, slot: Slot, turn: asyncio.Future[None]) -> bool:
        """Whether a request's turn had come when it stopped waiting; else it leaves the line."""
        if turn.done() and not turn.cancelled():
            return True
        with contextlib.suppress(ValueError):
            self._line.remove((slot, turn))
        return False

    def _has_room(self, slot: Slot) -> bool:
        # A request that is larger than what may be held is taken on alone.
        return self.images < self.settings.queue and (
            not self.bytes or self.bytes + slot.bytes <= self.settings.queue_bytes
        )

    def _take(self, slot: Slot) -> None:
        self.images += 1
        self.bytes += slot.bytes
        self._metrics.in_flight.inc()
        self._metrics.in_flight_bytes.set(self.bytes)

    def leave(self, slot: Slot) -> None:
        """Take back what a slot held, and let in who is next."""
        self.images -= slot.images
        self.bytes -= slot.bytes
        self._metrics.in_flight.dec()
        now = time.monotonic()
        # Seconds an image: of the last few that left, the latest counting most.
        self._pace += (min(now - self._last, 10.0) / slot.images - self._pace) * 0.1
        self._last = now
        while self._line and self._has_room(self._line[0][0]):
            next_slot, turn = self._line.popleft()
            if not turn.done():
                self._take(next_slot)
                turn.set_result(None)
        self._metrics.in_flight_bytes.set(self.bytes)

    def busy(self, reason: str) -> Refusal:
        """What is said to a request for which there is no room."""
        wait = min(30, max(1, math.ceil(self.images * self._pace)))
        return Refusal(
            503,
            f"The service is busy with {self.images} images; ask again in {wait} {'second' if wait == 1 else 'seconds'}.",
            reason=reason,
            retry_after=wait,
        )

    def too_large(self) -> Refusal:
        """What is said of a body that passes the limit."""
        return Refusal(
            413,
            f"The body is larger than {self.settings.max_body:,} bytes; send fewer or smaller images at a time.",
            reason="too_large",
            closes=True,
        )


class Slot:
    """What one request holds of the service's room."""

    def __init__(self, gate: Gate, announced: int) -> None:
        self._gate = gate
        self.images = 1
        self.bytes = announced
        self.came = 0
        self.begin()

    def begin(self) -> None:
        """Let the request's time begin: now that it is taken on."""
        now, gate = time.monotonic(), self._gate
        self.until = now + gate.settings.deadline
        self.body_until = now + min(gate.settings.body_seconds, gate.settings.deadline)

    def take(self, count: int) -> None:
        """Count bytes of the body as they come; those that were announced are counted already.

        Raises:
            Refusal: they are too many.
        """
        self.came += count
        if self.came > self._gate.settings.max_body:
            raise self._gate.too_large()
        self.hold(self.came)

    def hold(self, total: int) -> None:
        """Hold so many bytes in all.

        Raises:
            Refusal: there is no room for them.
        """
        more = total - self.bytes
        if more <= 0:
            return
        if self._gate.bytes + more > self._gate.settings.queue_bytes and self._gate.bytes > self.bytes:
            refusal = self._gate.busy("bytes")
            refusal.closes = True
            raise refusal
        self.bytes += more
        self._gate.bytes += more

    def expand(self, images: int) -> None:
        """Say how many images the request turned out to hold.

        Raises:
            Refusal: there is no room for them beside those of others.
        """
        more = images - self.images
        if self._gate.images + more > self._gate.settings.queue and self._gate.images > self.images:
            raise self._gate.busy("queue")
        self.images += more
        self._gate.images += more


class Admission:
    """ASGI middleware that gives requests for an answer their slots, and bounds the reading of their bodies.

    Args:
        app: what stands behind.
        gate: counts.
        path: of the requests that want a slot, which are POST.
        metrics: is told.
    """

    def __init__(self, app: Any, gate: Gate, path: str, metrics: Metrics) -> None:
        self._app, self._gate, self._path, self._metrics = app, gate, path, metrics

    async def __call__(self, scope: Message, receive: Sender, send: Sender) -> None:
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            slot = await self._gate.enter(_length(scope["headers"]))
        except Refusal as refusal:
            self._metrics.rejected.labels(refusal.reason).inc()
            await respond(exchange.send, refusal)
        else:
            exchange.slot = scope[SLOT] = slot
            try:
                await self._app(scope, exchange.receive, exchange.send)
            finally:
                self._gate.leave(slot)
        await exchange.linger()


class _Exchange:
    """A request's body, received within its slot's bounds, and the answer to it.

    Where the connection is to close after the answer, the client may be in the middle of its body. A connection that is closed
    over unread bytes is reset, and the answer is lost with it; so some of them are read and forgotten before.
    """

    def __init__(self, receive: Sender, send: Sender) -> None:
        self._receive, self._send = receive, send
        self.slot: Slot | None = None
        self._is_whole = False
        self._closes = False
        self._held_open = False

    async def receive(self) -> Message:
        """The next message from the client.

        Raises:
            Refusal: the body takes too long, or passes a limit.
        """
        if self._is_whole or self.slot is None:
            return await self._receive()  # type: ignore[no-any-return]
        try:
            async with asyncio.timeout(max(0.0, self.slot.body_until - time.monotonic())):
                message: Message = await self._receive()
        except TimeoutError:
            raise Refusal(
                408,
                "The body took too long to arrive; send it faster, or in smaller parts.",
                reason="slow_body",
                closes=True,
            ) from None
        if message["type"] == "http.request":
            self._is_whole = not message.get("more_body", False)
            self.slot.take(len(message.get("body", b"")))
        return message

    async def send(self, message: Message) -> None:
        """The next message to the client."""
        if message["type"] == "http.response.start":
            self._closes = (b"connection", b"close") in message["headers"]
        elif not message.get("more_body", False) and self._closes and not self._is_whole:
            self._held_open = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def linger(self) -> None:
        """End an answer that was held open, once the client has had the time to see it."""
        if not self._held_open:
            return
        left = _LINGER_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        break
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _length(headers: list[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None
