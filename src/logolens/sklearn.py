"""`LogoClassifier`: training and predicting as a scikit-learn estimator, whose samples are paths of photos."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from logolens.config import TrainSettings
from logolens.errors import UsageError
from logolens.inference.classifier import Classifier
from logolens.training.train import train

__all__ = ["LogoClassifier"]


class LogoClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """A classifier of photos by their logos, for scikit-learn's tools: pipelines, `cross_val_score`, grid search.

    Samples are paths (or whatever `Classifier.predict` takes, but for `fit`); labels are strings. To keep near copies of a photo
    on one side of a split, hand groups to the tool, as in ``cross_val_score(LogoClassifier(), paths, labels, groups=groups,
    cv=GroupKFold())``.

    Args:
        backbone, size, head, views, epochs, seed, threads: as of `TrainSettings`, with its defaults; a setting that is not given
            here is taken from ``settings``.
        val: the share of `fit`'s photos that decide when to stop.
        settings: all other settings.
        bundle: where `fit` writes the bundle, which is replaced; in a temporary folder when None.

    Attributes:
        classes_: the labels, sorted, ``none`` among them where photos of none were given; after `fit`.
        classifier_: the `Classifier` that answers; after `fit`.
        result_: what `train` gave; after `fit`.
    """

    def __init__(
        self,
        *,
        backbone: str = TrainSettings.backbone,
        size: int | None = TrainSettings.size,
        head: str = TrainSettings.head,
        views: str = TrainSettings.views,
        epochs: int = TrainSettings.epochs,
        seed: int = TrainSettings.seed,
        threads: int | None = TrainSettings.threads,
        val: float = TrainSettings.val,
        settings: TrainSettings | None = None,
        bundle: str | os.PathLike[str] | None = None,
    ) -> None:
        # As scikit-learn asks: what is given is kept as it is, and looked at in fit.
        self.backbone = backbone
        self.size = size
        self.head = head
        self.views = views
        self.epochs = epochs
        self.seed = seed
        self.threads = threads
        self.val = val
        self.settings = settings
        self.bundle = bundle

    def fit(self, X: Iterable[str | os.PathLike[str]], y: Iterable[str]) -> Self:
        """Train on photos.

        Args:
            X: their paths.
            y: the label of each; ``none`` for photos that show no logo.

        Returns:
            Itself.

        Raises:
            UsageError: there are not as many labels as photos, or a setting cannot work.
            DataError: the photos cannot be used.
        """
        paths, labels = _listed(X, "X"), _listed(y, "y")
        if len(paths) != len(labels):
            raise UsageError(f"There are {len(paths)} photos and {len(labels)} labels; give one label for each photo.")
        here = Path(tempfile.mkdtemp(prefix="logolens-"))
        weakref.finalize(self, shutil.rmtree, here, ignore_errors=True)
        out = Path(self.bundle) if self.bundle is not None else here / "bundle"
        self.result_ = train(_table(paths, labels, here), out, self._train_settings(), force=self.bundle is not None)
        self.classifier_ = Classifier.load(out, threads=self.threads)
        self.classes_ = np.array(sorted(self.classifier_.classes), dtype=object)
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The label of each image, which may be ``none``.

        Raises:
            NotFittedError: `fit` was not called.
            UsageError: an image cannot be read.
        """
        answers = self._fitted().predict(X)
        bad = [f"{one.image}: {one.error}" for one in answers if one.error is not None]
        if bad:
            more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            raise UsageError(
                f"{bad[0]}{more} Leave out what cannot be read, or ask classifier_, which tells it by image."
            )
        return np.array([one.label for one in answers], dtype=object)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """The probability of each of ``classes_``, float64 of shape (images, classes); NaN of what cannot be read.

        Raises:
            NotFittedError: `fit` was not called.
        """
        classifier = self._fitted()
        order = [classifier.classes.index(name) for name in self.classes_]
        return classifier.predict_proba(X)[:, order]

    def score(self, X: Any, y: Iterable[str], sample_weight: Any = None) -> float:
        """The share of images whose label is right (top-1 accuracy, with ``none`` as an answer).

        Raises:
            NotFittedError: `fit` was not called.
            UsageError: there are not as many labels as images, or an image cannot be read.
        """
        answers, truth = self.predict(X), _listed(y, "y")
        if len(answers) != len(truth):
            raise UsageError(f"There are {len(answers)} images and {len(truth)} labels; give one label for each image.")
        right = np.array([answer == label for answer, label in zip(answers, truth, strict=True)], np.float64)
        return float(np.average(right, weights=sample_weight))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classifier_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.no_validation = True
        return tags

    def _fitted(self) -> Classifier:
        if not hasattr(self, "classifier_"):
            raise NotFittedError("This LogoClassifier has learned nothing yet; call fit first.")
        classifier: Classifier = self.classifier_
        return classifier

    def _train_settings(self) -> TrainSettings:
        own = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in ("settings", "bundle") and value != getattr(TrainSettings, name)
        }
        # Whoever calls it holds photos out by itself.
        base = self.settings if self.settings is not None else TrainSettings(test=0.0)
        return dataclasses.replace(base, **own)


def _listed(values: Any, name: str) -> list[Any]:
    if isinstance(values, (str, bytes, os.PathLike)) or not isinstance(values, Iterable):
        raise UsageError(f"{name} is {type(values).__name__}; it must be a list, one value for each photo.")
    return list(values)


def _table(paths: Sequence[Any], labels: Sequence[Any], folder: Path) -> Path:
    """The photos and their labels as a list that `train` reads."""
    for number, (path, label) in enumerate(zip(paths, labels, strict=True)):
        if not isinstance(path, (str, os.PathLike)):
            raise UsageError(f"X[{number}] is {type(path).__name__}; training takes the paths of files.")
        if not isinstance(label, str):
            raise UsageError(
                f"y[{number}] is {label!r}; labels are text, as 'acme', and none for photos without a logo."
            )
    table = folder / "photos.jsonl"
    with open(table, "w", encoding="utf-8") as file:
        for path, label in zip(paths, labels, strict=True):
            file.write(json.dumps({"path": os.path.abspath(path), "label": label}) + "\n")
    return table
