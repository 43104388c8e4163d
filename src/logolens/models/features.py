"""Views to features, computed once: the backbone on ONNX Runtime behind a cache.

The cache's key is the photo's content, the view, the preprocessing and the exported backbone (its weights, size, pooling
and export version): whatever changes what the network would see changes the key, so a stale feature cannot be returned.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from logolens.config import CacheSettings, Preprocessing, cache_folder
from logolens.errors import ImageError, UsageError
from logolens.io.images import read_known
from logolens.io.views import View
from logolens.models.session import Job, Session

__all__ = ["CacheState", "FeatureCache", "Sight", "extract", "feature_key"]

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
Key = bytes

_DECODING = 2
"""Raise it when `images.open_rgb` gives other pixels than before: 2 lays transparency over a ground that shows it."""

_COMMIT_EVERY = 256
"""Features between two commits: what a killed run can lose is a second or two of work."""


def feature_key(photo: str, view: View, preprocessing: Preprocessing, backbone: str) -> Key:
    """The name of one feature in the cache.

    Args:
        photo: the SHA-256 of the photo's bytes.
        view: the region looked at.
        preprocessing: how it is resized.
        backbone: the SHA-256 of the exported backbone, which stands for weights, size, pooling and export version.
    """
    settings = json.dumps({**asdict(preprocessing), "decoding": _DECODING}, sort_keys=True)
    return hashlib.sha256("\n".join((photo, view.key, settings, backbone)).encode()).digest()


def _as_run(backbone: str, session: Session) -> str:
    """The backbone on what it runs on: features of other devices differ in the last digits."""
    return backbone if session.device.name == "cpu" else f"{backbone} on {session.device.name}"


@dataclass(frozen=True)
class CacheState:
    """What the cache holds: its file, how many features, and their bytes."""

    path: Path
    features: int
    bytes: int


class FeatureCache:
    """Features on disk, in one SQLite file in WAL mode: safe to kill, and to use from several processes at once.

    Args:
        path: the file; by default ``features.sqlite`` in the cache folder. A damaged file is set aside and begun anew.
        settings: how much room it may take; the features used longest ago go first.

    Raises:
        UsageError: the folder cannot be written to.
    """

    def __init__(self, path: Path | None = None, settings: CacheSettings = CacheSettings()) -> None:
        self.path = path or cache_folder() / "features.sqlite"
        self.settings = settings
        # One connection, one thread at a time: the matcher asks from several.
        self._lock = threading.RLock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = self._open()
        except sqlite3.OperationalError as error:
            raise UsageError(
                f"The feature cache {self.path} cannot be opened ({error}); set LOGOLENS_CACHE to a folder that can "
                "be written to."
            ) from error
        except sqlite3.DatabaseError:
            self._begin_anew()
        except OSError as error:
            raise UsageError(
                f"The cache folder {self.path.parent} cannot be written to ({error.strerror}); set LOGOLENS_CACHE to one "
                "that can."
            ) from error

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS features"
                " (key BLOB PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID"
            )
            db.commit()
        except BaseException:
            db.close()
            raise
        return db

    def _begin_anew(self) -> None:
        """Set a damaged file aside, where its owner may look at it, and begin an empty one."""
        _LOG.warning("The cache of features %s is damaged; it is set aside, and an empty one begun.", self.path)
        if hasattr(self, "_db"):
            self._db.close()
        os.replace(self.path, self.path.with_suffix(f".damaged-{time.time_ns()}"))
        for tail in ("-wal", "-shm"):
            Path(f"{self.path}{tail}").unlink(missing_ok=True)
        self._db = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, shrinking it to its limit first."""
        with suppress(sqlite3.Error):
            self.trim()
        self._db.close()

    def get(self, keys: Sequence[Key]) -> dict[Key, npt.NDArray[np.float32]]:
        """The features that are there, of the keys asked for; each a float32 vector."""
        try:
            with self._lock:
                return self._get(keys)
        except sqlite3.OperationalError:
            return {}  # Another process holds the lock for long: computing again is better than failing.
        except sqlite3.DatabaseError:
            with self._lock:
                self._begin_anew()
            return {}

    def _get(self, keys: Sequence[Key]) -> dict[Key, npt.NDArray[np.float32]]:
        found: dict[Key, npt.NDArray[np.float32]] = {}
        now = int(time.time())
        for start in range(0, len(keys), 500):
            part = list(keys[start : start + 500])
            marks = ",".join("?" * len(part))
            for key, value in self._db.execute(f"SELECT key, value FROM features WHERE key IN ({marks})", part):
                # A value that a failing disk has changed is worth computing again, not an error.
                if len(value) > 4 and len(value) % 4 == 0 and zlib.crc32(value[:-4]) == int.from_bytes(value[-4:]):
                    found[key] = np.frombuffer(value[:-4], dtype="<f4")
        if found:
            with suppress(sqlite3.OperationalError):  # Another process holds the lock: the date of use is no loss.
                hits = list(found)
                for start in range(0, len(hits), 500):
                    part = hits[start : start + 500]
                    marks = ",".join("?" * len(part))
                    # Dates are coarse, so that a run over a warm cache reads instead of writing.
                    self._db.execute(
                        f"UPDATE features SET used = ? WHERE used < ? AND key IN ({marks})", (now, now - 3600, *part)
                    )
                self._db.commit()
        return found

    def put(self, pairs: Iterable[tuple[Key, npt.NDArray[np.float32]]]) -> None:
        """Keep features; all of them are on disk when this returns."""
        now = int(time.time())
        rows = []
        for key, value in pairs:
            data = np.ascontiguousarray(value, dtype="<f4").tobytes()
            rows.append((key, data + zlib.crc32(data).to_bytes(4), now))
        with self._lock:
            try:
                self._insert(rows)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._begin_anew()
                self._insert(rows)

    def _insert(self, rows: list[tuple[Key, bytes, int]]) -> None:
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)

    def state(self) -> CacheState:
        """How many features are kept, and the room they take."""
        with self._lock:
            try:
                count = self._db.execute("SELECT count(*) FROM features").fetchone()[0]
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._begin_anew()
                count = 0
            return CacheState(self.path, int(count), self._bytes())

    def _bytes(self) -> int:
        pages, free, size = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def trim(self) -> int:
        """Remove the features used longest ago until the limit holds; returns how many went."""
        removed = 0
        while (room := self._bytes()) > self.settings.max_bytes:
            count = int(self._db.execute("SELECT count(*) FROM features").fetchone()[0])
            if not count:
                break
            share = 1.0 - 0.9 * self.settings.max_bytes / room
            with self._db:
                removed += self._db.execute(
                    "DELETE FROM features WHERE key IN (SELECT key FROM features ORDER BY used LIMIT ?)",
                    (max(1, int(count * share)),),
                ).rowcount
        if removed:
            self._db.execute("VACUUM")
            _LOG.info(
                "%s: the %d features used longest ago were removed to keep it within its limit", self.path, removed
            )
        return removed

    def clear(self) -> int:
        """Remove all features; returns how many there were."""
        removed = self.state().features
        with self._lock:
            with self._db:
                self._db.execute("DELETE FROM features")
            self._db.execute("VACUUM")
        return removed


