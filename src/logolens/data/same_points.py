"""Which photos are one by their local features: cut, sheared, made noisy or partly covered versions of a photo.

Photos that share rare descriptors are candidates: descriptors are looked up by some of their signs in several tables, as
locality-sensitive hashing does (Indyk and Motwani, 1998). A pair is proved where matched points agree on one affine map, much of
what both show is matched, and the two thumbnails, one laid over the other by that map, agree nearly everywhere. The last is
what tells two photos of one logo from two versions of one photo: a logo is the same drawing, what is around it is not.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from logolens.config import Limits
from logolens.data.candidates import THUMB
from logolens.data.points import BITS, mirrored_signs, places, signs
from logolens.errors import ImageError
from logolens.io.images import open_rgb, read_bytes
from logolens.io.threads import ONE_THREAD_EACH
from logolens.types import FloatArray32

__all__ = ["looked_at", "point_links"]

_Bytes: TypeAlias = npt.NDArray[np.uint8]
_Bools: TypeAlias = npt.NDArray[np.bool_]
_Ints: TypeAlias = npt.NDArray[np.int64]

_TABLES = 6
_LEAST_KEY, _MOST_KEY = 14, 28  # signs looked up at once
_COMMON = 12  # descriptors with one key from which on it tells nothing
_VOTES = 3
_ASKED = 6  # candidates a photo, those with most votes
_NEAR = 56  # signs that may differ between matched points
_LEAST_POINTS = 8
_LOOSE, _TIGHT = 0.08, 0.025  # how far a matched point may lie from where the map puts it, in heights of the photo
_MATCHED = 0.25  # share of the points in what both show
_ZOOM, _SHEAR = 3.0, 2.0
_COVERED, _COVERED_LARGER = 0.75, 0.3  # share of the smaller and of the larger photo in what both show
_SHOWS = 4.0  # standard deviation in grey levels from which on a place shows something
# Share of the places that must show something: drawings and packs on white are told apart by too little.
_LEAST_SHOWN = 0.4
_SAME = 0.7  # correlation of a place's grey levels
_AGREE = 0.65  # share of the places that show something, in thumbnails
_SIDE, _BLOCK, _REACH = 256, 16, 3  # of the closer look, in pixels
# Standard deviation in grey levels of a block that shows something, and of one that was blotted out.
_TEXTURE, _BARE = 6.0, 2.5
_LEAST_BLOCKS = 20
_BLOCK_SAME, _BLOCKS_AGREE, _BLOTTED = 0.9, 0.9, 0.3
_IS_PLAIN, _AGREES, _DIFFERS, _IS_BLOTTED = 1, 2, 3, 4
# Share of one grey, and of two, from which on a picture is taken for a drawing: versions of a drawing are drawings of their own.
_PLAIN, _TWO_TONES = 0.45, 0.47


class _Photo(NamedTuple):
    number: int
    signs: _Bools
    places: FloatArray32
    aspect: float
    thumb: FloatArray32
    is_mirrored: bool


def point_links(
    points: Sequence[_Bytes],
    thumbs: Sequence[_Bytes],
    aspects: Sequence[float],
    groups: Sequence[int],
    look: Callable[[int], _Bytes | None],
) -> list[tuple[int, int]]:
    """Pairs of photos that are one.

    Args:
        points: of each photo, as `logolens.data.points.points` gives them.
        thumbs: of each photo, uint8 of shape (32, 32), of the whole of it.
        aspects: of each photo, width over height.
        groups: of each photo the number of a group; photos of one group are known to be one and not held against each other.
        look: gives a photo by its position for the closer look, as `looked_at` does; None where it cannot be read.

    Returns:
        Pairs (i, j) with i < j, sorted.
    """
    found: set[tuple[int, int]] = set()

    def photo(index: int) -> _Photo:
        its = points[index]
        place = places(its, aspects[index])
        return _Photo(index, signs(its), place, aspects[index], thumbs[index].astype(np.float32), False)

    with ONE_THREAD_EACH:
        for one, other, is_mirrored in _candidates(points, groups):
            if (one, other) not in found and _proved(photo(one), photo(other), is_mirrored, look):
                found.add((one, other))
    return sorted(found)


def looked_at(path: Path, limits: Limits = Limits()) -> _Bytes | None:
    """A photo in grey, of 256 pixels along its longer side or less; None where it cannot be read any more."""
    try:
        image = open_rgb(read_bytes(path, limits), shrink_to=_SIDE, limits=limits).convert("L")
    except ImageError:
        return None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1.2)))


def _candidates(points: Sequence[_Bytes], groups: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
    """Pairs that share rare descriptors, and whether one of them is mirrored."""
    counts = [len(each) for each in points]
    if sum(counts) < 2 * _LEAST_POINTS:
        return
    rows = np.concatenate([each[:, : BITS // 8] for each in points if len(each)])
    owner = np.repeat(np.arange(len(points)), counts)
    joined = np.asarray(groups)
    width = int(np.clip(np.ceil(np.log2(len(rows))), _LEAST_KEY, _MOST_KEY))
    for is_mirrored in (False, True):
        codes = []
        for table in range(_TABLES):
            # Mirror images of one sum are a pair of signs: a key takes one of each pair, and the mirrored key its twin.
            pairs = (table * width + np.arange(width)) * 5 % (BITS // 2)
            here = _keys(rows, 2 * pairs)
            codes.append(_shared(here, _keys(rows, 2 * pairs + 1) if is_mirrored else here, owner, joined))
        every, times = np.unique(np.concatenate(codes), return_counts=True)
        every, times = every[times >= _VOTES], times[times >= _VOTES]
        asked: Counter[int] = Counter()
        for at in np.argsort(-times, kind="stable"):
            one, other = divmod(int(every[at]), len(points))
            if asked[one] < _ASKED or asked[other] < _ASKED:
                asked[one] += 1
                asked[other] += 1
                yield one, other, is_mirrored


def _keys(rows: _Bytes, places_of_signs: _Ints) -> _Ints:
    keys = np.zeros(len(rows), np.int64)
    for place in places_of_signs:
        keys = keys << 1 | (rows[:, place // 8] >> (7 - place % 8) & 1)
    return keys


def _shared(here: _Ints, there: _Ints, owner: _Ints, groups: _Ints) -> _Ints:
    """Each pair of photos of which one has a key here that the other has there, as one number, once a shared key."""
    order = np.argsort(there, kind="stable")
    sorted_keys = there[order]
    begin = np.searchsorted(sorted_keys, here, "left")
    count = np.searchsorted(sorted_keys, here, "right") - begin
    asking = np.flatnonzero((count > 0) & (count <= _COMMON))
    found = [np.zeros(0, np.int64)]
    for step in range(int(count[asking].max(initial=0))):
        its = asking[count[asking] > step]
        one, other = owner[its], owner[order[begin[its] + step]]
        new = (one < other) & (groups[one] != groups[other])
        found.append(one[new] * len(groups) + other[new])
    return np.concatenate(found)


def _proved(one: _Photo, other: _Photo, is_mirrored: bool, look: Callable[[int], _Bytes | None]) -> bool:
    """Whether two photos are one."""
    if max(_plainness(one.thumb), _plainness(other.thumb)) > _PLAIN:
        return False
    if is_mirrored:
        turned = other.places * np.array([-1, 1, 1, -1], np.float32) + np.array([other.aspect, 0, 0, np.pi], np.float32)
        other = _Photo(other.number, mirrored_signs(other.signs), turned, other.aspect, other.thumb[:, ::-1], True)
    left, right = _matched(one.signs, other.signs)
    if len(left) < _LEAST_POINTS:
        return False
    fitted = _affine(one.places[left], other.places[right])
    if fitted is None:
        return False
    there, back, agree = fitted
    if agree < _LEAST_POINTS:
        return False
    seen_one, seen_other = _covered(there, one.aspect, other.aspect), _covered(back, other.aspect, one.aspect)
    if max(seen_one, seen_other) < _COVERED or min(seen_one, seen_other) < _COVERED_LARGER:
        return False
    both = min(_inside(there, one.places, other.aspect), _inside(back, other.places, one.aspect))
    if agree < _MATCHED * both:
        return False
    if seen_one < seen_other:
        one, other, there = other, one, back
    return _agreement(one, other, there) >= _AGREE and _is_same_closely(one, other, there, look)


def _matched(one: _Bools, other: _Bools) -> tuple[_Ints, _Ints]:
    """Points that are each other's nearest, and near."""
    a, b = (np.where(its, np.float32(1), np.float32(-1)) for its in (one, other))
    differ = (BITS - a @ b.T) / 2
    if not differ.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    nearest, back = differ.argmin(1), differ.argmin(0)
    index = np.arange(len(one))
    good = (back[nearest] == index) & (differ[index, nearest] <= _NEAR)
    return index[good], nearest[good]


