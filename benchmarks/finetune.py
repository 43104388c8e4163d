"""How many more unseen photos does a fine-tuned network name than a frozen one, and how many minutes does that cost?

Grouped cross-validation on whole photos; near copies always stand in one fold. Both are trained on the same photos of each
fold and asked about the same ones that were kept away from it: the frozen one with the default settings of `train()`, the
other with fine-tuning on top of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
from accuracy import Ints, write_table
from common import FLICKR27, busy, table, verdict

from logolens.config import TrainSettings
from logolens.data import Dataset, grouped_folds, load
from logolens.training.train import TrainResult, train


def measure(dataset: Dataset, fold: Ints, settings: TrainSettings, work: Path) -> tuple[TrainResult, float]:
    """One model that has not seen the fold, judged on it, and the minutes that it took."""
    write_table(work / "photos.csv", dataset, fold)
    start = time.perf_counter()
    result = train(
        work / "photos.csv", work / "bundle", settings, force=True, announce=lambda text: print(text, flush=True)
    )
    return result, (time.perf_counter() - start) / 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "data", type=Path, nargs="?", default=FLICKR27, help="what `logolens train` takes (default: %(default)s)"
    )
    parser.add_argument("--folds", default="1", help="how many of the five folds, or all")
    parser.add_argument("--finetune", default="last-6-blocks", help="what is trained (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, default=TrainSettings().finetune_epochs, help="of fine-tuning (default: %(default)s)"
    )
    parser.add_argument("--minutes", type=float, help="of fine-tuning, in place of --epochs")
    parser.add_argument("--backbone", default=TrainSettings().backbone, help="(default: %(default)s)")
    parser.add_argument("--size", type=int, help="side of the network's input (default: the backbone's own)")
    parser.add_argument("--augment", default="default", help="as in `logolens train` (default: %(default)s)")
    options = parser.parse_args()
    busy()

    dataset = load(options.data)
    folds = grouped_folds(dataset, 5)
    folds = folds if options.folds == "all" else folds[: int(options.folds)]
    frozen = TrainSettings(backbone=options.backbone, size=options.size)
    tuned = dataclasses.replace(
        frozen,
        finetune=options.finetune,
        finetune_epochs=options.epochs,
        finetune_minutes=options.minutes,
        augment=options.augment,
    )
    rows = []
    right: dict[str, list[float]] = {"frozen": [], options.finetune: []}
    for number, fold in enumerate(folds):
        for name, settings in (("frozen", frozen), (options.finetune, tuned)):
            with tempfile.TemporaryDirectory() as work:
                result, minutes = measure(dataset, fold, settings, Path(work))
            found, facts = result.evaluation, result.manifest.get("finetune", {})
            assert found is not None
            right[name].append(found.top1 or 0.0)
            auroc = None if found.none is None else found.none.auroc
            kept = f"{facts['share_of_finetuned']:g}" if facts else ""
            # From the dataset's own labels outward: fold, method, photos, figures, cost.
            rows.append(
                (
                    f"fold {number}, {name}",
                    str(found.n),
                    f"{100 * (found.top1 or 0):.1f} %",
                    "" if auroc is None else f"{auroc:.3f}",
                    f"{found.ece or 0:.3f}",
                    kept,
                    f"{facts['estimated_seconds'] / 60:.1f}" if facts else "",
                    f"{minutes:.1f}",
                )
            )
            print(rows[-1], flush=True)
            for tried in facts.get("shares_tried", []):
                print("   ", tried, flush=True)
    print()
    table(("model", "photos", "top-1", "AUROC", "ECE", "share kept", "minutes told", "minutes"), rows)
    gained = 100 * (float(np.mean(right[options.finetune])) - float(np.mean(right["frozen"])))
    verdict("points of top-1 gained by fine-tuning", gained, 5.0)


if __name__ == "__main__":
    main()
