"""The demo's data on disk: photos to train on, unseen photos, and one brand's old and new logo.

folder/
    train/<label>/*.jpg, train/none/*.jpg       composed on one group of backgrounds
    train.csv                                   path,label,x1,y1,x2,y2: the tight box of each visible logo
    unseen/<label>/*.jpg, unseen/none/*.jpg     other seeds, other backgrounds, other brands that are no label
    oldnew/old/*.jpg, oldnew/new/*.jpg          one brand before and after it changed its logo
    oldnew.csv                                  the same table for them
    oldnew-unseen/old/*.jpg, oldnew-unseen/new/*.jpg
    logolens-demo.json                          what was made, a folder without it is not complete
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from logolens.config import BACKGROUND, setting
from logolens.data.synthesis.artwork import Artwork, decoy
from logolens.data.synthesis.backgrounds import SEEN_BACKGROUNDS, UNSEEN_BACKGROUNDS
from logolens.data.synthesis.camera import encode
from logolens.data.synthesis.composing import LogoBox, compose
from logolens.data.synthesis.output_folder import (
    Maker,
    Progress,
    being_made,
    check_target,
    read_marker,
    write_images,
    write_marker,
    write_table,
)
from logolens.errors import DataError, UsageError
from logolens.recipes.demo.brands import (
    BRANDS,
    CHANGED_BRAND,
    OTHER_BRANDS,
    OTHER_BRANDS_UNSEEN,
    artwork,
    artworks,
    available,
)

__all__ = ["MARKER", "DemoData", "DemoSettings", "Progress", "make_demo_data", "read_demo_data"]

MARKER = "logolens-demo.json"
"""The file that says that a folder is the demo's own, and complete."""

_MAKER = Maker(MARKER, "the demo", "the demo's photos", frozenset({"labels", "titles", "absent", "counts"}), "--force")


@dataclass(frozen=True)
class DemoSettings:
    """How much the demo composes."""

    seed: int = setting(0, "seed of every random choice", low=0)
    per_label: int = setting(25, "training photos of a label", low=2, high=10_000)
    none: int = setting(100, "training photos that show none of the labels", low=0, high=100_000)
    unseen_per_label: int = setting(12, "unseen photos of a label", low=1, high=10_000)
    unseen_none: int = setting(48, "unseen photos that show none of the labels", low=0, high=100_000)
    old_new: int = setting(24, "training photos of the old logo, and as many of the new", low=0, high=10_000)
    unseen_old_new: int = setting(16, "unseen photos of the old logo, and as many of the new", low=0, high=10_000)

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            bounds = type(self).__dataclass_fields__[name].metadata
            if value < bounds["low"] or value > bounds.get("high", value):
                high = f" and at most {bounds['high']}" if "high" in bounds else ""
                raise UsageError(f"{name.replace('_', '-')} is {value!r}; it must be at least {bounds['low']}{high}.")


@dataclass(frozen=True)
class DemoData:
    """A complete folder of composed photos.

    Attributes:
        folder: where it is.
        labels: the labels, sorted; ``none`` is not among them.
        titles: the brands' names for people, by label.
        absent: slugs that the installed package of brand icons lacks; the demo goes on without them.
        counts: how many photos each set holds: ``train``, ``unseen``, ``oldnew``, ``oldnew-unseen``.
    """

    folder: Path
    labels: tuple[str, ...]
    titles: dict[str, str]
    absent: tuple[str, ...]
    counts: dict[str, int]

    @property
    def train(self) -> Path:
        """The training photos, one folder a label."""
        return self.folder / "train"

    @property
    def annotations(self) -> Path:
        """The CSV that lists the training photos with the logos' boxes."""
        return self.folder / "train.csv"

    @property
    def unseen(self) -> Path:
        """Photos that training never sees, one folder a label."""
        return self.folder / "unseen"

    @property
    def oldnew(self) -> Path | None:
        """Training photos of one brand's old and new logo, below it ``old`` and ``new``; None where there are none."""
        return self.folder / "oldnew" if self.counts.get("oldnew") else None

    @property
    def oldnew_annotations(self) -> Path | None:
        """The CSV that lists the photos of ``oldnew`` with the logos' boxes; None where there are none."""
        return self.folder / "oldnew.csv" if self.counts.get("oldnew") else None

    @property
    def oldnew_unseen(self) -> Path | None:
        """Unseen photos of that brand's old and new logo; None where there are none."""
        return self.folder / "oldnew-unseen" if self.counts.get("oldnew-unseen") else None


@dataclass(frozen=True)
class _Job:
    """One photo to compose."""

    path: PurePosixPath
    label: str
    shown: tuple[Artwork, ...]
    others: tuple[str, ...]
    families: tuple[str, ...]
    seed: tuple[int, ...]


