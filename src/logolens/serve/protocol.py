"""What is decided where the bytes arrive: how large a request's head may be, and how long a connection may take to send it.

All of it is decided before a token can be asked for, so whoever reaches the port can make the service do this much and no
more.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from logolens.serve.refusal import Refusal
from logolens.serve.security import HEADERS

__all__ = ["MOST_FIELDS", "MOST_HEAD", "MOST_URL", "REFUSED", "Protocol", "protocol_of"]

MOST_HEAD = 65_536
"""Most bytes of a request's head: its first line and its header fields."""

MOST_FIELDS = 100
"""Most header fields of a request."""

MOST_URL = 16_000
"""Most bytes of the address in a request's first line."""

REFUSED = "refused"
"""The key, in the application's state, of what is told of each refusal that is made here."""

_PIECE = 4_096
"""Bytes that are parsed in one go, beside those of a body of known length: as many as 200 of the smallest requests, which take
some 20 ms."""

_FRAMING = 8
"""A chunked body may have one byte of framing in so many bytes of content, beside what a head may have: chunks of a few bytes
would cost a call of Python each."""

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 4_000_000
"""How long, and how many bytes, a refused client may go on to send. A connection that is closed over unread bytes is reset, and
the refusal is lost with it."""

_PROBE_SECONDS = 0.15
"""How long an answer may take before it is of interest whether a client that sends no more still waits for it."""

_STATUS_PREFIX = b"HTTP/1.1 "


