"""From a weight file to tensors in a network: read without running code, unwrapped, and held against the network."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from logolens.errors import WeightsError, require
from logolens.io.files import plain_path
from logolens.models.backbones.frameworks import import_torch
from logolens.models.backbones.keras_weights import KERAS_SUFFIXES, read_keras
from logolens.models.backbones.spec import Backbone

__all__ = ["load_into", "read_checkpoint"]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema")
_PREFIXES = ("module.", "_orig_mod.")
_SHOWN = 4


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The tensors of a weight file, by name.

    ``.pth``, ``.pt`` and ``.bin`` are read by torch.load with weights_only=True, ``.safetensors`` by safetensors, Keras'
    ``.h5`` by ``logolens.models.backbones.keras_weights``.
    The usual wrappings ("state_dict", "model", a "module." before each name) are taken off.

    Raises:
        WeightsError: the file is missing, damaged, of another kind, or a pickle that holds code.
    """
    torch = import_torch()
    suffix = path.suffix.lower()
    if not path.is_file():
        raise WeightsError(f"There is no weight file {path}. Check the path that --weights names.")
    if suffix == ".safetensors":
        try:
            with plain_path(path) as plain:
                return dict(require("safetensors.torch", "train").load_file(plain))
        except Exception as error:
            raise WeightsError(f"{path} is no readable safetensors file ({error}). Fetch it again.") from error
    if suffix in KERAS_SUFFIXES:
        return {name: torch.from_numpy(array) for name, array in read_keras(path).items()}
    if suffix not in {".pth", ".pt", ".bin"}:
        raise WeightsError(
            f"{path} is no weight file that is read here; name a .pth, .pt, .bin, .safetensors or .h5 file."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what cannot be read is refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():
            raise WeightsError(
                f"{path} holds Python objects besides tensors; reading them would run code from the file, so it is "
                "refused. Save the network's state_dict alone, or convert the file to .safetensors where it came from."
            ) from error
        raise WeightsError(
            f"{path} is damaged or no PyTorch weight file, or a pickle of a kind that could run code; it is refused. "
            "Fetch it again, or convert it to .safetensors where it came from."
        ) from error
    except Exception as error:
        raise WeightsError(
            f"{path} is damaged or no PyTorch weight file ({type(error).__name__}). Fetch it again."
        ) from error
    return _unwrapped(content, path)


def _unwrapped(content: Any, path: Path) -> dict[str, Any]:
    torch = import_torch()
    for _ in range(len(_WRAPPERS)):
        inner = [
            content[key] for key in _WRAPPERS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)
        ]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a network's tensors by name.")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors. Name a file with a network's state_dict.")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def load_into(body: Any, tensors: Mapping[str, Any], backbone: Backbone, path: Path) -> None:
    """Put a checkpoint's tensors into the network ``body``. Those of classifiers are dropped, whatever their width.

    Raises:
        WeightsError: they are another network's (the message names some of the tensors that do not fit), or hold NaN.
    """
    torch = import_torch()
    wanted: dict[str, Any] = body.state_dict()
    given = {name: value for name, value in tensors.items() if not name.startswith(backbone.classifier)}
    if backbone.by_order and not wanted.keys() & given.keys():
        shapes = [tuple(value.shape) for value in wanted.values()]
        if shapes == [tuple(value.shape) for value in given.values()]:
            given = dict(zip(wanted, given.values(), strict=True))
    # Files written by PyTorch before 0.4.1 do not count batches; the count plays no part in the results.
    missing = [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in given if name not in wanted]
    other = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in given and given[name].shape != value.shape
    ]
    if missing or unexpected or other:
        kinds = (("missing", missing), ("of another shape", other), ("not part of it", unexpected))
        faults = "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds if names)
        raise WeightsError(
            f"{path} does not hold the weights of {backbone.name}: of its {len(wanted)} tensors {faults}. "
            "Name the file of this network, or the network of this file."
        )
    for name, value in given.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(
                f"{path} is damaged: the tensor {name} holds values that are not finite. Fetch it again."
            )
    complete = {
        name: given[name].to(value.dtype) if name in given else torch.zeros_like(value)
        for name, value in wanted.items()
    }
    body.load_state_dict(complete)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
