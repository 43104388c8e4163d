"""How right is a head that learned from 1, 2, 5, 10 or 30 photos a label: linear, gallery, and either beside composed images?

Folds keep near copies together and are the same for all; the photos to learn from are drawn nested, so that those of five are
among those of ten. Asked are the fold's whole photos and the crops around its boxes, without looking closer. Nothing shows a
label but the drawn photos: backgrounds are regions outside their boxes. Composed images are made from the crops of the drawn
photos (`logolens synthesize`), since real artwork of these brands is not part of the data.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import FLICKR27, busy, table

from logolens.config import BACKGROUND, HeadSettings, Preprocessing, SynthesisSettings, TrainSettings
from logolens.data import Dataset, Split, grouped_folds, load
from logolens.data.synthesis import synthesize
from logolens.io.images import open_rgb
from logolens.metrics import auroc
from logolens.models.backbones import ExportedBackbone, prepare
from logolens.models.calibration import margins
from logolens.models.head import Examples, Head, fit_head
from logolens.training.samples import Sample, features_of, samples_of

EPOCHS = 36
"""Of the linear head, as `logolens tune` takes them where no photo is left to stop by."""

Table = dict[tuple[str, int], list[tuple[float, float, float]]]


class Photos:
    """A data set's views and their features, taken once."""

    def __init__(self, dataset: Dataset, settings: TrainSettings, backbone: ExportedBackbone) -> None:
        self.dataset = dataset
        everything = Split(tuple(range(len(dataset))), (), ())
        self.samples: list[Sample] = samples_of(dataset, everything, settings)
        road = Preprocessing(size=backbone.size, mean=backbone.mean, std=backbone.std)
        self.features = features_of(dataset, self.samples, backbone, road, settings, lambda *_: None)
        self.photo = np.array([sample.photo for sample in self.samples])
        self.label = np.array([sample.label for sample in self.samples])
        self.whole = np.array([sample.whole for sample in self.samples])
        self.boxed = np.array([sample.region is not None for sample in self.samples])


