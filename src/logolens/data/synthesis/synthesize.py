"""From artwork to a data set on disk.

folder/
    train/<label>/*.jpg, train/none/*.jpg    to learn from
    val/..., test/...                        on backgrounds that training does not see
    boxes.csv                                path,label,x1,y1,x2,y2,split,group: the box of each logo
    contact-sheet.png                        some of them, to look at
    synthesis.json                           what was made, and from what; a folder without it is not complete
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from logolens.config import BACKGROUND, SynthesisSettings
from logolens.data import Notes
from logolens.data.folder import CONTACT_SHEET
from logolens.data.synthesis.backdrops import Backdrop, builtin_backdrops, own_backdrops
from logolens.data.synthesis.composing import LogoBox
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
from logolens.data.synthesis.planning import PARTS, Planned, plan, render
from logolens.data.synthesis.reading import Collection, read_artworks
from logolens.data.synthesis.sheet import contact_sheet
from logolens.errors import DataError
from logolens.io.images import content_hash
from logolens.io.names import file_name

__all__ = [
    "BOXES",
    "MARKER",
    "VERSION",
    "Materials",
    "Synthesised",
    "compose_from",
    "gather",
    "read_synthesised",
    "synthesize",
]

MARKER = "synthesis.json"
"""The file that says that a folder was composed, and is complete."""

BOXES = "boxes.csv"
"""The table of all images and boxes."""

VERSION = 3
"""Of what is composed; raise it whenever the same artwork, settings and seed give other images."""

_MAKER = Maker(
    MARKER,
    "logolens synthesize",
    "composed images",
    frozenset({"labels", "counts", "notes"}),
    "--force",
)
_COLUMNS = ("path", "label", "x1", "y1", "x2", "y2", "split", "group")
_SHOWN = 60


@dataclass(frozen=True)
class Synthesised:
    """A complete folder of composed images.

    Attributes:
        folder: where it is.
        labels: the labels, sorted; ``none`` is not among them.
        counts: how many images each label has, and ``none``.
        notes: what was odd about artwork and backgrounds, a sentence each.
    """

    folder: Path
    labels: tuple[str, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]

    @property
    def boxes(self) -> Path:
        """The table of all images with the logos' boxes and the parts; training takes it as it is."""
        return self.folder / BOXES

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self.folder / CONTACT_SHEET


