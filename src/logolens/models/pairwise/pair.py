"""The expert for two labels that are near each other: which of the two, given that it is one of them.

It looks where geometry has laid the photo over references of both, and there at the cells in which the two drawings differed
among the training photos. What it finds out is weighed against the stack's own opinion and the references' plain evidence. A
view that shows neither of the two proves nothing, is not laid over anything, and so counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import MatcherSettings
from logolens.errors import BundleError, require
from logolens.io.views import Picture
from logolens.models.matcher import Keypoints, Match, Matcher, Matches
from logolens.models.matcher.serialization import load_matcher, save_matcher
from logolens.models.pairwise.alignment import SURE, Frame
from logolens.models.pairwise.hog import CELLS, SIDE, WIDTH, cells, flat
from logolens.types import FloatArray64

__all__ = ["Difference", "Laid", "Pair", "Sighting", "lay", "matched", "pair_files"]


_FRAMES = 6
"""References by which a photo is laid flat; the mean of what they say counts, since none lies quite true."""

_SMALLEST = 0.125
"""The least scale at which a photo is looked at, in pixels of the photo the matcher saw for one of the frame."""


@dataclass(frozen=True)
class Difference:
    """Where two drawings differ: a linear rule over the cells of drawings that lie flat.

    Attributes:
        weights: float32 of shape (drawing.WIDTH,); positive where it speaks for the first of the two.
        middle: float32 of the same shape, what is taken off before.
    """

    weights: npt.NDArray[np.float32]
    middle: npt.NDArray[np.float32]

    def score(self, drawn: npt.NDArray[np.float32]) -> float:
        """What drawings of shape (n, drawing.WIDTH) say, on average; 0 of none."""
        return float(((drawn - self.middle) @ self.weights).mean()) if len(drawn) else 0.0

    def by_cell(self, drawn: npt.NDArray[np.float32]) -> FloatArray64:
        """How much each cell had a part in that; float64 of shape (CELLS, CELLS)."""
        parts = ((drawn - self.middle) * self.weights).mean(axis=0, dtype=np.float64)
        return np.asarray(parts.reshape(-1, CELLS, CELLS).sum(axis=0))


@dataclass(frozen=True)
class Laid:
    """A photo laid flat by some references.

    Attributes:
        drawn: float32 of shape (n, drawing.WIDTH), a row for each reference.
        motion: of shape (2, 3), from the surest frame's pixels to those of the image the matcher saw; None of none.
    """

    drawn: npt.NDArray[np.float32]
    motion: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class Sighting:
    """What geometry says of a pair in one photo.

    Attributes:
        matched: the references' evidence for the first label, less that for the second.
        drawn: what the difference of the drawings says; 0 where the photo could not be laid flat.
        laid: by how many references it was.
        outline: float64 of shape (4, 2), the corners of the frame in fractions of the photo's sides; None of none.
        by_cell: how much each cell speaks for the first label; None of none.
    """

    matched: float
    drawn: float
    laid: int
    outline: FloatArray64 | None = None
    by_cell: FloatArray64 | None = None


@dataclass(frozen=True)
class Pair:
    """The expert of two labels.

    Attributes:
        labels: the two.
        matcher: their references.
        frame: how these lie over one another; None where they do not.
        difference: learned from training photos; None where too few of them could be laid flat.
        weights: of the stack's own opinion (the log-odds of the two), of `Sighting.matched` and of `Sighting.drawn`.
    """

    labels: tuple[str, str]
    matcher: Matcher
    frame: Frame | None
    difference: Difference | None
    weights: tuple[float, float, float]

    def see(self, picture: Picture, sought: tuple[MatcherSettings, Keypoints] | None = None) -> Sighting:
        """What geometry says of a photo.

        Args:
            picture: the photo.
            sought: its key points, and how they were sought, where that has been done; they serve where this matcher seeks
                alike.

        Raises:
            ImageError: it cannot be decoded.
        """
        points = sought[1] if sought and sought[0] == self.matcher.settings else self.matcher.sight(picture)
        matches = self.matcher.match(points)
        if self.frame is None or self.difference is None:
            return Sighting(matched(matches), 0.0, 0)
        laid = lay(picture, matches.found, self.frame, points.size)
        if laid.motion is None:
            return Sighting(matched(matches), 0.0, 0)
        corners = np.array([(0.0, 0.0, 1.0), (SIDE, 0.0, 1.0), (SIDE, SIDE, 1.0), (0.0, SIDE, 1.0)])
        return Sighting(
            matched(matches),
            self.difference.score(laid.drawn),
            len(laid.drawn),
            corners @ laid.motion.T / points.size,
            self.difference.by_cell(laid.drawn),
        )

    def odds(self, ensemble_odds: float, sighting: Sighting) -> float:
        """The log-odds of the first label against the second; the stack's own where geometry is silent."""
        if not sighting.matched and not sighting.drawn:
            return ensemble_odds
        own, matches, drawing = self.weights
        return own * ensemble_odds + matches * sighting.matched + drawing * sighting.drawn

    def save(self, weights: Path, references: Path) -> None:
        """Write two .safetensors files: what was learned, and the references."""
        count = len(self.matcher.references)
        nothing = np.zeros(WIDTH, np.float32)
        found = self.difference
        data = require("safetensors.numpy", "train").save(
            {
                "weights": np.array(self.weights, np.float64),
                "back": self.frame.back if self.frame is not None else np.full((count, 2, 3), np.nan),
                "cells": np.ascontiguousarray(found.weights if found is not None else nothing),
                "middle": np.ascontiguousarray(found.middle if found is not None else nothing),
            }
        )
        weights.write_bytes(data)
        save_matcher(self.matcher, references)

    @staticmethod
    def load(labels: tuple[str, str], data: bytes, source: Path, references: Path) -> Pair:
        """Read what `save` wrote.

        Args:
            labels: the two.
            data: the bytes of the first file.
            source: its name, for messages.
            references: the second file.

        Raises:
            BundleError: they are no such files, or do not belong together.
        """
        from safetensors.numpy import load

        matcher = load_matcher(references)
        try:
            tensors = load(data)
            shapes = {"weights": (3,), "back": (len(matcher.references), 2, 3), "cells": (WIDTH,), "middle": (WIDTH,)}
            if wrong := [name for name, shape in shapes.items() if tensors[name].shape != shape]:
                raise ValueError(f"{wrong[0]} is of shape {tensors[wrong[0]].shape}")
            if not all(np.isfinite(tensors[name]).all() for name in ("weights", "cells", "middle")):
                raise ValueError("it holds values that are no numbers")
        except Exception as error:  # safetensors raises a type of its own.
            raise BundleError(f"{source} is damaged ({error}); copy or train the bundle again.") from error
        if matcher.labels != labels:
            raise BundleError(f"{references} is of other labels than {' and '.join(labels)}; train the bundle again.")
        own, matches, drawing = tensors["weights"].tolist()
        difference = Difference(tensors["cells"], tensors["middle"]) if tensors["cells"].any() else None
        return Pair(labels, matcher, Frame(tensors["back"]), difference, (own, matches, drawing))


