"""Is everything on a web site found, and what do faults cost?

A site of made pages is served on loopback, once in order and once with everything that servers do wrong: answers that fail
at first, break off, lie about what they are, drip, never end or lead in circles. Its generator knows what is on it; the
crawl is held against that. Rates are those of the crawl with every image fetched, the two sites in turn.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from common import busy, table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from website import Website, serving

from logolens.config import Limits, SourceSettings
from logolens.errors import ImageError
from logolens.io.sources import Source, gather


@dataclass
class Outcome:
    """What one crawl found of what there was."""

    seconds: float
    pages: int
    images: int
    places: int
    told: int
    read: int
    site: Website


def crawl(pages: int, *, faults: bool, readers: int) -> Outcome:
    """Serve a site, crawl it, read every image, and compare."""
    site = Website(pages, faults=faults)
    limits = Limits(max_bytes=2_000_000)
    settings = SourceSettings(
        allow_private=True, rate=100_000.0, connections=8, depth=40, timeout=3.0, max_time=4.0, retries=3
    )
    images: dict[str, bytes] = {}
    places: dict[str, set[str]] = {}
    problems: set[str] = set()

    def read(source: Source) -> None:
        try:
            images[source.name] = source.read(limits)
        except ImageError:
            problems.add(source.name)

    with serving(site.main), serving(site.cdn), ThreadPoolExecutor(readers) as pool:
        begun = time.perf_counter()
        for source in gather([site.start], settings, limits=limits):
            places.setdefault(source.name, set()).update(source.places)
            if not source.repeated:
                pool.submit(read, source)
        pool.shutdown()
        seconds = time.perf_counter() - begun
    asked = {site.main.url + path for path in site.main.asked}
    inline = set(images.values())
    return Outcome(
        seconds=seconds,
        pages=len(site.pages & asked),
        images=sum(images.get(name) == data for name, data in site.images.items())
        + sum(data in inline for data in site.inline),
        places=sum(len(places.get(name, set()) & wanted) for name, wanted in site.places.items()),
        told=len(site.lost & problems),
        read=len(images),
        site=site,
    )


def main() -> None:
    """Crawl in turn, print what was found and the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=200, help="pages of the site")
    parser.add_argument("--rounds", type=int, default=3, help="crawls of each site")
    parser.add_argument("--readers", type=int, default=16, help="images that are fetched at a time")
    options = parser.parse_args()
    rates: dict[bool, list[float]] = {False: [], True: []}
    last: dict[bool, Outcome] = {}
    for _ in range(options.rounds):
        for faults in (False, True):
            last[faults] = crawl(options.pages, faults=faults, readers=options.readers)
            rates[faults].append(last[faults].read / last[faults].seconds)
    rows = []
    for faults, outcome in last.items():
        site = outcome.site
        rows.append(
            [
                "with faults" if faults else "in order",
                f"{outcome.pages} of {len(site.pages)}",
                f"{outcome.images} of {len(site.images) + len(site.inline)}",
                f"{outcome.places} of {sum(map(len, site.places.values()))}",
                f"{outcome.told} of {len(site.lost)}",
                f"{median(rates[faults]):.1f}",
            ]
        )
    table(["site", "pages", "images", "places", "lost and told of", "images/s"], rows)
    print(f"\nRate with faults over rate in order: {median(rates[True]) / median(rates[False]):.2f}")
    busy()
    complete = all(
        outcome.pages == len(outcome.site.pages)
        and outcome.images == len(outcome.site.images) + len(outcome.site.inline)
        and outcome.told == len(outcome.site.lost)
        for outcome in last.values()
    )
    print("Everything was found." if complete else "NOT everything was found.")
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
