"""From a PyTorch module to an ONNX graph, and the proof that both give the same features."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from logolens.errors import WeightsError
from logolens.models.backbones.build import layers
from logolens.models.backbones.frameworks import import_torch
from logolens.models.backbones.layers import Layer
from logolens.models.backbones.spec import Backbone
from logolens.models.tiny_weights import without_tiny_weights

if TYPE_CHECKING:
    from logolens.models.backbones.module import Network

__all__ = ["graph_of"]

_Array = npt.NDArray[Any]
_OPSET = 17
_TOLERANCE = 1e-3


def graph_of(network: Network, side: int, *, maps: bool = True) -> tuple[bytes, float, list[Layer]]:
    """Export a network and check the result; the network is altered on the way and not to be used again.

    Args:
        network: with its weights, in evaluation mode.
        side: of the input images, in pixels.
        maps: give the last and the middle map too, as ``last`` and ``middle``.

    Returns:
        The .onnx file's bytes, the largest difference from PyTorch (relative to the largest feature, where that is over
        1), and the network's layers.

    Raises:
        WeightsError: the graph disagrees with PyTorch.
    """
    torch = import_torch()
    probes = _probes(side)
    with torch.no_grad():
        wanted = [network(torch.from_numpy(probe)).numpy() for probe in probes]
    rows = layers(network, torch.from_numpy(probes[0][:1]))
    _fix_padding(network, torch.from_numpy(probes[0][:1]))
    names: tuple[str, ...] = ("features",)
    if maps:
        names = ("features", "last", "middle")
        network.forward = network.mapped  # type: ignore[method-assign]  # In place: a module around it would change the names of all layers.
    graph = _to_onnx(network, torch.from_numpy(probes[-1][:2]), names)
    return graph, _difference(graph, probes, wanted, network.backbone), rows


def _fix_padding(network: Any, image: Any) -> None:
    """Replace TensorFlow's "same" padding, which timm computes from each input, by the padding that this size needs.

    The graph would otherwise compute it again for each batch, and ONNX Runtime could not merge it with the convolution:
    a third of the speed.
    """
    torch = import_torch()
    sides: dict[str, Any] = {}
    hooks = []
    for name, module in network.named_modules():
        if type(module).__name__ == "Conv2dSame":
            hooks.append(
                module.register_forward_hook(lambda _m, x, _o, name=name: sides.update({name: x[0].shape[-2:]}))
            )
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    for name, (height, width) in sides.items():
        old = network.get_submodule(name)
        padding: list[int] = []
        for length, kernel, stride, dilation in (
            (width, old.kernel_size[1], old.stride[1], old.dilation[1]),
            (height, old.kernel_size[0], old.stride[0], old.dilation[0]),
        ):
            total = max((-(-length // stride) - 1) * stride + (kernel - 1) * dilation + 1 - length, 0)
            padding += [total // 2, total - total // 2]
        bias = old.bias is not None
        shape = (old.in_channels, old.out_channels, old.kernel_size, old.stride, 0, old.dilation, old.groups, bias)
        plain = torch.nn.Conv2d(*shape)
        plain.load_state_dict(old.state_dict())
        network.set_submodule(name, torch.nn.Sequential(torch.nn.ZeroPad2d(padding), plain).eval())
    network.requires_grad_(False)


def _to_onnx(network: Any, image: Any, names: tuple[str, ...]) -> bytes:
    """The network's graph with a free batch size.

    PyTorch's older, tracing exporter comes first: its graph runs as fast and is written in a tenth of the time (0.7 s
    against 7 to 9 s for EfficientNet-Lite0). The newer one serves networks that cannot be traced, and PyTorch releases
    without the older one, where its package onnxscript is installed.
    """
    try:
        graph = _export_older(network, image, names)
    except Exception as first:
        try:
            graph = _export_newer(network, image, names)
        except Exception:
            raise first from None
    return without_tiny_weights(graph)


def _export_older(network: Any, image: Any, names: tuple[str, ...]) -> bytes:
    torch = import_torch()
    buffer = io.BytesIO()
    free = {name: {0: "n"} for name in ("image", *names)}
    named: dict[str, Any] = {"input_names": ["image"], "output_names": list(names), "dynamic_axes": free}
    with _hushed(), torch.no_grad():
        torch.onnx.export(network, (image,), buffer, dynamo=False, opset_version=_OPSET, **named)
    return buffer.getvalue()


def _export_newer(network: Any, image: Any, names: tuple[str, ...]) -> bytes:
    torch = import_torch()
    named: dict[str, Any] = {"input_names": ["image"], "output_names": list(names)}
    free = ({0: torch.export.Dim("n")},)
    with _hushed(), torch.no_grad():
        program = torch.onnx.export(network, (image,), dynamo=True, verbose=False, dynamic_shapes=free, **named)
    return bytes(program.model_proto.SerializeToString())


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """What the exporters print, log and warn of is about their own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        sink = io.StringIO()
        with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _probes(side: int) -> list[_Array]:
    """Images to compare on, uint8 [N, side, side, 3]: noise, and shades and shapes as photos have them."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    rows, columns = np.mgrid[0:side, 0:side] / max(side - 1, 1)
    smooth = []
    for _ in range(3):
        wave = random.uniform(1, 9, (2, 3))
        image = 127 + 90 * np.sin(rows[..., None] * wave[0] + columns[..., None] * wave[1] * 2)
        top, left = random.integers(0, side // 2, 2)
        image[top : top + side // 3, left : left + side // 3] = random.integers(0, 256, 3)
        smooth.append(np.clip(image, 0, 255).astype(np.uint8))
    return [noise, np.stack(smooth)]


def _difference(graph: bytes, probes: list[_Array], wanted: list[_Array], backbone: Backbone) -> float:
    """Largest difference between the graph and PyTorch.

    Raises:
        WeightsError: it is too large, or a feature is not a number.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    worst = 0.0
    for probe, expected in zip(probes, wanted, strict=True):
        (found,) = session.run(["features"], {"image": probe})
        scale = max(1.0, float(np.abs(expected).max()))
        gap = float(np.abs(found - expected).max()) / scale if found.shape == expected.shape else float("inf")
        if not gap <= _TOLERANCE:  # also where it is NaN
            raise WeightsError(
                f"The exported graph of {backbone.name} differs from PyTorch by {gap:.2g} on the same images "
                f"(allowed is {_TOLERANCE:g}), so it is not used. Check the weight file, or choose another backbone."
            )
        worst = max(worst, gap)
    return worst
