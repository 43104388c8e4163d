"""The end of a run in the store: what near copies are sought among, what was not met, and what goes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from logolens.io.sources import Stamp
from logolens.scan.sqlite import WAIT, now

__all__ = ["Unmet", "end_run", "near_candidates", "unmet_images"]


class Unmet(NamedTuple):
    """An image of the last finished scan that this one has not met as it was.

    Attributes:
        name: as it is stored.
        run: in which it was met last; this one, where only some of its pages were not.
        sha256: of its content; None where it could not be read.
        stamp: what told whether it had changed.
        places: the pages that were not met.
    """

    name: str
    run: int
    sha256: bytes | None
    stamp: Stamp
    places: list[str]


def near_candidates(db: sqlite3.Connection, run: int, which: str) -> tuple[list[bytes], list[bytes]]:
    """The contents of a run among which near copies are sought, and what these are found by.

    Args:
        db: the store.
        run: its number.
        which: "all", "found", or "none".
    """
    if which == "none":
        return [], []
    found = "" if which == "all" else " AND images.verdict IN ('match', 'unsure')"
    rows = db.execute(
        "SELECT DISTINCT pictures.sha256, near FROM images JOIN pictures USING (sha256)"
        f" WHERE images.run = ? AND near IS NOT NULL{found} ORDER BY pictures.sha256",
        (run,),
    ).fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def unmet_images(db: sqlite3.Connection, run: int, base: int | None) -> Iterator[Unmet]:
    """What the last finished scan had and this one has not met; the store may be written to meanwhile.

    Args:
        db: the store.
        run: this run's number.
        base: the last finished one's.
    """
    # Written to while it is read: what was put since has this run's number, and is not met again.
    columns = "name, run, sha256, size, modified, etag, last_modified"
    rows = db.execute(
        f"SELECT {columns} FROM images WHERE run = ?2 OR (run > ?2 AND run < ?1 AND before_run IS ?2)"
        " OR (run = ?1 AND EXISTS (SELECT 1 FROM places WHERE places.name = images.name AND places.run < ?1))",
        (run, base),
    ).fetchall()
    for name, met, sha256, *stamp in rows:
        places = [row[0] for row in db.execute("SELECT place FROM places WHERE name = ? AND run < ?", (name, run))]
        yield Unmet(name, met, sha256, Stamp(*stamp), places)


def end_run(db: sqlite3.Connection, run: int, base: int | None, alike: Iterable[tuple[bytes, bytes]]) -> None:
    """End a run, in which all was looked at: what was not met is gone.

    Args:
        db: the store.
        run: this run's number.
        base: the last finished one's.
        alike: for each content that has near copies, the first one of its group.
    """
    with db:
        db.execute("DELETE FROM alike")
        db.executemany("INSERT INTO alike VALUES (?, ?)", alike)
        # What the last finished scan did not have and this one has not met is of no use to anyone.
        db.execute(
            "DELETE FROM images WHERE run < ?1 AND NOT (run = ?2 OR (run > ?2 AND before_run IS ?2))", (run, base)
        )
        db.execute("DELETE FROM places WHERE run < ?", (run,))
        for table in ("contents", "pictures", "words", "scores", "videos", "appearances"):
            db.execute(f"DELETE FROM {table} WHERE sha256 NOT IN (SELECT sha256 FROM images WHERE sha256 IS NOT NULL)")
        failed = "SELECT name FROM images WHERE verdict = 'error' OR before_verdict = 'error'"
        db.execute(f"DELETE FROM lost WHERE name NOT IN ({failed})")
        db.execute("DELETE FROM shards")
        db.execute("UPDATE runs SET finished = ? WHERE run = ?", (now(), run))
    # A reader may hold it, as a page does that is looked at for hours: it is not waited for, and shrinks another time.
    db.execute("PRAGMA busy_timeout=0")
    with suppress(sqlite3.OperationalError):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute(f"PRAGMA busy_timeout={WAIT * 1000}")
