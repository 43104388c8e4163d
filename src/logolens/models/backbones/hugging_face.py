"""Weights from the Hugging Face Hub, by its own client."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from logolens.errors import DownloadError, require
from logolens.io.hugging_face import TIMEOUT, HubProgress, bar, endpoint, first_line, quiet

__all__ = ["FILE", "fetch_weights"]

FILE = "model.safetensors"
"""The weight file of a repository."""


def fetch_weights(
    repository: str, folder: Path, *, max_bytes: int, progress: HubProgress | None = None
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
    base = endpoint()
    url = str(hub.hf_hub_url(repository, FILE, endpoint=base))
    try:
        with quiet():
            facts = hub.get_hf_file_metadata(url, timeout=TIMEOUT)
            promised = str(facts.etag or "")
            if not re.fullmatch(r"[0-9a-f]{64}", promised):
                raise DownloadError(f"The repository {repository} tells no SHA-256 of its {FILE} ({url}).")
            if (facts.size or 0) > max_bytes:
                raise DownloadError(f"{url} has {facts.size:,} bytes; at most {max_bytes:,} are fetched.")
            path = hub.hf_hub_download(
                repository,
                FILE,
                local_dir=folder,
                endpoint=base,
                etag_timeout=TIMEOUT,
                tqdm_class=bar(progress, "train"),
            )
    except DownloadError:
        raise
    except Exception as error:  # The client's own, its HTTP library's, and the machine's.
        raise DownloadError(f"{url} cannot be fetched: {first_line(error)}.") from error
    return Path(path), promised, url
