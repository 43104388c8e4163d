"""What training samples at: the views of each photo, their features, and which of them serve for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset, Photo, Split
from logolens.data.builtin_backgrounds import ENOUGH_BACKGROUND, is_builtin
from logolens.data.composed import COMPOSED_WEIGHT, beside_photos
from logolens.errors import DataError
from logolens.io.views import WHOLE, View, around, background_views, inner_view
from logolens.metrics import Evaluation, evaluate
from logolens.models.backbones import ExportedBackbone
from logolens.models.calibration import Calibration, margins
from logolens.models.features import FeatureCache, Sight, extract
from logolens.models.head import Examples, Head
from logolens.models.session import Session
from logolens.types import Progress

__all__ = ["BOX_MARGINS", "INNER_VIEWS", "Picker", "Sample", "classes_of", "features_of", "samples_of"]


BOX_MARGINS = (1.35, 1.8)
"""Sides of the squares cut around a box, in longer sides of the box: some surroundings help to tell logos apart."""

INNER_VIEWS = 2
"""Closer framings of each whole photo."""

_BACKGROUNDS = 30
"""Whole photos of none of the labels from which on a part's false alarms are counted on these alone."""

_BACKGROUND_VIEWS = {"train": 4, "val": 2, "test": 1}
"""Logo-free regions taken from a photo with boxes."""


@dataclass(frozen=True)
class Sample:
    """One view of one photo: what the head learns from or is judged on.

    Attributes:
        photo: its position in the data set.
        view: the region of it.
        label: what the view shows.
        split: "train", "val" or "test".
        whole: whether it is the photo as a whole.
        region: of a view around a box, the position of that box among the photo's regions.
        weight: how much it counts when the head is fitted.
        train_only: whether it is learned from alone: of a composed image beside photos, which decide and are measured on.
    """

    photo: int
    view: View
    label: str
    split: str
    whole: bool
    region: int | None = None
    weight: float = 1.0
    train_only: bool = False


def samples_of(dataset: Dataset, splits: Split, settings: TrainSettings) -> list[Sample]:
    """Every view that is needed, in the order of the photos.

    A photo of two brands has no one answer as a whole, so only its boxes are learned from.
    """
    samples: list[Sample] = []
    for split, members in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        for number in members:
            photo = dataset.photos[number]
            if len(photo.labels) == 1 or split == "test":
                samples.append(Sample(number, WHOLE, photo.label, split, True))
            size = (photo.width, photo.height)
            boxes = [(box.x1, box.y1, box.x2, box.y2) for box in photo.boxes]
            # Seeded by content: the same photo gives the same views on every machine.
            rng = np.random.default_rng(int(photo.sha256[:16], 16))
            # Those of validation photos are learned from when the head is fitted once more, on both parts.
            if split != "test" and len(photo.labels) == 1:
                samples += [
                    Sample(number, inner_view(boxes, size, rng), photo.label, split, False) for _ in range(INNER_VIEWS)
                ]
            if settings.boxes and split != "test":
                samples += [
                    Sample(
                        number,
                        around((box.x1, box.y1, box.x2, box.y2), size, margin),
                        region.label,
                        split,
                        False,
                        place,
                    )
                    for place, region in enumerate(photo.regions)
                    if (box := region.box) is not None and region.label != BACKGROUND
                    for margin in BOX_MARGINS
                ]
            if settings.background and photo.label != BACKGROUND:
                samples += [
                    Sample(number, view, BACKGROUND, split, False)
                    for view in background_views(boxes, size, rng, _BACKGROUND_VIEWS[split])
                ]
    if train_only := beside_photos(dataset):
        samples = [replace(k, weight=COMPOSED_WEIGHT, train_only=True) if k.photo in train_only else k for k in samples]
    return samples


def features_of(
    dataset: Dataset,
    samples: Sequence[Sample],
    backbone: ExportedBackbone,
    preprocessing: Preprocessing,
    settings: TrainSettings,
    on_progress: Progress,
) -> npt.NDArray[np.float32]:
    """Features of all samples, one row each; looks at one photo stand together, so each photo is decoded once."""
    sights: list[Sight] = []
    views: list[View] = []
    for position, sample in enumerate(samples):
        views.append(sample.view)
        if position + 1 == len(samples) or samples[position + 1].photo != sample.photo:
            photo = dataset.photos[sample.photo]
            sights.append(Sight(photo.path, photo.sha256, tuple(views)))
            views = []
    session = Session(
        backbone.path, preprocessing, threads=settings.threads, outputs=("features",), device=settings.device
    )
    cache = FeatureCache() if settings.cache else None
    try:
        return extract(
            sights,
            session,
            backbone.sha256,
            cache=cache,
            progress=lambda done, total: on_progress("computing features", done, total),
        )
    finally:
        if cache is not None:
            cache.close()


