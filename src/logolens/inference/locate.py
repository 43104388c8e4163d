"""Where a photo shows a label: from the geometry that proves it, or else from the network's maps, looked at twice."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from logolens.io.views import Picture, View, around
from logolens.models.box_regressor import Localiser
from logolens.models.calibration import label_margins
from logolens.models.cascade import Observation
from logolens.models.head import Head
from logolens.models.matcher import ENOUGH, Match, Matcher, Matches
from logolens.models.proposals import roi_pool, windows
from logolens.models.session import Outputs

__all__ = ["Finder", "Fractions", "best_match", "heat", "placed", "shares"]

Fractions = tuple[float, float, float, float]

_ROUNDS = 2
_ZOOM = 1.6


@dataclass(frozen=True)
class Finder:
    """What places are told with.

    Attributes:
        head: the bundle's head.
        localiser: learned from boxes; None where there were none, and the strongest part of the map has to do.
        background: whether the head's last output is the background.
        pooling: how the network pools its maps.
        matcher: asked by `proved` where an answer stood without it; None where there is none.
    """

    head: Head
    localiser: Localiser | None
    background: bool
    pooling: str
    matcher: Matcher | None = None

    def proved(self, picture: Picture, observation: Observation) -> Observation:
        """What was found out, with what geometry says: it tells places better than the maps do, also of what was clear.

        Raises:
            ImageError: the photo cannot be decoded.
        """
        if observation.matches is not None or self.matcher is None:
            return observation
        points = self.matcher.sight(picture)
        return replace(observation, matches=self.matcher.match(points), size=points.size)

    def find(
        self, picture: Picture, observation: Observation, label: int, name: str
    ) -> Generator[Sequence[View], Outputs, Fractions]:
        """The box of a label in a photo, in fractions of its width and height; steps of a `session.Job`.

        Args:
            picture: the photo.
            observation: what was found out about it, as `proved` gives it.
            label: position among the labels.
            name: its name.
        """
        match = best_match(observation.matches, name)
        if match is not None and (match.inliers >= ENOUGH or self.localiser is None):
            return shares(match.box, observation.size)
        if self.localiser is None:
            best = int(observation.margins[:, label].argmax())
            return placed(observation.views[best], self._strongest(observation.maps[best], label))
        # From the whole photo and from the best closer view, each time looking again around what was found.
        starts = [0]
        if len(observation.views) > 1:
            starts.append(1 + int(observation.margins[1:, label].argmax()))
        boxes = [placed(observation.views[start], self.box_in(observation.maps[start], label)) for start in starts]
        scores = [float(observation.margins[start, label]) for start in starts]
        for _ in range(_ROUNDS):
            views = [_around(box, picture.sides) for box in boxes]
            outputs = yield views
            logits = outputs["logits"] if "logits" in outputs else self.head.logits(outputs["features"])
            scores = label_margins(logits, self.background)[:, label].tolist()
            maps = zip(outputs["last"], outputs["middle"], strict=True)
            boxes = [placed(view, self.box_in(pair, label)) for view, pair in zip(views, maps, strict=True)]
        return boxes[int(np.argmax(scores))]

    def box_in(self, maps: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], label: int) -> Fractions:
        assert self.localiser is not None
        return self.localiser.box(*maps, self.head, label, background=self.background, pooling=self.pooling)

    def _strongest(self, maps: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], label: int) -> Fractions:
        """The bounds of the cells that speak for the label at least half as much as the strongest does."""
        cells = heat(maps, self.head, label, background=self.background, pooling=self.pooling)
        low, high = float(cells.min()), float(cells.max())
        down, across = np.nonzero(cells >= (low + high) / 2)
        rows, columns = cells.shape
        return (
            float(across.min()) / columns,
            float(down.min()) / rows,
            float(across.max() + 1) / columns,
            float(down.max() + 1) / rows,
        )


def best_match(matches: Matches | None, name: str) -> Match | None:
    """The match of a label with the most proved points; None where there is none."""
    if matches is None:
        return None
    return next((match for match in matches.found if match.label == name), None)


def heat(
    maps: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    head: Head,
    label: int,
    *,
    background: bool,
    pooling: str,
) -> npt.NDArray[np.float64]:
    """How much speaks for a label in each cell of a view: the mean margin of the small windows over it.

    Returns:
        float64 of shape (rows, columns).
    """
    last, middle = maps
    rows, columns = last.shape[1:]
    places, _ = windows((rows, columns), (columns * 100, rows * 100), (0.36,))
    margins = label_margins(head.logits(roi_pool(last, middle, places, pooling)), background)[:, label]
    total, times = np.zeros((rows, columns)), np.zeros((rows, columns))
    for (left, top, right, bottom), margin in zip(places.tolist(), margins, strict=True):
        total[top:bottom, left:right] += margin
        times[top:bottom, left:right] += 1
    return np.asarray(total / np.maximum(times, 1))


def _around(box: Fractions, size: tuple[int, int]) -> View:
    width, height = size
    return around((box[0] * width, box[1] * height, box[2] * width, box[3] * height), size, _ZOOM)


def placed(view: View, box: Fractions) -> Fractions:
    """A box in fractions of a view, in fractions of the photo."""
    x1, y1, x2, y2 = view.box or (0.0, 0.0, 1.0, 1.0)
    wide, high = x2 - x1, y2 - y1
    return x1 + box[0] * wide, y1 + box[1] * high, x1 + box[2] * wide, y1 + box[3] * high


def shares(box: tuple[float, float, float, float], size: tuple[int, int]) -> Fractions:
    """A box in pixels, in fractions of the image's sides."""
    return box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]
