"""A service that answers about images over HTTP. It takes the extra ``serve``, and never torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from logolens.config import ServeSettings
from logolens.errors import require

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["create_app"]


def create_app(bundles: Mapping[str, Path], settings: ServeSettings = ServeSettings(), token: str = "") -> FastAPI:
    """The service as an ASGI application. It loads its bundles when it is started.

    Args:
        bundles: the bundles' folders by the names that requests know them by; the first answers when none is named.
        settings: what the service takes, and how much of it at a time.
        token: what requests must bring; empty if none is asked for.

    Raises:
        MissingExtraError: the extra ``serve`` is not installed, or, to fetch images, the extra ``web``.
    """
    for module in ("fastapi", "prometheus_client", "python_multipart"):
        require(module, "serve")
    if settings.allow_urls:
        require("httpcore2", "web")
    from logolens.serve.app import build

    return build(bundles, settings, token)
