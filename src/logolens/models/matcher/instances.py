"""Every place where an image shows one drawing: verified again and again, each time without what is proved already.

A search for the best match asks that a key point look like one place of the image and like no other, which a drawing that is
there twice never does. Here it is the image's key points that look for theirs in the reference, so that each copy finds its own
(as Lowe clusters poses, IJCV 2004), and what lies within a proved copy is set aside before the next is sought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from logolens.config import MatcherSettings
from logolens.models.matcher.keypoints import Keypoints, zoom_of
from logolens.models.matcher.references import LEAST, Edges, Reference
from logolens.models.matcher.verify import Proof, verify

__all__ = ["Place", "copies", "twins"]

_MOST = 64
"""Places that are told of one image."""

_RATIO = 0.9
"""Largest ratio of the nearest to the second nearest distance; a wrong link more costs nothing, as geometry judges."""

_FAR = np.float32(0.6)
"""Largest squared distance of descriptors of length 1 that look alike."""

_GROWN = 0.04
"""By which share of its sides a proved place is grown before what lies within it is set aside."""

_LEAST_SIDE = 8.0
"""Pixels of a side of a place below which it is a chance of geometry."""


@dataclass(frozen=True)
class Place:
    """Where an image shows a drawing.

    Attributes:
        box: (x1, y1, x2, y2) in pixels of the image.
        inliers: how many points prove it.
    """

    box: Edges
    inliers: int


@dataclass
class _Sought:
    """A reference, and which of an image's key points look like which of its own."""

    outline: Edges
    points: Keypoints
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    place: Place | None = None
    stale: bool = True


def copies(
    points: Keypoints,
    references: Sequence[Reference],
    settings: MatcherSettings,
    *,
    least: int,
    taken: Sequence[Edges] = (),
) -> tuple[Place, ...]:
    """All places of an image that show one of some references, those with the most proof first found.

    Args:
        points: of the image.
        references: of one label; each is compared in full, so there should be few.
        settings: how they are compared.
        least: points that prove a place.
        taken: boxes in pixels of the image, in which nothing more is sought.
    """
    sought = [_links(points, reference.keypoints, reference.outline) for reference in references]
    free = np.ones(len(points), bool)
    for box in taken:
        free &= ~_inside(points, box)
    tolerance = settings.tolerance / zoom_of(points.size, settings.long_side, settings.upscale)
    found: list[Place] = []
    while len(found) < _MOST:
        for one in sought:
            if one.stale:
                one.place = _place(points, one, free, tolerance, settings.anisotropy)
                one.stale = False
        best = max((one.place for one in sought if one.place is not None), key=lambda its: its.inliers, default=None)
        if best is None or best.inliers < least:
            break
        found.append(best)
        gone = free & _inside(points, best.box)
        if not gone.any():
            break
        free &= ~gone
        for one in sought:
            one.stale = bool(gone[one.columns].any())
    return tuple(found)


def twins(
    points: Keypoints, box: Edges, settings: MatcherSettings, *, least: int, taken: Sequence[Edges] = ()
) -> tuple[Place, ...]:
    """Other places of an image that show what it shows within a box: prints of one drawing look alike in every point.

    Args:
        points: of the image.
        box: in pixels of the image.
        settings: as of `copies`.
        least: as of `copies`.
        taken: as of `copies`; the box is always.
    """
    inside = np.flatnonzero(_inside(points, box, 0.0))
    if len(inside) < LEAST:
        return ()
    own = replace(
        points,
        points=points.points[inside],
        scale=points.scale[inside],
        angle=points.angle[inside],
        descriptors=points.descriptors[inside],
    )
    reference = Reference("", "", "", own, box, box)
    return copies(points, [reference], settings, least=least, taken=(*taken, box))


def _links(points: Keypoints, own: Keypoints, outline: Edges) -> _Sought:
    """Each of the image's key points with the one of the reference that it looks like, if it looks like one alone."""
    if not len(points) or not len(own):
        nothing = np.zeros(0, np.int64)
        return _Sought(outline, own, nothing, nothing)
    here, there = _unit(points.descriptors), _unit(own.descriptors)
    away = np.maximum(2.0 - 2.0 * (here @ there.T), 0.0)
    nearest = away.argmin(axis=1)
    first = away[np.arange(len(away)), nearest]
    # What lies beside the nearest is the same place, and no rival of it.
    apart = np.square(own.points[:, None] - own.points[None]).sum(axis=2) > 25.0
    rest = np.where(apart[nearest], away, np.float32(4.0)).min(axis=1)
    kept = np.flatnonzero((first < _FAR) & (first <= _RATIO * _RATIO * rest))
    kept = kept[np.argsort(first[kept] / np.maximum(rest[kept], 1e-6), kind="stable")]
    return _Sought(outline, own, nearest[kept].astype(np.int64), kept.astype(np.int64))


def _unit(descriptors: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    rows = descriptors.astype(np.float32)
    return np.asarray(rows / np.maximum(np.sqrt((rows * rows).sum(axis=1, keepdims=True)), 1e-6), np.float32)


def _inside(points: Keypoints, box: Edges, grown: float = _GROWN) -> npt.NDArray[np.bool_]:
    wide, high = grown * (box[2] - box[0]), grown * (box[3] - box[1])
    low = np.array((box[0] - wide, box[1] - high), np.float32)
    high_corner = np.array((box[2] + wide, box[3] + high), np.float32)
    return np.asarray(((points.points >= low) & (points.points <= high_corner)).all(axis=1))


def _place(
    points: Keypoints, one: _Sought, free: npt.NDArray[np.bool_], tolerance: float, anisotropy: float
) -> Place | None:
    """The best place of a reference among key points that are free."""
    kept = free[one.columns]
    rows, columns = one.rows[kept], one.columns[kept]
    if len(rows) < LEAST:
        return None
    proof: Proof | None = verify(
        one.points.points[rows],
        one.points.scale[rows],
        one.points.angle[rows],
        points.points[columns],
        points.scale[columns],
        points.angle[columns],
        tolerance=tolerance,
        anisotropy=anisotropy,
    )
    if proof is None or len(proof.rows) < LEAST:
        return None
    x1, y1, x2, y2 = one.outline
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32)
    outline = corners @ proof.affine[:, :2].T + proof.affine[:, 2]
    low, high = np.clip(outline.min(0), 0, points.size), np.clip(outline.max(0), 0, points.size)
    if (high - low).min() < _LEAST_SIDE:
        return None
    return Place((float(low[0]), float(low[1]), float(high[0]), float(high[1])), len(proof.rows))
