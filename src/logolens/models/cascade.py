"""One photo's way to its evidence: the whole of it, then closer views, then the matcher, as far as each is needed.

Training walks it on held-out photos, with the heads and references that have not seen them; prediction walks it with those of
the bundle. It is written once, here, so that what was measured is what is done.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from logolens.io.views import WHOLE, Picture, View
from logolens.models.ensemble import EnsembleWeights, Evidence, lead
from logolens.models.proposals import SCALES, nms, roi_pool, tiles, windows

if TYPE_CHECKING:
    from logolens.models.head import Head
    from logolens.models.matcher import Keypoints, Matcher, Matches
    from logolens.models.session import Outputs

__all__ = ["OUTPUTS", "Cascade", "Observation", "label_margins"]

OUTPUTS = ("last", "middle")
"""The network's outputs that proposals are made from."""

PROPOSALS = 5
"""Closer views of a photo that is not clear as a whole."""

CLOSEST = 4
"""Views within these, where they leave doubt too."""

_PARENTS = 3
"""Closer views, the most promising, within which these are sought."""

_INNER_SCALES = (0.55, 0.3)
"""Sides of views within a closer one, as shares of its shorter side."""


def label_margins(logits: npt.NDArray[np.floating[Any]], background: bool) -> npt.NDArray[np.float64]:
    """How far each label stands above the background, or, where none was learned, above all other labels together.

    Args:
        logits: of shape (n, outputs), the background's last where there is one.
        background: whether there is one.

    Returns:
        float64 of shape (n, labels); above 0 a label is likelier than not, as the head sees it.
    """
    z = np.asarray(logits, dtype=np.float64)
    if background:
        return z[:, :-1] - z[:, -1:]
    if z.shape[1] == 1:
        return z
    others = [np.delete(z, label, axis=1) for label in range(z.shape[1])]
    tops = [rest.max(axis=1) for rest in others]
    sums = [top + np.log(np.exp(rest - top[:, None]).sum(axis=1)) for rest, top in zip(others, tops, strict=True)]
    return np.asarray(z - np.stack(sums, axis=1))


@dataclass(frozen=True)
class Observation:
    """What was found out about one photo.

    Attributes:
        logits: of the whole photo, of shape (1, outputs).
        evidence: what speaks for each label, one row.
        views: where was looked, the whole photo first.
        margins: of each label in each view, float64 of shape (views, labels).
        maps: the last and the middle map of each view, in the views' order.
        matches: what the matcher found; None where it was not asked.
        size: width and height of the image that the matches' pixels are of.
        points: the key points that were matched; None where the matcher was not asked.
    """

    logits: npt.NDArray[np.floating[Any]]
    evidence: Evidence
    views: tuple[View, ...]
    margins: npt.NDArray[np.float64]
    maps: tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], ...]
    matches: Matches | None
    size: tuple[int, int]
    points: Keypoints | None = None


