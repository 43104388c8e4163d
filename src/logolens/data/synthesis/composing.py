"""Photo-like pictures of logos: a drawing on a sign, a sticker, cloth or a screen, seen at an angle in poor light.

The road is artwork, carrier, placing, light, camera; each is a module of its own. Every random choice comes from the
generator that the caller gives, in one fixed order, so that a seed gives the same picture again. The method, composing logos
into scenes so that a detector can be trained without annotated photos, is that of Su, Zhu and Gong, "Deep Learning Logo
Detection with Data Expansion by Synthesising Context" (WACV 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from logolens.config import Conditions
from logolens.data.synthesis.artwork import Artwork
from logolens.data.synthesis.backgrounds import background
from logolens.data.synthesis.camera import photographed
from logolens.data.synthesis.light import lit, occluded
from logolens.data.synthesis.placing import place
from logolens.data.synthesis.printing import moire
from logolens.errors import UsageError

__all__ = ["LogoBox", "compose", "photo_size"]


@dataclass(frozen=True)
class LogoBox:
    """Where the visible part of a logo lies: pixels, x to the right and y down, x2 and y2 exclusive."""

    label: str
    x1: int
    y1: int
    x2: int
    y2: int


def photo_size(rng: np.random.Generator, longest: int = 640) -> tuple[int, int]:
    """Width and height of a photo: the long side from half of ``longest`` up to it, in a usual proportion."""
    long = int(rng.integers(longest // 2, longest + 1))
    short = round(long / float(rng.choice([1.0, 4 / 3, 4 / 3, 3 / 2, 16 / 9])))
    return (long, short) if rng.random() < 0.7 else (short, long)


def compose(
    artworks: Sequence[Artwork],
    behind: str | Image.Image,
    rng: np.random.Generator,
    *,
    size: tuple[int, int] | None = None,
    others: Sequence[Artwork] = (),
    width_share: tuple[float, float] = (0.15, 0.8),
    beside_share: tuple[float, float] | None = None,
    ink: bool = True,
    conditions: Conditions = Conditions(),
) -> tuple[Image.Image, list[LogoBox]]:
    """A photo-like picture of some logos, and where they are.

    Args:
        artworks: the logos shown, each boxed in the answer; may be empty.
        behind: the background: a name, see ``logolens.data.synthesis.backgrounds``, or a picture, which is then the size of
            the result.
        rng: where every random choice comes from.
        size: width and height in pixels; by default that of a small photo, see ``photo_size``.
        others: drawings shown as well, below the logos, that get no box.
        width_share: the logo's width as a share of the picture's, from and to.
        beside_share: the same of all logos but the last; as of the last if not given.
        ink: with False all is drawn but the logos' own ink (their plates stay), so that two pictures of the same
            generator state differ by the logos alone.
        conditions: what befalls the logos and the image beside what always does.

    Returns:
        The RGB picture, and one box for each logo in the order given.

    Raises:
        UsageError: there is no such background, or the picture or the share is too small to show a logo.
    """
    if isinstance(behind, Image.Image):
        size = behind.size
    elif size is None:
        size = photo_size(rng)
    if min(size) < 64:
        raise UsageError(f"A picture of {size[0]} x {size[1]} pixels is too small for a logo; give at least 64 x 64.")
    for shares in (width_share, beside_share or width_share):
        if not 0.02 <= shares[0] <= shares[1] <= 1.0:
            raise UsageError(f"The logo's width share is {shares}; it must rise from at least 0.02 to at most 1.")
    picture = behind if isinstance(behind, Image.Image) else background(behind, size, rng)
    if rng.random() < 0.35:  # Shallow depth of field: the wall behind is out of focus.
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.8, 3.5))))
    for other in others:
        # Beside a logo the rest is small; with none it may fill the picture.
        share = (0.08, 0.3) if artworks else width_share
        picture, _ = place(picture, other, rng, width_share=share, ink=True, cut=bool(artworks), conditions=conditions)
    masks: list[Image.Image] = []
    for number, artwork in enumerate(artworks, 1):
        shares = beside_share if beside_share is not None and number < len(artworks) else width_share
        apart = conditions.small is not None
        taken = [found for mask in masks if apart and (found := mask.getbbox()) is not None]
        picture, mask = place(
            picture, artwork, rng, width_share=shares, ink=ink, cut=False, conditions=conditions, taken=taken
        )
        # What was drawn before lies below: the newcomer hides it.
        masks = [ImageChops.multiply(m, ImageChops.invert(mask)) for m in masks]
        masks.append(mask)
    if rng.random() < 0.3:
        picture, masks = occluded(picture, masks, rng)
    picture = lit(picture, rng, conditions)
    if conditions.moire and rng.random() < conditions.moire:
        picture = moire(picture, rng)
    boxes = [_box(artwork.label, mask) for artwork, mask in zip(artworks, masks, strict=True)]
    smallest = min((min(b.x2 - b.x1, b.y2 - b.y1) for b in boxes), default=min(size) // 4)
    return photographed(picture, rng, smallest, conditions), boxes


def _box(label: str, mask: Image.Image) -> LogoBox:
    found = mask.point(lambda a: 255 if a >= 64 else 0).getbbox() or mask.getbbox() or (0, 0, *mask.size)
    return LogoBox(label, *found)
