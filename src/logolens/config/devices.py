"""What networks run on."""

from __future__ import annotations

from logolens.config.base import setting

__all__ = ["DEVICES", "device_setting"]

DEVICES = ("auto", "cpu", "cuda", "tensorrt", "migraphx", "directml", "coreml", "openvino")
"""What ``--device`` takes: a processor, or what an execution provider of ONNX Runtime stands for."""


def device_setting() -> str:
    """The field ``device`` of settings."""
    value: str = setting(
        "auto",
        "what the network runs on; auto is a GPU where ONNX Runtime has one, else the processor",
        choices=DEVICES,
    )
    return value
