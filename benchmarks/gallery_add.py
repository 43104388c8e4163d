"""What is a brand worth that is added to a trained gallery, beside a gallery that was trained with the same photos of it?

Every third brand of Flickr Logos 27 is left out by turns. A gallery is fitted on the others, 1, 2, 5 or 10 photos of the brand
are added, and it is asked about the brand's photos of the held-out fold, and about the others' photos: the first must be named,
the second must not be lost to the new label. The peer is fitted with those photos from the beginning. Whole photos only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from common import FLICKR27, busy, table
from few_shots import Photos, drawn, fitted

from logolens.config import TrainSettings
from logolens.data import grouped_folds, load
from logolens.models.backbones import prepare
from logolens.models.head import CosineHead
from logolens.training.gallery import Reference
from logolens.training.gallery.edit import assembled


def added(head: CosineHead, photos: Photos, labels: list[str], rows: np.ndarray, label: str) -> CosineHead:
    """The gallery with these views as references of another label, as `logolens gallery add` makes it."""
    entries = {
        name: [(Reference(name, name, "", int((head.owners == place).sum())), head.references[head.owners == place])]
        for place, name in enumerate(labels)
    }
    entries[label] = [(Reference(label, label, "", len(rows)), head.projected(photos.features[rows]))]
    return assembled(head, entries)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, default=FLICKR27)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--every", type=int, default=3, help="leave out every so manieth brand")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    busy()
    settings = TrainSettings(threads=arguments.threads)
    photos = Photos(load(arguments.data, training=False), settings, prepare(settings.backbone))
    labels = list(photos.dataset.labels)
    held = np.asarray(grouped_folds(photos.dataset, 5, 0)[arguments.fold])
    others = np.setdiff1d(np.arange(len(photos.dataset)), held)
    single = np.array([len(photos.dataset.photos[n].labels) == 1 for n in photos.photo])
    asked = np.isin(photos.photo, held) & photos.whole & single & (photos.label != "none")
    truth = photos.label[asked]
    found: dict[tuple[str, int], list[float]] = {}

    def tell(name: str, shots: int, head: CosineHead, label: str) -> None:
        answers = np.array(labels)[head.logits(photos.features[asked])[:, :-1].argmax(axis=1)]
        new = truth == label
        found.setdefault((f"{name}: the brand's own", shots), []).append(float((answers[new] == label).mean()))
        found.setdefault((f"{name}: lost to it of the others'", shots), []).append(
            float((answers[~new] == label).mean())
        )

    for label in labels[:: arguments.every]:
        rest = [name for name in labels if name != label]
        without = np.array([n for n in others if label not in photos.dataset.photos[n].labels])
        learned = np.flatnonzero(np.isin(photos.photo, without))
        base = fitted("gallery", [(photos, learned)], tuple(rest))
        assert isinstance(base, CosineHead)
        for shots in arguments.shots:
            some = np.array([n for n in drawn(photos, others, shots, 0) if photos.dataset.photos[n].label == label])
            own = np.flatnonzero(np.isin(photos.photo, some) & (photos.label == label))
            tell("added", shots, added(base, photos, rest, own, label), label)
            rows = np.concatenate([learned, np.flatnonzero(np.isin(photos.photo, some))])
            peer = fitted("gallery", [(photos, rows)], tuple(labels))
            assert isinstance(peer, CosineHead)
            tell("there from the beginning", shots, peer, label)
        print(f"{label} done", flush=True)
    rows_told = [
        [kind, *(f"{np.mean(found[kind, n]):.3f}" for n in arguments.shots)]
        for kind in dict.fromkeys(kind for kind, _ in found)
    ]
    table(["photos of the brand", *map(str, arguments.shots)], rows_told)
    own, there = (
        np.mean([np.mean(found[f"{name}: the brand's own", n]) for n in arguments.shots])
        for name in ("added", "there from the beginning")
    )
    print(
        f"Added, a brand is found {own / max(there, 1e-9):.2f} times as often as when it was there from the beginning."
    )


if __name__ == "__main__":
    main()