def _affine(one: FloatArray32, other: FloatArray32) -> tuple[FloatArray32, FloatArray32, int] | None:
    """The affine map from the first to the second that most matches agree on, its inverse, and how many do."""
    # Each match alone says how the photo was turned, scaled and moved; the one that most others agree with is refined.
    scale = other[:, 2] / np.maximum(one[:, 2], 1e-4)
    turn = other[:, 3] - one[:, 3]
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    dx, dy = one[None, :, 0] - one[:, None, 0], one[None, :, 1] - one[:, None, 1]
    x = other[:, None, 0] + cosine[:, None] * dx - sine[:, None] * dy
    y = other[:, None, 1] + sine[:, None] * dx + cosine[:, None] * dy
    near = np.hypot(x - other[None, :, 0], y - other[None, :, 1]) <= _LOOSE * 2
    good = near[near.sum(1).argmax()]
    placed = np.concatenate([one[:, :2], np.ones((len(one), 1), np.float32)], axis=1)
    for tolerance in (_LOOSE, _LOOSE, _TIGHT * 1.5, _TIGHT, _TIGHT):
        if good.sum() < _LEAST_POINTS - 2:
            return None
        there = np.linalg.lstsq(placed[good], other[good, :2], rcond=None)[0].T
        good = np.hypot(*(placed @ there.T - other[:, :2]).T) <= tolerance
    longest, shortest = np.linalg.svd(there[:, :2], compute_uv=False)
    if shortest < 1 / _ZOOM or longest > _ZOOM or longest > _SHEAR * shortest or np.linalg.det(there[:, :2]) <= 0:
        return None
    inverse = np.linalg.inv(there[:, :2])
    back = np.concatenate([inverse, -inverse @ there[:, 2:]], axis=1)
    return np.asarray(there, np.float32), np.asarray(back, np.float32), int(good.sum())