def make_demo_data(
    folder: Path,
    settings: DemoSettings = DemoSettings(),
    *,
    brands: Sequence[str] = BRANDS,
    force: bool = False,
    progress: Progress | None = None,
    threads: int | None = None,
) -> DemoData:
    """Compose the demo's photos.

    All is written beside ``folder`` under a temporary name and renamed when complete, so an interrupted run leaves
    nothing that could be taken for the whole. The same settings and packages give the same bytes again.

    Args:
        folder: where to; it must be absent or empty, or hold only what an earlier call made.
        settings: how much, and the seed.
        brands: the labels, slugs of ``simple-icons-pack``.
        force: make it anew where an earlier call made it.
        progress: told how far it is.
        threads: how many photos are composed at once; as many as there are processors by default.

    Raises:
        DataError: fewer than two of the brands are in the installed package.
        MissingExtraError: a package of the ``demo`` extra is not installed.
        UsageError: the folder holds something else, cannot be written, or was made before and ``force`` is not given.
    """
    folder = Path(folder)
    check_target(folder, _MAKER, force)
    shown, absent = artworks(brands)
    jobs = _plan(shown, settings, absent)
    with being_made(folder, _MAKER, force) as temporary:
        paths = [job.path for job in jobs]
        boxes = write_images(temporary, paths, lambda position: _render(jobs[position]), progress, threads)
        tables = sorted({job.path.parts[0] for job in jobs} & {"train", "oldnew"})
        for part in tables:
            rows = _annotations(part, jobs, boxes)
            write_table(temporary / f"{part}.csv", ["path", "label", "x1", "y1", "x2", "y2"], rows)
        counts: dict[str, int] = {}
        for job in jobs:
            counts[job.path.parts[0]] = counts.get(job.path.parts[0], 0) + 1
        facts = {
            "settings": asdict(settings),
            "labels": sorted(art.label for art in shown),
            "titles": {art.label: art.title for art in shown},
            "absent": absent,
            "counts": counts,
        }
        write_marker(temporary, _MAKER, facts, [*map(str, paths), *(f"{part}.csv" for part in tables)])
    return read_demo_data(folder)


def read_demo_data(folder: Path) -> DemoData:
    """What ``make_demo_data`` left in a folder.

    Raises:
        DataError: the folder is not complete, or not the demo's.
    """
    marker = read_marker(Path(folder), _MAKER)
    if marker is None:
        raise DataError(f"{folder} holds no complete demo data: its {MARKER} is missing or damaged. Make it anew.")
    return DemoData(
        folder=Path(folder),
        labels=tuple(marker["labels"]),
        titles=dict(marker["titles"]),
        absent=tuple(marker["absent"]),
        counts=dict(marker["counts"]),
    )


# --- what is composed ----------------------------------------------------------------------------------------------


def _plan(shown: Sequence[Artwork], settings: DemoSettings, absent: list[str]) -> list[_Job]:
    """Every photo, in a fixed order. Brands that the package lacks are added to ``absent``."""
    jobs: list[_Job] = []
    labels = {art.label for art in shown}
    sets = (
        ("train", SEEN_BACKGROUNDS, OTHER_BRANDS, settings.per_label, settings.none),
        ("unseen", UNSEEN_BACKGROUNDS, OTHER_BRANDS_UNSEEN, settings.unseen_per_label, settings.unseen_none),
    )
    for part, (name, families, slugs, count, none) in enumerate(sets):
        for art in shown:
            # The seed follows the label's name, not its place: an absent brand changes no other's photos.
            jobs += _photos(name, art.label, (art,), (), families, count, (settings.seed, part, *art.label.encode()))
        found, missing = available([slug for slug in slugs if slug not in labels])
        absent += missing
        jobs += _photos(name, BACKGROUND, (), tuple(found), families, none, (settings.seed, part))
    if settings.old_new and settings.unseen_old_new:
        try:
            ages = [artwork(CHANGED_BRAND, year="2022", label="old"), artwork(CHANGED_BRAND, label="new")]
        except DataError:
            absent.append(CHANGED_BRAND)
            ages = []
        for art in ages:
            turn = (settings.seed, 2, *art.label.encode())
            jobs += _photos("oldnew", art.label, (art,), (), SEEN_BACKGROUNDS, settings.old_new, turn)
            turn = (settings.seed, 3, *art.label.encode())
            jobs += _photos("oldnew-unseen", art.label, (art,), (), UNSEEN_BACKGROUNDS, settings.unseen_old_new, turn)
    return jobs


def _photos(
    part: str,
    label: str,
    shown: tuple[Artwork, ...],
    others: tuple[str, ...],
    families: tuple[str, ...],
    count: int,
    seed: tuple[int, ...],
) -> list[_Job]:
    return [
        _Job(PurePosixPath(part, label, f"{label}-{i:04d}.jpg"), label, shown, others, families, (*seed, i))
        for i in range(count)
    ]


def _render(job: _Job) -> tuple[bytes, list[LogoBox]]:
    rng = np.random.default_rng(job.seed)
    # In turn, so that every label stands on every background about as often.
    family = job.families[job.seed[-1] % len(job.families)]
    others: list[Artwork] = []
    if job.shown:
        if rng.random() < 0.4:
            others.append(decoy(rng))
    else:
        for _ in range(int(rng.choice([0, 1, 1, 1, 2, 2]))):
            if job.others and rng.random() < 0.5:
                others.append(artwork(job.others[int(rng.integers(0, len(job.others)))]))
            else:
                others.append(decoy(rng))
    shown = job.shown * 2 if rng.random() < 0.06 else job.shown  # Shop fronts show a logo twice now and then.
    picture, boxes = compose(shown, family, rng, others=others)
    return encode(picture, rng), boxes


def _annotations(part: str, jobs: Sequence[_Job], answers: Sequence[Sequence[LogoBox]]) -> Iterator[tuple[object, ...]]:
    for job, boxes in zip(jobs, answers, strict=True):
        if job.path.parts[0] != part:
            continue
        for box in boxes:
            yield (job.path, job.label, box.x1, box.y1, box.x2, box.y2)
        if not boxes:
            yield (job.path, job.label, "", "", "", "")
