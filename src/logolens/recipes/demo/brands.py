"""Real brands' artwork: which brands the demo shows, their colour, and the drawing as a grid of coverage.

The drawings come from two packages of public brand icons: ``simple-icons-pack`` (CC0; today's artwork) and
``simpleicons`` (the same brands as they looked in 2022). resvg turns their SVG into pixels.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from logolens.data.synthesis.artwork import Artwork
from logolens.errors import DataError, UsageError, require

__all__ = [
    "BRANDS",
    "CHANGED_BRAND",
    "OTHER_BRANDS",
    "OTHER_BRANDS_UNSEEN",
    "artwork",
    "artworks",
    "available",
    "rasterise",
    "resemblance",
]

BRANDS: tuple[str, ...] = (
    "apple",
    "bmw",
    "burgerking",
    "cocacola",
    "mastercard",
    "mcdonalds",
    "nike",
    "puma",
    "shell",
    "spotify",
    "starbucks",
    "toyota",
)
"""The labels of the demo: slugs of ``simple-icons-pack``."""

OTHER_BRANDS: tuple[str, ...] = (
    "airbnb", "airfrance", "alienware", "amd", "arduino", "asus", "atari", "audi", "bentley", "bitcoin", "blender",
    "bluetooth", "boeing", "bootstrap", "bosch", "cadillac", "carrefour", "caterpillar", "chevrolet", "cisco",
    "dell", "discord", "docker", "dolby", "dropbox", "elastic", "epicgames", "ericsson", "etsy", "facebook",
    "fedex", "ferrari", "ford", "github", "googlechrome", "hp", "hsbc", "ikea", "instagram", "intel", "jeep", "kfc",
    "kia", "lidl", "linux", "lucid", "mazda", "medium", "mitsubishi", "nasa", "netflix", "nvidia", "opel",
    "pinterest", "porsche", "qualcomm", "reddit", "sap", "seat", "skoda", "strava", "subaru", "suse", "telegram",
    "tesla", "tinder", "toml", "tripadvisor", "twitch", "uber", "unilever", "ups", "vlcmediaplayer", "vodafone",
    "whatsapp", "wikipedia", "wordpress",
)  # fmt: skip
"""Brands that are no label; they stand in the training photos that show none of the labels."""

OTHER_BRANDS_UNSEEN: tuple[str, ...] = (
    "adidas", "android", "astonmartin", "bugatti", "chrysler", "dacia", "deezer", "deutschetelekom", "dhl",
    "ducati", "ebay", "emirates", "firefox", "gitlab", "honda", "huawei", "hyundai", "infiniti", "jordan",
    "lamborghini", "lenovo", "lufthansa", "maserati", "messenger", "mini", "nissan", "nokia", "peugeot",
    "playstation", "renault", "rollsroyce", "ryanair", "samsung", "shazam", "snapchat", "soundcloud", "steam",
    "suzuki", "tacobell", "target", "thenorthface", "tiktok", "ubuntu", "underarmour", "unity", "visa",
    "volkswagen", "volvo", "waze", "xiaomi", "youtube", "zoom",
)  # fmt: skip
"""Brands that are no label and that training never shows; they stand in the unseen photos."""

CHANGED_BRAND = "citroen"
"""The brand of the old/new task: Citroën took a new emblem, chevrons in an oval, in September 2022."""

_SIDE = 384  # About as large as a logo is ever shown.


def rasterise(svg: str, side: int = _SIDE) -> NDArray[np.uint8]:
    """Draw an SVG on a transparent square.

    Returns:
        Coverage, uint8, shape (side, side).

    Raises:
        DataError: the text is no SVG that resvg can draw.
        MissingExtraError: resvg-py is not installed.
    """
    resvg = require("resvg_py", "demo")
    try:
        png = resvg.svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True)
    except ValueError as error:
        raise DataError(f"The SVG artwork cannot be drawn ({error}). Give a complete SVG document.") from error
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        return np.asarray(image.convert("RGBA").getchannel("A"))


def artwork(slug: str, *, year: Literal["now", "2022"] = "now", label: str | None = None) -> Artwork:
    """The artwork of one brand.

    Args:
        slug: the brand's short name in ``simple-icons-pack``, as in ``"burgerking"``.
        year: ``"now"`` for today's artwork, ``"2022"`` for what the brand showed in that year.
        label: the label, where it is not the slug.

    Raises:
        DataError: the installed package holds no such brand, or its drawing shows nothing.
        MissingExtraError: a package of the ``demo`` extra is not installed.
    """
    drawn = _drawn(slug, year)
    if drawn is None:
        package = "simple-icons-pack" if year == "now" else "simpleicons"
        raise DataError(
            f"The installed {package} has no brand {slug!r}. Choose another slug, "
            "or install the version that logolens[demo] asks for."
        )
    return drawn if label is None else replace(drawn, label=label)


def available(slugs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of some brands that the installed package holds, and those that it lacks."""
    found = [slug for slug in slugs if _icon(slug, "now") is not None]
    return found, [slug for slug in slugs if slug not in found]


def artworks(slugs: Sequence[str]) -> tuple[list[Artwork], list[str]]:
    """The artwork of several brands.

    A brand that the installed package lacks is left out: packages of brand icons drop a brand at its owner's wish.

    Returns:
        The artwork that was found, in the order asked, and the slugs that were not.

    Raises:
        DataError: fewer than two of the brands were found, so that there is nothing to tell apart.
    """
    found, absent = available(slugs)
    if len(found) < 2:
        raise DataError(
            f"The installed simple-icons-pack holds {len(found)} of the {len(slugs)} brands asked for "
            f"(absent: {', '.join(absent)}); two are needed. Run: pip install 'logolens[demo]'"
        )
    return [artwork(slug) for slug in found], absent


def resemblance(one: Artwork, other: Artwork) -> float:
    """How much of two drawings coincides when both fill the same square: from 0 (nothing) to 1 (the same drawing)."""
    a, b = (
        np.asarray(Image.fromarray(art.alpha).resize((96, 96), Image.Resampling.BOX), dtype=np.float32)
        for art in (one, other)
    )
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())


@lru_cache(maxsize=256)
def _drawn(slug: str, year: str) -> Artwork | None:
    icon = _icon(slug, year)
    if icon is None:
        return None
    digits = icon.hex.lstrip("#")
    colour = (int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16))
    return Artwork(slug, rasterise(icon.svg), colour, str(icon.title))


def _icon(slug: str, year: str) -> Any:
    """The package's own record of a brand, None where it has none."""
    if not slug.isalnum() or Path(slug).name != slug:
        raise UsageError(f"{slug!r} is no brand's short name; these are letters and digits, as in 'burgerking'.")
    if year == "now":
        return require("simple_icons_pack", "demo").get_icon(slug)
    icons = require("simpleicons.all", "demo").icons
    return icons.get(slug)
