"""Photos that a table names by their addresses: fetched once, by whatever client is handed over, and kept in the cache folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from logolens.config import cache_folder
from logolens.data.dataset import Notes
from logolens.errors import ImageError
from logolens.io.atomic import write_atomically
from logolens.io.images import IMAGE_SUFFIXES
from logolens.io.sources.urls import redacted

__all__ = ["Fetch", "fetched", "whole_address"]

Fetch = Callable[[str], bytes]
"""Gives the bytes behind an address; raises ImageError where they cannot be had."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/{1,2}[^/]")
_WEB = re.compile(r"(https?):/([^/])", re.IGNORECASE)
_AT_ONCE = 8
_STARTS = (
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"RIFF", ".webp"),
    (b"BM", ".bmp"),
    (b"II*", ".tif"),
    (b"MM", ".tif"),
)


def whole_address(name: str) -> str | None:
    """The address that a table's cell holds, with the slash that programs for paths take from ``https://``; None of a path."""
    if not _ADDRESS.match(name) or re.match(r"[A-Za-z]:", name):
        return None
    return _WEB.sub(r"\1://\2", name, count=1)


def _name(address: str, data: bytes) -> str:
    """What a fetched file is called: as the address ends, and by what its bytes are."""
    written = PurePosixPath(unquote(urlsplit(address).path)).name
    stem, ending = PurePosixPath(written).stem, PurePosixPath(written).suffix.lower()
    if ending not in IMAGE_SUFFIXES:
        ending = next((ending for start, ending in _STARTS if data.startswith(start)), ".jpg")
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', stem).strip('-')[:60] or 'photo'}{ending}"


def fetched(addresses: Iterable[str], fetch: Fetch, notes: Notes) -> dict[str, Path]:
    """The files that addresses lead to; what is in the cache folder already is not asked for again.

    Args:
        addresses: each once.
        fetch: called from several threads.
        notes: told of what cannot be had, and of how much was.
    """
    wanted = list(addresses)

    def keep(address: str) -> Path | ImageError:
        digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
        folder = cache_folder() / "fetched" / digest[:2] / digest[:32]
        if (there := next(folder.glob("[!.]*"), None)) is not None:
            return there
        try:
            data = fetch(address)
        except ImageError as error:
            return error
        write_atomically(target := folder / _name(address, data), data)
        return target

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="logolens-fetch") as pool:
        found = dict(zip(wanted, pool.map(keep, wanted), strict=True))
    for address, place in found.items():
        if isinstance(place, ImageError):
            reason = str(place).removeprefix(f"{redacted(address)}: ").rstrip(".")
            message = "Addresses that gave no image, left out: {n}."
            notes.add("unreachable", message, [f"{redacted(address)}: {reason}"])
    files = {address: place for address, place in found.items() if isinstance(place, Path)}
    notes.add("fetched", "Photos fetched by their addresses, or kept from an earlier time: {n}.", count=len(files))
    return files