class Protocol(HttpToolsProtocol):
    """uvicorn's own, with bounds to a request's head and to how long a connection may be open without a request on it.

    uvicorn ends a connection that stays silent after an answer. One that never begins, or stops in the middle of a head, or goes
    on to send what nobody reads, it would keep; a head without an end it would collect, at a cost that grows with its square.
    """

    header_seconds = 10.0
    """How long; of a class, see `protocol_of`, since uvicorn makes the objects."""

    write_seconds = 15.0
    """How long a client may take none of an answer that waits for it."""

    def connection_made(self, transport: Any) -> None:
        """Begin to watch."""
        super().connection_made(transport)
        self.flow: _Flow = _Flow(transport)
        self._seen: object = None
        self._wait: asyncio.TimerHandle = self.loop.call_later(self.header_seconds, self._check)
        self._rest = b""
        self._in_head = True
        self._wholes = 0  # Requests that have arrived whole, since the connection was made.
        self._head = self._left = self._counted = self._fields = self._framing = self._content = self._forgotten = 0
        self._hosts = 0
        self._refusal: Refusal | None = None
        self._is_ended = self._is_half_closed = self._was_closing = False
        self._unread: asyncio.TimerHandle | None = None
        self._running: Any = None  # The request that is being answered; others may wait behind it.

    def connection_lost(self, exc: Exception | None) -> None:
        """End it."""
        self._wait.cancel()
        self.resume_writing()
        self._rest, self._is_ended = b"", True
        super().connection_lost(exc)

    # What arrives

    def data_received(self, data: bytes) -> None:
        """Take bytes on: a piece at a time, and none while an earlier request on the connection waits for its answer."""
        self._unset_keepalive_if_required()
        if self._is_ended:
            self._forgotten += len(data)
            if self._forgotten > _LINGER_BYTES:
                self.flow.hold(True)  # It is closed in a moment; until then the rest waits where it is.
            return
        self._rest += data
        self._feed()

    def _feed(self) -> None:
        if self._is_ended or self.parser is None:
            return
        rest, self._rest = self._rest, b""
        if rest:
            self._unset_keepalive_if_required()
        at = 0
        while at < len(rest) and not self._is_ended and not self.pipeline:
            piece = rest[at : at + (_PIECE if self._in_head else max(_PIECE, self._left))]
            at += len(piece)
            self._parse(piece)
        if not self._is_ended:
            self._rest = rest[at:]
        self.flow.hold(bool(self._rest))

    def _parse(self, piece: bytes) -> None:
        before, content = (self._in_head, self._wholes), self._content
        super().data_received(piece)
        if self._is_ended or before != (self._in_head, self._wholes):
            return
        if self._in_head:
            self._head += len(piece)
            if self._head > MOST_HEAD:
                self._end(_large_head())
            return
        self._framing += len(piece) - (self._content - content)
        if self._framing > MOST_HEAD + self._content // _FRAMING:
            self._end(
                Refusal(
                    431, "The body's chunks are too small, or what follows them too long; send it in one.", closes=True
                )
            )

    def on_message_begin(self) -> None:
        """A head begins."""
        self._counted = self._fields = self._framing = self._content = self._left = self._hosts = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._count(len(url))
        if len(self.url) + len(url) > MOST_URL:
            self._refuse(Refusal(414, f"The address is longer than {MOST_URL:,} bytes; shorten it.", closes=True))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header field, of the head or behind a chunked body."""
        self._count(len(name) + len(value) + 4)
        self._fields += 1
        if self._fields > MOST_FIELDS:
            self._refuse(
                Refusal(431, f"The request has more than {MOST_FIELDS} header fields; send fewer.", closes=True)
            )
        if name.lower() == b"host" and self._in_head:
            self._hosts += 1
            if self._hosts > 1:
                self._refuse(Refusal(400, "The request names two hosts; send one Host field.", closes=True))
        if name.lower() == b"content-length" and value.isdigit():
            self._left = int(value)  # The parser refuses it beside chunks, twice, or out of bounds.
        if self._in_head:  # What follows a body belongs to no decision that was made on its head.
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        super().on_headers_complete()
        if all(self.cycle is not waiting for waiting, _ in self.pipeline):
            self._running = self.cycle

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._content += len(body)
        self._left = max(0, self._left - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; another may follow."""
        self._in_head, self._head, self._left = True, 0, 0
        self._wholes += 1
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._counted += size
        if self._counted > MOST_HEAD:
            self._refuse(_large_head())

    def _refuse(self, refusal: Refusal) -> None:
        """Stop the parser, which calls `send_400_response` then."""
        self._refusal = refusal
        raise _StopError

    # What is refused here

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or more of it than is taken."""
        refusal = self._refusal or Refusal(
            400, "This is no HTTP request that can be understood; check the program that sends it.", closes=True
        )
        self._refusal = None
        self._end(refusal)

    def _end(self, refusal: Refusal) -> None:
        """Answer with a refusal, once those that are due before it are answered, and close."""
        self._is_ended, self._rest = True, b""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (self.pipeline or not cycle.more_body):
            self._refusal = refusal
            return
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.close()
                return
            # What was to be answered has no whole body, and never will.
            cycle.disconnected = True
            cycle.message_event.set()
        self._write_refusal(refusal)

    def _write_refusal(self, refusal: Refusal) -> None:
        if (refused := self.app_state.get(REFUSED)) is not None:
            refused(refusal)
        if self.transport.is_closing():
            return
        body = refusal.body
        headers = [
            *self.server_state.default_headers, (b"content-type", b"application/json"), (b"cache-control", b"no-store"),
            (b"content-length", str(len(body)).encode()), (b"connection", b"close"), *HEADERS,
        ]  # fmt: skip
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        self.transport.write(b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body]))
        self.flow.hold(False)
        self.flow.resume_reading()
        if self._is_half_closed:
            self.transport.close()
            return
        with contextlib.suppress(OSError, RuntimeError):
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def on_response_complete(self) -> None:
        """Go on with what has arrived meanwhile."""
        following = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self.transport.is_closing():
            return
        self._running = following
        if self._rest and not self.pipeline:
            self.loop.call_soon(self._feed)
        elif self._is_answered() and self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            self._write_refusal(refusal)
        elif self._is_answered() and self._is_half_closed:
            self.transport.close()

    def _is_answered(self) -> bool:
        return not self.pipeline and (self.cycle is None or self.cycle.response_complete)

    # A client that will send no more

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer a client that has ended its side of the connection after a whole request, as `nc -N` does."""
        if self._is_ended or self._is_answered():
            if not self._is_ended and self._in_head and self._head:
                self._is_half_closed = True
                self._end(_cut_off())
            return None
        self._is_half_closed = True
        if not self._rest and self.cycle.more_body:
            self._end(_cut_off())
            return None if self._is_answered() or self.cycle.disconnected else True
        self.cycle.keep_alive = False
        if not self.pipeline and not self.cycle.response_started:
            self.loop.call_later(_PROBE_SECONDS, self._probe, self.cycle)
        return True

    def _probe(self, cycle: Any) -> None:
        """Find out whether a client that sends no more still listens.

        One that has gone altogether looks the same until something is sent to it: then its system objects. All answers begin with
        the same bytes, so these can be sent.
        """
        if self.transport.is_closing() or cycle.response_started:
            return
        self.transport.write(_STATUS_PREFIX)
        cycle.transport = _Begun(self.transport)
        self._look_whether_gone(cycle, 0.01)

    def _look_whether_gone(self, cycle: Any, pause: float) -> None:
        if self.transport.is_closing() or cycle.response_complete:
            return
        connection = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._cut()
                return
        self.loop.call_later(pause, self._look_whether_gone, cycle, min(pause * 2, 1.0))

    def _cut(self) -> None:
        """End the connection at once. What still writes an answer is told: a write on a closed transport is an error."""
        for cycle in (self._running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.transport.abort()

    def pause_writing(self) -> None:
        """The client does not take what is sent to it."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.write_seconds, self._cut)

    def resume_writing(self) -> None:
        """It does again."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _check(self) -> None:
        """Close a connection that has had no request, or none since the last look."""
        if self.transport.is_closing():
            # It is closed once the client has taken what was sent; one that takes nothing would keep it.
            if self._was_closing:
                self._cut()
                return
            self._was_closing = True
            self._wait = self.loop.call_later(self.header_seconds, self._check)
            return
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and (self.cycle is None or self.cycle is self._seen):
            self.transport.close()
        self._seen = self.cycle if is_idle else None
        self._wait = self.loop.call_later(self.header_seconds, self._check)


class _StopError(Exception):
    """Raised through the parser, which wraps it."""


def protocol_of(header_seconds: float, write_seconds: float) -> type[Protocol]:
    """A protocol with these bounds: several services may run in one process.

    Args:
        header_seconds: how long a connection may be open without a request on it.
        write_seconds: how long a client may take none of an answer that waits for it.
    """
    return type("Protocol", (Protocol,), {"header_seconds": header_seconds, "write_seconds": write_seconds})


class _Flow(FlowControl):
    """uvicorn's, which an application that waits for its client to go would have read without end."""

    def __init__(self, transport: Any) -> None:
        super().__init__(transport)
        self._is_held = False

    def hold(self, is_held: bool) -> None:
        """Read no more, whoever asks for it, until told otherwise."""
        self._is_held, was_held = is_held, self._is_held
        if is_held:
            self.pause_reading()
        elif was_held:
            self.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless reading is held."""
        if not self._is_held:
            super().resume_reading()


class _Begun:
    """A transport to which the first bytes of an answer were written already."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._is_due = True

    def write(self, data: bytes) -> None:
        if self._is_due:
            self._is_due = False
            data = data.removeprefix(_STATUS_PREFIX)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _large_head() -> Refusal:
    return Refusal(
        431, f"The request's head is larger than {MOST_HEAD:,} bytes; send shorter header fields.", closes=True
    )


def _cut_off() -> Refusal:
    return Refusal(400, "The request is cut off; send the whole of it.", closes=True)
