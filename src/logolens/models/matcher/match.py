"""The second expert: an image held against references, feature by feature, with geometry as the judge."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from logolens.config import MatcherSettings
from logolens.io.stopwatch import stage
from logolens.io.views import Picture
from logolens.models.matcher.index import Index, build_index
from logolens.models.matcher.keypoints import WIDTH, Keypoints, Recall, describe, inverted, zoom_of
from logolens.models.matcher.references import LEAST, Edges, Reference
from logolens.models.matcher.verify import verify

__all__ = ["ENOUGH", "Match", "Matcher", "Matches", "evidence"]

_TURNS, _OCTAVES = 8, 12
"""Bins of the angle by which a reference may be turned, and of the octaves by which it may have grown or shrunk."""

ENOUGH = 8
"""Proved points from which a match is believed: its negative is no longer sought, and its box is the logo's."""

_FREE = 3
"""Matches that agree by chance: three of them always lie on some affine motion."""


def evidence(inliers: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """What a number of proved points is worth: log(1 + max(inliers - 3, 0))."""
    return np.log1p(np.maximum(np.asarray(inliers, np.float64) - _FREE, 0.0))


@dataclass(frozen=True)
class Match:
    """A reference that was found in an image.

    Attributes:
        reference: its position in ``matcher.references``.
        label: the reference's label.
        inliers: how many different points agree; 12 or more are as good as certain.
        affine: float32 of shape (2, 3), from pixels of the reference to pixels of the image.
        source: float32 of shape (inliers, 2), the points in the reference.
        target: float32 of shape (inliers, 2), the same points in the image.
        outline: float32 of shape (4, 2), the corners of the logo in the image; of a reference that is a whole photo,
            the corners of what matched.
        box: (x1, y1, x2, y2), the outline's bounds within the image.
        negative: light and dark are swapped.
    """

    reference: int
    label: str
    inliers: int
    affine: npt.NDArray[np.float32]
    source: npt.NDArray[np.float32]
    target: npt.NDArray[np.float32]
    outline: npt.NDArray[np.float32]
    box: Edges
    negative: bool


@dataclass(frozen=True)
class Matches:
    """What was found in one image.

    Attributes:
        labels: of the matcher, in the order of the scores.
        found: a match for each reference with evidence, the most inliers first.
        counts: int64 of shape (labels,), the references that were compared.
        pooling: how a label's score follows from its references'.
        top: of how many references it is the sum, where not of all.
    """

    labels: tuple[str, ...]
    found: tuple[Match, ...]
    counts: npt.NDArray[np.int64]
    pooling: str
    top: int

    @property
    def best(self) -> Match | None:
        """The match with the most inliers, which is the proof to show."""
        return self.found[0] if self.found else None

    def scores(self) -> npt.NDArray[np.float64]:
        """How much speaks for each label, of shape (labels,); 0 is nothing.

        Of whole photos, the mean over the label's references of log(1 + max(inliers - 3, 0)). Of boxes, of which any
        image resembles few, the sum over the best.
        """
        place = {label: number for number, label in enumerate(self.labels)}
        worth: list[list[float]] = [[] for _ in self.labels]
        for match in self.found:
            worth[place[match.label]].append(float(evidence(match.inliers)))
        if self.pooling == "mean":
            return np.array([sum(its) / max(1, int(count)) for its, count in zip(worth, self.counts, strict=True)])
        return np.array([sum(its[: self.top]) for its in worth])

    def inliers(self) -> npt.NDArray[np.int64]:
        """The most inliers that any reference of each label has, of shape (labels,)."""
        most = np.zeros(len(self.labels), np.int64)
        for match in reversed(self.found):
            most[self.labels.index(match.label)] = match.inliers
        return most


class Matcher:
    """References, ready to be found in images. It is not changed by use, and safe to share among threads.

    Args:
        references: with at least 4 key points each.
        settings: how images are described and held against them.
        labels: in the order of the scores; sorted from the references if not given.
        index: the references' descriptors, where they have been sorted already.
        recall: asked for key points of photos before these are sought, as in training, where photos come again.

    Attributes:
        references: as given.
        labels: the labels, in the order of the scores.
        pooling: "mean" where whole photos are the references, "top" where boxes are.
        points: float32 of shape (n, 2), the key points of all references, one after the other; so the next two.
        scale: float32 of shape (n,).
        angle: float32 of shape (n,).
        index: their descriptors.
    """

    def __init__(
        self,
        references: Iterable[Reference],
        settings: MatcherSettings = MatcherSettings(),
        *,
        labels: Sequence[str] | None = None,
        index: Index | None = None,
        recall: Recall | None = None,
    ) -> None:
        self.references = tuple(references)
        self._recall = recall
        self.settings = settings
        self.labels = tuple(labels) if labels is not None else tuple(sorted({its.label for its in self.references}))
        self.pooling = "top" if any(its.box is not None for its in self.references) else "mean"
        starts = np.cumsum([0, *(len(its.keypoints) for its in self.references)])
        self._starts = starts.astype(np.int64)
        self._owner = np.repeat(np.arange(len(self.references)), np.diff(self._starts))
        self.points = _stack([its.keypoints.points for its in self.references], (0, 2))
        self.scale = _stack([its.keypoints.scale for its in self.references], (0,))
        self.angle = _stack([its.keypoints.angle for its in self.references], (0,))
        self._label = np.array([self.labels.index(its.label) for its in self.references], np.int64)
        if index is None:
            every = [its.keypoints.descriptors for its in self.references]
            index = build_index(np.concatenate(every) if every else np.zeros((0, WIDTH), np.uint8), settings.exact)
        self.index = index

    def sight(self, picture: Picture, *, long_side: int | None = None, most: int | None = None) -> Keypoints:
        """The key points of an image, from pixels no finer than they are sought in.

        Args:
            picture: the image.
            long_side: what its long side is brought to; as the matcher's settings say if not given.
            most: how many key points; as the settings say if not given.

        Raises:
            ImageError: it cannot be decoded.
        """
        width, height = picture.size
        long = self.settings.long_side if long_side is None else long_side
        side = math.ceil(long * min(width, height) / max(width, height))
        image = picture.image(side)
        with stage("key points"):
            return describe(image, self.settings, most=most, long_side=long, recall=self._recall)

    def match(self, image: Image.Image | Keypoints, *, without: Collection[str] = ()) -> Matches:
        """Find the references in an image.

        Args:
            image: upright RGB, or its key points as `describe` gives them.
            without: SHA-256 of photos whose references are left out, as when one of them is asked about.
        """
        query = image if isinstance(image, Keypoints) else describe(image, self.settings)
        with stage("matching"):
            return self._matched(query, frozenset(without))

    def _matched(self, query: Keypoints, left_out: frozenset[str]) -> Matches:
        taken = np.array([its.photo not in left_out for its in self.references], bool)
        best: dict[int, Match] = {}

        def seek(queries: Sequence[tuple[Keypoints, bool]]) -> None:
            for match in self._proved(queries, taken):
                if match.reference not in best or best[match.reference].inliers < match.inliers:
                    best[match.reference] = match

        if not self.settings.inverted:
            seek([(query, False)])
        elif self.pooling == "mean":
            # All references count, so none may be missed.
            seek([(query, False), (inverted(query), True)])
        else:
            # The best counts: where the drawing itself is surely there, its negative needs no search.
            seek([(query, False)])
            if max((match.inliers for match in best.values()), default=0) < ENOUGH:
                seek([(inverted(query), True)])
        found = tuple(sorted(best.values(), key=lambda match: (-match.inliers, match.reference)))
        counts = np.bincount(self._label[taken], minlength=len(self.labels)).astype(np.int64)
        return Matches(self.labels, found, counts, self.pooling, self.settings.top)

    def _proved(self, queries: Sequence[tuple[Keypoints, bool]], taken: npt.NDArray[np.bool_]) -> Iterator[Match]:
        """The references that geometry confirms, among those with the most links, as they are and as negatives."""
        count = len(self.references)
        settings = self.settings
        linked = self.index.look_up([query.descriptors for query, _ in queries], settings.ratio, settings.probes)
        owners = [self._owner[links.rows] for links in linked]
        votes = np.concatenate(
            [
                _agreeing(
                    owner,
                    query.angle[links.columns] - self.angle[links.rows],
                    query.scale[links.columns] / self.scale[links.rows],
                    count,
                )
                * taken
                for (query, _), links, owner in zip(queries, linked, owners, strict=True)
            ]
        )
        promising = np.argsort(-votes, kind="stable")[: settings.verified]
        promising = np.sort(promising[votes[promising] >= LEAST])
        for turn, ((query, negative), links, owner) in enumerate(zip(queries, linked, owners, strict=True)):
            # Reference by reference, the surest links first.
            order = np.lexsort((links.columns, links.rows, links.ratio, owner))
            begins = np.searchsorted(owner[order], np.arange(count + 1))
            tolerance = settings.tolerance / zoom_of(query.size, settings.long_side, settings.upscale)
            for number in promising[promising // max(count, 1) == turn] % max(count, 1):
                chosen = order[begins[number] : begins[number + 1]]
                rows, columns = links.rows[chosen], links.columns[chosen]
                source, target = self.points[rows], query.points[columns]
                proof = verify(
                    source,
                    self.scale[rows],
                    self.angle[rows],
                    target,
                    query.scale[columns],
                    query.angle[columns],
                    tolerance=tolerance,
                    anisotropy=settings.anisotropy,
                )
                if proof is not None and len(proof.rows) >= LEAST:
                    yield self._match(
                        int(number), proof.affine, source[proof.rows], target[proof.rows], query.size, negative
                    )

    def _match(
        self,
        number: int,
        affine: npt.NDArray[np.float32],
        source: npt.NDArray[np.float32],
        target: npt.NDArray[np.float32],
        size: tuple[int, int],
        negative: bool,
    ) -> Match:
        reference = self.references[number]
        if reference.box is None:
            (x1, y1), (x2, y2) = source.min(0), source.max(0)
        else:
            x1, y1, x2, y2 = reference.outline
        corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32)
        outline = corners @ affine[:, :2].T + affine[:, 2]
        low, high = np.clip(outline.min(0), 0, size), np.clip(outline.max(0), 0, size)
        box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        return Match(number, reference.label, len(source), affine, source, target, outline, box, negative)


def _agreeing(
    owner: npt.NDArray[np.int64], turn: npt.NDArray[np.float32], growth: npt.NDArray[np.float32], count: int
) -> npt.NDArray[np.int64]:
    """How many of each reference's links agree on how far it was turned and by how much it grew.

    Links by chance agree on nothing, so that this finds the references worth a proof far better than counting links does
    (weak geometric consistency: Jégou et al., "Hamming embedding and weak geometric consistency", ECCV 2008). Bins overlap
    by half, so that no motion lies on an edge.

    Args:
        owner: int64 of shape (n,), the reference of each link.
        turn: the difference of its key points' angles, in radians.
        growth: the ratio of their scales.
        count: how many references there are.
    """
    best = np.zeros(count, np.int64)
    if not len(owner):
        return best
    angle = np.mod(turn / np.float32(2 * np.pi), 1.0) * _TURNS
    octave = np.clip(np.log2(growth) + _OCTAVES / 2, 0, _OCTAVES - 1)
    for turned in (0.0, 0.5):
        for grown in (0.0, 0.5):
            bins = np.floor(angle + turned).astype(np.int64) % _TURNS * (_OCTAVES + 1)
            bins += np.floor(octave + grown).astype(np.int64)
            size = _TURNS * (_OCTAVES + 1)
            held = np.bincount(owner * size + bins, minlength=count * size)
            np.maximum(best, held.reshape(count, size).max(1), out=best)
    return best


def _stack(parts: Sequence[npt.NDArray[np.float32]], empty: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.concatenate(parts) if parts else np.zeros(empty, np.float32)
