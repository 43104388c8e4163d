"""What networks run on: ONNX Runtime's execution providers, and the one place where its sessions are made.

ONNX Runtime leaves a device without a word: a provider that cannot start is replaced by the processor. Here a device that was
asked for by name is the one that is used, or there is an error that says what to install.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logolens.config import DEVICES
from logolens.errors import DeviceError
from logolens.io.files import plain_path

__all__ = ["Device", "Opened", "check_device", "device_named", "onnx_session"]

_CPU_BATCH, _GPU_BATCH = 2, 64
_CPU_PHOTOS, _GPU_PHOTOS = 8, 32


@dataclass(frozen=True)
class Device:
    """What a network runs on.

    Attributes:
        name: as ``--device`` has it.
        provider: ONNX Runtime's name of it.
        package: what to install from PyPI for it; empty where ONNX Runtime's own package has it, or none does.
        batch: views in one run of the network. On a processor one or two are the fastest, since their maps stay in its cache.
        photos: photos that a worker takes at a time; the pixels of all are held where they may be asked about again.
        options: of the provider.
    """

    name: str
    provider: str
    package: str = ""
    batch: int = _GPU_BATCH
    photos: int = _GPU_PHOTOS
    options: Mapping[str, str] = field(default_factory=dict)


_CPU = Device("cpu", "CPUExecutionProvider", batch=_CPU_BATCH, photos=_CPU_PHOTOS)

_DEVICES = {
    device.name: device
    for device in (
        _CPU,
        # A search for the fastest kernel of each shape takes longer than what is saved where shapes vary, as here.
        Device("cuda", "CUDAExecutionProvider", "onnxruntime-gpu", options={"cudnn_conv_algo_search": "HEURISTIC"}),
        Device("tensorrt", "TensorrtExecutionProvider", "onnxruntime-gpu"),
        Device("migraphx", "MIGraphXExecutionProvider", "onnxruntime-migraphx"),
        Device("directml", "DmlExecutionProvider", "onnxruntime-directml"),
        Device("coreml", "CoreMLExecutionProvider"),
        # By itself it may compute in half precision or bfloat16, and then answers would depend on the machine.
        Device(
            "openvino",
            "OpenVINOExecutionProvider",
            "onnxruntime-openvino",
            batch=_CPU_BATCH,
            photos=_CPU_PHOTOS,
            options={"device_type": "CPU", "precision": "FP32", "num_of_threads": "1"},
        ),
    )
}

_TRIED = ("cuda", "migraphx", "directml")
"""What auto takes, the first that starts. The others are slow to start, or not known to be faster than the processor."""


@dataclass(frozen=True)
class Opened:
    """A network that is ready to run.

    Attributes:
        session: ONNX Runtime's.
        device: what it runs on.
    """

    session: Any
    device: Device


def device_named(name: str) -> Device:
    """The device of this name, which is not ``auto``.

    Raises:
        DeviceError: there is none.
    """
    if name not in _DEVICES:
        raise DeviceError(f"There is no device {name!r}; choose one of: {', '.join(DEVICES)}.")
    return _DEVICES[name]


def check_device(name: str) -> None:
    """See that ONNX Runtime knows the device, before longer work is begun.

    Raises:
        DeviceError: it does not; the message says what to install.
    """
    import onnxruntime as ort

    there = ort.get_available_providers()
    if name != "auto" and device_named(name).provider not in there:
        raise DeviceError(_missing(device_named(name), there))


def onnx_session(model: Path | bytes, device: str = "cpu", *, configure: Callable[[Any], None] | None = None) -> Opened:
    """Load a network, to run on one thread of whoever asks it.

    Args:
        model: the ONNX file, or its bytes.
        device: one of `DEVICES`.
        configure: given ONNX Runtime's session options, to change them.

    Raises:
        DeviceError: this machine's ONNX Runtime lacks the device, or cannot start it.
        Exception: ONNX Runtime cannot load the network; it raises types of its own.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if configure is not None:
        configure(options)
    if device == "auto":
        there = ort.get_available_providers()
        for name in _TRIED:
            tried = _DEVICES[name]
            if tried.provider in there and (session := _started(ort, model, options, tried)) is not None:
                return Opened(session, tried)
        device = "cpu"
    check_device(device)
    wanted = device_named(device)
    session = _started(ort, model, options, wanted)
    if session is None:
        raise DeviceError(
            f"ONNX Runtime knows {wanted.name} but cannot start it on this machine; see that its driver and libraries are "
            "there, or choose --device cpu."
        )
    return Opened(session, wanted)


def _started(ort: Any, model: Path | bytes, options: Any, device: Device) -> Any:
    """A session that runs on this device, None where the device cannot be started."""
    providers: list[Any] = [(device.provider, dict(device.options))]
    if device is not _CPU:
        providers.append(_CPU.provider)  # For what the device cannot compute.
    with nullcontext(model) if isinstance(model, bytes) else plain_path(model) as given:
        try:
            session = ort.InferenceSession(given, options, providers=providers)
        except Exception:
            if device is _CPU:
                raise
            # Is it the device, or the network? The processor takes every network that is one.
            ort.InferenceSession(given, options, providers=[_CPU.provider])
            return None
    return session if session.get_providers()[0] == device.provider else None


def _missing(device: Device, there: list[str]) -> str:
    known = [each.name for each in _DEVICES.values() if each.provider in there]
    if device.package:
        # Two packages of ONNX Runtime overwrite each other's files.
        cure = f"run: pip uninstall -y onnxruntime && pip install {device.package}"
    elif device.name == "coreml":
        cure = "it comes with ONNX Runtime on macOS alone"
    else:
        cure = "install ONNX Runtime anew: pip install --force-reinstall onnxruntime"
    return f"ONNX Runtime cannot run on {device.name} here, only on {', '.join(known)}; {cure}, or choose --device cpu."
