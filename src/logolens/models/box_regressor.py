"""Where in a view the logo lies: a box, told from the network's maps, which keep the places of what they show.

The head, asked about each cell of the map and about each block of 3 x 3 cells, gives a map of how much speaks for the label
there. That, and the maps' own main directions (principal components), go into one linear layer with four outputs, the box's
edges, learned by ridge regression from crops around annotated boxes. It is the last step of a detector (Girshick et al.,
"Rich feature hierarchies", CVPR 2014, appendix C) with the layer fitted in closed form.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND
from logolens.errors import BundleError, ImageError, require
from logolens.io.images import read_known
from logolens.io.threads import ONE_THREAD_EACH
from logolens.io.views import Picture, View, around
from logolens.models.calibration import label_margins
from logolens.models.head import Head
from logolens.models.proposals import roi_pool, rooted
from logolens.models.scaling import mean_and_spread
from logolens.models.session import Job, Session
from logolens.types import FloatArray32, Progress

__all__ = ["Localiser", "fit_localiser"]

Fractions = tuple[float, float, float, float]

_LEAST = 40
"""Boxes below which nothing is learned from them."""

_MOST = 900
"""Boxes that are learned from; two crops each."""

_FIRST = 128
"""Crops whose cells give the maps' main directions."""

_LAST_AXES, _MIDDLE_AXES = 32, 8
_RIDGE = 6000.0
_NARROWEST = 0.05
_MARGINS = (1.05, 3.0)


