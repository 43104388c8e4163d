"""Part (c) of ``artwork.py``: from brands' drawings to real photos of them.

The brands of Flickr Logos 27 whose drawings the two icon packages hold, learned from these drawings alone, asked about the real
photos: which brand it is (``none`` left aside), by a gallery as it was before it read names and followed lines, with each of the
two alone, by the gallery as it is, and by training on composed images. Beside it, how many photos without a logo get a label.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from common import REPOSITORY, table, verdict

from logolens import Classifier
from logolens.config import BACKGROUND, GallerySettings, TrainSettings
from logolens.data import load
from logolens.metrics import wilson_interval
from logolens.recipes.demo.brands import artwork, resemblance
from logolens.training.gallery import add
from logolens.training.train import train

__all__ = ["from_drawings"]

NO_LOGO = REPOSITORY.parent / "shared" / "data" / "no-logo"
TARGET = 0.60
OTHER = 0.9
"""How much two drawings of one brand coincide below which both are learned from."""


def drawings(labels: tuple[str, ...], folder: Path) -> list[tuple[Path, str]]:
    """SVG files of the brands that the packages hold, in their own colour, and their labels."""
    import simple_icons_pack
    from simpleicons.all import icons

    found = []
    for label in labels:
        slug = "".join(letter for letter in label.lower() if letter.isalnum())
        now, then = simple_icons_pack.get_icon(slug), dict(icons.items()).get(slug)
        if now is not None and then is not None and resemblance(artwork(slug), artwork(slug, year="2022")) >= OTHER:
            then = None
        for year, icon in (("now", now), ("2022", then)):
            if icon is None:
                continue
            path = folder / label / f"{slug}-{year}.svg"
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = icon.hex.lstrip("#")
            path.write_text(icon.svg.replace("<svg ", f'<svg fill="#{colour}" ', 1), encoding="utf-8")
            found.append((path, label))
    return found


def from_drawings(options: argparse.Namespace, work: Path) -> None:
    """Part (c)."""
    dataset = load(options.photos)
    drawn = drawings(dataset.labels, work / "drawings")
    listing = work / "drawings.csv"
    with listing.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label"), *drawn])
    known = {label for _, label in drawn}
    photos = [photo for photo in dataset.photos if photo.label in known][:: options.every]
    empty = sorted(NO_LOGO.glob("*"))[:: options.every] if NO_LOGO.is_dir() else []
    print(f"{len(known)} brands in {len(drawn)} drawings; {len(photos)} photos of them, {len(empty)} without a logo")
    ways = {
        "gallery as it was": ("off", "off"),
        "with lines of the drawings": ("auto", "off"),
        "with names read": ("off", "auto"),
        "gallery": ("auto", "auto"),
    }
    rows, shares = [], {}
    for name, (matcher, words) in ways.items():
        bundle = work / f"gallery-{matcher}-{words}"
        add(bundle, [str(listing)], settings=GallerySettings(matcher=matcher, words=words))
        shares[name] = asked(bundle, photos, empty, rows, name)
    if options.images:
        bundle = work / "composed"
        train(work / "drawings", bundle, TrainSettings(synthesize=options.images, seed=options.seed))
        shares["composed"] = asked(bundle, photos, empty, rows, f"trained on {options.images} composed images each")
    table(("", "top-1", "95 % interval", "right, none being an answer", "without a logo that got a label"), rows)
    verdict("gallery over the gallery as it was", shares["gallery"] / shares["gallery as it was"], 2.0)
    verdict("gallery, top-1 on real photos from drawings alone", shares["gallery"], TARGET)


def asked(bundle: Path, photos: list, empty: list[Path], rows: list[list[str]], name: str) -> float:  # type: ignore[type-arg]
    """The share of photos whose best label is right; what else was found goes into the table's rows."""
    classifier = Classifier.load(bundle)
    answers = classifier.predict([photo.path for photo in photos])
    best = [max(a.scores, key=lambda k: (k != BACKGROUND, a.scores[k])) for a in answers]
    right = np.array([label in photo.labels for label, photo in zip(best, photos, strict=True)])
    named = np.mean([a.label in photo.labels for a, photo in zip(answers, photos, strict=True)])
    alarms = [a.label != BACKGROUND for a in classifier.predict(empty)] if empty else []
    low, high = wilson_interval(int(right.sum()), len(right))
    rows.append(
        [
            name,
            f"{right.mean():.1%}",
            f"{low:.1%} to {high:.1%}",
            f"{named:.1%}",
            f"{np.mean(alarms):.1%}" if alarms else "-",
        ]
    )
    print("  ".join(rows[-1]), flush=True)
    return float(right.mean())
