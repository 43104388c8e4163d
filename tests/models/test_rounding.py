"""What rounding must not decide: whatever a kernel makes of the last digits, answers stay what they are.

Kernels are played by features whose last digit is moved at random, which is what they do to one another's products.
"""

from __future__ import annotations

import numpy as np
import pytest

from logolens.config import HeadSettings
from logolens.data.candidates import _spectra
from logolens.data.near_duplicates import near_pairs
from logolens.metrics import expected_calibration_error, reliability
from logolens.models.box_regressor import _axes, _ridge
from logolens.models.calibration import calibrate
from logolens.models.head import CosineHead, Examples, fit_cosine, fit_head
from logolens.models.matcher.verify import verify
from logolens.models.pairwise import Ties, frame_of
from logolens.models.scaling import mean_and_spread
from logolens.types import FloatArray32

RELU6 = np.float32(np.sqrt(6.0))
"""What a ReLU6 at its limit comes to in a feature: a number that no sum of float32 holds exactly."""


def nudged(values: FloatArray32, seed: int) -> FloatArray32:
    """Each number, or the next one up or down."""
    rng = np.random.default_rng(seed)
    to = np.where(rng.random(values.shape) < 0.5, -np.inf, np.inf).astype(np.float32)
    return np.where(rng.random(values.shape) < 0.3, values, np.nextafter(values, to)).astype(np.float32)


def clouds(count: int, labels: int, width: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % labels
    places = np.random.default_rng(99).normal(size=(labels, width))
    features = (places[truth] + 0.3 * rng.normal(size=(count, width))).astype(np.float32)
    return Examples(features, truth.astype(np.int64), np.ones(count, np.float32))


def repeated(examples: Examples, times: int) -> Examples:
    """Each example several times, as copies of a photo are, each with rounding of its own."""
    parts = [nudged(examples.features, 50 + turn) for turn in range(times)]
    return Examples(np.concatenate(parts), np.tile(examples.truth, times), np.ones(times * len(examples), np.float32))


@pytest.mark.parametrize("count", [120, 500, 3000])
@pytest.mark.parametrize("value", [RELU6, np.float32(0.7), np.float32(-1e4), np.float32(0.0)])
def test_a_constant_has_no_spread_whatever_its_sum_was_rounded_to(count: int, value: np.float32) -> None:
    features = np.random.default_rng(0).normal(size=(count, 5)).astype(np.float32)
    features[:, 2] = value
    mean, spread = mean_and_spread(features)
    assert np.float32(mean[2]) == value
    assert spread[2] == pytest.approx(np.median(spread), rel=0.2)
    assert np.allclose(mean[[0, 4]], features.astype(np.float64).mean(axis=0)[[0, 4]], rtol=1e-12)
    assert np.allclose(spread[[0, 4]], features.astype(np.float64).std(axis=0)[[0, 4]], rtol=1e-5)


def test_what_never_varies_and_what_hardly_does_are_not_blown_up() -> None:
    features = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    features[:, 1] = 3 + 1e-5 * features[:, 1]
    assert mean_and_spread(features)[1][1] > 5e-4
    assert (mean_and_spread(np.full((30, 4), RELU6))[1] > 0.5).all()
    assert (mean_and_spread(np.zeros((1, 4), np.float32))[1] > 0.5).all()


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_feature_that_is_constant_in_training_says_little_where_it_is_not(kind: str) -> None:
    """In 500 photos a ReLU6 is always at its limit, and in the next one it is not quite."""
    pytest.importorskip("torch")
    data = clouds(500, 4, 24)
    data.features[:, 7] = RELU6
    head = fit_head(data, None, 4, HeadSettings(head=kind, epochs=20))
    other = data.features.copy()
    other[:, 7] -= np.float32(0.05)
    logits = head.logits(data.features)
    assert np.abs(head.logits(other) - logits).max() < 0.05 * np.ptp(logits)


def test_a_gallery_of_copies_answers_what_it_was_not_made_of_alike_on_every_kernel() -> None:
    """Copies of a few references span few directions; the others, of rounding, must tell nothing."""
    made_of, asked = repeated(clouds(10, 10, 300), 3), clouds(200, 10, 300, seed=5).features
    one, other = (
        fit_cosine(Examples(nudged(made_of.features, seed), made_of.truth, made_of.weight), 10, background=False)
        for seed in (1, 2)
    )
    assert np.abs(one.logits(asked) - other.logits(asked)).max() < 1e-3 * CosineHead.sharpness
    assert one.layers[0][0].shape[1] == 9


def test_a_gallery_of_one_view_a_label_and_its_copies_weighs_no_rounding() -> None:
    """Nothing differs within a label but rounding, which is no direction to weaken."""
    few, asked = clouds(40, 40, 90), clouds(200, 40, 90, seed=5).features
    heads = [
        fit_cosine(Examples(nudged(100 * copies.features, seed), copies.truth, copies.weight), 40, background=False)
        for copies, seed in ((repeated(few, 9), 1), (repeated(few, 9), 2))
    ]
    one, other = (head.logits(100 * asked) for head in heads)
    assert np.abs(one - other).max() < 1e-3 * CosineHead.sharpness


def test_main_directions_have_a_sign_of_their_own() -> None:
    cells = np.random.default_rng(3).normal(size=(4000, 24)).astype(np.float32) * np.linspace(
        1, 3, 24, dtype=np.float32
    )
    axes = _axes(cells, 8)[1]
    assert (axes[np.arange(8), np.abs(axes).argmax(axis=1)] > 0).all()
    turned = _axes(np.ascontiguousarray(nudged(cells, 1)[:, ::-1]), 8)[1][:, ::-1]
    assert np.abs(turned - axes).max() < 1e-3


def test_a_constant_input_tells_no_edge() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(600, 12)).astype(np.float32)
    inputs[:, 3] = RELU6
    edges = 0.5 + 0.1 * inputs[:, :4].astype(np.float64) + rng.normal(0, 0.02, (600, 4))
    weights, _ = _ridge(inputs, edges)
    assert np.abs(weights[3]).max() < 1e-6 * np.abs(weights).max()


