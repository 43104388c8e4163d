"""How a bundle is exported and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from logolens.config.base import check, same, setting
from logolens.config.training import TrainSettings

__all__ = ["ExportSettings"]


@dataclass(frozen=True)
class ExportSettings:
    """How an export is made and held against its bundle."""

    data: Path | None = setting(
        None, "photos to calibrate and check on, as for training; the bundle's own if not given"
    )
    photos: int = setting(64, "most photos that the 8-bit ranges of onnx-int8 are taken from", low=8, high=100_000)
    max_difference: float | None = setting(
        None,
        "largest difference from the bundle: of a probability (0.0001 if not given), or of onnx-int8 the share of photos "
        "that it answers otherwise (0.15 if not given)",
        low=0.0,
        high=1.0,
    )
    max_loss: float = setting(
        0.02, "largest share of the test photos that onnx-int8 may get wrong beyond the bundle's own", low=0.0, high=1.0
    )
    threads: int | None = same(TrainSettings, "threads")

    def __post_init__(self) -> None:
        check(self)
