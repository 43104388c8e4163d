"""A store's findings by the place where they stand: what has to be mended is a page, not a picture."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from logolens.scan.queries import Wanted

__all__ = ["Page", "pages"]


@dataclass(frozen=True)
class Page:
    """A place where something was found.

    Attributes:
        page: the address of a page; of what stands on none, the image's own name.
        matches: how many different pictures are a match there.
        unsure: how many are unsure.
        new: how many of both were less in the last finished scan, or in the baseline.
        confidence: of the surest.
        labels: that were found there.
        images: the names of the images, the surest first.
    """

    page: str
    matches: int
    unsure: int
    new: int
    confidence: float
    labels: tuple[str, ...]
    images: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The object that ``logolens scan --by page --json`` prints."""
        return {
            "page": self.page,
            "matches": self.matches,
            "unsure": self.unsure,
            "new": self.new,
            "confidence": self.confidence,
            "labels": list(self.labels),
            "images": list(self.images),
        }


def pages(db: sqlite3.Connection, run: int, wanted: Wanted, limit: int | None, offset: int) -> Iterator[Page]:
    """The places where something was found, those with most matches first.

    Args:
        db: the store's database, with its pictures in the temporary table ``listing``.
        run: the scan.
        wanted: which pictures.
        limit: at most so many places.
        offset: leave out so many at the beginning.
    """
    conditions, values = wanted.conditions()
    asked = db.execute(
        f"""WITH chosen AS MATERIALIZED (SELECT key, weight, was FROM temp.listing WHERE {conditions}),
        standing AS (SELECT coalesce(places.place, images.name) AS page, images.name, images.label, images.confidence,
            images.verdict, chosen.key, chosen.weight > coalesce(chosen.was, -1) AS new
        FROM chosen JOIN images ON coalesce(images.sha256, images.name) = chosen.key
            LEFT JOIN places ON places.name = images.name AND places.run = images.run
        WHERE images.run = ? AND images.verdict IN ('match', 'unsure'))
        SELECT page, count(DISTINCT CASE verdict WHEN 'match' THEN key END) AS matches,
            count(DISTINCT CASE verdict WHEN 'unsure' THEN key END) AS unsure,
            count(DISTINCT CASE WHEN new THEN key END), max(confidence) AS confidence, json_group_array(DISTINCT label),
            json_group_array(json_array(confidence, name))
        FROM standing GROUP BY page ORDER BY matches DESC, unsure DESC, confidence DESC, page LIMIT ? OFFSET ?""",
        [*values, run, -1 if limit is None else limit, offset],
    )
    for page, matches, unsure, new, confidence, labels, images in asked.fetchall():
        surest = sorted(json.loads(images), key=lambda pair: (-pair[0], pair[1]))
        names = tuple(name for _, name in surest)
        yield Page(page, matches, unsure, new, confidence, tuple(sorted(json.loads(labels))), names)
