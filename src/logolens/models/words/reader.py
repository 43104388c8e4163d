"""What is written in a photo: lines of text, by PP-OCRv6 on ONNX Runtime.

The models are those that the wheel of rapidocr holds (Apache-2.0); nothing is downloaded, and its own code is not imported.
A detector gives each pixel's probability of being writing (Liao et al., "Real-time Scene Text Detection with Differentiable
Binarization", AAAI 2020); its regions are cut out upright and read by a recogniser with connectionist temporal
classification (Graves et al., ICML 2006). They run as the network does: one thread a worker, and arrays of bounded size.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import ReaderSettings
from logolens.errors import MissingExtraError
from logolens.io.images import as_rgb
from logolens.io.stopwatch import stage
from logolens.models.devices import onnx_session
from logolens.models.tiny_weights import without_tiny_weights

__all__ = ["Line", "Reader", "model_hashes", "reader", "reads"]

_DETECTOR, _RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"

_MULTIPLE = 32
"""The detector halves its map five times."""

_HEIGHT = 48
"""Pixels that a line is high where it is read."""

_NARROWEST, _WIDEST = 160, 1600
"""Pixels that a line is wide where it is read; what is longer is pressed together."""

_BATCH_PIXELS = _HEIGHT * 1600
"""Pixels of lines read in one run: what the recogniser keeps for each of them is 60 times as much."""

_SMALLEST = 3
"""Pixels of a region's shorter side below which it is no writing."""

_LEAST_SIDE = 8
"""Pixels of an image's shorter side below which nothing in it can be read."""

_UPRIGHT = 0.9
"""Confidence from which a line that was read is not tried upside down."""


@dataclass(frozen=True)
class Line:
    """One line of writing.

    Attributes:
        text: as it was read.
        confidence: mean probability of its letters, 0 to 1.
        box: (x1, y1, x2, y2) in fractions of the photo's sides.
        height: of its letters, as a share of the photo's shorter side.
    """

    text: str
    confidence: float
    box: tuple[float, float, float, float]
    height: float


def reads() -> bool:
    """Whether the extra ``words`` is installed."""
    return importlib.util.find_spec("rapidocr") is not None and importlib.util.find_spec("rapidfuzz") is not None


@cache
def _models() -> tuple[Path, Path]:
    """The files of the detector and the recogniser."""
    spec = importlib.util.find_spec("rapidocr")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        files = Path(folder) / "models" / _DETECTOR, Path(folder) / "models" / _RECOGNISER
        if all(file.is_file() for file in files):
            return files
    found = (
        "which is not installed"
        if spec is None
        else f"whose wheel of version 3.10 holds {_DETECTOR}; this one does not"
    )
    raise MissingExtraError(f"Reading words needs the package rapidocr, {found}. Run: pip install 'logolens[words]'")


@cache
def model_hashes() -> dict[str, str]:
    """The SHA-256 of each model's file, by name: what was read depends on them.

    Raises:
        MissingExtraError: the extra ``words`` is not installed.
    """
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in _models()}


