"""Transformers at other sides than their own: what they know of places is resampled, and the rest is as it was."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from logolens.errors import UsageError
from logolens.models.backbones import find, prepare

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "timm", "safetensors")),
    reason="needs the extra train",
)

NAME, OWN, OTHER = "timm/test_vit.r160_in1k", 160, 96


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small transformer, with places that differ from one another."""
    import torch
    from networks import random_backbone
    from safetensors.torch import save_file

    tensors = random_backbone(find(NAME), seed=5).body.state_dict()
    side = OWN // 16
    slope = torch.linspace(-1, 1, side).repeat_interleave(side)
    tensors["pos_embed"][0, -side * side :] += slope[:, None]
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(tensors, file)
    return file


def test_places_are_resampled_and_nothing_else_changes(weights: Path) -> None:
    import torch
    from timm.layers import resample_abs_pos_embed

    from logolens.models.backbones import locate
    from logolens.models.backbones.build import build

    backbone = find(NAME)
    own = build(backbone, locate(backbone, weights)).body.state_dict()
    other = build(backbone, locate(backbone, weights), side=OTHER).body.state_dict()
    places = OTHER // 16
    prefix = own["pos_embed"].shape[1] - (OWN // 16) ** 2
    wanted = resample_abs_pos_embed(own["pos_embed"], [places, places], num_prefix_tokens=prefix)
    assert torch.allclose(other["pos_embed"], wanted)
    # The slope from the top to the bottom is still one: it was resampled, not cut or drawn anew.
    rows = other["pos_embed"][0, prefix:].mean(dim=1).reshape(places, places).mean(dim=1)
    assert bool((rows.diff() > 0.1).all())
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own if name != "pos_embed")


def test_the_graph_takes_the_side_and_tells_its_own_facts(weights: Path) -> None:
    import onnxruntime

    made = prepare(NAME, size=OTHER, weights=weights)
    assert made.size == OTHER
    assert made.difference < 1e-3
    assert made.parameters == sum(layer.parameters for layer in made.layers) < find(NAME).parameters
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    image = np.zeros((2, OTHER, OTHER, 3), np.uint8)
    features, last = session.run(["features", "last"], {"image": image})
    assert features.shape == (2, made.width)
    assert last.shape[2:] == (OTHER // 16, OTHER // 16)
    assert prepare(NAME, size=OTHER, weights=weights).path == made.path


def test_a_side_that_its_patches_do_not_cover_is_refused(weights: Path) -> None:
    with pytest.raises(UsageError, match=r"patches of 16 pixels .*give 96 or 112 instead of 100"):
        prepare(NAME, size=100, weights=weights)
    with pytest.raises(UsageError, match=r"too small for the backbone .*give at least 32"):
        prepare(NAME, size=16, weights=weights)
