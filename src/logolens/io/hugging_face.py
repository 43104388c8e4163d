"""The Hugging Face Hub's own client, as logolens uses it: mirrors, tokens, proxies and resumed downloads are as it has them."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from logolens.errors import require

__all__ = [
    "TIMEOUT",
    "HubProgress",
    "bar",
    "caches",
    "endpoint",
    "first_line",
    "has_token",
    "hub_cache",
    "is_offline",
    "is_set",
    "quiet",
]

TIMEOUT = 10.0
"""Seconds without an answer, after which the Hub is given up."""

HubProgress = Callable[[int, int | None], None]
"""Called with the bytes so far and in all; the second is None where nobody knows."""


def endpoint() -> str:
    """The Hub's address, or its mirror's as ``HF_ENDPOINT`` names it."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def caches() -> Path:
    """Where programs keep what can be had again, as ``XDG_CACHE_HOME`` says."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def hub_cache() -> Path:
    """The folder in which the client keeps what it downloads, as ``HF_HUB_CACHE`` and ``HF_HOME`` say."""
    home = Path(os.environ.get("HF_HOME") or caches() / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def is_set(variable: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}


def is_offline() -> str | None:
    """The variable that forbids to ask the Hub; None where none does."""
    if is_set("LOGOLENS_OFFLINE"):
        return "LOGOLENS_OFFLINE"
    return "HF_HUB_OFFLINE" if is_set("HF_HUB_OFFLINE") else None


def has_token(extra: str) -> bool:
    """Whether there is a token to ask the Hub with: that of ``HF_TOKEN``, or one that its client keeps.

    Args:
        extra: the extra of logolens that brings the client.
    """
    return bool(os.environ.get("HF_TOKEN", "").strip() or require("huggingface_hub", extra).get_token())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The client's warnings are its own affair: what fails is told once, as an error."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def first_line(error: BaseException) -> str:
    """What an error says, in a line without its full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].rstrip(".")


def bar(progress: HubProgress | None, extra: str) -> Any:
    """A progress bar for the client that draws nothing, and tells how far it is.

    Args:
        progress: is told.
        extra: the extra of logolens that brings the client.
    """
    tqdm: Any = require("tqdm", extra).tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **how: Any) -> None:
            how.pop("name", None)
            super().__init__(*arguments, **{**how, "disable": False, "file": io.StringIO()})

        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            if progress is not None:
                progress(int(self.n), None if self.total is None else int(self.total))
            return shown

    return Bar