def synthesize(
    artwork: Path | str | Sequence[Path | str],
    out: Path | str,
    settings: SynthesisSettings = SynthesisSettings(),
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Synthesised:
    """Compose images of logos from their artwork.

    All is written beside ``out`` under a hidden name and renamed when complete, so an interrupted run leaves nothing that
    could be taken for the whole. The same artwork, settings and release give the same bytes again, whatever the number of
    threads. The method is that of Su, Zhu and Gong, "Deep Learning Logo Detection with Data Expansion by Synthesising
    Context" (WACV 2017); see `logolens.data.synthesis.composing`.

    Args:
        artwork: a folder with one subfolder a label, or several labels' folders or files (SVG, PDF, PNG, other images).
        out: where to; absent, empty, or what an earlier call made.
        settings: how many, on what, how large, and the seed.
        force: replace what an earlier call made there.
        progress: told how far it is.

    Raises:
        DataError: artwork or backgrounds cannot be used.
        MissingExtraError: what draws SVG or PDF is not installed.
        UsageError: ``out`` holds something else or cannot be written, or two labels are the same.
    """
    paths = [Path(artwork)] if isinstance(artwork, (str, Path)) else [Path(path) for path in artwork]
    check_target(Path(out), _MAKER, force)
    return compose_from(gather(paths, settings, progress=progress), Path(out), settings, force=force, progress=progress)


@dataclass(frozen=True)
class Materials:
    """What images are composed from.

    Attributes:
        collection: the artwork.
        backdrops: what it is composed on, by part.
        notes: what was odd about either, a sentence each.
    """

    collection: Collection
    backdrops: dict[str, tuple[Backdrop, ...]]
    notes: tuple[str, ...]

    def key(self, settings: SynthesisSettings, train_only: Iterable[str] = ()) -> str:
        """A hash of all that decides what is composed: the same gives the same images."""
        behind = {part: [each.name for each in members] for part, members in self.backdrops.items()}
        held = [VERSION, self.collection.key, behind, _lasting(settings), sorted(train_only)]
        return content_hash(json.dumps(held).encode())


def gather(paths: Sequence[Path], settings: SynthesisSettings, *, progress: Progress | None = None) -> Materials:
    """Read artwork and backgrounds; see `synthesize` for the arguments and the errors."""
    collection = read_artworks(paths)
    notes = Notes()
    backdrops = _backdrops(settings, notes, progress)
    return Materials(collection, backdrops, (*collection.notes, *(str(note) for note in notes.all())))


def compose_from(
    materials: Materials,
    out: Path,
    settings: SynthesisSettings,
    *,
    train_only: Iterable[str] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> Synthesised:
    """Compose images from what was gathered, as `synthesize` does.

    Args:
        train_only: labels, ``none`` maybe among them, all of whose images are to learn from, since photos judge them.
    """
    collection = materials.collection
    jobs = plan(collection, materials.backdrops, settings, frozenset(train_only))
    with being_made(out, _MAKER, force) as temporary:
        places = [job.path for job in jobs]
        answers = write_images(
            temporary, places, lambda position: render(jobs[position], collection, settings), progress, settings.threads
        )
        write_table(temporary / BOXES, _COLUMNS, _rows(jobs, answers))
        chosen = _chosen(jobs)
        sheet = contact_sheet([(temporary / file_name(str(jobs[i].path)), jobs[i].label, answers[i]) for i in chosen])
        sheet.save(temporary / CONTACT_SHEET)
        files = [*map(str, places), BOXES, CONTACT_SHEET]
        write_marker(temporary, _MAKER, _facts(collection, settings, jobs, materials.notes), files)
    return read_synthesised(out)


def read_synthesised(folder: Path) -> Synthesised:
    """What `synthesize` left in a folder.

    Raises:
        DataError: the folder is not complete, or holds something else.
    """
    marker = read_marker(folder, _MAKER)
    if marker is None:
        raise DataError(
            f"{folder} holds no complete set of composed images: its {MARKER} is missing or damaged. Run logolens synthesize."
        )
    if missing := [name for name in marker["files"] if not (folder / file_name(name)).is_file()]:
        raise DataError(f"{folder} lacks {missing[0]}, which was composed there. Run logolens synthesize again.")
    return Synthesised(folder, tuple(marker["labels"]), dict(marker["counts"]), tuple(marker["notes"]))


def _backdrops(settings: SynthesisSettings, notes: Notes, progress: Progress | None) -> dict[str, tuple[Backdrop, ...]]:
    shares = {"val": settings.val, "test": settings.test}
    if settings.backgrounds is None:
        return builtin_backdrops(held=any(shares.values()))

    def read(done: int, total: int) -> None:
        if progress is not None:
            progress("reading backgrounds", done, total)

    return own_backdrops(settings.backgrounds, shares, notes, progress=read)


def _rows(jobs: Sequence[Planned], answers: Sequence[Sequence[LogoBox]]) -> Iterator[tuple[object, ...]]:
    for job, boxes in zip(jobs, answers, strict=True):
        for box in boxes:
            yield (job.path, box.label, box.x1, box.y1, box.x2, box.y2, job.part, job.backdrop.name)
        if not boxes:
            yield (job.path, job.label, "", "", "", "", job.part, job.backdrop.name)


def _chosen(jobs: Sequence[Planned]) -> list[int]:
    """Some of the images for the contact sheet: of every label in turn, of every part, evenly over each."""
    by_label: dict[str, list[int]] = {}
    for position, job in enumerate(jobs):
        by_label.setdefault(job.label, []).append(position)
    each = max(1, _SHOWN // len(by_label))
    found = []
    for members in list(by_label.values())[:_SHOWN]:
        step = max(1, len(members) // each)
        found += members[::step][:each]
    return found[:_SHOWN]


def _facts(
    collection: Collection, settings: SynthesisSettings, jobs: Sequence[Planned], notes: Sequence[str]
) -> dict[str, Any]:
    counts = Counter(job.label for job in jobs)
    return {
        "version": VERSION,
        "artwork": collection.key,
        "settings": _lasting(settings),
        "labels": list(collection.variants),
        "counts": {label: counts[label] for label in (*collection.variants, BACKGROUND) if counts[label]},
        "parts": {part: sum(job.part == part for job in jobs) for part in PARTS},
        "notes": list(notes),
    }


def _lasting(settings: SynthesisSettings) -> dict[str, Any]:
    """The settings that decide what is composed."""
    held = {name: value for name, value in asdict(settings).items() if name != "threads"}
    return {name: str(value) if isinstance(value, Path) else value for name, value in held.items()}
