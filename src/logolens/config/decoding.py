"""How images are read: how large they may be, and how they become the square that a network takes."""

from __future__ import annotations

from dataclasses import dataclass

from logolens.config.base import check, setting

__all__ = ["Limits", "Preprocessing"]


@dataclass(frozen=True)
class Limits:
    """How large an image may be before it is refused unread."""

    max_pixels: int = setting(50_000_000, "largest image, in pixels", low=1)
    max_side: int = setting(65_535, "longest side of an image, in pixels", low=1)
    max_bytes: int = setting(100_000_000, "largest image file, in bytes", low=1)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Preprocessing:
    """From a decoded RGB image to the square of bytes that the network takes.

    Mean and standard deviation are applied inside the ONNX graph, on values from 0 to 255; they are recorded here so
    that the manifest tells the whole road.
    """

    size: int = setting(224, "side of the network's input, in pixels", low=32, high=1024)
    resize: str = setting(
        "squash",
        "squash the whole image into the square, cut its middle out, or pad it",
        choices=("squash", "crop", "pad"),
    )
    interpolation: str = setting("bilinear", "resampling filter", choices=("bilinear", "bicubic", "lanczos"))
    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)

    def __post_init__(self) -> None:
        check(self)
