"""Networks with random weights: their shapes and operators are real, and nothing needs to be fetched."""

from __future__ import annotations

from typing import Any

from logolens.models.backbones.build import _unloaded, freeze
from logolens.models.backbones.spec import Backbone


def random_backbone(backbone: Backbone, *, pooling: str = "rich", seed: int = 0) -> Any:
    """The backbone with random weights, the same for the same seed."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return freeze(_unloaded(backbone, pooling))
