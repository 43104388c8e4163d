"""Images in buckets, and wherever else fsspec reaches: ``s3://``, ``gs://``, ``az://``, ``sftp://`` and so on."""

from __future__ import annotations

import contextlib
import datetime
import re
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError, require
from logolens.io.sources.archives import archive_images
from logolens.io.sources.local import is_hidden
from logolens.io.sources.mime import ARCHIVE_SUFFIXES, SCANNED_SUFFIXES, suffix_of
from logolens.io.sources.source import Fetched, Source, Stamp

__all__ = ["bucket_images", "bucket_source", "is_bucket"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_MARKS = ("ETag", "etag", "e_tag", "md5Hash", "content_md5", "crc32c", "checksum")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "timeModified", "created")


def is_bucket(text: str) -> bool:
    """Whether a text is an address that fsspec is asked for."""
    return _SCHEME.match(text) is not None


def bucket_images(url: str, settings: SourceSettings, limits: Limits = Limits()) -> Iterator[Source]:
    """The images at an address: of one file, of all below a folder or prefix, or of those that a pattern matches.

    Names are what they are called in the bucket, without credentials. Which credentials are used is fsspec's own affair:
    the clouds' usual environment variables and files.
    """
    try:
        place = _Place(url)
    except ImageError as error:
        yield Source(_without_login(url), problem=str(error))
        return
    found = False
    try:
        for path, info in place.files():
            member = path[len(place.path) :] if path.startswith(place.path) else path
            if path != place.path and any(is_hidden(part) for part in member.split("/") if part):
                continue
            for source in _images(place, path, info, settings, limits, named=path == place.path):
                found = True
                yield source
    except Exception as error:  # Every cloud's package raises its own.
        yield Source(
            place.shown,
            problem=f"{place.shown}: cannot be listed ({_short(error)}); check the name and your rights.",
            hides=True,
        )
        return
    if not found:
        yield Source(
            place.shown, problem=f"{place.shown}: there are no files here that end as images do, as in .jpg or .png."
        )


def bucket_source(url: str) -> Source:
    """One image at an address, without asking what is there before it is read."""
    try:
        place = _Place(url)
    except ImageError as error:
        return Source(_without_login(url), problem=str(error))
    return Source(place.shown, fetch=place.fetcher(place.path, None, None), needs_login=place.needs_login)


def _images(
    place: _Place, path: str, info: dict[str, Any], settings: SourceSettings, limits: Limits, *, named: bool
) -> Iterator[Source]:
    name, suffix = place.name(path), suffix_of(path)
    size = info.get("size")
    if settings.inside and path.lower().endswith(ARCHIVE_SUFFIXES):
        yield from archive_images(name, place.opener(path), int(size or 0), settings, limits)
    elif settings.inside and suffix == ".pdf":
        from logolens.io.sources.pdf import pdf_images

        try:
            fetched = place.fetcher(path, size, None)(limits, None)
        except ImageError as error:
            yield Source(name, problem=str(error))
            return
        assert fetched is not None
        yield from pdf_images(name, fetched.data, _stamp(info), limits)
    elif named or suffix in SCANNED_SUFFIXES:
        stamp = _stamp(info)
        yield Source(name, stamp=stamp, fetch=place.fetcher(path, size, stamp), needs_login=place.needs_login)


