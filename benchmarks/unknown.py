"""Does it know what it does not know? Brands of Flickr Logos 27 are left out entirely, and their photos are asked about.

In each draw five brands are taken out of the data set. Of the rest one grouped fold is kept away and a bundle is trained on the
others with `train()`, as it is by default and, with ``--peer``, with ``unknown_brands=False`` in the same run. It is asked about
the fold (known), the photos of the five brands (unknown) and photos without a logo. Per draw: top-1 of the known; AUROC of
known against unknown and against no logo; how many of the unknown, and of those without a logo, get a label at the bundle's own
threshold; how many of the known are right and get one; and the area under the risk-coverage curve of known and unknown together,
where every label for an unknown brand is wrong (Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from accuracy import write_table
from common import FLICKR27, NO_LOGO, busy, table
from words import answers, photos_in, score

from logolens import Classifier
from logolens.config import TrainSettings
from logolens.data import grouped_folds, load
from logolens.training.train import train


def auroc(high: np.ndarray, low: np.ndarray) -> float:
    """How often one of the first stands above one of the second."""
    return float((high[:, None] > low[None]).mean() + (high[:, None] == low[None]).mean() / 2)


def risk_coverage(scores: np.ndarray, right: np.ndarray) -> float:
    """The area under the curve of the share of wrong answers over the share that is answered, the surest first."""
    order = np.argsort(-scores, kind="stable")
    return float(np.mean(np.cumsum(~right[order]) / np.arange(1, len(order) + 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=FLICKR27, help="(default: %(default)s)")
    parser.add_argument("--empty", type=Path, default=NO_LOGO, help="photos without a logo (default: %(default)s)")
    parser.add_argument("--draws", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--brands", type=int, default=5, help="how many are left out (default: %(default)s)")
    parser.add_argument("--peer", action="store_true", help="train without stand-ins for unknown brands, too")
    parser.add_argument("--without-boxes", action="store_true", help="leave the annotation's boxes out")
    options = parser.parse_args()
    busy()
    dataset = load(options.data)
    none = photos_in(options.empty)
    ways = {
        "default": TrainSettings(),
        **({"--no-unknown-brands": TrainSettings(unknown_brands=False)} if options.peer else {}),
    }
    rows = []
    for draw in options.draws:
        names = np.random.default_rng(100 + draw).permutation(sorted(dataset.labels))[: options.brands]
        hidden = set(names.tolist())
        away = [number for number, photo in enumerate(dataset.photos) if hidden & set(photo.labels)]
        rest = dataset.subset(sorted({*range(len(dataset))} - {*away}))
        fold = grouped_folds(rest, 5)[draw % 5]
        print(f"draw {draw} leaves out {', '.join(sorted(hidden))}", flush=True)
        for name, settings in ways.items():
            with tempfile.TemporaryDirectory() as work:
                listing, out = Path(work) / "photos.csv", Path(work) / "bundle"
                write_table(listing, rest, fold, boxes=not options.without_boxes)
                train(listing, out, settings)
                classifier = Classifier.load(out)
                photos = [rest.photos[number] for number in fold.tolist()]
                known = answers(classifier, [photo.path for photo in photos])
                right = np.array(
                    [classifier.labels[int(a.labels.argmax())] in p.labels for a, p in zip(known, photos, strict=True)]
                )
                shown = np.array([score(answer) for answer in known])
                unknown = np.array([score(a) for a in answers(classifier, [dataset.photos[n].path for n in away])])
                empty = np.array([score(answer) for answer in answers(classifier, none)])
                least = classifier.threshold if classifier.threshold is not None else -np.inf
            rows.append(
                (
                    f"{draw} {name}",
                    f"{100 * right.mean():.1f} %",
                    f"{auroc(shown, unknown):.3f}",
                    f"{auroc(shown, empty):.3f}",
                    f"{100 * (unknown > least).mean():.1f} %",
                    f"{100 * (empty > least).mean():.1f} %",
                    f"{100 * (right & (shown > least)).mean():.1f} %",
                    f"{risk_coverage(np.r_[shown, unknown], np.r_[right, np.zeros(len(unknown), bool)]):.3f}",
                )
            )
            print(*rows[-1], sep="  ", flush=True)
    print()
    headers = (
        "draw",
        "top-1",
        "AUROC unknown",
        "AUROC no logo",
        "unknown labelled",
        "no logo labelled",
        "right and kept",
        "AURC",
    )
    table(headers, rows)


if __name__ == "__main__":
    main()
