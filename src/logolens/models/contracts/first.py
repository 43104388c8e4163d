"""What an expert is: one way of finding out which label an image shows, and what all of them share."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from logolens.io.views import WHOLE, Picture, View
from logolens.models.calibration import label_margins
from logolens.types import FloatArray32, FloatArray64

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.data import Photo
    from logolens.models.head import Head
    from logolens.models.session import Outputs
    from logolens.types import Progress

__all__ = ["Described", "Expert", "Inquiry", "Learned", "Maps"]

Maps: TypeAlias = tuple[FloatArray32, FloatArray32]
"""The network's last and middle map of one view."""


@dataclass
class Inquiry:
    """What is known of one photo while its experts are asked, one after the other.

    Attributes:
        picture: the photo.
        head: the head; where the network gives logits, it is their own.
        background: whether the head's last output is the background.
        pooling: how the network pools its maps.
        mode: "auto" looks at proposals where the whole photo leaves doubt, "tiles" at squares all over every photo.
        knowledge: what each expert learned, by its name; those that learned nothing are not in it.
        without: SHA-256 of photos that no expert may have learned from.
        views: where was looked so far, the whole photo first.
        margins: of each label in each of these views, float64 of shape (views, labels).
        maps: of these views.
        logits: of the whole photo, of shape (1, outputs).
        features: of each view, of shape (views, features), where the network gives them.
        evidence: of the experts asked so far, float64 of shape (labels,) each.
        proofs: what they found that a person can check, as each likes.
        regions: what the maps of a view promise, by the view's number and the regions' scales; see `regions.regions`.
    """

    picture: Picture
    head: Head
    background: bool
    pooling: str
    mode: str
    knowledge: Mapping[str, Any]
    without: Collection[str] = ()
    views: list[View] = field(default_factory=list)
    margins: FloatArray64 = field(default_factory=lambda: np.zeros((0, 0)))
    maps: list[Maps] = field(default_factory=list)
    logits: npt.NDArray[np.floating[Any]] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    features: list[FloatArray32] = field(default_factory=list)
    evidence: dict[str, FloatArray64] = field(default_factory=dict)
    proofs: dict[str, Any] = field(default_factory=dict)
    regions: dict[tuple[int, tuple[float, ...]], tuple[list[View], FloatArray64]] = field(default_factory=dict)

    def see(self, views: Sequence[View]) -> Generator[Sequence[View], Outputs, FloatArray64]:
        """Have the network look at views of the photo; their margins, float64 of shape (views, labels)."""
        outputs = yield views
        logits = outputs["logits"] if "logits" in outputs else self.head.logits(outputs["features"])
        margins = label_margins(logits, self.background)
        if not self.views:
            self.logits, self.margins = logits, margins
        else:
            self.margins = np.concatenate([self.margins, margins])
        self.views += views
        self.maps += [(outputs["last"][number], outputs["middle"][number]) for number in range(len(views))]
        if "features" in outputs:
            self.features += list(outputs["features"])
        return margins

    def side_of(self, number: int) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
        """A view's box in shares of the photo, and its width and height in pixels."""
        left, top, right, bottom = self.views[number].box or WHOLE.box or (0.0, 0.0, 1.0, 1.0)
        width, height = self.picture.sides
        return (
            (left, top, right, bottom),
            (max(1, round((right - left) * width)), max(1, round((bottom - top) * height))),
        )


@dataclass(frozen=True)
class Learned:
    """What an expert learned from photos.

    Attributes:
        knowledge: what it will be asked with; None where it learned nothing that serves.
        notes: what was odd, a sentence each.
    """

    knowledge: Any = None
    notes: tuple[str, ...] = ()


class Described(Protocol):
    """What is said of every expert, whichever of the two contracts it meets.

    Attributes:
        name: its key in tables of evidence and weights, and in the manifest.
        title: what it is called in sentences, in the plural or singular that follows "and".
        cost: what asking it takes, in passes of the network; those of one stage are asked, and tried in training, in this order.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def cost(self) -> float: ...


class Expert(Described, Protocol):
    """One way of finding out which label an image shows.

    Attributes:
        needs: experts that must have been asked before.
        stands_in: the expert whose evidence counts for this one's where this one was not asked; None where nothing does, so
            that its evidence is 0.
        files: what it writes into a bundle.
        counts: whether its evidence may be added to that of others; what is too coarse for that can only end a photo's way
            early, where it surely shows none.
        stage: "first".
    """

    @property
    def needs(self) -> tuple[str, ...]: ...
    @property
    def stands_in(self) -> str | None: ...
    @property
    def files(self) -> tuple[str, ...]: ...
    @property
    def counts(self) -> bool: ...
    @property
    def stage(self) -> Literal["first"]: ...

    def ask(self, inquiry: Inquiry) -> Generator[Sequence[View], Outputs, FloatArray64 | None]:
        """What speaks for each label in a photo: float64 of shape (labels,); None where this expert has nothing to say.

        It yields the views that the network is to look at, and leaves what a person can check in ``inquiry.proofs``.
        """
        ...

    def learn(
        self, photos: Sequence[Photo], labels: tuple[str, ...], settings: TrainSettings, progress: Progress
    ) -> Learned:
        """Learn from the photos of a training, of one label each, those that out-of-fold photos are asked about included.

        What it learned must be able to answer without some of them, see ``Inquiry.without``.
        """
        ...

    def save(self, knowledge: Any, folder: Path) -> None:
        """Write what was learned as this expert's files of a bundle."""
        ...

    def load(self, folder: Path, labels: tuple[str, ...]) -> Any:
        """Read what `save` wrote, for a bundle of these labels.

        Raises:
            BundleError: the files cannot be read, or are another bundle's.
        """
        ...
