"""Would a known package do better than what logolens has of its own: imagehash's hashes, tinycss2's parser?

copies: copies of photos of Flickr Logos 27 are made in a dozen ways (saved anew, resized, cropped, framed, turned, ...), and
sought by logolens' near-copy search and by imagehash's hashes, laid in all eight ways as logolens lays them: recall of each
way, precision of what is found for the copies, and processor time. A pair of copies of one photo is right, and so is one
that is a pair by the photos they were made from.

css: style sheets, those of this Python's packages where none is named, read for the images they draw in by logolens and by a
walk through tinycss2's tokens: what each names that the other does not, and the time; then the same after a bracket, quote or
semicolon was lost at random, where a browser, too, hides less than the rest of the sheet.

Needs imagehash and tinycss2: pip install imagehash tinycss2
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from audit_planted import WAYS
from common import FLICKR27, busy, table
from PIL import Image, ImageOps

from logolens.data import load
from logolens.data.near_duplicates import groups_of, near_pairs, thumbnails
from logolens.io.sources.css import read_css

LAID: tuple[Callable[[Image.Image], Image.Image], ...] = tuple(
    lambda image, turn=turn, flip=flip: (ImageOps.mirror(image) if flip else image).rotate(90 * turn, expand=True)  # type: ignore[misc]
    for turn in range(4)
    for flip in (False, True)
)
"""The eight ways to lay a picture."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("copies", "css"), help="both if not given")
    parser.add_argument("--data", type=Path, default=FLICKR27, help="photos to make copies of")
    parser.add_argument("--count", type=int, default=400, help="most photos")
    parser.add_argument("--css", type=Path, nargs="*", help="style sheets, or folders of them")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    busy()
    if options.part != "css":
        copies(options.data, options.count, options.seed)
    if options.part != "copies":
        css(options.css or [Path(sys.prefix)], options.seed)


def copies(data: Path, count: int, seed: int) -> None:
    import imagehash

    rng = np.random.default_rng(seed)
    photos = load(data, remember=False).photos
    photos = [photos[n] for n in rng.permutation(len(photos))[:count]]
    images: list[Image.Image] = []
    made: list[tuple[int, str]] = []  # of each image beyond the photos: the photo it was made from, and how
    for photo in photos:
        with Image.open(photo.path) as image:
            images.append(image.convert("RGB"))
    for number, image in enumerate(images[: len(photos)]):
        way = list(WAYS)[number % len(WAYS)]
        change = WAYS[way]
        out = io.BytesIO()
        (image if change is None else change(image, rng)).save(out, "JPEG", quality=int(rng.integers(60, 92)))
        images.append(Image.open(out).convert("RGB"))
        made.append((number, way))
    origin = [*range(len(photos)), *(number for number, _ in made)]

    start = time.process_time()
    taken = [thumbnails(image) for image in images]
    found = near_pairs(np.stack([its[0] for its in taken]), np.array([its[1:] for its in taken], np.float32))
    results = {"logolens": (set(found), time.process_time() - start)}
    # Photos that were one picture before are one all the same, by whichever search.
    same = groups_of(len(photos), [pair for pair in found if max(pair) < len(photos)])
    for name in ("phash", "dhash"):
        start = time.process_time()
        make = getattr(imagehash, name)
        plain = np.stack([make(image).hash.ravel() for image in images])
        laid = np.stack([[make(way(image)).hash.ravel() for way in LAID] for image in images])
        near = np.array([(plain[:, None, :] != row[None, :, :]).sum(-1).min(1) for row in laid])
        near = np.minimum(near, near.T)
        took = time.process_time() - start
        for most in (4, 8, 10):
            pairs = set(zip(*(places.tolist() for places in np.nonzero(np.triu(near <= most, 1))), strict=True))
            results[f"imagehash {name}, {most} bits"] = (pairs, took)
    rows = []
    for way in WAYS:
        its = {(number, len(photos) + place) for place, (number, how) in enumerate(made) if how == way}
        rows.append([way, *(f"{len(its & pairs) / max(1, len(its)):.2f}" for pairs, _ in results.values())])
    truth = {(number, len(photos) + place) for place, (number, _) in enumerate(made)}
    rows.append(["all ways", *(f"{len(truth & pairs) / len(truth):.2f}" for pairs, _ in results.values())])
    right = []
    for pairs, _ in results.values():
        beside = [pair for pair in pairs if max(pair) >= len(photos)]
        good = sum(same[origin[one]] == same[origin[other]] for one, other in beside)
        right.append(f"{good / max(1, len(beside)):.3f}")
    rows.append(["precision", *right])
    rows.append(["ms of processor time an image", *(f"{1e3 * took / len(images):.1f}" for _, took in results.values())])
    print(f"\n{len(photos)} photos and a copy of each")
    table(["recall", *results], rows)


