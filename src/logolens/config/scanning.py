"""What `logolens scan` can be told: what is sought, when it counts as found, and how the work is done."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from logolens.config.base import VIEWS, check, same, setting
from logolens.config.devices import device_setting
from logolens.errors import UsageError

__all__ = ["DRAWING", "DecodeSettings", "ScanSettings"]


@dataclass(frozen=True)
class DecodeSettings:
    """How much one image may take while it is decoded in a process of its own."""

    decode_seconds: float = setting(30.0, "most seconds that decoding an image may take", low=0.1)
    decode_memory: int = setting(
        1_500_000_000,
        "most bytes of memory that decoding an image may take, where the system can hold it to that",
        low=16_000_000,
    )

    def __post_init__(self) -> None:
        check(self)


DRAWING = DecodeSettings(decode_seconds=10.0, decode_memory=1_000_000_000)
"""How much one drawing (SVG) may take where a command decodes photos itself."""


@dataclass(frozen=True)
class ScanSettings:
    """What a scan looks for, and how it goes about it."""

    find: tuple[str, ...] = setting((), "label to look for; may be repeated. All labels if not given")
    threshold: float = setting(0.5, "confidence from which an image is a match", low=0.0, high=1.0)
    unsure: float = setting(
        0.2, "confidence from which an image is unsure, and worth a look; below it is clear", low=0.0, high=1.0
    )
    allow: tuple[str, ...] = setting(
        (), "image known to be fine: a path, URL, pattern or SHA-256, or @FILE with one a line; may be repeated"
    )
    decisions: Path | None = setting(
        None,
        "decisions that the report's page saved: what was rejected there stays clear, what was accepted stays a match",
    )
    baseline: Path | None = setting(
        None,
        "results of an earlier scan, in whose place what is new is told from what was known; the store's own if not given",
    )
    thumbnails: str = setting(
        "found",
        "keep small pictures of what was found (match and unsure), of all images, or of none",
        choices=("found", "all", "none"),
    )
    near: str = setting(
        "found",
        "group near copies among what was found (match and unsure), among all images, or not at all",
        choices=("found", "all", "none"),
    )
    views: str = setting(
        "bundle",
        "where images are looked at: as the bundle was trained, at the whole alone (fastest), closer where that leaves doubt "
        "(auto), or at squares all over (tiles)",
        choices=("bundle", *VIEWS),
    )
    where: bool | None = setting(
        None,
        "tell where in the image the label is, for which two more views of each image that shows one are looked at; if not "
        "given, it is told unless views is whole",
    )
    isolate: bool = setting(True, "decode in processes with limits, so that no image can end the run")
    decode_seconds: float = same(DecodeSettings, "decode_seconds")
    decode_memory: int = same(DecodeSettings, "decode_memory")
    readers: int = setting(8, "images that are read or fetched at a time", low=1, high=256)
    engine: str = setting("local", "this machine, or a Ray cluster", choices=("local", "ray"))
    address: str = setting("", "the Ray cluster's address, as in ray://host:10001; one on this machine if not given")
    shard: int | None = setting(
        None, "images in a shard; 2000 on Ray, no shards on this machine if not given", low=1, high=100_000
    )
    shard_folder: Path | None = setting(
        None, "folder for shards, which all machines of the cluster must see; beside the store if not given"
    )
    threads: int | None = setting(
        None, "processor threads; all of this machine's if not given, and 1 for each worker on Ray", low=1, high=512
    )
    device: str = device_setting()

    def __post_init__(self) -> None:
        check(self)
        if any(not label for label in self.find):
            raise UsageError("One of the labels to find is empty; check the quotes and variables in the command.")

    @property
    def least(self) -> float:
        """The confidence from which an image is unsure; never above the threshold."""
        return min(self.unsure, self.threshold)

    def decode_settings(self) -> DecodeSettings:
        """The part of these settings that decoding needs."""
        return DecodeSettings(**{spec.name: getattr(self, spec.name) for spec in dataclasses.fields(DecodeSettings)})

    @property
    def locates(self) -> bool:
        """Whether boxes are told; looking at whole photos alone is chosen for its speed, which they would cost."""
        return self.views != "whole" if self.where is None else self.where

    def wanted(self, verdict: str) -> tuple[bool, bool]:
        """Whether a thumbnail is kept of what has this verdict, and whether near copies of it are sought."""
        found = verdict in ("match", "unsure")
        return (
            self.thumbnails == "all" or (found and self.thumbnails == "found"),
            self.near == "all" or (found and self.near == "found"),
        )
