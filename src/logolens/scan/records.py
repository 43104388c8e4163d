"""What a scan learns of one image, in memory and as a line of text."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.inference.watching import Watched
from logolens.io.sources import Stamp
from logolens.scan.video_store import from_bytes, to_bytes

__all__ = ["Answer", "ContentResult", "Known"]


@dataclass(frozen=True)
class Known:
    """What an earlier look at a name left behind.

    Attributes:
        stamp: what it looked like then.
        sha256: its content.
        done: it was looked at in this very run, which had been interrupted.
        stands: its answer is this bundle's, and complete.
    """

    stamp: Stamp
    sha256: str | None
    done: bool
    stands: bool


@dataclass(frozen=True)
class ContentResult:
    """What the network says of one content.

    Attributes:
        scores: the probabilities, in the order of the bundle's classes; empty when there is an error.
        box: (x1, y1, x2, y2) in fractions of width and height, where the bundle says where the logo is.
        width: of the image as it is shown, in pixels.
        height: the same.
        error: why it could not be decoded.
        thumbnail: a small JPEG.
        near: what near copies are found by.
        word: that was read and speaks for the likeliest label, as JSON has it, and ``read``: whether the answer rests on words
            alone; None where none does.
        video: what was said of its frames, of a video; the scores are then empty, for they are told from these.
    """

    scores: npt.NDArray[np.float32]
    box: tuple[float, float, float, float] | None = None
    width: int | None = None
    height: int | None = None
    error: str | None = None
    thumbnail: bytes | None = None
    near: bytes | None = None
    word: dict[str, Any] | None = None
    video: Watched | None = None


@dataclass(frozen=True)
class Answer:
    """What a scan learned of one name; without content and error, nothing but further places of it.

    Attributes:
        name: the image.
        places: where it stands.
        stamp: what to compare the next time.
        sha256: its content; None when it could not be read.
        result: what the network says; None when the content is known already, or could not be read.
        error: why it could not be read.
    """

    name: str
    places: tuple[str, ...] = ()
    stamp: Stamp = Stamp()
    sha256: str | None = None
    result: ContentResult | None = None
    error: str | None = None

    def to_line(self) -> bytes:
        """One line of JSON."""
        record: dict[str, Any] = {"name": self.name}
        record |= {"places": list(self.places)} if self.places else {}
        stamp = self.stamp
        record["stamp"] = [stamp.size, stamp.modified, stamp.etag, stamp.last_modified]
        record["sha256"], record["error"] = self.sha256, self.error
        if (result := self.result) is not None:
            record["look"] = {
                "scores": _text(result.scores.astype("<f4").tobytes()),
                "box": result.box,
                "size": [result.width, result.height],
                "error": result.error,
                "thumbnail": _text(result.thumbnail),
                "near": _text(result.near),
                **({"word": result.word} if result.word is not None else {}),
                **({"video": _text(to_bytes(result.video))} if result.video is not None else {}),
            }
        return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Answer:
        """What `to_line` wrote."""
        record = json.loads(line)
        result = None
        if (said := record.get("look")) is not None:
            result = ContentResult(
                np.frombuffer(_bytes(said["scores"]) or b"", "<f4"),
                None if said["box"] is None else tuple(said["box"]),
                said["size"][0],
                said["size"][1],
                said["error"],
                _bytes(said["thumbnail"]),
                _bytes(said["near"]),
                said.get("word"),
                from_bytes(_bytes(said["video"]) or b"") if "video" in said else None,
            )
        return cls(
            record["name"],
            tuple(record.get("places", ())),
            Stamp(*record["stamp"]),
            record["sha256"],
            result,
            record["error"],
        )


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
