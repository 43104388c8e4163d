"""The scikit-learn estimator: its contract as far as paths allow, and the tools that people use it with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import needs_training

from logolens import LogolensError, TrainSettings

needs_training()

from sklearn.base import clone, is_classifier  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GroupKFold, cross_val_score  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402

from logolens.sklearn import LogoClassifier  # noqa: E402

SMALL: dict[str, Any] = {"size": 64, "views": "whole", "epochs": 20, "threads": 2}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_photos: Callable[..., Path]) -> tuple[list[str], list[str]]:
    """Paths and labels of photos of two labels and of none."""
    folder = make_photos(tmp_path_factory.mktemp("photos"), count=12, none=12)
    paths = [path for label in ("acme", "bolt", "none") for path in sorted((folder / label).iterdir())]
    return [str(path) for path in paths], [path.parent.name for path in paths]


@pytest.fixture(scope="module")
def fitted(photos: tuple[list[str], list[str]]) -> LogoClassifier:
    return LogoClassifier(**SMALL).fit(*photos)


def test_it_is_fitted_and_answers(fitted: LogoClassifier, photos: tuple[list[str], list[str]]) -> None:
    paths, labels = photos
    assert list(fitted.classes_) == ["acme", "bolt", "none"]
    answers = fitted.predict(paths)
    assert answers.shape == (len(paths),)
    assert set(answers) <= set(fitted.classes_)
    table = fitted.predict_proba(paths)
    assert table.shape == (len(paths), 3)
    assert table.sum(axis=1) == pytest.approx(1)
    best = [fitted.classes_[row.argmax()] for row in table]
    assert np.mean([one == other for one, other in zip(best, answers, strict=True)]) > 0.7
    assert fitted.score(paths, labels) == pytest.approx(np.mean(answers == np.array(labels)))
    assert fitted.score(paths, labels) > 0.6
    weights = [1.0] + [0.0] * (len(paths) - 1)
    assert fitted.score(paths, labels, weights) == float(answers[0] == labels[0])


def test_cross_validation_with_groups(photos: tuple[list[str], list[str]]) -> None:
    paths, labels = photos
    groups = [number % 4 for number in range(len(paths))]
    scores = cross_val_score(
        LogoClassifier(**SMALL), paths, labels, groups=groups, cv=GroupKFold(2), error_score="raise"
    )
    assert scores.shape == (2,)
    assert scores.mean() > 0.45  # A third by chance.


def test_parameters_are_kept_and_cloned(fitted: LogoClassifier) -> None:
    assert is_classifier(fitted)
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    assert not hasattr(other, "classes_")
    with pytest.raises(NotFittedError):
        other.predict(["a.jpg"])
    other.set_params(epochs=3, head="mlp")
    settings = other._train_settings()
    assert (settings.epochs, settings.head, settings.size, settings.test) == (3, "mlp", 64, 0.0)
    with pytest.raises(ValueError, match="Invalid parameter"):
        other.set_params(layers=3)
    base = (
        TrainSettings(epochs=7, label_smoothing=0.2)
        if hasattr(TrainSettings, "label_smoothing")
        else TrainSettings(epochs=7)
    )
    assert LogoClassifier(settings=base, seed=4)._train_settings().epochs == 7
    assert LogoClassifier(settings=base, seed=4)._train_settings().seed == 4


@pytest.mark.parametrize(
    "check",
    [
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_cloneable",
        "check_do_not_raise_errors_in_init_or_set_param",
        "check_estimator_repr",
        "check_mixin_order",
        "check_valid_tag_types",
        "check_estimator_tags_renamed",
    ],
)
def test_the_estimator_checks_that_paths_allow(check: str) -> None:
    run = getattr(estimator_checks, check, None)
    if run is None:
        pytest.skip(f"this scikit-learn has no {check}")
    run("LogoClassifier", LogoClassifier())


@pytest.mark.parametrize(
    ("paths", "labels", "said"),
    [
        (["a.jpg"], ["acme", "bolt"], "1 photos and 2 labels"),
        ("a.jpg", ["acme"], "X is str"),
        (["a.jpg"], "acme", "y is str"),
        (["a.jpg", 3], ["acme", "bolt"], "X\\[1\\] is int"),
        (["a.jpg", "b.jpg"], ["acme", 1], "y\\[1\\] is 1"),
        (["gone-a.jpg", "gone-b.jpg"], ["acme", "bolt"], "gone-a.jpg"),
    ],
)
def test_what_cannot_be_learned_from_is_told_so(paths: Any, labels: Any, said: str) -> None:
    with pytest.raises(LogolensError, match=said):
        LogoClassifier(**SMALL).fit(paths, labels)


def test_an_image_that_cannot_be_read_has_no_label(fitted: LogoClassifier, photos: tuple[list[str], list[str]]) -> None:
    with pytest.raises(LogolensError, match=r"missing\.jpg"):
        fitted.predict([photos[0][0], "missing.jpg"])
    with pytest.raises(LogolensError, match="1 images and 2 labels"):
        fitted.score(photos[0][:1], ["acme", "bolt"])


def test_a_bundle_is_kept_where_it_is_asked_for(photos: tuple[list[str], list[str]], tmp_path: Path) -> None:
    from logolens import Classifier

    model = LogoClassifier(**SMALL, bundle=tmp_path / "bundle").fit(*photos)
    paths = photos[0][:3]
    assert [one.label for one in Classifier.load(tmp_path / "bundle").predict(paths)] == list(model.predict(paths))
