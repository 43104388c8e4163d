"""Ask a bundle what an image shows. ONNX Runtime only: the core install is enough."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.bundle import LOCALISER, MATCHER, Bundle, load_bundle, read_head
from logolens.calibration import choose, margins
from logolens.cascade import OUTPUTS, Cascade, Seen
from logolens.config import BACKGROUND, Limits
from logolens.errors import BundleError
from logolens.images import as_rgb, open_rgb, read_bytes
from logolens.localise import Localiser
from logolens.matcher import Match, Matcher
from logolens.session import Job, Outputs, Session, Steps
from logolens.stack import Stack
from logolens.views import WHOLE, Decode, Picture, View
from logolens.where import Finder, best_match, heat
from logolens.windows import overlap

__all__ = ["Answer", "Classifier", "Explanation", "Logo", "Prediction"]

Box = tuple[float, float, float, float]

_SAME = 0.3
"""Intersection over union from which two labels' boxes are one logo, which then is the likelier one's."""

ImageLike = str | os.PathLike[str] | bytes | Image.Image


@dataclass(frozen=True)
class Logo:
    """One logo of a photo.

    Attributes:
        label: which.
        confidence: how likely it is there at all, from 0 to 1.
        box: (x1, y1, x2, y2) in fractions of the photo's width and height.
    """

    label: str
    confidence: float
    box: Box


@dataclass(frozen=True)
class Prediction:
    """The answer for one image.

    Attributes:
        image: the image's name, as it was given.
        label: ``none`` where the bundle knows the background and a logo is less likely than not; else the label with the
            highest score, ``none`` aside; None when the image could not be read.
        confidence: the answer's score, from 0 to 1.
        scores: the probability of each label, highest first; they sum to one.
        error: why the image could not be read, as a sentence; None when it could.
        box: where the label is, (x1, y1, x2, y2) in fractions of the image's width and height; None of ``none``, or where it
            was not asked for.
        logos: every label that is above its threshold, where all were asked for; the surest first.
    """

    image: str
    label: str | None
    confidence: float | None
    scores: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    box: Box | None = None
    logos: tuple[Logo, ...] | None = None

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """The object that ``logolens predict --json`` prints, with the ``top`` best scores (all by default)."""
        found: dict[str, Any] = {
            "image": self.image,
            "label": self.label,
            "confidence": self.confidence,
            "scores": dict(list(self.scores.items())[:top]),
            "box": None if self.box is None else [round(edge, 4) for edge in self.box],
            "error": self.error,
        }
        if self.logos is not None:
            found["logos"] = [
                {"label": logo.label, "confidence": logo.confidence, "box": [round(edge, 4) for edge in logo.box]}
                for logo in self.logos
            ]
        return found


@dataclass(frozen=True)
class Answer:
    """What a bundle says of one image, in numbers.

    Attributes:
        labels: probabilities of the labels, given that one of them shows; float64 of shape (labels,).
        score: what speaks for a logo being there; the bundle's threshold is in its unit. None without a background.
        probabilities: of all outputs, the background's last where there is one; float64 of shape (outputs,).
        box: as of `Prediction`.
        logos: as of `Prediction`.
    """

    labels: npt.NDArray[np.float64]
    score: float | None
    probabilities: npt.NDArray[np.float64]
    box: Box | None = None
    logos: tuple[Logo, ...] | None = None


@dataclass(frozen=True)
class Explanation:
    """What an answer rests on.

    Attributes:
        label: the answer, or the likeliest label where the answer is ``none``.
        heat: how much speaks for the label in each cell of the photo, in logits; float64 of shape (rows, columns).
        views: where was looked.
        match: the reference that geometry found, with the points that prove it; None where there is none.
        size: width and height of the image that the match's pixels are of.
    """

    label: str
    heat: npt.NDArray[np.float64]
    views: tuple[View, ...]
    match: Match | None
    size: tuple[int, int]


class Classifier:
    """A bundle, ready to be asked. It may be used from several threads.

    Args:
        bundle: a loaded bundle; see `load`.
        threads: worker threads; all processors when None.
        limits: what is refused unread.
        views: where photos are looked at: "whole", "auto" or "tiles"; as the bundle was trained for when None.
        where: tell where the label is; costs up to four passes of the network more where no geometry tells it.
        every: tell every label that a photo shows, each with its place.
        decode: turns encoded images into pixels.

    Raises:
        BundleError: the bundle cannot be run, or not with these views.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int | None = None,
        limits: Limits = Limits(),
        views: str | None = None,
        where: bool = False,
        every: bool = False,
        decode: Decode = open_rgb,
    ) -> None:
        self.bundle = bundle
        self.labels = bundle.labels
        closer = bundle.closer
        self.views = views or (closer.views if closer is not None else "whole")
        if self.views != "whole" and closer is None:
            raise BundleError(
                f"{bundle.path} was trained to look at whole photos only, so views cannot be {self.views}; train it again "
                "with --views auto."
            )
        self._where, self._every = where or every, every
        self._closer = closer if self.views != "whole" else None
        self._background = BACKGROUND in bundle.classes
        self.threshold = (self._closer or bundle).calibration.threshold
        self.matcher: Matcher | None = None
        self._head, self._cascade, self._finder = None, None, None
        if closer is not None and (self._closer is not None or self._where):
            self._head = read_head(closer.head, bundle.path)
            localiser = None
            if closer.localiser is not None and self._where:
                localiser = Localiser.load(closer.localiser, bundle.path / LOCALISER)
            if self._closer is not None and closer.matcher:
                self.matcher = Matcher.load(bundle.path / MATCHER)
                if self.matcher.labels != self.labels:
                    raise BundleError(
                        f"{bundle.path}: the matcher has other labels than the network; train the bundle again."
                    )
            self._finder = Finder(self._head, localiser, self._background, closer.pooling, self.matcher)
            stack = closer.stack if self._closer is not None else Stack()
            self._cascade = Cascade(
                stack,
                background=self._background,
                pooling=closer.pooling,
                matcher=self.matcher,
                mode=self.views,
            )
        self._session = Session(
            bundle.model,
            bundle.preprocessing,
            threads=threads,
            limits=limits,
            outputs=("probabilities", "logits", *(OUTPUTS if self._cascade is not None else ())),
            decode=decode,
        )
        try:
            probe = self._session.run(np.zeros((1, bundle.preprocessing.size, bundle.preprocessing.size, 3), np.uint8))
        except Exception as error:  # ONNX Runtime raises its own types, all straight from Exception.
            raise BundleError(
                f"{bundle.path}: the model does not take or give what a bundle's must ({error})."
            ) from error
        if probe[0].shape[1] != len(bundle.classes):
            raise BundleError(
                f"{bundle.path}: the model has {probe[0].shape[1]} outputs and labels.txt "
                f"{len(bundle.classes)} lines; copy or train the bundle again."
            )

    @classmethod
    def load(cls, bundle: str | os.PathLike[str], **how: Any) -> Self:
        """Load and verify a bundle; the other arguments are those of the class.

        Raises:
            BundleError: it is not a bundle, was altered, or cannot be run.
        """
        return cls(load_bundle(bundle), **how)

    def predict(self, images: ImageLike | Sequence[ImageLike]) -> list[Prediction]:
        """Answer for images: paths, encoded bytes, or Pillow images; one or a sequence of them.

        An image that cannot be read gives a prediction with its error and no label, and the others are answered.
        """
        several = [images] if isinstance(images, (str, os.PathLike, bytes, Image.Image)) else images
        return list(self.predict_each(self._named(image, number) for number, image in enumerate(several)))

    def predict_each(self, images: Iterable[tuple[str, Callable[[], bytes]]]) -> Iterator[Prediction]:
        """Answer for (name, read) pairs as they come, in their order; memory stays flat however many there are."""
        for name, answer in self._each(images):
            if isinstance(answer, str):
                yield Prediction(name, None, None, {}, answer)
                continue
            probabilities = answer.probabilities
            order = np.argsort(-probabilities, kind="stable")
            scores = {self.bundle.classes[i]: float(probabilities[i]) for i in order}
            label = self.bundle.classes[choose(probabilities, self._background)]
            yield Prediction(name, label, scores[label], scores, None, answer.box, answer.logos)

    def answers_each(self, images: Iterable[tuple[str, Callable[[], bytes]]]) -> Iterator[Answer | str]:
        """For (name, read) pairs, in their order: the numbers behind the prediction, or the error."""
        for _, answer in self._each(images):
            yield answer

    def explain(self, image: ImageLike) -> tuple[Prediction, Explanation | None]:
        """The answer for one image, and what it rests on; None where the image cannot be read.

        Raises:
            BundleError: the bundle was trained to look at whole photos only, and has nothing to show.
        """
        if self._cascade is None or self._head is None or self._closer is None:
            raise BundleError(
                f"{self.bundle.path} looks at whole photos only here, so there is nothing to explain; use a bundle trained "
                "with --views auto, and ask it with the same."
            )
        name, read = self._named(image, 0)
        kept: list[Seen] = []
        job = Job(read, steps=partial(self._look, keep=kept))
        outcome = next(self._session.look([job]))
        if outcome.error is not None:
            return Prediction(name, None, None, {}, outcome.error.removeprefix(f"{name}: ")), None
        (prediction,) = self.predict_each([(name, read)])
        label = (
            prediction.label
            if prediction.label in self.labels
            else max(self.labels, key=lambda one: prediction.scores[one])
        )
        seen = kept[0]
        cells = heat(
            seen.maps[0],
            self._head,
            self.labels.index(label),
            background=self._background,
            pooling=self._closer.pooling,
        )
        return prediction, Explanation(label, cells, seen.views, best_match(seen.matches, label), seen.size)

    def _each(self, images: Iterable[tuple[str, Callable[[], bytes]]]) -> Iterator[tuple[str, Answer | str]]:
        names: deque[str] = deque()

        def jobs() -> Iterator[Job]:
            for name, read in images:
                names.append(name)
                yield Job(read, steps=self._look)

        for outcome in self._session.look(jobs()):
            name = names.popleft()
            yield name, outcome.value if outcome.error is None else outcome.error.removeprefix(f"{name}: ")

    def _look(self, picture: Picture, keep: list[Seen] | None = None) -> Steps:
        """One photo's way from its views to the answer."""
        if self._cascade is None or self._head is None:
            outputs = yield (WHOLE,)
            return self._whole(outputs["probabilities"], outputs["logits"])
        seen = yield from self._cascade.look(picture, self._head)
        if keep is not None:
            keep.append(seen)
        if self._closer is None:
            # Looked at as a whole, and asked where.
            outputs = yield (WHOLE,)
            answer = self._whole(outputs["probabilities"], outputs["logits"])
        else:
            stack, calibration = self._closer.stack, self._closer.calibration
            labels = replace(calibration, threshold=None).labels(stack.logits(seen.evidence))
            score = stack.score(seen.evidence) if self._background else None
            probabilities = labels if score is None else calibration.joint(labels, score)
            answer = Answer(labels[0], None if score is None else float(score[0]), probabilities[0])
        if not self._where or self._finder is None:
            return answer
        chosen = choose(answer.probabilities, self._background)
        box = None
        if self.bundle.classes[chosen] != BACKGROUND:
            label = int(answer.labels.argmax())
            box = yield from self._finder.find(picture, seen, label, self.labels[label])
        logos = None
        if self._every:
            logos = yield from self._logos(picture, seen, answer, box)
        return replace(answer, box=box, logos=logos)

    def _whole(self, probabilities: npt.NDArray[np.float32], logits: npt.NDArray[np.float32]) -> Answer:
        labels = self.bundle.calibration.labels(logits)[0]
        score = float(margins(logits)[0]) if self._background else None
        return Answer(labels, score, probabilities[0].astype(np.float64))

    def _logos(
        self, picture: Picture, seen: Seen, answer: Answer, box: Box | None
    ) -> Generator[Sequence[View], Outputs, tuple[Logo, ...]]:
        """Every label that is likelier there than not, each at a place of its own."""
        if self.threshold is None:
            best = int(answer.labels.argmax())
            return (Logo(self.labels[best], float(answer.labels[best]), box),) if box is not None else ()
        calibration = (self._closer or self.bundle).calibration
        stack = self._closer.stack if self._closer is not None else Stack()
        scores = stack.shows(seen.evidence)[0]
        chances = 1.0 / (1.0 + np.exp(-np.clip(calibration.slope * (scores - self.threshold), -50, 50)))
        assert self._finder is not None
        found: list[Logo] = []
        for label in np.argsort(-chances, kind="stable").tolist():
            if chances[label] <= 0.5:
                break
            place = yield from self._finder.find(picture, seen, label, self.labels[label])
            if not found or overlap(place, [logo.box for logo in found]).max() < _SAME:
                found.append(Logo(self.labels[label], float(chances[label]), place))
        return tuple(found)

    def _named(self, image: ImageLike, number: int) -> tuple[str, Callable[[], bytes]]:
        if isinstance(image, bytes):
            return f"image {number + 1}", lambda: image
        if isinstance(image, Image.Image):
            return getattr(image, "filename", "") or f"image {number + 1}", lambda: _encode(image)
        path = Path(image)
        return os.fspath(image), lambda: read_bytes(path, self._session.limits)


def _encode(image: Image.Image) -> bytes:
    """A Pillow image as bytes without loss, so that it takes the same road as a file."""
    out = io.BytesIO()
    as_rgb(image).save(out, "PNG", compress_level=1)
    return out.getvalue()
