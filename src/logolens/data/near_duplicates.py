"""Near copies: the same picture rescaled, recompressed, a little cropped, brightened, put on a wider margin, turned by a
right angle or mirrored.

Each photo is reduced to two grey thumbnails, of the whole and of what is left when a plain margin is trimmed away.
Candidates are pairs whose low frequencies agree in one of the eight ways to lay a picture (see `candidates`); each is then
proved or dropped by aligning one thumbnail to the other (scale and shift along both axes, Gauss-Newton after Lucas and
Kanade, 1981) and correlating what overlaps, in brightness and in gradient. Two drawings on white agree in brightness almost
whatever they show; their gradients do not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.data.candidates import THUMB, candidates, is_plain, laid
from logolens.io.threads import ONE_THREAD_EACH, processors
from logolens.types import FloatArray32

__all__ = ["THUMB", "Link", "groups_of", "near_links", "near_pairs", "thumbnails", "trim"]

_Bytes: TypeAlias = npt.NDArray[np.uint8]
_Ints: TypeAlias = npt.NDArray[np.int64]

# Looked at on 874 photos and clean drawings: at 0.95 all pairs are one picture, or one artwork in two tints; below
# 0.93 different drawings of one brand begin. Untrimmed thumbnails of small logos hold less detail and must agree more.
_GRADIENT_TRIMMED, _GRADIENT_WHOLE = 0.95, 0.965
_BRIGHTNESS = 0.95
_OVERLAP = 0.7
_ASPECT = 0.25
_BATCH = 512  # what stays in a processor's cache is aligned twice as fast


def thumbnails(image: Image.Image) -> tuple[_Bytes, float, float]:
    """What is kept of a photo to compare it.

    Args:
        image: upright RGB; 128 pixels a side or more hold all that is used.

    Returns:
        uint8 of shape (2, 32, 32): grey thumbnails of the trimmed and of the whole picture; then the width over height
        of the two. When nothing was trimmed both are the same.
    """
    grey = image.convert("L")
    if min(grey.size) >= 4 * THUMB:
        grey = grey.reduce(min(grey.size) // (2 * THUMB))
    trimmed = trim(grey)
    return (
        np.stack([_square(trimmed), _square(grey)]),
        trimmed.width / trimmed.height,
        grey.width / grey.height,
    )


def _square(grey: Image.Image) -> _Bytes:
    method = Image.Resampling.BOX if min(grey.size) >= 2 * THUMB else Image.Resampling.BILINEAR
    return np.asarray(grey.resize((THUMB, THUMB), method))


def trim(grey: Image.Image) -> Image.Image:
    """A grey picture without its plain margin, if it has one."""
    values = np.asarray(grey).astype(np.int16)
    edge = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    margin, span = np.median(edge), float(np.ptp(values))
    if (np.abs(edge - margin) <= max(3.0, 0.05 * span)).mean() < 0.9:
        return grey
    ink = np.abs(values - margin) > max(6.0, 0.12 * span)
    # A few specks of compression noise in a row are no ink.
    rows = np.flatnonzero(ink.sum(1) > 0.015 * ink.shape[1])
    columns = np.flatnonzero(ink.sum(0) > 0.015 * ink.shape[0])
    if len(rows) < 8 or len(columns) < 8:
        return grey
    return grey.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))


class Link(NamedTuple):
    """Two pictures that were proved one.

    Attributes:
        one: position of the first.
        other: position of the second, greater than ``one``.
        way: how the second must be laid to be like the first, see `candidates.laid`; 0 as it is.
    """

    one: int
    other: int
    way: int = 0


def near_pairs(thumbs: _Bytes, aspects: npt.NDArray[np.floating]) -> list[tuple[int, int]]:
    """Pairs of near copies: `near_links` without what it tells of them."""
    return [(link.one, link.other) for link in near_links(thumbs, aspects)]


def near_links(thumbs: _Bytes, aspects: npt.NDArray[np.floating]) -> list[Link]:
    """Near copies, and how each is one.

    Args:
        thumbs: uint8 of shape (n, 2, 32, 32), as `thumbnails` gives them.
        aspects: of shape (n, 2), width over height of each.

    Returns:
        Links sorted by positions, one for each pair. Copies of copies may be joined only through one another: see `groups_of`.
    """
    if len(thumbs) < 2:
        return []
    # What is the same to the last pixel needs no proof, and one of them speaks for all: a site may show one picture often.
    kept, same = _alike_exactly(thumbs, aspects)
    proved = _proved_links(thumbs[kept], aspects[kept])
    links = [Link(int(kept[link.one]), int(kept[link.other]), link.way) for link in proved]
    return sorted([*(Link(*pair) for pair in same), *links])


def _alike_exactly(thumbs: _Bytes, aspects: npt.NDArray[np.floating]) -> tuple[_Ints, list[tuple[int, int]]]:
    """The first of each set of equal pictures, in order, and each later one paired with its first; no plain pictures."""
    shapes = np.ascontiguousarray(aspects, np.float64)
    plain = is_plain(thumbs[:, 0])
    first: dict[bytes, int] = {}
    kept, same = [], []
    for number, (thumb, shape) in enumerate(zip(thumbs, shapes, strict=True)):
        # A hash, for a hundred thousand pairs of thumbnails would take 200 MB a second time.
        one = first.setdefault(hashlib.sha256(thumb.tobytes() + shape.tobytes()).digest(), number)
        if one != number and not plain[number]:
            same.append((one, number))
        else:
            kept.append(number)
    return np.array(kept, np.int64), same


def _proved_links(thumbs: _Bytes, aspects: npt.NDArray[np.floating]) -> list[Link]:
    """Near copies among pictures that differ."""
    found: dict[tuple[int, int], Link] = {}
    if len(thumbs) < 2:
        return []
    untrimmed = (thumbs[:, 0] == thumbs[:, 1]).all(axis=(1, 2))
    for view, least in ((0, _GRADIENT_TRIMMED), (1, _GRADIENT_WHOLE)):
        if view == 1 and untrimmed.all():
            break
        chosen = thumbs[:, view]
        # Two photos without a margin have been compared already.
        left, right, way = candidates(chosen, ~untrimmed if view else None)
        for link in _proved_pairs(chosen, aspects[:, view], (left, right, way), least):
            found.setdefault((link.one, link.other), link)
    return [found[pair] for pair in sorted(found)]


def _proved_pairs(
    thumbs: _Bytes, aspects: npt.NDArray[np.floating], pairs: tuple[_Ints, _Ints, _Ints], gradient: float
) -> list[Link]:
    """Those of some pairs, each with the way to lay its second, that are one picture."""

    def proved(start: int) -> list[Link]:
        i, j, turn = (values[start : start + _BATCH] for values in pairs)
        width = np.where(turn >= 4, 1 / aspects[j], aspects[j])
        good = _proved(thumbs[i], laid(thumbs[j], turn), aspects[i] / width, gradient)
        return [Link(*link) for link in zip(i[good].tolist(), j[good].tolist(), turn[good].tolist(), strict=True)]

    with ONE_THREAD_EACH, ThreadPoolExecutor(processors(), thread_name_prefix="logolens-pairs") as pool:
        return [link for links in pool.map(proved, range(0, len(pairs[0]), _BATCH)) for link in links]


def groups_of(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Number things so that joined ones share a number: that of their first member (union-find)."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for one, other in pairs:
        a, b = root(one), root(other)
        if a != b:
            parent[max(a, b)] = min(a, b)
    return [root(item) for item in range(count)]


def _proved(one: _Bytes, other: _Bytes, aspect: npt.NDArray[np.floating], gradient: float) -> npt.NDArray[np.bool_]:
    """Whether each pair is one picture, aligned in either direction."""
    result = np.zeros(len(one), bool)
    a, b = _blur(one.astype(np.float32)), _blur(other.astype(np.float32))
    alive = np.arange(len(one))
    motion = np.zeros((len(one), 4), np.float32)
    # Most candidates are dropped by a look at each stage, the first at half the size, and only what is left is worth the next.
    brightness, motion, _ = _align(_halved(a), _halved(b), motion, 2)
    motion[:, [1, 3]] *= 2
    alive = alive[brightness >= 0.75]
    brightness, found, _ = _align(a[alive], b[alive], motion[alive], 6)
    motion[alive] = found
    alive = alive[brightness >= _BRIGHTNESS - 0.1]
    for left, right, ratio, start in ((a, b, aspect, motion), (b, a, 1 / aspect, _inverse(motion))):
        todo = alive[~result[alive]]
        brightness, found, overlap = _align(left[todo], right[todo], start[todo], 3)
        # The thumbnails are squares: undone, the alignment may stretch the picture only a little.
        stretch = np.abs(np.log(np.maximum(ratio[todo] * (1 + found[:, 2]) / (1 + found[:, 0]), 1e-6)))
        sure = (brightness >= _BRIGHTNESS) & (overlap >= _OVERLAP) & (stretch <= _ASPECT)
        sure[sure] = _gradient_correlation(left[todo[sure]], right[todo[sure]], found[sure]) >= gradient
        result[todo[sure]] = True
    return result


def _inverse(motion: FloatArray32) -> FloatArray32:
    """The motion back: x = (1 + s) y + t becomes y = x / (1 + s) - t / (1 + s)."""
    scale = 1 / (1 + motion[:, [0, 2]])
    back = np.empty_like(motion)
    back[:, [0, 2]] = scale - 1
    back[:, [1, 3]] = -motion[:, [1, 3]] * scale
    return back


def _align(
    fixed: FloatArray32, moving: FloatArray32, start: FloatArray32, rounds: int
) -> tuple[FloatArray32, FloatArray32, FloatArray32]:
    """The best correlation met, the motion (scale x, shift x, scale y, shift y) that gave it, and the overlap."""
    count, side = len(fixed), fixed.shape[1]
    along = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    across, down = along[None, :], along[:, None]
    motion = start
    best = np.full(count, -1.0, np.float32), motion.copy(), np.zeros(count, np.float32)
    damping = np.diag(np.array([5.0, 0.1, 5.0, 0.1], np.float32))
    for turn in range(rounds + 1):
        warped, inside = _warp(moving, motion)
        a, b = _standard(fixed, inside), _standard(warped, inside)
        overlap = inside.mean((1, 2))
        score = (a * b).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1.0)
        better = (score > best[0]) & (overlap >= _OVERLAP)
        for kept, new in zip(best, (score, motion, overlap), strict=True):
            kept[better] = new[better]
        if turn == rounds:
            break
        dy, dx = _slopes(b)
        dx, dy = dx * inside, dy * inside
        slopes = np.stack([dx * across, dx, dy * down, dy], 1).reshape(count, 4, side * side)
        rest = ((a - b) * inside).reshape(count, side * side, 1)
        step = np.linalg.solve(slopes @ slopes.transpose(0, 2, 1) + damping, slopes @ rest)[..., 0]
        motion = motion + step.astype(np.float32)
        motion[:, [0, 2]] = np.clip(motion[:, [0, 2]], -0.25, 0.25)
        motion[:, [1, 3]] = np.clip(motion[:, [1, 3]], -5 * side / THUMB, 5 * side / THUMB)
    return best


def _slopes(images: FloatArray32) -> tuple[FloatArray32, FloatArray32]:
    """Central differences along y and x, zero at the edge, which a warp makes up."""
    dy, dx = np.zeros_like(images), np.zeros_like(images)
    dy[:, 1:-1] = (images[:, 2:] - images[:, :-2]) / 2
    dx[:, :, 1:-1] = (images[:, :, 2:] - images[:, :, :-2]) / 2
    return dy, dx


def _warp(images: FloatArray32, motion: FloatArray32) -> tuple[FloatArray32, FloatArray32]:
    """Images sampled at (1 + scale) * position + shift, linearly, and 1 where that lies inside them.

    The axes move apart from one another, so that sampling is two matrix products.
    """
    side = images.shape[1]
    across, inside_x = _sampling(motion[:, 0, None], motion[:, 1, None], side)
    down, inside_y = _sampling(motion[:, 2, None], motion[:, 3, None], side)
    warped = down @ images @ across.transpose(0, 2, 1)
    return np.asarray(warped, np.float32), np.asarray(inside_y[:, :, None] * inside_x[:, None, :], np.float32)


def _sampling(scale: FloatArray32, shift: FloatArray32, side: int) -> tuple[FloatArray32, FloatArray32]:
    index, middle = np.arange(side, dtype=np.float32), np.float32((side - 1) / 2)
    place = (1 + scale) * (index - middle) + shift + middle
    inside = ((place >= 0) & (place <= side - 1)).astype(np.float32)
    # Beyond the edge its own value goes on, so that no false gradient stands there.
    held = np.clip(place, 0, side - 1)
    weights = np.maximum(np.float32(0), 1 - np.abs(held[:, :, None] - index))
    return np.asarray(weights, np.float32), inside


def _standard(images: FloatArray32, inside: FloatArray32) -> FloatArray32:
    """Mean 0 and variance 1 over what is inside, 0 outside."""
    total = np.maximum(inside.sum((1, 2), keepdims=True), 1.0)
    centred = (images - (images * inside).sum((1, 2), keepdims=True) / total) * inside
    spread = np.sqrt((centred * centred).sum((1, 2), keepdims=True) / total)
    return np.asarray(centred / np.maximum(spread, 1e-3), np.float32)


def _gradient_correlation(fixed: FloatArray32, moving: FloatArray32, motion: FloatArray32) -> FloatArray32:
    warped, inside = _warp(moving, motion)
    a, b = (np.concatenate([slope * inside for slope in _slopes(image)], 1) for image in (fixed, warped))
    energy = np.sqrt((a * a).sum((1, 2)) * (b * b).sum((1, 2)))
    return np.asarray((a * b).sum((1, 2)) / np.maximum(energy, 1e-3), np.float32)


def _halved(images: FloatArray32) -> FloatArray32:
    """At half the size, four pixels to one."""
    halved = images[:, ::2] + images[:, 1::2]
    return np.asarray((halved[:, :, ::2] + halved[:, :, 1::2]) / 4, np.float32)


def _blur(images: FloatArray32) -> FloatArray32:
    """A 3 x 3 binomial, so that a shift by half a pixel does not read as another picture."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    return np.asarray((across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 4, np.float32)
