"""What does looking closer give on whole photos, and what does it cost?

Five-fold cross-validation, near copies always in one fold. One bundle a fold is trained with `train()` and asked about the
fold that was kept away from it, as whole photos only (its peer in the same run) and as it was trained to look. Per fold and in
all: top-1 with the interval; AUROC of photos with a logo against regions that touch no box; how many of those regions get
a label at the stored threshold, over the share that was asked for; average precision of the answer's box at an IoU of 0.5
(an answer counts where its label is right and its box meets a box of that label; each photo is one thing to find), and the
same counting every annotated box as one thing to find, `logos` of each photo being the detections; what a photo costs, over
what it costs as a whole, the two asked in turn; and how long training took.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from accuracy import looks, region, write_table
from common import FLICKR27, busy, table, take_turns, verdict

from logolens import Classifier
from logolens.config import BACKGROUND, TrainSettings
from logolens.data import Dataset, Photo, grouped_folds, load
from logolens.inference.classifier import Answer
from logolens.io.images import read_bytes
from logolens.metrics import Evaluation, evaluate
from logolens.models.proposals import iou
from logolens.training.train import train


@dataclass
class Tally:
    """What one way of looking said of all folds' photos."""

    labels: list[np.ndarray] = field(default_factory=list)
    truth: list[tuple[str, ...]] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    alarms: list[bool] = field(default_factory=list)

    def add(self, photo: Photo, empty: bool, answer: Answer, threshold: float | None) -> None:
        self.labels.append(answer.labels)
        shown = tuple(label for label in photo.labels if label != BACKGROUND)
        self.truth.append((BACKGROUND,) if empty or not shown else shown)
        self.groups.append(photo.near)
        self.scores.append(float(answer.labels.max()) if answer.score is None else answer.score)
        if empty and threshold is not None:
            self.alarms.append(self.scores[-1] > threshold)

    def measure(self, classes: tuple[str, ...]) -> Evaluation:
        # Each bundle's scores are on a scale of its own; the folds are close enough to be ranked together.
        return evaluate(np.stack(self.labels), self.truth, classes, scores=self.scores, closed=True, groups=self.groups)


