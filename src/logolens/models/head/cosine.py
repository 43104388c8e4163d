"""A gallery: labels are told by the cosine of a view's features with those of reference views, and nothing is trained.

Raw features say most about what every photo has in common, so they are projected first: onto the main directions of views
that were seen, weakening those in which views of one label differ (within-class covariance normalisation: Hatch et al.,
Interspeech 2006), then to length 1. What speaks for a label is mostly the cosine with the mean of its references (Snell et
al., "Prototypical Networks", 2017), and partly that with the nearest of them, which serves labels of several drawings. The
background is a mean of its own, so that a view which looks like any place must look the more like the logo.

On 27 brands, in cross-validation by photo, this is as right as logistic regression (76 and 75 % of whole photos) and tells a
logo from none as well (AUROC .95); the nearest reference alone gets 65 %, unprojected features 55 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from logolens.models.head.dense import Examples, Head
from logolens.types import FloatArray32, FloatArray64

__all__ = ["SMALL", "CosineHead", "fit_cosine", "projection", "unit", "with_thresholds"]

Labels = npt.NDArray[np.int64]

_DIMENSIONS = 512
"""Of the projection, at the most: 256 lose a point on 27 brands, 1,024 gain none."""

_VIEWS_EACH = 5
"""Views for each dimension. Of fewer, the projection sees what it was made from otherwise than what comes: on two photos of
each of 27 brands, thresholds set on those backgrounds let 98 % of others pass, with one view a dimension; 15 % with five."""

_LEAST = 16

_SHRINK = 0.1
"""Added to the within-class variances, in shares of their mean."""

_ROUNDED = 1e-6
"""The variance, in shares of the largest, below which a direction holds nothing but what float32 rounded."""

_NEAREST = 0.3
"""The nearest reference's part beside the mean's: none of it loses seven points where a label has three drawings."""

_SHARPNESS = 20.0
"""Logits per unit of cosine, before any temperature."""

_QUANTILE = 0.9
"""The share of backgrounds that stay below a label's threshold."""

_MORE = 0.2
"""How much more than the labels' median one of them may ask for."""

_MOST = 2000
"""Background views that are kept to set thresholds by."""

SMALL = 1e-6
"""Added to squared lengths, so that none is 0."""


