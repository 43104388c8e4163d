"""Ask a bundle what an image shows. ONNX Runtime only: the core install is enough."""

from __future__ import annotations

import copy
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.bundle.format import Bundle, load_bundle
from logolens.bundle.hub import name_of
from logolens.config import BACKGROUND, Limits, SourceSettings, VideoSettings
from logolens.errors import BundleError
from logolens.inference.answering import Answering
from logolens.inference.inputs import ImageLike, inputs
from logolens.inference.parts import Parts
from logolens.inference.predictions import Predictions
from logolens.inference.results import Answer, Explanation, Kept, Logo, Prediction
from logolens.io.images import open_apart
from logolens.io.stopwatch import Stopwatch
from logolens.io.views import WHOLE, Decode, Picture, View
from logolens.models.calibration import choose
from logolens.models.cascade import OUTPUTS
from logolens.models.matcher import Matcher
from logolens.models.proposals import roi_pool
from logolens.models.session import Job, Outcome, Outputs, Session

if TYPE_CHECKING:
    from logolens.inference.videos import VideoPrediction

__all__ = ["Answer", "Classifier", "Explanation", "ImageLike", "Logo", "Prediction", "Predictions"]

_LOG = logging.getLogger(__name__)


class Classifier:
    """A bundle, ready to be asked. It may be used from several threads.

    Args:
        bundle: a loaded bundle; see `load`.
        threads: worker threads; all processors when None.
        limits: what is refused unread.
        views: where photos are looked at: "whole", "auto" or "tiles"; as the bundle was trained for when None.
        where: tell where the label is; costs up to four passes of the network more where no geometry tells it.
        every: tell every label that a photo shows, and every place of it.
        decode: turns encoded images into pixels.
        device: what the network runs on, one of `config.DEVICES`; auto is a GPU where ONNX Runtime has one.
        stopwatch: told where time goes, see `Stopwatch.spent`.

    Raises:
        DeviceError: the device is not there, or cannot be started.
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
        decode: Decode = open_apart,
        device: str = "auto",
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.bundle = bundle
        self.labels = bundle.labels
        self._parts = Parts(bundle)
        self._answering = Answering(bundle, self._parts, views=views, where=where, every=every)
        self._session = Session(
            bundle.model,
            bundle.preprocessing,
            threads=threads,
            limits=limits,
            outputs=("probabilities", "logits", *(OUTPUTS if self._answering.cascade is not None else ())),
            decode=decode,
            device=device,
            stopwatch=stopwatch,
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

    def turned(self, *, views: str | None = None, where: bool = False, every: bool = False) -> Self:
        """A classifier that looks elsewhere or tells more, over the same network; what both need is loaded once.

        This one must itself look closer or tell where, unless the bundle can do neither.

        Args:
            views: as of the class.
            where: as of the class.
            every: as of the class.

        Raises:
            BundleError: the bundle cannot be asked with these views.
        """
        other = copy.copy(self)
        other._answering = Answering(self.bundle, self._parts, views=views, where=where, every=every)
        if other._answering.cascade is not None and self._answering.cascade is None:
            raise BundleError(f"{self.bundle.path} was opened to look at whole photos only; open it to look closer.")
        return other

    @classmethod
    def load(cls, bundle: str | os.PathLike[str], **how: Any) -> Self:
        """Load and verify a bundle; the other arguments are those of the class, ``all`` for ``every``.

        Args:
            bundle: its folder, or ``hf://OWNER/NAME@REVISION`` on the Hugging Face Hub, from which it is then brought.
            how: the other arguments.

        Raises:
            BundleError: it is not a bundle, was altered, or cannot be run.
            DownloadError: it cannot be brought.
        """
        if "all" in how:  # As `predict` and the command line call it.
            how["every"] = how.pop("all")
        classifier = cls(load_bundle(bundle), **how)
        _LOG.info(
            "%s knows %d labels; photos are looked at in the way %s", bundle, len(classifier.labels), classifier.views
        )
        return classifier

    def predict(
        self,
        images: ImageLike | Iterable[ImageLike] | Any,
        *,
        where: bool | None = None,
        all: bool | None = None,
        sources: SourceSettings = SourceSettings(),
    ) -> Predictions:
        """Answer for one image or many.

        An image that cannot be read gives a prediction with its error and no label, and the others are answered.

        Args:
            images: paths, URLs, bytes, open binary files, Pillow images, or arrays of shape (height, width, 3), uint8 and RGB;
                one or an iterable of them, which may be a generator; or a DataFrame with a column ``path``, ``image``,
                ``file``, ``filename`` or ``url``.
            where: tell where the label is, as ``logolens predict --where``; as the classifier was made when None.
            all: tell every label that a photo shows, each with its place, as ``--all``; likewise.
            sources: how URLs are asked for. Those that lead to private or local addresses are refused unless it says otherwise.

        Raises:
            UsageError: something is no image, as an array of another shape or type.
            MissingExtraError: an URL is among them, and the extra ``web`` is not installed.
            BundleError: where or all is asked of a classifier that was opened to look at whole photos only.
        """
        asked = self
        if where is not None or all is not None:
            now = self._answering
            every = now.every if all is None else all
            asked = self.turned(views=now.views, where=now.where if where is None else where, every=every)
        shown: deque[Any] = deque()

        def reads() -> Iterator[tuple[str, Callable[[], bytes]]]:
            for name, read, again in inputs(images, self._session.limits, sources):
                shown.append(again)
                yield name, read

        return Predictions(replace(one, shown=shown.popleft()) for one in asked.predict_each(reads()))

    def predict_proba(self, images: ImageLike | Iterable[ImageLike] | Any) -> npt.NDArray[np.float64]:
        """The probability of each of `classes`, for images as of `predict`.

        Returns:
            float64 of shape (images, classes); each row sums to one. Of an image that cannot be read it is NaN.
        """
        rows = [
            np.full(len(self.classes), np.nan) if isinstance(answer, str) else answer.probabilities
            for answer in self.answers_each((name, read) for name, read, _ in inputs(images, self._session.limits))
        ]
        return np.array(rows, np.float64).reshape(-1, len(self.classes))

    def embed(self, images: ImageLike | Iterable[ImageLike] | Any) -> npt.NDArray[np.float32]:
        """The features of whole images, as the bundle's head sees them: alike images have features that point alike.

        Args:
            images: as of `predict`.

        Returns:
            float32 of shape (images, features). Of an image that cannot be read it is NaN.

        Raises:
            BundleError: the bundle is of an early version whose network does not give its maps.
        """
        session = self._parts.embedding_session(self._session)
        pooling = str(self.bundle.manifest.get("settings", {}).get("pooling", "rich"))

        def pooled(outputs: Outputs) -> npt.NDArray[np.float32]:
            last, middle = (outputs[name][0] for name in OUTPUTS)
            whole = np.array([[0, 0, last.shape[2], last.shape[1]]], np.int64)
            features: npt.NDArray[np.float32] = roi_pool(last, middle, whole, pooling)[0]
            return features

        named = inputs(images, self._session.limits)
        rows = [outcome.value for outcome in session.look(Job(read, answer=pooled) for _, read, _ in named)]
        width = next((len(row) for row in rows if row is not None), 0)
        return np.array([np.full(width, np.nan) if row is None else row for row in rows], np.float32).reshape(
            len(rows), width
        )

    @property
    def views(self) -> str:
        """Where photos are looked at: "whole", "auto" or "tiles"."""
        return self._answering.views

    @property
    def threshold(self) -> float | None:
        """The score from which a photo gets a label; None where the bundle knows no ``none``."""
        return self._answering.threshold

    @property
    def matcher(self) -> Matcher | None:
        """The drawings that are known; None where nobody asks them."""
        return self._answering.matcher

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the columns of `predict_proba`: the labels, and ``none`` last where the bundle knows it."""
        return self.bundle.classes

    def __repr__(self) -> str:
        none = " and none" if self._answering.background else ""
        return f"Classifier({name_of(self.bundle.path)}: {len(self.labels)} labels{none}, views {self.views})"

    def predict_each(self, images: Iterable[tuple[str, Callable[[], bytes]]]) -> Iterator[Prediction]:
        """Answer for (name, read) pairs as they come, in their order; memory stays flat however many there are."""
        for name, answer in self._each(images):
            yield self._prediction(name, answer)

    def predict_decoded(self, images: Iterable[tuple[str, Image.Image]]) -> Iterator[Prediction]:
        """As `predict_each`, for (name, image) pairs of images that are decoded already: RGB and upright."""
        names: deque[str] = deque()

        def jobs() -> Iterator[Job]:
            for name, image in images:
                names.append(name)
                yield self.job(Picture.of(image, self.bundle.preprocessing))

        for outcome in self._session.look(jobs()):
            yield self.to_prediction(names.popleft(), outcome)

    def predict_video(
        self, path: str | os.PathLike[str], *, where: bool | None = None, settings: VideoSettings = VideoSettings()
    ) -> VideoPrediction:
        """Say which logos a video shows, when, for how long, and how large. A video that cannot be read gives its error.

        Args:
            path: a video file: MP4, MOV, WebM, MKV, AVI and others that FFmpeg reads.
            where: tell where in the frames logos are, and so how large; when None, it is told unless photos are looked at as
                a whole only.
            settings: how many frames are looked at, and how much of the video.

        Raises:
            MissingExtraError: the extra ``video`` is not installed.
            BundleError: where is asked of a classifier that was opened to look at whole photos only.
        """
        from logolens.inference.videos import predict_video

        now = self._answering
        boxes = (now.cascade is not None and self.views != "whole") or now.where if where is None else where
        asked = self if boxes == now.where else self.turned(views=now.views, where=boxes, every=now.every)
        return predict_video(asked, path, settings, self._session.limits)

    def _prediction(self, name: str, answer: Answer | str) -> Prediction:
        if isinstance(answer, str):
            return Prediction(name, None, None, {}, answer)
        probabilities = answer.probabilities
        order = np.argsort(-probabilities, kind="stable")
        scores = {self.bundle.classes[i]: float(probabilities[i]) for i in order}
        label = self.bundle.classes[choose(probabilities, self._answering.background)]
        read = answer.read and label != BACKGROUND
        return Prediction(name, label, scores[label], scores, None, answer.box, answer.logos, answer.words, read)

    def answers_each(self, images: Iterable[tuple[str, Callable[[], bytes]]]) -> Iterator[Answer | str]:
        """For (name, read) pairs, in their order: the numbers behind the prediction, or the error."""
        for _, answer in self._each(images):
            yield answer

    def crops_each(self, images: Iterable[tuple[str, Callable[[], bytes], View]]) -> Iterator[Answer | str]:
        """As `answers_each`, for (name, read, view) triples: the view is asked about as if it were the photo."""
        for _, answer in self._within(images):
            yield answer

    def explain(self, image: ImageLike) -> tuple[Prediction, Explanation | None]:
        """The answer for one image, and what it rests on; None where the image cannot be read.

        Raises:
            BundleError: the bundle was trained to look at whole photos only, and has nothing to show.
        """
        ((name, read, shown),) = inputs(image, self._session.limits)
        kept: list[Kept] = []
        outcome = next(self._session.look([self.job(read, keep=kept)]))
        prediction = replace(self.to_prediction(name, outcome), shown=shown)
        return prediction, self.explanation(outcome.value, kept[0]) if outcome.error is None else None

    def open(self, data: bytes) -> Picture:
        """An image, decoded as its whole view needs it, for `job`.

        Raises:
            ImageError: it cannot be decoded.
        """
        return self._session.open(data)

    def job(self, read: Callable[[], bytes] | Picture, keep: list[Kept] | None = None) -> Job:
        """One image's way to its answer, for `together`.

        Args:
            read: gives the image's bytes; or the image, opened before.
            keep: is given what was seen on the way, for `explanation`.

        Raises:
            BundleError: something is to be kept, and the bundle looks at whole photos only here.
        """
        answering = self._answering
        if keep is not None and answering.cascade is None:
            raise BundleError(
                f"{self.bundle.path} looks at whole photos only here, so there is nothing to explain; use a bundle trained "
                "with --views auto, and ask it with the same."
            )
        picture, read = (read, bytes) if isinstance(read, Picture) else (None, read)
        if answering.cascade is None:
            return Job(read, answer=lambda outputs: answering.answer_whole(outputs["logits"]), picture=picture)
        return Job(read, steps=partial(answering.steps, keep=keep), picture=picture)

    def shares(self, other: Classifier) -> bool:
        """Whether `together` may be given jobs of both."""
        return self._session is other._session

    def together(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Answer jobs side by side in this thread; they may be those of classifiers that were `turned` from one another."""
        return self._session.together(jobs)

    def to_prediction(self, name: str, outcome: Outcome) -> Prediction:
        """What a job came to, as the prediction of the image of this name."""
        return self._prediction(name, _without(name, outcome.error) or outcome.value)

    def explanation(self, answer: Answer, kept: Kept) -> Explanation:
        """What an answer rests on, given what the job kept."""
        return self._answering.explanation(answer, kept)

    def _each(self, images: Iterable[tuple[str, Callable[[], bytes]]]) -> Iterator[tuple[str, Answer | str]]:
        return self._within((name, read, WHOLE) for name, read in images)

    def _within(self, images: Iterable[tuple[str, Callable[[], bytes], View]]) -> Iterator[tuple[str, Answer | str]]:
        names: deque[str] = deque()

        def jobs() -> Iterator[Job]:
            for name, read, view in images:
                names.append(name)
                yield replace(self.job(read), within=view)

        for outcome in self._session.look(jobs()):
            name = names.popleft()
            yield name, _without(name, outcome.error) or outcome.value


def _without(name: str, error: str | None) -> str | None:
    """An error whose name is told beside it."""
    return None if error is None else error.removeprefix(f"{name}: ")