class Cascade:
    """How far photos are looked into.

    Args:
        stack: what counts; nothing is done that counts for nothing.
        background: whether the head's last output is the background.
        pooling: how the network pools its maps.
        matcher: the references; None where there are none.
        mode: "auto" looks at proposals where the whole photo leaves doubt, "tiles" at squares all over every photo.
    """

    def __init__(
        self,
        stack: EnsembleWeights,
        *,
        background: bool,
        pooling: str,
        matcher: Matcher | None = None,
        mode: str = "auto",
    ) -> None:
        self.stack = stack
        self.background = background
        self._pooling = pooling
        self._matcher = matcher
        self._mode = mode

    def look(
        self, picture: Picture, head: Head, without: Collection[str] = ()
    ) -> Generator[Sequence[View], Outputs, Observation]:
        """One photo's way, as the steps of a `session.Job`; the network must give ``logits`` or ``features``, and its maps.

        Args:
            picture: the photo.
            head: the head; where the network gives logits, it is their own.
            without: SHA-256 of photos whose references must not count.
        """
        outputs = yield (WHOLE,)
        maps = [_maps(outputs, 0)]
        views: list[View] = [WHOLE]
        logits = _logits(outputs, head)
        margins = label_margins(logits, self.background)
        whole = margins[0]
        clear = self.stack.lead is not None and lead(whole[None])[0] >= self.stack.lead and self._mode != "tiles"
        # Both questions may need the closer views.
        if not clear and self.stack.looks_closer:
            closer = self._closer(picture, maps[0], head)
            if closer:
                outputs = yield closer
                views += closer
                maps += [_maps(outputs, number) for number in range(len(closer))]
                margins = np.concatenate([margins, label_margins(_logits(outputs, head), self.background)])
        best = margins[1:].max(axis=0) if len(margins) > 1 else whole
        if self.stack.lead_closer is not None and self._mode != "tiles":
            clear = clear or lead((whole + best)[None] / 2)[0] >= self.stack.lead_closer
        closest = best
        if not clear and self.stack.looks_closest and (within := self._within(picture, views, maps, margins, head)):
            outputs = yield within
            views += within
            maps += [_maps(outputs, number) for number in range(len(within))]
            inner = label_margins(_logits(outputs, head), self.background)
            margins, closest = np.concatenate([margins, inner]), inner.max(axis=0)
        matches, size, image = None, picture.size, None
        if not clear and self._matcher is not None and (self.stack.matcher or self.stack.shows_matcher):
            image = self._matcher.sight(picture)
            matches, size = self._matcher.match(image, without=without), image.size
        evidence = Evidence(
            whole[None],
            best[None],
            closest[None],
            matches.scores()[None] if matches is not None else np.zeros_like(whole)[None],
        )
        return Observation(logits, evidence, tuple(views), margins, tuple(maps), matches, size, image)

    def _closer(
        self, picture: Picture, maps: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], head: Head
    ) -> list[View]:
        if self._mode == "tiles":
            return tiles(picture.sides)
        views, scores = self._windows(maps, picture.sides, head)
        return [views[number] for number in nms([view.box or () for view in views], scores, PROPOSALS)]

    def _within(
        self,
        picture: Picture,
        views: Sequence[View],
        maps: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
        margins: npt.NDArray[np.float64],
        head: Head,
    ) -> list[View]:
        """The most promising regions of the most promising closer views, by the maps that these gave."""
        width, height = picture.sides
        found: list[View] = []
        scores: list[float] = []
        for number in (1 + np.argsort(-margins[1:].max(axis=1), kind="stable")[:_PARENTS]).tolist():
            left, top, right, bottom = views[number].box or (0.0, 0.0, 1.0, 1.0)
            wide, high = right - left, bottom - top
            size = (max(1, round(wide * width)), max(1, round(high * height)))
            inner, its = self._windows(maps[number], size, head, _INNER_SCALES)
            boxes = [view.box or (0.0, 0.0, 1.0, 1.0) for view in inner]
            found += [View((left + a * wide, top + b * high, left + c * wide, top + d * high)) for a, b, c, d in boxes]
            scores += its
        return [found[number] for number in nms([view.box or () for view in found], scores, CLOSEST)]

    def _windows(
        self,
        maps: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
        size: tuple[int, int],
        head: Head,
        scales: Sequence[float] = SCALES,
    ) -> tuple[list[View], list[float]]:
        """Regions of what the maps show, and how much each promises, as far as the maps tell."""
        last, middle = maps
        places, views = windows((last.shape[1], last.shape[2]), size, scales)
        if not views:
            return [], []
        scores = label_margins(head.logits(roi_pool(last, middle, places, self._pooling)), self.background).max(axis=1)
        return views, scores.tolist()


def _logits(outputs: Outputs, head: Head) -> npt.NDArray[np.float32]:
    return outputs["logits"] if "logits" in outputs else head.logits(outputs["features"])


def _maps(outputs: Outputs, number: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return outputs["last"][number], outputs["middle"][number]
