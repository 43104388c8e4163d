"""The case study measures the tutorial's layers, and nothing that logolens would add to them."""

from __future__ import annotations

from logolens.recipes.case_study import RECIPE


def test_both_figures_are_of_the_same_layers() -> None:
    # Whatever training asks besides the network on its own would stand in one of the two figures alone.
    assert (RECIPE.matcher, RECIPE.words, RECIPE.views) == ("off", "off", "whole")
    assert (RECIPE.boxes, RECIPE.background, RECIPE.refit) == (False, False, False)
