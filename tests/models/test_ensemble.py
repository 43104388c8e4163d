"""What counts, and how much: decided from evidence, by rules that hold whatever the numbers are."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from logolens.models.calibration import softmax
from logolens.models.ensemble import EnsembleWeights, Evidence, lead
from logolens.training.fit_ensemble import choose_weights, fit_presence

LABELS = 4


def made(
    whole: float,
    tiles: float | None = None,
    matcher: float | None = None,
    n: int = 240,
    seed: int = 0,
    closest: float | None = None,
) -> tuple[Evidence, npt.NDArray[np.int64]]:
    """Evidence in which the true label stands out by so much; None: it was not asked."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, LABELS, n)
    rows = np.arange(n)

    def expert(strength: float) -> npt.NDArray[np.float64]:
        values = rng.normal(size=(n, LABELS))
        values[rows, truth] += strength
        return values

    first = expert(whole)
    second = first if tiles is None else expert(tiles)
    third = np.zeros((n, LABELS))
    if matcher is not None:
        third = np.abs(rng.normal(scale=0.05, size=(n, LABELS)))
        third[rows, truth] += matcher
    within = second if closest is None else expert(closest)
    return Evidence({"whole": first, "closer": second, "closest": within, "matcher": third}), truth


def counting(*names: str, **stops: float) -> EnsembleWeights:
    """Weights by which the whole photo and these experts count the same; and the margins at which an answer stands."""
    return EnsembleWeights({"whole": 1.0, **dict.fromkeys(names, 1.0)}, stop_margins=stops)


def network(evidence: Evidence) -> Evidence:
    """The same of a bundle whose matcher was not asked."""
    return Evidence({name: evidence[name] for name in ("whole", "closer", "closest")})


def without(stack: EnsembleWeights, name: str) -> EnsembleWeights:
    return dataclasses.replace(stack, labels={**stack.labels, name: 0.0})


def right(stack: EnsembleWeights, evidence: Evidence, truth: npt.NDArray[np.int64]) -> float:
    return float((stack.logits(evidence).argmax(axis=1) == truth).mean())


# The lead


@pytest.mark.parametrize("labels", [1, 2, 3, 27])
def test_the_lead_is_over_the_next_label_and_over_none(labels: int) -> None:
    margins = np.random.default_rng(labels).normal(scale=3, size=(300, labels))
    for row, value in zip(margins, lead(margins), strict=True):
        ranked = sorted(row.tolist(), reverse=True)
        assert value == pytest.approx(ranked[0] - max([0.0, *ranked[1:2]]))
    assert lead(margins - 100).max() < 0


# What is taken


def test_a_matcher_that_knows_is_taken_and_one_that_knows_nothing_is_not() -> None:
    evidence, truth = made(0.7, matcher=2.0)
    stack = choose_weights(evidence, truth)
    assert stack.labels.get("matcher", 0.0) > 0
    assert right(stack, evidence, truth) > 0.95
    assert f"{len(truth)} held-out photos" in stack.reason
    chosen = [choose_weights(*made(0.7, matcher=0.0, seed=seed)) for seed in range(20)]
    alone = [stack for stack in chosen if not stack.labels.get("matcher", 0.0)]
    assert len(alone) >= 18  # One standard error is passed by chance now and then.
    for stack in alone:
        assert (
            stack.labels.get("whole", 0.0),
            stack.labels.get("closer", 0.0),
            stack.stop_margins.get("whole"),
            stack.stop_margins.get("closer"),
        ) == (1.0, 0.0, None, None)
        assert "alone" in stack.reason


def test_closer_views_that_know_are_taken_and_those_that_know_nothing_are_not() -> None:
    evidence, truth = made(0.7, tiles=2.5)
    stack = choose_weights(network(evidence), truth)
    assert stack.labels.get("closer", 0.0) > 0
    assert right(stack, evidence, truth) > right(EnsembleWeights(), evidence, truth) + 0.1
    evidence, truth = made(2.0, tiles=0.0)
    assert not choose_weights(network(evidence), truth).labels.get("closer")


def test_views_within_closer_ones_that_know_are_taken_and_those_that_know_nothing_are_not() -> None:
    evidence, truth = made(0.7, tiles=1.0, closest=2.5, n=400)
    stack = choose_weights(network(evidence), truth)
    assert stack.asks("closest")
    assert "views within these" in stack.reason
    assert right(stack, evidence, truth) > right(without(stack, "closest"), evidence, truth) + 0.1
    chosen = [
        choose_weights(network(evidence), truth)
        for evidence, truth in (made(0.7, tiles=2.0, closest=0.0, seed=seed) for seed in range(20))
    ]
    assert sum(stack.asks("closest") for stack in chosen) <= 2
    for seed in range(20):
        evidence, truth = made(1.0, tiles=2.0, matcher=1.0, seed=seed)
        assert not choose_weights(evidence, truth).asks("closest")  # They say just the same.


