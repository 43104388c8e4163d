"""What a bundle says of a video: which logos are seen, when, how long and how large, with a picture of each."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from logolens.config import BACKGROUND, DecodeSettings, Limits, VideoSettings
from logolens.errors import ImageError
from logolens.inference.appearances import FLICKER, STAYS, Appearance, appearances, total
from logolens.inference.watching import Watched, Watcher, watch
from logolens.io.names import text_of
from logolens.io.video import open_video
from logolens.types import Box

__all__ = ["VideoLogo", "VideoPrediction", "appearance_json", "predict_video", "time_text", "video_logos"]


@dataclass(frozen=True)
class VideoLogo:
    """A logo that is seen in a video.

    Attributes:
        label: which.
        appearances: when, in order.
        seconds: how long in all.
        confidence: the answer's, at the surest frame.
        at: the time of the surest frame, in seconds.
        box: where it is there, (x1, y1, x2, y2) in fractions of the frame's width and height; None where that is not told.
        share: the part of the frame's area that its box takes, the mean over time; None without boxes.
        largest: the same, at the most.
        still: the surest frame as a small JPEG.
    """

    label: str
    appearances: tuple[Appearance, ...]
    seconds: float
    confidence: float
    at: float
    box: Box | None = None
    share: float | None = None
    largest: float | None = None
    still: bytes | None = field(default=None, repr=False, compare=False)

    def image(self) -> Image.Image | None:
        """The surest frame, at most 320 pixels a side; None where none was kept."""
        return _opened(self.still)

    def to_json(self) -> dict[str, Any]:
        """A member of ``logos`` in what `VideoPrediction.to_json` gives."""
        return {
            "label": self.label,
            "seconds": round(self.seconds, 3),
            "confidence": self.confidence,
            "at": round(self.at, 3),
            "box": None if self.box is None else [round(edge, 4) for edge in self.box],
            "share": None if self.share is None else round(self.share, 4),
            "largest": None if self.largest is None else round(self.largest, 4),
            "appearances": [appearance_json(one) for one in self.appearances],
        }


@dataclass(frozen=True)
class VideoPrediction:
    """The answer for one video.

    Attributes:
        video: its name, as it was given.
        label: of the logo that is seen longest; ``none`` where none is seen; None when the video could not be read.
        confidence: that logo's; of ``none`` the least that any frame has for it; None when it could not be read.
        logos: the logos that are seen, the one seen longest first.
        seconds: how many seconds of the video were looked at.
        frames: how many frames were looked at. What hardly differs from the frame before is not, and has its answer.
        width: of the frames, upright, in pixels.
        height: likewise.
        note: what was left out, as a sentence; None where all was looked at.
        error: why it could not be read, as a sentence; None when it could.
        still: a small JPEG of the surest frame of the first logo, or of the first frame where none is seen.
    """

    video: str
    label: str | None
    confidence: float | None
    logos: tuple[VideoLogo, ...] = ()
    seconds: float = 0.0
    frames: int = 0
    width: int | None = None
    height: int | None = None
    note: str | None = None
    error: str | None = None
    still: bytes | None = field(default=None, repr=False, compare=False)

    def image(self) -> Image.Image | None:
        """The frame of ``still``; None where there is none."""
        return _opened(self.still)

    def to_json(self, top: int | None = None) -> dict[str, Any]:
        """The object that ``logolens predict --json`` prints: the keys of an image's, and ``video``; ``top`` logos, or all."""
        best = self.logos[0] if self.logos else None
        return {
            "image": text_of(self.video),
            "label": self.label,
            "confidence": self.confidence,
            "scores": {logo.label: logo.confidence for logo in self.logos[:top]},
            "box": None if best is None or best.box is None else [round(edge, 4) for edge in best.box],
            "error": None if self.error is None else text_of(self.error),
            "video": {
                "seconds": round(self.seconds, 3),
                "frames": self.frames,
                "width": self.width,
                "height": self.height,
                "note": self.note,
                "logos": [logo.to_json() for logo in self.logos[:top]],
            },
        }


def _opened(still: bytes | None) -> Image.Image | None:
    return None if still is None else Image.open(io.BytesIO(still))


def appearance_json(one: Appearance) -> dict[str, Any]:
    """One appearance, for JSON."""
    return {
        "start": round(one.start, 3),
        "end": round(one.end, 3),
        "confidence": one.confidence,
        "at": round(one.at, 3),
        "box": None if one.box is None else [round(edge, 4) for edge in one.box],
        "share": None if one.share is None else round(one.share, 4),
        "largest": None if one.largest is None else round(one.largest, 4),
    }


def time_text(seconds: float) -> str:
    """A time in a video as people write it, to a tenth of a second: 0:03.2, 1:02:03.0."""
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    shown = f"{rest // 10:02}.{rest % 10}"
    return f"{hours}:{minutes:02}:{shown}" if hours else f"{minutes}:{shown}"


def predict_video(
    watcher: Watcher,
    path: str | os.PathLike[str],
    settings: VideoSettings = VideoSettings(),
    limits: Limits = Limits(),
    decode: DecodeSettings = DecodeSettings(),
) -> VideoPrediction:
    """Answer for a video; one that cannot be read gives a prediction with its error. See `Classifier.predict_video`."""
    name = os.fspath(path)
    try:
        with open_video(path, settings) as file:
            watched = watch(watcher, file, settings, limits, decode, background=BACKGROUND)
    except ImageError as error:
        return VideoPrediction(name, None, None, error=str(error).removeprefix(f"{name}: "))
    logos = video_logos(watched)
    width, height = watched.size
    facts = (watched.end, len(watched.at), width, height, watched.note or None, None)
    if logos:
        return VideoPrediction(name, logos[0].label, logos[0].confidence, logos, *facts, logos[0].still)
    none = watched.classes.index(BACKGROUND) if BACKGROUND in watched.classes else None
    least = float(watched.scores[:, none].min()) if none is not None else None
    return VideoPrediction(name, BACKGROUND, least, (), *facts, watched.still(0))


def video_logos(watched: Watched) -> tuple[VideoLogo, ...]:
    """The logos of a video, the one seen longest first: those that are the answer for a frame."""
    found: list[VideoLogo] = []
    for number, name in enumerate(watched.classes):
        if name == BACKGROUND:
            continue
        scores, boxes = watched.scores[:, number], watched.boxes(number)
        shown = np.array([any(its == number for its, _, _ in logos) for logos in watched.logos], bool)
        parts = appearances(
            watched.began,
            watched.end,
            watched.at,
            scores,
            (watched.labels == number) | shown,
            scores >= STAYS,
            boxes,
            flicker=FLICKER / watched.fps,
        )
        if parts:
            found.append(_logo(name, parts, watched))
    return tuple(sorted(found, key=lambda logo: (-logo.seconds, -logo.confidence)))


def _logo(name: str, parts: Sequence[Appearance], watched: Watched) -> VideoLogo:
    surest = max(parts, key=lambda part: part.confidence)
    boxed = [part for part in parts if part.share is not None]
    share = largest = None
    if boxed:
        share = float(
            np.average([part.share or 0.0 for part in boxed], weights=[part.seconds + 1e-3 for part in boxed])
        )
        largest = max(part.largest or 0.0 for part in boxed)
    logo = VideoLogo(name, tuple(parts), total(parts), surest.confidence, surest.at, surest.box, share, largest)
    return replace(logo, still=watched.still(surest.frame))