def css(places: list[Path], seed: int) -> None:
    files = [file for place in places for file in (sorted(place.rglob("*.css")) if place.is_dir() else [place])]
    sheets = {file: file.read_text(encoding="utf-8", errors="replace") for file in files if file.stat().st_size < 2e6}
    size = sum(map(len, sheets.values())) / 1e6
    took, named = {}, {}
    for name, read in (("logolens", lambda text: set(read_css(text).images)), ("tinycss2", by_tinycss2)):
        start = time.process_time()
        named[name] = {file: read(text) for file, text in sheets.items()}
        took[name] = time.process_time() - start
    ours, theirs = named["logolens"], named["tinycss2"]
    rows = [
        [name, str(sum(map(len, its.values()))), f"{1e3 * took[name] / max(size, 1e-9):.0f}"]
        for name, its in named.items()
    ]
    print(f"\n{len(sheets)} style sheets, {size:.1f} MB")
    table(["", "images named", "ms of processor time a MB"], rows)
    for what, one, other in (("logolens alone", ours, theirs), ("tinycss2 alone", theirs, ours)):
        alone = sorted({each for file in sheets for each in one[file] - other[file]})
        print(f"named by {what}: {len(alone)}" + "".join(f"\n    {each[:100]}" for each in alone[:10]))

    rng = np.random.default_rng(seed)
    kept = {"logolens": 0, "tinycss2": 0}
    there = 0
    for file, text in sheets.items():
        sure = ours[file] & theirs[file]
        places_of = [place for place, sign in enumerate(text) if sign in "{}()\"';"]
        if not sure or not places_of:
            continue
        for at in rng.choice(places_of, 5):
            broken = text[:at] + text[at + 1 :]
            there += len(sure)
            kept["logolens"] += len(sure & set(read_css(broken).images))
            kept["tinycss2"] += len(sure & by_tinycss2(broken))
    print("\nOf the images that both name, still named after a sign was lost:")
    table(["", "share"], [[name, f"{count / max(1, there):.4f}"] for name, count in kept.items()])


def by_tinycss2(text: str) -> set[str]:
    """The images that a style sheet draws in, by a walk through tinycss2's tokens."""
    import tinycss2

    found: set[str] = set()

    def addresses(tokens: list[object]) -> Iterator[str]:
        for token in tokens:
            kind = getattr(token, "type", "")
            if kind == "url":
                yield token.value  # type: ignore[attr-defined]
            elif kind == "function":
                if token.lower_name == "url":  # type: ignore[attr-defined]
                    yield from (each.value for each in token.arguments if each.type == "string")  # type: ignore[attr-defined]
                elif "image-set" in token.lower_name:  # type: ignore[attr-defined]
                    yield from (each.value for each in token.arguments if each.type == "string")  # type: ignore[attr-defined]
                    yield from addresses([each for each in token.arguments if each.type != "string"])  # type: ignore[attr-defined]
                else:
                    yield from addresses(token.arguments)  # type: ignore[attr-defined]
            elif kind in ("{} block", "() block", "[] block"):
                yield from addresses(token.content)  # type: ignore[attr-defined]

    for rule in tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True):
        if rule.type == "at-rule" and rule.lower_at_keyword in ("font-face", "import", "namespace"):
            continue
        found.update(addresses(list(getattr(rule, "content", None) or [])))
    return {address for address in map(str.strip, found) if read_css(f"url({address!r})").images}


if __name__ == "__main__":
    main()
