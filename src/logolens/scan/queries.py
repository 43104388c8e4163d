"""A store's images as a list of pictures: each content once, with all its places."""

from __future__ import annotations

import json
import re
import sqlite3
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from logolens.errors import UsageError
from logolens.scan.rows import Row
from logolens.scan.video_store import video_json

__all__ = ["Facts", "Listing", "Row", "Wanted"]

_WEIGHTS = ("clear", "error", "unsure", "match")
"""The verdicts, by what they weigh where a picture's names have different ones."""


@dataclass(frozen=True)
class Wanted:
    """Which of a store's pictures are asked for; all of them if nothing is given.

    Attributes:
        verdict: only those of this verdict, or of these.
        label: only those of which a name was given this label.
        change: only ``new``, ``changed``, ``same`` or ``gone``.
        found: only those of the verdicts match and unsure that are there still.
        group: only the near copies of one group, by the number of any of them.
        text: only those of which a name, a place or the error holds this text.

    Raises:
        UsageError: there is no such verdict.
    """

    verdict: str | Sequence[str] | None = None
    label: str | None = None
    change: str | None = None
    group: int | None = None
    text: str | None = None
    found: bool = False

    def __post_init__(self) -> None:
        if unknown := [verdict for verdict in self._verdicts if verdict not in _WEIGHTS]:
            raise UsageError(f"There is no verdict {unknown[0]!r}; there are match, unsure, clear and error.")

    @property
    def _verdicts(self) -> tuple[str, ...]:
        return (self.verdict,) if isinstance(self.verdict, str) else tuple(self.verdict or ())

    def conditions(self) -> tuple[str, list[Any]]:
        """What a row of the table ``listing`` must hold, as SQL, and the values in it."""
        conditions, values = ["1"], list[Any]()
        if self.verdict is not None:
            conditions.append(f"weight IN ({','.join('?' * len(self._verdicts))})")
            values += [_WEIGHTS.index(verdict) for verdict in self._verdicts]
        if self.label is not None:
            conditions.append("sha256 IN (SELECT sha256 FROM images WHERE label = ?)")
            values.append(self.label)
        if self.found:
            conditions.append("weight >= 2 AND here")
        if self.change is not None:
            conditions.append("change = ?")
            values.append(self.change)
        if self.group is not None:
            first = "(SELECT first FROM alike WHERE sha256 = (SELECT sha256 FROM listing WHERE number = ?))"
            conditions.append(f"(number = ? OR key IN (SELECT sha256 FROM alike WHERE first = {first}))")
            values += [self.group, self.group]
        if self.text:
            # LIKE knows only the cases of ASCII, as SQLite does; a % or _ that is sought is one.
            pattern = "%" + re.sub(r"([\\%_])", r"\\\1", self.text) + "%"
            named = "SELECT name FROM places WHERE place LIKE ? ESCAPE '\\'"
            conditions.append(
                "key IN (SELECT coalesce(sha256, name) FROM images WHERE name LIKE ? ESCAPE '\\'"
                f" OR error LIKE ? ESCAPE '\\' OR name IN ({named}))"
            )
            values += [pattern, pattern, pattern]
        return " AND ".join(conditions), values


@dataclass(frozen=True)
class Facts:
    """What a scan was asked, and what it found.

    Attributes:
        id: the store's own, which stays from scan to scan.
        run: the number of the scan, from 1.
        find: the labels sought; empty for all.
        labels: the labels that the bundle knows, ``none`` among them where it was learned.
        threshold: the confidence from which an image is a match.
        unsure: the confidence from which it is unsure.
        bundle: the bundle's name.
        bundle_sha256: the bundle's hash.
        sources: what was scanned, as it was named.
        base: the folder that relative names start from.
        started: when the scan began, ISO 8601 in UTC.
        finished: when it ended; None when it was interrupted or goes on.
        images: how many names it met.
        pictures: how many different contents and errors these are.
        verdicts: how many pictures have each verdict, those that are gone aside.
        changes: how many pictures are new, changed, the same, gone.
        labelled: how many pictures have each label, those that are gone aside.
        news: how many of the pictures that are a match, and that are unsure, were less in the last finished scan or in the
            baseline.
        on_pages: whether pictures stand on pages, as those of web sites do.
    """

    id: str
    run: int
    find: tuple[str, ...]
    labels: tuple[str, ...]
    threshold: float
    unsure: float
    bundle: str
    bundle_sha256: str
    sources: tuple[str, ...]
    base: str
    started: str
    finished: str | None
    images: int
    pictures: int
    verdicts: dict[str, int]
    changes: dict[str, int]
    labelled: dict[str, int]
    news: dict[str, int]
    on_pages: bool = False


