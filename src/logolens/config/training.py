"""How data are divided, what is trained on the features, and all that `logolens train` can be told."""

from __future__ import annotations

import dataclasses
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any

from logolens.config.base import BACKGROUND, VIEWS, check, same, setting
from logolens.config.devices import device_setting, precision_setting
from logolens.config.finetuning import FinetuneSettings
from logolens.config.matching import MATCHED_BOXED, MATCHED_WHOLE
from logolens.errors import UsageError

__all__ = ["CacheSettings", "HeadSettings", "SplitSettings", "TrainSettings"]


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

    head: str = setting(
        "linear",
        "linear; mlp: Dense 128, ReLU, dropout 0.5, softmax; or gallery: comparison with the photos' views, so that "
        "`logolens gallery` adds labels later without training",
        choices=("linear", "mlp", "gallery"),
    )
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
    weights: Path | None = setting(
        None, "the backbone's weights, as a .pth or .safetensors file; MobileNet V1 also as Keras' .h5"
    )
    size: int | None = setting(
        None, "side of the network's input in pixels; the backbone's own if not given", low=32, high=1024
    )
    resize: str = setting("squash", "how a photo becomes a square", choices=("squash", "crop", "pad"))
    views: str = setting(
        "auto",
        "where a photo is looked at: whole; auto: closer views and the matcher too, where held-out photos say that they help "
        "and the whole photo leaves doubt; tiles: squares all over it",
        choices=VIEWS,
    )
    pooling: str = setting(
        "rich",
        "rich: mean and maximum of the last and a middle map; avg: the last map's mean, as in the classic recipe",
        choices=("rich", "avg"),
    )
    examples: str = setting(
        "photo",
        "what one example is: photo, whose label is that of its largest boxes; or box, each cut out as an image of its own",
        choices=("photo", "box"),
        flag="as",
    )
    boxes: bool = setting(True, "where photos have annotated boxes, learn from crops around them too")
    background: bool = setting(
        True, "learn what shows no logo, from a folder `none` and from regions outside the boxes"
    )
    head: str = same(HeadSettings, "head")
    epochs: int = same(HeadSettings, "epochs")
    patience: int = same(HeadSettings, "patience")
    l2: float = same(HeadSettings, "l2")
    hidden: int = same(HeadSettings, "hidden")
    dropout: float = same(HeadSettings, "dropout")
    batch: int = same(HeadSettings, "batch")
    learning_rate: float = same(HeadSettings, "learning_rate")
    balanced: bool = same(HeadSettings, "balanced")
    refit: bool = setting(
        True, "once measured, fit the head again on training and validation photos together; not after fine-tuning"
    )
    val: float = same(SplitSettings, "val")
    test: float = same(SplitSettings, "test")
    seed: int = same(SplitSettings, "seed")
    finetune: str = same(FinetuneSettings, "finetune")
    finetune_epochs: int = same(FinetuneSettings, "finetune_epochs")
    finetune_minutes: float | None = same(FinetuneSettings, "finetune_minutes")
    finetune_rate: float = same(FinetuneSettings, "finetune_rate")
    finetune_head_rate: float = same(FinetuneSettings, "finetune_head_rate")
    finetune_batch: int = same(FinetuneSettings, "finetune_batch")
    finetune_warmup: float = same(FinetuneSettings, "finetune_warmup")
    label_smoothing: float = same(FinetuneSettings, "label_smoothing")
    weight_decay: float = same(FinetuneSettings, "weight_decay")
    clip: float = same(FinetuneSettings, "clip")
    freeze_statistics: bool = same(FinetuneSettings, "freeze_statistics")
    augment: str = same(FinetuneSettings, "augment")
    matcher: str = setting(
        "auto",
        "match local features too where held-out photos say that it helps; auto tries it on up to "
        f"{MATCHED_BOXED:,} photos with boxes, or {MATCHED_WHOLE:,} without",
        choices=("auto", "on", "off"),
    )
    words: str = setting(
        "auto",
        "read what is written in photos too, where held-out photos say that it helps; auto does where the extra words is "
        "installed, and reads on while the first photos give hope",
        choices=("auto", "on", "off"),
    )
    names: Path | None = setting(
        None,
        "text file with further names of labels, a line each, as in: label: name, another name; words that are read",
    )
    pair: tuple[tuple[str, str], ...] = setting(
        (),
        "two labels that are near each other, as an old and a new logo: an expert that only tells these two apart is trained, "
        "and used where held-out photos say that it helps; repeat for further pairs",
        metavar="LABEL LABEL",
        once="contrast",
    )
    max_false_alarms: float = setting(
        0.1, "share of logo-free images that may be given a label; sets the threshold of `none`", low=0.0001, high=1.0
    )
    unknown_brands: bool = setting(
        True,
        "set the threshold of `none` so that photos of brands it never saw pass no oftener either: labels are left out in turn "
        "and stand in for them",
    )
    early_none: bool = setting(
        True, "ask nothing more about a photo that surely shows none; at most 0.5 % of right answers are lost"
    )
    corrections: Path | None = setting(
        None, "decisions that the page of `logolens report` saved, taken as further photos"
    )
    exclude: Path | None = setting(
        None, "photos to leave out: the fix list of `logolens audit --fixes`, or a CSV file with a column path"
    )
    synthesize: int = setting(
        0,
        "composed images a label to learn from, beside the photos or, where DATA holds artwork alone, instead of them; 0 for "
        "none",
        low=0,
        high=100_000,
    )
    artwork: Path | None = setting(
        None, "folder with the logos' artwork (SVG, PDF, PNG), one subfolder a label, that images are composed from"
    )
    backgrounds: Path | None = setting(
        None, "folder with photos of your own to compose on, none of which shows a logo; built-in ones if not given"
    )
    allow_leaks: bool = setting(
        False, "train although the given split holds the same photo twice; the figures will flatter"
    )
    cache: bool = setting(True, "keep features for the next run")
    threads: int | None = setting(None, "processor threads; all of them if not given", low=1, high=512)
    device: str = device_setting()
    precision: str = precision_setting()
    contrast: InitVar[tuple[tuple[str, str], ...]] = ()  # What ``pair`` was once called.

    def __post_init__(self, contrast: tuple[tuple[str, str], ...]) -> None:
        check(self)
        self.split_settings()
        self.finetune_settings()
        if not self.synthesize and (self.artwork is not None or self.backgrounds is not None):
            given = "artwork" if self.artwork is not None else "backgrounds"
            raise UsageError(f"{given} is for composing images; say with --synthesize N how many of each label.")
        if self.head == "gallery" and self.finetune != "none":
            raise UsageError(
                "A gallery compares features as they are, so it cannot be fine-tuned; leave --finetune out, or choose --head "
                "linear."
            )
        if self.head == "gallery" and self.matcher == "on":
            raise UsageError(
                "A gallery has no matcher, whose references would stay behind when labels are added; leave --matcher on out, or "
                "choose --head linear."
            )
        if self.head == "gallery" and (self.words == "on" or self.names is not None):
            raise UsageError(
                "A gallery does not read words, whose names would stay behind when labels are added; leave out --words on and "
                "--names, or choose --head linear."
            )
        if self.views == "whole" and (self.words == "on" or self.names is not None):
            raise UsageError(
                "views whole looks at nothing but the whole photo; leave it out, or --words on and --names."
            )
        if self.names is not None and self.words == "off":
            raise UsageError("names are for words that are read; leave out --names, or --words off.")
        object.__setattr__(self, "pair", _pairs((*self.pair, *contrast)))
        if self.pair and self.head == "gallery":
            raise UsageError(
                "A gallery's labels may change at any time, and the expert for a pair knows two of them as they were; leave "
                "--pair out, or choose --head linear."
            )
        if self.pair and self.views == "whole":
            raise UsageError(
                "pair looks for what proves one drawing or the other, and views whole looks at nothing but the whole photo; "
                "leave out --views whole, or --pair."
            )
        if self.pair and self.finetune != "none":
            raise UsageError("pair works on a frozen network only; leave out --finetune, or --pair.")

    def head_settings(self) -> HeadSettings:
        """The part of these settings that the head needs."""
        return HeadSettings(**{spec.name: getattr(self, spec.name) for spec in dataclasses.fields(HeadSettings)})

    def finetune_settings(self) -> FinetuneSettings:
        """The part of these settings that fine-tuning needs."""
        return FinetuneSettings(
            **{spec.name: getattr(self, spec.name) for spec in dataclasses.fields(FinetuneSettings)}
        )

    def split_settings(self) -> SplitSettings:
        """The part of these settings that decides the split."""
        return SplitSettings(val=self.val, test=self.test, seed=self.seed)


def _pairs(given: Any) -> tuple[tuple[str, str], ...]:
    """Pairs of labels, as tuples, wherever they come from.

    Raises:
        UsageError: one is no pair of two different labels, or is given twice.
    """
    pairs: list[tuple[str, str]] = []
    for pair in given:
        if isinstance(pair, str) or len(pair) != 2:
            raise UsageError(f"pair takes exactly two labels at a time, as in --pair old new; it was given {pair!r}.")
        first, second = (str(label) for label in pair)
        if first == second:
            raise UsageError(f"pair was given {first!r} twice; name two different labels.")
        if BACKGROUND in (first, second):
            raise UsageError(
                f"pair cannot tell {BACKGROUND!r} apart: it stands for all that shows no logo. Name two labels of logos."
            )
        if any({first, second} == set(known) for known in pairs):
            raise UsageError(f"pair was given {first} and {second} more than once; name each pair once.")
        pairs.append((first, second))
    return tuple(pairs)
