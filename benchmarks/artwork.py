"""What is a model worth that has seen a logo's artwork and hardly a photo of it?

(a) Brands of simple-icons-pack, trained on the artwork alone, asked about composed images on backgrounds that training never saw;
    beside it the nearest artwork by the same frozen network's features, which is what one has without composing.
(b) One brand's old and new logo: five photos each, with and without images composed from the artwork, asked about the other
    photos. The artwork is cut out of clean photos, which then stand in no fold. Which of the two is asked: none is not learned.
(c) Real photos of real brands, learned from their drawings alone: see ``artwork_photos.py``.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
from artwork_photos import from_drawings
from common import FLICKR27, REPOSITORY, busy, table, verdict
from PIL import Image

from logolens import Classifier
from logolens.config import BACKGROUND, Preprocessing, SynthesisSettings, TrainSettings
from logolens.data import Dataset, grouped_folds, load, photo_groups
from logolens.data.synthesis import read_artworks, synthesize
from logolens.errors import DataError
from logolens.io.images import content_hash, fit
from logolens.metrics import wilson_interval
from logolens.models.backbones import prepare
from logolens.models.session import Session
from logolens.training.train import train

OLDNEW = REPOSITORY.parent / "shared" / "data" / "oldnew"
TARGET = 0.95

CUT = {
    ("old", "old/old30.png"): (60, 15, 311, 118),
    ("old", "old/old3.jpg"): (10, 2, 546, 185),
    ("new", "new/new2.jpg"): (189, 107, 485, 219),
    ("new", "new/new3.jpg"): (216, 213, 682, 380),
}
"""Label and file of the artwork, and its box in pixels: chosen by eye, two clean drawings of each."""

SIZES = (0.0, 0.06, 0.1, 0.2, 0.4, 1.01)
"""Where logos are told apart by their width, as a share of the image's."""


def icons(count: int, seed: int, folder: Path) -> tuple[Path, Path]:
    """Artwork of so many brands as SVG in their own colour, twice: beside other brands to learn from, and beside others yet."""
    import simple_icons_pack

    names = sorted(name[3:].lower() for name in dir(simple_icons_pack) if name.startswith("SI_"))
    slugs = [name for name in names if name != BACKGROUND and simple_icons_pack.get_icon(name) is not None]
    order = np.random.default_rng(seed).permutation(len(slugs)).tolist()
    chosen = [slugs[number] for number in order]
    places = []
    for place, others in (("learn", chosen[count : count + 60]), ("ask", chosen[count + 60 : count + 120])):
        for slug in (*chosen[:count], *others):
            icon = simple_icons_pack.get_icon(slug)
            label = BACKGROUND if slug in others else slug
            path = folder / place / label / f"{slug}.svg"
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = icon.hex.lstrip("#")
            path.write_text(icon.svg.replace("<svg ", f'<svg fill="#{colour}" ', 1), encoding="utf-8")
        places.append(folder / place)
    return places[0], places[1]