def drawn(photos: Photos, members: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Photos of each label, the first of an order that only the seed decides."""
    kept: list[int] = []
    order = np.random.default_rng(seed).permutation(len(photos.dataset))
    for label in photos.dataset.labels:
        own = [int(n) for n in order if n in members and photos.dataset.photos[n].labels == (label,)]
        kept += own[:most]
    return np.array(kept)


def composed(
    photos: Photos, learned: np.ndarray, count: int, folder: Path, settings: TrainSettings, backbone: Any
) -> Photos:
    """Images composed from the boxes' crops of these photos, and their views."""
    artwork = folder / "artwork"
    for number in learned.tolist():
        photo = photos.dataset.photos[number]
        for place, region in enumerate(photo.regions):
            if region.box is not None and min(region.box.x2 - region.box.x1, region.box.y2 - region.box.y1) >= 8:
                (artwork / region.label).mkdir(parents=True, exist_ok=True)
                image = open_rgb(photo.path.read_bytes())
                box = (region.box.x1, region.box.y1, region.box.x2, region.box.y2)
                image.crop(tuple(map(int, box))).save(artwork / region.label / f"{number}-{place}.png")
    made = folder / "made"
    # None of the photos may show through: only the logos are theirs.
    synthesize(artwork, made, SynthesisSettings(count=count, none=count * 2, val=0.0, test=0.0))
    return Photos(load(made / "boxes.csv", training=False), replace(settings, cache=False), backbone)


def fitted(kind: str, parts: list[tuple[Photos, np.ndarray]], labels: tuple[str, ...]) -> Head:
    """A head on the views of these photos."""
    classes = [*labels, BACKGROUND]
    features = np.concatenate([photos.features[rows] for photos, rows in parts])
    names = np.concatenate([photos.label[rows] for photos, rows in parts])
    truth = np.array([classes.index(name) for name in names])
    examples = Examples(features, truth.astype(np.int64), np.ones(len(truth), np.float32))
    return fit_head(examples, None, len(classes), HeadSettings(head=kind), background=True, epochs=EPOCHS)


def asked(head: Head, photos: Photos, members: np.ndarray) -> tuple[float, float, float]:
    """Top-1 of the whole photos and of the crops of a fold, and AUROC of whole photos against regions outside boxes."""
    labels = list(photos.dataset.labels)
    here = np.isin(photos.photo, members)
    shown = np.array([photos.dataset.photos[n].labels != (BACKGROUND,) for n in photos.photo])
    single = np.array([len(photos.dataset.photos[n].labels) == 1 for n in photos.photo])
    told = {}
    for name, rows in (
        ("whole", here & photos.whole & shown & single),
        ("crop", here & photos.boxed),
        ("none", here & (photos.label == BACKGROUND)),
    ):
        told[name] = (head.logits(photos.features[rows]), photos.label[rows])
    right = [
        float((logits[:, :-1].argmax(axis=1) == [labels.index(label) for label in truth]).mean())
        for logits, truth in (told["whole"], told["crop"])
    ]
    return right[0], right[1], auroc(margins(told["whole"][0]), margins(told["none"][0])) or 0.0


def plot(found: Table, shots: list[int], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    for place, title in enumerate(("whole photos", "crops around boxes")):
        for kind in dict.fromkeys(kind for kind, _ in found):
            points = [(n, np.mean([row[place] for row in found[kind, n]])) for n in shots]
            axes[place].plot(*zip(*points, strict=True), marker="o", label=kind)
        axes[place].set(title=title, xlabel="photos a label", xscale="log", ylim=(0, 1))
        axes[place].set_xticks(shots, [str(n) for n in shots])
        axes[place].grid(alpha=0.3)
    axes[0].set_ylabel("right")
    axes[1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=FLICKR27)
    parser.add_argument("--folds", type=int, default=5, help="folds that the photos are divided into")
    parser.add_argument("--rounds", type=int, default=3, help="folds that are asked")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 2, 5, 10, 30])
    parser.add_argument("--composed", type=int, default=16, help="composed images a label; 0 for none")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("few_shots.png"))
    arguments = parser.parse_args()
    busy()
    settings = TrainSettings(threads=arguments.threads)
    backbone = prepare(settings.backbone)
    photos = Photos(load(arguments.data, training=False), settings, backbone)
    labels = photos.dataset.labels
    folds = grouped_folds(photos.dataset, arguments.folds, 0)
    found: Table = {}
    left: list[int] = []
    for fold in range(arguments.rounds):
        held = np.asarray(folds[fold])
        others = np.setdiff1d(np.arange(len(photos.dataset)), held)
        for shots in arguments.shots:
            learned = drawn(photos, others, shots, fold)
            left.append(len(learned) // len(labels))
            rows = np.flatnonzero(np.isin(photos.photo, learned))
            makers = {"": [(photos, rows)]}
            if arguments.composed:
                with tempfile.TemporaryDirectory() as folder:
                    made = composed(photos, learned, arguments.composed, Path(folder), settings, backbone)
                makers[" + composed"] = [(photos, rows), (made, np.arange(len(made.samples)))]
            for name, parts in makers.items():
                for kind in ("linear", "gallery"):
                    answer = asked(fitted(kind, parts, labels), photos, held)
                    found.setdefault((f"{kind}{name}", shots), []).append(answer)
                    print(
                        f"fold {fold}, {shots} photos, {kind}{name}: " + " ".join(f"{value:.3f}" for value in answer),
                        flush=True,
                    )
    print()
    for place, title in enumerate(("right on whole photos", "right on crops", "logo or none (AUROC)")):
        print(title)
        kinds = list(dict.fromkeys(kind for kind, _ in found))
        rows_told = [
            [
                kind,
                *(f"{np.mean([row[place] for row in found[kind, n]]):.3f}" for n in arguments.shots),
            ]
            for kind in kinds
        ]
        table(["photos a label", *map(str, arguments.shots)], rows_told)
        print()
    for kind, shots in found:
        if kind.endswith("composed"):
            pairs = list(zip(found[kind, shots], found[kind.split()[0], shots], strict=True))
            gains = np.mean([[one - other for one, other in zip(*pair, strict=True)] for pair in pairs], axis=0)
            print(f"{kind}, {shots} photos: {gains[0]:+.3f} on whole photos, {gains[1]:+.3f} on crops")
    print(
        f"{arguments.rounds} of {arguments.folds} folds were asked. {max(arguments.shots)} photos are all that a fold leaves: "
        f"{max(left)} a label."
    )
    plot(found, arguments.shots, arguments.out)
    print(f"The plot is in {arguments.out}.")


if __name__ == "__main__":
    main()