def _grid(aspect: float) -> FloatArray32:
    """The middles of a thumbnail's pixels in heights of the photo, of shape (1024, 2)."""
    along = (np.arange(THUMB, dtype=np.float32) + np.float32(0.5)) / np.float32(THUMB)
    x, y = np.meshgrid(along * np.float32(aspect), along)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _laid(there: FloatArray32, at: FloatArray32) -> FloatArray32:
    return np.asarray(at[:, :2] @ there[:, :2].T + there[:, 2], np.float32)


def _within(at: FloatArray32, aspect: float) -> _Bools:
    inside: _Bools = (at[:, 0] >= 0) & (at[:, 0] <= aspect) & (at[:, 1] >= 0) & (at[:, 1] <= 1)
    return inside


def _covered(there: FloatArray32, aspect: float, other: float) -> float:
    """The share of a photo that the other shows, too."""
    return float(_within(_laid(there, _grid(aspect)), other).mean())


def _inside(there: FloatArray32, its: FloatArray32, other: float) -> int:
    return int(_within(_laid(there, its), other).sum())


def _agreement(one: _Photo, other: _Photo, there: FloatArray32) -> float:
    """Of the places that both cover and at which either shows something, the share in which they show the same.

    A place is three pixels a side. It shows something where its grey levels vary, and the same where these go together.
    """
    at = _laid(there, _grid(one.aspect))
    seen = _within(at, other.aspect)
    fixed = _smooth(one.thumb)
    shares = np.asarray(at / np.array([other.aspect, 1.0], np.float32), np.float32)
    moving = _sampled(_smooth(other.thumb), shares).reshape(THUMB, THUMB)
    whole = _sums_of_nine(seen.reshape(THUMB, THUMB).astype(np.float32)) == 9
    mean, its = _sums_of_nine(fixed) / 9, _sums_of_nine(moving) / 9
    spread = np.maximum(_sums_of_nine(fixed**2) / 9 - mean**2, 0)
    its_spread = np.maximum(_sums_of_nine(moving**2) / 9 - its**2, 0)
    together = (_sums_of_nine(fixed * moving) / 9 - mean * its) / np.sqrt(np.maximum(spread * its_spread, 1e-3))
    shows = whole & (np.maximum(spread, its_spread) > _SHOWS**2)
    if shows.sum() < _LEAST_SHOWN * max(int(whole.sum()), 1):
        return 0.0
    return float((together[shows] >= _SAME).mean())