@dataclass(frozen=True)
class Sight:
    """A photo and the views of it that features are wanted for.

    Attributes:
        path: the photo's file.
        photo: the SHA-256 that its bytes had when the data set was read.
        views: the regions, at least one.
    """

    path: Path
    photo: str
    views: tuple[View, ...]


def extract(
    sights: Sequence[Sight],
    session: Session,
    backbone: str,
    *,
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> npt.NDArray[np.float32]:
    """The features of every view of every photo.

    Args:
        sights: the photos and their views.
        session: the exported backbone on ONNX Runtime.
        backbone: the SHA-256 of the exported backbone.
        cache: where known features are taken from and new ones go, as they come; None computes all anew.
        progress: called with (photos done, photos in all).

    Returns:
        float32 of shape (views in all, width), in the order of the sights and of the views in each.

    Raises:
        ImageError: a photo cannot be read, or is not the one that the data set was read with.
    """
    backbone = _as_run(backbone, session)
    keys = [feature_key(sight.photo, view, session.preprocessing, backbone) for sight in sights for view in sight.views]
    known = cache.get(list(dict.fromkeys(keys))) if cache else {}
    todo: list[tuple[Sight, list[tuple[Key, View]]]] = []
    asked: set[Key] = set(known)
    position = 0
    for sight in sights:
        wanted = []
        for view in sight.views:
            if (key := keys[position]) not in asked:
                asked.add(key)
                wanted.append((key, view))
            position += 1
        if wanted:
            todo.append((sight, wanted))
    done = len(sights) - len(todo)
    _LOG.info(
        "features of %d photos: %d views are in the cache, %d are computed",
        len(sights),
        len(known),
        len(asked) - len(known),
    )
    if progress:
        progress(done, len(sights))

    fresh: list[tuple[Key, npt.NDArray[np.float32]]] = []

    def jobs() -> Iterator[Job]:
        for sight, wanted in todo:
            yield Job(partial(read_known, sight.path, sight.photo, session.limits), tuple(view for _, view in wanted))

    try:
        for (sight, wanted), outcome in zip(todo, session.look(jobs()), strict=True):
            if outcome.error:
                reason = outcome.error.removeprefix(f"{sight.path}: ")
                raise ImageError(f"{sight.path}: {reason}")
            for (key, _), value in zip(wanted, outcome.outputs[0], strict=True):
                known[key] = value
                fresh.append((key, value))
            if cache and len(fresh) >= _COMMIT_EVERY:
                cache.put(fresh)
                fresh.clear()
            done += 1
            if progress:
                progress(done, len(sights))
    finally:
        if cache and fresh:
            cache.put(fresh)
    if not keys:
        return np.zeros((0, 0), dtype=np.float32)
    return np.stack([known[key] for key in keys])
