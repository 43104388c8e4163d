"""Contents to answers: each content is looked at once, however many names it has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, BinaryIO

import numpy as np

from logolens.bundle.format import Bundle
from logolens.config import BACKGROUND, Limits, ScanSettings, VideoSettings
from logolens.errors import ImageError, MissingExtraError
from logolens.inference.classifier import Classifier, Prediction
from logolens.inference.watching import Watched, watch
from logolens.inference.word_sentences import word_json
from logolens.io.decoder_pool import Decoder
from logolens.io.images import open_rgb
from logolens.io.sources import stamp_of
from logolens.io.threads import processors
from logolens.io.video import open_video
from logolens.scan.prefetch import Content, Readers
from logolens.scan.records import Answer, ContentResult
from logolens.scan.thumbnails import Pictures

__all__ = ["ScanClassifier", "open_classifier"]

_PATIENCE = 0.3
"""Seconds to wait for a source before what was seen so far is answered. A slow site so keeps no answer back."""


class ScanClassifier:
    """A classifier, with the decode that it uses.

    Args:
        classifier: answers.
        pictures: its decode.
        wanted: given probabilities, whether a thumbnail is wanted of that image, and what near copies are found by.
        watch: given an open video, what is said of its frames.
    """

    def __init__(
        self,
        classifier: Classifier,
        pictures: Pictures,
        wanted: Callable[[Any], tuple[bool, bool]],
        watch: Callable[[BinaryIO], Watched],
    ) -> None:
        self._watch = watch
        self.classes = classifier.bundle.classes
        self._classifier, self._pictures, self._wanted = classifier, pictures, wanted
        self.classified = 0
        """How many contents were classified."""

    def run(
        self,
        readers: Readers,
        keep: Callable[[Answer], object],
        *,
        has: Callable[[str], bool] = lambda sha256: False,
        rest: Callable[[], object] = lambda: None,
    ) -> None:
        """Answer for all that the readers give.

        Args:
            readers: where contents come from.
            keep: is given each answer, in the calling thread. A content's own answer comes before those of its copies.
            has: whether a content's answer is known from before.
            rest: called whenever no content waits, for what is best done then.
        """
        videos: deque[Content] = deque()
        while not readers.finished:
            self._run(readers, keep, has, videos)
            rest()
            # A video is one unit: a run that is killed within it looks at it again.
            while videos:
                content = videos.popleft()
                assert content.sha256 is not None
                keep(_answer(content, None if has(content.sha256) else self._look_at_video(content)))
                rest()

    def _look_at_video(self, content: Content) -> ContentResult:
        assert content.video is not None
        self.classified += 1
        none = np.zeros(0, np.float32)
        try:
            # What may be larger was hashed: it was held to the limit then.
            with open_video(content.video, VideoSettings(max_video_bytes=1 << 62)) as file:
                watched = self._watch(file)
        except (ImageError, MissingExtraError) as error:
            return ContentResult(none, error=str(error).removeprefix(f"{content.name}: "))
        if stamp_of(content.video) != content.as_read:
            return ContentResult(
                none, error="The video changed while it was looked at; scan again once nothing writes to it."
            )
        return ContentResult(none, None, *watched.size, video=watched)

    def _run(
        self,
        readers: Readers,
        keep: Callable[[Answer], object],
        has: Callable[[str], bool],
        videos: deque[Content],
    ) -> None:
        asked: dict[str, list[Content]] = {}
        order: deque[Content] = deque()

        def images() -> Iterator[tuple[str, Callable[[], bytes]]]:
            while (content := readers.next(_PATIENCE)) is not None:
                sha256, data = content.sha256, content.data
                if content.video is not None:
                    videos.append(content)
                elif sha256 is None or data is None:
                    keep(_answer(content))
                elif sha256 in asked:
                    readers.release(content)
                    asked[sha256].append(content)
                elif has(sha256):
                    readers.release(content)
                    keep(_answer(content))
                else:
                    asked[sha256] = []
                    order.append(content)
                    yield content.name, lambda data=data: data  # type: ignore[misc]

        with closing(self._classifier.predict_each(images())) as predictions:  # type: ignore[type-var]
            for prediction in predictions:
                content = order.popleft()
                assert content.sha256 is not None
                result = self._look(content, prediction)
                readers.release(content)
                self.classified += 1
                keep(_answer(content, result))
                for copy in asked.pop(content.sha256):
                    keep(_answer(copy))

    def _look(self, content: Content, prediction: Prediction) -> ContentResult:
        assert content.data is not None
        seen = self._pictures.take(content.data)
        if prediction.error is not None:
            return ContentResult(np.zeros(0, np.float32), error=prediction.error)
        scores = np.array([prediction.scores[name] for name in self.classes], np.float32)
        thumbnail, near = self._wanted(scores)
        if seen is None and (thumbnail or near):
            seen = self._pictures.see(content.data)
        width, height = (None, None) if seen is None else seen.size
        return ContentResult(
            scores,
            prediction.box,
            width,
            height,
            None,
            seen.thumbnail() if seen and thumbnail else None,
            seen.near() if seen and near else None,
            _word(prediction),
        )


def _word(prediction: Prediction) -> dict[str, Any] | None:
    """The word that speaks for the likeliest label, and whether the answer rests on words alone."""
    best = next((label for label in prediction.scores if label != BACKGROUND), None)
    proof = next((proof for proof in prediction.words if proof.label == best), None)
    return None if proof is None else {**word_json(proof), "read": prediction.read}


def _answer(content: Content, result: ContentResult | None = None) -> Answer:
    return Answer(content.name, content.places, content.stamp, content.sha256, result, content.error)


@contextmanager
def open_classifier(
    bundle: Bundle,
    settings: ScanSettings,
    limits: Limits,
    wanted: Callable[[Any], tuple[bool, bool]],
    videos: VideoSettings = VideoSettings(),
) -> Iterator[ScanClassifier]:
    """A `ScanClassifier` for a bundle, with the processes that decode for it."""
    with ExitStack() as stack:
        threads = settings.threads or processors()
        decode: Callable[..., Any] = open_rgb
        if settings.isolate:
            decoder = stack.enter_context(Decoder(threads, settings.decode_settings()))
            decoder.prepare()
            decode = decoder
        pictures = Pictures(decode)
        classifier = Classifier(
            bundle,
            threads=threads,
            limits=limits,
            views=None if settings.views == "bundle" else settings.views,
            where=settings.locates,
            decode=pictures,
            device=settings.device,
        )

        def watched(file: BinaryIO) -> Watched:
            return watch(classifier, file, videos, limits, settings.decode_settings(), background=BACKGROUND)

        yield ScanClassifier(classifier, pictures, wanted, watched)
