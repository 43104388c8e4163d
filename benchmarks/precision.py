"""What does int8 gain and lose: passes a second, features, and answers on photos that were held out?

Networks are quantised on a few photos' views, which are learned from and never asked about. Heads are then fitted on the
features of either precision in the same folds, near copies together, and asked about whole photos. Speed is of one thread,
both networks by turns. Intervals are of 95 %.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from common import FLICKR27, busy, table, verdict

from logolens.config import Preprocessing, TrainSettings
from logolens.data import Dataset, Split, grouped_folds, load
from logolens.errors import LogolensError
from logolens.metrics import compare
from logolens.models.backbones import ExportedBackbone, prepare, quantise
from logolens.models.quantise import speed_ratio
from logolens.models.session import Session
from logolens.training.precision import LEAST_SPEED, Viewed, calibration
from logolens.training.samples import classes_of, features_of, samples_of
from logolens.training.tuning.trials import Field, Trial, Views

GAIN = LEAST_SPEED


def milliseconds(network: ExportedBackbone, preprocessing: Preprocessing, images: np.ndarray, runs: int = 30) -> float:
    """Processor time of one pass, the least of several: other programs only ever add to it."""
    session = Session(network.path, preprocessing, outputs=("features",))
    laps = []
    for _ in range(runs):
        start = time.thread_time()
        session.run(images[:2])
        laps.append(1e3 * (time.thread_time() - start) / 2)
    return min(laps)


def one(name: str, weights: Path | None, dataset: Dataset, folds_wanted: int, cache: bool) -> list[str]:
    """A backbone's line of the table."""
    settings = TrainSettings(backbone=name, weights=weights, cache=cache)
    backbone = prepare(name, weights=weights)
    preprocessing = Preprocessing(size=backbone.size, mean=backbone.mean, std=backbone.std)
    samples = samples_of(dataset, Split(tuple(range(len(dataset))), (), ()), settings)
    classes, _ = classes_of(dataset, samples, settings)
    images, used = calibration(Viewed(dataset, samples, classes, preprocessing, settings))
    start = time.process_time()
    try:
        small = quantise(backbone, images)
    except LogolensError as error:
        print(error)
        return [name, *["-"] * 7]
    print(f"{name}: quantised on {len(images)} views in {time.process_time() - start:.0f} s of processor time")
    plain, eight = (Session(n.path, preprocessing, outputs=("features",)) for n in (backbone, small))
    speed = speed_ratio(plain, eight, images, seconds=10)
    slow, fast = (milliseconds(n, preprocessing, images) for n in (backbone, small))

    asked = np.array([number for number in range(len(dataset)) if number not in used])
    folds = [asked[fold] for fold in grouped_folds(dataset.subset(asked.tolist()), folds_wanted)]
    field = Field(dataset, folds, lambda *_: None)
    trials: list[Trial] = []
    features = []
    for network in (backbone, small):
        start, begun = time.process_time(), time.perf_counter()
        features.append(features_of(dataset, samples, network, preprocessing, settings, lambda *_: None))
        seconds = time.process_time() - start
        trials.append(field.trial(settings, Views(samples, features[-1], classes), begun))
        print(f"{name} at {network.precision}: {len(samples)} views, {seconds:.0f} s of processor time")
    held = [row for row, sample in enumerate(samples) if sample.photo not in used]
    unit = [rows[held] / np.linalg.norm(rows[held], axis=1, keepdims=True) for rows in features]
    cosine = float((unit[0] * unit[1]).sum(axis=1).mean())
    before, after = (trial.right for trial in trials)
    photos = sorted(before)
    groups = [dataset.photos[number].near for number in photos]
    paired = compare([after[number] for number in photos], [before[number] for number in photos], groups)
    low, high = paired.difference_ci95 or (float("nan"),) * 2
    verdict(f"{name}, speed", speed, GAIN)
    cells = [f"{trial.top1:.1%}" + " ({:.1%} to {:.1%})".format(*trial.top1_ci95 or (0, 0)) for trial in trials]
    return [
        name,
        f"{slow:.1f}",
        f"{fast:.1f}",
        f"{speed:.2f}",
        f"{cosine:.3f}",
        *cells,
        f"{100 * paired.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="*", default=["efficientnet_lite0"], help="(default: efficientnet_lite0)")
    parser.add_argument("--weights", type=Path, help="of the one backbone that is named, where they are a file")
    parser.add_argument("--data", type=Path, default=FLICKR27, help="photos (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--no-cache", action="store_true", help="compute all features anew")
    options = parser.parse_args()
    busy()
    start, used = time.perf_counter(), time.process_time()
    dataset = load(options.data)
    rows = [one(name, options.weights, dataset, options.folds, not options.no_cache) for name in options.backbones]
    headers = ["backbone", "ms float32", "ms int8", "speed", "cosine", "top-1 float32", "top-1 int8", "points gained"]
    table(headers, rows)
    print(f"{time.perf_counter() - start:.0f} s, {time.process_time() - used:.0f} s of processor time")


if __name__ == "__main__":
    main()