def from_artwork(options: argparse.Namespace, work: Path) -> None:
    """Part (a)."""
    learn, ask = icons(options.brands, options.seed, work)
    asked = synthesize(
        ask,
        work / "asked",
        SynthesisSettings(count=options.asked, none=2 * options.brands, seed=options.seed + 1000, val=0.0, test=0.9),
    )
    start = time.perf_counter()
    settings = TrainSettings(
        synthesize=options.images,
        seed=options.seed,
        matcher=options.matcher,
        finetune=options.finetune,
        finetune_minutes=options.minutes if options.finetune != "none" else None,
        val=options.val,
        test=options.test,
    )
    done = train(learn, work / "bundle", settings)
    minutes = (time.perf_counter() - start) / 60
    for note in done.notes:
        print(f"Note: {note}")

    photos: dict[str, tuple[str, float]] = {}
    with asked.boxes.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            label = row["path"].split("/")[1]
            if row["split"] != "test" or row["label"] != label:
                continue
            width = 0.0
            if row["x1"]:
                with Image.open(asked.folder / row["path"]) as image:
                    width = (int(row["x2"]) - int(row["x1"])) / image.width
            photos[row["path"]] = (label, max(width, photos.get(row["path"], ("", 0.0))[1]))
    names = list(photos)
    classifier = Classifier.load(work / "bundle")
    answers = classifier.predict([asked.folder / name for name in names])
    nearest = _nearest(learn, [asked.folder / name for name in names])
    best = {
        "logolens, artwork alone": [max(a.scores, key=lambda k: (k != BACKGROUND, a.scores[k])) for a in answers],
        "nearest artwork by the network's features": nearest,
    }
    logos = [number for number, name in enumerate(names) if photos[name][0] != BACKGROUND]
    rows = []
    for who, found in best.items():
        right = np.array([found[number] == photos[names[number]][0] for number in logos])
        widths = np.array([photos[names[number]][1] for number in logos])
        low, high = wilson_interval(int(right.sum()), len(right))
        parts = [right[(widths >= a) & (widths < b)] for a, b in pairwise(SIZES)]
        rows.append(
            [who, f"{right.mean():.1%}", f"{low:.1%} to {high:.1%}"]
            + [f"{part.mean():.0%} of {len(part)}" if len(part) else "-" for part in parts]
        )
    spans = [f"{a:.0%}-{min(b, 1):.0%}" for a, b in pairwise(SIZES)]
    table((f"{options.brands} brands, {len(logos)} composed images", "top-1", "95 % interval", *spans), rows)
    named = sum(
        a.label == photos[name][0] for a, name in zip(answers, names, strict=True) if photos[name][0] != BACKGROUND
    )
    none = [a.label != BACKGROUND for a, name in zip(answers, names, strict=True) if photos[name][0] == BACKGROUND]
    print(f"answered with their label, none being an answer too: {named / len(logos):.1%}")
    print(f"images without any of the logos that got a label: {np.mean(none):.1%} of {len(none)}")
    print(f"training, composing included: {minutes:.1f} minutes with {options.images} images a brand")
    right = [found == photos[name][0] for found, name in zip(best["logolens, artwork alone"], names, strict=True)]
    verdict("top-1 on the artwork alone", float(np.mean([right[number] for number in logos])), TARGET)


def _nearest(artwork: Path, images: list[Path]) -> list[str]:
    """For each image the label of the artwork, drawn on white, whose features are nearest: no image was composed for it."""
    backbone = prepare("efficientnet_lite0")
    how = Preprocessing(size=backbone.size, mean=backbone.mean, std=backbone.std)
    session = Session(backbone.path, how, outputs=("features",))

    def features(pictures: list[Image.Image]) -> np.ndarray:
        squares = np.stack([fit(picture, how) for picture in pictures])
        rows = np.concatenate([session.run(squares[n : n + 16])[0] for n in range(0, len(squares), 16)])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    drawn, labels = [], []
    for label, variants in read_artworks([artwork]).variants.items():
        for art in variants:
            page = Image.new("RGB", (art.alpha.shape[1] + 60, art.alpha.shape[0] + 60), "white")
            page.paste(Image.new("RGB", art.alpha.shape[::-1], art.colour), (30, 30), Image.fromarray(art.alpha))
            drawn.append(page)
            labels.append(label)
    known = features(drawn)
    found = []
    for first in range(0, len(images), 64):
        rows = features([Image.open(path).convert("RGB") for path in images[first : first + 64]])
        found += [labels[number] for number in (rows @ known.T).argmax(axis=1)]
    return found


def cut_artwork(data: Path, folder: Path) -> set[str]:
    """The artwork, cut out of its photos; the names of these."""
    for number, ((label, name), box) in enumerate(CUT.items()):
        path = folder / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(data / name) as image:
            image.convert("RGB").crop(box).save(path)
    return {name for _, name in CUT}


