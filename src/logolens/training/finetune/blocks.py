"""What the blocks of a network are, from its input to its last map, whatever library built it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from logolens.errors import UsageError
from logolens.models.backbones.build import layers
from logolens.models.backbones.frameworks import import_torch

if TYPE_CHECKING:
    from logolens.models.backbones.module import Network

__all__ = ["Block", "blocks", "unfreeze"]


@dataclass(frozen=True)
class Block:
    """Some modules that follow one another in a network and are trained, or left frozen, together.

    Attributes:
        modules: their dotted names inside the network's body, in the order of the pass.
        parameters: how many numbers they hold.
    """

    modules: tuple[str, ...]
    parameters: int

    @property
    def name(self) -> str:
        """What the block is called: its first module's name."""
        return self.modules[0]


def blocks(network: Network, side: int) -> list[Block]:
    """The blocks of a network, the one nearest to the input first.

    A block is what the network's authors repeat: a residual block of a ResNet, an inverted residual of a MobileNet or an
    EfficientNet, an Inception module, a transformer's block, the convolutions between two poolings of a VGG or AlexNet.
    Single layers between them (a first convolution with its batch norm) make a block together. What a pass to the last
    map does not reach is in none.

    Args:
        network: with any weights.
        side: of its input, in pixels.
    """
    torch = import_torch()
    body: Any = network.body
    groups: list[list[str]] = []
    whole = False  # whether the last group is one module with others inside, or ended with a pooling
    for name, module in _units(torch, body, ""):
        weighty = any(parameter.ndim > 1 for parameter in module.parameters())
        composite = not _is_leaf(torch, module)
        if not groups or (weighty and (composite or whole)):
            groups.append([name])
            whole = composite
        else:
            groups[-1].append(name)
        whole = whole or isinstance(module, torch.nn.MaxPool2d)
    reached = [row.name for row in layers(network, torch.zeros(1, side, side, 3)) if row.shape and row.parameters]
    found = []
    for group in groups:
        if any(f"{name}.".startswith(f"body.{module}.") for name in reached for module in group):
            count = sum(p.numel() for module in group for p in body.get_submodule(module).parameters())
            found.append(Block(tuple(group), count))
    return found


def unfreeze(network: Network, found: list[Block], last: int | None) -> list[Block]:
    """Open the last blocks of a network to training; all else stays frozen.

    Args:
        network: whose parameters are set.
        found: its blocks, as `blocks` gives them.
        last: how many of them; None opens the whole network.

    Returns:
        The blocks that are trained.

    Raises:
        UsageError: the network has fewer blocks.
    """
    network.requires_grad_(last is None)
    if last is None:
        return list(found)
    if last > len(found):
        raise UsageError(
            f"finetune is last-{last}-blocks, but {network.backbone.name} has {len(found)} blocks; give last-"
            f"{len(found)}-blocks at most, or all."
        )
    body: Any = network.body
    for block in found[-last:]:
        for name in block.modules:
            body.get_submodule(name).requires_grad_(True)
    return found[-last:]


def _is_leaf(torch: Any, module: Any) -> bool:
    # timm's batch norms hold their activation as a module inside.
    norms = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.LayerNorm, torch.nn.GroupNorm)
    return next(module.children(), None) is None or isinstance(module, norms)


def _units(torch: Any, module: Any, prefix: str) -> Any:
    """(name, module) of what is not taken apart any further, in the order of definition, which is that of the pass."""
    for name, child in module.named_children():
        if _opens(torch, child):
            yield from _units(torch, child, f"{prefix}{name}.")
        elif not isinstance(child, torch.nn.Identity):
            yield f"{prefix}{name}", child


def _opens(torch: Any, module: Any) -> bool:
    """Whether a module is a row of blocks and no block itself."""
    rows = (torch.nn.Sequential, torch.nn.ModuleList)
    if isinstance(module, rows):
        inner = list(module.children())
        # VGG and AlexNet are one long row of layers, parted by poolings.
        parted = sum(isinstance(child, torch.nn.MaxPool2d) for child in inner) > 1
        return parted or any(not _is_leaf(torch, child) for child in inner)
    return any(isinstance(getattr(module, name, None), rows) for name in ("blocks", "layers"))