class Reader:
    """Detector and recogniser, ready to be asked. It may be used from several threads.

    Args:
        settings: how writing is sought.

    Raises:
        MissingExtraError: the extra ``words`` is not installed.
    """

    def __init__(self, settings: ReaderSettings = ReaderSettings()) -> None:
        self.settings = settings

        def without_arena(options: Any) -> None:
            # Every photo has another shape, and an arena would keep room for the largest of them in each thread.
            options.enable_cpu_mem_arena = False

        # On the processor whatever the network runs on: each photo has another shape, and letters are few.
        # A tenth of the detector's weights are subnormal, which took four fifths of its time on Intel's processors.
        detector, recogniser = (
            onnx_session(without_tiny_weights(path.read_bytes()), configure=without_arena).session for path in _models()
        )
        self._detector: Any = detector
        self._recogniser: Any = recogniser
        letters = recogniser.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._letters = ["", *letters, " "]

    @property
    def key(self) -> str:
        """What stands for this reader in a cache's key: its models and its settings."""
        parts = (
            *sorted(model_hashes().values()),
            *(f"{name}={value}" for name, value in asdict(self.settings).items()),
        )
        return hashlib.sha256("\n".join((_VERSION, *parts)).encode()).hexdigest()

    def read(self, image: Image.Image) -> tuple[Line, ...]:
        """The lines of writing in an image, from top to bottom."""
        with stage("words"):
            return self._lines(image)

    def _lines(self, image: Image.Image) -> tuple[Line, ...]:
        cv2 = importlib.import_module("cv2")
        width, height = image.size
        if min(width, height) < _LEAST_SIDE:
            return ()
        size = _fitted(width, height, self.settings)
        pixels = np.asarray(as_rgb(image))[:, :, ::-1]  # Both models learned from blue, green, red.
        smaller = size[0] < width
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        quads = self._regions(pixels)
        short = min(size)
        crops = [_upright(pixels, quad) for quad in quads]
        texts = self._texts([crop for crop, _ in crops])
        again = [
            number
            for number, (_, confidence) in enumerate(texts)
            if confidence < _UPRIGHT
            or crops[number][1]  # Which way a turned line is up cannot be told from its region.
        ]
        for number, turned in zip(again, self._texts([np.rot90(crops[number][0], 2) for number in again]), strict=True):
            if turned[1] > texts[number][1]:
                texts[number] = turned
        lines = []
        for quad, (text, confidence) in zip(quads, texts, strict=True):
            if text.strip() and confidence >= self.settings.confidence:
                low, high = quad.min(axis=0) / size, quad.max(axis=0) / size
                x1, y1, x2, y2 = (min(max(float(edge), 0.0), 1.0) for edge in (*low, *high))
                sides = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
                lines.append(Line(text.strip(), confidence, (x1, y1, x2, y2), float(min(sides)) / short))
        return tuple(sorted(lines, key=lambda line: (line.box[1], line.box[0])))

    def _regions(self, pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """Regions of writing as the corners of rectangles, turned or not, the largest first; float32 of shape (4, 2) each."""
        cv2 = importlib.import_module("cv2")
        height, width = pixels.shape[:2]
        padded = np.full((-(-height // _MULTIPLE) * _MULTIPLE, -(-width // _MULTIPLE) * _MULTIPLE, 3), 127, np.uint8)
        padded[:height, :width] = pixels
        table = (padded.astype(np.float32) * np.float32(2 / 255) - 1).transpose(2, 0, 1)[None]
        map_ = self._detector.run(None, {"x": np.ascontiguousarray(table)})[0][0, 0, :height, :width]
        mask = cv2.dilate((map_ > self.settings.pixel).astype(np.uint8), np.ones((2, 2), np.uint8))
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        outlines = sorted(outlines, key=lambda outline: -cv2.boundingRect(outline)[2] * cv2.boundingRect(outline)[3])
        found = []
        for outline in outlines[: 4 * self.settings.lines]:
            centre, (wide, high), angle = cv2.minAreaRect(outline)
            if min(wide, high) < _SMALLEST:
                continue
            corners = cv2.boxPoints((centre, (wide, high), angle))
            if _mean_within(map_, corners) < self.settings.region:
                continue
            # The detector learned writing shrunk; growing a rectangle on all sides undoes that.
            grown = 2 * self.settings.grow * wide * high / (2 * (wide + high))
            found.append(_clockwise(cv2.boxPoints((centre, (wide + grown, high + grown), angle))))
            if len(found) == self.settings.lines:
                break
        return found

    def _texts(self, crops: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[str, float]]:
        """What each crop says, and how sure that is."""
        cv2 = importlib.import_module("cv2")
        widths = [min(max(round(_HEIGHT * crop.shape[1] / crop.shape[0]), 8), _WIDEST) for crop in crops]
        texts: list[tuple[str, float]] = [("", 0.0)] * len(crops)
        order = sorted(range(len(crops)), key=lambda number: widths[number])
        while order:
            whole = max(_NARROWEST, -(-widths[order[0]] // _MULTIPLE) * _MULTIPLE)
            together = [order.pop(0)]
            while order and widths[order[0]] <= whole and (len(together) + 1) * whole * _HEIGHT <= _BATCH_PIXELS:
                together.append(order.pop(0))
            table = np.zeros((len(together), 3, _HEIGHT, whole), np.float32)
            for row, number in enumerate(together):
                line = cv2.resize(np.ascontiguousarray(crops[number]), (widths[number], _HEIGHT))
                table[row, :, :, : widths[number]] = (line.astype(np.float32) * np.float32(2 / 255) - 1).transpose(
                    2, 0, 1
                )
            for number, probabilities in zip(together, self._recogniser.run(None, {"x": table})[0], strict=True):
                texts[number] = self._decoded(probabilities)
        return texts

    def _decoded(self, probabilities: npt.NDArray[np.float32]) -> tuple[str, float]:
        """The likeliest text of a line, letter by letter, and the mean of their probabilities."""
        best = probabilities.argmax(axis=1)
        kept = (best > 0) & np.concatenate([[True], best[1:] != best[:-1]])
        if not kept.any():
            return "", 0.0
        text = "".join(self._letters[letter] for letter in best[kept].tolist())
        return text, float(probabilities.max(axis=1)[kept].mean())


_VERSION = "1"
"""Grows whenever the way photos are read changes, so that what was cached is read again."""

_readers: dict[ReaderSettings, Reader] = {}
_lock = threading.Lock()


def reader(settings: ReaderSettings = ReaderSettings()) -> Reader:
    """The reader of these settings; the models are loaded once a process.

    Raises:
        MissingExtraError: the extra ``words`` is not installed.
    """
    with _lock:
        if settings not in _readers:
            _readers[settings] = Reader(settings)
        return _readers[settings]


def _fitted(width: int, height: int, settings: ReaderSettings) -> tuple[int, int]:
    """Width and height that an image is brought to: its shorter side as asked for, its area and longer side bounded."""
    scale = min(
        settings.side / min(width, height),
        (settings.area / (width * height)) ** 0.5,
        settings.long_side / max(width, height),
        settings.upscale,
    )
    return max(1, round(width * scale)), max(1, round(height * scale))


def _mean_within(map_: npt.NDArray[np.float32], corners: npt.NDArray[np.float32]) -> float:
    """The mean of a map within a rectangle."""
    cv2 = importlib.import_module("cv2")
    high, wide = map_.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (wide - 1, high - 1))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (wide - 1, high - 1))
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(np.ascontiguousarray(map_[top : bottom + 1, left : right + 1]), mask)[0])


def _clockwise(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A rectangle's corners, clockwise from the upper left."""
    order = np.argsort(corners[:, 0], kind="stable")
    left, right = corners[order[:2]], corners[order[2:]]
    left, right = left[np.argsort(left[:, 1], kind="stable")], right[np.argsort(right[:, 1], kind="stable")]
    return np.asarray([left[0], right[0], right[1], left[1]], dtype=np.float32)


def _upright(pixels: npt.NDArray[np.uint8], quad: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8], bool]:
    """A region cut out as a level rectangle, and whether it stood on end and so was turned by a quarter."""
    cv2 = importlib.import_module("cv2")
    wide = max(1, round(float(np.linalg.norm(quad[1] - quad[0]))))
    high = max(1, round(float(np.linalg.norm(quad[3] - quad[0]))))
    target = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    turn = cv2.getPerspectiveTransform(quad, target)
    crop = cv2.warpPerspective(pixels, turn, (wide, high), borderMode=cv2.BORDER_REPLICATE, flags=cv2.INTER_CUBIC)
    return (np.rot90(crop), True) if high >= 1.5 * wide else (crop, False)
