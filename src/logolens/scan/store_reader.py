"""A result store as it is read: what was sought and found, by picture, by page, and beside another store."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from logolens.errors import StoreError, UsageError
from logolens.scan.pages import Page, pages
from logolens.scan.queries import Facts, Listing, Row, Wanted
from logolens.scan.sqlite import connect, translated

__all__ = ["StoreReader"]


class StoreReader:
    """A result store to read; a run may write to it meanwhile. Any thread may ask.

    Args:
        path: the file.

    Attributes:
        path: the file.
        run: the number of the last run that was begun; 0 where there was none.
        id: an identity that stays with the file.

    Raises:
        StoreError: it is not there, is no result store, is damaged, or of a later format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise StoreError(f"{self.path}: there is no such result store; `logolens scan --store` writes one.")
        self._connect(read_only=True)

    def _connect(self, *, read_only: bool) -> None:
        self._lock = threading.RLock()
        self._listing: Listing | None = None
        self._baseline: Mapping[bytes | str, str] | None = None
        with self._translated():
            self._db = connect(self.path, read_only=read_only)
            self.run = int(self._db.execute("SELECT max(run) FROM runs").fetchone()[0] or 0)
            self.id = str(self._db.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self.path)

    def facts(self) -> Facts:
        """What was sought, with what, when, and how much was found.

        Raises:
            StoreError: no scan was begun.
        """
        with self._lock, self._translated():
            return self._list().facts()

    def against(self, baseline: str | Path) -> None:
        """Tell of pictures what another store says of them, in place of this one's last finished scan.

        It counts for `Row.before` and `Facts.news`, and for nothing that is stored.

        Args:
            baseline: the other store's file.

        Raises:
            StoreError: it cannot be read, or holds no scan that came to its end.
            UsageError: it is this very store.
        """
        if Path(baseline).resolve() == self.path.resolve():
            raise UsageError(f"{baseline} is the store itself, which is compared with anyway; name another one's file.")
        known: dict[bytes | str, str] = {}
        with StoreReader(baseline) as other:
            if other.facts().finished is None:
                raise StoreError(f"{baseline}: its scan did not come to its end; finish it, or name another baseline.")
            for row in other.rows(Wanted(("match", "unsure"))):
                if row.change != "gone":
                    known[bytes.fromhex(row.sha256 or "")] = row.verdict
                    known |= dict.fromkeys(row.names, row.verdict)
            known.update(other.lost())
        self._baseline, self._listing = known, None

    def rows(
        self, wanted: Wanted = Wanted(), *, order: str = "name", limit: int | None = None, offset: int = 0
    ) -> Iterator[Row]:
        """The pictures, one row each, whatever the number of places where they stand.

        Args:
            wanted: which of them.
            order: ``name``, or ``confidence``, the surest first.
            limit: at most so many.
            offset: leave out so many at the beginning.
        """
        with self._lock, self._translated():
            listing = self._list()
            numbers = listing.numbers(wanted, order, limit, offset)
        for start in range(0, len(numbers), 500):
            with self._lock, self._translated():
                part = listing.rows(numbers[start : start + 500])
            yield from part

    def pages(self, wanted: Wanted = Wanted(), *, limit: int | None = None, offset: int = 0) -> list[Page]:
        """The places where something was found, match or unsure, those with most matches first.

        Args:
            wanted: which of the pictures.
            limit: at most so many.
            offset: leave out so many at the beginning.
        """
        with self._lock, self._translated():
            self._list()
            return list(pages(self._db, self.run, wanted, limit, offset))

    def lost(self) -> dict[str, str]:
        """What images that could not be read were when they could last be: a match or unsure, by name."""
        with self._lock, self._translated():
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'lost'").fetchone():
                return {}  # A store of an earlier release.
            return dict(
                self._db.execute(
                    "SELECT name, lost.verdict FROM lost JOIN images USING (name) WHERE images.verdict = 'error'"
                )
            )

    def count(self, wanted: Wanted = Wanted()) -> int:
        """How many rows `rows` gives when it is asked the same."""
        with self._lock, self._translated():
            return self._list().count(wanted)

    def thumbnail(self, sha256: str) -> bytes | None:
        """A small JPEG of a picture, where one was kept."""
        with self._lock, self._translated():
            row = self._db.execute(
                "SELECT thumbnail FROM pictures WHERE sha256 = ?", (bytes.fromhex(sha256),)
            ).fetchone()
        return row[0] if row else None

    def _list(self) -> Listing:
        if self._listing is None:
            if not self.run:
                raise StoreError(f"{self.path} holds no scan yet; run: logolens scan")
            self._listing = Listing(self._db, self.run, self._baseline)
        return self._listing
