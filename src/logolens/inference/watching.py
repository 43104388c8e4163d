"""A video's frames through a classifier: what it says of each, with a small picture of the surest one of each label."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import DecodeSettings, Limits, VideoSettings
from logolens.errors import ImageError
from logolens.inference.results import Logo, Prediction
from logolens.io.video import VideoReader
from logolens.types import Box

__all__ = ["Watched", "Watcher", "watch"]

_STILL_SIDE = 320
_STILL_QUALITY = 80
_STILL_LEAST = 0.1
"""Probability from which a picture of a label's surest frame is kept."""


class Watcher(Protocol):
    """What answers for images that are decoded already: a `Classifier`."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the scores."""

    def predict_decoded(self, images: Iterable[tuple[str, Image.Image]]) -> Iterator[Prediction]:
        """Answer for (name, image) pairs as they come, in their order."""


@dataclass(frozen=True)
class Watched:
    """What a classifier says of a video, frame by frame.

    Attributes:
        classes: the names of the scores.
        end: how many seconds of the video were looked at.
        size: width and height of the upright frames in pixels.
        fps: how many frames of a second were looked at, at the most.
        at: times of the frames that were looked at, in seconds; float64 of shape (frames,).
        began: since when what each shows is seen; likewise.
        scores: the probability of each class in each frame; float32 of shape (frames, classes).
        labels: for each frame the answer, as a number among the classes.
        logos: for each frame the logos whose place is known, as (number among the classes, confidence, box).
        stills: small JPEGs by the number of their frame, those of the surest frame of each label among them.
        note: what was left out of the video, as a sentence, or nothing.
    """

    classes: tuple[str, ...]
    end: float
    size: tuple[int, int]
    fps: float
    at: npt.NDArray[np.float64]
    began: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    logos: tuple[tuple[tuple[int, float, Box], ...], ...]
    stills: dict[int, bytes] = field(default_factory=dict)
    note: str = ""

    def boxes(self, label: int) -> list[Box | None]:
        """Where a class is in each frame: its largest box, or None."""
        found: list[Box | None] = []
        for logos in self.logos:
            its = [box for number, _, box in logos if number == label]
            found.append(max(its, key=lambda box: (box[2] - box[0]) * (box[3] - box[1])) if its else None)
        return found

    def still(self, frame: int) -> bytes | None:
        """The picture of a frame, or of the nearest one that was kept."""
        near = min(self.stills, key=lambda number: abs(number - frame), default=None)
        return None if near is None else self.stills[near]


def watch(
    watcher: Watcher,
    file: BinaryIO,
    settings: VideoSettings = VideoSettings(),
    limits: Limits = Limits(),
    decode: DecodeSettings = DecodeSettings(),
    *,
    background: str,
    on_frame: Callable[[float], object] = lambda at: None,
) -> Watched:
    """Look at a video.

    Args:
        watcher: answers.
        file: the video, open for reading.
        settings: how often it is looked at, and how much of it.
        limits: how large its frames may be.
        decode: what decoding it may take.
        background: the class of which no picture is kept.
        on_frame: told the time of each frame that was answered for.

    Raises:
        ImageError: it cannot be read.
        MissingExtraError: the extra ``video`` is not installed.
        WorkerError: no process can be started.
    """
    reader = VideoReader(file, settings, limits, decode)
    waiting: deque[tuple[float, float, Image.Image]] = deque()
    known = {name: number for number, name in enumerate(watcher.classes)}
    stills = _Stills([number for name, number in known.items() if name != background])
    frames: list[tuple[float, float]] = []
    rows: list[npt.NDArray[np.float32]] = []
    labels: list[int] = []
    logos: list[tuple[tuple[int, float, Box], ...]] = []

    def images() -> Iterator[tuple[str, Image.Image]]:
        with closing(reader.frames()) as drawn:  # type: ignore[type-var]
            for frame in drawn:
                small = frame.image.copy()
                small.thumbnail((_STILL_SIDE, _STILL_SIDE), Image.Resampling.BILINEAR)
                waiting.append((frame.at, frame.began, small))
                yield f"{frame.at:.3f}", frame.image

    with closing(watcher.predict_decoded(images())) as answers:  # type: ignore[type-var]
        for answer in answers:
            at, began, small = waiting.popleft()
            if answer.error is not None or answer.label is None:
                raise ImageError(answer.error or "A frame of the video cannot be looked at.")
            row = np.array([answer.scores[name] for name in watcher.classes], np.float32)
            for logo in answer.logos or ():
                row[known[logo.label]] = max(row[known[logo.label]], logo.confidence)
            frames.append((at, began))
            rows.append(row)
            labels.append(known[answer.label])
            logos.append(_placed(answer, known))
            stills.offer(len(rows) - 1, row, small)
            on_frame(at)
    times = np.array(frames, np.float64).reshape(-1, 2)
    return Watched(
        watcher.classes,
        reader.end,
        reader.size,
        settings.fps,
        times[:, 0],
        times[:, 1],
        np.array(rows, np.float32).reshape(-1, len(known)),
        np.array(labels, np.int64),
        tuple(logos),
        stills.kept(),
        reader.note,
    )


def _placed(answer: Prediction, known: dict[str, int]) -> tuple[tuple[int, float, Box], ...]:
    found: list[Logo] = list(answer.logos or ())
    if not found and answer.box is not None and answer.label is not None and answer.confidence is not None:
        found = [Logo(answer.label, answer.confidence, answer.box)]
    return tuple((known[logo.label], logo.confidence, logo.box) for logo in found)


class _Stills:
    """Small pictures of the surest frame of each label so far."""

    def __init__(self, labels: list[int]) -> None:
        self._labels = np.array(labels, np.int64)
        self._best = np.full(len(labels), _STILL_LEAST, np.float32)
        self._of: dict[int, int] = {}
        self._pictures: dict[int, Any] = {}

    def offer(self, frame: int, scores: npt.NDArray[np.float32], picture: Image.Image) -> None:
        its = scores[self._labels]
        better = np.flatnonzero(its > self._best)
        if not self._pictures:
            self._pictures[frame] = picture  # Of a video in which nothing is found, the first.
        if not len(better):
            return
        self._best[better] = its[better]
        self._of |= dict.fromkeys(map(int, better), frame)
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=_STILL_QUALITY)
        self._pictures[frame] = out.getvalue()
        kept = set(self._of.values())
        self._pictures = {number: its for number, its in self._pictures.items() if number in kept}

    def kept(self) -> dict[int, bytes]:
        for number, picture in self._pictures.items():
            if not isinstance(picture, bytes):
                out = io.BytesIO()
                picture.save(out, "JPEG", quality=_STILL_QUALITY)
                self._pictures[number] = out.getvalue()
        return dict(self._pictures)
