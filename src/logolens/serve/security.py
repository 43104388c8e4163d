"""Who may ask, and what a browser may do with the answer."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from logolens.config import ServeSettings
from logolens.errors import UsageError
from logolens.serve.gate import SLOT
from logolens.serve.logs import log_request
from logolens.serve.refusal import Message, Refusal, Sender, respond

if TYPE_CHECKING:
    from logolens.serve.metrics import Metrics

__all__ = ["HEADERS", "TOKEN", "Front", "Token", "hosts_of", "is_loopback", "read_token"]

_LOG = logging.getLogger(__name__)

TOKEN = "LOGOLENS_TOKEN"
"""The variable that holds the token, where no file is named."""

HEADERS = [
    # Nothing from elsewhere, nothing inline, and no page may frame this one.
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        b"font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
"""What every answer has."""

_STRANGER = Refusal(421, "The service does not go by this host name; start it with --allow-host to allow it.")
_FAILED = Refusal(500, "The service failed to answer; its log says why.", closes=True)

_ENDING = Refusal(503, "The service is ending; ask again in a moment.", reason="ending", retry_after=5, closes=True)

_GUARDED = ("/v1", "/metrics")


def read_token(settings: ServeSettings) -> str:
    """The token that requests must bring; empty if none is asked for.

    Raises:
        UsageError: the file cannot be read, or what it holds is no token.
    """
    if settings.token_file is None:
        token, origin = os.environ.get("LOGOLENS_TOKEN", ""), TOKEN
    else:
        origin = str(settings.token_file)
        try:
            token = settings.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise UsageError(f"The token file {origin} cannot be read ({reason}); name another one.") from error
        if not token:
            raise UsageError(f"The token file {origin} is empty; write the token into it.")
    if token and (not token.isascii() or not token.isprintable() or " " in token):
        raise UsageError(f"The token in {origin} must be plain ASCII without spaces; make one of letters and digits.")
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on this address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def hosts_of(settings: ServeSettings) -> frozenset[str]:
    """The names by which requests may call the service; empty for any.

    A page of another site that has its own name resolve to this machine would else pass for the service's own page.
    """
    named = frozenset(host.lower() for host in settings.allow_host)
    if "*" in named or not (named or is_loopback(settings.host)):
        return frozenset()
    return named | {"localhost", "127.0.0.1", "[::1]", settings.host.lower()}


class Front:
    """ASGI middleware in front of all: headers for browsers, the service's own names, and figures.

    Args:
        app: what stands behind.
        settings: say by what names the service may be called.
        metrics: is told.
        routes: the paths that are told apart in the figures.
    """

    def __init__(self, app: Any, settings: ServeSettings, metrics: Metrics, routes: frozenset[str]) -> None:
        self._app, self._metrics, self._routes = app, metrics, routes
        self._hosts = hosts_of(settings)
        # Pages of other origins that are let in must be able to read the answers.
        policy = b"cross-origin" if settings.cors else b"same-origin"
        self._headers = [*HEADERS, (b"cross-origin-resource-policy", policy)]

    async def __call__(self, scope: Message, receive: Sender, send: Sender) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        path = scope["path"]
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *self._headers]
                if path.startswith(_GUARDED) or status != 200:
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            if self._hosts and _host(scope["headers"]) not in self._hosts:
                await respond(sent, _STRANGER)
            else:
                await self._app(scope, receive, sent)
        except asyncio.CancelledError:
            # The service was told to end, and its time for that is over. Nothing else cancels a request.
            if status:
                raise
            self._metrics.rejected.labels(_ENDING.reason).inc()
            await respond(sent, _ENDING)
        except Exception:
            # What went wrong is for the log alone.
            _LOG.exception("A request to %s failed.", path)
            if status:
                raise
            await respond(sent, _FAILED)
        finally:
            route = path if path in self._routes else "other"
            seconds = time.monotonic() - began
            self._metrics.requests.labels(route, str(status or "broken off")).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            slot = scope.get(SLOT)
            taken = {} if slot is None else {"bytes": slot.came, "images": slot.wanted}
            client = (scope.get("client") or ("",))[0]
            log_request(
                scope["method"], route, status or "broken off", seconds=round(seconds, 4), client=client, **taken
            )


class Token:
    """ASGI middleware that asks for a token.

    Args:
        app: what stands behind.
        token: the token.
        metrics: is told.
    """

    def __init__(self, app: Any, token: str, metrics: Metrics) -> None:
        self._app, self._token, self._metrics = app, token.encode(), metrics

    async def __call__(self, scope: Message, receive: Sender, send: Sender) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_GUARDED) or self._brought(scope["headers"]):
            await self._app(scope, receive, send)
            return
        self._metrics.rejected.labels("token").inc()
        await respond(
            send,
            Refusal(401, "The token is missing or wrong; send the header `Authorization: Bearer TOKEN`.", closes=True),
        )

    def _brought(self, headers: list[tuple[bytes, bytes]]) -> bool:
        for name, value in headers:
            if name == b"authorization":
                scheme, _, token = value.partition(b" ")
                return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)
        return False


def _host(headers: list[tuple[bytes, bytes]]) -> str:
    """The host's name, lower case and without its port."""
    for name, value in headers:
        if name == b"host":
            host = value.decode("latin-1").strip().lower()
            return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return ""
