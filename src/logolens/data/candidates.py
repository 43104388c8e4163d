"""Which pictures may be one, in any of the eight ways to lay a picture: four turns, each as it is and mirrored.

A picture is described by its low frequencies (DCT coefficients, higher ones weighted up), and two are compared by the
cosine. To mirror a picture only changes the sign of its odd coefficients along that axis, and to transpose it swaps their
two indices. So the coefficients are divided by parity into four kinds, and the products of each kind, once as they are and
once transposed, give the cosine of all eight ways by sums and differences, without a product for each. All of it is in whole
numbers, so that the pairs are the same on every processor.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

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
_ROWS, _COLUMNS = 512, 2048  # a tile whose products stay in a processor's cache
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


def candidates(thumbs: _Bytes) -> tuple[_Ints, _Ints, _Ints]:
    """Pairs that are close in some way.

    Args:
        thumbs: uint8 of shape (n, 32, 32).

    Returns:
        The positions i and j, with i < j, and the closest way to lay j. A pair that is close as it is and closer in
        another way stands here twice.
    """
    spectra = _spectra(thumbs)
    count, many = len(spectra), len(spectra) > _MANY
    upright = _Closest(count, _NEIGHBOURS)
    turned = _Closest(count, _NEIGHBOURS_TURNED)
    bound, bound_turned = (_UPRIGHT_MANY, _TURNED_MANY) if many else (_UPRIGHT, _TURNED)
    plain, swapped = _parities(spectra), _parities(spectra.transpose(0, 2, 1))
    for top in range(0, count, _ROWS):
        left = [part[top : top + _ROWS] for part in plain]
        for first in range(top - top % _COLUMNS, count, _COLUMNS):
            here = [part[first : first + _COLUMNS] for part in plain]
            even, cross, even_minus, cross_minus = _products(left, here)
            # Below the diagonal each pair stands a second time.
            below = (
                np.arange(len(even))[:, None] + top >= np.arange(even.shape[1])[None] + first
                if first <= top + _ROWS
                else None
            )
            as_is = even + cross
            _add(upright, as_is, bound * _STEPS**2, top, first, below)
            np.abs(cross_minus, out=cross_minus)
            other = np.maximum(even - cross, even_minus + cross_minus)
            even, cross, even_minus, cross_minus = _products(left, [part[first : first + _COLUMNS] for part in swapped])
            np.maximum(other, even + np.abs(cross), out=other)
            np.maximum(other, even_minus + np.abs(cross_minus), out=other)
            # A picture that is nearly symmetrical is as close when turned, which says nothing new.
            other[other <= as_is + 0.01 * _STEPS**2] = -1.0
            _add(turned, other, bound_turned * _STEPS**2, top, first, below)
    i, j = upright.pairs()
    left_turned, right_turned = turned.pairs()
    ways = _ways(spectra, left_turned, right_turned)
    return (
        np.concatenate([i, left_turned]),
        np.concatenate([j, right_turned]),
        np.concatenate([np.zeros(len(i), np.int64), ways]),
    )


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
    left: list[FloatArray32], right: list[FloatArray32]
) -> tuple[FloatArray32, FloatArray32, FloatArray32, FloatArray32]:
    """The sums of products over kinds: ee + oo, eo + oe, ee - oo and eo - oe.

    As it is: the first two summed. Turned by 180 degrees: their difference. Mirrored: third and fourth, summed or not.
    """
    ee, oo, eo, oe = (one @ other.T for one, other in zip(left, right, strict=True))
    return ee + oo, eo + oe, ee - oo, eo - oe


class _Closest:
    """Of each picture the closest others, trimmed whenever too many are held."""

    def __init__(self, count: int, most: int) -> None:
        self._count, self._most, self._held = count, most, 0
        self._parts: list[tuple[_Ints, _Ints, FloatArray32]] = []

    def add(self, one: _Ints, other: _Ints, closeness: FloatArray32) -> None:
        self._parts.append((one, other, closeness))
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


def _add(
    kept: _Closest, closeness: FloatArray32, least: float, top: int, first: int, below: npt.NDArray[np.bool_] | None
) -> None:
    close = closeness > least
    if below is not None:
        close &= ~below
    flat = np.flatnonzero(close)
    if len(flat):
        i, j = np.divmod(flat, closeness.shape[1])
        kept.add(i + top, j + first, closeness[i, j])


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
