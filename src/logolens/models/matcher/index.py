"""Which key points of the references look like those of an image: all compared, or an inverted file asked.

The inverted file is k-means over the references' descriptors (Sivic and Zisserman, "Video Google", ICCV 2003; Jégou et
al., "Product quantization for nearest neighbor search", PAMI 2011): an image's key points are compared with the
members of their few nearest lists alone. A list sees nearly all of an image's key points that look like its members,
so that the ratio of the nearest to the second nearest comes with it.

All is products of matrices, which numpy hands to BLAS: comparing each key point with some 2,400 members in blocks is no
slower than the compiled indexes of nearest-neighbour libraries are on one core. The products are of whole numbers: 128
products of bytes sum to at most 8,323,200, which float32 holds exactly, so every kernel gives the same ones in whatever
order it adds, and equal descriptors compare as equal. What is rounded comes after, number by number, alike everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.models.matcher.keypoints import WIDTH
from logolens.types import FloatArray32

__all__ = ["Index", "Links", "build_index"]

_Bytes = npt.NDArray[np.uint8]
_Ints = npt.NDArray[np.int64]

_PER_LIST = 600
_ROUNDS = 8
_SAMPLE = 40
_BLOCK = 8_000_000  # numbers in a block of distances: 32 MB
_ROOM = 64_000_000  # numbers of descriptors that are kept ready: 256 MB
_FAR = np.float32(0.275)
"""Half the squared distance beyond which two key points do not look alike; unit vectors can be 2 apart."""

_SAME = np.float32(1e-6)
"""Half the squared distance below which two descriptors are equal: half of what one step of one byte changes."""


@dataclass(frozen=True)
class Links:
    """Key points of references and of an image that look alike.

    Attributes:
        rows: int64 of shape (n,), positions among the index's descriptors.
        columns: int64 of shape (n,), positions among the image's key points.
        ratio: float32 of shape (n,), nearest over second nearest distance; smaller is surer.
    """

    rows: _Ints
    columns: _Ints
    ratio: FloatArray32


@dataclass(frozen=True)
class Index:
    """The references' descriptors, in lists of what looks alike.

    Attributes:
        descriptors: uint8 of shape (n, 128), as the references hold them, one after the other.
        centres: float32 of shape (lists, 128); without lists, all descriptors are compared.
        order: int32 of shape (n,), the descriptors' positions, list by list.
        ends: int64 of shape (lists + 1,), where in the order each list begins, and the last ends.
    """

    descriptors: _Bytes
    centres: FloatArray32
    order: npt.NDArray[np.int32]
    ends: _Ints

    def __len__(self) -> int:
        return len(self.descriptors)

    def look_up(self, queries: Sequence[_Bytes], ratio: float, probes: int) -> list[Links]:
        """For each descriptor of a reference, the nearest of an image's, where it is clearly nearer than the second.

        Args:
            queries: uint8 of shape (m, 128) each: an image's descriptors, and those of its negative. They are looked up
                together, which costs less, and know nothing of one another.
            ratio: the largest ratio of nearest to second nearest distance (Lowe, 2004).
            probes: how many lists each of the image's descriptors is looked up in.

        Returns:
            The links of each query.
        """
        found: list[list[Links]] = [[] for _ in queries]
        starts = np.cumsum([0, *(len(query) for query in queries)])
        if len(self) and starts[-1]:
            asked = np.concatenate(list(queries)).astype(np.float32)
            inverse = _inverse_lengths(asked)
            for rows, columns in self._blocks(asked, probes):
                close = asked[columns] @ self._sorted[rows].astype(np.float32, copy=False).T
                # As if of length 1, so that for one member the largest product is the nearest. Not before: it would round.
                close *= inverse[columns, None]
                cuts = np.searchsorted(columns, starts).tolist()
                for number in range(len(queries)):
                    low, high = cuts[number], cuts[number + 1]
                    if low < high:
                        good, first, share = _nearest(close[low:high], self._inverse[rows], ratio)
                        if len(good):
                            column = columns[low + first] - starts[number]
                            found[number].append(Links(self._order[rows][good], column, share))
        return [_join(parts) for parts in found]

    def _blocks(self, asked: FloatArray32, probes: int) -> Iterator[tuple[slice, _Ints]]:
        """Which members are compared with which of the image's descriptors; the latter ascend."""
        if not len(self.centres):
            step = max(1, _BLOCK // len(asked))
            every = np.arange(len(asked))
            for start in range(0, len(self), step):
                yield slice(start, min(start + step, len(self))), every
            return
        probes = min(probes, len(self.centres))
        away = self._half - asked @ self.centres.T
        near = np.argpartition(away, probes - 1, axis=1)[:, :probes].ravel()
        asking = np.argsort(near, kind="stable")
        begins = np.searchsorted(near[asking], np.arange(len(self.centres) + 1)).tolist()
        asking //= probes
        ends = self.ends.tolist()
        for number in range(len(self.centres)):
            if begins[number] < begins[number + 1] and ends[number] < ends[number + 1]:
                yield slice(ends[number], ends[number + 1]), asking[begins[number] : begins[number + 1]]

    @cached_property
    def _order(self) -> _Ints:
        return self.order.astype(np.int64) if len(self.centres) else np.arange(len(self))

    @cached_property
    def _sorted(self) -> npt.NDArray[Any]:
        """The descriptors in the lists' order; as numbers that products take, where there is room for them."""
        members = self.descriptors[self.order] if len(self.centres) else self.descriptors
        return members.astype(np.float32) if members.size <= _ROOM else members

    @cached_property
    def _inverse(self) -> FloatArray32:
        """One over each member's length, in the lists' order."""
        step = _BLOCK // WIDTH
        parts = [
            _inverse_lengths(self._sorted[start : start + step].astype(np.float32, copy=False))
            for start in range(0, len(self), step)
        ]
        return np.concatenate(parts or [np.zeros(0, np.float32)])

    @cached_property
    def _half(self) -> FloatArray32:
        """Half of each centre's squared length."""
        half: FloatArray32 = np.float32(0.5) * np.einsum("ij,ij->i", self.centres, self.centres)
        return half


def _inverse_lengths(descriptors: FloatArray32) -> FloatArray32:
    """One over each descriptor's length; one that is all zeros has no direction, and is as far from all as may be."""
    squared = np.einsum("ij,ij->i", descriptors, descriptors)
    inverse: FloatArray32 = np.float32(1) / np.sqrt(np.maximum(squared, np.float32(1)))
    return inverse


def _half_distance(product: FloatArray32) -> FloatArray32:
    """Half the squared distance of unit vectors, from their products; that of equal ones is 0 whatever was rounded."""
    half = np.float32(1) - product
    return np.where(half < _SAME, np.float32(0), half)


def _nearest(close: FloatArray32, inverse: FloatArray32, ratio: float) -> tuple[_Ints, _Ints, FloatArray32]:
    """The members (columns) whose nearest row is clearly nearer than the second; that row; and the ratio.

    Rows that are equal descriptors are one row, the first of them: an image that shows the same pixels twice is no less
    sure of what they look like. A member equal to a row is the surest link, of ratio 0.
    """
    top = close.max(0)
    nearest = _half_distance(top * inverse)
    # No second is taken for farther than _FAR, so that most members are ruled out by their nearest alone.
    bound = np.float32(ratio * ratio)
    near = np.flatnonzero(nearest < bound * _FAR)
    close, top, nearest = close[:, near], top[near], nearest[near]
    # A list that a single key point asked about knows of no second: it is at least as far as what is not alike.
    rest = (close * (close < top)).max(0)
    second = np.minimum(_half_distance(rest * inverse[near]), _FAR)
    surely = np.flatnonzero(nearest < bound * second)  # So its second is above 0, and can be divided by.
    share = np.sqrt(nearest[surely] / second[surely])
    return near[surely], close[:, surely].argmax(0), share


def _join(parts: list[Links]) -> Links:
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Links(nothing, nothing, np.zeros(0, np.float32))
    return Links(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.ratio for part in parts]),
    )


