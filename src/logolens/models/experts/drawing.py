"""The expert that knows drawings: local features of the photo matched with those of references, and verified."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from logolens.config import MATCHED_BOXED, MATCHED_WHOLE
from logolens.errors import BundleError
from logolens.io.views import View
from logolens.models.contracts.first import Inquiry, Learned
from logolens.models.matcher import Matcher, Remembered, references_of
from logolens.models.matcher.serialization import load_matcher, save_matcher
from logolens.types import FloatArray64

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.data import Photo
    from logolens.models.session import Outputs
    from logolens.types import Progress

__all__ = ["MATCHER", "DrawingMatcher"]

MATCHER = "matcher.safetensors"

_LEAST = 10
"""Photos below which a matcher cannot be judged by holding some of them out."""


@dataclass(frozen=True)
class DrawingMatcher:
    """Verified points of a photo on each label's references, see `Matcher`."""

    name: str = "matcher"
    title: str = "matcher"
    cost: float = 12.0
    needs: tuple[str, ...] = ()
    stands_in: str | None = None
    files: tuple[str, ...] = (MATCHER,)
    counts: bool = True
    stage: Literal["first"] = "first"

    def ask(self, inquiry: Inquiry) -> Generator[Sequence[View], Outputs, FloatArray64 | None]:
        """See `Expert.ask`; the proof is the matches, and the key points that were matched."""
        yield from ()
        matcher: Matcher = inquiry.knowledge[self.name]
        points = matcher.sight(inquiry.picture)
        matches = matcher.match(points, without=inquiry.without)
        inquiry.proofs[self.name] = (matches, points)
        return matches.scores()

    def learn(
        self, photos: Sequence[Photo], labels: tuple[str, ...], settings: TrainSettings, progress: Progress
    ) -> Learned:
        """A matcher with the photos' references; None where it is not to be tried, or no photo has key points."""
        most = MATCHED_BOXED if any(photo.boxes for photo in photos) else MATCHED_WHOLE
        if settings.matcher == "off" or (settings.matcher == "auto" and not _LEAST <= len(photos) <= most):
            return Learned()
        how, references = references_of(photos, settings, progress)
        notes = tuple(str(note) for note in references.notes)
        recall = Remembered() if settings.cache else None
        return Learned(
            Matcher(references.found, how, labels=labels, recall=recall) if references.found else None, notes
        )

    def save(self, knowledge: Any, folder: Path) -> None:
        """See `Expert.save`."""
        save_matcher(knowledge, folder / MATCHER)

    def load(self, folder: Path, labels: tuple[str, ...]) -> Matcher:
        """See `Expert.load`."""
        matcher = load_matcher(folder / MATCHER)
        if matcher.labels != labels:
            raise BundleError(f"{folder}: the matcher has other labels than the network; train the bundle again.")
        return matcher
