"""What a late expert is: one that is asked once all others have spoken, where they leave doubt, and that amends their verdict.

Reading a photo, or laying it over the references of two labels, takes as long as all else together; so it is done only for a
photo that needs it, and its evidence is weighed beside what is held by then instead of in one sum with the others'.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from logolens.io.views import Picture, View
from logolens.models.calibration import Calibration
from logolens.models.contracts.first import Described
from logolens.types import FloatArray64

if TYPE_CHECKING:
    from logolens.config import TrainSettings
    from logolens.data import Dataset, Split
    from logolens.models.session import Session
    from logolens.types import Progress

__all__ = [
    "Asked",
    "HeldOut",
    "HeldView",
    "Inspected",
    "LateExpert",
    "LateFit",
    "Recorded",
    "UnknownEvidence",
    "Verdict",
    "together",
]


@dataclass(frozen=True)
class Verdict:
    """What is held of some photos, in a row each, before a late expert is asked or after.

    Attributes:
        logits: for each label, float64 of shape (n, labels).
        shows: for a logo being there, in each label's case; of the same shape.
        clear: whether the answer stood so early that nothing more is asked; bool of shape (n,).
        labels: probabilities of the labels, given that one shows; of shape (n, labels).
        score: what speaks for a logo being there; of shape (n,).
        calibration: what turns scores into probabilities.
        proofs: of one photo, what late experts found that a person can check, as each likes, by their names.
    """

    logits: FloatArray64
    shows: FloatArray64
    clear: npt.NDArray[np.bool_]
    labels: FloatArray64
    score: FloatArray64
    calibration: Calibration
    proofs: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many photos."""
        return len(self.logits)

    @property
    def probability(self) -> FloatArray64:
        """How likely a logo is there at all; of shape (n,)."""
        return self.calibration.probability(self.score)

    def rows(self, which: slice) -> Verdict:
        """That of some photos."""
        return Verdict(
            self.logits[which],
            self.shows[which],
            self.clear[which],
            self.labels[which],
            self.score[which],
            self.calibration,
        )


def together(parts: Sequence[Verdict]) -> Verdict:
    """The verdict on all photos, of parts that share one calibration."""
    return Verdict(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.shows for part in parts]),
        np.concatenate([part.clear for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.score for part in parts]),
        parts[0].calibration,
    )


@dataclass(frozen=True)
class Inspected:
    """One photo, as a late expert finds it.

    Attributes:
        picture: the photo.
        knowledge: what the experts before learned, by their names.
        found: what these left of the photo that a person can check, by their names; see `Inquiry.proofs`.
    """

    picture: Picture
    knowledge: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)


class HeldView(Protocol):
    """A view of a photo in training, with what it shows.

    Attributes:
        photo: its position in the data set.
        view: the region of it.
        label: what the view shows.
        whole: whether it is the photo as a whole.
    """

    @property
    def photo(self) -> int: ...
    @property
    def view(self) -> View: ...
    @property
    def label(self) -> str: ...
    @property
    def whole(self) -> bool: ...


@dataclass(frozen=True)
class Asked:
    """Views of a data set's photos in training.

    Attributes:
        dataset: the photos.
        samples: the views.
        settings: of the training.
        session: opens photos.
        progress: told of the work as it is done.
    """

    dataset: Dataset
    samples: Sequence[HeldView]
    settings: TrainSettings
    session: Session
    progress: Progress


@dataclass(frozen=True)
class UnknownEvidence:
    """What those who do not know their label saw of photos.

    Attributes:
        rows: positions of the photos among those asked about, n of them.
        columns: positions of the labels that are known, among all.
        logits: for each of these, float64 of shape (n, columns).
        shows: for a logo being there, in each label's case; of the same shape.
        clear: whether the answer stood so early that nothing more is asked; bool of shape (n,).
    """

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    logits: FloatArray64
    shows: FloatArray64
    clear: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOut(Asked):
    """Photos that were held out, and what those say of them that have not learned from them: what a late expert is fitted on.

    Attributes:
        deciding: how many of the samples decide, the first of them; the others were asked about besides, see
            `LateExpert.asks_about`.
        truth: positions of the classes that the deciding ones show, the background's being beyond the labels; int64.
        fold_of: the fold of each photo that is held out.
        learnable: positions of the photos that may be learned from, composed and built-in ones aside.
        builtin: positions of photos that come with logolens, and show nothing of this data set.
        background: whether there is a background to tell logos from.
        verdict: on each sample.
        unknown: what was seen of the deciding photos by those who do not know the photos' labels.
    """

    deciding: int
    truth: npt.NDArray[np.int64]
    fold_of: Mapping[int, int]
    learnable: Collection[int]
    builtin: Collection[int]
    background: bool
    verdict: Verdict
    unknown: tuple[UnknownEvidence, ...] = ()


