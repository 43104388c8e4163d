"""Confidences mean what they say, and ``none`` is answered as often as was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from logolens.models.calibration import Calibration, calibrate, choose, margins, rejection, softmax

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def loss(calibration: Calibration, logits: Floats, truth: Labels) -> float:
    return float(-np.log(calibration.labels(logits)[np.arange(len(truth)), truth]).mean())


def overconfident(seed: int, n: int = 500) -> tuple[Floats, Labels]:
    """Logits of three labels, ten times those that the truth was drawn from."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (n, 3))
    truth = (rng.uniform(size=(n, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return logits * 10, truth


def with_background(seed: int, n: int = 2000) -> tuple[Floats, Labels]:
    """Two labels and the background; the right output stands 2 higher, in noise of 1."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    return rng.normal(0, 1, (n, 3)) + 2 * np.eye(3)[truth], truth


def plain(logits: Any, truth: Any, **settings: Any) -> Calibration:
    return calibrate(logits, truth, background=False, max_false_alarms=0.1, **settings)


def test_softmax_is_stable_and_sums_to_one() -> None:
    p = softmax(np.array([[1000.0, 0.0], [-1000.0, -1001.0], [0.0, 0.0]]))
    assert p.dtype == np.float64
    assert p.sum(axis=1) == pytest.approx([1, 1, 1])
    assert p[:, 0] == pytest.approx([1.0, 0.7310585786, 0.5])


def test_margins_are_of_the_best_label_over_the_last_output() -> None:
    assert margins(np.array([[3.0, 1.0, 2.0], [0.0, 1.0, 5.0]])) == pytest.approx([1.0, -4.0])


def test_the_temperature_lowers_the_loss_of_overconfident_logits_on_fresh_ones() -> None:
    calibration = plain(*overconfident(1))
    fresh, truth = overconfident(2)
    assert calibration.temperature == pytest.approx(10, rel=0.25)
    assert calibration.threshold is None
    assert loss(calibration, fresh, truth) < 0.5 * loss(Calibration(), fresh, truth)
    assert np.array_equal(calibration.probabilities(fresh).argmax(axis=1), fresh.argmax(axis=1))


def test_the_temperature_is_the_best_there_is() -> None:
    logits, truth = overconfident(1)
    best = loss(plain(logits, truth), logits, truth)
    assert all(loss(Calibration(t), logits, truth) >= best - 1e-4 for t in np.geomspace(0.06, 19, 300))


def test_confidence_is_accuracy_once_calibrated() -> None:
    calibration = plain(*overconfident(1, 4000))
    logits, truth = overconfident(2, 4000)
    p = calibration.probabilities(logits)
    sure = p.max(axis=1)
    for low, high in ((0.4, 0.6), (0.6, 0.8), (0.8, 1.0)):
        some = (sure >= low) & (sure < high)
        assert (p.argmax(axis=1) == truth)[some].mean() == pytest.approx(sure[some].mean(), abs=0.05)


@pytest.mark.parametrize("background", [False, True])
def test_too_few_examples_to_fit_anything(background: bool) -> None:
    for n in (0, 1):
        logits, truth = np.zeros((n, 3)), np.zeros(n, dtype=np.int64)
        calibration = calibrate(logits, truth, background=background, max_false_alarms=0.1)
        assert calibration.temperature == 1.0
        assert calibration.probabilities(np.zeros((2, 3))).sum(axis=1) == pytest.approx([1, 1])


def test_held_out_photos_that_show_no_logo_alone() -> None:
    logits = np.array([[0.0, 0.0, 3.0], [0.0, 1.0, 2.0]])
    calibration = calibrate(logits, np.array([2, 2]), background=True, max_false_alarms=0.1)
    assert np.isfinite(calibration.probabilities(logits)).all()


def test_logits_that_are_always_right_stay_finite() -> None:
    logits, _ = overconfident(1)
    calibration = plain(logits, logits.argmax(axis=1))
    assert 0.01 < calibration.temperature < 1000
    assert np.isfinite(calibration.probabilities(logits)).all()


@pytest.mark.parametrize("most", [0.01, 0.1, 0.5])
def test_the_threshold_lets_no_more_pass_than_was_asked_for(most: float) -> None:
    calibration = calibrate(*with_background(1), background=True, max_false_alarms=most)
    logits, truth = with_background(2)
    answers = np.array([choose(row, True) for row in calibration.probabilities(logits)])
    assert (answers[truth == 2] != 2).mean() <= most + 0.03
    assert (answers[truth != 2] != 2).mean() > most


@pytest.mark.parametrize("most", [0.02, 0.1, 0.3])
def test_where_logo_and_none_overlap_just_the_share_passes_that_was_asked_for(most: float) -> None:
    rng = np.random.default_rng(0)
    scores, shows = np.concatenate([rng.normal(1.5, 1, 2000), rng.normal(0, 1, 2000)]), np.arange(4000) < 2000
    threshold, slope = rejection(scores, shows, most)
    assert (scores[~shows] > threshold).mean() == pytest.approx(most, abs=0.002)
    assert slope > 0


def test_where_they_stand_apart_the_threshold_lies_between_them_and_not_at_an_edge() -> None:
    rng = np.random.default_rng(0)
    scores, shows = np.concatenate([rng.normal(10, 1, 300), rng.normal(0, 1, 300)]), np.arange(600) < 300
    threshold, _ = rejection(scores, shows, 0.1)
    assert 3 < threshold < 8


def test_scores_that_tell_nothing_still_give_a_threshold() -> None:
    scores, shows = np.tile([0.0, 1.0], 50), np.arange(100) < 50
    threshold, slope = rejection(scores, shows, 0.1)
    assert np.isfinite([threshold, slope]).all()


def test_probabilities_of_labels_and_background_sum_to_one_and_keep_the_labels_order() -> None:
    calibration = calibrate(*with_background(1), background=True, max_false_alarms=0.1)
    logits, _ = with_background(2)
    p = calibration.probabilities(logits)
    assert p.shape == logits.shape
    assert p.min() >= 0
    assert p.sum(axis=1) == pytest.approx(np.ones(len(p)))
    assert np.array_equal(p[:, :-1].argmax(axis=1), logits[:, :-1].argmax(axis=1))
    assert np.allclose(p[:, :-1] / p[:, :-1].sum(axis=1, keepdims=True), calibration.labels(logits))
    above = margins(logits) - calibration.threshold
    assert np.array_equal(p[:, -1] < 0.5, above > 0)


def test_logits_beyond_all_reason_do_not_overflow() -> None:
    p = Calibration(0.05, 0.0, 20.0).probabilities(np.array([[1e6, 0.0, -1e6], [-1e6, 0.0, 1e6]]))
    assert np.isfinite(p).all()
    assert p[0] == pytest.approx([1, 0, 0])
    assert p[1, 2] == pytest.approx(1)


@pytest.mark.parametrize(
    ("row", "background", "expected"),
    [
        ([0.2, 0.7, 0.1], True, 1),
        ([0.3, 0.25, 0.45], True, 0),  # None is likeliest of the three, yet a logo is likelier than none.
        ([0.2, 0.2, 0.6], True, 2),
        ([0.5, 0.0, 0.5], True, 0),
        ([0.2, 0.2, 0.6], False, 2),
        ([0.4, 0.4, 0.2], False, 0),
    ],
)
def test_choose(row: list[float], background: bool, expected: int) -> None:
    assert choose(row, background) == expected
    assert choose(np.array(row), background) == expected
