"""Weights from the Hugging Face Hub, by its own client: mirrors, tokens, proxies and resumed downloads are as it has them."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from logolens.errors import DownloadError, require

__all__ = ["FILE", "fetch_weights"]

FILE = "model.safetensors"
"""The weight file of a repository."""

_HUB = "https://huggingface.co"
_TIMEOUT = 10.0  # seconds without an answer


def fetch_weights(
    repository: str, folder: Path, *, max_bytes: int, progress: Callable[[int, int | None], None] | None = None
) -> tuple[Path, str, str]:
    """Download a repository's weight file; one that was interrupted goes on where it stopped.

    Args:
        repository: as in ``timm/resnet18.a1_in1k``.
        folder: where the file, and what the client notes of it, is put.
        max_bytes: a larger file is refused.
        progress: called with the bytes so far and in all.

    Returns:
        The file, the SHA-256 that the Hub tells of it, and its address.

    Raises:
        DownloadError: it cannot be had, is too large, or the Hub tells no SHA-256 of it.
        MissingExtraError: the client is not installed.
    """
    hub: Any = require("huggingface_hub", "train")
    base = os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")
    url = str(hub.hf_hub_url(repository, FILE, endpoint=base))
    try:
        with _quiet():
            facts = hub.get_hf_file_metadata(url, timeout=_TIMEOUT)
            promised = str(facts.etag or "")
            if not re.fullmatch(r"[0-9a-f]{64}", promised):
                raise DownloadError(f"The repository {repository} tells no SHA-256 of its {FILE} ({url}).")
            if (facts.size or 0) > max_bytes:
                raise DownloadError(f"{url} has {facts.size:,} bytes; at most {max_bytes:,} are fetched.")
            path = hub.hf_hub_download(
                repository, FILE, local_dir=folder, endpoint=base, etag_timeout=_TIMEOUT, tqdm_class=_bar(progress)
            )
    except DownloadError:
        raise
    except Exception as error:  # The client's own, its HTTP library's, and the machine's.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DownloadError(f"{url} cannot be fetched: {reason.rstrip('.')}.") from error
    return Path(path), promised, url


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The client's warnings are its own affair: what fails is told once, as an error."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _bar(progress: Callable[[int, int | None], None] | None) -> Any:
    """A progress bar that draws nothing, and tells how far it is."""
    tqdm: Any = require("tqdm", "train").tqdm

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
