"""How the backbone is trained further, and how far views vary meanwhile."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from logolens.config.base import check, setting
from logolens.errors import UsageError

__all__ = ["AugmentSettings", "FinetuneSettings"]


@dataclass(frozen=True)
class AugmentSettings:
    """How far a view is varied each time that fine-tuning learns from it; 0 leaves a trait as it is."""

    crop: float = setting(0.3, "how far a view's place and side vary, as a share of its side", low=0.0, high=0.9)
    flip: float = setting(0.0, "share of views that are mirrored; logos read one way", low=0.0, high=1.0)
    rotation: float = setting(12.0, "most degrees that a view is turned either way", low=0.0, high=180.0)
    perspective: float = setting(
        0.12, "how far the corners of every other view move, as a share of its side", low=0.0, high=0.4
    )
    colour: float = setting(0.3, "how far brightness, contrast, saturation and hue vary", low=0.0, high=2.0)
    grey: float = setting(0.05, "share of views without colour", low=0.0, high=1.0)
    invert: float = setting(0.02, "share of views in inverted colours", low=0.0, high=1.0)
    blur: float = setting(0.2, "share of views that are blurred", low=0.0, high=1.0)
    jpeg: float = setting(0.2, "share of views that are compressed once more", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        check(self)

    @staticmethod
    def parse(text: str) -> AugmentSettings:
        """From what ``--augment`` takes: ``default``, ``none``, or changes to the default as in ``rotation=0,flip=0.5``.

        Raises:
            UsageError: the text names no trait, or gives it a value that cannot be.
        """
        names = [spec.name for spec in dataclasses.fields(AugmentSettings)]
        if text.strip() == "none":
            return AugmentSettings(**dict.fromkeys(names, 0.0))
        values: dict[str, float] = {}
        for part in [] if text.strip() == "default" else text.split(","):
            name, _, value = (piece.strip() for piece in part.partition("="))
            if name not in names:
                raise UsageError(
                    f"augment is {text!r}; give default, none, or NAME=VALUE pairs, of: {', '.join(names)}."
                )
            try:
                values[name] = float(value)
            except ValueError:
                raise UsageError(f"augment is {text!r}, but {value!r} is no number for {name}.") from None
        return AugmentSettings(**values)


@dataclass(frozen=True)
class FinetuneSettings:
    """How the backbone is trained further, once a head stands on its frozen features."""

    finetune: str = setting("none", "train the backbone too: none, all, or last-N-blocks as in last-3-blocks")
    finetune_epochs: int = setting(12, "passes over the photos in fine-tuning", low=1, high=10_000)
    finetune_minutes: float | None = setting(
        None, "as many fine-tuning epochs as fit into this time, in place of finetune-epochs", low=0.01
    )
    finetune_rate: float = setting(3e-4, "highest step size of the backbone's optimiser (AdamW)", low=0.0)
    finetune_head_rate: float = setting(5e-3, "highest step size of the head's optimiser in fine-tuning", low=0.0)
    finetune_batch: int = setting(32, "views a step of fine-tuning", low=1, high=4096)
    finetune_warmup: float = setting(
        0.1, "share of the steps in which the rates rise; then they fall as a cosine", low=0.0, high=0.9
    )
    label_smoothing: float = setting(
        0.1, "share of the target that fine-tuning spreads over all outputs", low=0.0, high=0.9
    )
    weight_decay: float = setting(0.01, "pull of fine-tuning's weights towards zero (AdamW)", low=0.0, high=1.0)
    clip: float = setting(5.0, "longest gradient of a fine-tuning step", low=1e-6)
    freeze_statistics: bool = setting(True, "keep the batch norms' means and variances in fine-tuning")
    augment: str = setting(
        "default", "how fine-tuning varies views: default, none, or changes as in rotation=0,flip=0.5"
    )

    def __post_init__(self) -> None:
        check(self)
        self.last_blocks()
        AugmentSettings.parse(self.augment)

    def last_blocks(self) -> int | None:
        """How many of the last blocks are trained: 0 for none, None for all of them."""
        if self.finetune in ("none", "all"):
            return 0 if self.finetune == "none" else None
        if not (found := re.fullmatch(r"last-([1-9]\d{0,5})-blocks?", self.finetune)):
            raise UsageError(
                f"finetune is {self.finetune!r}; give none, all, or last-N-blocks with an N of 1 or more, as in "
                "last-3-blocks."
            )
        return int(found[1])