def test_all_experts_serve_together_where_each_knows_something_else() -> None:
    evidence, truth = made(1.2, tiles=1.2, closest=1.8, matcher=0.6, n=600)
    evidence["matcher"][:] = np.maximum(
        0.0, evidence["matcher"] + np.random.default_rng(9).normal(scale=0.5, size=(600, LABELS))
    )
    stack = choose_weights(evidence, truth)
    assert min(stack.labels.get("whole", 0.0), stack.labels.get("closest", 0.0), stack.labels.get("matcher", 0.0)) > 0
    for name in ("whole", "closest", "matcher"):
        assert right(stack, evidence, truth) > right(without(stack, name), evidence, truth)


def test_a_matcher_that_was_not_asked_is_never_taken() -> None:
    evidence, truth = made(0.7, matcher=3.0)
    stack = choose_weights(network(evidence), truth)
    assert stack.labels.get("matcher", 0.0) == 0
    assert "matcher" not in stack.reason


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("strengths", [(0.5, 0.0, 0.0), (1.5, 1.5, 0.0), (0.5, 2.0, 1.0), (3.0, 3.0, 3.0)])
def test_what_is_chosen_is_never_worse_than_the_whole_photo(strengths: tuple[float, ...], seed: int) -> None:
    """By what it is chosen for, the cross-entropy at the best temperature."""
    whole, tiles, matcher = strengths
    evidence, truth = made(whole, tiles, matcher, seed=seed)
    rows = np.arange(len(truth))

    def loss(stack: EnsembleWeights) -> float:
        logits = stack.logits(evidence)
        return min(float(-np.log(softmax(logits * t)[rows, truth] + 1e-12).mean()) for t in np.geomspace(0.05, 20, 60))

    stack = choose_weights(evidence, truth)
    assert min(stack.labels.get("whole", 0.0), stack.labels.get("closer", 0.0), stack.labels.get("matcher", 0.0)) >= 0
    assert loss(stack) <= loss(EnsembleWeights()) + 0.005


@pytest.mark.parametrize("n", [2, 3, 12])
def test_few_photos_decide_without_fail(n: int) -> None:
    evidence, truth = made(1.0, 1.0, 1.0, n=n)
    stack = choose_weights(evidence, truth)
    assert np.isfinite(stack.logits(evidence)).all()
    assert stack.reason.endswith(".")


# Early answers


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "strengths", [(0.5, 2.5, 2.0), (3.0, 2.5, 2.0), (4.0, 4.0, 0.3), (2.0, 3.0, 0.2), (5.0, 4.0, 0.0)]
)
@pytest.mark.parametrize("closest", [None, 2.0])
def test_answering_early_costs_at_most_what_is_promised(
    strengths: tuple[float, ...], closest: float | None, seed: int
) -> None:
    whole, tiles, matcher = strengths
    evidence, truth = made(whole, tiles, matcher, n=500, seed=seed, closest=closest)
    stack = choose_weights(evidence, truth)
    full = stack.logits(evidence).argmax(axis=1) == truth

    def lost(how: EnsembleWeights) -> float:
        looked = how.logits(how.with_early_stops(evidence)).argmax(axis=1) == truth
        return float((full & ~looked).mean())

    # Four photos in a thousand after the whole photo, and none more after the closer views.
    whole = lost(dataclasses.replace(stack, stop_margins={"whole": stack.stop_margins.get("whole", np.inf)}))
    assert whole <= 0.004
    assert lost(stack) <= whole + 1e-9


def test_there_are_early_answers_where_whole_photos_are_clear() -> None:
    evidence, truth = made(6.0, 5.0, 0.1, n=400)
    evidence["whole"][:40] *= 0.01  # Some say nothing, and the closer views have to.
    stack = choose_weights(evidence, truth)
    assert stack.stop_margins.get("whole") is not None
    assert (lead(evidence["whole"]) >= stack.stop_margins.get("whole")).mean() > 0.5


def test_nothing_is_answered_early_where_only_the_matcher_counts() -> None:
    """The whole photo's evidence weighs nothing, so that an early answer would rest on nothing."""
    evidence, truth = made(3.0, 3.0, 4.0, n=500)
    stack = choose_weights(evidence, truth)
    assert (stack.labels.get("whole", 0.0), stack.labels.get("closer", 0.0)) == (0.0, 0.0)
    assert (stack.stop_margins.get("whole"), stack.stop_margins.get("closer")) == (None, None)