@dataclass
class Boxes:
    """Detections with their confidence, and how many things there were to find."""

    hits: list[tuple[float, bool]] = field(default_factory=list)
    wanted: int = 0

    def precision(self) -> float:
        """Average precision: the area under the precision-recall curve, its precision made to fall (VOC 2010)."""
        if not self.hits:
            return 0.0
        right = np.array([hit for _, hit in sorted(self.hits, key=lambda one: -one[0])])
        precision = np.cumsum(right) / np.arange(1, len(right) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        return float((precision * right).sum() / max(1, self.wanted))


def judge_boxes(photo: Photo, answer: Answer, labels: tuple[str, ...], one: Boxes, every: Boxes) -> None:
    def truth(label: str) -> np.ndarray:
        found = [part.box for part in photo.regions if part.box is not None and part.label == label]
        sides = np.array([photo.width, photo.height] * 2)
        return np.array([(box.x1, box.y1, box.x2, box.y2) for box in found]).reshape(-1, 4) / sides

    if not photo.boxes:
        return
    one.wanted += 1
    every.wanted += len(photo.boxes)
    if answer.box is not None:
        best = int(answer.labels.argmax())
        met = iou(answer.box, truth(labels[best]))
        one.hits.append((float(answer.probabilities[best]), bool(len(met) and met.max() >= 0.5)))
    taken: set[tuple[str, int]] = set()
    for logo in sorted(answer.logos or (), key=lambda logo: -logo.confidence * logo.place):
        met = iou(logo.box, truth(logo.label))
        place = int(met.argmax()) if len(met) else -1
        hit = place >= 0 and met[place] >= 0.5 and (logo.label, place) not in taken
        taken |= {(logo.label, place)} if hit else set()
        every.hits.append((logo.confidence * logo.place, hit))


def cost(bundle: Path, photos: list[Photo], views: str, rounds: int) -> tuple[float, float]:
    """Milliseconds a photo on the clock: as whole photos, and looking closer."""
    data = [(str(number), partial(read_bytes, photo.path)) for number, photo in enumerate(photos)]
    ways = {name: Classifier.load(bundle, views=name) for name in ("whole", views)}
    times = take_turns(
        {name: partial(lambda its: list(its.predict_each(data)), way) for name, way in ways.items()}, rounds
    )
    return tuple(1e3 * times[name].seconds / len(photos) for name in ("whole", views))  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=FLICKR27, help="(default: %(default)s)")
    parser.add_argument("--folds", type=int, nargs="*", default=[0, 1, 2, 3, 4], help="which of the five")
    parser.add_argument("--views", choices=("auto", "tiles"), default="auto")
    parser.add_argument("--matcher", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--finetune", default="none", help="as in `train`")
    parser.add_argument("--minutes", type=float, help="of fine-tuning, as in `train`")
    parser.add_argument("--size", type=int, help="side of the network's input")
    parser.add_argument("--backbone", default=TrainSettings().backbone)
    parser.add_argument(
        "--rounds", type=int, default=1, help="of timing whole photos against looking closer; 0 for none"
    )
    options = parser.parse_args()
    busy()
    settings = TrainSettings(
        views=options.views,
        matcher=options.matcher,
        finetune=options.finetune,
        finetune_minutes=options.minutes,
        size=options.size,
        backbone=options.backbone,
    )
    dataset = load(options.data)
    parts = grouped_folds(dataset, 5)
    views = looks(dataset)
    tallies = {"whole": Tally(), options.views: Tally()}
    one, every, rows = Boxes(), Boxes(), []
    costs: list[tuple[float, float]] = []
    for number in options.folds:
        fold = set(parts[number].tolist())
        with tempfile.TemporaryDirectory() as work:
            listing, out = Path(work) / "photos.csv", Path(work) / "bundle"
            write_table(listing, dataset, parts[number])
            start = time.perf_counter()
            result = train(listing, out, settings, announce=lambda text: print(text, flush=True))
            minutes = (time.perf_counter() - start) / 60
            asked = [(index, view) for index, view in views if index in fold]
            row = [f"fold {number}", str(len(fold))]
            for name, tally in tallies.items():
                classifier = Classifier.load(out, views=name, every=name != "whole")
                each = [(str(n), partial(region, dataset.photos[index], view)) for n, (index, view) in enumerate(asked)]
                right = []
                for (index, view), answer in zip(asked, classifier.answers_each(each), strict=True):
                    if isinstance(answer, str):
                        raise SystemExit(f"{dataset.photos[index].path}: {answer}")
                    tally.add(dataset.photos[index], view.box is not None, answer, classifier.threshold)
                    if view.box is None:
                        right.append(classifier.labels[int(answer.labels.argmax())] in dataset.photos[index].labels)
                        if name != "whole":
                            judge_boxes(dataset.photos[index], answer, classifier.labels, one, every)
                row.append(f"{100 * np.mean(right):.1f} %")
            if options.rounds:
                costs.append(
                    cost(out, [dataset.photos[index] for index in sorted(fold)], options.views, options.rounds)
                )
                row += [f"{costs[-1][0]:.0f}", f"{costs[-1][1]:.0f}"]
            rows.append((*row, f"{minutes:.1f}"))
            print(*rows[-1], sep="  ", flush=True)
            if "closer" in result.manifest:
                print("   ", result.manifest["closer"]["weights"]["reason"], flush=True)
    print()
    headers = ["", "photos", "whole", options.views, *(["ms whole", f"ms {options.views}"] if options.rounds else [])]
    table((*headers, "minutes"), rows)
    report(dataset, tallies, one, every, costs, settings, options.views)


def report(
    dataset: Dataset,
    tallies: dict[str, Tally],
    one: Boxes,
    every: Boxes,
    costs: list[tuple[float, float]],
    settings: TrainSettings,
    views: str,
) -> None:
    rows = []
    for name, tally in tallies.items():
        found = tally.measure(dataset.labels)
        low, high = found.top1_ci95
        none = found.none
        rows.append(
            (
                name,
                f"{100 * (found.top1 or 0):.1f} %",
                f"{100 * (low or 0):.1f} to {100 * (high or 0):.1f}",
                f"{none.auroc:.3f}" if none is not None and none.auroc is not None else "",
                f"{np.mean(tally.alarms) / settings.max_false_alarms:.2f}" if tally.alarms else "",
                f"{found.ece or 0:.3f}",
            )
        )
    print()
    table(("looked at", "top-1", "95 % interval", "AUROC", "false alarms / asked", "ECE"), rows)
    print()
    if one.wanted:
        verdict("box of the answer, AP at IoU 0.5, a photo being one thing to find", one.precision(), 0.45)
        found = sum(hit for _, hit in every.hits)
        told = f"{len(every.hits)} boxes told, {found} of them right"
        verdict(
            f"every annotated box being one, {every.wanted} of them, AP at IoU 0.5 ({told})", every.precision(), 0.4
        )
    if costs:
        whole, closer = np.mean(costs, axis=0)
        verdict(f"cost of a photo, {views} over whole", float(closer / whole), 8.0, least=False)


if __name__ == "__main__":
    main()