@dataclass(frozen=True)
class CosineHead(Head):
    """A projection (the one layer of ``layers``) and references; positions and rows are as follows.

    Attributes:
        references: float32 of shape (n, width of the projection), rows of length 1, those of one label together.
        owners: int64 of shape (n,), ascending: the label's position of each.
        thresholds: float32 of shape (labels,), in cosines; see `logits`.
        empty: float32 of shape (width,), of length 1, the mean of the backgrounds; all zeros without.
        backgrounds: float32 of shape (m, width), background views that thresholds are set by.
        background: whether the last output is the background.
    """

    references: FloatArray32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    owners: Labels = field(default_factory=lambda: np.zeros(0, np.int64))
    thresholds: FloatArray32 = field(default_factory=lambda: np.zeros(0, np.float32))
    empty: FloatArray32 = field(default_factory=lambda: np.zeros(0, np.float32))
    backgrounds: FloatArray32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    background: bool = True

    sharpness = _SHARPNESS
    nearest = _NEAREST

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return super().parameters + self.references.size + self.thresholds.size + self.empty.size

    @property
    def labels(self) -> int:
        """How many labels there are."""
        return len(self.thresholds)

    @property
    def outputs(self) -> int:
        """How many logits a view gets."""
        return self.labels + self.background

    @cached_property
    def means(self) -> FloatArray32:
        """The mean reference of each label, of length 1; float32 of shape (labels, width)."""
        sums = np.add.reduceat(self.references, self._starts, axis=0)
        return _unit(sums)

    @property
    def _starts(self) -> Labels:
        return np.searchsorted(self.owners, np.arange(self.labels))

    def projected(self, features: FloatArray32) -> FloatArray32:
        """Features as references are kept: of length 1 after the projection; float32 of shape (n, width)."""
        return unit(features, *self.layers[0])

    def cosines(self, projected: FloatArray32) -> FloatArray32:
        """How much speaks for each label, in cosines; float32 of shape (n, labels)."""
        best = np.maximum.reduceat(projected @ self.references.T, self._starts, axis=1)
        mean = projected @ self.means.T
        return np.asarray((1.0 - self.nearest) * mean + self.nearest * best, np.float32)

    def above(self, projected: FloatArray32) -> FloatArray32:
        """How far each label's cosine stands above the background's; thresholds are in this unit."""
        return np.asarray(self.cosines(projected) - (projected @ self.empty)[:, None], np.float32)

    def beside(self, row: FloatArray32, others: FloatArray32) -> float:
        """As `above`, of one projected view and a label that had these references alone."""
        mean = others.mean(axis=0)
        mean = mean / max(float(np.linalg.norm(mean)), SMALL)
        cosine = (1.0 - self.nearest) * float(mean @ row) + self.nearest * float((others @ row).max())
        return cosine - float(row @ self.empty)

    def logits(self, features: FloatArray32) -> FloatArray32:
        """Logits of shape (n, outputs): a label's is 0 over the background's where `above` is at its threshold."""
        projected = self.projected(features)
        labels = self.sharpness * (self.cosines(projected) - self.thresholds)
        none = self.sharpness * (projected @ self.empty)[:, None]
        return np.asarray(np.concatenate([labels, none], axis=1) if self.background else labels - none, np.float32)

    def tensors(self) -> dict[str, FloatArray32]:
        """As ``head.safetensors`` keeps it."""
        return super().tensors() | {
            "references": np.ascontiguousarray(self.references),
            "owners": self.owners.astype(np.float32),  # Whole numbers below 2^24 are exact.
            "thresholds": self.thresholds,
            "empty": self.empty,
            "backgrounds": np.ascontiguousarray(self.backgrounds),
            "background": np.array([self.background], np.float32),
        }

    @staticmethod
    def from_tensors(tensors: Mapping[str, FloatArray32]) -> CosineHead:
        """The inverse of `tensors`.

        Raises:
            KeyError: one is missing.
            ValueError: they do not fit one another.
        """
        dense = Head.from_tensors({name: value for name, value in tensors.items() if name.startswith("layers.")})
        found = CosineHead(
            dense.layers,
            references=tensors["references"],
            owners=tensors["owners"].astype(np.int64),
            thresholds=tensors["thresholds"],
            empty=tensors["empty"],
            backgrounds=tensors["backgrounds"],
            background=bool(tensors["background"][0]),
        )
        width = found.layers[0][0].shape[1]
        if found.references.shape != (len(found.owners), width) or found.empty.shape != (width,):
            raise ValueError("its references are of another width than its projection")
        if set(found.owners.tolist()) != set(range(found.labels)) or (np.diff(found.owners) < 0).any():
            raise ValueError("a label has no reference")
        return found


def fit_cosine(train: Examples, classes: int, *, background: bool) -> CosineHead:
    """A gallery of examples: the projection that they give, and all of them but the background's as references.

    Args:
        train: the examples; their weights do not count.
        classes: how many classes there are.
        background: whether the last is the background.
    """
    weights, bias = projection(train.features, train.truth)
    empty = train.truth == classes - 1 if background else np.zeros(len(train), bool)
    order = np.argsort(train.truth[~empty], kind="stable")
    layers = ((weights, bias),)
    rows = unit(train.features, weights, bias)
    kept = rows[empty]
    if len(kept) > _MOST:
        kept = kept[np.sort(np.random.default_rng(0).permutation(len(kept))[:_MOST])]
    head = CosineHead(
        layers,
        references=np.ascontiguousarray(rows[~empty][order]),
        owners=train.truth[~empty][order],
        thresholds=np.zeros(classes - background, np.float32),
        empty=_unit(rows[empty].mean(axis=0)[None])[0] if background else np.zeros(weights.shape[1], np.float32),
        backgrounds=kept,
        background=background,
    )
    return with_thresholds(head)


