"""A backbone as a PyTorch module: with its pre-trained weights, frozen; and what it is made of."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from logolens.models.backbones.checkpoint import load_into, read_checkpoint
from logolens.models.backbones.frameworks import import_timm, import_torch, import_torchvision
from logolens.models.backbones.layers import Layer
from logolens.models.backbones.spec import Backbone
from logolens.models.backbones.weights import Weights

if TYPE_CHECKING:
    from logolens.models.backbones.module import Network

__all__ = ["build", "freeze", "layers", "resample"]


def build(backbone: Backbone, weights: Weights, *, pooling: str = "rich", side: int | None = None) -> Network:
    """The backbone with the weights of a file, in evaluation mode, every parameter frozen.

    Args:
        backbone: its facts.
        weights: the file.
        pooling: "rich" or "avg".
        side: of the images that it is to take, in pixels; its own where that is None. What a transformer knows of places is
            resampled for another (timm's ``set_input_size``).

    Raises:
        WeightsError: the file is damaged, holds code, or belongs to another network.
        MissingExtraError: PyTorch or the library that builds the network is not installed.
        UsageError: there is no such pooling.
    """
    network = _unloaded(backbone, pooling, empty=True)
    load_into(network.body, read_checkpoint(weights.path), backbone, weights.path)
    if side is not None and side != backbone.size and backbone.step > 1:
        resample(network.body, side)
    return freeze(network)


def resample(body: Any, side: int) -> None:
    """Have a transformer of timm take images of another side: what it knows of places is resampled, in place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The interpolation's own, about its insides.
        body.set_input_size(img_size=(side, side))


def freeze(network: Network) -> Network:
    """Put the network into evaluation mode and exempt its parameters from training; returns it."""
    network.eval()
    network.requires_grad_(False)
    return network


def _unloaded(backbone: Backbone, pooling: str, *, empty: bool = False) -> Network:
    import_torch()
    libraries = {"timm": import_timm, "torchvision": import_torchvision}
    library = libraries[backbone.library]() if backbone.library in libraries else None
    from logolens.models.backbones.module import Network, body_of

    return Network(body_of(backbone, library, empty=empty), backbone, pooling)


def layers(network: Any, image: Any) -> list[Layer]:
    """The layers of a PyTorch module, in the order in which one pass reaches them.

    A layer is a module without modules inside it, or one that holds parameters of its own. Those that do nothing
    (``Identity``) are left out; one that is used twice stands at its first use. Parameters that no
    module's pass shows come last, with an empty shape.

    Args:
        network: any ``torch.nn.Module``.
        image: what it is called with, for a batch of one: for a backbone [1, S, S, 3].
    """
    torch = import_torch()
    rows: dict[str, Layer] = {}
    unreached: dict[str, Layer] = {}
    hooks = []
    for name, module in network.named_modules():
        own = list(module.parameters(recurse=False))
        if (next(module.children(), None) is not None and not own) or isinstance(module, torch.nn.Identity):
            continue
        count, trainable = sum(p.numel() for p in own), any(p.requires_grad for p in own)
        bare = Layer(name, type(module).__name__, (), count, trainable)
        if own:
            unreached[name] = bare

        def record(_module: Any, _inputs: Any, output: Any, bare: Layer = bare) -> None:
            first = output[0] if isinstance(output, (tuple, list)) else output
            shape = tuple(int(side) for side in first.shape[1:])
            rows.setdefault(bare.name, replace(bare, shape=shape))

        hooks.append(module.register_forward_hook(record))
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    # A timm network's own parameters (position embeddings) are used by a method of it that no hook sees.
    return list({**rows, **{name: row for name, row in unreached.items() if name not in rows}}.values())
