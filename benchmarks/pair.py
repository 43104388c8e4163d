"""Does `train --pair` tell an old drawing of a brand from the new one where the rest of logolens cannot?

oldnew  One brand's old and new logo, real photos: five-fold cross-validation, near copies kept together; one bundle a fold is
        trained with the pair, with the matcher and without.
brands  Brands whose drawing changed between two releases of a package of brand icons and yet stays near: by `resemblance`, from
        1 (the same) to 0, between --from and --to, in much the same proportions. Photos of both drawings of each are composed,
        few to train on and others, on backgrounds that training never saw, to ask about. Listed brands are taken by thirds; the
        thresholds and weights were chosen on the first third, and the second is measured unless --third says otherwise.

The peer of each bundle is the same bundle without its experts, in the same run: all else of it is the same. Whatever label an
answer gives, what counts is which of the two it finds likelier. Of the brands, the mean gain has an interval by brand: 95 % by
the t distribution, brands being what is drawn.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from accuracy import write_table
from common import REPOSITORY, busy, table

from logolens import Classifier
from logolens.bundle.format import load_bundle
from logolens.config import TrainSettings
from logolens.data import Photo, grouped_folds, load
from logolens.data.synthesis import compose, decoy, encode
from logolens.data.synthesis.backgrounds import SEEN_BACKGROUNDS, UNSEEN_BACKGROUNDS
from logolens.errors import DataError
from logolens.io.images import read_bytes
from logolens.recipes.demo.brands import artwork, resemblance
from logolens.training.train import train

OLDNEW = REPOSITORY.parent / "shared" / "data" / "oldnew"

# The 0.975 quantile of the t distribution by degrees of freedom, from 1 on; 1.96 beyond.
T975 = (
    12.71,
    4.30,
    3.18,
    2.78,
    2.57,
    2.45,
    2.36,
    2.31,
    2.26,
    2.23,
    2.20,
    2.18,
    2.16,
    2.14,
    2.13,
    2.12,
    2.11,
    2.10,
    2.09,
)


def told(bundle: Path, photos: Sequence[Photo], pairs: Sequence[tuple[str, str]]) -> dict[str, list[tuple[bool, bool]]]:
    """For the photos of each pair, by its first label: whether it is told right without the expert, and with it."""
    whole = load_bundle(bundle)
    assert whole.closer is not None
    without = replace(whole, closer=replace(whole.closer, late={}))
    answers = []
    for its in (without, whole):
        classifier = Classifier(its)
        each = classifier.answers_each([(photo.name, partial(read_bytes, photo.path)) for photo in photos])
        answers.append([answer.labels for answer in each if not isinstance(answer, str)])
    found: dict[str, list[tuple[bool, bool]]] = {first: [] for first, _ in pairs}
    for photo, *labels in zip(photos, *answers, strict=True):
        for first, second in pairs:
            if photo.label in (first, second):
                one, other = (whole.labels.index(name) for name in (first, second))
                right = [bool(its[one] > its[other]) == (photo.label == first) for its in labels]
                found[first].append((right[0], right[1]))
    return found


def oldnew(data: Path, folds: Sequence[int], matcher: str) -> None:
    dataset = load(data)
    first, second = dataset.labels
    parts = grouped_folds(dataset, 5)
    rows: list[tuple[bool, bool]] = []
    used = 0
    start = time.perf_counter()
    for number in folds:
        with tempfile.TemporaryDirectory() as work:
            listing, out = Path(work) / "photos.csv", Path(work) / "bundle"
            write_table(listing, dataset, parts[number])
            result = train(listing, out, TrainSettings(pair=((first, second),), matcher=matcher))
            facts = result.manifest["pairs"][0]
            used += facts["used"]
            rows += told(out, [dataset.photos[index] for index in parts[number]], [(first, second)])[first]
            print(f"fold {number}: {facts['reason']}", flush=True)
    without, having = np.array(rows).mean(axis=0)
    print(
        f"oldnew, matcher {matcher}: {len(rows)} photos, {without:.1%} right without, {having:.1%} with --pair, whose expert "
        f"was used in {used} of {len(folds)} folds ({(time.perf_counter() - start) / 60:.1f} minutes)\n",
        flush=True,
    )


def near_brands(low: float, high: float) -> list[tuple[str, float]]:
    """Brands whose two drawings are this alike, the least alike first."""
    from simpleicons.all import icons

    found = []
    for slug in sorted(icons):
        if not (slug.isalnum() and slug.isascii()):
            continue
        try:
            old, new = artwork(slug, year="2022"), artwork(slug)
        except DataError:  # It is in one of the packages alone.
            continue
        proportions = (old.alpha.shape[1] / old.alpha.shape[0]) / (new.alpha.shape[1] / new.alpha.shape[0])
        if low <= (alike := resemblance(old, new)) < high and 0.8 < proportions < 1.25:
            found.append((slug, alike))
    return sorted(found, key=lambda one: one[1])


def photo_of(slug: str, year: str, families: Sequence[str], seed: tuple[int, ...], path: Path) -> tuple[float, ...]:
    """Compose one photo, and give the box of its logo."""
    rng = np.random.default_rng(seed)
    family = families[int(rng.integers(len(families)))]
    shown = artwork(slug, year="now" if year == "now" else "2022")
    image, boxes = compose([shown], family, rng, others=[decoy(rng) for _ in range(int(rng.integers(0, 3)))])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(image, rng))
    return boxes[0].x1, boxes[0].y1, boxes[0].x2, boxes[0].y2


def compose_all(folder: Path, slugs: Sequence[str], learned: int, asked: int, seed: int) -> None:
    """``train.csv`` with boxes, the folder ``train`` for training without, and the folder ``unseen``."""
    jobs = [
        (
            slug,
            year,
            families,
            (seed, part == "train", brand, year == "now", number),
            folder / part / label / f"{number:03}.jpg",
        )
        for part, families, count in (("train", SEEN_BACKGROUNDS, learned), ("unseen", UNSEEN_BACKGROUNDS, asked))
        for brand, slug in enumerate(slugs)
        for year, label in (("2022", f"{slug}-old"), ("now", f"{slug}-new"))
        for number in range(count)
    ]
    with ProcessPoolExecutor(2) as pool:
        boxes = list(pool.map(photo_of, *zip(*jobs, strict=True), chunksize=16))
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "x1", "y1", "x2", "y2"))
        for (*_, path), box in zip(jobs, boxes, strict=True):
            if path.is_relative_to(folder / "train"):
                writer.writerow((path.relative_to(folder), path.parent.name, *box))


def interval(gains: Sequence[float]) -> tuple[float, float]:
    """The mean's 95 % interval by the t distribution."""
    spread = T975[len(gains) - 2] if len(gains) <= len(T975) + 1 else 1.96
    error = spread * float(np.std(gains, ddof=1)) / np.sqrt(len(gains))
    return float(np.mean(gains)) - error, float(np.mean(gains)) + error


