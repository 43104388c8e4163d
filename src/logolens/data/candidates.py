"""Which pictures may be one, in any of the eight ways to lay a picture: four turns, each as it is and mirrored.

A picture is described by its low frequencies (DCT coefficients, higher ones weighted up), and two are compared by the
cosine. To mirror a picture only changes the sign of its odd coefficients along that axis, and to transpose it swaps their
two indices. So the coefficients are divided by parity into four kinds, and the products of each kind, once as they are and
once transposed, give the cosine of all eight ways by sums and differences, without a product for each. All of it is in whole
numbers, so that the pairs are the same on every processor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from logolens.io.threads import ONE_THREAD_EACH, processors
from logolens.types import FloatArray32

__all__ = ["THUMB", "WAYS", "candidates", "is_plain", "laid"]

THUMB = 32
"""Side of the thumbnails, in pixels."""

WAYS = (
    "as it is",
    "mirrored",
    "mirrored top to bottom",
    "turned by 180°",
    "mirrored and turned",
    "turned by 90°",
    "turned by 90°",
    "mirrored and turned",
)
"""What each way of `laid` is called. A way is 4 where axes are swapped, plus 2 where rows, plus 1 where columns run back."""

_Bytes: TypeAlias = npt.NDArray[np.uint8]
_Ints: TypeAlias = npt.NDArray[np.int64]

_PLAIN = 4  # standard deviation in grey levels below which a picture is too plain to compare
# What a unit vector is in: float32 holds every sum of products of such whole numbers exactly, for they stay below 2^24.
_STEPS = 4000
_COSINES = 1024  # what a cosine of the transform is in; its sums stay below 2^53, which float64 holds
_FREQUENCIES = 8
_MANY = 20_000
# For large sets the looser bound would pass millions of pairs to prove. A turned copy is mostly nothing but turned.
_UPRIGHT, _UPRIGHT_MANY = 0.5, 0.7
_TURNED, _TURNED_MANY = 0.7, 0.8
# Of each photo, the closest are proved; copies of copies join through one another.
_NEIGHBOURS, _NEIGHBOURS_TURNED = 8, 4
_BATCH = 512
_ROWS, _COLUMNS = 256, 1024  # a tile whose products stay in a processor's cache
_HELD = 8_000_000  # pairs that are held before only the closest are kept


def laid(thumbs: _Bytes, ways: npt.NDArray[np.integer]) -> _Bytes:
    """Each picture laid in its way.

    Args:
        thumbs: uint8 of shape (n, 32, 32).
        ways: of shape (n,), from 0 to 7, see `WAYS`.
    """
    result = thumbs.copy()
    swapped, rows, columns = ways & 4 > 0, ways & 2 > 0, ways & 1 > 0
    result[swapped] = result[swapped].transpose(0, 2, 1)
    result[rows] = result[rows][:, ::-1]
    result[columns] = result[columns][:, :, ::-1]
    return result


def candidates(thumbs: _Bytes, among: npt.NDArray[np.bool_] | None = None) -> tuple[_Ints, _Ints, _Ints]:
    """Pairs that are close in some way.

    Args:
        thumbs: uint8 of shape (n, 32, 32).
        among: of shape (n,); only pairs with one of these are sought. None: all pairs.

    Returns:
        The positions i and j, with i < j, and the closest way to lay j. A pair that is close as it is and closer in
        another way stands here twice.
    """
    count, many = len(thumbs), len(thumbs) > _MANY
    # Those that are sought come first, so that their rows against all that follow hold each pair once.
    order = np.arange(count) if among is None else np.argsort(~among, kind="stable")
    sought = count if among is None else int(among.sum())
    spectra = _spectra(thumbs)
    plain, swapped = _parities(spectra[order]), _parities(spectra[order].transpose(0, 2, 1))
    upright, turned = _Closest(count, _NEIGHBOURS), _Closest(count, _NEIGHBOURS_TURNED)
    bounds = (_UPRIGHT_MANY, _TURNED_MANY) if many else (_UPRIGHT, _TURNED)
    tops = range(0, sought, _ROWS)
    workers = processors()
    # Each product on one thread: a library's own threads wait for one another, most of the time on a busy machine.
    with ONE_THREAD_EACH, ThreadPoolExecutor(workers, thread_name_prefix="logolens-pairs") as pool:
        # Not all rows at once: what is close in them would be held before only the closest are kept.
        for start in range(0, len(tops), workers):
            part = tops[start : start + workers]
            for found in pool.map(lambda top: list(_close(plain, swapped, (top, sought), bounds)), part):
                for is_turned, one, other, closeness in found:
                    (turned if is_turned else upright).add(order[one], order[other], closeness)
    i, j = upright.pairs()
    left_turned, right_turned = turned.pairs()
    ways = _ways(spectra, left_turned, right_turned)
    return (
        np.concatenate([i, left_turned]),
        np.concatenate([j, right_turned]),
        np.concatenate([np.zeros(len(i), np.int64), ways]),
    )


def _close(
    plain: list[FloatArray32], swapped: list[FloatArray32], rows: tuple[int, int], bounds: tuple[float, float]
) -> Iterator[tuple[bool, _Ints, _Ints, FloatArray32]]:
    """The pairs of some rows with all that follow: whether laid in another way, both positions, and how close they are."""
    top, sought = rows
    left = [part[top : min(top + _ROWS, sought)] for part in plain]
    high, count = len(left[0]), len(plain[0])
    # Tables that are written over: to be given new ones by the system would take longer than the sums.
    room = np.empty((8, high * _COLUMNS), np.float32)
    for first in range(top - top % _COLUMNS, count, _COLUMNS):
        wide = min(_COLUMNS, count - first)
        as_is, other, *tables = (table[: high * wide].reshape(high, wide) for table in room)
        even, cross, even_minus, cross_minus = _products(left, [part[first : first + wide] for part in plain], tables)
        np.add(even, cross, out=as_is)
        even -= cross
        np.abs(cross_minus, out=cross_minus)
        even_minus += cross_minus
        np.maximum(even, even_minus, out=other)
        even, cross, even_minus, cross_minus = _products(left, [part[first : first + wide] for part in swapped], tables)
        for straight, crossed in ((even, cross), (even_minus, cross_minus)):
            np.abs(crossed, out=crossed)
            straight += crossed
            np.maximum(other, straight, out=other)
        # Below the diagonal each pair stands a second time.
        below = np.arange(high)[:, None] + top >= np.arange(wide)[None] + first if first <= top + high else None
        for is_turned, closeness in ((False, as_is), (True, other)):
            close = closeness > bounds[is_turned] * _STEPS**2
            if below is not None:
                close &= ~below
            i, j = np.divmod(np.flatnonzero(close), wide)
            if is_turned:
                # A picture that is nearly symmetrical is as close when turned, which says nothing new.
                new = other[i, j] > as_is[i, j] + np.float32(0.01 * _STEPS**2)
                i, j = i[new], j[new]
            if len(i):
                yield is_turned, i + top, j + first, closeness[i, j]


def is_plain(thumbs: _Bytes) -> npt.NDArray[np.bool_]:
    """Whether each picture, of shape (n, 32, 32), is too plain to compare; in whole numbers, so that a limit is one."""
    values = thumbs.reshape(len(thumbs), THUMB * THUMB).astype(np.int64)
    count = values.shape[1]
    plain: npt.NDArray[np.bool_] = count * (values**2).sum(axis=1) - values.sum(axis=1) ** 2 < (_PLAIN * count) ** 2
    return plain


def _spectra(thumbs: _Bytes) -> FloatArray32:
    """Low frequencies, higher ones weighted up, (n, 8, 8), of whole numbers and of length `_STEPS` as nearly as these can be;
    zero for plain pictures, which match nothing."""
    index = np.arange(THUMB)
    basis = np.rint(_COSINES * np.cos(np.pi * (2 * index[None] + 1) * index[:_FREQUENCIES, None] / (2 * THUMB)))
    weight = np.sqrt(index[:_FREQUENCIES, None] ** 2 + index[None, :_FREQUENCIES] ** 2)
    result = np.zeros((len(thumbs), _FREQUENCIES, _FREQUENCIES), np.float32)
    for start in range(0, len(thumbs), _BATCH):
        block = thumbs[start : start + _BATCH]
        spectrum = (basis @ block.astype(np.float64) @ basis.T) * weight
        norm = np.sqrt(np.square(spectrum).sum(axis=(1, 2), keepdims=True))
        scaled = np.rint(spectrum * (_STEPS / np.maximum(norm, 1.0)))
        result[start : start + _BATCH] = np.where(is_plain(block)[:, None, None], 0.0, scaled)
    return result


def _parities(spectra: FloatArray32) -> list[FloatArray32]:
    """The coefficients that are even along both axes, odd along both; odd along columns only, along rows only."""
    parts = (spectra[:, row::2, column::2] for row, column in ((0, 0), (1, 1), (0, 1), (1, 0)))
    return [np.ascontiguousarray(part.reshape(len(spectra), part.shape[1] * part.shape[2])) for part in parts]


def _products(
    left: list[FloatArray32], right: list[FloatArray32], tables: Sequence[FloatArray32]
) -> tuple[FloatArray32, FloatArray32, FloatArray32, FloatArray32]:
    """The sums of products over kinds: ee + oo, eo + oe, ee - oo and eo - oe, written into six tables.

    As it is: the first two summed. Turned by 180 degrees: their difference. Mirrored: third and fourth, summed or not.
    """
    ee, oo, eo, oe, even, cross = tables
    for one, other, table in zip(left, right, (ee, oo, eo, oe), strict=True):
        np.matmul(one, other.T, out=table)
    np.add(ee, oo, out=even)
    np.add(eo, oe, out=cross)
    ee -= oo
    eo -= oe
    return even, cross, ee, eo


class _Closest:
    """Of each picture the closest others, trimmed whenever too many are held."""

    def __init__(self, count: int, most: int) -> None:
        self._count, self._most, self._held = count, most, 0
        self._parts: list[tuple[_Ints, _Ints, FloatArray32]] = []

    def add(self, one: _Ints, other: _Ints, closeness: FloatArray32) -> None:
        self._parts.append((np.minimum(one, other), np.maximum(one, other), closeness))
        self._held += len(one)
        if self._held > _HELD:
            self._trim()
            self._held = 0  # What is left is at most `most` a picture.

    def _trim(self) -> None:
        if not self._parts:
            return
        one, other, closeness = (np.concatenate(values) for values in zip(*self._parts, strict=True))
        both = np.concatenate([one, other])
        order = np.lexsort((-np.concatenate([closeness, closeness]), both))
        both = both[order]
        # The rank of each candidate among its picture's: position less the position where its picture begins.
        rank = np.arange(len(both)) - np.searchsorted(both, both)
        kept = np.unique(order[rank < self._most] % len(one))
        self._parts = [(one[kept], other[kept], closeness[kept])]

    def pairs(self) -> tuple[_Ints, _Ints]:
        self._trim()
        if not self._parts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        one, other, _ = self._parts[0]
        order = np.lexsort((other, one))
        return one[order], other[order]


def _ways(spectra: FloatArray32, left: _Ints, right: _Ints) -> _Ints:
    """The closest way to lay the right picture of each pair, other than as it is."""
    result = np.zeros(len(left), np.int64)
    odd = np.where(np.arange(_FREQUENCIES) % 2, np.float32(-1), np.float32(1))
    for start in range(0, len(left), 8 * _BATCH):
        part = slice(start, start + 8 * _BATCH)
        one, other = spectra[left[part]], spectra[right[part]]
        scores = np.empty((len(one), 8), np.float32)
        for way in range(8):
            its = other.transpose(0, 2, 1) if way & 4 else other
            sign = (odd if way & 2 else np.ones_like(odd))[:, None] * (odd if way & 1 else np.ones_like(odd))[None]
            scores[:, way] = (one * its * sign).sum((1, 2))
        scores[:, 0] = -2.0 * _STEPS**2
        result[part] = scores.argmax(1)
    return result