_LIST = """
CREATE TEMP TABLE listing AS
WITH named AS (
    SELECT name, sha256, coalesce(sha256, name) AS key, label, confidence, verdict, error, run = :run AS here,
        CASE verdict WHEN 'match' THEN 3 WHEN 'unsure' THEN 2 WHEN 'error' THEN 1 ELSE 0 END AS weight,
        before_run IS :base AND :base > 0 AS before, before_sha256, before_verdict,
        CASE WHEN run != :run THEN verdict WHEN before_run IS :base AND :base > 0 THEN {was} END AS was
    FROM images WHERE run = :run OR (:finished AND (verdict != 'error' OR coalesce(before_verdict, 'error') != 'error')
        AND (run = :base OR (run > :base AND before_run IS :base))))
SELECT row_number() OVER (ORDER BY first) AS number, * FROM (
    SELECT key, sha256, coalesce(min(CASE WHEN here THEN name END), min(name)) AS first, max(here) AS here,
        coalesce(max(CASE WHEN here THEN weight END), max(weight)) AS weight, max(confidence) AS confidence,
        max(error) AS error,
        max(CASE was WHEN 'match' THEN 3 WHEN 'unsure' THEN 2 WHEN 'error' THEN 1 WHEN 'clear' THEN 0 END) AS was,
        CASE WHEN NOT max(here) THEN 'gone'
            WHEN NOT max(before OR NOT here) THEN 'new'
            WHEN max(NOT here OR NOT before OR before_sha256 IS NOT sha256 OR before_verdict IS NOT verdict) THEN 'changed'
            ELSE 'same' END AS change
    FROM named GROUP BY key)
"""


