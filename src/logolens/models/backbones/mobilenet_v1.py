"""MobileNet V1 as a PyTorch module. Imported only by functions that need PyTorch anyway.

Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications"
(arXiv:1704.04861), with the padding and the batch normalisation of Keras' version, whose weights it takes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MobileNetV1"]

# Width at full size and stride of each of the thirteen blocks (the paper's table 1).
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


class MobileNetV1(nn.Module):  # type: ignore[misc, unused-ignore]
    """The network without its classifier: ``features`` holds the stem and the thirteen blocks.

    Args:
        width: share of each layer's channels that is kept, the paper's alpha: 1.0, 0.75, 0.5 or 0.25.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = int(32 * width)
        stages: list[nn.Module] = [_Stem(channels)]
        for full, stride in _BLOCKS:
            stages.append(_Block(channels, int(full * width), stride))
            channels = int(full * width)
        self.features = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, pixels: Tensor) -> Tensor:
        """The last map, float32 [N, 1024 * width, H / 32, W / 32], of ``pixels`` [N, 3, H, W] from -1 to 1."""
        return self.features(pixels)


class _Stem(nn.Module):  # type: ignore[misc, unused-ignore]
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, stride=2, bias=False)
        self.bn = _norm(channels)
        self.relu = nn.ReLU6()

    def forward(self, pixels: Tensor) -> Tensor:
        # TensorFlow's "same": an even side gets its zeros at the end, an odd one on both ends. A plain number, so that
        # the exported graph holds it and does not compute it again for each batch.
        top, left = (int(side) % 2 for side in pixels.shape[-2:])
        padded = functional.pad(pixels, (left, 1, top, 1))
        return self.relu(self.bn(self.conv(padded)))


class _Block(nn.Module):  # type: ignore[misc, unused-ignore]
    """A depthwise convolution and a pointwise one, each with batch normalisation and ReLU6."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        # At stride 2 Keras puts the zeros right and below only, whatever the side.
        self.pad = nn.ZeroPad2d((0, 1, 0, 1)) if stride == 2 else nn.Identity()
        padding = 0 if stride == 2 else 1
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, padding, groups=channels, bias=False)
        self.depthwise_bn = _norm(channels)
        self.depthwise_relu = nn.ReLU6()
        self.pointwise = nn.Conv2d(channels, out, 1, bias=False)
        self.pointwise_bn = _norm(out)
        self.pointwise_relu = nn.ReLU6()

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.depthwise_relu(self.depthwise_bn(self.depthwise(self.pad(maps))))
        return self.pointwise_relu(self.pointwise_bn(self.pointwise(maps)))


def _norm(channels: int) -> nn.BatchNorm2d:
    # Keras' defaults; it counts the momentum the other way round (0.99).
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