@dataclass(frozen=True)
class LateFit:
    """What a late expert learned in a training.

    Attributes:
        knowledge: what it will be asked with; None where it does not surely help, and so is not asked.
        facts: what the manifest records of it; None of nothing.
        notes: what was decided and what was odd, a sentence each.
        verdict: on the photos that were held out, as it is with this expert.
    """

    knowledge: Any
    facts: Any
    notes: tuple[str, ...]
    verdict: Verdict


@dataclass(frozen=True)
class Recorded:
    """What a bundle holds of a late expert.

    Attributes:
        facts: as its `LateExpert.read` gave them.
        data: its files' bytes, by their names, each as it was written.
    """

    facts: Any
    data: Mapping[str, bytes]


class LateExpert(Described, Protocol):
    """One way of amending what all others hold of a photo.

    Attributes:
        stage: "late".
        place: where the manifest records it under its name: in its part "closer", or beside that.
    """

    @property
    def stage(self) -> Literal["late"]: ...
    @property
    def place(self) -> Literal["closer", "beside"]: ...

    def amend(self, knowledge: Any, verdict: Verdict, photo: Inspected) -> Verdict:
        """The verdict on one photo, with what this expert finds where the verdict leaves doubt.

        What a person can check is left in the verdict's ``proofs``.

        Raises:
            ImageError: the photo is to be looked at and cannot be decoded.
        """
        ...

    def amend_all(self, knowledge: Any, verdict: Verdict, asked: Asked) -> Verdict:
        """The same of many photos in training, a row each.

        Raises:
            ImageError: a photo cannot be read any more, or has changed.
        """
        ...

    def sentence(self, proof: Any, label: str) -> str | None:
        """What its proof says of a label, as a sentence without its full stop; None where it says nothing."""
        ...

    def calibration(self, knowledge: Any, before: Calibration) -> Calibration:
        """What turns scores into probabilities once it was asked; what did so before where it leaves scores alone."""
        ...

    def asks_about(self, settings: TrainSettings) -> Collection[str]:
        """Labels all of whose held-out photos it is to be fitted on, those too that are not needed to decide."""
        ...

    def check(self, dataset: Dataset, splits: Split, settings: TrainSettings) -> None:
        """Refuse what cannot be learned from these photos, before any work is done.

        Raises:
            UsageError, DataError: the settings ask for what the photos do not hold.
        """
        ...

    def fit(self, held: HeldOut) -> LateFit | None:
        """Learn from held-out photos, and decide on them whether that helps; None where it is not to be tried.

        Raises:
            ImageError, MissingExtraError, UsageError, DataError: it cannot be tried.
        """
        ...

    def untried(self, settings: TrainSettings) -> tuple[str, ...]:
        """What is to be said where too few photos can be held out to fit it, a sentence each."""
        ...

    def nothing(self) -> Any:
        """What the manifest records where it was not tried, in the form of `LateFit.facts`; None of nothing."""
        ...

    def save(self, knowledge: Any, folder: Path) -> None:
        """Write what was learned as files of a bundle."""
        ...

    def read(self, manifest: Mapping[str, Any]) -> Any:
        """What a bundle's manifest records, by whatever release it was written; None where this expert is not asked.

        Raises:
            ValueError, KeyError, TypeError: it is not what training wrote.
        """
        ...

    def files_of(self, facts: Any) -> tuple[str, ...]:
        """The files that such a bundle holds for it."""
        ...

    def load(self, recorded: Recorded, folder: Path, labels: tuple[str, ...]) -> Any:
        """What it is to be asked with; None where it cannot be asked on this machine, which the log then says.

        Raises:
            BundleError: the files cannot be understood, or are of other labels.
        """
        ...

    def parts(self, facts: Any) -> tuple[str, ...]:
        """What a file of the network alone leaves behind of it, in words that follow "the bundle's"."""
        ...
