"""Geometric proof: which of the matched points lie as one flat drawing would, seen from somewhere.

Each match of two key points says by itself how the drawing would have been shifted, turned and scaled. All of these
motions are tried against all matches, so that nothing is left to chance (Philbin et al., "Object retrieval with large
vocabularies and fast spatial matching", CVPR 2007); the best become affine by least squares over what agrees with
them. It is RANSAC (Fischler and Bolles, CACM 1981) with samples of one and local optimisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logolens.types import FloatArray32

__all__ = ["Proof", "verify"]


_HYPOTHESES = 12
_LOOSENESS = (3.0, 2.0, 1.0, 1.0)
_MOST = 400
_LEAST = 3

_ROUNDED = np.float32(1e-5)
"""By how much, in shares, two sums of products that should be equal may differ: the limit itself is still allowed."""


@dataclass(frozen=True)
class Proof:
    """How a reference lies in an image.

    Attributes:
        affine: float32 of shape (2, 3), from the reference's pixels to the image's.
        rows: positions of the inliers among the matches, each counted once.
    """

    affine: FloatArray32
    rows: npt.NDArray[np.int64]


def verify(
    source: FloatArray32,
    source_scale: FloatArray32,
    source_angle: FloatArray32,
    target: FloatArray32,
    target_scale: FloatArray32,
    target_angle: FloatArray32,
    *,
    tolerance: float,
    anisotropy: float,
) -> Proof | None:
    """The affine motion that most matches agree on.

    Args:
        source: shape (n, 2), the reference's points, the surest matches first; its scales and angles of shape (n,).
        target: shape (n, 2), the image's points.
        tolerance: how far from its place an inlier may lie, in pixels of the image.
        anisotropy: most that one direction may be stretched beside the other.

    Returns:
        None when fewer than three different points agree, or only on a reflection or too skewed a motion.
    """
    count = min(len(source), _MOST)
    if count < _LEAST:
        return None
    source, target = source[:count].astype(np.float32), target[:count].astype(np.float32)
    # Far from the origin, float32 would lose what least squares needs.
    middle, aim = source.mean(0), target.mean(0)
    spread = np.float32(max(float(np.abs(source - middle).max()), 1e-3))
    x, y = (source - middle) / spread, target - aim
    size = target_scale[:count] / np.maximum(source_scale[:count], np.float32(1e-3)) * spread
    turn = target_angle[:count] - source_angle[:count]
    cos, sin = size * np.cos(turn), size * np.sin(turn)
    linear = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    shift = y - (linear @ x[:, :, None])[..., 0]
    motions = np.concatenate([linear, shift[:, :, None]], -1)
    ground = np.concatenate([x, np.ones((count, 1), np.float32)], 1)
    bound = np.float32(tolerance)
    inside = _errors(motions, ground, y) <= (_LOOSENESS[0] * bound) ** 2
    support = inside.sum(1)
    if support.max() < _LEAST:
        return None
    best = np.argsort(-support, kind="stable")[: 4 * _HYPOTHESES]
    # Motions with the very same inliers lead to the same place.
    seen: dict[bytes, int] = {}
    for number in best:
        seen.setdefault(inside[number].tobytes(), number)
    best = np.array(list(seen.values())[:_HYPOTHESES])
    motions, inside = motions[best], inside[best]
    for looseness in _LOOSENESS[1:]:
        motions = _fitted(motions, inside, ground, y)
        errors = _errors(motions, ground, y)
        inside = errors <= (looseness * bound) ** 2
    good = _plausible(motions[:, :, :2], anisotropy)
    found: Proof | None = None
    for number in np.argsort(-inside.sum(1), kind="stable"):
        if not good[number] or inside[number].sum() < max(_LEAST, len(found.rows) + 1 if found else 0):
            continue
        rows = _one_to_one(np.flatnonzero(inside[number]), source, target, bound, errors[number])
        if len(rows) >= _LEAST and (found is None or len(rows) > len(found.rows)):
            motion = motions[number].astype(np.float64)
            back = motion[:, :2] / spread
            affine = np.concatenate([back, (motion[:, 2] + aim - back @ middle)[:, None]], 1)
            found = Proof(affine.astype(np.float32), rows)
    return found


def _plausible(linear: FloatArray32, anisotropy: float) -> npt.NDArray[np.bool_]:
    """No reflection, and no direction stretched too much beside the other.

    The singular values s and t of a 2 x 2 matrix follow from their product, the determinant, and the sum of their
    squares, that of all entries: s / t <= a as long as s / t + t / s <= a + 1 / a.
    """
    area = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    most = np.float32(anisotropy + 1 / anisotropy) * (1 + _ROUNDED)
    good: npt.NDArray[np.bool_] = (area > 0) & ((linear**2).sum((1, 2)) <= most * area)
    return good


def _errors(motions: FloatArray32, ground: FloatArray32, y: FloatArray32) -> FloatArray32:
    """Squared distances of shape (motions, points)."""
    across = motions[:, 0] @ ground.T - y[:, 0]
    down = motions[:, 1] @ ground.T - y[:, 1]
    return np.asarray(across * across + down * down, np.float32)


def _fitted(
    motions: FloatArray32, inside: npt.NDArray[np.bool_], ground: FloatArray32, y: FloatArray32
) -> FloatArray32:
    """Least squares over each motion's inliers; a motion with too few to say keeps what it was.

    A little is added for the motion as it was, so that points in a line do not leave the rest to noise.
    """
    weights = inside.astype(np.float32)
    normal = (weights @ (ground[:, :, None] * ground[:, None]).reshape(-1, 9)).reshape(-1, 3, 3)
    right = (weights @ (ground[:, :, None] * y[:, None]).reshape(-1, 6)).reshape(-1, 3, 2)
    hold = np.float32(0.02) * np.eye(3, dtype=np.float32)
    solved = np.linalg.solve(normal + hold, right + hold @ motions.transpose(0, 2, 1))
    enough = weights.sum(1) >= _LEAST
    return np.where(enough[:, None, None], solved.transpose(0, 2, 1), motions).astype(np.float32)


def _one_to_one(
    rows: npt.NDArray[np.int64], source: FloatArray32, target: FloatArray32, bound: np.float32, errors: FloatArray32
) -> npt.NDArray[np.int64]:
    """Of inliers that share their place on either side, the closest: a corner found at two scales is one proof."""
    rows = rows[np.argsort(errors[rows], kind="stable")]
    cell = np.maximum(bound, np.float32(1e-3))
    apart = source.max(0) - source.min(0)
    other = np.float32(max(float(apart.max()) / 60.0, 1e-3))
    for places, side in ((target, cell), (source, other)):
        codes = np.floor(places[rows] / side).astype(np.int64)
        _, first = np.unique(codes[:, 0] * (1 << 32) + codes[:, 1], return_index=True)
        rows = rows[np.sort(first)]
    return np.sort(rows)
