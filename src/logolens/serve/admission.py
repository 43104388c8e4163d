"""Who is let in, decided before a body is read, and how long bodies may take to come.

A request that is turned away costs its head and a short answer. One that is let in has a slot, which it gives back when it is
answered, given up or broken off.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from logolens.serve.gate import SLOT, Gate, Slot
from logolens.serve.refusal import Message, Refusal, Sender, respond

if TYPE_CHECKING:
    from logolens.serve.metrics import Metrics

__all__ = ["Admission"]

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 32_000_000


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
        exchange = _Exchange(receive, send, self._gate)
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
                exchange.leave()
        await exchange.linger()


class _Exchange:
    """A request's body, received within its slot's bounds, and the answer to it.

    Where the connection is to close after the answer, the client may be in the middle of its body. A connection that is closed
    over unread bytes is reset, and the answer is lost with it; so some of them are read and forgotten before.
    """

    def __init__(self, receive: Sender, send: Sender, gate: Gate) -> None:
        self._receive, self._send, self._gate = receive, send, gate
        self.slot: Slot | None = None
        self._is_whole = False
        self._closes = self._has_left = False
        self._held_open = False

    async def receive(self) -> Message:
        """The next message from the client.

        Raises:
            Refusal: the body takes too long, or passes a limit.
        """
        if self._is_whole or self.slot is None:
            return await self._receive()  # type: ignore[no-any-return]
        slot = self.slot
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(max(0.0, slot.body_until - time.monotonic())) as patience:
                slot.wake = lambda: patience.reschedule(loop.time())
                message: Message = await self._receive()
        except TimeoutError:
            if slot.has_given_way:
                raise slot.gave_way() from None
            raise Refusal(
                408,
                "The body took too long to arrive; send it faster, or in smaller parts.",
                reason="slow_body",
                closes=True,
            ) from None
        finally:
            slot.wake = None
        if message["type"] == "http.request":
            self._is_whole = not message.get("more_body", False)
            slot.take(len(message.get("body", b"")))
        return message

    def leave(self) -> None:
        """Give the slot back."""
        if self.slot is not None and not self._has_left:
            self._has_left = True
            self._gate.leave(self.slot)

    async def send(self, message: Message) -> None:
        """The next message to the client."""
        if message["type"] == "http.response.start":
            self.leave()  # A client that is slow to take its answer holds no room.
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