def classes_of(dataset: Dataset, samples: Sequence[Sample], settings: TrainSettings) -> tuple[tuple[str, ...], bool]:
    """The names of the head's outputs, and whether the last is the background: where there is enough to learn it from."""
    trained = {sample.label for sample in samples if sample.split == "train"}
    if missing := [label for label in dataset.labels if label not in trained]:
        raise DataError(
            f"No photo is left to train on for: {', '.join(missing)}. Add photos, or lower --val and --test."
        )
    held = Counter(sample.split for sample in samples if sample.label == BACKGROUND)
    if settings.background and min(held["train"], held["val"] or held["train"]) >= ENOUGH_BACKGROUND:
        return (*dataset.labels, BACKGROUND), True
    return dataset.labels, False


class Picker:
    """Takes the samples apart by what they are for."""

    def __init__(self, samples: Sequence[Sample], features: npt.NDArray[np.float32], classes: Sequence[str]) -> None:
        self._samples = samples
        self._features = features
        self._classes = tuple(classes)
        self._place = {name: position for position, name in enumerate(classes)}

    def examples(self, *splits: str, whole: bool = False, background: bool = True) -> Examples:
        """The samples of these splits; with ``whole`` no crops of logos; without ``background`` only what shows a logo."""
        rows = self.rows(*splits, whole=whole, background=background)
        truth = np.array([self._place[self._samples[row].label] for row in rows], dtype=np.int64)
        weight = np.array([self._samples[row].weight for row in rows], dtype=np.float32)
        return Examples(self._features[rows], truth, weight)

    def rows(self, *splits: str, whole: bool = False, background: bool = True) -> list[int]:
        """Positions of the samples that `examples` takes, in its order."""
        return [
            row
            for row, sample in enumerate(self._samples)
            if sample.split in splits
            and sample.label in self._place
            and (sample.whole or not whole or sample.label == BACKGROUND)
            and (background or sample.label != BACKGROUND)
        ]

    def judged(self, split: str) -> list[int]:
        """Positions of the samples that a split is measured on: whole photos; and where few of them show none, such views too."""
        whole = [row for row, sample in enumerate(self._samples) if sample.split == split and sample.whole]
        if sum(self._samples[row].label == BACKGROUND for row in whole) >= _BACKGROUNDS:
            return whole
        return [
            row
            for row, sample in enumerate(self._samples)
            if sample.split == split and (sample.whole or sample.label == BACKGROUND)
        ]

    def shows_logos(self, split: str) -> bool:
        """Whether a split has anything to be measured on."""
        return any(self._samples[row].label != BACKGROUND for row in self.judged(split))

    def evaluate(self, head: Head, calibration: Calibration, dataset: Dataset, split: str) -> Evaluation | None:
        """Figures on the whole photos of a part; regions without a logo stand in for photos of none where these are few."""
        rows = self.judged(split)
        if not rows:
            return None
        logits = head.logits(self._features[rows])
        scores = None if calibration.threshold is None else margins(logits)
        return self.measure(calibration.labels(logits), scores, rows, calibration.threshold, dataset)

    def measure(
        self,
        labels: npt.NDArray[np.float64],
        scores: npt.NDArray[np.float64] | None,
        rows: Sequence[int],
        threshold: float | None,
        dataset: Dataset,
    ) -> Evaluation | None:
        """Figures of these answers, one a sample; None where none of the samples shows a logo.

        Args:
            labels: probabilities of the labels, given that one shows.
            scores: what speaks for a logo being there; None where the background is not known.
            rows: positions of the samples.
            threshold: the score from which a logo is taken to be there.
            dataset: the photos.
        """
        # Built-in backgrounds are told from photos too easily: they would flatter.
        own = [place for place, row in enumerate(rows) if not is_builtin(dataset.photos[self._samples[row].photo])]
        rows, labels = [rows[place] for place in own], labels[own]
        scores = None if scores is None or all(self._samples[row].label != BACKGROUND for row in rows) else scores[own]
        if not any(self._samples[row].label != BACKGROUND for row in rows):
            return None
        photos = [dataset.photos[self._samples[row].photo] for row in rows]
        return evaluate(
            labels,
            [_truth(photo, self._samples[row]) for photo, row in zip(photos, rows, strict=True)],
            [name for name in self._classes if name != BACKGROUND],
            images=[photo.name for photo in photos],
            scores=scores,
            threshold=threshold if scores is not None else None,
            closed=True,
        )


def _truth(photo: Photo, sample: Sample) -> tuple[str, ...]:
    return (
        tuple(label for label in photo.labels if label != BACKGROUND) or (BACKGROUND,)
        if sample.whole
        else (sample.label,)
    )