class Listing:
    """The pictures of one run, counted and in order.

    Args:
        db: the store's database. A temporary table is made, which needs no right to write to it.
        run: the run.
        baseline: what is compared with in place of the last finished scan: verdicts by name and by content.
    """

    def __init__(self, db: sqlite3.Connection, run: int, baseline: Mapping[bytes | str, str] | None = None) -> None:
        self._db, self._run = db, run
        columns = "bundle, bundle_name, classes, find, threshold, unsure, sources, base, started, finished"
        self._about = db.execute(f"SELECT {columns} FROM runs WHERE run = ?", (run,)).fetchone()
        self._classes: tuple[str, ...] = tuple(json.loads(self._about[2]))
        before = db.execute("SELECT max(run) FROM runs WHERE run < ? AND finished IS NOT NULL", (run,)).fetchone()[0]
        self._values = {"run": run, "base": int(before or 0), "finished": self._about[9] is not None}
        # A store of an earlier release lacks the later tables.
        self._tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        db.execute("DROP TABLE IF EXISTS temp.listing")
        lost = "coalesce((SELECT lost.verdict FROM lost WHERE lost.name = images.name), 'error')"
        was = f"CASE before_verdict WHEN 'error' THEN {lost} ELSE before_verdict END"
        db.execute(_LIST.format(was=was if "lost" in self._tables else "before_verdict"), self._values)
        db.execute("CREATE UNIQUE INDEX temp.listing_by_number ON listing (number)")
        if baseline is not None:
            self._compare(baseline)
        db.execute("CREATE UNIQUE INDEX temp.listing_by_key ON listing (key)")

    def facts(self) -> Facts:
        """See `Store.facts`."""
        ask = self._db.execute
        weights = dict(ask("SELECT weight, count(*) FROM listing WHERE here GROUP BY weight").fetchall())
        changes = dict(ask("SELECT change, count(*) FROM listing GROUP BY change").fetchall())
        labelled = ask(
            "SELECT label, count(DISTINCT sha256) FROM images WHERE run = ? AND label IS NOT NULL GROUP BY label"
            " ORDER BY label",
            (self._run,),
        ).fetchall()
        bundle, name, _, find, threshold, unsure, sources, base, started, finished = self._about
        return Facts(
            id=ask("SELECT value FROM meta WHERE key = 'id'").fetchone()[0],
            run=self._run,
            find=tuple(json.loads(find)),
            labels=self._classes,
            threshold=threshold,
            unsure=unsure,
            bundle=name,
            bundle_sha256=bundle,
            sources=tuple(json.loads(sources)),
            base=base,
            started=started,
            finished=finished,
            images=ask("SELECT count(*) FROM images WHERE run = ?", (self._run,)).fetchone()[0],
            pictures=sum(weights.values()),
            verdicts={verdict: weights.get(_WEIGHTS.index(verdict), 0) for verdict in reversed(_WEIGHTS)},
            changes={change: changes.get(change, 0) for change in ("new", "changed", "same", "gone")},
            labelled=dict(labelled),
            news={
                verdict: ask(
                    "SELECT count(*) FROM listing WHERE here AND weight = ?1 AND coalesce(was, -1) < ?1",
                    (_WEIGHTS.index(verdict),),
                ).fetchone()[0]
                for verdict in ("match", "unsure")
            },
            on_pages=ask("SELECT 1 FROM places WHERE run = ? LIMIT 1", (self._run,)).fetchone() is not None,
        )

    def _compare(self, baseline: Mapping[bytes | str, str]) -> None:
        """Take what pictures were before from the baseline."""
        ask = self._db.execute
        ask("DROP TABLE IF EXISTS temp.baseline")
        ask("CREATE TEMP TABLE baseline (key PRIMARY KEY, weight INTEGER)")
        weights = ((key, _WEIGHTS.index(verdict)) for key, verdict in baseline.items())
        self._db.executemany("INSERT INTO temp.baseline VALUES (?, ?)", weights)
        ask("UPDATE temp.listing SET was = (SELECT weight FROM temp.baseline WHERE baseline.key = listing.key)")
        named = (
            "SELECT coalesce(images.sha256, images.name) AS key, max(baseline.weight) AS weight FROM temp.baseline"
            " JOIN images ON images.name = baseline.key WHERE images.run = ? GROUP BY 1"
        )
        for key, weight in ask(named, (self._run,)).fetchall():
            ask("UPDATE temp.listing SET was = max(coalesce(was, 0), ?) WHERE key = ?", (weight, key))

    def numbers(self, wanted: Wanted, order: str, limit: int | None, offset: int) -> Sequence[int]:
        """The numbers of the rows that are asked for, in order; see `Store.rows`."""
        conditions, values = wanted.conditions()
        orders = {"name": "number", "confidence": "confidence DESC, number"}
        if order not in orders:
            raise UsageError(f"Results cannot be put in order by {order!r}; choose one of: {', '.join(orders)}.")
        values += [-1 if limit is None else limit, offset]
        asked = self._db.execute(
            f"SELECT number FROM listing WHERE {conditions} ORDER BY {orders[order]} LIMIT ? OFFSET ?", values
        )
        return array("q", (number for (number,) in asked))

    def count(self, wanted: Wanted) -> int:
        """How many rows that is; see `Store.count`."""
        conditions, values = wanted.conditions()
        return int(self._db.execute(f"SELECT count(*) FROM listing WHERE {conditions}", values).fetchone()[0])

    def rows(self, numbers: Sequence[int]) -> list[Row]:
        """The rows of these numbers, in the order given."""
        return [self._row(number) for number in numbers]

    def _row(self, number: int) -> Row:
        ask = self._db.execute
        key, sha256, name, here, weight, change, was = ask(
            "SELECT key, sha256, first, here, weight, change, was FROM listing WHERE number = ?", (number,)
        ).fetchone()
        verdict = _WEIGHTS[weight]
        where = "sha256 = ?" if sha256 is not None else "name = ?"
        names = ask(
            f"SELECT name, label, confidence, verdict, error FROM images WHERE {where} AND (run = ?) = ? ORDER BY name",
            (key, self._run, here),
        ).fetchall()
        # What is listed of the picture is what is said of the name whose verdict holds.
        _, label, confidence, _, error = next((row for row in names if row[3] == verdict), names[0])
        scores: dict[str, float] = {}
        box = width = height = None
        group = number
        if sha256 is not None:
            content = ask("SELECT scores, box, width, height FROM contents WHERE sha256 = ?", (sha256,)).fetchone()
            values = np.frombuffer(content[0], "<f4")
            if len(values) == len(self._classes):
                order = np.argsort(-values, kind="stable")
                scores = {self._classes[position]: float(values[position]) for position in order}
            box = None if content[1] is None else tuple(json.loads(content[1]))
            width, height = content[2:]
            group = self._group(sha256, number)
        stands: list[tuple[str, str]] = []
        for row in names:
            pages = ask("SELECT place FROM places WHERE name = ? AND run = ? ORDER BY place", (row[0], self._run))
            stands += [(page, row[0]) for (page,) in pages] or [(row[0], row[0])]
        return Row(
            number,
            name,
            None if sha256 is None else sha256.hex(),
            label,
            confidence,
            verdict,
            scores,
            box,
            error,
            tuple(row[0] for row in names),
            tuple(dict.fromkeys(place for place, _ in stands)),
            group,
            width,
            height,
            change,
            self._word(sha256),
            tuple(stands),
            None if was is None else _WEIGHTS[was],
            self._decision(sha256) if here else None,
            video_json(self._db, sha256) if sha256 is not None and "videos" in self._tables else None,
        )

    def _decision(self, sha256: bytes | None) -> str | None:
        if sha256 is None or "decided" not in self._tables:
            return None
        found = self._db.execute("SELECT decision FROM decided WHERE sha256 = ?", (sha256,)).fetchone()
        return None if found is None else str(found[0])

    def _word(self, sha256: bytes | None) -> dict[str, Any] | None:
        if sha256 is None or "words" not in self._tables:
            return None
        found = self._db.execute("SELECT word FROM words WHERE sha256 = ?", (sha256,)).fetchone()
        word = None if found is None else json.loads(found[0])
        return word if isinstance(word, dict) else None

    def _group(self, sha256: bytes, number: int) -> int:
        first = self._db.execute("SELECT first FROM alike WHERE sha256 = ?", (sha256,)).fetchone()
        if first is None:
            return number
        found = self._db.execute(
            "SELECT min(number) FROM listing WHERE key IN (SELECT sha256 FROM alike WHERE first = ?)", first
        ).fetchone()[0]
        return number if found is None else int(found)
