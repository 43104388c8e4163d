"""One logo's drawing: where there is ink, and of what colour. The first step of the way to a composed image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from logolens.data.synthesis.backgrounds import WORDS, random_colour
from logolens.errors import DataError, UsageError

__all__ = ["LUMA", "Artwork", "decoy"]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""How bright red, green and blue look."""

_MIN_SHARE = 0.005
_RIM = 160  # Colours of the drawing that are kept to tell which plates it can be read on.


@dataclass(frozen=True, eq=False)
class Artwork:
    """One logo's drawing, cut to its visible part.

    Attributes:
        label: what a photo of it is called.
        alpha: coverage, uint8, shape (height, width), 0 where there is no ink.
        colour: the brand's own colour, RGB from 0 to 255.
        title: the brand's name for people.
        paint: the drawing's own colours, uint8, shape (height, width, 3); None of a drawing of one colour.

    Raises:
        DataError: nothing is visible in ``alpha``.
    """

    label: str
    alpha: npt.NDArray[np.uint8]
    colour: tuple[int, int, int]
    title: str = ""
    paint: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.alpha.ndim != 2 or self.alpha.dtype != np.uint8:
            raise UsageError(
                f"The artwork of {self.label!r} must be a two-dimensional array of bytes, one coverage a pixel; "
                f"it has shape {self.alpha.shape} and type {self.alpha.dtype}."
            )
        if self.paint is not None and (self.paint.shape != (*self.alpha.shape, 3) or self.paint.dtype != np.uint8):
            raise UsageError(
                f"The colours of {self.label!r} must be bytes of shape {(*self.alpha.shape, 3)}; they have shape "
                f"{self.paint.shape} and type {self.paint.dtype}."
            )
        seen = self.alpha > 127
        if self.alpha.size == 0 or float(seen.mean()) < _MIN_SHARE:
            raise DataError(
                f"The artwork of {self.label!r} shows nothing: fewer than {_MIN_SHARE:.1%} of its pixels are drawn. "
                "Give a drawing with visible, filled shapes."
            )
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        part = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        for name in ("alpha", "paint"):
            if (values := getattr(self, name)) is not None:
                cut = np.ascontiguousarray(values[part])
                cut.flags.writeable = False
                object.__setattr__(self, name, cut)

    @property
    def opaque(self) -> bool:
        """Whether it fills its rectangle, so that nothing of what it stands on is seen through it."""
        return bool((self.alpha > 200).mean() > 0.98)

    @cached_property
    def shades(self) -> npt.NDArray[np.float32]:
        """Colours of its ink, taken evenly from all over it, float32 of shape (n, 3)."""
        if self.paint is None:
            return np.array([self.colour], np.float32)
        inked = self.paint[self.alpha > 127]
        step = max(1, len(inked) // _RIM)
        return inked[::step].astype(np.float32)

    @cached_property
    def one_colour(self) -> Artwork:
        """The drawing as it is printed in one ink: of two tones the darker stays, the lighter is left blank."""
        if self.paint is None:
            return self
        bright = self.paint.astype(np.float32) @ LUMA
        inked = self.alpha > 127
        tones = bright[inked]
        low, high = np.percentile(tones, (5, 95))
        alpha = self.alpha.astype(np.float32)
        if high - low > 60:
            # Softly, so that edges stay smooth.
            middle = np.float32((low + high) / 2)
            kept = alpha * np.clip((middle - bright) / 24 + 0.5, 0, 1)
            # What is nearly all dark or nearly all light tells more as a shape.
            if 0.08 < float((kept > 127).sum()) / max(1, int(inked.sum())) < 0.95:
                alpha = kept
        try:
            return replace(self, alpha=alpha.astype(np.uint8), paint=None)
        except DataError:
            return replace(self, paint=None)


def decoy(rng: np.random.Generator) -> Artwork:
    """A drawing that is nobody's logo: a word, or a plain shape."""
    colour = random_colour(rng)
    side = 256
    canvas = Image.new("L", (side * 2, side), 0)
    draw = ImageDraw.Draw(canvas)
    kind = int(rng.integers(0, 8))
    if kind < 4:
        font = ImageFont.load_default(110)
        draw.text((12, 60), str(rng.choice(WORDS)), fill=255, font=font, stroke_width=int(rng.integers(0, 6)))
    elif kind == 4:
        draw.ellipse((20, 20, 236, 236), fill=255)
        draw.ellipse((70, 70, 186, 186), fill=0 if rng.random() < 0.5 else 255)
        draw.rectangle((118, 30, 138, 226), fill=0)
    elif kind == 5:  # An arrow.
        draw.polygon([(20, 100), (140, 100), (140, 40), (250, 128), (140, 216), (140, 156), (20, 156)], fill=255)
    else:  # A star, or a polygon.
        points, inner = int(rng.integers(3, 9)), float(rng.uniform(0.35, 1.0))
        angle = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False) - np.pi / 2
        radius = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner) * 115
        corners = zip((128 + radius * np.cos(angle)).tolist(), (128 + radius * np.sin(angle)).tolist(), strict=True)
        draw.polygon(list(corners), fill=255)
    if rng.random() < 0.3:
        canvas = canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if kind >= 4 else canvas
    return Artwork("", np.asarray(canvas), colour)