@dataclass(frozen=True)
class Localiser:
    """What tells a box from maps.

    Attributes:
        last_mean: of the last map's cells, float32 of shape (channels,).
        last_axes: float32 of shape (32, channels), the main directions of the last map.
        middle_mean: of the middle map's cells.
        middle_axes: float32 of shape (8, channels).
        weights: float32 of shape (inputs, 4).
        offset: float32 of shape (4,).
    """

    last_mean: FloatArray32
    last_axes: FloatArray32
    middle_mean: FloatArray32
    middle_axes: FloatArray32
    weights: FloatArray32
    offset: FloatArray32

    def box(
        self, last: FloatArray32, middle: FloatArray32, head: Head, label: int, *, background: bool, pooling: str
    ) -> Fractions:
        """The box of a label in a view, as (x1, y1, x2, y2) in fractions of the view.

        Args:
            last: the view's last map, of shape (channels, rows, columns).
            middle: the view's middle map.
            head: the bundle's head.
            label: its position among the labels.
            background: whether the head's last output is the background.
            pooling: how the network pools its maps.
        """
        inputs = self._inputs(last, middle, _heat(last, middle, head, label, background, pooling))
        x1, y1, x2, y2 = np.clip(inputs @ self.weights + self.offset, 0.0, 1.0).tolist()
        (left, right), (top, bottom) = _span(x1, x2), _span(y1, y2)
        return left, top, right, bottom

    def _inputs(self, last: FloatArray32, middle: FloatArray32, heat: FloatArray32) -> FloatArray32:
        rough = (_cells(last) - self.last_mean) @ self.last_axes.T
        fine = (_cells(middle) - self.middle_mean) @ self.middle_axes.T
        return np.concatenate([heat, rough.ravel(), fine.ravel()]).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write it as a .safetensors file."""
        # Not its save_file, whose files are readable by their owner alone, whatever the umask says.
        save = require("safetensors.numpy", "train").save
        path.write_bytes(save({name: np.ascontiguousarray(value) for name, value in vars(self).items()}))

    @staticmethod
    def load(data: bytes, source: Path) -> Localiser:
        """Read what `save` wrote.

        Raises:
            BundleError: the bytes are no such file.
        """
        from safetensors.numpy import load

        try:
            found = Localiser(**load(data))
            edges = found.weights.shape[1]
            if edges != 4 or found.offset.shape != (4,) or found.last_axes.shape[1:] != found.last_mean.shape:
                raise ValueError(f"its weights are of shape {found.weights.shape}")
        except Exception as error:  # safetensors raises a type of its own.
            raise BundleError(f"{source} is damaged ({error}); copy or train the bundle again.") from error
        return found


def _span(low: float, high: float) -> tuple[float, float]:
    """An edge on either side, in order and not on top of each other."""
    low, high = min(low, high), max(low, high)
    if high - low < _NARROWEST:
        middle = min(max((low + high) / 2, _NARROWEST / 2), 1 - _NARROWEST / 2)
        low, high = middle - _NARROWEST / 2, middle + _NARROWEST / 2
    return low, high


def _cells(maps: FloatArray32) -> FloatArray32:
    """A map as rows of cells, power-normalised, of shape (rows x columns, channels)."""
    return rooted(maps.reshape(len(maps), -1).T)


def _heat(
    last: FloatArray32, middle: FloatArray32, head: Head, label: int, background: bool, pooling: str
) -> FloatArray32:
    """How much speaks for the label, and for any label, in each cell and each block of cells; several squashings of it."""
    rows, columns = last.shape[1:]
    block = min(3, rows, columns)
    ones = [(x, y, x + 1, y + 1) for y in range(rows) for x in range(columns)]
    blocks = [(x, y, x + block, y + block) for y in range(rows - block + 1) for x in range(columns - block + 1)]
    places = np.array(ones + blocks, dtype=np.int64)
    margins = label_margins(head.logits(roi_pool(last, middle, places, pooling)), background)
    parts = []
    for values in (margins[: len(ones), label], margins[len(ones) :, label], margins[: len(ones)].max(axis=1)):
        parts += [
            np.exp((values - values.max()) / 1.5),
            1.0 / (1.0 + np.exp(-np.clip(values, -30, 30))),
            0.1 * np.clip(values, -100, 100),
        ]
    return np.concatenate(parts).astype(np.float32)


def fit_localiser(
    photos: Sequence[Any], head: Head, classes: Sequence[str], pooling: str, session: Session, on_progress: Progress
) -> Localiser | None:
    """Learn where logos lie from the boxes of photos.

    Args:
        photos: of a data set (`data.Photo`).
        head: the finished head.
        classes: its outputs.
        pooling: how the network pools its maps.
        session: the network, giving its maps.
        on_progress: told of the work as it is done.

    Returns:
        None with fewer than 40 boxes.

    Raises:
        ImageError: a photo cannot be read any more, or has changed.
    """
    background = BACKGROUND in classes
    crops = _crops(photos, classes)
    if sum(len(members) for members in crops.values()) < 2 * _LEAST:
        return None
    by_sha = {photo.sha256: photo for photo in photos}
    maps: list[tuple[FloatArray32, FloatArray32]] = []
    heats: list[FloatArray32] = []
    edges: list[Fractions] = []
    rows: list[FloatArray32] = []
    found: Localiser | None = None
    zeros = np.zeros(0, np.float32)

    def directions() -> Localiser:
        last = np.concatenate([_cells(one) for one, _ in maps])
        middle = np.concatenate([_cells(one) for _, one in maps])
        return Localiser(*_axes(last, _LAST_AXES), *_axes(middle, _MIDDLE_AXES), zeros, zeros)

    def look(members: list[tuple[View, Fractions, int]], _: Picture) -> Generator[Any, Any, Any]:
        outputs = yield [view for view, _, _ in members]
        return [
            (last, middle, _heat(last, middle, head, label, background, pooling))
            for last, middle, (_, _, label) in zip(outputs["last"], outputs["middle"], members, strict=True)
        ]

    jobs = (
        Job(partial(read_known, by_sha[sha].path, sha, session.limits), steps=partial(look, members))
        for sha, members in crops.items()
    )
    for done, ((sha, members), outcome) in enumerate(zip(crops.items(), session.look(jobs), strict=True), 1):
        if outcome.error is not None:
            path = by_sha[sha].path
            raise ImageError(f"{path}: {outcome.error.removeprefix(f'{path}: ')}")
        for (last, middle, heat), (_, box, _) in zip(outcome.value, members, strict=True):
            edges.append(box)
            if found is not None:
                rows.append(found._inputs(last, middle, heat))
                continue
            maps.append((last, middle))
            heats.append(heat)
            if len(maps) == _FIRST:
                found = directions()
                rows += [found._inputs(*pair, its) for pair, its in zip(maps, heats, strict=True)]
                maps.clear()
        on_progress("learning where logos lie", done, len(crops))
    with ONE_THREAD_EACH:  # As above: how many threads share a product shows in its last digits.
        if found is None:
            found = directions()
            rows = [found._inputs(*pair, its) for pair, its in zip(maps, heats, strict=True)]
        weights, offset = _ridge(np.stack(rows), np.array(edges, dtype=np.float64))
    return Localiser(found.last_mean, found.last_axes, found.middle_mean, found.middle_axes, weights, offset)


def _axes(cells: FloatArray32, count: int) -> tuple[FloatArray32, FloatArray32]:
    """The mean and the main directions of cells, each pointing to where its largest number is positive."""
    mean = cells.mean(axis=0)
    sample = (cells - mean)[:: max(1, len(cells) // 6000)].astype(np.float64)
    _, vectors = np.linalg.eigh(sample.T @ sample)
    axes = vectors[:, ::-1][:, :count].T
    # An eigenvector's sign is whatever the library's last step made it.
    axes = axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
    return mean, np.ascontiguousarray(axes, dtype=np.float32)


def _ridge(inputs: FloatArray32, edges: npt.NDArray[np.float64]) -> tuple[FloatArray32, FloatArray32]:
    """Weights and offset of a ridge regression on standardised inputs, solved in the space of the crops."""
    mean, std = mean_and_spread(inputs)
    x = (inputs - mean) / std
    middle = edges.mean(axis=0)
    # The ridge is as strong as it was chosen for 2,000 crops, however many there are.
    kernel = x @ x.T + _RIDGE * max(1.0, len(x) / 2000) * np.eye(len(x))
    weights = (x.T @ np.linalg.solve(kernel, edges - middle)) / std[:, None]
    return weights.astype(np.float32), (middle - mean @ weights).astype(np.float32)


def _crops(photos: Sequence[Any], classes: Sequence[str]) -> dict[str, list[tuple[View, Fractions, int]]]:
    """For photos by their SHA-256: views around boxes, the box in fractions of the view, and its label's position."""
    boxed = [
        (photo, region)
        for photo in sorted(photos, key=lambda photo: photo.sha256)
        for region in photo.regions
        if region.box is not None and region.label in classes and region.label != BACKGROUND
    ]
    kept = np.sort(np.random.default_rng(0).permutation(len(boxed))[:_MOST])
    crops: dict[str, list[tuple[View, Fractions, int]]] = {}
    for photo, region in (boxed[number] for number in kept):
        box, size = region.box, (photo.width, photo.height)
        rng = np.random.default_rng([int(photo.sha256[:16], 16), int(box.x1), int(box.y1)])
        longer = max(box.x2 - box.x1, box.y2 - box.y1)
        for _ in range(2):
            margin = float(np.exp(rng.uniform(*np.log(_MARGINS))))
            dx, dy = rng.uniform(-0.25, 0.25, 2) * longer * min(1.0, margin - 0.8)
            view = around((box.x1 + dx, box.y1 + dy, box.x2 + dx, box.y2 + dy), size, margin)
            x1, y1, x2, y2 = view.box or (0.0, 0.0, 1.0, 1.0)
            if min(x2 - x1, y2 - y1) < 0.01:
                continue
            edges = np.clip(
                [
                    (box.x1 / size[0] - x1) / (x2 - x1),
                    (box.y1 / size[1] - y1) / (y2 - y1),
                    (box.x2 / size[0] - x1) / (x2 - x1),
                    (box.y2 / size[1] - y1) / (y2 - y1),
                ],
                0.0,
                1.0,
            ).tolist()
            crops.setdefault(photo.sha256, []).append((view, tuple(edges), classes.index(region.label)))
    return crops
