"""Which key points of the references look like those of an image: all compared, or an inverted file asked.

The inverted file is k-means over the references' descriptors (Sivic and Zisserman, "Video Google", ICCV 2003; Jégou et
al., "Product quantization for nearest neighbor search", PAMI 2011): an image's key points are compared with the
members of their few nearest lists alone. A list sees nearly all of an image's key points that look like its members,
so that the ratio of the nearest to the second nearest comes with it.

Descriptors are bytes, and their products below 2 to the 24th: sums in float32 are exact, whatever the processor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from logolens.matcher.describe import STEPS, WIDTH

__all__ = ["Index", "Links", "build_index"]

_Bytes = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]
_Ints = npt.NDArray[np.int64]

_PER_LIST = 160
_ROUNDS = 8
_SAMPLE = 40
_BLOCK = 8_000_000  # numbers in a block of distances: 32 MB
_FAR = np.float32(0.55 * STEPS * STEPS)
"""The squared distance beyond which two key points do not look alike: of unit vectors, 2 are as far as can be."""


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
    ratio: _Floats


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
    centres: _Floats
    order: npt.NDArray[np.int32]
    ends: _Ints

    def __len__(self) -> int:
        return len(self.descriptors)

    def look_up(self, query: _Bytes, ratio: float, probes: int) -> Links:
        """For each descriptor of a reference, the nearest of the image's, where it is clearly nearer than the second.

        Args:
            query: uint8 of shape (m, 128).
            ratio: the largest ratio of nearest to second nearest distance (Lowe, 2004).
            probes: how many lists each of the image's descriptors is looked up in.
        """
        if not len(self) or len(query) < 2:
            return _join([])
        asked = query.astype(np.float32)
        length = np.einsum("ij,ij->i", asked, asked)
        if not len(self.centres):
            step = max(1, _BLOCK // len(asked))
            return _join(
                [
                    _nearest(
                        np.arange(start, min(start + step, len(self))),
                        self.descriptors[start : start + step],
                        asked,
                        length,
                        None,
                        ratio,
                    )
                    for start in range(0, len(self), step)
                ]
            )
        probes = min(probes, len(self.centres))
        away = 0.5 * np.einsum("ij,ij->i", self.centres, self.centres) - asked @ self.centres.T
        near = np.argpartition(away, probes - 1, axis=1)[:, :probes].ravel()
        asking = np.argsort(near, kind="stable")
        begins = np.searchsorted(near[asking], np.arange(len(self.centres) + 1))
        asking //= probes
        found = []
        for number in np.flatnonzero(np.diff(begins)):
            rows = self.order[self.ends[number] : self.ends[number + 1]]
            if len(rows):
                columns = asking[begins[number] : begins[number + 1]]
                found.append(_nearest(rows, self.descriptors[rows], asked[columns], length[columns], columns, ratio))
        return _join(found)


def _nearest(
    rows: npt.NDArray[np.integer], members: _Bytes, asked: _Floats, length: _Floats, columns: _Ints | None, ratio: float
) -> Links:
    own = members.astype(np.float32)
    distance = length - 2.0 * (own @ asked.T)
    here = np.arange(len(own))
    first = distance.argmin(1)
    nearest = distance[here, first]
    distance[here, first] = np.inf
    own_length = np.einsum("ij,ij->i", own, own)
    nearest = np.maximum(nearest + own_length, np.float32(0))
    # A list that a single key point asked about knows of no second: it is at least as far as what is not alike.
    second = np.minimum(np.maximum(distance.min(1) + own_length, np.float32(1)), _FAR)
    good = np.flatnonzero(nearest < np.float32(ratio * ratio) * second)
    chosen = first[good] if columns is None else columns[first[good]]
    return Links(
        rows[good].astype(np.int64), chosen.astype(np.int64), np.sqrt(nearest[good] / second[good]).astype(np.float32)
    )


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
        centres[held] = sums / np.diff([*begins, len(sample)])[:, None]
        empty = np.setdiff1d(np.arange(lists), held)
        # A centre that lost all its members begins again elsewhere.
        centres[empty] = sample[rng.integers(0, len(sample), len(empty))]
    belongs = _closest(descriptors, centres)
    order = np.argsort(belongs, kind="stable")
    return Index(descriptors, centres, order.astype(np.int32), np.searchsorted(belongs[order], np.arange(lists + 1)))


def _closest(descriptors: _Bytes, centres: _Floats) -> _Ints:
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
    step = max(1, _BLOCK // len(centres))
    return np.concatenate(
        [
            (half - descriptors[start : start + step].astype(np.float32) @ centres.T).argmin(1)
            for start in range(0, len(descriptors), step)
        ]
    )
