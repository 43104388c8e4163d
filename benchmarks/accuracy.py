"""How many photos that a model has never seen does it name, and what do the well-known posts' figures hide?

Five-fold cross-validation on whole photos; near copies always stand in one fold. One model a fold is trained and asked
about the fold that was kept away from it:

logolens   `train()` with its default settings, asked through `Classifier`.
posts      The posts' recipe: the whole photo squashed to 128 px, frozen MobileNetV2, mean pooling, Dense 128, ReLU,
           dropout 0.5, softmax, 100 epochs of Adam; split by photo, which is what the posts do not do.
row split  The same recipe as it was published: annotation ROWS are divided at random, and one photo has many rows.
           "own validation" is the figure that such a split reports; "unseen photos" is what the same model gets on the
           fold that it never saw.

"/255" marks the scaling that the posts use; the other lines scale photos as the network was trained to see them.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import FLICKR27, busy, table
from train_speed import rows_of

from logolens import Classifier
from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset, Photo, grouped_folds, load
from logolens.io.images import open_rgb, read_bytes
from logolens.io.views import WHOLE, View, background_views, cut
from logolens.metrics import Evaluation, evaluate
from logolens.models.backbones import get
from logolens.training.train import train

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SIDE = 128


@dataclass
class Answers:
    """What one method said of all folds' photos, and of regions without a logo."""

    name: str
    probabilities: list[npt.NDArray[np.float64]]
    truth: list[tuple[str, ...]]
    groups: list[int]
    scores: list[float]
    seconds: float = 0.0

    def add(self, photo: Photo, empty: bool, probabilities: npt.NDArray[np.float64], score: float) -> None:
        shows = (
            (BACKGROUND,) if empty else tuple(label for label in photo.labels if label != BACKGROUND) or (BACKGROUND,)
        )
        self.probabilities.append(probabilities)
        self.truth.append(shows)
        self.groups.append(photo.near)
        self.scores.append(score)

    def measure(self, classes: Sequence[str]) -> Evaluation:
        return evaluate(
            np.stack(self.probabilities), self.truth, classes, scores=self.scores, closed=True, groups=self.groups
        )


def looks(dataset: Dataset) -> list[tuple[int, View]]:
    """Every photo as a whole and, where boxes tell where its logos are, one square region of it that shows none."""
    found = [(number, WHOLE) for number in range(len(dataset))]
    for number, photo in enumerate(dataset.photos):
        boxes = [(box.x1, box.y1, box.x2, box.y2) for box in photo.boxes]
        rng = np.random.default_rng(int(photo.sha256[:16], 16) + 1)
        found += [(number, view) for view in background_views(boxes, (photo.width, photo.height), rng, 1)]
    return found


def region(photo: Photo, view: View) -> bytes:
    """What the classifier is asked about: the photo's file, or the region's pixels as a PNG file."""
    data = read_bytes(photo.path)
    if view.box is None:
        return data
    image = open_rgb(data)
    x1, y1, x2, y2 = view.box
    width, height = image.size
    buffer = io.BytesIO()
    part = image.crop((round(x1 * width), round(y1 * height), round(x2 * width), round(y2 * height)))
    part.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def write_table(file: Path, dataset: Dataset, fold: Ints, *, boxes: bool = True) -> None:
    """The data set as a table whose fold is the test part; validation photos are taken out of the rest by `train`."""
    test = set(fold.tolist())
    with file.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(("path", "label", "x1", "y1", "x2", "y2", "split", "group"))
        for number, photo in enumerate(dataset.photos):
            for part in photo.regions:
                box = (
                    ("",) * 4 if part.box is None or not boxes else (part.box.x1, part.box.y1, part.box.x2, part.box.y2)
                )
                split = "test" if number in test else "train"
                writer.writerow((photo.path.absolute(), part.label, *box, split, photo.group or ""))


