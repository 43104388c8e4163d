"""Which network the flags ask for, and its weights in the folder that the user named for them."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from logolens.config import RetrainSettings
from logolens.errors import UsageError, WeightsError
from logolens.models.backbones import Backbone, ExportedBackbone, export, find, locate
from logolens.models.backbones.architectures import resolve_architecture

__all__ = ["ready_network", "requested_network"]

_LOG = logging.getLogger(__name__)

_DEFAULT = "inception_v3"
_ALTERNATIVES = {"mobilenet_v2": "mobilenet_v2_224", "efficientnet_lite0": "efficientnet_lite0"}
"""What is offered where a network's weights can't be had: backbones that install with pip, by their architecture's name."""

_HUB_NAMES = {f"resnet_v1_{depth}": f"resnet{depth}" for depth in (50, 101, 152)}
"""TensorFlow Hub's names of networks that are called otherwise here."""


def requested_network(settings: RetrainSettings) -> tuple[str, int | None]:
    """The backbone's name and the side of its input, where the flags tell it.

    Raises:
        UsageError: there is no such network, or two different ones are asked for.
    """
    if not settings.tfhub_module:
        return resolve_architecture(settings.architecture or _DEFAULT)
    found = _from_hub_address(settings.tfhub_module)
    if settings.architecture and resolve_architecture(settings.architecture) != found:
        raise UsageError(
            f"architecture {settings.architecture} and tfhub_module {settings.tfhub_module} name two networks; give one."
        )
    return found


def _from_hub_address(address: str) -> tuple[str, int | None]:
    parts = [part for part in urlsplit(address).path.split("/") if part]
    if "quantops" in parts:
        raise UsageError(
            f"tfhub_module {address} asks for training with simulated quantization, which is not offered; leave "
            "/quantops out of the address."
        )
    for part in reversed(parts):
        try:
            name = _HUB_NAMES.get(part, part)
            found = resolve_architecture(name) if not part.isdecimal() else None
        except UsageError:
            continue
        if found is not None:
            _LOG.info("The module %s is taken as the architecture %s; TensorFlow Hub is not asked.", address, name)
            return found
    raise UsageError(
        f"tfhub_module {address} names no network that is known here. TensorFlow Hub's modules need TensorFlow; give "
        "--architecture instead, as --architecture=mobilenet_v2_224; `logolens backbones` lists what there is."
    )


def ready_network(name: str, size: int | None, model_dir: Path | None, *, pooling: str = "rich") -> ExportedBackbone:
    """The network exported and ready to run, its weights taken from the user's folder or brought and kept there.

    Raises:
        WeightsError: the weights are nowhere to be had; the message offers a network whose weights can.
        UsageError: the folder cannot be written to.
    """
    backbone = find(name)
    kept = next((path for path in _kept(backbone, model_dir) if path.is_file()), None)
    try:
        weights = locate(backbone, kept)
    except WeightsError as error:
        raise WeightsError(_advice(name, str(error))) from error
    _LOG.info("Network %s, weights %s (%s).", name, weights.path, weights.origin)
    if model_dir is not None and kept is None:
        _keep(weights.path, model_dir)
    return export(backbone, weights, size=size, pooling=pooling)


def _kept(backbone: Backbone, model_dir: Path | None) -> list[Path]:
    """Where a backbone's weights would lie in the user's folder."""
    if model_dir is None:
        return []
    names = [backbone.published.file] if backbone.published else []
    names += [Path(backbone.package.member).name] if backbone.package else []
    return [model_dir / Path(name).name for name in names]


def _keep(weights: Path, model_dir: Path) -> None:
    """Copy the weights into the user's folder, whole or not at all."""
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".weights-", dir=model_dir) as folder:
            copy = Path(shutil.copyfile(weights, Path(folder) / weights.name))
            copy.replace(model_dir / weights.name)
    except OSError as error:
        raise UsageError(
            f"model_dir {model_dir} cannot be written to ({error.strerror}); name another folder."
        ) from error


def _advice(name: str, message: str) -> str:
    """What to do, in the words of this command."""
    message = message.replace("--weights FILE uses a file you have", "or put the file into the folder of --model_dir")
    offers = [f"--architecture={other}" for backbone, other in _ALTERNATIVES.items() if backbone != name]
    missing = [offer for offer in offers if offer not in message]
    return (
        f"{message} Or train on a network whose weights install with pip: {' or '.join(missing)}."
        if missing
        else message
    )
