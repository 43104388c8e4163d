"""A network cut in two where training begins: the frozen front on ONNX Runtime, the trained back in PyTorch.

The front's result never needs a gradient, and ONNX Runtime computes it two to four times faster than PyTorch on a CPU. It
runs in the threads that prepare the views. Networks that cannot be cut (a pass that is more than one block after another)
are trained whole, which gives the same result, only later.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from logolens.config import Preprocessing
from logolens.errors import LogolensError
from logolens.models.backbones.module import Network
from logolens.models.backbones.onnx_export import graph_of
from logolens.models.session import Session

if TYPE_CHECKING:
    from logolens.training.finetune.blocks import Block
    from logolens.training.finetune.dataloader import Front

__all__ = ["Halves", "halve"]

_AGREE = 2e-3


@dataclass(frozen=True)
class Halves:
    """A network as fine-tuning runs it.

    Attributes:
        front: what the preparing threads run.
        back: what is trained; takes the front's results as tensors and gives features.
        cut: whether the front is a part of the network, and not only the views as they are.
    """

    front: Front
    back: nn.Module
    cut: bool


def halve(network: Network, found: list[Block], trained: list[Block], preprocessing: Preprocessing) -> Halves:
    """Cut a network before its first trained block, where it has frozen ones before that and can be cut.

    Args:
        network: with its weights; the parameters to train require a gradient. It shares them with the back.
        found: all its blocks.
        trained: those that are trained.
        preprocessing: for the size of the views.
    """
    frozen = found[: len(found) - len(trained)]
    if frozen:
        try:
            return _halved(network, frozen, trained, preprocessing)
        except (LogolensError, RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
            pass  # Its blocks do not simply follow one another.
    return Halves(lambda squares: (squares,), network, False)


class _Front(Network):
    """A network whose last blocks do nothing: gives the map before them, and the middle map if that is among it."""

    middle_here = True

    def forward(self, image: Tensor) -> Tensor:
        pixels = (image.permute(0, 3, 1, 2).to(torch.float32) - self.mean) / self.std
        last, middle = self.maps(pixels)
        return torch.cat([last.flatten(1), middle.flatten(1)], dim=1) if self.middle_here else last.flatten(1)


class _Back(Network):
    """A network whose first blocks do nothing: takes the map that they would give."""

    _given: Tensor | None = None

    def forward(self, entry: Tensor, middle: Tensor | None = None) -> Tensor:
        self._given = middle
        # Mean 0 and deviation 1 stand in for the preprocessing, which the front has done.
        return super().forward(entry.permute(0, 2, 3, 1))

    def maps(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        last, middle = super().maps(pixels)
        return last, middle if self._given is None else self._given


def _halved(network: Network, frozen: list[Block], trained: list[Block], preprocessing: Preprocessing) -> Halves:
    backbone, side = network.backbone, preprocessing.size
    middle_here = network.pooling == "rich" and any(
        _within(module, backbone.middle) for block in frozen for module in block.modules
    )
    # A middle map whose module reaches into the trained part is computed there.
    middle_here = middle_here and not any(
        _within(module, backbone.middle) for block in trained for module in block.modules
    )
    front = _Front(_without(copy.deepcopy(network.body), trained), backbone, network.pooling)
    front.middle_here = middle_here
    front.eval()
    front.requires_grad_(False)
    # The body's modules are shared, the tree that holds them is not: the network itself stays whole.
    back = _Back(_without(_shared(network.body), frozen), backbone, network.pooling)
    back.mean, back.std = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)

    probe = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    seen: list[Any] = []
    with torch.no_grad():
        hook = network.body.get_submodule(trained[0].modules[0]).register_forward_pre_hook(
            lambda _module, inputs: seen.append(inputs[0])
        )
        try:
            wanted = network(torch.from_numpy(probe))
        finally:
            hook.remove()
        middle = front.maps((torch.from_numpy(probe).permute(0, 3, 1, 2) - front.mean) / front.std)[1]
    graph, _, _ = graph_of(front, side, maps=False)
    session = Session(graph, preprocessing, threads=1)
    entry_shape, middle_shape = tuple(seen[0].shape[1:]), tuple(middle.shape[1:])
    length = int(np.prod(entry_shape))

    def run(squares: Any) -> tuple[Any, ...]:
        (flat,) = session.run(squares)
        entry = flat[:, :length].reshape(-1, *entry_shape)
        return (entry, flat[:, length:].reshape(-1, *middle_shape)) if middle_here else (entry,)

    with torch.no_grad():
        got = back(*(torch.from_numpy(np.ascontiguousarray(part)) for part in run(probe)))
    gap = float((got - wanted).abs().max()) / max(1.0, float(wanted.abs().max()))
    if not gap <= _AGREE:
        raise ValueError(f"the halves differ from the whole by {gap}")
    return Halves(run, back, True)


def _within(module: str, other: str) -> bool:
    """Whether one of two modules holds the other, or they are the same."""
    return f"{module}.".startswith(f"{other}.") or f"{other}.".startswith(f"{module}.")


def _shared(body: nn.Module) -> nn.Module:
    """A copy of the tree of modules that holds the very same parameters and buffers."""
    memo: dict[int, Any] = {id(tensor): tensor for tensor in [*body.parameters(), *body.buffers()]}
    return copy.deepcopy(body, memo)


def _without(body: nn.Module, idle: list[Block]) -> nn.Module:
    for block in idle:
        for name in block.modules:
            body.set_submodule(name, nn.Identity())
    return body