def brands(chosen: Sequence[tuple[str, float]], options: argparse.Namespace) -> None:
    slugs = [slug for slug, _ in chosen]
    pairs = [(f"{slug}-old", f"{slug}-new") for slug in slugs]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        compose_all(folder, slugs, options.photos, options.asked, options.seed)
        unseen = load(folder / "unseen").photos
        for name, data, matcher in ways(options.ways, folder):
            start = time.perf_counter()
            result = train(data, folder / name, TrainSettings(pair=tuple(pairs), matcher=matcher, test=0.0))
            minutes = (time.perf_counter() - start) / 60
            seconds = result.seconds
            facts = {fact["labels"][0]: fact for fact in result.manifest["pairs"]}
            found = told(folder / name, unseen, pairs)
            rows, gains = [], []
            for (slug, alike), (first, _) in zip(chosen, pairs, strict=True):
                without, having = np.array(found[first]).mean(axis=0)
                gains.append(float(having - without))
                fact = facts[first]
                held = f"{fact['right']:.0%} to {fact['right_with']:.0%}" if "right" in fact else "not judged"
                rows.append(
                    (slug, f"{alike:.2f}", held, "yes" if fact["used"] else "no", f"{without:.0%}", f"{having:.0%}")
                )
            print()
            table(("brand", "alike", "held out", "used", "unseen without", "with"), rows)
            every = np.array([its for first, _ in pairs for its in found[first]])
            low, high = interval(gains)
            print(
                f"{name}: {len(slugs)} brands, {options.photos} photos a drawing to learn from, {len(every)} asked; right "
                f"without {every[:, 0].mean():.1%}, with {every[:, 1].mean():.1%}; mean gain {100 * np.mean(gains):+.1f} points "
                f"(95 % by brand {100 * low:+.1f} to {100 * high:+.1f}); training {minutes:.1f} minutes, "
                f"{seconds['pairs']:.0f} s of it for the experts",
                flush=True,
            )


def ways(chosen: Iterable[str], folder: Path) -> list[tuple[str, Path, str]]:
    every = {
        "boxes": (folder / "train.csv", "on"),
        "folders": (folder / "train", "on"),
        "boxes-off": (folder / "train.csv", "off"),
        "folders-off": (folder / "train", "off"),
    }
    return [(name, *every[name]) for name in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("oldnew", "brands"), nargs="*", default=["oldnew", "brands"])
    parser.add_argument("--oldnew", type=Path, default=OLDNEW, help="(default: %(default)s)")
    parser.add_argument("--folds", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="which of the five")
    parser.add_argument("--matchers", nargs="*", default=["auto", "off"], help="of oldnew (default: %(default)s)")
    parser.add_argument("--from", dest="low", type=float, default=0.7, help="(default: %(default)s)")
    parser.add_argument("--to", dest="high", type=float, default=0.93, help="(default: %(default)s)")
    parser.add_argument(
        "--third", type=int, choices=(1, 2, 3), default=2, help="of the near brands (default: %(default)s)"
    )
    parser.add_argument("--most", type=int, default=12, help="brands (default: %(default)s)")
    parser.add_argument("--photos", type=int, default=12, help="of each drawing to learn from (default: %(default)s)")
    parser.add_argument("--asked", type=int, default=12, help="of each drawing to ask about (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ways", nargs="*", default=["boxes", "folders", "boxes-off"], help="(default: %(default)s)")
    options = parser.parse_args()
    busy()
    if "brands" in options.what:
        near = near_brands(options.low, options.high)
        chosen = near[options.third - 1 :: 3][: options.most]
        print(
            f"{len(near)} near brands; measured: {', '.join(f'{slug} {alike:.2f}' for slug, alike in chosen)}",
            flush=True,
        )
        brands(chosen, options)
    if "oldnew" in options.what:
        for matcher in options.matchers:
            oldnew(options.oldnew, options.folds, matcher)


if __name__ == "__main__":
    main()