def with_photos(options: argparse.Namespace, work: Path) -> None:
    """Part (b)."""
    dataset = load(options.data)
    gone = cut_artwork(options.data, work / "artwork")
    groups = photo_groups(dataset)
    taken = {groups[number] for number, photo in enumerate(dataset.photos) if photo.name in gone}
    rest = dataset.subset(number for number in range(len(dataset)) if groups[number] not in taken)
    print(f"{len(rest)} photos; {len(dataset) - len(rest)} that the artwork is cut from, or are near copies, left out")
    right: dict[str, dict[str, list[bool]]] = {"photos": defaultdict(list), "photos and artwork": defaultdict(list)}
    for seed in range(options.seed, options.seed + options.rounds):
        for fold, held in enumerate(grouped_folds(rest, options.folds, seed=seed)):
            images = few(rest, set(held.tolist()), options.shots, seed, work / f"{seed}-{fold}")
            for name, settings in {
                "photos": TrainSettings(seed=seed, test=0.0, background=False),
                "photos and artwork": TrainSettings(
                    seed=seed, test=0.0, background=False, synthesize=options.composed, artwork=work / "artwork"
                ),
            }.items():
                bundle = work / f"{seed}-{fold}-{len(name)}"
                try:
                    train(images, bundle, settings)
                except DataError as error:
                    raise SystemExit(f"fold {fold}: {error}") from error
                photos = [rest.photos[number] for number in held.tolist()]
                answers = Classifier.load(bundle).predict([photo.path for photo in photos])
                for photo, answer in zip(photos, answers, strict=True):
                    best = max(answer.scores, key=lambda k: (k != BACKGROUND, answer.scores[k]))
                    right[name][photo.sha256].append(best == photo.label)
            print(
                f"seed {seed}, fold {fold}: "
                + ", ".join(f"{name} {np.mean([v[-1] for v in found.values()]):.1%}" for name, found in right.items()),
                flush=True,
            )
    order = sorted(right["photos"])
    shares = {name: np.array([np.mean(found[sha]) for sha in order]) for name, found in right.items()}
    group_of = {photo.sha256: group for photo, group in zip(rest.photos, photo_groups(rest), strict=True)}
    table(
        (f"old or new, {options.shots} photos each to learn from", "right", "95 % interval"),
        [[name, f"{share.mean():.1%}", _interval(share, order, group_of)] for name, share in shares.items()],
    )
    gain = shares["photos and artwork"] - shares["photos"]
    print(f"gain of the artwork: {100 * gain.mean():+.1f} points (95 % interval {_interval(gain, order, group_of)})")


def few(dataset: Dataset, held: set[int], shots: int, seed: int, folder: Path) -> Path:
    """So many photos a label outside a fold, as links in a folder of their own."""
    rng = np.random.default_rng(seed)
    for label in dataset.labels:
        members = [n for n, photo in enumerate(dataset.photos) if photo.label == label and n not in held]
        # By content, so that renaming changes nothing.
        members.sort(key=lambda n: content_hash(f"{seed}{dataset.photos[n].sha256}".encode()))
        for number in rng.permutation(members)[:shots].tolist():
            target = folder / dataset.photos[number].name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(dataset.photos[number].path.resolve())
    return folder


def _interval(values: np.ndarray, shas: list[str], group_of: dict[str, int]) -> str:
    """A bootstrap over groups of near copies."""
    members: dict[int, list[int]] = defaultdict(list)
    for place, sha in enumerate(shas):
        members[group_of[sha]].append(place)
    groups = list(members.values())
    rng = np.random.default_rng(0)
    means = []
    for _ in range(4000):
        drawn = [place for pick in rng.integers(0, len(groups), len(groups)) for place in groups[pick]]
        means.append(float(values[drawn].mean()))
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("a", "b", "c", "both"), default="both")
    parser.add_argument("--photos", type=Path, default=FLICKR27, help="real photos of part (c) (default: %(default)s)")
    parser.add_argument("--every", type=int, default=1, help="ask every so many of these photos")
    parser.add_argument("--brands", type=int, default=50)
    parser.add_argument("--images", type=int, default=100, help="composed images a brand")
    parser.add_argument("--asked", type=int, default=12, help="images a brand that are composed to ask about")
    parser.add_argument("--matcher", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--finetune", default="none", help="train the backbone too, as in last-6-blocks")
    parser.add_argument("--minutes", type=float, default=9.0, help="of fine-tuning")
    parser.add_argument("--val", type=float, default=0.15, help="share of the composed images that judge the training")
    parser.add_argument(
        "--test", type=float, default=0.15, help="share that takes no part; those that are asked are others"
    )
    parser.add_argument("--data", type=Path, default=OLDNEW, help="photos of an old and a new logo")
    parser.add_argument("--shots", type=int, default=5, help="photos a label to learn from")
    parser.add_argument("--composed", type=int, default=50, help="images a label composed beside them")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1, help="repeat with other folds and photos")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    busy()
    with tempfile.TemporaryDirectory() as temporary:
        if options.part in ("a", "both"):
            (Path(temporary) / "a").mkdir()
            from_artwork(options, Path(temporary) / "a")
        if options.part == "c":
            from_drawings(options, Path(temporary))
        if options.part in ("b", "both"):
            (Path(temporary) / "b").mkdir()
            with_photos(options, Path(temporary) / "b")


if __name__ == "__main__":
    main()
