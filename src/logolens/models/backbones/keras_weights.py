"""Keras' weight files of MobileNet V1 (HDF5, as Keras 2 wrote them), turned into the tensors of our network."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.errors import WeightsError, require

__all__ = ["KERAS_SUFFIXES", "mobilenet_v1_shapes", "read_keras"]

KERAS_SUFFIXES = (".h5", ".hdf5")

_Arrays = dict[str, npt.NDArray[np.float32]]
_MAX_FILE = 200_000_000
_MAX_NUMBERS = 1024 * 1024  # in one tensor: as many as the largest of the network has
_MAX_LAYERS = 1000
_BLOCK_CHANNELS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_PARTS = {
    "kernel": "weight",
    "depthwise_kernel": "weight",  # Keras 3 calls it kernel too
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def mobilenet_v1_shapes(width: float) -> dict[str, tuple[int, ...]]:
    """The tensors that a MobileNet V1 of this width consists of, by name, with their shapes; needs no PyTorch."""
    channels = [int(full * width) for full in _BLOCK_CHANNELS]
    shapes: dict[str, tuple[int, ...]] = {"features.0.conv.weight": (channels[0], 3, 3, 3)}
    shapes |= _norm("features.0.bn", channels[0])
    for block in range(1, len(channels)):
        before, after = channels[block - 1], channels[block]
        shapes[f"features.{block}.depthwise.weight"] = (before, 1, 3, 3)
        shapes |= _norm(f"features.{block}.depthwise_bn", before)
        shapes[f"features.{block}.pointwise.weight"] = (after, before, 1, 1)
        shapes |= _norm(f"features.{block}.pointwise_bn", after)
    return shapes


def _norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def read_keras(path: Path, shapes: dict[str, tuple[int, ...]] | None = None) -> _Arrays:
    """The weights of a Keras file, float32, under our network's names and with PyTorch's order of axes.

    Only what the file itself holds is read: links to elsewhere, virtual data sets and foreign filters are refused, as
    are tensors too large to be part of the network. A classifier (``conv_preds``) is left out.

    Args:
        path: a file that Keras 2 wrote with ``save_weights`` or ``save`` (also Keras 3's ``save`` to .h5).
        shapes: what must be in it; None leaves that to the caller.

    Raises:
        WeightsError: the file is damaged, of another layout or network, or holds values that are not finite.
        MissingExtraError: h5py is not installed.
    """
    h5py = require("h5py", "train")
    try:
        if path.stat().st_size > _MAX_FILE:
            raise WeightsError(
                f"{path} is larger than {_MAX_FILE:,} bytes, so it is no MobileNet V1. Name another file."
            )
        with h5py.File(path, "r") as file:
            arrays = _arrays(h5py, file, path)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"{path} is damaged or no HDF5 file ({type(error).__name__}: {str(error)[:160]}). Fetch it again."
        ) from error
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise WeightsError(
                f"{path} is damaged: the tensor {name} holds values that are not finite. Fetch it again."
            )
    if shapes is not None and (found := {name: array.shape for name, array in arrays.items()}) != shapes:
        wrong = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
        raise WeightsError(
            f"{path} does not hold the network that its name promises: {len(wrong)} of {len(shapes)} tensors are missing "
            f"or of another shape, among them {', '.join(wrong[:3])}."
        )
    return arrays


def _arrays(h5py: Any, file: Any, path: Path) -> _Arrays:
    # ``save`` puts the weights below a group of the whole model, ``save_weights`` at the top.
    root = _member(h5py, file, "model_weights", path) if "model_weights" in file else file
    if "layer_names" not in root.attrs:
        hint = " It is in Keras 3's own layout (.weights.h5)." if "layers" in root else ""
        raise WeightsError(
            f"{path} names no layers, so it holds no weights as Keras 2 writes them.{hint} Use the published file, or let "
            "Keras write the whole model: model.save('mobilenet.h5')."
        )
    arrays: _Arrays = {}
    for layer in _names(root.attrs["layer_names"], path):
        group = _member(h5py, root, layer, path)
        weights = _names(group.attrs["weight_names"], path)
        if not weights or layer == "conv_preds":
            continue
        stem = _stem(layer, path)
        for weight in weights:
            # The group tells the layer. The prefix of a weight's own name may count how often Keras had built one.
            kind = weight.rsplit("/", 1)[-1].removesuffix(":0")
            if kind not in _PARTS:
                raise _foreign(path, f"{layer}/{weight}")
            array = _dataset(h5py, group, weight, path)
            if kind.endswith("kernel"):
                if array.ndim != 4:
                    raise _foreign(path, f"{layer}/{weight}")
                # Depthwise (height, width, in, 1) to (in, 1, height, width); others (height, width, in, out) to
                # (out, in, height, width).
                array = array.transpose((2, 3, 0, 1) if stem.endswith(".depthwise") else (3, 2, 0, 1))
            name = f"{stem}.{_PARTS[kind]}"
            if name in arrays:
                raise WeightsError(f"{path} is damaged: it holds {layer}/{weight} twice. Fetch it again.")
            arrays[name] = np.ascontiguousarray(array)
    if not arrays:
        raise WeightsError(f"{path} holds no weights. Fetch it again, or name another file.")
    return arrays


def _names(values: Any, path: Path) -> list[str]:
    listed = np.asarray(values).ravel().tolist()
    if len(listed) > _MAX_LAYERS:
        raise WeightsError(f"{path} lists {len(listed):,} names, so it is no MobileNet V1. Name another file.")
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in listed]


def _stem(layer: str, path: Path) -> str:
    """Our name of Keras' layer: conv1, conv1_bn, conv_dw_7, conv_pw_7_bn, ..."""
    if layer in {"conv1", "conv1_bn"}:
        return f"features.0.{layer.replace('conv1_bn', 'bn').replace('conv1', 'conv')}"
    match = re.fullmatch(r"conv_(dw|pw)_(\d{1,2})(_bn)?", layer)
    if match and 1 <= int(match[2]) < len(_BLOCK_CHANNELS):
        kind = "depthwise" if match[1] == "dw" else "pointwise"
        return f"features.{int(match[2])}.{kind}{match[3] or ''}"
    raise _foreign(path, layer)


def _foreign(path: Path, name: str) -> WeightsError:
    return WeightsError(
        f"{path} holds {name}, which is no part of MobileNet V1. A Keras file is read for that network only; for another "
        "one name a .pth or .safetensors file."
    )


def _member(h5py: Any, group: Any, name: str, path: Path) -> Any:
    """What stands under ``name``, reached by plain links only: others may lead out of the file."""
    for part in name.split("/"):
        link = group.get(part, getlink=True)
        if link is None:
            raise WeightsError(f"{path} is damaged: it lists {name} and does not hold it. Fetch it again.")
        if not isinstance(link, h5py.HardLink):
            raise WeightsError(f"{path} holds a link at {name} instead of weights, so it is refused. Fetch it again.")
        group = group[part]
    return group


def _dataset(h5py: Any, group: Any, name: str, path: Path) -> npt.NDArray[np.float32]:
    data = _member(h5py, group, name, path)
    if not isinstance(data, h5py.Dataset) or data.dtype.kind != "f" or data.shape is None:
        raise WeightsError(f"{path} holds something else than numbers at {name}. Fetch it again.")
    numbers = max(data.size, math.prod(data.chunks or ()))  # a chunk may be larger than what is in it
    if data.is_virtual or data.external or data.compression not in {None, "gzip"} or numbers > _MAX_NUMBERS:
        raise WeightsError(
            f"{path} keeps {name} in a way that is not read: outside the file, compressed by a foreign filter, or larger "
            "than any part of the network. Fetch it again."
        )
    return np.asarray(data[()], dtype=np.float32)
