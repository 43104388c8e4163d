"""Settings: every default of logolens is written here, once.

The command line's flags derive from these dataclasses (name, type, default, help), and a bundle's manifest records them.
"""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from logolens.errors import UsageError

__all__ = [
    "BACKGROUND",
    "AugmentSettings",
    "CacheSettings",
    "ExportSettings",
    "FinetuneSettings",
    "HeadSettings",
    "Limits",
    "MatcherSettings",
    "Preprocessing",
    "RetrainSettings",
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
    refit: bool = setting(
        True, "once measured, fit the head again on training and validation photos together; not after fine-tuning"
    )
    val: float = _same(SplitSettings, "val")
    test: float = _same(SplitSettings, "test")
    seed: int = _same(SplitSettings, "seed")
    finetune: str = _same(FinetuneSettings, "finetune")
    finetune_epochs: int = _same(FinetuneSettings, "finetune_epochs")
    finetune_minutes: float | None = _same(FinetuneSettings, "finetune_minutes")
    finetune_rate: float = _same(FinetuneSettings, "finetune_rate")
    finetune_head_rate: float = _same(FinetuneSettings, "finetune_head_rate")
    finetune_batch: int = _same(FinetuneSettings, "finetune_batch")
    finetune_warmup: float = _same(FinetuneSettings, "finetune_warmup")
    label_smoothing: float = _same(FinetuneSettings, "label_smoothing")
    weight_decay: float = _same(FinetuneSettings, "weight_decay")
    clip: float = _same(FinetuneSettings, "clip")
    freeze_statistics: bool = _same(FinetuneSettings, "freeze_statistics")
    augment: str = _same(FinetuneSettings, "augment")
    matcher: str = setting(
        "auto",
        "match local features too where held-out photos say that it helps; auto tries it on up to 300 photos",
        choices=("auto", "on", "off"),
    )
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
        self.finetune_settings()

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


@dataclass(frozen=True)
class RetrainSettings:
    """All that ``logolens retrain`` can be told: the flags of the classic retraining scripts, under their own names.

    A path that is an empty text is not given.
    """

    image_dir: str = setting("", "folder of photos with one subfolder for each label")
    output_graph: str = setting(
        "retrained/output_graph.onnx", "where to save the trained graph; it is ONNX whatever its suffix"
    )
    intermediate_output_graphs_dir: str = setting("retrained/intermediate", "where to save the intermediate graphs")
    intermediate_store_frequency: int = setting(
        0, "save an intermediate graph every so many steps; 0 saves none", low=0
    )
    output_labels: str = setting("retrained/output_labels.txt", "where to save the labels, one a line")
    summaries_dir: str = setting("retrained/logs", "where to save what TensorBoard shows; nothing there is deleted")
    how_many_training_steps: int = setting(4000, "how many training steps to run", low=1)
    learning_rate: float = setting(0.01, "step size of the gradient descent", low=1e-9)
    testing_percentage: int = setting(10, "percentage of the photos kept for the final test", low=0, high=90)
    validation_percentage: int = setting(10, "percentage of the photos kept for validation", low=0, high=90)
    eval_step_interval: int = setting(10, "measure accuracy every so many steps", low=1)
    train_batch_size: int = setting(100, "photos a training step; -1 for all of them", low=-1)
    test_batch_size: int = setting(-1, "photos in the final test; -1 for all of them", low=-1)
    validation_batch_size: int = setting(100, "photos each time accuracy is measured; -1 for all of them", low=-1)
    print_misclassified_test_images: bool = setting(False, "list the test photos that are answered wrongly")
    model_dir: str = setting(
        "", "folder of the network's weights: looked for there, and kept there once fetched; the cache if not given"
    )
    bottleneck_dir: str = setting("", "folder to cache features in; the cache if not given")
    final_tensor_name: str = setting("final_result", "name of the graph's output")
    flip_left_right: bool = setting(False, "flip half of the training photos")
    random_crop: int = setting(
        0, "margin to crop off the training photos at random, as a percentage of what is left", low=0, high=400
    )
    random_scale: int = setting(
        0, "how much to scale up the training photos at random, as a percentage", low=0, high=400
    )
    random_brightness: int = setting(
        0, "how much to brighten or darken the training photos at random, as a percentage", low=0, high=100
    )
    architecture: str = setting(
        "",
        "network: inception_v3, mobilenet_<width>_<size> such as mobilenet_0.50_224, mobilenet_v2_<size>, or any that "
        "`logolens backbones` lists; inception_v3 if not given",
    )
    tfhub_module: str = setting("", "network, by the address of its TensorFlow Hub module")
    saved_model_dir: str = setting("", "write a bundle there too, for `logolens predict` and `logolens evaluate`")
    checkpoint_path: str = setting("", "save the trained layer as <checkpoint_path>.safetensors")
    logging_verbosity: str = setting("INFO", "how much to tell", choices=("DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    seed: int = _same(SplitSettings, "seed")
    threads: int | None = _same(TrainSettings, "threads")

    def __post_init__(self) -> None:
        check(self, "_")
        for name in ("train_batch_size", "test_batch_size", "validation_batch_size"):
            if getattr(self, name) == 0:
                raise UsageError(f"{name} is 0; give a number of photos, or -1 for all of them.")
        if self.testing_percentage + self.validation_percentage >= 100:
            raise UsageError(
                f"testing_percentage {self.testing_percentage} and validation_percentage {self.validation_percentage} "
                "leave nothing to train on; together they must stay below 100."
            )
        self.split_settings()

    def split_settings(self) -> SplitSettings:
        """The part of these settings that decides the split."""
        return SplitSettings(val=self.validation_percentage / 100, test=self.testing_percentage / 100, seed=self.seed)


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
    threads: int | None = _same(TrainSettings, "threads")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class MatcherSettings:
    """How local features are found, looked up and proved by geometry."""

    long_side: int = setting(750, "long side in pixels that a photo is brought to before key points are sought", low=64)
    upscale: float = setting(2.5, "most that a small image is enlarged", low=1.0, high=8.0)
    contrast: float = setting(0.02, "contrast that a key point must have", low=0.0, high=1.0)
    edge: float = setting(20.0, "how much longer than wide a key point may be", low=1.0)
    query_points: int = setting(1500, "most key points of a photo that is asked about", low=16, high=20_000)
    whole_points: int = setting(500, "most key points of a reference that is a whole photo", low=8, high=20_000)
    box_points: int = setting(150, "most key points of a reference that is a box", low=8, high=20_000)
    box_side: int = setting(400, "long side in pixels that a box is brought to", low=64)
    box_margin: float = setting(0.05, "margin around a box, as a share of its longer side", low=0.0, high=1.0)
    ratio: float = setting(0.85, "largest ratio of the nearest to the second nearest distance", low=0.1, high=1.0)
    tolerance: float = setting(5.0, "largest distance of an inlier from where it should lie, in pixels", low=0.5)
    anisotropy: float = setting(2.2, "most that one direction may be stretched beside the other", low=1.0)
    inverted: bool = setting(True, "match light on dark with dark on light, too")
    per_label: int = setting(300, "most references of one label", low=1)
    exact: int = setting(20_000, "descriptors up to which all are compared; beyond, an inverted file is asked", low=0)
    probes: int = setting(8, "lists of the inverted file that each key point is looked up in", low=1)
    verified: int = setting(120, "references that are held against the photo's geometry", low=1)
    top: int = setting(1, "references whose evidence is summed for a label that has boxes", low=1)

    def __post_init__(self) -> None:
        check(self)
