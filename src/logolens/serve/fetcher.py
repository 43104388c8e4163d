"""Images that a request names by address: fetched as a scan fetches them, from public addresses alone."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from logolens.config import Limits, ServeSettings, SourceSettings
from logolens.errors import ImageError, require
from logolens.serve.bodies import Upload

__all__ = ["Fetcher"]

_AT_A_TIME = 8
_SECONDS = 10.0


class Fetcher:
    """Fetches images for requests, a few at a time.

    Args:
        settings: say how large an image may be.
        sources: how servers are asked; private addresses are refused unless these say otherwise.

    Raises:
        MissingExtraError: the extra ``web`` is not installed.
    """

    def __init__(self, settings: ServeSettings, sources: SourceSettings | None = None) -> None:
        require("httpcore2", "web")
        from logolens.io.sources.client import Client

        # Someone waits: a server that does not answer now is not waited for.
        sources = sources or SourceSettings(timeout=5.0, max_time=_SECONDS, retries=0, max_redirects=5, rate=100.0)
        self._limits = Limits(max_pixels=settings.max_pixels, max_bytes=settings.max_bytes)
        self._client: Any = Client(sources)
        self._pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="logolens-fetch")

    async def fetch(self, uploads: list[Upload]) -> list[Upload]:
        """The same images with their bytes, or with the reason why there are none."""
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(self._pool, self._one, upload) for upload in uploads))

    def close(self) -> None:
        """Close all connections; whoever waits is told so."""
        self._client.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

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