def test_closer_views_that_say_just_the_same_are_not_taken() -> None:
    for seed in range(20):
        evidence, truth = made(1.0, seed=seed)
        assert not choose_weights(network(evidence), truth).labels.get("closer")


def test_a_whole_photo_that_is_surely_wrong_never_answers_early() -> None:
    evidence, truth = made(0.5, 3.0, n=300)
    wrong = np.arange(300) < 30
    evidence["whole"][wrong, (truth[wrong] + 1) % LABELS] = 40.0
    stack = choose_weights(network(evidence), truth)
    assert stack.labels.get("closer", 0.0) > 0
    assert stack.stop_margins.get("whole") is None


def test_the_matcher_counts_for_nothing_where_closer_views_are_clear() -> None:
    evidence, _ = made(2.0, 2.0, 2.0)
    looked = counting("closer", "matcher", closer=2.0).with_early_stops(evidence)
    clear = lead((evidence["whole"] + evidence["closer"]) / 2) >= 2.0
    assert 0 < clear.sum() < len(clear)
    assert np.array_equal(looked["closer"], evidence["closer"])
    assert not looked["matcher"][clear].any()
    assert np.array_equal(looked["matcher"][~clear], evidence["matcher"][~clear])
    evidence, _ = made(2.0, 2.0, 2.0, closest=2.0)
    looked = counting("closer", "closest", closer=2.0).with_early_stops(evidence)
    clear = lead((evidence["whole"] + evidence["closer"]) / 2) >= 2.0
    assert np.array_equal(looked["closest"], np.where(clear[:, None], evidence["closer"], evidence["closest"]))


def test_evidence_as_looked_at_is_the_whole_photos_where_that_stands_and_full_elsewhere() -> None:
    evidence, _ = made(2.0, 2.0, 2.0)
    stack = counting("closer", "matcher", whole=2.0)
    looked = stack.with_early_stops(evidence)
    early = lead(evidence["whole"]) >= 2.0
    assert 0 < early.sum() < len(early)
    assert looked["whole"] is evidence["whole"]
    assert np.array_equal(looked["closer"][early], evidence["whole"][early])
    assert np.array_equal(looked["closer"][~early], evidence["closer"][~early])
    assert not looked["matcher"][early].any()
    assert np.array_equal(looked["matcher"][~early], evidence["matcher"][~early])
    full = dataclasses.replace(stack, stop_margins={}).with_early_stops(evidence)
    assert np.array_equal(full["closer"], evidence["closer"])
    assert np.array_equal(full["matcher"], evidence["matcher"])
    # Once more changes nothing.
    again = stack.with_early_stops(looked)
    assert np.array_equal(again["closer"], looked["closer"])


# Whether there is a logo at all


def with_empty(shown: dict[str, float], empty: dict[str, float], n: int = 200) -> tuple[Evidence, Any]:
    """Evidence whose best label, of photos with and without a logo, stands at so much."""
    rng = np.random.default_rng(3)
    shows = np.arange(2 * n) < n

    def part(name: str) -> npt.NDArray[np.float64]:
        values = rng.normal(scale=0.1, size=(2 * n, LABELS)) - 5
        values[:, 0] = np.where(shows, shown[name], empty[name]) + rng.normal(size=2 * n)
        return values

    whole = part("whole")
    whole[:, 0] += 10  # The first label is always the best.
    closer, matcher = part("tiles"), part("matcher")
    closest = part("closest") if "closest" in shown else closer
    return Evidence({"whole": whole, "closer": closer, "closest": closest, "matcher": matcher}), shows


def test_what_tells_logos_from_none_is_weighed_and_what_tells_nothing_is_not() -> None:
    evidence, shows = with_empty({"whole": 0, "tiles": 2, "matcher": 3}, {"whole": 0, "tiles": 0, "matcher": 0})
    stack = fit_presence(counting("closer", "matcher"), evidence, shows)
    assert (
        stack.presence.get("matcher", 0.0)
        > stack.presence.get("closer", 0.0)
        > abs(stack.presence.get("whole", 0.0)) * 3
    )
    assert (
        min(stack.presence.get("whole", 0.0), stack.presence.get("closer", 0.0), stack.presence.get("matcher", 0.0))
        >= 0
    )
    scores = stack.score(evidence)
    assert (scores[shows][:, None] > scores[~shows][None]).mean() > 0.95
    assert (stack.labels.get("whole", 0.0), stack.labels.get("closer", 0.0), stack.labels.get("matcher", 0.0)) == (
        1.0,
        1.0,
        1.0,
    )


