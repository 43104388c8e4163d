"""How a result store's file is made, opened and held, and SQLite's complaints as sentences."""

from __future__ import annotations

import io
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from logolens.errors import StoreError
from logolens.io.atomic import beside
from logolens.scan.views import add_views

__all__ = ["FORMAT", "WAIT", "connect", "hold", "now", "translated"]

FORMAT = 1
"""The store's layout; a store of a higher one is refused."""

WAIT = 60
"""Seconds for which a file that another program holds is waited for."""

_GROUND = "ground"
"""A key of ``meta`` in stores whose answers on transparent images were given over a ground that shows them."""

_APPLICATION = 0x4C6F676F  # "Logo": what `file` and SQLite call the application_id.

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, question TEXT NOT NULL, bundle TEXT NOT NULL, bundle_name TEXT NOT NULL,
    classes TEXT NOT NULL, find TEXT NOT NULL, threshold REAL NOT NULL, unsure REAL NOT NULL, sources TEXT NOT NULL,
    base TEXT NOT NULL, started TEXT NOT NULL, finished TEXT);
CREATE TABLE contents (
    sha256 BLOB PRIMARY KEY, run INTEGER NOT NULL, bundle TEXT NOT NULL, scores BLOB NOT NULL, box TEXT, width INTEGER,
    height INTEGER, error TEXT) WITHOUT ROWID;
CREATE TABLE pictures (sha256 BLOB PRIMARY KEY, thumbnail BLOB, near BLOB);
CREATE TABLE images (
    name TEXT PRIMARY KEY, sha256 BLOB, size INTEGER, modified REAL, etag TEXT, last_modified TEXT,
    label TEXT, confidence REAL, verdict TEXT NOT NULL, error TEXT, run INTEGER NOT NULL,
    before_run INTEGER, before_sha256 BLOB, before_verdict TEXT);
