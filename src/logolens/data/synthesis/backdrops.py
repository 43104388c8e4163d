"""What logos are composed on: the user's own photos, or the built-in pictures; each part of the data on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from logolens.config import Limits
from logolens.data import Facts, Notes, same_photos
from logolens.data.indexing import Progress, read_all
from logolens.data.synthesis.backgrounds import SEEN_BACKGROUNDS, UNSEEN_BACKGROUNDS, background
from logolens.errors import DataError, UsageError
from logolens.io.images import IMAGE_SUFFIXES, open_apart, read_known
from logolens.io.sources import walk

__all__ = ["Backdrop", "builtin_backdrops", "own_backdrops"]

ENOUGH = 12
"""Pictures of the user's, copies counted once, below which built-in ones stand beside them."""

_SMALLEST = 200


@dataclass(frozen=True)
class Backdrop:
    """One thing to compose on.

    Attributes:
        name: what it is called; images that share it belong together.
        path: the user's photo; None of a built-in family.
        sha256: of that photo.
    """

    name: str
    path: Path | None = None
    sha256: str = ""

    def picture(self, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
        """A picture of it, RGB, of exactly this width and height: of a photo some part, maybe mirrored, lighter or darker.

        Raises:
            ImageError: the photo has changed, or cannot be read any more.
        """
        if self.path is None:
            return background(self.name, size, rng)
        share = float(rng.uniform(0.55, 1.0))
        image = open_apart(read_known(self.path, self.sha256), shrink_to=round(max(size) / 0.55))
        w, h = image.size
        scale = share * min(w / size[0], h / size[1])
        across, down = size[0] * scale, size[1] * scale
        left, top = float(rng.uniform(0, w - across)), float(rng.uniform(0, h - down))
        cut = image.resize(size, Image.Resampling.BILINEAR, (left, top, left + across, top + down), reducing_gap=2.0)
        if rng.random() < 0.5:
            cut = ImageOps.mirror(cut)
        return ImageEnhance.Brightness(cut).enhance(float(rng.uniform(0.75, 1.2)))


def builtin_backdrops(*, held: bool) -> dict[str, tuple[Backdrop, ...]]:
    """The built-in families by part of the data, none in two; all of them to train on where nothing is ``held`` out."""
    if not held:
        return {"train": tuple(Backdrop(name) for name in (*SEEN_BACKGROUNDS, *UNSEEN_BACKGROUNDS))}
    return {
        "train": tuple(Backdrop(name) for name in SEEN_BACKGROUNDS),
        "val": tuple(Backdrop(name) for name in UNSEEN_BACKGROUNDS[::2]),
        "test": tuple(Backdrop(name) for name in UNSEEN_BACKGROUNDS[1::2]),
    }


def own_backdrops(
    folder: Path,
    shares: dict[str, float],
    notes: Notes,
    *,
    limits: Limits = Limits(),
    progress: Progress | None = None,
) -> dict[str, tuple[Backdrop, ...]]:
    """The user's photos by part of the data, copies and near copies kept in one part.

    Files that cannot be read are left out with a note. Of fewer than a dozen pictures, built-in families stand beside them.

    Args:
        folder: with photos at any depth.
        shares: how much goes to "val" and to "test".
        notes: told what is left out.
        limits: how large a photo may be.
        progress: told how many have been read.

    Raises:
        UsageError: there is no such folder.
        DataError: no photo in it can be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name one with photos to compose on, or leave --backgrounds out.")
    paths = [path for path in walk(folder, suffixes=None, folder_links=True) if path.suffix.lower() in IMAGE_SUFFIXES]
    kept: list[tuple[Path, Facts]] = []
    for path, facts in zip(paths, read_all(paths, limits=limits, progress=progress), strict=True):
        if not isinstance(facts, Facts):
            reason = str(facts).removeprefix(f"{path}: ").rstrip(".")
            notes.add("unreadable-background", "Backgrounds that cannot be read, left out: {n}.", [f"{path}: {reason}"])
        elif facts.kind == "SVG" or min(facts.width, facts.height) < _SMALLEST:
            message = f"Backgrounds that are drawings or below {_SMALLEST} pixels, left out: {{n}}."
            notes.add("small-background", message, [str(path)])
        else:
            kept.append((path, facts))
    if not kept:
        why = " ".join(map(str, notes.all()))
        raise DataError(f"{folder} holds no photo to compose on. {why or 'Give a folder of photos without logos.'}")
    groups: dict[int, list[Backdrop]] = {}
    same = same_photos(
        [facts.thumbs for _, facts in kept],
        [facts.aspects for _, facts in kept],
        files=[facts.sha256 for _, facts in kept],
        names=[path.as_posix() for path, _ in kept],
        labels=[("background",)] * len(kept),
        points=[facts.points for _, facts in kept],
        paths=[path for path, _ in kept],
    )
    for (path, facts), group in zip(kept, same.groups, strict=True):
        groups.setdefault(group, []).append(Backdrop(f"photo {facts.sha256[:12]}", path, facts.sha256))
    parts = _divided(list(groups.values()), shares)
    if len(groups) < ENOUGH:
        message = (
            f"Only {{n}} different photos to compose on, so built-in backgrounds stand beside them; {ENOUGH} or more of your "
            "own serve better."
        )
        notes.add("few-backgrounds", message, count=len(groups))
        for part, families in builtin_backdrops(held=any(shares.values())).items():
            if part == "train" or shares[part]:
                parts[part] = (*parts.get(part, ()), *families)
    return parts


def _divided(groups: Sequence[list[Backdrop]], shares: dict[str, float]) -> dict[str, tuple[Backdrop, ...]]:
    """Groups of copies to parts, by their content, so that a renamed folder is divided as before."""
    order = sorted(groups, key=lambda group: min(each.sha256 for each in group))
    parts: dict[str, tuple[Backdrop, ...]] = {}
    taken = 0
    for part, share in shares.items():
        count = min(max(1, round(share * len(order))), max(0, len(order) - taken - 1)) if share else 0
        members = order[taken : taken + count]
        taken += count
        if members:
            parts[part] = tuple(sorted((one for group in members for one in group), key=lambda each: each.sha256))
    parts["train"] = tuple(sorted((one for group in order[taken:] for one in group), key=lambda each: each.sha256))
    return parts
