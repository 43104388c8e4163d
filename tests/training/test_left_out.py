"""Labels that are left out stand in for brands that nobody knows: who they are, what is said of them, what is set by them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from logolens.config import BACKGROUND, TrainSettings
from logolens.data import Dataset, Photo, Region, Split
from logolens.io.views import WHOLE
from logolens.models.calibration import rejection, softmax
from logolens.models.ensemble import EnsembleWeights, Evidence, above_next
from logolens.training.cross_fit import cross_fit
from logolens.training.fit_ensemble import choose_weights, fit_floors, fit_presence, keep_stops
from logolens.training.left_out import Group, ViewFeatures, label_groups, left_out_photos
from logolens.training.samples import Sample
from logolens.training.task import Task

LABELS = tuple("abcdefgh")


@dataclass
class Fixed:
    """A head whose logits are the features themselves, those of its own labels and of the background."""

    columns: Sequence[int]

    def logits(self, features: Any) -> Any:
        return np.asarray(features)[:, list(self.columns)]


@pytest.mark.parametrize("count", [4, 6, 9, 10, 27, 500])
def test_every_label_is_left_out_once_and_others_stay(count: int) -> None:
    labels = [f"label {number}" for number in range(count)]
    groups = label_groups(labels, (), 3)
    assert sorted(label for group in groups for label in group) == sorted(labels)
    assert len(groups) == (count if count <= 9 else 5)
    assert all(len(labels) - len(group) >= 2 for group in groups)
    assert label_groups(labels, (), 3) == groups


@pytest.mark.parametrize("labels", [(), ("a",), ("old", "new"), ("a", "b", "c")])
def test_of_few_labels_none_is_left_out(labels: tuple[str, ...]) -> None:
    assert label_groups(labels, (), 0) == []


def test_near_labels_that_are_told_apart_as_a_pair_are_left_out_together() -> None:
    for seed in range(5):
        groups = label_groups(LABELS, [("a", "b"), ("b", "c")], seed)
        assert frozenset("abc") in groups
        assert sorted(label for group in groups for label in group) == sorted(LABELS)


def test_what_is_said_of_strangers_knows_nothing_of_their_labels() -> None:
    labels = ("a", "b", "c")
    features = np.array([[1.0, 2.0, 9.0, 0.0], [3.0, 1.0, 8.0, 1.0], [0.0, 5.0, 7.0, 2.0]], np.float32)
    views = [ViewFeatures(features, {"whole": (0, 1), "closer": (1, 3)})]
    evidence = Evidence(
        {
            "whole": np.zeros((1, 3)),
            "closer": np.zeros((1, 3)),
            "closest": np.zeros((1, 3)),
            "matcher": np.array([[0.5, 0.0, 6.0]]),
        }
    )
    (found,) = left_out_photos([Group(frozenset("c"), Fixed([0, 1, 3]))], labels, ["c"], evidence, views)  # type: ignore[arg-type]
    assert found.rows.tolist() == [0]
    assert found.columns.tolist() == [0, 1]
    assert found.evidence["whole"].tolist() == [[1.0, 2.0]]
    assert found.evidence["closer"].tolist() == [[2.0, 3.0]]  # Over the background of each view.
    assert found.evidence["closest"].tolist() == [[2.0, 3.0]]  # Not looked at: the closer views stand in.
    assert found.evidence["matcher"].tolist() == [[0.5, 0.0]]
    assert left_out_photos([Group(frozenset("b"), Fixed([0, 2, 3]))], labels, ["c"], evidence, views) == ()  # type: ignore[arg-type]


def made(n: int, best: float, seed: int, gap: float = 3.0) -> Evidence:
    """Evidence whose first label stands at so much, and so far above the others."""
    rng = np.random.default_rng(seed)
    whole = rng.normal(scale=0.3, size=(n, 6)) + rng.normal(size=(n, 1)) + best - gap
    whole[:, 0] += gap
    return Evidence({"whole": whole, "closer": whole + rng.normal(scale=0.2, size=(n, 6))})


def test_no_larger_share_of_unknown_brands_passes_than_may() -> None:
    weights = EnsembleWeights({"whole": 0.5, "closer": 0.5})
    shown, empty, unknown = made(300, 4.0, 0, 6.0), made(300, -6.0, 1, 1.5), made(200, 3.5, 2, 1.5)
    evidence, shows = Evidence.of([shown, empty]), np.arange(600) < 300
    fitted = fit_presence(weights, evidence, shows, [unknown])
    assert fitted.gap > 0
    assert fit_presence(weights, evidence, shows).gap == 0
    threshold, slope = rejection(fitted.score(evidence), shows, 0.1, fitted.score(unknown))
    # Photos without any logo alone would set it where the unknown pass.
    assert (fitted.score(unknown) > np.quantile(fitted.score(empty), 0.9)).mean() > 0.5
    assert (fitted.score(unknown) > threshold).mean() <= 0.1
    assert (fitted.score(made(2000, 3.5, 9, 1.5)) > threshold).mean() < 0.2
    assert (fitted.score(made(2000, 4.0, 8, 6.0)) > threshold).mean() > 0.8
    assert slope > 0


def test_the_distance_to_the_next_label_is_that_of_the_best_alone() -> None:
    logits = np.array([[3.0, 1.0, -2.0], [0.0, 0.0, -1.0]])
    assert above_next(logits).tolist() == [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert above_next(np.array([[5.0]])).tolist() == [[0.0]]


def test_floors_let_photos_without_a_logo_go_and_lose_no_more_than_may_be() -> None:
    weights = EnsembleWeights({"whole": 0.5, "closer": 0.5, "closest": 0.2})
    evidence, shows = Evidence.of([made(400, 4.0, 0), made(400, -3.0, 1)]), np.arange(800) < 400
    right = shows & (weights.logits(evidence).argmax(axis=1) == 0)
    for lost in (0.003, 0.005, 0.02):
        floors = fit_floors(weights, evidence, right, shows, lost)
        gone = (evidence["whole"].max(axis=1) < floors.get("whole", -np.inf)) | (
            (evidence["whole"] + evidence["closer"]).max(axis=1) / 2 < floors.get("closer", -np.inf)
        )
        assert (gone & right).sum() <= lost * 400
        assert gone[~shows].mean() > 0.8
    # Of 400 photos even the least promises too much.
    assert fit_floors(weights, evidence, right, shows, 0.001) == {}
    assert fit_floors(EnsembleWeights(), evidence, right, shows, 0.005) == {}  # Nothing more would be asked anyway.


def test_the_floor_after_the_whole_photo_takes_the_windows_of_its_maps_into_account() -> None:
    weights = EnsembleWeights({"whole": 0.5, "closer": 0.5, "closest": 0.2})
    evidence, shows = Evidence.of([made(400, 1.0, 0, 2.0), made(400, -1.0, 1, 2.0)]), np.arange(800) < 400
    right = np.array(shows)
    rng = np.random.default_rng(4)
    told = evidence["whole"].mean(axis=1, keepdims=True) + np.where(shows, 6.0, -6.0)[:, None]
    windows = told + rng.normal(scale=0.5, size=evidence["whole"].shape)
    table = {name: evidence[name] for name in evidence.asked}
    with_windows = Evidence({**table, "windows": windows})
    floors = fit_floors(weights, with_windows, right, shows, 0.01)
    assert "whole" not in floors
    both = dataclasses.replace(weights, none_floors=floors)
    alone = dataclasses.replace(weights, none_floors=fit_floors(weights, evidence, right, shows, 0.01))
    assert both.floored("windows", with_windows)[~shows].mean() > 0.95
    assert both.floored("windows", with_windows)[right].mean() <= 0.01
    assert alone.floored("whole", evidence)[~shows].mean() < 0.5


def test_windows_of_its_maps_are_never_added_to_what_names_a_label() -> None:
    evidence, shows = Evidence.of([made(400, 1.0, 0, 2.0), made(400, -1.0, 1, 2.0)]), np.arange(800) < 400
    truth = np.zeros(400, dtype=np.int64)
    perfect = np.zeros_like(evidence["whole"])
    perfect[:400, 0], perfect[400:] = 20.0, -20.0
    asked = Evidence({**{name: evidence[name] for name in evidence.asked}, "windows": perfect})
    chosen = choose_weights(asked.rows(shows), truth)
    fitted = fit_presence(chosen, asked, shows)
    assert not {"windows"} & {*chosen.labels, *fitted.presence}
    assert not fitted.asks("windows")


def test_what_surely_shows_none_is_answered_none_whatever_else_speaks() -> None:
    weights = EnsembleWeights({"whole": 1.0, "closer": 1.0}, {"whole": 0.1}, none_floors={"whole": -2.0}, gap=5.0)
    low, high = np.array([[-3.0, -20.0]]), np.array([[-1.0, -20.0]])
    gone, kept = (weights.score(Evidence({"whole": whole}))[0] for whole in (low, high))
    assert gone < 0.1 * -3.0 + 5.0 * 100 - 29
    assert kept > gone + 25
    assert weights.ends("whole", Evidence({"whole": low})).all()
    assert not weights.ends("whole", Evidence({"whole": high})).any()
    looked = weights.with_early_stops(Evidence({"whole": low, "closer": high}))
    assert np.array_equal(looked["closer"], low)
    # An answer that stood before a floor came stays.
    stands = EnsembleWeights({"whole": 1.0}, {"whole": 1.0}, {"whole": -30.0}, {"closer": 50.0})
    assert stands.score(Evidence({"whole": high, "closer": high}))[0] == pytest.approx(-1.0)


def test_an_answer_that_stands_early_passes_the_threshold_as_well() -> None:
    rng = np.random.default_rng(0)
    whole = rng.normal(scale=0.3, size=(400, 5)) - 1
    whole[:, 0] += rng.uniform(3, 14, 400)
    matcher = np.zeros((400, 5))
    matcher[:, 0] = 10.0
    evidence = Evidence({"whole": whole, "closer": whole, "matcher": matcher})
    weights = EnsembleWeights(
        {"whole": 1.0, "closer": 1.0, "matcher": 1.0}, {"whole": 1.0, "matcher": 1.0}, {"whole": 2.0, "closer": 2.0}
    )

    def judged(least: float) -> Callable[[EnsembleWeights], npt.NDArray[np.bool_]]:
        return lambda tried: tried.score(tried.with_early_stops(evidence)) > least

    stops = keep_stops(weights, judged(6.0))
    early = dataclasses.replace(weights, stop_margins=stops)
    assert stops["whole"] > 2.0
    assert (early.score(early.with_early_stops(evidence)) > 6.0).mean() >= 0.99
    assert (weights.score(weights.with_early_stops(evidence)) > 6.0).mean() < 0.8
    assert keep_stops(weights, judged(17.0)) == {}  # No answer without the matcher's stands so high.
    # A threshold of its own may make up for what is not asked.
    assert keep_stops(weights, lambda tried: np.ones(400, dtype=bool)) == {"whole": 3.0, "closer": 3.0}


def test_nothing_of_the_photos_of_left_out_labels_is_learned_from() -> None:
    """Not their surroundings either, which show none of the labels: photos of unknown brands were never seen."""
    labels, each = ("a", "b", "c", "d"), 12
    photos = [
        Photo(Path(f"{label}{n}.png"), f"{label}{n}.png", (Region(label),), None, None, f"{label}{n}", 99, 99, number)
        for number, (label, n) in enumerate((label, n) for label in labels for n in range(each))
    ]
    dataset = Dataset.of("made", photos)
    samples, rows = [], []
    rng = np.random.default_rng(0)
    # What surrounds the logos of a looks a little like b; nothing else tells that it shows none.
    around = np.array([0.0, 0.0, 0.0, 0.0, 3.0])
    for number, photo in enumerate(dataset.photos):
        logo = 2 * np.eye(5)[labels.index(photo.label)] + (around / 3 if photo.label == "b" else 0)
        for shown, middle in ((photo.label, logo), (BACKGROUND, around if photo.label == "a" else 0 * around)):
            samples.append(Sample(number, WHOLE, shown, "train", shown != BACKGROUND))
            rows.append(middle + rng.normal(scale=0.3, size=5))
    features = np.array(rows, dtype=np.float32)
    task = Task(dataset, Split(tuple(range(len(photos))), (), ()), (*labels, BACKGROUND), TrainSettings(), _quiet)
    found = cross_fit(task, samples, features, 60)
    assert found is not None
    assert [set(group.labels) for group in found.groups if "a" in group.labels] == [{"a"}]
    for group in found.groups:
        none = softmax(group.head.logits(around[None].astype(np.float32)))[0, -1]
        assert (none < 0.5) == ("a" in group.labels)


def _quiet(stage: str, done: int, total: int) -> None:
    """Tells nobody."""
