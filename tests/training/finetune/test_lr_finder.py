"""The learning-rate range test's advice, on curves of every shape that has been met."""

from __future__ import annotations

import numpy as np
import pytest

from logolens.training.finetune.lr_finder import RateTest

RATES = np.geomspace(1e-6, 1.0, 100)


def curve(losses: np.ndarray) -> RateTest:
    """A test's result: it keeps running means, as the test itself does."""
    mean, kept = 0.0, []
    for number, loss in enumerate(losses):
        mean = 0.9 * mean + 0.1 * loss
        kept.append(mean / (1 - 0.9 ** (number + 1)))
    losses = np.array(kept)
    return RateTest(tuple(zip(RATES.tolist(), losses.tolist(), strict=True)))


@pytest.mark.parametrize("seed", range(5))
def test_where_the_loss_falls_a_tenth_of_the_rate_at_its_lowest_is_suggested(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.05, 100)
    fall = 1.0 / (1.0 + np.exp(3 * (np.log10(RATES) + 3.5)))
    burst = np.exp(np.clip(4 * (np.log10(RATES) + 1.3), -20, 4))
    found = curve(0.3 + fall + burst + noise)
    assert found.fell
    assert 1e-4 < found.suggestion < 1e-2


@pytest.mark.parametrize("seed", range(5))
def test_where_the_head_fits_already_the_highest_harmless_rate_counts_and_not_the_first(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.05, 100)
    # The lowest value stands at the very start by chance; its tenth would lie below all rates that were tried.
    losses = 0.3 + noise + np.exp(np.clip(4 * (np.log10(RATES) + 1.5), -20, 4))
    losses[3] = losses.min()
    found = curve(losses)
    assert not found.fell
    assert 1e-4 < found.suggestion < 1e-2


def test_a_loss_that_only_rises_still_gets_a_rate_from_before_its_rise() -> None:
    found = curve(0.5 + np.linspace(0, 3, 100))
    assert not found.fell
    assert RATES[0] / 10 <= found.suggestion < 1e-4
