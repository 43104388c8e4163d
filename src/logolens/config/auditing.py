"""What an audit of a data set takes for odd, and how far it looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from logolens.config.base import check, same, setting
from logolens.config.training import TrainSettings

__all__ = ["AuditSettings"]


@dataclass(frozen=True)
class AuditSettings:
    """All that ``logolens audit`` can be told."""

    labels: bool = setting(
        True, "seek wrong labels too, which takes the network's features of all photos (the extra train)"
    )
    words: str = setting(
        "auto",
        "read the photos, and list those in which another label's name is written; auto does on up to 5,000 photos where the "
        "extra words is installed",
        choices=("auto", "on", "off"),
    )
    names: Path | None = same(TrainSettings, "names")
    tiny: int = setting(64, "photos whose shorter side has fewer pixels are tiny", low=1)
    blurred: float = setting(
        0.4, "from which blur on a photo counts as blurred: 0 is sharp, 1 beyond recognition", low=0.0, high=1.0
    )
    small_box: int = setting(10, "boxes whose shorter side has fewer pixels hardly hold a logo", low=1)
    imbalance: float = setting(
        5.0, "the labels are unbalanced when the largest has so many times the photos of the smallest", low=1.0
    )
    backbone: str = same(TrainSettings, "backbone")
    seed: int = same(TrainSettings, "seed")
    cache: bool = same(TrainSettings, "cache")
    threads: int | None = same(TrainSettings, "threads")

    def __post_init__(self) -> None:
        check(self)
