"""What can be measured where photos are too few to keep some back: each is answered by a head fitted on the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, TrainSettings
from logolens.data import Dataset, Note, photo_groups
from logolens.data.builtin_backgrounds import is_builtin
from logolens.models.head import Examples, fit_head
from logolens.training.samples import Sample

__all__ = ["measured_by_leaving_out"]

_MOST = 60
"""Photos up to which each is left out in turn: a head is fitted for each."""


def measured_by_leaving_out(
    dataset: Dataset,
    samples: Sequence[Sample],
    features: npt.NDArray[np.float32],
    classes: Sequence[str],
    settings: TrainSettings,
    epochs: int | None,
) -> Note:
    """Say that no photo was kept back to measure on, and what leaving one out at a time gives.

    Near copies, and photos of one group of the user, are left out together. A label whose photos would all be left out with
    one of them cannot be measured. What is measured is the network's view of whole photos, without closer views.

    Args:
        dataset: the photos.
        samples: the views that were learned from.
        features: of these, one row each.
        classes: the names of the head's outputs.
        settings: of the training.
        epochs: how long the head was trained.
    """
    groups = np.array(photo_groups(dataset))
    of_row = np.array([groups[sample.photo] for sample in samples])
    place = {name: number for number, name in enumerate(classes)}
    usable = np.array([sample.label in place and sample.split != "test" for sample in samples])
    truth = np.array([place.get(sample.label, -1) for sample in samples], dtype=np.int64)
    weight = np.array([sample.weight for sample in samples], dtype=np.float32)
    asked = [
        row
        for row, sample in enumerate(samples)
        if sample.whole and usable[row] and sample.label != BACKGROUND and not is_builtin(dataset.photos[sample.photo])
    ]
    nothing = "Nothing was measured: no photo is left to validate or to test on."
    advice = "Add photos, 20 a label or more, for figures that tell."
    if not asked or len(asked) > _MOST:
        return Note("not-measured", f"{nothing} {advice}", len(asked))
    labels = [number for name, number in place.items() if name != BACKGROUND]
    right = tried = 0
    for group in sorted({int(of_row[row]) for row in asked}):
        kept = usable & (of_row != group)
        rows = [row for row in asked if of_row[row] == group and np.any(truth[kept] == truth[row])]
        if not rows or set(truth[kept].tolist()) != set(place.values()):
            continue
        examples = Examples(features[kept], truth[kept], weight[kept])
        head = fit_head(
            examples, None, len(classes), settings.head_settings(), background=BACKGROUND in place, epochs=epochs
        )
        best = np.array(labels)[head.logits(features[rows])[:, labels].argmax(axis=1)]
        right += int((best == truth[rows]).sum())
        tried += len(rows)
    if not tried:
        return Note("not-measured", f"{nothing} Each label has one photo alone. {advice}", len(asked))
    sentence = (
        f"{nothing} Left out one at a time, {right} of {tried} photos were given their own label by a head fitted on the "
        "others (the whole photo, no closer views, `none` not allowed)."
    )
    return Note("left-one-out", f"{sentence} {advice}", tried)
