"""Fetching files over HTTP so that an interrupted download goes on where it stopped and a wrong one is never kept."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import logging
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from logolens.config import check, setting
from logolens.errors import DownloadError, UsageError

__all__ = ["FetchSettings", "fetch", "sha256_of"]

_LOG = logging.getLogger(__name__)

_CHUNK = 1 << 18
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")

FetchProgress = Callable[[int, int | None], None]
"""Called as ``progress(bytes so far, bytes in all)``; the second is None where the server does not say."""


@dataclass(frozen=True)
class FetchSettings:
    """How patient a download is."""

    attempts: int = setting(5, "how often in a row a download may fail without getting on", low=1, high=100)
    timeout: float = setting(30.0, "seconds to wait for a connection and for each piece", low=0.01)
    pause: float = setting(1.0, "seconds before the second attempt; doubled each time, at most 30", low=0.0)

    def __post_init__(self) -> None:
        check(self)


class _AgainError(Exception):
    """This attempt failed in a way that the next may not."""


def fetch(
    url: str,
    dest_file: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    max_bytes: int = 2_000_000_000,
    progress: FetchProgress | None = None,
    settings: FetchSettings = FetchSettings(),
) -> str:
    """Download a file.

    Bytes go to ``<dest_file>.part``; an interrupted download, also of an earlier run, goes on from there when the
    server confirms (RFC 9110, Range with If-Range) that the file is still the same, and starts over when it is not. The
    destination is written by one rename, after length and hash have been checked, and overwrites what was there.

    Args:
        url: http or https.
        dest_file: where the file goes; its folder is made.
        sha256: the hash that is expected, in hexadecimal.
        max_bytes: larger files are refused.
        progress: called with the bytes so far and in all.
        settings: attempts, timeout and pause.

    Returns:
        The SHA-256 of what was fetched, in hexadecimal.

    Raises:
        DownloadError: the address is wrong or refused, the file is too large, is not the one expected, the network
            failed too often, or the place cannot be written.
    """
    dest = Path(dest_file)
    part = dest.with_name(dest.name + ".part")
    _check_url(url)
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"The expected SHA-256 is {sha256!r}; it must have 64 hexadecimal digits.")
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        with _lock(part):
            resumed = _fetch_whole(url, part, max_bytes, progress, settings)
            digest = sha256_of(part)
            if sha256 is not None and digest != sha256.lower() and resumed:
                # The beginning may stem from a file that has changed since; from scratch it must be right.
                _forget(part)
                _fetch_whole(url, part, max_bytes, progress, settings)
                digest = sha256_of(part)
            if sha256 is not None and digest != sha256.lower():
                _forget(part)
                raise DownloadError(
                    f"{url}: what came has the SHA-256 {digest}, expected was {sha256.lower()}. It was deleted; the "
                    "file has changed, or something between here and the server alters it."
                )
            os.replace(part, dest)
            _forget(part)
    except OSError as error:
        raise DownloadError(f"{dest}: cannot be written ({error.strerror or error}).") from error
    _LOG.info("%s is fetched, with the SHA-256 %s", dest, digest)
    return digest


def sha256_of(file: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal, read in pieces."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_url(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if not known or re.search(r"[\x00-\x20\x7f]", url):
        raise DownloadError(f"{url!r} is no address to download from; it must begin with http:// or https://.")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https alone, and never from https back to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        new = urllib.parse.urlsplit(newurl)
        if new.scheme not in ("http", "https") or (req.type == "https" and new.scheme != "https"):
            raise DownloadError(
                f"{req.full_url} sends on to {newurl}, which is refused: only http and https are followed, and no step "
                "down from https."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    # Built by hand: the usual opener also reads file:, ftp: and data: addresses.
    opener = urllib.request.OpenerDirector()
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ]
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _fetch_whole(url: str, part: Path, max_bytes: int, progress: FetchProgress | None, settings: FetchSettings) -> bool:
    """Bring the part file to its full length; whether any of it was there before."""
    opener = _opener()
    resumed = _size(part) > 0
    failures, reached = 0, -1
    while True:
        try:
            _attempt(opener, url, part, max_bytes, progress, settings.timeout)
            return resumed or failures > 0
        except _AgainError as error:
            # An attempt that got further counts anew: a line that breaks every minute still brings a large file.
            now = _size(part)
            failures = failures + 1 if now <= reached else 1
            reached = max(reached, now)
            if failures >= settings.attempts:
                kept = f" {now:,} bytes are kept in {part}; run again to go on." if now else ""
                raise DownloadError(f"{url}: {error} ({failures} attempts).{kept}") from error
            _LOG.info("%s: %s; it is tried again", part, error)
            time.sleep(min(30.0, settings.pause * 2 ** (failures - 1)))


def _attempt(
    opener: urllib.request.OpenerDirector,
    url: str,
    part: Path,
    max_bytes: int,
    progress: FetchProgress | None,
    timeout: float,
) -> None:
    have, mark = _resumable(url, part)
    headers = {"User-Agent": "logolens", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": mark}
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=timeout) as response:
            _receive(response, url, part, have, max_bytes, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            _forget(part)
            raise _AgainError("the server no longer has the part that is missing") from error
        if error.code in _AGAIN:
            raise _AgainError(f"the server answered {error.code} {error.reason}") from error
        raise DownloadError(
            f"{url}: the server answered {error.code} {error.reason}. Check the address, or fetch the file by hand."
        ) from error
    except TimeoutError as error:
        raise _AgainError(f"nothing came for {timeout:g} seconds") from error
    except urllib.error.URLError as error:
        raise _AgainError(f"the server cannot be reached ({error.reason})") from error
    except (http.client.HTTPException, ConnectionError) as error:
        raise _AgainError(f"the connection broke ({str(error) or type(error).__name__})") from error
    except ValueError as error:
        raise DownloadError(f"{url}: the server's answer makes no sense ({error}).") from error


def _receive(
    response: http.client.HTTPResponse, url: str, part: Path, have: int, max_bytes: int, progress: FetchProgress | None
) -> None:
    total = None
    length = response.headers.get("Content-Length", "")
    if response.status == 206 and have:
        span = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if span is None or int(span[1]) != have:
            _forget(part)
            raise _AgainError("the server sent another part than was asked for")
        total = int(span[3]) if span[3] != "*" else None
    elif response.status == 200:
        # The file has changed, or the server knows no ranges: begin again.
        have = 0
        total = int(length) if length.isascii() and length.isdigit() else None
        _forget(part)
    else:
        raise DownloadError(f"{url}: the server answered {response.status} where a file was expected.")
    if total is not None and total > max_bytes:
        raise DownloadError(f"{url}: the file has {total:,} bytes, more than the limit of {max_bytes:,}.")
    _mark(response, url, part)
    with part.open("ab") as out:
        out.truncate(have)
        while piece := _piece(response):
            out.write(piece)
            have += len(piece)
            if have > max_bytes:
                out.close()
                _forget(part)
                raise DownloadError(f"{url}: more than {max_bytes:,} bytes came, the limit.")
            if progress is not None:
                progress(have, total)
    if total is not None and have < total:
        raise _AgainError(f"the connection ended after {have:,} of {total:,} bytes")
    if total is not None and have > total:
        _forget(part)
        raise _AgainError(f"{have:,} bytes came where {total:,} were announced")


def _piece(response: http.client.HTTPResponse) -> bytes:
    try:
        # read1 gives what is there, so that a broken connection loses nothing that had come.
        return response.read1(_CHUNK)
    except http.client.IncompleteRead as error:
        raise _AgainError("the connection broke within the file") from error


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _mark(response: http.client.HTTPResponse, url: str, part: Path) -> None:
    """Write down what identifies the file, for If-Range. A weak ETag does not vouch for single bytes."""
    tag = response.headers.get("ETag", "")
    mark = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    _note_of(part).write_text(json.dumps({"url": url, "mark": mark}), encoding="utf-8")


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """How many bytes are there to go on from, and the mark of the file they are from; (0, "") to begin again."""
    have = _size(part)
    try:
        note = json.loads(_note_of(part).read_text(encoding="utf-8"))
        mark = note["mark"] if note["url"] == url else ""
    except (OSError, ValueError, KeyError, TypeError):
        mark = ""
    return (have, mark) if have and isinstance(mark, str) and mark else (0, "")


def _forget(part: Path) -> None:
    for file in (part, _note_of(part)):
        file.unlink(missing_ok=True)


@contextmanager
def _lock(part: Path) -> Iterator[None]:
    """Keep a second process from writing the same part file, where the system has advisory locks."""
    try:
        import fcntl
    except ImportError:  # Windows: opening the part file there already keeps others from replacing it
        yield
        return
    file = part.with_name(part.name + ".lock")
    with file.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DownloadError(f"{part}: another process is downloading this file now; wait for it to end.") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                file.unlink()