def with_thresholds(head: CosineHead) -> CosineHead:
    """The same with each label's threshold where nine of ten backgrounds stay below it, and none below the labels' median.

    A label whose references look like many things so asks for more, to a limit; one that stands far from all backgrounds
    asks for no less than others do, or it would win from them what is theirs. Without backgrounds all thresholds are 0.
    """
    if not len(head.backgrounds):
        return replace(head, thresholds=np.zeros(head.labels, np.float32))
    reached = np.quantile(head.above(head.backgrounds), _QUANTILE, axis=0)
    middle = float(np.median(reached))
    return replace(head, thresholds=np.clip(reached, middle, middle + _MORE).astype(np.float32))


def projection(
    features: FloatArray32, truth: Labels, views_each: int = _VIEWS_EACH
) -> tuple[FloatArray32, FloatArray32]:
    """A projection from views: weights of shape (features, dimensions) and a bias, for `CosineHead.layers`.

    Args:
        features: of the views, float32 of shape (n, width).
        truth: what each shows, int64 of shape (n,); in which directions views of one class differ is weakened.
        views_each: so many views for each dimension.
    """
    middle = features.mean(axis=0)
    centred = features - middle
    count = min(_DIMENSIONS, max(_LEAST, len(features) // views_each), len(features) - 1, features.shape[1])
    axes = _main_directions(centred, max(1, count))
    turned = (centred @ axes).astype(np.float64)
    within = np.concatenate([turned[truth == one] - turned[truth == one].mean(axis=0) for one in np.unique(truth)])
    variances, vectors = np.linalg.eigh(within.T @ within / len(within))
    variances = np.maximum(variances, 0.0)
    # Views of a label that are copies of one another differ by rounding alone, which must not be weighed.
    least = _ROUNDED * float(np.square(turned).mean())
    scale = vectors / np.sqrt(variances + _SHRINK * variances.mean() + least + 1e-12)
    weights = (axes @ scale).astype(np.float32)
    return np.ascontiguousarray(weights), np.asarray(-(middle @ weights), np.float32)


def _main_directions(centred: FloatArray32, count: int) -> FloatArray32:
    """The directions of most variance, float32 of shape (width, count), by subspace iteration (Halko et al. 2011).

    There are fewer where the views span fewer, as copies of one another do: the others would be made of rounding errors, other
    ones on each processor, and what is not of the views would be told by them.
    """
    many, width = centred.shape
    if many <= 2 * count:
        exact = centred.astype(np.float64)
        variances, vectors = np.linalg.eigh(exact @ exact.T)
        basis, _ = np.linalg.qr(exact.T @ _spanned(variances, vectors, count))
        return np.asarray(basis, np.float32)
    covariance = centred.T @ centred / np.float32(many)
    basis = np.random.default_rng(0).standard_normal((width, min(width, count + 64))).astype(np.float32)
    for _ in range(4):
        basis = _orthonormal(covariance @ basis)
    variances, vectors = np.linalg.eigh((basis.T @ covariance @ basis).astype(np.float64))
    return np.ascontiguousarray(basis @ _spanned(variances, vectors, count).astype(np.float32))


def _spanned(variances: FloatArray64, vectors: FloatArray64, count: int) -> FloatArray64:
    """The eigenvectors of most variance, the most first; one at least, and none that holds rounding errors alone."""
    held = max(1, min(count, int((variances > _ROUNDED * variances[-1]).sum())))
    return vectors[:, ::-1][:, :held]


def _orthonormal(columns: FloatArray32) -> FloatArray32:
    """An orthonormal basis of what columns span, by Cholesky's factor: several times as fast as a QR decomposition."""
    exact = columns.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=0) + 1e-30
    gram = exact.T @ exact
    factor = np.linalg.cholesky(gram + 1e-9 * np.eye(len(gram)))
    return np.asarray(np.linalg.solve(factor, exact.T).T, np.float32)


def unit(features: FloatArray32, weights: FloatArray32, bias: FloatArray32) -> FloatArray32:
    """Features projected, to rows of length 1."""
    return _unit(features @ weights + bias)


def _unit(rows: FloatArray32) -> FloatArray32:
    """Rows at length 1."""
    return np.asarray(rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True) + np.float32(SMALL)), np.float32)
