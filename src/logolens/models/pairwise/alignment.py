"""One frame for two drawings: references of both, laid over one another by the affine motions that prove them alike.

Two drawings of one brand share much, so that many of their references match one another. From the reference that is tied
best, the strongest ties are followed to all others (a maximum spanning tree), and so every reference, and through it every
photo that it is found in, can be laid into one square.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logolens.models.matcher import Match, Matcher
from logolens.models.pairwise.hog import SIDE

__all__ = ["SURE", "Frame", "Hits", "Ties", "frame_of", "tie"]

Motion = npt.NDArray[np.float64]

SURE = 6
"""Proved points from which a motion is trusted to lay one drawing over another."""

_ROUNDS, _FAR = 5, 0.1

_MARGIN = 0.1
"""Room around the drawing, as a share of its sides: what one of the two has more may stand out."""


@dataclass(frozen=True)
class Hits:
    """The references that were found in a photo, its own references and those of its near copies aside.

    Attributes:
        sha256: of the photo.
        found: the matches.
        size: width and height of the image that the matches' pixels are of.
        full: the photo's width and height.
    """

    sha256: str
    found: tuple[Match, ...]
    size: tuple[int, int]
    full: tuple[int, int]


@dataclass(frozen=True)
class Ties:
    """Which references match which.

    Attributes:
        motions: by (from, to), positions of two references: the proved points, and the motion of shape (3, 3) between
            their pixels.
        outlines: float64 of shape (references, 4), the logo (x1, y1, x2, y2) in pixels of each reference.
    """

    motions: dict[tuple[int, int], tuple[int, Motion]]
    outlines: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """Where references lie in a square of `drawing.SIDE` pixels.

    Attributes:
        back: float64 of shape (references, 2, 3), from pixels of the square to pixels of each reference; NaN of those
            that are not tied to the others.
    """

    back: npt.NDArray[np.float64]

    def holds(self, reference: int) -> bool:
        """Whether a reference has its place in the square."""
        return bool(np.isfinite(self.back[reference, 0, 0]))

    def onto(self, reference: int, affine: npt.NDArray[np.floating]) -> Motion:
        """From pixels of the square to those of an image in which a reference was found.

        Args:
            reference: its position.
            affine: of shape (2, 3), from its pixels to the image's.
        """
        return (_square(affine) @ _square(self.back[reference]))[:2]


def tie(matcher: Matcher, photos: Iterable[Hits]) -> Ties:
    """Which references match which, by what was found in the photos that they were cut from.

    A photo has more key points than a reference that was cut from it, so that more is found in it.
    """
    motions: dict[tuple[int, int], tuple[int, Motion]] = {}
    seen: dict[int, list[npt.NDArray[np.float64]]] = {}
    cut: dict[str, list[int]] = {}
    for number, reference in enumerate(matcher.references):
        cut.setdefault(reference.photo, []).append(number)
    for photo in photos:
        for number in cut.get(photo.sha256, ()):
            reference = matcher.references[number]
            left, top = (0.0, 0.0) if reference.box is None else np.subtract(reference.box[:2], reference.outline[:2])
            wide, high = (full / its for full, its in zip(photo.full, photo.size, strict=True))
            inside = np.array([[wide, 0.0, -left], [0.0, high, -top], [0.0, 0.0, 1.0]])
            for match in photo.found:
                if match.inliers < SURE:
                    continue
                points = match.target * (wide, high) - (left, top)
                low, top_most = reference.outline[:2], reference.outline[2:]
                # A photo may show several logos, and this reference is one of them.
                if reference.box is not None and not (
                    (np.median(points, axis=0) >= low).all() and (np.median(points, axis=0) <= top_most).all()
                ):
                    continue
                motion = inside @ _square(match.affine)
                seen.setdefault(number, []).append(points)
                for pair, way in (
                    ((match.reference, number), motion),
                    ((number, match.reference), np.asarray(np.linalg.inv(motion), np.float64)),
                ):
                    if pair not in motions or motions[pair][0] < match.inliers:
                        motions[pair] = (match.inliers, way)
    outlines = np.array([reference.outline for reference in matcher.references], np.float64).reshape(-1, 4)
    for number, parts in seen.items():
        if matcher.references[number].box is None:
            # Of a whole photo, the logo is where it matches others.
            every = np.concatenate(parts)
            outlines[number] = (*np.quantile(every, 0.03, axis=0), *np.quantile(every, 0.97, axis=0))
    return Ties(motions, outlines)


def frame_of(ties: Ties, members: Collection[int]) -> Frame | None:
    """Lay some of the references over one another.

    Args:
        ties: of all of them.
        members: positions of those that may be used.

    Returns:
        None where no two of them match.
    """
    among = {pair: found for pair, found in ties.motions.items() if pair[0] in members and pair[1] in members}
    if not among:
        return None
    # The sum of the ties' logarithms, as a product of whole numbers: rounding would decide between equals.
    tied: dict[int, int] = {}
    for (_, to), (inliers, _) in among.items():
        tied[to] = tied.get(to, 1) * (1 + inliers)
    hub = max(sorted(tied), key=lambda number: tied[number])
    x1, y1, x2, y2 = ties.outlines[hub]
    wide, high = max(x2 - x1, 1.0), max(y2 - y1, 1.0)
    grow = 1 + 2 * _MARGIN
    first = np.array(
        [[wide * grow / SIDE, 0.0, x1 - _MARGIN * wide], [0.0, high * grow / SIDE, y1 - _MARGIN * high], [0, 0, 1]]
    )
    placed: dict[int, Motion] = {hub: first}
    while True:
        reach = [
            (inliers, pair, way)
            for pair, (inliers, way) in among.items()
            if pair[0] in placed and pair[1] not in placed
        ]
        if not reach:
            break
        _, (near, far), way = max(reach, key=lambda entry: (entry[0], -entry[1][1], -entry[1][0]))
        placed[far] = way @ placed[near]
    _settle(placed, among, hub)
    back = np.full((len(ties.outlines), 2, 3), np.nan)
    for number, motion in placed.items():
        back[number] = motion[:2]
    return Frame(back)


def _settle(placed: dict[int, Motion], among: dict[tuple[int, int], tuple[int, Motion]], hub: int) -> None:
    """Move each reference to where all that it is tied to say together: along a tree alone, errors add up.

    Ties that contradict the place by more than a tenth of the square are taken for wrong ones.
    """
    corners = np.array([(x, y, 1.0) for x in (0.0, SIDE) for y in (0.0, SIDE)]).T
    tied: dict[int, list[tuple[int, int, Motion]]] = {}
    for (near, far), (inliers, way) in among.items():
        if near in placed and far in placed and far != hub:
            tied.setdefault(far, []).append((near, inliers, way))
    for _ in range(_ROUNDS):
        for far, ways in tied.items():
            here = placed[far]
            spots = (here @ corners)[:2]
            reach = _FAR * np.sqrt(abs(float(np.linalg.det(here[:2, :2])))) * SIDE
            agreeing = [(inliers, way @ placed[near]) for near, inliers, way in ways]
            agreeing = [one for one in agreeing if np.abs((one[1] @ corners)[:2] - spots).max() <= reach]
            if agreeing:
                weights = np.array([inliers for inliers, _ in agreeing], np.float64)
                placed[far] = np.tensordot(weights / weights.sum(), np.stack([motion for _, motion in agreeing]), 1)


def _square(affine: npt.NDArray[np.floating]) -> Motion:
    return np.concatenate([np.asarray(affine, np.float64), [[0.0, 0.0, 1.0]]])