def default_logolens(
    dataset: Dataset, folds: Sequence[Ints], views: Sequence[tuple[int, View]], matcher: str
) -> tuple[Answers, list[str]]:
    """`train` and `Classifier` on each fold; the columns are the labels and the background where it was learned."""
    settings = TrainSettings(matcher=matcher)
    name = "default settings" if settings == TrainSettings() else f"--matcher {matcher}"
    answers = Answers(f"logolens, {name}", [], [], [], [])
    classes = [*dataset.labels, BACKGROUND]
    with tempfile.TemporaryDirectory() as temporary:
        for number, fold in enumerate(folds):
            listing, out = Path(temporary) / f"fold{number}.csv", Path(temporary) / f"bundle{number}"
            write_table(listing, dataset, fold)
            print(f"fold {number + 1} of {len(folds)}", file=sys.stderr)
            start = time.perf_counter()
            train(listing, out, settings)
            answers.seconds += time.perf_counter() - start
            asked = [(index, view) for index, view in views if index in set(fold.tolist())]
            classifier = Classifier.load(out)
            each = ((str(n), partial(region, dataset.photos[index], view)) for n, (index, view) in enumerate(asked))
            for (index, view), said in zip(asked, classifier.predict_each(each), strict=True):
                if said.error:
                    raise SystemExit(f"{dataset.photos[index].path}: {said.error}")
                row = np.array([said.scores.get(name, 0.0) for name in classes])
                best = max(said.scores[label] for label in dataset.labels)
                score = float(np.log(best + 1e-30) - np.log(row[-1] + 1e-30)) if BACKGROUND in said.scores else best
                answers.add(dataset.photos[index], view.box is not None, row, score)
    return answers, classes


def posts_features(dataset: Dataset, views: Sequence[tuple[int, View]], scaled_by_255: bool) -> Floats:
    """torchvision's MobileNetV2 with its ImageNet weights, mean-pooled; float32 of shape (views, 1280)."""
    from logolens.models.backbones.frameworks import import_torchvision

    torchvision = import_torchvision()
    import torch

    network: Any = torchvision.models.mobilenet_v2()
    network.load_state_dict(torch.load(get("mobilenet_v2").path, weights_only=True))
    network.eval()
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    found = []
    with torch.inference_mode():
        for start in range(0, len(views), 32):
            squares = [
                cut(read_bytes(dataset.photos[index].path), (view,), Preprocessing(size=SIDE))[0]
                for index, view in views[start : start + 32]
            ]
            x = torch.from_numpy(np.stack(squares)).float() / 255.0
            x = x if scaled_by_255 else (x - mean) / std
            found.append(network.features(x.permute(0, 3, 1, 2)).mean(dim=(2, 3)).numpy())
    return np.concatenate(found)


def dense_128(x: Floats, y: Ints, classes: int, epochs: int) -> Any:
    """The posts' classifier, trained; returns a function from features to probabilities."""
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], 128), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(128, classes)
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    features, truth = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(epochs):
        for part in torch.randperm(len(y)).split(32):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(features[part]), truth[part]).backward()
            optimiser.step()
    model.eval()

    def answer(some: Floats) -> npt.NDArray[np.float64]:
        with torch.inference_mode():
            return np.asarray(torch.softmax(model(torch.from_numpy(some)).double(), 1).numpy())

    return answer


def posts(
    dataset: Dataset, folds: Sequence[Ints], views: Sequence[tuple[int, View]], features: Floats, name: str, epochs: int
) -> Answers:
    """The posts' recipe, divided by photo."""
    answers = Answers(name, [], [], [], [])
    labels = [photo.label for photo in dataset.photos]
    y = np.array([dataset.labels.index(label) if label in dataset.labels else -1 for label in labels])
    for fold in folds:
        start = time.perf_counter()
        seen = np.setdiff1d(np.flatnonzero(y >= 0), fold)
        ask = dense_128(features[seen], y[seen], len(dataset.labels), epochs)
        answers.seconds += time.perf_counter() - start
        rows = [row for row, (index, _) in enumerate(views) if index in set(fold.tolist())]
        for row, said in zip(rows, ask(features[rows]), strict=True):
            index, view = views[row]
            answers.add(dataset.photos[index], view.box is not None, said, float(said.max()))
    return answers


