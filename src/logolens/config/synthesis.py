"""How training images are composed from artwork: how many, on what, how large the logos are, and what befalls them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from logolens.config.base import check, same, setting
from logolens.config.training import SplitSettings, TrainSettings
from logolens.errors import UsageError

__all__ = ["Conditions", "SynthesisSettings"]


@dataclass(frozen=True)
class SynthesisSettings:
    """All that ``logolens synthesize`` can be told."""

    count: int = setting(100, "images of a label, the held-out ones among them", low=1, high=100_000)
    none: int | None = setting(
        None,
        "images that show none of the labels; if not given twice as many as of a label, and of 30 labels or more a tenth of "
        "all theirs",
        low=0,
        high=1_000_000,
    )
    backgrounds: Path | None = same(TrainSettings, "backgrounds")
    smallest: float = setting(0.03, "width of the smallest logos, as a share of the image's", low=0.02, high=1.0)
    largest: float = setting(0.9, "width of the largest logos, as a share of the image's", low=0.02, high=1.0)
    size: int = setting(640, "longer side of the largest images, in pixels", low=128, high=4096)
    val: float = setting(
        0.15, "share of the images kept for validation, on backgrounds of their own", low=0.0, high=0.9
    )
    test: float = setting(
        0.15, "share of the images kept for the final test, on backgrounds of their own", low=0.0, high=0.9
    )
    seed: int = same(SplitSettings, "seed")
    threads: int | None = same(TrainSettings, "threads")

    def __post_init__(self) -> None:
        check(self)
        if self.smallest > self.largest:
            raise UsageError(
                f"smallest is {self.smallest:g} and largest {self.largest:g}; the smallest logo cannot be wider than the largest."
            )
        if self.val + self.test >= 1.0:
            raise UsageError(
                f"val {self.val} and test {self.test} leave nothing to train on; together they must stay below 1."
            )


@dataclass(frozen=True)
class Conditions:
    """What befalls a logo between its drawing and a file: each a share of the logos, or of the images.

    The defaults leave out all of it but what every composed image has: a carrier, perspective, something in front, light and
    a small camera.
    """

    curved: float = setting(0.0, "logos on a cylinder or on cloth", low=0.0, high=1.0)
    one_colour: float = setting(0.0, "logos of several colours that are printed in one", low=0.0, high=1.0)
    wording: float = setting(0.0, "logos with words beside them on the same carrier", low=0.0, high=1.0)
    halftone: float = setting(0.0, "logos printed in dots", low=0.0, high=1.0)
    screen: float = setting(0.0, "logos on a display whose pixels show", low=0.0, high=1.0)
    moire: float = setting(0.0, "images of a display, with the stripes that two grids make", low=0.0, high=1.0)
    dappled: float = setting(0.0, "images in the shade of leaves", low=0.0, high=1.0)
    lamp: float = setting(0.0, "images in the light of a coloured lamp", low=0.0, high=1.0)
    shaken: float = setting(0.0, "images blurred by motion", low=0.0, high=1.0)
    rescaled: float = setting(0.0, "images made smaller and large again, or saved twice", low=0.0, high=1.0)
    small: float | None = setting(
        None, "how readily logos are small: 1 spreads their widths evenly by ratio, less favours large ones; evenly by "
        "difference if not given",
        low=0.05, high=5.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self)
