"""How fast and how good is `logolens retrain` on one brand's old and new logo, beside `logolens train`?

(a) The classic command line, start to end, from a cold feature cache with the backbone at hand, in a process of its own.
(b) Five-fold accuracy of that flow and of `logolens train`, on the same folds, near copies kept together.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import REPOSITORY, busy, table, verdict

from logolens.config import RetrainSettings, TrainSettings
from logolens.data import Dataset, grouped_folds, load
from logolens.metrics import wilson_interval
from logolens.models.backbones.architectures import resolve_architecture
from logolens.recipes.retrain import retrain
from logolens.training.train import train

OLDNEW = REPOSITORY.parent / "shared" / "data" / "oldnew"
SECONDS = 30.0

COMMAND = [
    "--bottleneck_dir=dist/bottlenecks",
    "--how_many_training_steps=500",
    "--model_dir=dist/models",
    "--summaries_dir=dist/summaries",
    "--output_graph=dist/retrained_graph.pb",
    "--output_labels=dist/retrained_labels.txt",
    "--image_dir=images",
]


def timed(data: Path, architecture: str, work: Path) -> float:
    """Seconds that the command line takes in a new folder."""
    work.mkdir()
    (work / "images").symlink_to(data.resolve())
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "logolens.retrain", *COMMAND, f"--architecture={architecture}"],
        cwd=work,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    assert (work / "dist" / "retrained_graph.pb").is_file()
    return seconds


def fold_folder(dataset: Dataset, held: set[int], folder: Path) -> Path:
    """The photos as links below train and test folders, which both commands keep as the parts."""
    for number, photo in enumerate(dataset.photos):
        target = folder / ("test" if number in held else "train") / photo.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(photo.path.resolve())
    return folder


def flow(images: Path, work: Path, architecture: str, rate: float) -> tuple[int, int]:
    """Right answers and photos of the retrain flow on the test part."""
    done = retrain(
        RetrainSettings(
            image_dir=str(images),
            output_graph=str(work / "graph.pb"),
            output_labels=str(work / "labels.txt"),
            summaries_dir=str(work / "summaries"),
            how_many_training_steps=500,
            learning_rate=rate,
            architecture=architecture,
        )
    )
    return done.tested - len(done.misclassified), done.tested


def plain_train(images: Path, work: Path, architecture: str) -> tuple[int, int]:
    """Right answers and photos of `logolens train` on the test part."""
    backbone, size = resolve_architecture(architecture)
    done = train(images, work / "bundle", TrainSettings(backbone=backbone, size=size))
    assert done.evaluation is not None
    assert done.evaluation.top1 is not None
    return round(done.evaluation.top1 * done.evaluation.n), done.evaluation.n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=OLDNEW, help="folder with one subfolder a label")
    parser.add_argument("--architecture", action="append", help="repeatable; mobilenet_v2_224 and efficientnet_lite0")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1, help="repeat with other folds")
    options = parser.parse_args()
    logging.getLogger("logolens").setLevel(logging.ERROR)
    architectures = options.architecture or ["mobilenet_v2_224", "efficientnet_lite0"]
    busy()
    dataset = load(options.data)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        seconds = []
        for number, architecture in enumerate(architectures):
            timed(options.data, architecture, work / f"weights{number}")  # sees to it that the backbone is here
            seconds.append(timed(options.data, architecture, work / f"time{number}"))
        rows = [[name, f"{value:.1f}"] for name, value in zip(architectures, seconds, strict=True)]
        table((f"the command line on {len(dataset)} photos, cold feature cache", "seconds"), rows)
        verdict("slowest, in seconds", max(seconds), SECONDS, least=False)
        print()
        tally: dict[tuple[str, str], list[int]] = {}
        for seed in range(options.seeds):
            for number, held in enumerate(grouped_folds(dataset, options.folds, seed=seed)):
                images = fold_folder(dataset, {int(index) for index in held}, work / f"images-{seed}-{number}")
                for architecture in architectures:
                    place = work / f"{seed}-{number}-{architecture}"
                    for name, (right, photos) in {
                        "retrain, learning_rate 0.01": flow(images, place / "a", architecture, 0.01),
                        "retrain, learning_rate 0.005": flow(images, place / "b", architecture, 0.005),
                        "train": plain_train(images, place, architecture),
                    }.items():
                        sums = tally.setdefault((architecture, name), [0, 0])
                        sums[0] += right
                        sums[1] += photos
        lines = []
        for (architecture, name), (right, photos) in sorted(tally.items()):
            low, high = wilson_interval(right, photos)
            lines.append([f"{architecture}, {name}", f"{right / photos:.1%}", f"{low:.0%} to {high:.0%}", f"{photos}"])
        table((f"{options.folds}-fold accuracy, near copies together", "right", "95 % interval", "photos"), lines)


if __name__ == "__main__":
    main()
