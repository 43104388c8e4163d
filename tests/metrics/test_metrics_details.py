"""Intervals, paired tests, risk and reliability, against cases worked by hand and against scikit-learn and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from logolens.errors import UsageError
from logolens.metrics import (
    Answered,
    Draws,
    area_under_risk,
    auroc,
    compare,
    detail,
    mcnemar,
    reliability,
    risk_coverage,
)


@pytest.mark.parametrize(("one", "two"), [(0, 0), (5, 0), (3, 9), (40, 12), (700, 612), (1, 0)])
def test_mcnemar_is_the_exact_binomial_test(one: int, two: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(min(one, two), one + two).pvalue if one + two else 1.0
    assert mcnemar(one, two) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(one, two) == mcnemar(two, one)


def test_the_interval_of_a_share_is_that_of_the_normal_law_where_photos_are_many() -> None:
    hits = np.random.default_rng(0).random(2000) < 0.8
    low, high = Draws(range(2000)).share(hits)
    half = 1.96 * np.sqrt(hits.mean() * (1 - hits.mean()) / 2000)
    assert (hits.mean() - low, high - hits.mean()) == (pytest.approx(half, rel=0.1), pytest.approx(half, rel=0.1))


def test_copies_do_not_make_a_figure_surer() -> None:
    hits = np.random.default_rng(1).random(60) < 0.7
    low, high = Draws(range(60)).share(hits)
    copied_low, copied_high = Draws(np.repeat(np.arange(60), 10).tolist()).share(np.repeat(hits, 10))
    assert (copied_low, copied_high) == (pytest.approx(low, abs=0.03), pytest.approx(high, abs=0.03))
    falsely_sure = Draws(range(600)).share(np.repeat(hits, 10))
    assert falsely_sure[1] - falsely_sure[0] < (high - low) / 2


def test_a_figure_without_spread_has_an_interval_all_the_same() -> None:
    low, high = Draws(range(20)).share(np.ones(20))
    assert 0.8 < low < 0.9
    assert high == 1.0
    assert Draws([0, 0, 0]).interval(lambda weight: weight.mean(axis=1)) is None
    assert Draws(range(3)).share([1, 0, 1], [False, False, False]) is None


def test_two_models_on_the_same_photos() -> None:
    right = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0], bool)
    other = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 1], bool)
    paired = compare(right, other)
    assert (paired.only_this, paired.only_other, paired.difference) == (6, 1, pytest.approx(0.5))
    assert paired.p == pytest.approx(2 * (1 + 7) / 128)
    assert paired.difference_ci95[0] < 0.5 < paired.difference_ci95[1]
    same = compare(right, right)
    assert (same.difference, same.p, same.difference_ci95) == (0, 1.0, (0.0, 0.0))
    with pytest.raises(UsageError):
        compare(right, other[:-1])
    with pytest.raises(UsageError):
        compare([], [])


def test_risk_and_coverage_by_hand() -> None:
    curve = risk_coverage([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0])
    found = {round(point.coverage, 3): (point.risk, point.confidence) for point in curve}
    assert found[1.0] == (pytest.approx(0.4), 0.5)
    assert found[0.8] == (pytest.approx(0.25), 0.6)
    assert found[0.4] == (0.0, 0.8)
    assert area_under_risk([0.9, 0.8], [1, 0]) == pytest.approx(0.25)
    assert area_under_risk([], []) is None
    # Photos of one confidence go together.
    assert {point.coverage for point in risk_coverage([0.5] * 4, [1, 0, 1, 1])} == {1.0}
    assert risk_coverage([], []) == ()


def test_reliability_by_hand() -> None:
    bins = reliability([0.1, 0.95, 0.91, 1.0], [0, 1, 0, 1])
    assert [(its.n, its.accuracy) for its in bins] == [(1, 0.0), (3, pytest.approx(2 / 3))]
    assert bins[1].confidence == pytest.approx((0.95 + 0.91 + 1.0) / 3)
    with pytest.raises(UsageError):
        reliability([0.5], [1, 0])


def answers(n: int = 300, k: int = 4, seed: int = 0) -> Answered:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k + 1, n)  # The last shows no logo.
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), np.minimum(truth, k - 1)] += 1.5
    labels = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = rng.normal(size=n) + 2 * (truth < k)
    return Answered(
        images=[f"{number}.jpg" for number in range(n)],
        truth=[(int(label),) if label < k else () for label in truth],
        labels=labels,
        shows=scores > 0.5,
        scores=scores,
        confidence=labels.max(axis=1),
        groups=list(range(n)),
        sizes=np.where(np.arange(n) % 2, 0.02, np.nan),
        sources=["web" if number % 3 else "shop" for number in range(n)],
    )


def test_details_agree_with_the_plain_figures_and_their_intervals_hold_them() -> None:
    metrics: Any = pytest.importorskip("sklearn.metrics")
    its = answers()
    more = detail(its, list("abcd"))
    logo = its.is_logo
    row, best = np.array([shown[0] for shown in its.truth if shown]), its.labels.argmax(axis=1)[logo]
    f1 = metrics.f1_score(row, best, average="macro")
    assert more.macro_f1_ci95[0] < f1 < more.macro_f1_ci95[1]
    area = auroc(its.scores[logo], its.scores[~logo])
    assert more.open_set.auroc_ci95[0] < area < more.open_set.auroc_ci95[1]
    said = [
        (shown and its.shows[n] and its.right[n]) or (not shown and not its.shows[n])
        for n, shown in enumerate(its.truth)
    ]
    assert more.open_set.accuracy == pytest.approx(np.mean([bool(one) for one in said]))
    assert [part.name for part in more.by_size] == ["1% to 4%"]
    assert [part.name for part in more.by_source] == ["web", "shop"]
    recall = metrics.recall_score(row, best, average=None)
    for number, name in enumerate("abcd"):
        low, high = more.per_class_ci95[name]["recall"]
        assert low <= recall[number] <= high
    assert sum(pair.count for pair in more.confused) == int((row != best).sum())
    assert more.to_json()["open_set"]["n"] == 300
