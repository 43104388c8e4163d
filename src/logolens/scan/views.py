"""What people and other programs read a store by: tables beside the first ones, and the views ``found``, ``pages``, ``seen`` and
``changes``.

The views hold the last scan. Hashes are text in them, and scores JSON, so that any tool that reads SQLite can show them.
"""

from __future__ import annotations

import sqlite3

__all__ = ["add_views"]

_TABLES = (
    # What was read in a content that speaks for its label, as JSON.
    "CREATE TABLE IF NOT EXISTS words (sha256 BLOB PRIMARY KEY, word TEXT NOT NULL) WITHOUT ROWID",
    # The scores of what was found, as JSON: in `contents` they are numbers that no view can read.
    "CREATE TABLE IF NOT EXISTS scores (sha256 BLOB PRIMARY KEY, scores TEXT NOT NULL) WITHOUT ROWID",
    # What an image was when it could last be read: one that fails for a night is not new on the morrow.
    "CREATE TABLE IF NOT EXISTS lost (name TEXT PRIMARY KEY, verdict TEXT NOT NULL) WITHOUT ROWID",
    # A video's frames, as `video_store` packs them, with the settings that they were looked at;
    # and when what is sought is seen.
    "CREATE TABLE IF NOT EXISTS videos (sha256 BLOB PRIMARY KEY, asked TEXT NOT NULL, seconds REAL NOT NULL,"
    " looked INTEGER NOT NULL, note TEXT, frames BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS appearances (sha256 BLOB, label TEXT, begins REAL, ends REAL, confidence REAL, verdict TEXT,"
    " at REAL, share REAL, largest REAL, box TEXT, PRIMARY KEY (sha256, label, begins)) WITHOUT ROWID",
    # What a person decided, as this scan was given it.
    "CREATE TABLE IF NOT EXISTS decided (sha256 BLOB PRIMARY KEY, decision TEXT NOT NULL, label TEXT NOT NULL) WITHOUT ROWID",
)

_LAST = "(SELECT max(run) FROM runs)"
_BASE = f"(SELECT max(run) FROM runs WHERE finished IS NOT NULL AND run < {_LAST})"
_HEX = "lower(hex({}))"

_VIEWS = {
    "found": f"""CREATE VIEW found AS
SELECT coalesce(places.place, images.name) AS place, images.name AS image, images.verdict, images.label,
    round(images.confidence, 4) AS confidence,
    CASE WHEN before_run IS NOT {_BASE} OR before_run IS NULL THEN 'new'
        WHEN before_sha256 IS NOT images.sha256 OR before_verdict IS NOT images.verdict THEN 'changed'
        ELSE 'same' END AS change,
    decided.decision, scores.scores, contents.box, contents.width, contents.height,
    {_HEX.format("images.sha256")} AS sha256
FROM images LEFT JOIN places ON places.name = images.name AND places.run = images.run
    LEFT JOIN contents USING (sha256) LEFT JOIN scores USING (sha256) LEFT JOIN decided USING (sha256)
WHERE images.run = {_LAST} AND images.verdict IN ('match', 'unsure')""",
    "pages": """CREATE VIEW pages AS
SELECT place AS page, count(DISTINCT CASE verdict WHEN 'match' THEN sha256 END) AS matches,
    count(DISTINCT CASE verdict WHEN 'unsure' THEN sha256 END) AS unsure, max(confidence) AS confidence,
    group_concat(DISTINCT label) AS labels, sum(change = 'new') > 0 AS is_new
FROM found GROUP BY place""",
    "seen": f"""CREATE VIEW seen AS
SELECT images.name AS image, appearances.label, round(begins, 3) AS begins, round(ends, 3) AS ends,
    round(appearances.confidence, 4) AS confidence, appearances.verdict, round(at, 3) AS at, round(share, 4) AS share,
    {_HEX.format("images.sha256")} AS sha256
FROM appearances JOIN images USING (sha256) WHERE images.run = {_LAST}""",
    "changes": f"""CREATE VIEW changes AS
SELECT name AS image,
    CASE WHEN run < {_LAST} THEN 'gone' WHEN before_run IS NOT {_BASE} OR before_run IS NULL THEN 'new'
        ELSE 'changed' END AS change,
    CASE WHEN run = {_LAST} THEN verdict END AS verdict,
    CASE WHEN run < {_LAST} THEN verdict WHEN before_run IS {_BASE} THEN before_verdict END AS before,
    label, round(confidence, 4) AS confidence, error, {_HEX.format("sha256")} AS sha256
FROM images WHERE
    (run = {_LAST} AND (before_run IS NOT {_BASE} OR before_run IS NULL OR before_sha256 IS NOT sha256
        OR before_verdict IS NOT verdict))
    OR (run < {_LAST} AND (verdict != 'error' OR coalesce(before_verdict, 'error') != 'error')
        AND (run = {_BASE} OR (run > {_BASE} AND before_run IS {_BASE}))
        AND (SELECT finished FROM runs WHERE run = {_LAST}) IS NOT NULL)""",
}


def add_views(db: sqlite3.Connection) -> None:
    """Give a store, which may be of an earlier release, the tables and views of this one."""
    for table in _TABLES:
        db.execute(table)
    there = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'").fetchall())
    if all(there.get(name) == view for name, view in _VIEWS.items()):
        return
    with db:
        for name, view in _VIEWS.items():
            db.execute(f"DROP VIEW IF EXISTS {name}")
            db.execute(view)
