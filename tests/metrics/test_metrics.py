"""Metrics, against cases worked by hand and against scikit-learn."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from logolens.errors import DataError, UsageError
from logolens.metrics import (
    Draws,
    Evaluation,
    auroc,
    evaluate,
    expected_calibration_error,
    wilson_interval,
)

LABELS = ["apple", "bmw", "cocacola"]


def random_case(n: int = 400, k: int = 7, seed: int = 3) -> tuple[Any, Any, list[str]]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(k, size=n)
    logits = generator.normal(size=(n, k))
    logits[np.arange(n), truth] += 1.2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, truth, [f"brand {i}" for i in range(k)]


def test_figures_worked_by_hand() -> None:
    result = evaluate(
        [[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1]],
        ["apple", "bmw", "bmw", "cocacola"],
        LABELS,
        images=["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
    ).to_json()
    assert list(result) == [
        "n", "top1", "top5", "top1_ci95", "macro_f1", "ece", "per_class", "confusion", "labels", "misclassified",
    ]  # fmt: skip
    assert result["n"] == 4
    assert result["top1"] == 0.5
    assert result["top5"] == 1.0
    assert result["confusion"] == [[1, 0, 0], [1, 1, 0], [1, 0, 0]]
    assert result["labels"] == LABELS
    assert result["per_class"]["apple"] == {"n": 1, "precision": pytest.approx(1 / 3), "recall": 1.0, "f1": 0.5}
    assert result["per_class"]["bmw"] == {"n": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert result["per_class"]["cocacola"] == {"n": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert result["macro_f1"] == pytest.approx((0.5 + 2 / 3) / 3)
    # Each confidence is in a bin of its own: |1-.9|, |0-.6|, |1-.7|, |0-.8|.
    assert result["ece"] == pytest.approx((0.1 + 0.6 + 0.3 + 0.8) / 4)
    assert result["misclassified"] == [
        {"image": "d.jpg", "true": "cocacola", "predicted": "apple", "confidence": 0.8},
        {"image": "b.jpg", "true": "bmw", "predicted": "apple", "confidence": 0.6},
    ]


def test_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    probabilities, truth, labels = random_case()
    result = evaluate(probabilities, truth.tolist(), labels)
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0)
    assert result.top1 == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert result.top5 == pytest.approx(metrics.top_k_accuracy_score(truth, probabilities, k=5))
    assert result.macro_f1 == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    assert np.array_equal(result.confusion, metrics.confusion_matrix(truth, predicted))
    for i, label in enumerate(labels):
        figures = result.per_class[label]
        assert (figures.n, figures.precision, figures.recall, figures.f1) == pytest.approx(
            (support[i], precision[i], recall[i], f1[i])
        )


def test_macro_f1_is_over_labels_that_have_images() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    probabilities, truth, labels = random_case()
    keep = truth < 3
    result = evaluate(probabilities[keep], truth[keep].tolist(), labels)
    expected = metrics.f1_score(
        truth[keep], probabilities[keep].argmax(axis=1), labels=[0, 1, 2], average="macro", zero_division=0
    )
    assert result.macro_f1 == pytest.approx(expected)
    absent = result.per_class["brand 5"]
    assert (absent.n, absent.precision, absent.recall, absent.f1) == (0, 0.0, None, None)


@pytest.mark.parametrize("digits", [1, 6])
def test_auroc_agrees_with_scikit_learn_with_and_without_ties(digits: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(5)
    positive = np.round(generator.normal(0.5, 1, 200), digits)
    negative = np.round(generator.normal(0.0, 1, 90), digits)
    expected = metrics.roc_auc_score([1] * 200 + [0] * 90, np.concatenate([positive, negative]))
    assert auroc(positive, negative) == pytest.approx(expected)


def test_auroc_by_hand() -> None:
    assert auroc([0.9, 0.5], [0.5, 0.1]) == 0.875
    assert auroc([1, 1], [1]) == 0.5
    assert auroc([], [0.3]) is None
    assert auroc([0.3], []) is None


def test_wilson_interval() -> None:
    # Newcombe (1998, Statistics in Medicine 17, 857-872), table I, method 3: 81 of 263, 15 of 148, 0 of 20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(20, 20)[1] == 1.0
    with pytest.raises(UsageError, match="got 3 of 2"):
        wilson_interval(3, 2)
    with pytest.raises(UsageError):
        wilson_interval(0, 0)


def test_bootstrap_by_group_is_seeded_and_wider_than_by_image() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    right = np.repeat(generator.random(40) < 0.7, 10)  # images of a group stand and fall together
    interval = Draws(groups.tolist(), seed=1).share(right)
    assert interval is not None
    low, high = interval
    assert (low, high) == Draws(groups.tolist(), seed=1).share(right)
    single_low, single_high = wilson_interval(int(right.sum()), len(right))
    assert low < right.mean() < high
    assert high - low > 2 * (single_high - single_low)


def test_bootstrap_of_one_image_a_group_is_close_to_wilson() -> None:
    right = np.arange(200) < 150
    expected = wilson_interval(150, 200)
    assert Draws(range(200)).share(right) == pytest.approx(expected, abs=0.015)


def test_bootstrap_without_spread_falls_back_to_the_number_of_groups() -> None:
    assert Draws([i // 10 for i in range(30)]).share([True] * 30) == wilson_interval(3, 3)
    with pytest.raises(UsageError, match="a group for each image"):
        Draws(["a", "b"]).share([True])


def test_groups_reach_the_interval() -> None:
    probabilities, truth, labels = random_case(n=60)
    groups = [f"video {i // 6}" for i in range(60)]
    plain = evaluate(probabilities, truth.tolist(), labels)
    grouped = evaluate(probabilities, truth.tolist(), labels, groups=groups)
    right = probabilities.argmax(axis=1) == truth
    assert plain.top1_ci95 == wilson_interval(int(right.sum()), 60)
    assert grouped.top1_ci95 == Draws(groups, samples=2000).share(right)


def test_calibration_error() -> None:
    assert expected_calibration_error([0.8] * 10, [True] * 8 + [False] * 2) == pytest.approx(0.0)
    assert expected_calibration_error([1.0, 1.0], [False, False]) == 1.0
    assert expected_calibration_error([0.0], [False]) == 0.0
    # Both lie in the bin from 9/15 to 10/15, so that the gaps cancel out.
    assert expected_calibration_error([0.61, 0.65], [True, False]) == pytest.approx(abs(0.39 - 0.65) / 2)
    with pytest.raises(UsageError, match="not from 0 to 1"):
        expected_calibration_error([3.2], [True])


@pytest.mark.parametrize("confidence", [1 / 15, 0.2, 0.4, 3 / 5, 1.0])
def test_a_bins_upper_bound_belongs_to_it(confidence: float) -> None:
    assert expected_calibration_error([confidence, confidence - 0.01], [True, False]) == pytest.approx(
        abs(1 - 2 * confidence + 0.01) / 2
    )


def test_top5_looks_at_five() -> None:
    row = np.array([0.3, 0.2, 0.15, 0.12, 0.11, 0.07, 0.05])
    labels = [f"brand {i}" for i in range(7)]
    result = evaluate([row, row, row, row], [0, 4, 5, 6], labels)
    assert (result.top1, result.top5) == (0.25, 0.5)


def test_an_image_with_several_labels_is_right_with_any() -> None:
    probabilities = [[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    result = evaluate(probabilities, [{"bmw", "apple"}, ("cocacola", "apple"), {"bmw", "apple"}], LABELS)
    assert result.top1 == pytest.approx(1 / 3)
    # Right: under its answer. Wrong: a tuple under its first label, a set under the first in the order of labels.
    assert result.confusion == ((0, 0, 1), (0, 1, 0), (0, 1, 0))
    assert [row.true for row in result.misclassified] == ["cocacola", "apple"]


def test_images_of_none_are_left_out_and_reported_apart() -> None:
    probabilities = [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3], [0.8, 0.1, 0.1]]
    result = evaluate(probabilities, ["apple", "bmw", "none", "none"], LABELS, threshold=0.5).to_json()
    assert (result["n"], result["top1"]) == (2, 1.0)
    # .9 and .7 against .4 and .8: three of the four pairs stand in the right order.
    low, high = result["none"].pop("false_alarm_ci95")
    assert 0 < low < 0.5 < high < 1
    assert result["none"] == {"n": 2, "auroc": 0.75, "false_alarm_rate": 0.5}
    assert "none" not in result["per_class"]
    assert "none" not in evaluate(probabilities[:2], ["apple", "bmw"], LABELS).to_json()


def test_a_given_score_replaces_the_probability() -> None:
    probabilities = [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3], [0.8, 0.1, 0.1]]
    truth = ["apple", "bmw", "none", "none"]
    result = evaluate(probabilities, truth, LABELS, scores=[4.0, -0.5, -2.0, -3.0], threshold=-1.0)
    assert result.none is not None
    assert (result.none.auroc, result.none.false_alarm_rate) == (1.0, 0.0)
    assert result.top1 == 1.0


def test_a_logo_below_the_threshold_is_answered_with_none_and_wrong() -> None:
    probabilities = [[0.9, 0.1, 0.0], [0.25, 0.4, 0.35]]
    result = evaluate(probabilities, ["apple", "bmw"], LABELS, threshold=0.5, images=["a", "b"])
    assert (result.top1, result.top5) == (0.5, 1.0)
    assert result.labels == (*LABELS, "none")
    assert result.confusion == ((1, 0, 0, 0), (0, 0, 0, 1), (0, 0, 0, 0), (0, 0, 0, 0))
    assert result.misclassified[0].predicted == "none"
    assert result.misclassified[0].confidence == pytest.approx(0.6)
    closed = evaluate(probabilities, ["apple", "bmw"], LABELS, threshold=0.5, closed=True)
    assert (closed.top1, closed.labels) == (1.0, tuple(LABELS))


def test_a_score_on_the_threshold_is_answered_with_a_label() -> None:
    assert evaluate([[0.5, 0.5]], ["x"], ["x", "y"], scores=[2.0], threshold=2.0).top1 == 1.0


def test_none_among_the_labels() -> None:
    labels = ["none", "apple", "bmw"]
    probabilities = [[0.1, 0.8, 0.1], [0.6, 0.1, 0.3], [0.7, 0.2, 0.1], [0.3, 0.6, 0.1]]
    truth: list[str | int] = ["apple", "bmw", "none", 0]
    result = evaluate(probabilities, truth, labels)
    assert (result.n, result.top1) == (2, 0.5)
    assert result.labels == ("apple", "bmw", "none")
    assert result.confusion == ((1, 0, 0), (0, 0, 1), (0, 0, 0))
    assert result.misclassified[0].confidence == pytest.approx(0.6)
    assert result.none is not None
    assert (result.none.n, result.none.false_alarm_rate) == (2, 0.5)
    assert result.none.auroc == pytest.approx(3 / 4)  # .9 and .4 against .3 and .7
    assert result.ece == pytest.approx((0.2 + 0.6) / 2)
    closed = evaluate(probabilities, truth, labels, closed=True)
    assert (closed.top1, closed.labels) == (1.0, ("apple", "bmw"))
    assert closed.none == result.none


def test_only_images_of_none() -> None:
    result = evaluate([[0.9, 0.1]], ["none"], ["x", "y"], threshold=0.95)
    assert (result.n, result.top1, result.top1_ci95, result.macro_f1, result.ece) == (0, None, (None, None), None, None)
    assert result.none is not None
    assert (result.none.auroc, result.none.false_alarm_rate) == (None, 0.0)
    assert "NaN" not in json.dumps(result.to_json(), allow_nan=False)


def test_without_any_way_to_reject_every_image_of_none_is_a_false_alarm() -> None:
    result = evaluate([[0.9, 0.1], [0.6, 0.4]], ["x", "none"], ["x", "y"])
    assert result.none is not None
    assert result.none.false_alarm_rate == 1.0


def test_json_holds_every_figure() -> None:
    probabilities, truth, labels = random_case(n=50)
    result = evaluate(probabilities.astype(np.float32), truth.tolist(), labels, threshold=0.3)
    text = json.dumps(result.to_json(), allow_nan=False)
    assert {spec.name for spec in dataclasses.fields(Evaluation)} == set(json.loads(text)) | {"none"}
    assert json.loads(text)["confusion"] == [list(row) for row in result.confusion]


GOOD = [[0.5, 0.5], [0.9, 0.1]]


@pytest.mark.parametrize(
    ("probabilities", "truth", "labels", "options", "error", "message"),
    [
        ([], [], ["x", "y"], {}, DataError, "no images to evaluate"),
        (np.empty((0, 2)), [], ["x", "y"], {}, DataError, "no images to evaluate"),
        ([[0.5, 0.5], [float("nan"), 1]], ["x", "y"], ["x", "y"], {}, UsageError, "Row 1 .* not finite"),
        ([[0.5, 0.5], [3.0, 1.0]], ["x", "y"], ["x", "y"], {}, UsageError, "Row 1 .* sums to 4"),
        ([[1.5, -0.5]], ["x"], ["x", "y"], {}, UsageError, "smallest value of -0.5"),
        (GOOD, ["x", "y"], ["x", "y", "z"], {}, UsageError, "with 3 labels"),
        ([0.5, 0.5], ["x", "y"], ["x", "y"], {}, UsageError, "shape"),
        (GOOD, ["x"], ["x", "y"], {}, UsageError, "1 entries in truth"),
        (GOOD, ["x", "y"], ["x", "y"], {"images": ["a"]}, UsageError, "1 entries in images"),
        (GOOD, ["x", "y"], ["x", "y"], {"groups": [1]}, UsageError, "1 entries in groups"),
        (GOOD, ["x", "y"], ["x", "y"], {"scores": [1.0]}, UsageError, "scores have shape"),
        (GOOD, ["x", "y"], ["x", "y"], {"scores": [1.0, float("nan")]}, UsageError, "score of image number 1"),
        (GOOD, ["x", "y"], ["x", "y"], {"threshold": float("nan")}, UsageError, "threshold is no number"),
        (GOOD, ["x", "y"], ["x", "x"], {}, UsageError, "stand twice: x"),
        ([[1.0]], ["none"], ["none"], {}, UsageError, "no label to judge"),
        (GOOD, ["x", "q"], ["x", "y"], {"images": ["a.jpg", "b.jpg"]}, DataError, "b.jpg shows 'q'"),
        (GOOD, ["x", 2], ["x", "y"], {}, DataError, "label number 2"),
        (GOOD, ["x", -1], ["x", "y"], {}, DataError, "label number -1"),
        (GOOD, ["x", ()], ["x", "y"], {}, DataError, "no true label"),
        (GOOD, ["x", {"y", "none"}], ["x", "y"], {}, DataError, "'y' and 'none' at once"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(
    probabilities: Any, truth: Any, labels: list[str], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        evaluate(probabilities, truth, labels, **options)
    assert str(caught.value).endswith(".")
