"""The PyTorch module of a backbone: RGB bytes in, features out. Imported only by functions that need PyTorch anyway."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn

from logolens.models.backbones.mobilenet_v1 import MobileNetV1
from logolens.models.backbones.resolve import middle_and_last
from logolens.models.backbones.spec import Backbone

__all__ = ["Network", "body_of"]


class Network(nn.Module):  # type: ignore[misc, unused-ignore]
    """A backbone with its preprocessing before it and its pooling behind it; what is exported is this module.

    Attributes:
        body: the pre-trained network without its classifier, as its library builds it.
        backbone: its facts.
        pooling: "rich" or "avg" (see ``forward``).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, backbone: Backbone, pooling: str = "rich") -> None:
        super().__init__()
        backbone.width(pooling)  # refuses an unknown pooling
        self.body = body
        self.backbone = backbone
        self.pooling = pooling
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)

    def maps(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The last and the middle feature map, each float32 [N, C, H, W], of normalised ``pixels`` [N, 3, S, S]."""
        body: Any = self.body
        if self.backbone.last == "forward_intermediates":
            middle, last = body.forward_intermediates(
                pixels, indices=middle_and_last(body), norm=True, output_fmt="NCHW", intermediates_only=True
            )
            return last, middle
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Any:
            # A copy: some networks let the next layer overwrite its input.
            return lambda _module, _inputs, output: seen.__setitem__(name, output.clone())

        wanted = [name for name in (self.backbone.last, self.backbone.middle) if name != "forward_features"]
        hooks = [body.get_submodule(name).register_forward_hook(keep(name)) for name in wanted]
        try:
            out = body.forward_features(pixels) if self.backbone.last == "forward_features" else body(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        return seen.get(self.backbone.last, out), seen[self.backbone.middle]

    def forward(self, image: Tensor) -> Tensor:
        """Features of a batch of images.

        With pooling "rich" these are four blocks: average and maximum over space of the last map, then of the middle
        one; each value v becomes sign(v) * sqrt(|v|) (Perronnin et al. 2010, power normalisation) and each block gets
        the Euclidean length 1. With "avg" they are the last map's plain average.

        Args:
            image: [N, S, S, 3], RGB, values from 0 to 255, of any number type.

        Returns:
            float32 [N, D], D = ``backbone.width(pooling)``.
        """
        return self.mapped(image)[0]

    def mapped(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As ``forward``: the features, and the last and the middle map [N, C, H, W] that they were pooled from."""
        pixels = (image.permute(0, 3, 1, 2).to(torch.float32) - self.mean) / self.std
        last, middle = self.maps(pixels)
        if self.pooling == "avg":
            return last.mean(dim=(2, 3)), last, middle
        pooled = [last.mean(dim=(2, 3)), last.amax(dim=(2, 3)), middle.mean(dim=(2, 3)), middle.amax(dim=(2, 3))]
        return torch.cat([_normalised(block) for block in pooled], dim=1), last, middle


def _normalised(block: Tensor) -> Tensor:
    # The small numbers keep the gradient finite at zero, which fine-tuning needs; they do not show in the values.
    root = block / torch.sqrt(block.abs() + 1e-6)
    return root / torch.sqrt((root * root).sum(dim=1, keepdim=True) + 1e-12)


def body_of(backbone: Backbone, library: Any, *, empty: bool = False) -> nn.Module:
    """The network as its library builds it, with random weights and without its classifier.

    Args:
        backbone: its facts.
        library: the imported ``timm`` or ``torchvision``, as ``backbone.library`` says; None for our own networks.
        empty: leave torchvision's and our networks uninitialised, for weights that follow at once; drawing the hundred million
            random numbers of VGG's classifier takes a second, and they would be thrown away.
    """
    if backbone.library == "timm":
        model: nn.Module = library.create_model(backbone.architecture, pretrained=False, num_classes=0)
        return model.eval()
    if backbone.library == "logolens":
        with torch.device("meta") if empty else contextlib.nullcontext():
            own = MobileNetV1(backbone.channels[0] / 1024)
        return (own.to_empty(device="cpu") if empty else own).eval()
    settings: dict[str, Any] = {}
    if backbone.family == "Inception":
        settings = {"aux_logits": False, "transform_input": False, "init_weights": False}
    with torch.device("meta") if empty else contextlib.nullcontext():
        model = getattr(library.models, backbone.architecture)(weights=None, **settings)
    for name in ("avgpool", "dropout", "classifier", "fc"):
        if hasattr(model, name):
            setattr(model, name, nn.Identity())
    if empty:
        model.to_empty(device="cpu")
    return model.eval()
