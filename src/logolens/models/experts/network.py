"""The experts that are the network itself: the whole photo, closer views of it, and views within these."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from logolens.io.views import WHOLE, View
from logolens.models.contracts.first import Inquiry, Learned
from logolens.models.experts.regions import regions
from logolens.models.proposals import nms, tiles
from logolens.types import FloatArray64

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.data import Photo
    from logolens.models.session import Outputs
    from logolens.types import Progress

__all__ = ["CloserViews", "MapWindows", "ViewsWithin", "WholePhoto"]

PROPOSALS = 5
"""Closer views of a photo that is not clear as a whole."""

CLOSEST = 4
"""Views within these, where they leave doubt too."""

_PARENTS = 3
"""Closer views, the most promising, within which these are sought."""

_INNER_SCALES = (0.55, 0.3)
"""Sides of views within a closer one, as shares of its shorter side."""


class _Network:
    """What the experts share that have nothing of their own: the bundle's network and head are all they know."""

    files: tuple[str, ...] = ()
    counts: bool = True
    stage: Literal["first"] = "first"

    def learn(
        self, photos: Sequence[Photo], labels: tuple[str, ...], settings: TrainSettings, progress: Progress
    ) -> Learned:
        """Nothing: the head has learned."""
        return Learned()

    def save(self, knowledge: Any, folder: Path) -> None:
        """Nothing is written."""

    def load(self, folder: Path, labels: tuple[str, ...]) -> Any:
        """Nothing is read."""
        return None


@dataclass(frozen=True)
class WholePhoto(_Network):
    """The photo as a whole: its margins over the background, in logits."""

    name: str = "whole"
    title: str = "whole photo"
    cost: float = 1.0
    needs: tuple[str, ...] = ()
    stands_in: str | None = None

    def ask(self, inquiry: Inquiry) -> Generator[Sequence[View], Outputs, FloatArray64 | None]:
        """See `Expert.ask`."""
        margins = yield from inquiry.see((WHOLE,))
        return np.asarray(margins[0])


@dataclass(frozen=True)
class MapWindows(_Network):
    """The windows of the whole photo's maps, which no further pass is needed for: the best margin of each label among them.

    It is what proposes the closer views: too coarse to name a logo, enough to tell that nothing promises one.
    """

    name: str = "windows"
    title: str = "windows of its maps"
    cost: float = 0.0
    needs: tuple[str, ...] = ("whole",)
    stands_in: str | None = None
    counts: bool = False

    def ask(self, inquiry: Inquiry) -> Generator[Sequence[View], Outputs, FloatArray64 | None]:
        """See `Expert.ask`."""
        yield from ()  # It has the network look at nothing.
        if inquiry.mode == "tiles":
            return None
        _, margins = regions(inquiry, 0, inquiry.picture.sides)
        return np.asarray(margins.max(axis=0)) if len(margins) else None


@dataclass(frozen=True)
class CloserViews(_Network):
    """Regions that the whole photo's maps propose: the best margin of each label among them."""

    name: str = "closer"
    title: str = "closer views"
    cost: float = float(PROPOSALS)
    needs: tuple[str, ...] = ("whole",)
    stands_in: str | None = "whole"

    def ask(self, inquiry: Inquiry) -> Generator[Sequence[View], Outputs, FloatArray64 | None]:
        """See `Expert.ask`."""
        if inquiry.mode == "tiles":
            views = tiles(inquiry.picture.sides)
        else:
            found, promised = regions(inquiry, 0, inquiry.picture.sides)
            scores = promised.max(axis=1)
            views = [found[number] for number in nms([view.box or () for view in found], scores, PROPOSALS)]
        if not views:
            return None
        margins = yield from inquiry.see(views)
        return np.asarray(margins.max(axis=0))


@dataclass(frozen=True)
class ViewsWithin(_Network):
    """The most promising regions of the most promising closer views, by the maps that these gave."""

    name: str = "closest"
    title: str = "views within these"
    cost: float = float(CLOSEST)
    needs: tuple[str, ...] = ("closer",)
    stands_in: str | None = "closer"

    def ask(self, inquiry: Inquiry) -> Generator[Sequence[View], Outputs, FloatArray64 | None]:
        """See `Expert.ask`."""
        views = self._proposed(inquiry) if len(inquiry.views) > 1 else []
        if not views:
            return None
        margins = yield from inquiry.see(views)
        return np.asarray(margins.max(axis=0))

    def _proposed(self, inquiry: Inquiry) -> list[View]:
        found: list[View] = []
        scores: list[float] = []
        for number in (1 + np.argsort(-inquiry.margins[1:].max(axis=1), kind="stable")[:_PARENTS]).tolist():
            (left, top, right, bottom), size = inquiry.side_of(number)
            wide, high = right - left, bottom - top
            inner, promised = regions(inquiry, number, size, _INNER_SCALES)
            boxes = [view.box or (0.0, 0.0, 1.0, 1.0) for view in inner]
            found += [View((left + a * wide, top + b * high, left + c * wide, top + d * high)) for a, b, c, d in boxes]
            scores += promised.max(axis=1).tolist()
        return [found[number] for number in nms([view.box or () for view in found], scores, CLOSEST)]