def pair_files(number: int, *, old: bool = False) -> tuple[str, str]:
    """The names of a pair's two files in a bundle; the first pair is 1. ``old`` gives the names that bundles once had."""
    stem = f"{'contrast' if old else 'pair'}-{number}"
    return f"{stem}.safetensors", f"{stem}-matcher.safetensors"


def matched(matches: Matches) -> float:
    """The evidence for the first of a pair's labels, less that for the second."""
    first, second = matches.scores().tolist()
    return float(first - second)


def lay(
    picture: Picture,
    found: Sequence[Match],
    frame: Frame,
    size: tuple[int, int],
    among: Collection[int] | None = None,
) -> Laid:
    """Lay a photo flat by the references that were found in it, the surest first.

    Args:
        picture: the photo.
        found: the matches, the most proved points first.
        frame: where the references lie.
        size: width and height of the image that the matches' pixels are of.
        among: positions of the references that may be used; all if not given.

    Raises:
        ImageError: the photo cannot be decoded.
    """
    motions = [
        frame.onto(match.reference, match.affine)
        for match in found
        if match.inliers >= SURE and frame.holds(match.reference) and (among is None or match.reference in among)
    ][:_FRAMES]
    if not motions:
        return Laid(np.zeros((0, WIDTH), np.float32), None)
    rows = []
    greys: dict[int, Image.Image] = {}
    for motion in motions:
        # A small logo is looked at in more detail than the matcher needed, where the file has it.
        scale = math.sqrt(max(abs(float(np.linalg.det(motion[:, :2]))), _SMALLEST**2))
        image = picture.image(math.ceil(min(size) / min(scale, 1.0)))
        if id(image) not in greys:
            greys[id(image)] = image.convert("L")
        grey = greys[id(image)]
        grown = np.array([grey.width / size[0], grey.height / size[1]])[:, None]
        rows.append(cells(flat(grey, motion * grown)))
    return Laid(np.stack(rows), motions[0])
