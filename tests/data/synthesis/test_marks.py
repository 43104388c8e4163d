"""Drawings that are nobody's logo: each a new one, always something to see, of the make of logos."""

from __future__ import annotations

import numpy as np
import pytest

from logolens.data.synthesis import made_up_name, mark
from logolens.data.synthesis.artwork import Artwork


@pytest.fixture(scope="module")
def marks() -> list[Artwork]:
    return [mark(np.random.default_rng(seed)) for seed in range(150)]


def test_the_seed_decides_and_no_two_are_the_same(marks: list[Artwork]) -> None:
    assert len({(one.alpha.shape, one.alpha.tobytes(), one.colour) for one in marks}) == len(marks)
    for seed in (0, 77, 149):
        again = mark(np.random.default_rng(seed))
        assert np.array_equal(again.alpha, marks[seed].alpha)
        assert again.colour == marks[seed].colour
        assert (again.paint is None) == (marks[seed].paint is None)


def test_there_is_ink_to_the_edges_and_no_further(marks: list[Artwork]) -> None:
    for one in marks:
        seen = np.asarray(one.alpha) > 127
        for axis in (0, 1):
            ink = np.asarray(seen.any(axis=axis))
            assert ink[0]
            assert ink[-1]


def test_they_are_of_many_kinds(marks: list[Artwork]) -> None:
    two_coloured = [one for one in marks if one.paint is not None and len(np.unique(one.shades.round(), axis=0)) > 1]
    wide = [one for one in marks if one.alpha.shape[1] > 2 * one.alpha.shape[0]]
    filled = [one for one in marks if (one.alpha > 127).mean() > 0.7]
    for few in (two_coloured, wide, filled):
        assert 0.05 * len(marks) < len(few) < 0.7 * len(marks)


def test_names_can_be_spoken() -> None:
    names = [made_up_name(np.random.default_rng(seed)) for seed in range(100)]
    assert len(set(names)) > 80
    for name in names:
        assert name.isalpha()
        assert set(name.lower()) & set("aeiouy")
