"""Connections that say nothing cost little: each has so long to come with a whole request's head."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["Protocol"]


class Protocol(HttpToolsProtocol):
    """uvicorn's own, with a limit to how long a connection may be open without a request on it.

    uvicorn ends a connection that stays silent after an answer. One that never begins, or stops in the middle of a head, or goes
    on to send what nobody reads, it would keep.
    """

    header_seconds = 10.0
    """How long; set once, before the first connection, since uvicorn makes the objects."""

    def connection_made(self, transport: Any) -> None:
        """Begin to watch."""
        super().connection_made(transport)
        self._seen: object = None
        self._wait: asyncio.TimerHandle = self.loop.call_later(self.header_seconds, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        """End it."""
        self._wait.cancel()
        super().connection_lost(exc)

    def _check(self) -> None:
        """Close a connection that has had no request, or none since the last look."""
        if self.transport.is_closing():
            return
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and (self.cycle is None or self.cycle is self._seen):
            self.transport.close()
            return
        self._seen = self.cycle if is_idle else None
        self._wait = self.loop.call_later(self.header_seconds, self._check)
