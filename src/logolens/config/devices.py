"""What networks run on, and in which numbers."""

from __future__ import annotations

from logolens.config.base import setting

__all__ = ["DEVICES", "PRECISIONS", "device_setting", "precision_setting"]

DEVICES = ("auto", "cpu", "cuda", "tensorrt", "migraphx", "directml", "coreml", "openvino")
"""What ``--device`` takes: a processor, or what an execution provider of ONNX Runtime stands for."""

PRECISIONS = ("float32", "int8", "auto")
"""What ``--precision`` takes."""


def device_setting() -> str:
    """The field ``device`` of settings."""
    value: str = setting(
        "auto",
        "what the network runs on; auto is a GPU where ONNX Runtime has one, else the processor",
        choices=DEVICES,
    )
    return value


def precision_setting() -> str:
    """The field ``precision`` of settings."""
    value: str = setting(
        "float32",
        "numbers that the network computes in, when training and when answering: int8 has 8-bit convolutions, whose ranges come "
        "from the training photos; auto takes int8 where this machine runs it 1.3 times as fast and validation photos are "
        "answered as well",
        choices=PRECISIONS,
    )
    return value
