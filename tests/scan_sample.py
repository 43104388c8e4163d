"""Results of a made-up scan, with real JPEG thumbnails and with names that are out to do harm."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from conftest import draw

from logolens.scan.report_page import Scanned

LABELS = ("acme-new", "acme-old")

HOSTILE = (
    'photos/<img src=x onerror="document.title=1">.jpg',
    "photos/</script><script>document.title=2</script>.jpg",
    "photos/\"'`{{script}}${document.title=3}<!--.jpg",
    "photos/exe\u202egpj.jpg",
    "photos/line\nbreak\x00.jpg",
    "photos/raw-\udcff.jpg",
    "javascript:document.title=4",
    "photos/" + "long-" * 200 + ".jpg",
)


@dataclass(frozen=True)
class Row:
    """As a row of a scan's store."""

    number: int
    name: str
    sha256: str | None
    label: str | None
    confidence: float | None
    verdict: str
    scores: Mapping[str, float] = field(default_factory=dict)
    box: tuple[float, float, float, float] | None = None
    error: str | None = None
    places: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    group: int | None = None
    width: int | None = None
    height: int | None = None
    change: str | None = "new"


def thumbnail_maker() -> tuple[Callable[[str], bytes], dict[str, tuple[str, int]]]:
    """A function that draws the thumbnail of a hash, and the table in which hashes are told what they show."""
    shows: dict[str, tuple[str, int]] = {}
    drawn: dict[tuple[str, int], bytes] = {}

    def thumbnail(sha256: str) -> bytes:
        label, seed = shows[sha256]
        key = (label, seed % 40)
        if key not in drawn:
            sizes = ((160, 107), (107, 160), (160, 160), (160, 90), (48, 32))
            stream = io.BytesIO()
            draw({"acme-old": "acme", "acme-new": "bolt"}.get(label, "none"), key[1], sizes[key[1] % 5]).save(
                stream, "JPEG", quality=80
            )
            drawn[key] = stream.getvalue()
        return drawn[key]

    return thumbnail, shows


def sample(count: int = 400, seed: int = 0) -> tuple[list[Row], Scanned, Callable[[str], bytes | None]]:
    """Rows, facts and thumbnails of a scan of a web site and a folder."""
    rng = random.Random(seed)
    thumbnail, shows = thumbnail_maker()
    rows = list(_rows(count, rng, shows))
    totals = {verdict: sum(row.verdict == verdict for row in rows) for verdict in ("match", "unsure", "clear", "error")}
    scanned = Scanned(
        id="sample",
        find=("acme-old",),
        labels=LABELS,
        threshold=0.8,
        bundle="brands",
        finished="2026-11-25T13:00:00+00:00",
        totals=totals,
    )
    return rows, scanned, thumbnail


def _rows(count: int, rng: random.Random, shows: dict[str, tuple[str, int]]) -> Iterator[Row]:
    hostile = iter(HOSTILE)
    group = 0
    for number in range(count):
        verdict = rng.choices(("match", "unsure", "clear", "error"), (35, 15, 45, 5))[0]
        named = next(hostile, None) if number % 7 == 3 else None
        folder = f"photos/{rng.choice(('2019', '2020', '2021', 'press', 'shops/berlin'))}"
        name = named or f"{folder}/IMG_{number:05}.jpg"
        places: tuple[str, ...] = (name,)
        if number % 3 == 0 and named is None:
            pages = rng.sample(range(60), rng.choice((1, 1, 2, 5)))
            places = tuple(f"https://www.example.com/news/article-{page}.html" for page in pages)
            name = f"https://www.example.com/media/{number}.jpg"
        if named == "javascript:document.title=4":
            places = (
                "javascript:document.title=5",
                "data:text/html,<script>document.title=6</script>",
                "http://ok.example/",
            )
        if verdict == "error":
            reason = rng.choice(("This is not an image that can be read.", "The server answered 404 <b>Not Found</b>."))
            yield Row(number, name, None, None, None, "error", error=f"{name}: {reason}", places=places, names=(name,))
            continue
        sha256 = hashlib.sha256(f"{count} {number}".encode()).hexdigest()
        low, high = {"match": (0.8, 0.999), "unsure": (0.45, 0.8), "clear": (0.0, 0.45)}[verdict]
        confidence = rng.uniform(low, high)
        label = "acme-old" if verdict != "clear" else rng.choice(("none", "acme-new"))
        rest = (1 - confidence) * rng.random()
        shows[sha256] = (label, number)
        if rng.random() > 0.25:
            group = number
        x, y = rng.uniform(0, 0.5), rng.uniform(0, 0.5)
        yield Row(
            number,
            name,
            sha256,
            label,
            confidence,
            verdict,
            {"acme-old": confidence, "acme-new": rest, "none": 1 - confidence - rest},
            (x, y, x + 0.4, y + 0.4) if verdict != "clear" else None,
            places=places,
            names=(name,),
            group=group,
            width=(1600, 1070, 1600, 1600, 48)[number % 5],
            height=(1070, 1600, 1600, 900, 32)[number % 5],
            change=rng.choices(("new", "changed", "same", "gone"), (15, 5, 75, 5))[0],
        )
