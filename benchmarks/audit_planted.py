"""Does an audit find what was planted, and what was odd before?

Into a temporary copy of Flickr Logos 27, 91 duplicates with neutral names (the file itself, or the picture saved anew,
resized, cropped, brightened, framed, turned, mirrored, sheared, with noise or with parts cut out: seven of each), 20 wrong
labels and 10 broken files are planted, at random by --seed. Printed are precision and recall of each kind. What the audit
finds in the untouched data is no fault of the planting: copies count as right where they are a planted pair or stand in the
original as well; a label error counts as right where it was planted, so that precision is a lower bound, the original's own
wrong or doubtful labels being counted against it.

python benchmarks/audit_planted.py [DATA] [--seed 0] [--no-labels]
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from common import FLICKR27, busy, table
from PIL import Image, ImageEnhance, ImageOps

from logolens.config import AuditSettings
from logolens.data import load
from logolens.data.flickr27 import find_flickr27
from logolens.evaluation.audit import Audit, audit

WRONG, BROKEN = 20, 10
IMAGES = "flickr_logos_27_dataset_images"
ROWS = "flickr_logos_27_dataset_training_set_annotation.txt"


@dataclass
class Planted:
    """What was planted: duplicates with the photo that they show, true labels of those that are wrong, broken files."""

    duplicates: dict[str, str] = field(default_factory=dict)
    ways: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


def _resized(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    scale = rng.uniform(0.5, 0.9)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def _cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    left, top, right, low = rng.uniform(0, 0.05, 4)
    width, height = image.size
    return image.crop((round(left * width), round(top * height), round((1 - right) * width), round((1 - low) * height)))


def _brightened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(rng.uniform(0.8, 1.2))


def _framed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.expand(image, border=round(0.04 * max(image.size)), fill="white")


def _cut_out(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    holes = image.copy()
    for _ in range(3):
        side = round(0.2 * min(image.size))
        left, top = (int(rng.integers(0, edge - side + 1)) for edge in image.size)
        holes.paste((0, 0, 0), (left, top, left + side, top + side))
    return holes


def _noisy(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    values = np.asarray(image, np.float64)
    return Image.fromarray(np.clip(values + rng.normal(0, 20, values.shape), 0, 255).astype(np.uint8))


def _sheared(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    shear = float(rng.uniform(0.1, 0.25))
    return image.transform(image.size, Image.Transform.AFFINE, (1, shear, -shear * image.height / 2, 0, 1, 0))


def _much_cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    left, top = (rng.uniform(0, 0.3) * edge for edge in image.size)
    return image.crop((round(left), round(top), round(left + 0.7 * image.width), round(top + 0.7 * image.height)))


WAYS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image] | None] = {
    "the same file": None,
    "saved anew": lambda image, rng: image,
    "resized": _resized,
    "cropped by up to 5 % a side": _cropped,
    "brightened": _brightened,
    "framed": _framed,
    "mirrored": lambda image, rng: ImageOps.mirror(image),
    "turned by 90 or 270": lambda image, rng: image.rotate(int(rng.choice([90, 270])), expand=True),
    "turned by 180": lambda image, rng: image.rotate(180),
    "cropped to 70 % a side": _much_cropped,
    "sheared": _sheared,
    "with noise": _noisy,
    "with parts cut out": _cut_out,
}
_TURNING = ("mirrored", "turned by 90 or 270", "turned by 180")
DUPLICATES = 7 * len(WAYS)


def _broken(data: bytes, number: int, rng: np.random.Generator) -> bytes:
    """A file that ends early, is empty, is no image, lacks its beginning, or is a page that a server gave instead."""
    kind = number % 5
    if kind == 0:
        return data[: int(len(data) * rng.uniform(0.1, 0.6))]
    if kind == 1:
        return b""
    if kind == 2:
        return rng.bytes(len(data))
    if kind == 3:
        return data[200:]
    return b"<!doctype html><title>404</title><p>This photo has been removed.</p>"


def plant(place: Path, seed: int) -> Planted:
    """Plant into the folder of the annotations; returns what."""
    rng = np.random.default_rng(seed)
    dataset = load(place, remember=False)
    images, rows = place / IMAGES, (place / ROWS).read_text(encoding="utf-8").splitlines()
    # One of each group of copies, so that nothing that is planted is what stood there anyway.
    alone = [photo for photo in dataset.photos if sum(its.near == photo.near for its in dataset.photos) == 1]
    alone = [photo for photo in alone if len(photo.labels) == 1 and photo.boxes]
    chosen = [alone[n] for n in rng.permutation(len(alone))[: DUPLICATES + WRONG + BROKEN]]
    planted = Planted()
    for number, photo in enumerate(chosen[:DUPLICATES]):
        way = list(WAYS)[number % len(WAYS)]
        name = f"9{number:09}.jpg"
        change = WAYS[way]
        if change is None:
            shutil.copyfile(photo.path, images / name)
        else:
            with Image.open(photo.path) as image:
                stream = io.BytesIO()
                change(image.convert("RGB"), rng).save(stream, "JPEG", quality=int(rng.integers(60, 92)))
            (images / name).write_bytes(stream.getvalue())
        with Image.open(images / name) as image:
            across, down = image.width / photo.width, image.height / photo.height
        if way in _TURNING:
            rows.append(f"{name} {photo.label} 1 0 0 {round(across * photo.width)} {round(down * photo.height)}")
        for box in photo.boxes if way not in _TURNING else ():
            # A crop's or frame's few per cent are left aside, as boxes are never exact.
            edges = (box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down)
            rows.append(f"{name} {photo.label} 1 {' '.join(str(round(edge)) for edge in edges)}")
        planted.duplicates[name], planted.ways[name] = photo.name, way
    for photo in chosen[DUPLICATES : DUPLICATES + WRONG]:
        other = str(rng.choice([label for label in dataset.labels if label != photo.label]))
        rows = [
            " ".join([row.split()[0], other, *row.split()[-5:]]) if row.split()[:1] == [photo.name] else row
            for row in rows
        ]
        planted.wrong[photo.name] = photo.label
    for number, photo in enumerate(chosen[DUPLICATES + WRONG :]):
        data = (images / photo.name).read_bytes()
        (images / photo.name).write_bytes(_broken(data, number, rng))
        planted.broken.add(photo.name)
    (place / ROWS).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return planted


def pairs(found: Audit) -> set[tuple[str, str]]:
    """Every pair of photos that the audit calls one picture."""
    kinds = ("leak", "two-labels", "look-alike", "copy", "near-copy")
    named = (finding.photos for kind in kinds for finding in found.of(kind))
    return {pair for names in named for pair in combinations(sorted(names), 2)}


def score(what: str, right: int, found: int, planted: int, hits: int) -> list[str]:
    """A row of the table."""
    precision = f"{right / found:.3f}" if found else "-"
    return [what, str(planted), str(hits), str(found), precision, f"{hits / planted:.3f}"]


def main() -> None:
    """Plant, audit, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=FLICKR27)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-labels", action="store_true", help="leave out what takes the network")
    options = parser.parse_args()
    source = find_flickr27(options.data)
    if source is None:
        raise SystemExit(f"{options.data} is not the Flickr Logos 27 folder.")
    busy()
    settings = AuditSettings(labels=not options.no_labels)
    start = time.perf_counter()
    before = audit(source, AuditSettings(labels=False))
    print(f"the untouched data, files and boxes alone: {time.perf_counter() - start:.1f} s")
    with tempfile.TemporaryDirectory() as work:
        place = Path(work) / "flickr_logos_27_dataset"
        shutil.copytree(source, place)
        for path in (place, *place.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        planted = plant(place, options.seed)
        start = time.perf_counter()
        after = audit(place, settings)
        print(f"the planted data: {time.perf_counter() - start:.1f} s\n")

    named = pairs(after)
    truth = {tuple(sorted(pair)) for pair in planted.duplicates.items()}
    rows = [
        score("duplicates (pairs)", len(named & (truth | pairs(before))), len(named), len(truth), len(named & truth))
    ]
    for way in WAYS:
        its = {tuple(sorted((name, photo))) for name, photo in planted.duplicates.items() if planted.ways[name] == way}
        rows.append([f"  {way}", str(len(its)), str(len(named & its)), "", "", f"{len(named & its) / len(its):.3f}"])
    broken = {finding.photos[0] for finding in after.of("unreadable")}
    rows.append(
        score(
            "broken files", len(broken & planted.broken), len(broken), len(planted.broken), len(broken & planted.broken)
        )
    )
    if settings.labels:
        listed = list(after.of("label-error"))
        hit = [finding for finding in listed if finding.photos[0] in planted.wrong]
        rows.append(score("wrong labels, the whole list", len(hit), len(listed), WRONG, len(hit)))
        first = [finding for finding in listed[:WRONG] if finding.photos[0] in planted.wrong]
        rows.append(score(f"wrong labels, the first {WRONG}", len(first), min(WRONG, len(listed)), WRONG, len(first)))
        known = sum(finding.suggested == planted.wrong[finding.photos[0]] for finding in hit)
        named_rightly = f"\nof {len(hit)} wrong labels found, the true one was suggested for {known}"
    table(["planted", "there", "found", "reported", "precision", "recall"], rows)
    print(named_rightly if settings.labels else "")
    for name in sorted(planted.duplicates):
        if tuple(sorted((name, planted.duplicates[name]))) not in named:
            print(f"missed: {name} of {planted.duplicates[name]}, {planted.ways[name]}")
    print("\nwhat was odd before, in the untouched data and beside what was planted:")
    for kind in ("empty-box", "several-labels", "copy", "near-copy"):
        # Which of a group's pairs are named again, but for photos that were made unreadable.
        print(f"  {kind}: {before.counts().get(kind, 0)} before, {after.counts().get(kind, 0)} after")
    print(f"  pairs of copies of the original found again: {len(pairs(before) & named)} of {len(pairs(before))}")
    if settings.labels:
        print("\nlabel errors that were not planted:")
        for finding in listed:
            if finding not in hit:
                print(f"  {finding.detail}")


if __name__ == "__main__":
    main()
