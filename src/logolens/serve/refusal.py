"""How the service says no: one sentence, a status, and when to come back."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["Message", "Refusal", "Sender", "respond"]

Message = dict[str, Any]
"""A message of ASGI."""

Sender = Any
"""What ASGI gives an application to receive or to send with."""


class Refusal(Exception):
    """A request is not answered.

    Attributes:
        status: of the answer.
        sentence: what is wrong, and what to do.
        retry_after: seconds after which it may be asked again.
        reason: a word for the figures.
        closes: whether the connection is of no more use.
    """

    def __init__(
        self, status: int, sentence: str, *, reason: str = "", retry_after: int | None = None, closes: bool = False
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.reason = status, sentence, reason
        self.retry_after, self.closes = retry_after, closes

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return json.dumps({"error": self.sentence}, ensure_ascii=False).encode()

    @property
    def headers(self) -> dict[str, str]:
        """The headers that this answer has beside those of all."""
        found = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        return found | ({"connection": "close"} if self.closes else {})


async def respond(send: Sender, refusal: Refusal) -> None:
    """Send a refusal as ASGI messages, without a framework between."""
    body = refusal.body
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
