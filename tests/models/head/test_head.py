"""The head learns what can be learned, keeps its best epoch, and repeats bit by bit."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from logolens.config import HeadSettings
from logolens.errors import DataError
from logolens.models.calibration import softmax
from logolens.models.head import Epoch, Examples, Head, fit_head
from logolens.types import FloatArray32

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra train")


def examples(features: Any, truth: Any, weight: Any = None) -> Examples:
    truth = np.asarray(truth, dtype=np.int64)
    weight = np.ones(len(truth)) if weight is None else weight
    return Examples(np.asarray(features, dtype=np.float32), truth, np.asarray(weight, dtype=np.float32))


def clouds(seed: int, each: int = 30, classes: int = 3, width: int = 8, spread: float = 0.5) -> Examples:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 3, (classes, width)) + 50
    truth = np.repeat(np.arange(classes), each)
    return examples(centres[truth] + rng.normal(0, spread, (len(truth), width)), truth)


def crossed(seed: int, n: int = 400) -> Examples:
    """Exclusive or: no line parts the two classes."""
    corner = np.random.default_rng(seed).uniform(-1, 1, (n, 2))
    return examples(corner, (corner[:, 0] * corner[:, 1] > 0).astype(int))


def accuracy(head: Head, data: Examples) -> float:
    return float((head.logits(data.features).argmax(axis=1) == data.truth).mean())


def cross_entropy(head: Head, data: Examples) -> float:
    p = softmax(head.logits(data.features))[np.arange(len(data)), data.truth]
    return float(-np.log(np.maximum(p, 1e-12)).mean())


def same(one: Head, other: Head) -> bool:
    layers = zip(one.layers, other.layers, strict=True)
    return all(a.tobytes() == b.tobytes() for x, y in layers for a, b in zip(x, y, strict=True))


@needs_torch
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_what_is_separable_is_separated(kind: str) -> None:
    head = fit_head(clouds(1), clouds(2, 10), 3, HeadSettings(head=kind))
    assert accuracy(head, clouds(3)) == 1.0
    assert len(head.layers) == (1 if kind == "linear" else 2)
    assert head.parameters == (8 * 3 + 3 if kind == "linear" else 8 * 128 + 128 + 128 * 3 + 3)


@needs_torch
def test_an_mlp_learns_what_a_linear_head_cannot() -> None:
    settings = HeadSettings(head="mlp", learning_rate=0.01, dropout=0.2, patience=0, epochs=60)
    assert accuracy(fit_head(crossed(1), crossed(2), 2, settings), crossed(3)) > 0.9
    assert accuracy(fit_head(crossed(1), crossed(2), 2), crossed(3)) < 0.7


@needs_torch
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_same_seed_gives_the_same_bits(kind: str) -> None:
    import torch

    settings = HeadSettings(head=kind, epochs=12, seed=4)
    first = fit_head(clouds(1), clouds(2, 10), 3, settings)
    torch.manual_seed(12345)  # Whatever else was drawn in between.
    torch.rand(7)
    assert same(first, fit_head(clouds(1), clouds(2, 10), 3, settings))
    if kind == "mlp":
        assert not same(first, fit_head(clouds(1), clouds(2, 10), 3, HeadSettings(head=kind, epochs=12, seed=5)))


@needs_torch
def test_the_epoch_with_the_lowest_validation_loss_is_kept() -> None:
    # Validation labels are noise, so that the loss soon rises.
    noisy = examples(clouds(2).features, np.random.default_rng(0).integers(0, 3, 90))
    head = fit_head(clouds(1), noisy, 3, HeadSettings(patience=5, l2=0.0))
    losses = [epoch.val_loss for epoch in head.history]
    assert head.best_epoch == int(np.argmin(losses)) + 1
    assert len(head.history) - head.best_epoch <= 5
    assert len(head.history) < 100
    assert cross_entropy(head, noisy) == pytest.approx(min(losses), abs=1e-4)
    assert [epoch.epoch for epoch in head.history] == list(range(1, len(losses) + 1))


@needs_torch
def test_without_patience_or_without_validation_all_epochs_are_run() -> None:
    noisy = examples(clouds(2).features, np.random.default_rng(0).integers(0, 3, 90))
    settings = HeadSettings(head="mlp", epochs=25, patience=0)
    assert len(fit_head(clouds(1), noisy, 3, settings).history) == 25
    alone = fit_head(clouds(1), None, 3, HeadSettings(head="mlp", epochs=25, patience=3))
    assert len(alone.history) == alone.best_epoch == 25
    assert all(epoch.val_loss is None and epoch.val_accuracy is None for epoch in alone.history)
    empty = fit_head(clouds(1), examples(np.zeros((0, 8)), []), 3, HeadSettings(epochs=3))
    assert empty.history[0].val_loss is None


@needs_torch
def test_a_fit_can_be_repeated_for_a_number_of_epochs() -> None:
    head = fit_head(clouds(1), None, 3, HeadSettings(head="mlp", epochs=90), epochs=4)
    assert len(head.history) == head.best_epoch == 4


@needs_torch
def test_progress_and_history_agree() -> None:
    seen: list[Epoch] = []
    head = fit_head(clouds(1), clouds(2, 10), 3, HeadSettings(head="mlp", epochs=6), progress=seen.append)
    assert tuple(seen) == head.history
    assert list(seen[0].row()) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert seen[-1].loss < seen[0].loss
    assert all(0 <= epoch.accuracy <= 1 for epoch in seen)


@needs_torch
def test_balanced_training_does_not_give_way_to_the_larger_label() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0.0, 1, (950, 1)), rng.normal(1.0, 1, (50, 1))])
    data = examples(features, [0] * 950 + [1] * 50)

    def recall(balanced: bool) -> float:
        head = fit_head(data, None, 2, HeadSettings(balanced=balanced))
        return float((head.logits(data.features[950:]).argmax(axis=1) == 1).mean())

    assert recall(False) < 0.1
    assert recall(True) > 0.6


@needs_torch
def test_weights_of_examples_count() -> None:
    data = clouds(1, 20, 2)
    wrong = examples(
        np.concatenate([data.features, data.features]),
        np.concatenate([data.truth, 1 - data.truth]),
        np.concatenate([np.ones(40), np.full(40, 0.01)]),
    )
    assert accuracy(fit_head(wrong, None, 2, HeadSettings(balanced=False)), data) == 1.0


@needs_torch
def test_features_that_never_change_or_are_huge_do_no_harm() -> None:
    data = clouds(1)
    features = np.concatenate([data.features, np.full((90, 1), 7.0), data.features[:, :1] * 1e6], axis=1)
    head = fit_head(examples(features, data.truth), None, 3)
    assert np.isfinite(head.layers[0][0]).all()
    assert accuracy(head, examples(features, data.truth)) == 1.0


@needs_torch
def test_a_class_without_examples_is_an_error() -> None:
    with pytest.raises(DataError, match="1 of 4 classes"):
        fit_head(clouds(1), None, 4)
    with pytest.raises(DataError):
        fit_head(examples(np.zeros((0, 8)), []), None, 2)


@needs_torch
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_standardisation_is_folded_into_the_layers(kind: str) -> None:
    """What the fit itself measured on its standardised features, the folded head gives on the raw ones."""
    head = fit_head(clouds(1), clouds(2), 3, HeadSettings(head=kind, epochs=30))
    kept = head.history[head.best_epoch - 1]
    assert cross_entropy(head, clouds(2)) == pytest.approx(kept.val_loss, rel=1e-3, abs=1e-4)
    assert accuracy(head, clouds(2)) == pytest.approx(kept.val_accuracy)


@needs_torch
@pytest.mark.parametrize("l2", [0.01, 0.1, 1.0])
def test_the_linear_head_is_the_logistic_regression_of_scikit_learn(l2: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    data = clouds(1, spread=4.0)
    mean, std = data.features.mean(axis=0), data.features.std(axis=0)
    head = fit_head(data, None, 3, HeadSettings(l2=l2, epochs=500))
    peer = linear_model.LogisticRegression(C=1 / (l2 * len(data)), max_iter=5000, tol=1e-8)
    expected = peer.fit((data.features - mean) / std, data.truth).predict_proba((data.features - mean) / std)
    assert np.abs(softmax(head.logits(data.features)) - expected).max() < 0.002


@pytest.fixture
def two_layers() -> Head:
    rng = np.random.default_rng(0)

    def floats(*shape: int) -> FloatArray32:
        return np.asarray(rng.normal(0, 1, shape), np.float32)

    return Head(((floats(6, 5), floats(5)), (floats(5, 3), floats(3))))


def test_logits_are_dense_relu_dense(two_layers: Head) -> None:
    x = np.random.default_rng(1).normal(0, 1, (4, 6)).astype(np.float32)
    (w1, b1), (w2, b2) = two_layers.layers
    logits = two_layers.logits(x)
    assert logits.dtype == np.float32
    assert np.allclose(logits, np.maximum(x @ w1 + b1, 0) @ w2 + b2, atol=1e-6)
    assert two_layers.parameters == 6 * 5 + 5 + 5 * 3 + 3


def test_tensors_round_trip_through_safetensors(two_layers: Head) -> None:
    numpy_tensors = pytest.importorskip("safetensors.numpy")
    tensors = two_layers.tensors()
    assert {name: value.shape for name, value in tensors.items()} == {
        "layers.0.weight": (5, 6),
        "layers.0.bias": (5,),
        "layers.1.weight": (3, 5),
        "layers.1.bias": (3,),
    }
    back = Head.from_tensors(numpy_tensors.load(numpy_tensors.save(tensors)))
    assert same(back, two_layers)
