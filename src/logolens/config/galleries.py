"""All that `logolens gallery add` can be told, beside the images and their label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from logolens.config.base import check, same, setting
from logolens.config.training import TrainSettings

__all__ = ["GallerySettings"]


@dataclass(frozen=True)
class GallerySettings:
    """How references are looked at; all but ``threads`` count where a gallery is begun, and are fixed from then on."""

    backbone: str = same(TrainSettings, "backbone")
    weights: Path | None = same(TrainSettings, "weights")
    size: int | None = same(TrainSettings, "size")
    max_false_alarms: float = setting(
        0.1,
        "share of the backgrounds that a new gallery, begun from references alone, may give a label",
        low=0.0001,
        high=1.0,
    )
    matcher: str = setting(
        "auto", "look for the lines of drawings in photos, verified by geometry", choices=("auto", "off")
    )
    words: str = setting(
        "auto",
        "read the names of the labels in photos; auto does where the extra words is installed",
        choices=("auto", "on", "off"),
    )
    threads: int | None = same(TrainSettings, "threads")

    def __post_init__(self) -> None:
        check(self)
