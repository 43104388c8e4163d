"""What all settings share: fields that carry their own help, bounds that are held, and where the cache lies."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import field
from pathlib import Path
from typing import Any

from logolens.errors import UsageError

__all__ = ["BACKGROUND", "VIEWS", "cache_folder", "check", "same", "setting"]

VIEWS = ("whole", "auto", "tiles")
"""Where photos are looked at: as a whole, closer where that leaves doubt, or at squares all over."""

BACKGROUND = "none"
"""The label, and the folder's name, of images that show none of the labels."""


def setting(default: Any, help: str, **metadata: Any) -> Any:
    """A dataclass field that carries its own help text, and ``choices``, ``low`` or ``high`` where they bound it.

    Its flag has another name where ``flag`` gives one; ``once`` is an earlier name, which flags and configuration files may
    still use.
    """
    return field(default=default, metadata={"help": help, **metadata})


def same(owner: type, name: str) -> Any:
    """A field declared once, in ``owner``, repeated here with the same default, bounds and help."""
    spec = owner.__dataclass_fields__[name]  # type: ignore[attr-defined]
    return field(default=spec.default, metadata=spec.metadata)


def check(settings: Any, joint: str = "-") -> None:
    """Hold each field of a settings object against the bounds that its declaration names.

    ``joint`` is what the flags have between their words.
    """
    for spec in dataclasses.fields(settings):
        value = getattr(settings, spec.name)
        flag = spec.name.replace("_", joint)
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
