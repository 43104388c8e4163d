"""Ask a bundle what an image shows. ONNX Runtime only: the core install is enough."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.bundle import MATCHER, Bundle, load_bundle
from logolens.calibration import choose
from logolens.config import BACKGROUND, Limits
from logolens.errors import BundleError
from logolens.images import as_rgb, open_rgb, read_bytes
from logolens.matcher import Matcher
from logolens.session import Job, Session

__all__ = ["Classifier", "Prediction"]

ImageLike = str | os.PathLike[str] | bytes | Image.Image


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
    """

    image: str
    label: str | None
    confidence: float | None
    scores: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """The object that ``logolens predict --json`` prints, with the ``top`` best scores (all by default)."""
        best = dict(list(self.scores.items())[:top])
        return {
            "image": self.image,
            "label": self.label,
            "confidence": self.confidence,
            "scores": best,
            "error": self.error,
        }


class Classifier:
    """A bundle, ready to be asked. It may be used from several threads.

    Args:
        bundle: a loaded bundle; see `load`.
        threads: worker threads; all processors when None.
        limits: what is refused unread.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None, limits: Limits = Limits()) -> None:
        self.bundle = bundle
        self.labels = bundle.labels
        self._matcher = Matcher.load(bundle.path / MATCHER) if bundle.stack.matcher else None
        if self._matcher is not None and self._matcher.labels != self.labels:
            raise BundleError(f"{bundle.path}: the matcher has other labels than the network; train the bundle again.")
        self._session = Session(
            bundle.model,
            bundle.preprocessing,
            threads=threads,
            limits=limits,
            beside=self._match if self._matcher is not None else None,
        )
        try:
            self._probabilities = self._session.output_names.index("probabilities")
            probe = self._session.run(np.zeros((1, bundle.preprocessing.size, bundle.preprocessing.size, 3), np.uint8))
        except Exception as error:  # ONNX Runtime raises its own types, all straight from Exception.
            raise BundleError(
                f"{bundle.path}: the model does not take or give what a bundle's must ({error})."
            ) from error
        if probe[self._probabilities].shape[1] != len(bundle.classes):
            raise BundleError(
                f"{bundle.path}: the model has {probe[self._probabilities].shape[1]} outputs and labels.txt "
                f"{len(bundle.classes)} lines; copy or train the bundle again."
            )

    @classmethod
    def load(cls, bundle: str | os.PathLike[str], *, threads: int | None = None, limits: Limits = Limits()) -> Self:
        """Load and verify a bundle.

        Raises:
            BundleError: it is not a bundle, was altered, or cannot be run.
        """
        return cls(load_bundle(bundle), threads=threads, limits=limits)

    def predict(self, images: ImageLike | Sequence[ImageLike]) -> list[Prediction]:
        """Answer for images: paths, encoded bytes, or Pillow images; one or a sequence of them.

        An image that cannot be read gives a prediction with its error and no label, and the others are answered.
        """
        several = [images] if isinstance(images, (str, os.PathLike, bytes, Image.Image)) else images
        return list(self.predict_each(self._named(image, number) for number, image in enumerate(several)))

    def predict_each(self, images: Iterable[tuple[str, Callable[[], bytes]]]) -> Iterator[Prediction]:
        """Answer for (name, read) pairs as they come, in their order; memory stays flat however many there are."""
        for name, answer in self._each(images):
            yield self._answer(name, answer)

    def logits_each(self, images: Iterable[tuple[str, Callable[[], bytes]]]) -> Iterator[npt.NDArray[np.float64] | str]:
        """For (name, read) pairs, in their order: probabilities and logits, float64 of shape (2, classes), or the error."""
        for _, answer in self._each(images):
            yield answer

    def _each(
        self, images: Iterable[tuple[str, Callable[[], bytes]]]
    ) -> Iterator[tuple[str, npt.NDArray[np.float64] | str]]:
        names: deque[str] = deque()

        def jobs() -> Iterator[Job]:
            for name, read in images:
                names.append(name)
                yield Job(read)

        order = [self._session.output_names.index(name) for name in ("probabilities", "logits")]
        for outcome in self._session.look(jobs()):
            name = names.popleft()
            if outcome.error is not None:
                yield name, outcome.error.removeprefix(f"{name}: ")
            else:
                answer = np.stack([outcome.outputs[number][0] for number in order]).astype(np.float64)
                if outcome.beside is not None:
                    logits = self.bundle.stack.logits(answer[1:], outcome.beside[None])
                    answer = np.concatenate([self.bundle.calibration.probabilities(logits), logits])
                yield name, answer

    def _match(self, data: bytes) -> npt.NDArray[np.float64]:
        """The matcher's evidence for each label in one photo."""
        assert self._matcher is not None
        return self._matcher.match(open_rgb(data, limits=self._session.limits)).scores()

    def _answer(self, name: str, answer: npt.NDArray[np.float64] | str) -> Prediction:
        if isinstance(answer, str):
            return Prediction(name, None, None, {}, answer)
        probabilities = answer[0]
        order = np.argsort(-probabilities, kind="stable")
        scores = {self.bundle.classes[i]: float(probabilities[i]) for i in order}
        label = self.bundle.classes[choose(probabilities, BACKGROUND in self.bundle.classes)]
        return Prediction(name, label, scores[label], scores)

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