def test_a_print_seen_straight_on_is_a_proof_under_the_strictest_limit() -> None:
    """The limit of 1 asks two sums of products to be equal; by rounding alone half of all turns would miss it."""
    rng = np.random.default_rng(2)
    source = rng.uniform(0, 200, (40, 2)).astype(np.float32)
    ones, proofs = np.ones(40, np.float32), []
    for turn in np.linspace(0, 3, 25):
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        target = (source @ (1.7 * rotation).T).astype(np.float32)
        angle = np.full(40, turn, np.float32)
        proofs.append(verify(source, ones, 0 * ones, target, 1.7 * ones, angle, tolerance=3.0, anisotropy=1.0))
    assert all(proof is not None and len(proof.rows) > 30 for proof in proofs)


def test_of_references_tied_alike_the_first_is_the_frame_in_whatever_order_they_are_added() -> None:
    """Eight references, each tied to the others by the same seven numbers of points."""
    counts = {
        tuple(sorted(pair)): points
        for turn, points in enumerate((6, 7, 9, 11, 13, 19, 26))
        for pair in [(turn, 7), *(((turn + step) % 7, (turn - step) % 7) for step in (1, 2, 3))]
    }
    both = counts | {(b, a): points for (a, b), points in counts.items()}
    outlines = np.array([(0.0, 0.0, 50.0 + number, 50.0) for number in range(8)])
    rng, widths = np.random.default_rng(0), set()
    for _ in range(60):
        order = [list(both)[place] for place in rng.permutation(len(both))]
        frame = frame_of(Ties({pair: (both[pair], np.eye(3)) for pair in order}, outlines), range(8))
        assert frame is not None
        widths.add(round(float(frame.back[0, 0, 0]) * 96 / 1.2, 6))
    assert widths == {50.0}


@pytest.mark.parametrize("bins", range(2, 101))
def test_the_upper_bound_of_every_bin_belongs_to_it(bins: int) -> None:
    sure = np.arange(1, bins + 1) / bins
    found = reliability(sure, np.ones(bins), bins=bins)
    assert [one.n for one in found] == [1] * bins
    # Each bin holds its bound alone, so that the error is the mean gap.
    assert expected_calibration_error(sure, np.ones(bins), bins=bins) == pytest.approx(float((1 - sure).mean()))


@pytest.mark.parametrize("seed", range(12))
def test_a_temperature_moves_no_further_than_what_it_was_fitted_on(seed: int) -> None:
    """Of two temperatures that serve alike, none is chosen by the last digit: what lies between them is taken."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 80)
    logits = rng.normal(0, 2, (80, 5))
    logits[np.arange(80), truth] += 1.5
    fits = [
        calibrate(logits * grown, truth, background=False, max_false_alarms=0.1).temperature / grown
        for grown in np.geomspace(0.99, 1.01, 41)
    ]
    assert np.ptp(fits) / np.mean(fits) < 2e-4


def test_candidates_for_near_copies_are_compared_in_whole_numbers() -> None:
    """Whose sums of products float32 holds exactly, in whatever order a kernel adds; so which pairs are proved is no chance."""
    rng = np.random.default_rng(4)
    thumbs = rng.integers(0, 256, (300, 32, 32), dtype=np.uint8)
    thumbs[:100] = rng.integers(0, 2, (100, 32, 32), dtype=np.uint8) * 255
    vectors = _spectra(thumbs).reshape(300, 64)
    whole = vectors.astype(np.int64)
    assert np.array_equal(whole, vectors)
    assert np.array_equal((vectors @ vectors.T).astype(np.int64), whole @ whole.T)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 4000, atol=5)


@pytest.mark.parametrize("more", [0, 1])
def test_as_plain_as_may_be_is_decided_in_whole_numbers(more: int) -> None:
    """Half of the pixels 8 levels above the others spread by 4 exactly, which is not too plain; by less it is."""
    thumb = np.full((32, 32), 100, np.uint8)
    thumb[:16] += 8
    thumb[0, 0] -= more
    twice = np.broadcast_to(thumb, (2, 2, 32, 32)).copy()
    assert near_pairs(twice, np.ones((2, 2))) == ([] if more else [(0, 1)])
