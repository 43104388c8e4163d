"""Which images are composed: of what, on what, from which seed. The plan is the same for any number of threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from logolens.config import BACKGROUND, Conditions, SynthesisSettings
from logolens.data.synthesis.artwork import Artwork, decoy
from logolens.data.synthesis.backdrops import Backdrop
from logolens.data.synthesis.camera import encode
from logolens.data.synthesis.composing import LogoBox, compose, photo_size
from logolens.data.synthesis.marks import mark
from logolens.data.synthesis.reading import Collection

__all__ = ["PARTS", "WORLD", "Planned", "plan", "render"]

PARTS = ("train", "val", "test")

WORLD = Conditions(
    curved=0.3,
    one_colour=0.2,
    wording=0.3,
    halftone=0.12,
    screen=0.12,
    moire=0.05,
    dappled=0.12,
    lamp=0.12,
    shaken=0.12,
    rescaled=0.35,
    small=0.45,
)
"""As logos meet the camera."""

_LONGEST = 200
"""Bytes of a label in its images' names, which can have 255 in all."""

_TWICE, _BESIDE = 0.06, 0.06
"""Shares of the images that show a logo twice, and that show a second label."""

_MADE_UP = 0.7
"""The share of made-up brands among what stands in an image of no label and was not given."""

_FIRST, _SECOND = 0.22, 0.42
"""Of an image of several logos: the widest that those beside its own are, and the widest of its own."""


@dataclass(frozen=True)
class Planned:
    """One image to compose.

    Attributes:
        path: where in the folder it goes.
        part: "train", "val" or "test".
        label: the label, or ``none``.
        shown: the logo's drawing; None of an image without one.
        backdrop: what it is composed on.
        seed: of all its random choices.
    """

    path: PurePosixPath
    part: str
    label: str
    shown: Artwork | None
    backdrop: Backdrop
    seed: tuple[int, ...]


def plan(
    collection: Collection,
    backdrops: Mapping[str, Sequence[Backdrop]],
    settings: SynthesisSettings,
    train_only: frozenset[str] = frozenset(),
) -> list[Planned]:
    """Every image, in a fixed order: part by part, label by label, ``none`` last; of labels ``train_only`` all to train on."""
    none = _none(settings, len(collection.variants))
    jobs = []
    for number, part in enumerate(PARTS):
        behind = backdrops.get(part, ())
        for label, variants in (*collection.variants.items(), (BACKGROUND, ())):
            counts = _counts(settings.count if variants else none, settings, held=label not in train_only)
            count = counts[part] if behind else 0
            short = label.encode()[:_LONGEST].decode("utf-8", "ignore")
            digits = len(str(settings.count if variants else none))
            for place in range(count):
                # The seed follows the label's name, not its place: a further label changes no other's images.
                seed = (settings.seed, 10 + number, *label.encode(), place)
                art = variants[place % len(variants)] if variants else None
                # Every variant meets every background.
                turn = (place // len(variants) if variants else place) % len(behind)
                name = f"{short}-{part}-{place:0{max(4, digits)}d}.jpg"
                jobs.append(Planned(PurePosixPath(part, label, name), part, label, art, behind[turn], seed))
    return jobs


def _none(settings: SynthesisSettings, labels: int) -> int:
    """How many images show none of the labels: the more labels, the more there is that could be taken for one of them."""
    return settings.none if settings.none is not None else max(2, labels // 10) * settings.count


def _counts(count: int, settings: SynthesisSettings, *, held: bool) -> dict[str, int]:
    """How many images go to each part: one at least where a share is asked for and there is enough."""
    val, test = (
        max(1, round(share * count)) if held and share and count >= 3 else 0 for share in (settings.val, settings.test)
    )
    return {"train": count - val - test, "val": val, "test": test}


def render(job: Planned, collection: Collection, settings: SynthesisSettings) -> tuple[bytes, list[LogoBox]]:
    """Compose one image: the file, and the boxes of the logos that show."""
    rng = np.random.default_rng(job.seed)
    picture = job.backdrop.picture(photo_size(rng, settings.size), rng)
    others = _others(job, collection, rng)
    shown = _shown(job, collection, rng)
    sizes = (settings.smallest, settings.largest)
    beside = None
    if len(shown) > 1:
        # The image's own logo is the larger one, and both find room.
        sizes = (min(max(sizes[0], _FIRST), _SECOND), min(max(sizes[1], _FIRST), _SECOND))
        beside = (min(settings.smallest, _FIRST), min(settings.largest, _FIRST))
    composed, boxes = compose(
        shown, picture, rng, others=others, width_share=sizes, beside_share=beside, conditions=WORLD
    )
    return encode(composed, rng), _kept(boxes, job.label)


def _shown(job: Planned, collection: Collection, rng: np.random.Generator) -> list[Artwork]:
    """The logos of an image: one; now and then the same again, as on a shop front, or another label's beside it."""
    if job.shown is None:
        return []
    probability = float(rng.random())
    if probability < _TWICE:
        return [job.shown, job.shown]
    rest = [label for label in collection.variants if label != job.label]
    if probability < _TWICE + _BESIDE and rest:
        variants = collection.variants[rest[int(rng.integers(0, len(rest)))]]
        # Below the image's own logo, which so hides and is not hidden.
        return [variants[int(rng.integers(0, len(variants)))], job.shown]
    return [job.shown]


def _others(job: Planned, collection: Collection, rng: np.random.Generator) -> list[Artwork]:
    """What else is there: words, shapes, other brands.

    An image of no label has more of it, or nothing at all, and made-up brands too. These are new in every image, so that those
    by which a model is judged are as strange to it as what it will meet.
    """
    count = int(rng.random() < 0.4) if job.shown is not None else int(rng.choice([0, 1, 1, 1, 2, 2]))
    found = []
    for _ in range(count):
        if collection.others and rng.random() < 0.5:
            found.append(collection.others[int(rng.integers(0, len(collection.others)))])
        else:
            found.append(mark(rng) if job.shown is None and rng.random() < _MADE_UP else decoy(rng))
    return found


def _kept(boxes: Sequence[LogoBox], label: str) -> list[LogoBox]:
    """The boxes, the image's own label first; a second label's that is hidden almost whole is left out."""
    own = [box for box in boxes if box.label == label]
    rest = [box for box in boxes if box.label != label and min(box.x2 - box.x1, box.y2 - box.y1) >= 8]
    return [*own, *rest]