def test_evidence_never_speaks_against_a_logo() -> None:
    evidence, shows = with_empty({"whole": 3, "tiles": 0, "matcher": 0}, {"whole": 0, "tiles": 2, "matcher": 0})
    stack = fit_presence(counting("closer", "matcher"), evidence, shows)
    assert stack.presence.get("whole", 0.0) > 0
    assert stack.presence.get("closer", 0.0) == 0
    assert stack.presence.get("matcher", 0.0) >= 0
    stronger = Evidence({name: evidence[name] + 1 for name in evidence.asked})
    assert (stack.score(stronger) >= stack.score(evidence)).all()


def test_where_all_speaks_against_a_logo_the_weights_stay_as_they_were() -> None:
    evidence, shows = with_empty({"whole": 0, "tiles": 0, "matcher": 0}, {"whole": 3, "tiles": 3, "matcher": 3})
    before = counting("closer", "matcher")
    assert fit_presence(before, evidence, shows) == before


def test_a_matcher_that_found_nothing_anywhere_and_views_that_are_not_looked_at_get_no_weight() -> None:
    evidence, shows = with_empty({"whole": 2, "tiles": 2, "matcher": 0}, {"whole": 0, "tiles": 0, "matcher": 0})
    silent = Evidence(
        {**{name: evidence[name] for name in evidence.asked}, "matcher": np.zeros_like(evidence["matcher"])}
    )
    stack = fit_presence(EnsembleWeights(), silent, shows)
    assert stack.presence.get("whole", 0.0) > 0
    assert (stack.presence.get("closer", 0.0), stack.presence.get("matcher", 0.0)) == (0.0, 0.0)


def test_the_score_is_that_of_the_label_that_is_answered() -> None:
    evidence, _ = made(1.0, 1.0, 1.0)
    stack = EnsembleWeights(
        labels={"whole": 0.3, "closer": 0.5, "matcher": 2.0}, presence={"whole": 0.1, "closer": 0.7, "matcher": 0.2}
    )
    best = stack.logits(evidence).argmax(axis=1)
    assert np.array_equal(stack.score(evidence), stack.shows(evidence)[np.arange(len(best)), best])


def test_evidence_is_taken_apart_and_put_together() -> None:
    evidence, _ = made(1.0, 2.0, 1.0, n=10)
    parts = [evidence.rows(slice(0, 3)), evidence.rows([3]), evidence.rows(np.arange(10) > 3)]
    assert [len(part) for part in parts] == [3, 1, 6]
    joined = Evidence.of(parts)
    for name in ("whole", "closer", "closest", "matcher"):
        assert np.array_equal(joined[name], evidence[name])


def test_what_an_expert_that_was_not_asked_would_say_is_said_for_it() -> None:
    full, _ = made(1.0, 2.0, 1.0, n=10)
    first, rest = full.rows(slice(0, 4)), Evidence({"whole": full["whole"][4:]})
    joined = Evidence.of([first, rest])
    assert joined.asked == ("whole", "closer", "closest", "matcher")
    for name in ("closer", "closest"):
        assert np.array_equal(joined[name][:4], full[name][:4])
        assert np.array_equal(joined[name][4:], full["whole"][4:])
    assert not joined["matcher"][4:].any()


def test_weights_are_kept_as_json_and_those_of_earlier_releases_are_read() -> None:
    now = EnsembleWeights(
        {"whole": 0.33, "closer": 0.5, "matcher": 2.0}, {"matcher": 0.25}, {"whole": 3.0}, reason="Why."
    )
    assert EnsembleWeights.from_json(json.loads(json.dumps(now.to_json()))) == now
    then = {
        "whole": 0.33,
        "tiles": 0.5,
        "closest": 0.0,
        "matcher": 2.0,
        "shows_whole": 0.0,
        "shows_tiles": 0.0,
        "shows_closest": 0.0,
        "shows_matcher": 0.25,
        "lead": 3.0,
        "lead_closer": None,
        "reason": "Why.",
    }
    assert EnsembleWeights.from_json(then) == now
    before = {name: value for name, value in then.items() if "closest" not in name}  # Still earlier: no views within.
    assert EnsembleWeights.from_json(before) == now
    for broken in ({}, {"labels": {"whole": 1.0}}, {"labels": 3, "presence": {}, "stop_margins": {}, "reason": ""}):
        with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
            EnsembleWeights.from_json(broken)