class _Place:
    """An address, taken apart into the file system that it is on and the path there."""

    def __init__(self, url: str) -> None:
        if "::" in url:
            raise ImageError(f"{_without_login(url)}: name the archive itself; archives are looked into.")
        fsspec = require("fsspec", "buckets")
        parts = urlsplit(url)
        self._scheme = parts.scheme.lower()
        login = parts.netloc.rpartition("@")[0]
        given: dict[str, Any] = {}
        if self._scheme in ("s3", "s3a") and login:
            # s3fs would take them for a part of the bucket's name, and so would every name that is stored.
            given = dict(zip(("key", "secret"), map(unquote, login.split(":", 1)), strict=False))
            url = _without_login(url)
        try:
            # Its cache of listings would grow with the bucket.
            self.files_at, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **given)
        except ImportError as error:
            raise ImageError(f"{_without_login(url)}: {_short(error)}.") from error
        except Exception as error:
            raise ImageError(f"{_without_login(url)}: this address cannot be used ({_short(error)}).") from error
        self.needs_login = bool(given)
        self.path = str(path).rstrip("/") or "/"
        if ":" in login and login in self.path:
            raise ImageError(
                f"{_without_login(url)}: credentials in an address of this kind are not taken; set the cloud's own "
                "environment variables."
            )
        host = parts.netloc.rpartition("@")[2]
        # Object stores count the bucket to the path; file servers keep the host apart.
        self._host = "" if self.path.lstrip("/").split("/")[0] in ("", *parts.netloc.split("@")) else host
        self.shown = self.name(self.path)
        # Those that work with an event loop of their own may be used from any thread.
        self._lock: Any = contextlib.nullcontext() if getattr(self.files_at, "async_impl", False) else threading.Lock()

    def name(self, path: str) -> str:
        """What a file here is called in results."""
        return f"{self._scheme}://{self._host}{path if self._host else path.lstrip('/')}"

    def files(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every file, folder by folder."""
        if re.search(r"[*?\[]", self.path):
            for path, info in sorted(self.files_at.glob(self.path, detail=True).items()):
                if info.get("type") == "file":
                    yield path, info
            return
        info = self.files_at.info(self.path)
        if info.get("type") == "file":
            yield self.path, info
            return
        for folder, _, files in self.files_at.walk(self.path, detail=True, on_error="raise"):
            for name, info in sorted(files.items()):
                yield str(info.get("name") or f"{folder}/{name}"), info

    def opener(self, path: str) -> Any:
        """Opens a file for reading, with seeking."""
        return lambda: cast(BinaryIO, self.files_at.open(path, "rb"))

    def fetcher(self, path: str, size: int | None, stamp: Stamp | None) -> Any:
        """Reads a file when it is asked to."""
        name = self.name(path)

        def fetch(limits: Limits, known: Stamp | None) -> Fetched | None:
            if size is not None and size > limits.max_bytes:
                raise ImageError(f"{name}: the file has {size:,} bytes, more than the limit of {limits.max_bytes:,}.")
            try:
                with self._lock:
                    now = stamp if stamp is not None else _stamp(self.files_at.info(path))
                    if now.is_same(known):
                        return None
                    if now.size is not None and now.size > limits.max_bytes:
                        raise ImageError(
                            f"{name}: the file has {now.size:,} bytes, more than the limit of {limits.max_bytes:,}."
                        )
                    data = bytes(
                        self.files_at.cat_file(path, start=0, end=limits.max_bytes + 1)
                        if now.size is None
                        else self.files_at.cat_file(path)
                    )
            except ImageError:
                raise
            except FileNotFoundError as error:
                raise ImageError(f"{name}: there is no such file.") from error
            except Exception as error:  # Every cloud's package raises its own.
                raise ImageError(f"{name}: cannot be read ({_short(error)}).") from error
            if not data:
                raise ImageError(f"{name}: the file is empty.")
            if len(data) > limits.max_bytes:
                raise ImageError(f"{name}: the file is larger than {limits.max_bytes} bytes.")
            return Fetched(data, now)

        return fetch


def _stamp(info: dict[str, Any]) -> Stamp:
    mark = next((str(info[key]) for key in _MARKS if info.get(key)), None)
    moment = next((info[key] for key in _TIMES if info.get(key)), None)
    modified = None
    if isinstance(moment, datetime.datetime):
        modified = moment.timestamp()
    elif isinstance(moment, (int, float)):
        modified = float(moment)
    elif isinstance(moment, str):
        with contextlib.suppress(ValueError):
            modified = datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()
    size = info.get("size")
    return Stamp(size=int(size) if size is not None else None, modified=modified, etag=mark)


def _without_login(url: str) -> str:
    return re.sub(r"^([A-Za-z][\w+.-]*://)[^/]*@", r"\1", url)


def _short(error: BaseException) -> str:
    """An error in one line; a cloud's package may put the address, and with it a login, into it."""
    line = (str(error) or type(error).__name__).splitlines()[0][:200].rstrip(".")
    return re.sub(r"://[^/\s@]*@", "://", line)