def build_index(descriptors: _Bytes, exact: int) -> Index:
    """Sort descriptors into lists.

    Args:
        descriptors: uint8 of shape (n, 128).
        exact: up to how many no lists are made.
    """
    count = len(descriptors)
    if count <= exact:
        return Index(descriptors, np.zeros((0, WIDTH), np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64))
    lists = max(1, count // _PER_LIST)
    rng = np.random.default_rng(0)
    sample = descriptors[np.sort(rng.permutation(count)[: lists * _SAMPLE])]
    centres = sample[np.sort(rng.permutation(len(sample))[:lists])].astype(np.float32)
    for _ in range(_ROUNDS):
        belongs = _closest(sample, centres)
        order = np.argsort(belongs, kind="stable")
        held, begins = np.unique(belongs[order], return_index=True)
        sums = np.add.reduceat(sample[order].astype(np.float32), begins, axis=0)
        # Whole numbers, so that products with them are exact too, and which list is nearest is the same everywhere.
        centres[held] = np.rint(sums / np.diff([*begins, len(sample)])[:, None])
        empty = np.setdiff1d(np.arange(lists), held)
        # A centre that lost all its members begins again elsewhere.
        centres[empty] = sample[rng.integers(0, len(sample), len(empty))]
    belongs = _closest(descriptors, centres)
    order = np.argsort(belongs, kind="stable")
    return Index(descriptors, centres, order.astype(np.int32), np.searchsorted(belongs[order], np.arange(lists + 1)))


def _closest(descriptors: _Bytes, centres: FloatArray32) -> _Ints:
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
    step = max(1, _BLOCK // len(centres))
    return np.concatenate(
        [
            (half - descriptors[start : start + step].astype(np.float32) @ centres.T).argmin(1)
            for start in range(0, len(descriptors), step)
        ]
    )