CREATE INDEX images_by_content ON images (sha256);
CREATE TABLE places (name TEXT, place TEXT, run INTEGER NOT NULL, PRIMARY KEY (name, place)) WITHOUT ROWID;
CREATE TABLE alike (sha256 BLOB PRIMARY KEY, first BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX alike_by_first ON alike (first);
CREATE TABLE shards (run INTEGER, shard INTEGER, PRIMARY KEY (run, shard)) WITHOUT ROWID;
"""


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's complaints about a store as `StoreError`."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code not in _NOT_ITS_BYTES:
            raise _damaged(path, error) from error
        what = _NOT_ITS_BYTES[code] or f"cannot be used ({error})"
        raise StoreError(
            f"{path} {what}; what was stored before stands. Check the disk's room and the folder's rights, then scan "
            "again: it goes on from there. Another disk's file is named with --store."
        ) from error
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        # What is read out of it is none of what was written into it.
        raise _damaged(path, error) from error


_NOT_ITS_BYTES = {
    sqlite3.SQLITE_BUSY: "is locked by another program",
    sqlite3.SQLITE_LOCKED: "is locked by another program",
    sqlite3.SQLITE_FULL: "cannot be written, for its disk is full",
    sqlite3.SQLITE_READONLY: "may not be written to",
    sqlite3.SQLITE_PERM: "may not be written to",
    sqlite3.SQLITE_CANTOPEN: "",
    sqlite3.SQLITE_IOERR: "",
    sqlite3.SQLITE_NOMEM: "",
    sqlite3.SQLITE_INTERRUPT: "",
}
"""What SQLite complains of when the fault is not in the file's own bytes."""


_MAGIC = b"SQLite format 3\0"


def _damaged(path: Path, error: BaseException) -> StoreError:
    return StoreError(f"{path} is damaged or no result store ({error}); move it elsewhere and scan again.")


def hold(path: Path) -> sqlite3.Connection:
    """Take the right to write to a store: a lock on a file beside it, which the system drops when the process ends.

    Raises:
        StoreError: another run has it, or the folder cannot be written to.
    """
    lock = beside(path, path.name + ".lock")
    _refuse_another_file(path)
    try:
        guard = sqlite3.connect(lock, timeout=0, check_same_thread=False, isolation_level=None)
        try:
            guard.execute("BEGIN EXCLUSIVE")
        except BaseException:
            guard.close()
            raise
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StoreError(
                f"{path} is being written by another scan; wait for it, or name another file with --store."
            ) from None
        raise StoreError(
            f"{path} cannot be written ({error}); check the folder's rights and the disk's room."
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{lock} is in the way of the store's lock; move it elsewhere.") from error
    return guard


def _refuse_another_file(path: Path) -> None:
    """Leave what is no database alone: not even a lock is put beside it.

    Raises:
        StoreError: it is one.
    """
    try:
        with path.open("rb") if path.is_file() else io.BytesIO() as file:
            head = file.read(len(_MAGIC))
    except OSError:
        return  # What is wrong with it is said where it is opened.
    if head and head != _MAGIC:
        raise _damaged(path, sqlite3.DatabaseError("file is not a database"))


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a store's file; to write, make it where there is none.

    Raises:
        StoreError: it is no store, or of a later format.
        sqlite3.Error: whatever else is wrong; see `translated`.
    """
    db = _reader(path) if read_only else sqlite3.connect(path, timeout=WAIT, check_same_thread=False)
    try:
        kind, written = (int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version"))
        if not read_only and not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            _make(db)
        elif kind != _APPLICATION:
            raise StoreError(f"{path} is not a result store of `logolens scan`; name another file.")
        elif written > FORMAT:
            raise StoreError(
                f"{path} is a result store of format {written}; this release reads up to {FORMAT}. "
                "Run: pip install -U logolens"
            )
        db.execute("PRAGMA synchronous=NORMAL")
        if not read_only:
            _forget_transparent(db)
            add_views(db)
        if read_only:
            # What is listed must not change between two pages of it, though a scan may go on meanwhile.
            db.execute("BEGIN")
    except BaseException:
        db.close()
        raise
    return db


def _forget_transparent(db: sqlite3.Connection) -> None:
    """Have what may be transparent looked at anew, once, in a store that was begun when it was always laid over white.

    White marks were invisible then. Answers stay listed until the next scan; no file but JPEG is known to be opaque by its name.
    """
    if db.execute("SELECT 1 FROM meta WHERE key = ?", (_GROUND,)).fetchone():
        return
    opaque = " AND ".join(f"lower(name) NOT LIKE '%.{ending}'" for ending in ("jpg", "jpeg", "jpe", "jfif"))
    with db:
        db.execute(f"UPDATE contents SET bundle = '' WHERE sha256 IN (SELECT sha256 FROM images WHERE {opaque})")
        db.execute("INSERT INTO meta VALUES (?, '1')", (_GROUND,))


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, be it from a folder into which nothing may be written, as in a container."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(address, uri=True, timeout=WAIT, check_same_thread=False)
    try:
        db.execute("PRAGMA application_id").fetchone()
    except sqlite3.OperationalError as error:
        log = path.with_name(path.name + "-wal")
        is_held = "locked" in str(error) or (log.exists() and log.stat().st_size > 0)
        db.close()
        if is_held:
            raise
        # Readers too put an index beside a file in WAL mode. Without a log all that was written is in the file itself.
        return sqlite3.connect(f"{address}&immutable=1", uri=True, timeout=WAIT, check_same_thread=False)
    except BaseException:
        db.close()
        raise
    return db


def _make(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode=WAL")
    with db:
        db.execute("BEGIN")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('id', ?), ('created', ?)", (uuid.uuid4().hex, now()))
        db.execute("INSERT INTO meta VALUES (?, '1')", (_GROUND,))
        db.execute(f"PRAGMA application_id={_APPLICATION}")
        db.execute(f"PRAGMA user_version={FORMAT}")
