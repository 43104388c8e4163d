"""Settings: every default of logolens is written here, once.

The command line's flags derive from these dataclasses (name, type, default, help), and a bundle's manifest records them.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logolens.errors import UsageError

__all__ = [
    "BACKGROUND",
    "CacheSettings",
    "HeadSettings",
    "Limits",
    "Preprocessing",
    "SplitSettings",
    "TrainSettings",
    "cache_folder",
    "check",
    "setting",
]

BACKGROUND = "none"
"""The label, and the folder's name, of images that show none of the labels."""


def setting(default: Any, help: str, **metadata: Any) -> Any:
    """A dataclass field that carries its own help text, and ``choices``, ``low`` or ``high`` where they bound it."""
    return field(default=default, metadata={"help": help, **metadata})


def _same(owner: type, name: str) -> Any:
    """A field declared once, in ``owner``, repeated here with the same default, bounds and help."""
    spec = owner.__dataclass_fields__[name]  # type: ignore[attr-defined]
    return field(default=spec.default, metadata=spec.metadata)


def check(settings: Any) -> None:
    """Hold each field of a settings object against the bounds that its declaration names."""
    for spec in dataclasses.fields(settings):
        value = getattr(settings, spec.name)
        flag = spec.name.replace("_", "-")
        choices = spec.metadata.get("choices")
        if choices and value not in choices:
            raise UsageError(f"{flag} is {value!r}; choose one of: {', '.join(map(str, choices))}.")
        low, high = spec.metadata.get("low"), spec.metadata.get("high")
        if value is None or (low is None and high is None):
            continue
        if not isinstance(value, (int, float)):
            raise UsageError(f"{flag} is {value!r}; it must be a number.")
        if value != value or (low is not None and value < low) or (high is not None and value > high):
            bounds = (
                f"at least {low}" if high is None else f"at most {high}" if low is None else f"from {low} to {high}"
            )
            raise UsageError(f"{flag} is {value!r}; it must be {bounds}.")


def cache_folder() -> Path:
    """The folder for what can be made again: exported backbones, features, downloads.

    ``LOGOLENS_CACHE`` names it outright; else it is ``logolens`` below ``XDG_CACHE_HOME``, or the platform's own place.
    """
    if named := os.environ.get("LOGOLENS_CACHE"):
        return Path(named)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "logolens"
    if os.name == "nt" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "logolens" / "Cache"
    return Path.home() / ".cache" / "logolens"


@dataclass(frozen=True)
class Limits:
    """How large an image may be before it is refused unread."""

    max_pixels: int = setting(50_000_000, "largest image, in pixels", low=1)
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


@dataclass(frozen=True)
class SplitSettings:
    """How a data set is divided."""

    val: float = setting(0.15, "share of the photos kept for validation", low=0.0, high=0.9)
    test: float = setting(0.15, "share of the photos kept for the final test", low=0.0, high=0.9)
    seed: int = setting(0, "seed of every random choice", low=0)

    def __post_init__(self) -> None:
        check(self)
        if self.val + self.test >= 1.0:
            raise UsageError(
                f"val {self.val} and test {self.test} leave nothing to train on; together they must stay below 1."
            )


@dataclass(frozen=True)
class CacheSettings:
    """Where features are kept, and how much room they may take."""

    max_bytes: int = setting(4_000_000_000, "room that cached features may take, in bytes", low=1_000_000)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class HeadSettings:
    """What is trained on top of the frozen features."""

    head: str = setting("linear", "linear, or mlp: Dense 128, ReLU, dropout 0.5, softmax", choices=("linear", "mlp"))
    epochs: int = setting(100, "most passes over the training features", low=1, high=100_000)
    patience: int = setting(
        15, "stop after this many epochs without a better validation loss; 0 never stops early", low=0
    )
    l2: float = setting(0.01, "weight of the squared weights in the loss of a linear head", low=0.0)
    hidden: int = setting(128, "width of an mlp's hidden layer", low=1)
    dropout: float = setting(0.5, "share of an mlp's hidden units left out in training", low=0.0, high=0.95)
    batch: int = setting(32, "photos a step of an mlp; a linear head always sees all of them at once", low=1)
    learning_rate: float = setting(0.001, "step size of an mlp's optimiser (Adam)", low=0.0)
    balanced: bool = setting(True, "let each label weigh the same however many photos it has")
    seed: int = setting(0, "seed of every random choice", low=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TrainSettings:
    """All that ``logolens train`` can be told."""

    backbone: str = setting("efficientnet_lite0", "pre-trained network; `logolens backbones` lists them")
    weights: Path | None = setting(None, "the backbone's weights, as a .pth or .safetensors file")
    size: int | None = setting(
        None, "side of the network's input in pixels; the backbone's own if not given", low=32, high=1024
    )
    resize: str = setting("squash", "how a photo becomes a square", choices=("squash", "crop", "pad"))
    pooling: str = setting(
        "rich",
        "rich: mean and maximum of the last and a middle map; avg: the last map's mean, as in the classic recipe",
        choices=("rich", "avg"),
    )
    boxes: bool = setting(True, "where photos have annotated boxes, learn from crops around them too")
    background: bool = setting(
        True, "learn what shows no logo, from a folder `none` and from regions outside the boxes"
    )
    head: str = _same(HeadSettings, "head")
    epochs: int = _same(HeadSettings, "epochs")
    patience: int = _same(HeadSettings, "patience")
    l2: float = _same(HeadSettings, "l2")
    hidden: int = _same(HeadSettings, "hidden")
    dropout: float = _same(HeadSettings, "dropout")
    batch: int = _same(HeadSettings, "batch")
    learning_rate: float = _same(HeadSettings, "learning_rate")
    balanced: bool = _same(HeadSettings, "balanced")
    refit: bool = setting(True, "once measured, fit the head again on training and validation photos together")
    val: float = _same(SplitSettings, "val")
    test: float = _same(SplitSettings, "test")
    seed: int = _same(SplitSettings, "seed")
    max_false_alarms: float = setting(
        0.1, "share of logo-free images that may be given a label; sets the threshold of `none`", low=0.0001, high=1.0
    )
    allow_leaks: bool = setting(
        False, "train although the given split holds the same photo twice; the figures will flatter"
    )
    cache: bool = setting(True, "keep features for the next run")
    threads: int | None = setting(None, "processor threads; all of them if not given", low=1, high=512)

    def __post_init__(self) -> None:
        check(self)
        self.split_settings()

    def head_settings(self) -> HeadSettings:
        """The part of these settings that the head needs."""
        return HeadSettings(**{spec.name: getattr(self, spec.name) for spec in dataclasses.fields(HeadSettings)})

    def split_settings(self) -> SplitSettings:
        """The part of these settings that decides the split."""
        return SplitSettings(val=self.val, test=self.test, seed=self.seed)
