"""How settings are sought."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from logolens.config.base import check, same, setting
from logolens.config.training import SplitSettings, TrainSettings

__all__ = ["TuneSettings"]


@dataclass(frozen=True)
class TuneSettings:
    """All that ``logolens tune`` can be told. What decides the split must be the same when the result is trained."""

    budget: float = setting(
        20.0, "minutes; the default settings are always tried, and nothing is begun that is not expected to end in time",
        low=0.0, high=100_000.0,
    )  # fmt: skip
    folds: int = setting(5, "folds of the cross-validation", low=2, high=20)
    examples: str = same(TrainSettings, "examples")
    test: float = same(SplitSettings, "test")
    seed: int = same(SplitSettings, "seed")
    exclude: Path | None = same(TrainSettings, "exclude")
    allow_leaks: bool = same(TrainSettings, "allow_leaks")
    closer: bool = setting(True, "where the budget allows, see at the end what looking closer adds")
    threads: int | None = same(TrainSettings, "threads")

    def __post_init__(self) -> None:
        check(self)