def _is_same_closely(one: _Photo, other: _Photo, there: FloatArray32, look: Callable[[int], _Bytes | None]) -> bool:
    """Whether nearly all blocks of what both show agree, but for some that were blotted out in one of the two."""
    fixed, moving = look(one.number), look(other.number)
    if fixed is None or moving is None or max(_plainness(fixed, 2), _plainness(moving, 2)) > _TWO_TONES:
        return False
    fixed, moving = (
        np.ascontiguousarray(x[:, ::-1]) if y.is_mirrored else x for x, y in ((fixed, one), (moving, other))
    )
    cv2: Any = importlib.import_module("cv2")
    (high, wide), (its_high, its_wide) = fixed.shape, moving.shape
    # From pixels to heights, by the map, and to pixels of the other.
    into = np.diag([one.aspect / wide, 1 / high])
    out = np.diag([its_wide / other.aspect, its_high])
    turn = out @ there[:, :2] @ into
    shift = out @ there[:, 2] + turn @ np.full(2, 0.5) - 0.5
    matrix = np.concatenate([turn, shift[:, None]], axis=1)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(moving, matrix, (wide, high), flags=how, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.warpAffine(np.ones_like(moving), matrix, (wide, high), flags=how)
    tops, lefts = (range(_REACH, side - _BLOCK - _REACH + 1, _BLOCK) for side in (high, wide))
    found = np.zeros((len(tops), len(lefts)), np.uint8)
    for at, (top, left) in zip(np.ndindex(*found.shape), product(tops, lefts), strict=True):
        rows, columns = slice(top, top + _BLOCK), slice(left, left + _BLOCK)
        if seen[rows, columns].all():
            around = laid[top - _REACH : top + _BLOCK + _REACH, left - _REACH : left + _BLOCK + _REACH]
            found[at] = _compared(fixed[rows, columns], around)
    blotted = found == _IS_BLOTTED
    # The edge of what was blotted out runs through the blocks beside it.
    excused = cv2.dilate(blotted.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & (found == _DIFFERS)
    shown, same = int((found > _IS_PLAIN).sum()), int((found == _AGREES).sum())
    enough = shown >= max(_LEAST_BLOCKS, _LEAST_SHOWN * int((found > 0).sum())) and same >= _LEAST_BLOCKS / 2
    if not enough or blotted.sum() > _BLOTTED * shown:
        return False
    return same >= _BLOCKS_AGREE * (shown - int(blotted.sum()) - int(excused.sum()))


def _compared(block: _Bytes, around: _Bytes) -> int:
    """What a block of one photo says beside what the other has around its place."""
    cv2: Any = importlib.import_module("cv2")
    spread, its = float(block.std()), float(around[_REACH:-_REACH, _REACH:-_REACH].std())
    if max(spread, its) < _TEXTURE:
        return _IS_PLAIN
    if min(spread, its) < _BARE:
        return _IS_BLOTTED
    close = float(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED).max())
    return _AGREES if close >= _BLOCK_SAME else _DIFFERS


def _plainness(grey: npt.NDArray[Any], tones: int = 1) -> float:
    """The share of a picture that is of one grey, give or take a few levels, or of a few such greys."""
    counts = np.bincount(grey.astype(np.int64).ravel(), minlength=256)
    share = 0
    for _ in range(tones):
        around = np.convolve(counts, np.ones(9, np.int64), "same")
        most = int(around.argmax())
        share += int(around[most])
        counts[max(0, most - 4) : most + 5] = 0
    return share / grey.size


def _sums_of_nine(values: FloatArray32) -> FloatArray32:
    """The sum of each three pixels a side, of shape (30, 30)."""
    across = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    return np.asarray(across[:-2] + across[1:-1] + across[2:], np.float32)


def _sampled(thumb: FloatArray32, at: FloatArray32) -> FloatArray32:
    """A thumbnail's values at places given in shares of its sides, between its pixels linearly."""
    place = np.clip(at * THUMB - np.float32(0.5), 0, THUMB - 1 - np.float32(1e-3))
    whole = place.astype(np.int64)
    x, y = (place - whole).T
    column, row = whole.T
    top = thumb[row, column] * (1 - x) + thumb[row, column + 1] * x
    low = thumb[row + 1, column] * (1 - x) + thumb[row + 1, column + 1] * x
    return np.asarray(top * (1 - y) + low * y, np.float32)


def _smooth(thumb: FloatArray32) -> FloatArray32:
    padded = np.pad(thumb, 1, mode="edge")
    across = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return np.asarray((across[:-2] + 2 * across[1:-1] + across[2:]) / 4, np.float32)