def row_split(
    dataset: Dataset, folds: Sequence[Ints], features: Floats, rows: Sequence[tuple[Path, str]], epochs: int
) -> list[float]:
    """The leak: accuracy on a random fifth of the rows, the same models' on the unseen fold, share of rows seen before."""
    place = {photo.path.name: number for number, photo in enumerate(dataset.photos)}
    usable = [(place[file.name], label) for file, label in rows if file.name in place and label in dataset.labels]
    photo = np.array([index for index, _ in usable])
    label = np.array([dataset.labels.index(name) for _, name in usable])
    reported, unseen, shared = [], [], []
    for number, fold in enumerate(folds):
        inside = np.flatnonzero(~np.isin(photo, fold))
        order = np.random.default_rng(number).permutation(inside)
        val, learn = order[: len(order) // 5], order[len(order) // 5 :]
        ask = dense_128(features[photo[learn]], label[learn], len(dataset.labels), epochs)
        reported.append(ask(features[photo[val]]).argmax(1) == label[val])
        shared.append(np.isin(photo[val], photo[learn]))
        said = ask(features[fold]).argmax(1)
        unseen.append(
            [dataset.labels[best] in dataset.photos[index].labels for best, index in zip(said, fold, strict=True)]
        )
    return [float(np.concatenate(part).mean()) for part in (reported, unseen, shared)]


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def line(answers: Answers, classes: Sequence[str]) -> tuple[str, ...]:
    found = answers.measure(classes)
    low, high = found.top1_ci95
    interval = "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"
    auroc = "" if found.none is None or found.none.auroc is None else f"{found.none.auroc:.3f}"
    return answers.name, percent(found.top1), interval, auroc, f"{found.ece or 0:.3f}", f"{answers.seconds:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "data", type=Path, nargs="?", default=FLICKR27, help="what `logolens train` takes (default: %(default)s)"
    )
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100, help="epochs of the posts' recipe")
    parser.add_argument(
        "--only-logolens", action="store_true", help="leave out the posts' recipe, which needs MobileNetV2"
    )
    parser.add_argument(
        "--matcher", choices=("auto", "on", "off"), default=TrainSettings().matcher, help="as in `train`"
    )
    options = parser.parse_args()
    busy()
    dataset = load(options.data)
    folds = grouped_folds(dataset, options.folds)
    views = looks(dataset)
    empty = len(views) - len(dataset)
    print(
        f"{len(dataset)} photos of {len(dataset.labels)} labels, {len(folds)} folds, {empty} regions without a logo\n"
    )
    answers, classes = default_logolens(dataset, folds, views, options.matcher)
    lines = [line(answers, classes)]
    leaks = []
    if not options.only_logolens:
        rows = rows_of(options.data) if list(options.data.rglob("*annotation.txt")) else []
        for scaling in ("", ", /255"):
            start = time.perf_counter()
            features = posts_features(dataset, views, bool(scaling))
            seconds = time.perf_counter() - start
            recipe = posts(dataset, folds, views, features, f"posts{scaling}, split by photo", options.epochs)
            recipe.seconds += seconds
            lines.append(line(recipe, dataset.labels))
            if rows:
                leaks.append(
                    (f"row split{scaling}", *map(percent, row_split(dataset, folds, features, rows, options.epochs)))
                )
    table(("whole photos, unseen", "top-1", "95 % interval", "AUROC", "ECE", "seconds"), lines)
    if leaks:
        print()
        table(
            (f"{len(rows)} rows divided at random", "own validation", "unseen photos", "rows of a photo trained on"),
            leaks,
        )


if __name__ == "__main__":
    main()
