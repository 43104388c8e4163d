"""What does reading words give, and what does it cost?

Two measurements, each with the same bundles asked twice: as they are, and with their words taken away.

- `flickr27`: five-fold cross-validation, near copies always in one fold. One bundle a fold is trained with `train()` and asked
  about the fold that was kept away from it, and about photos that show no logo. In all: top-1 with the interval; AUROC of both
  kinds; the share of the photos with a logo that are right and kept at the threshold that 2 % of those without pass, set for
  each bundle on these; what a photo without a logo costs.
- `cigs`: one bundle, trained on the train part of a YOLO export (one version of each photo), asked about valid and test, and
  about brands that are none of its labels: how many of these get a label at the bundle's own threshold.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from accuracy import write_table
from common import FLICKR27, busy, table, take_turns
from PIL import Image

from logolens import Classifier
from logolens.bundle.format import Bundle, load_bundle
from logolens.config import BACKGROUND, TrainSettings
from logolens.data import grouped_folds, load
from logolens.inference.classifier import Answer
from logolens.io.images import read_bytes
from logolens.metrics import evaluate
from logolens.training.train import train

_PASS = 0.02
"""The share of photos without a logo that may get a label."""


@dataclass
class Tally:
    """What was answered to photos of all folds."""

    labels: list[np.ndarray] = field(default_factory=list)
    truth: list[tuple[str, ...]] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    alarms: list[bool] = field(default_factory=list)
    read: int = 0


def photos_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def without_words(bundle: Bundle) -> Bundle:
    """The same bundle, as a machine without the extra words has it."""
    return replace(bundle, closer=replace(bundle.closer, late={})) if bundle.closer is not None else bundle


def answers(classifier: Classifier, paths: list[Path]) -> list[Answer]:
    found = list(classifier.answers_each((str(path), partial(read_bytes, path)) for path in paths))
    for path, answer in zip(paths, found, strict=True):
        if isinstance(answer, str):
            raise SystemExit(f"{path}: {answer}")
    return [answer for answer in found if not isinstance(answer, str)]


def score(answer: Answer) -> float:
    return float(answer.labels.max()) if answer.score is None else answer.score


def flickr27(data: Path, empty: Path, folds: list[int], settings: TrainSettings, rounds: int) -> None:
    dataset = load(data)
    parts = grouped_folds(dataset, 5)
    none = photos_in(empty)
    tallies = {"seen": Tally(), "seen and read": Tally()}
    costs: dict[str, list[float]] = {name: [] for name in tallies}
    for number in folds:
        with tempfile.TemporaryDirectory() as work:
            listing, out = Path(work) / "photos.csv", Path(work) / "bundle"
            write_table(listing, dataset, parts[number])
            start = time.perf_counter()
            result = train(listing, out, settings)
            minutes = (time.perf_counter() - start) / 60
            print(f"fold {number}: trained in {minutes:.1f} minutes", flush=True)
            for note in result.notes:
                if "ords" in note:
                    print("   ", note, flush=True)
            bundle = load_bundle(out)
            ways = {"seen": Classifier(without_words(bundle)), "seen and read": Classifier(bundle)}
            photos = [dataset.photos[index] for index in parts[number].tolist()]
            for name, classifier in ways.items():
                tally = tallies[name]
                others = [score(answer) for answer in answers(classifier, none)]
                threshold = float(np.quantile(others, 1 - _PASS, method="higher"))
                tally.alarms += [classifier.threshold is not None and one > classifier.threshold for one in others]
                for photo, answer in zip(photos, answers(classifier, [photo.path for photo in photos]), strict=True):
                    right = classifier.labels[int(answer.labels.argmax())] in photo.labels
                    tally.labels.append(answer.labels)
                    tally.truth.append(tuple(label for label in photo.labels if label != BACKGROUND))
                    tally.groups.append(photo.near)
                    tally.scores.append(score(answer))
                    tally.kept.append(right and tally.scores[-1] > threshold)
                    tally.read += answer.read
                tally.labels += [np.full(len(classifier.labels), 1 / len(classifier.labels))] * len(others)
                tally.truth += [(BACKGROUND,)] * len(others)
                tally.groups += [-1 - place for place in range(len(others))]
                tally.scores += others
            if rounds:
                runs = {name: partial(answers, classifier, none) for name, classifier in ways.items()}
                for name, timing in take_turns(runs, rounds).items():
                    costs[name].append(1e3 * timing.cpu_seconds / len(none))
    rows = []
    for name, tally in tallies.items():
        found = evaluate(
            np.stack(tally.labels), tally.truth, dataset.labels, scores=tally.scores, closed=True, groups=tally.groups
        )
        low, high = found.top1_ci95
        auroc = found.none.auroc if found.none is not None else None
        rows.append(
            (
                name,
                f"{100 * (found.top1 or 0):.1f} %",
                f"{100 * (low or 0):.1f} to {100 * (high or 0):.1f}",
                f"{auroc:.3f}" if auroc is not None else "",
                f"{100 * np.mean(tally.kept):.1f} %",
                f"{100 * np.mean(tally.alarms):.1f} %",
                f"{tally.read}",
                f"{np.mean(costs[name]):.0f}" if costs[name] else "",
            )
        )
    print()
    headers = (
        "",
        "top-1",
        "95 % interval",
        "AUROC",
        "right and kept at 2 %",
        "false alarms",
        "by words alone",
        "ms without a logo",
    )
    table(headers, rows)
    if rounds and folds:
        seen, both = np.mean(costs["seen"]), np.mean(costs["seen and read"])
        print(f"\nA photo without a logo costs {both / seen:.2f} times what it costs without words.")


def yolo_rows(part: Path, names: list[str]) -> list[tuple[str, str, float, float, float, float, str]]:
    """Boxes of one version of each photo of a part: path, label, corners, and what its versions have in common."""
    rows, seen = [], set()
    for path in photos_in(part / "images"):
        origin = path.name.split(".rf.")[0]
        lines = (part / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8").split("\n")
        if origin in seen:
            continue
        seen.add(origin)
        with Image.open(path) as image:
            width, height = image.size
        for line in lines:
            if line.strip():
                kind, *numbers = line.split()
                x, y, wide, high = (float(number) for number in numbers[:4])
                edges = (
                    (x - wide / 2) * width,
                    (y - high / 2) * height,
                    (x + wide / 2) * width,
                    (y + high / 2) * height,
                )
                rows.append((str(path), names[int(kind)], *edges, origin))
    return rows


def cigs(data: Path, settings: TrainSettings, *, boxes: bool) -> None:
    text = (data / "data.yaml").read_text(encoding="utf-8")
    names = [part.strip(" '\"") for part in text.split("names:")[1].split("[")[1].split("]")[0].split(",")]
    with tempfile.TemporaryDirectory() as work:
        listing, out = Path(work) / "photos.csv", Path(work) / "bundle"
        with listing.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "label", "x1", "y1", "x2", "y2", "group"))
            for row in yolo_rows(data / "train", names):
                writer.writerow(row if boxes else (*row[:2], "", "", "", "", row[-1]))
        for note in train(listing, out, replace(settings, test=0.0)).notes:
            if "ords" in note:
                print("   ", note, flush=True)
        bundle = load_bundle(out)
        truth: dict[Path, set[str]] = {}
        for part in ("valid", "test"):
            for path, label, *_ in yolo_rows(data / part, names):
                truth.setdefault(Path(path), set()).add(label)
        unknown = photos_in(data / "unknown-brands")
        rows = []
        for name, its in (("seen", without_words(bundle)), ("seen and read", bundle)):
            classifier = Classifier(its)
            known = answers(classifier, list(truth))
            right = [
                classifier.labels[int(a.labels.argmax())] in labels
                for a, labels in zip(known, truth.values(), strict=True)
            ]
            limit = -np.inf if classifier.threshold is None else classifier.threshold
            kept = [hit and score(a) > limit for hit, a in zip(right, known, strict=True)]
            passed = [score(answer) > limit for answer in answers(classifier, unknown)]
            rows.append(
                (
                    name,
                    f"{100 * np.mean(right):.1f} %",
                    f"{100 * np.mean(kept):.1f} %",
                    f"{sum(passed)} of {len(passed)}",
                )
            )
        print()
        table(("", f"top-1 of {len(truth)}", "right and kept", "unknown brands that got a label"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("flickr27", "cigs"))
    parser.add_argument("--data", type=Path, help="(default: ../shared/data/flickr27 or ../shared/data/cigs)")
    parser.add_argument(
        "--empty", type=Path, default=FLICKR27.parent / "no-logo", help="photos without a logo (default: %(default)s)"
    )
    parser.add_argument("--folds", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="which of the five")
    parser.add_argument("--without-boxes", action="store_true", help="cigs as folders of whole photos")
    parser.add_argument("--names", type=Path, help="as in `train`")
    parser.add_argument("--rounds", type=int, default=1, help="of timing photos without a logo; 0 for none")
    options = parser.parse_args()
    busy()
    settings = TrainSettings(words="on", names=options.names)
    if options.what == "flickr27":
        flickr27(options.data or FLICKR27, options.empty, options.folds, settings, options.rounds)
    else:
        cigs(options.data or FLICKR27.parent / "cigs", settings, boxes=not options.without_boxes)


if __name__ == "__main__":
    main()
