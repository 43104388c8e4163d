"""From a path to a data set: which reader it needs, what each photo is, and what its owner should know about it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from logolens.config import BACKGROUND, Limits
from logolens.data.addresses import Fetch
from logolens.data.archive import archive_hint, is_archive, unpacked
from logolens.data.as_text import as_text
from logolens.data.boxes_apart import boxes_apart
from logolens.data.conventions import in_pixels
from logolens.data.dataset import Box, Dataset, Listing, Note, Notes, Photo, Region
from logolens.data.flickr27 import find_flickr27, list_flickr27
from logolens.data.formats import ANNOTATION_SUFFIXES, list_annotated, list_hint
from logolens.data.indexing import Facts, Progress, read_all
from logolens.data.label_words import note_names
from logolens.data.same_photo import BY_NAME, SAME_FILE, SamePhotos, same_photos
from logolens.data.table import TABLE_SUFFIXES, list_table, names_photos
from logolens.errors import DataError

__all__ = ["FEW", "Reading", "check_enough", "dataset_of", "load", "read", "same_of"]

_LOG = logging.getLogger(__name__)

FEW = 20
"""Below this many photos of a label, expect little of it."""

_TRAITS = {
    "turned": "Photos turned upright as their EXIF data says (boxes are read in the upright photo): {n}.",
    "moving": "Images that are animated or have several pages, of which the first is used: {n}.",
    "clear": "Images with transparency, laid over white, or over a darker ground where white hides them: {n}.",
    "deep": "Images with more than 8 bits a channel, scaled to 8: {n}.",
    "ink": "Images in CMYK, converted to RGB: {n}.",
}


def load(
    path: str | os.PathLike[str],
    *,
    limits: Limits = Limits(),
    queries: bool = False,
    training: bool = True,
    examples: str = "photo",
    progress: Progress | None = None,
    remember: bool = True,
    fetch: Fetch | None = None,
) -> Dataset:
    """Load labelled photos.

    Args:
        path: a folder with one subfolder a label (or train, val and test folders of such); a data set in one of the formats
            of `logolens.data.formats`; a .csv, .tsv or .jsonl table; the Flickr Logos 27 folder or its parent; or a .zip,
            .tar or .tar.gz of one of these, which is unpacked once into the cache folder.
        limits: how large an image may be.
        queries: of Flickr Logos 27, also the query set, as the given part "test".
        training: hold the data against what training needs, see `check_enough`.
        examples: what one example is: "photo", labelled by its largest boxes, or "box", each cut out as an image of its own.
        progress: called as ``progress(done, total)`` while photos are read.
        remember: whether what was learnt of unchanged files may be kept in the cache folder and used again.
        fetch: gives what http and https addresses in a table lead to, called from several threads; without it a table that
            holds some is refused.

    Returns:
        The photos that can be read; what was odd stands in ``notes``, one note a kind.

    Raises:
        DataError: nothing is there, the table or layout cannot be understood, no photo can be read, or, with
            ``training``, there is only one label.
        ArchiveError: the archive is damaged or unsafe.
    """
    found = read(path, Notes(), limits=limits, queries=queries, progress=progress, remember=remember, fetch=fetch)
    dataset = dataset_of(found)
    _LOG.info("%s: %d photos of %d labels", found.place, len(dataset.photos), len(dataset.counts()))
    if examples == "box":
        dataset = boxes_apart(dataset, limits=limits)
    return dataset.with_notes(check_enough(dataset)) if training else dataset


@dataclass(frozen=True)
class Reading:
    """A data set's files as they were found, before anything is dropped, clipped or joined.

    Attributes:
        place: where the data set is.
        kept: what is listed and what is known of its file, sorted by name; boxes are as written.
        unreadable: what is listed and cannot be read as an image, with the reason.
        missing: what is listed and not there.
        notes: what was odd so far.
        limits: how large an image may be, as it was read.
    """

    place: Path
    kept: tuple[tuple[Listing, Facts], ...]
    unreadable: tuple[tuple[Listing, str], ...]
    missing: tuple[Listing, ...]
    notes: Notes
    limits: Limits = Limits()


def read(
    path: str | os.PathLike[str],
    notes: Notes,
    *,
    limits: Limits = Limits(),
    queries: bool = False,
    progress: Progress | None = None,
    remember: bool = True,
    fetch: Fetch | None = None,
) -> Reading:
    """List a data set's files and read each once; see `load` for the arguments.

    Raises:
        DataError: nothing is there, or the table or layout cannot be understood.
        ArchiveError: the archive is damaged or unsafe.
    """
    place = Path(path)
    if str(place).startswith("~") and not place.exists():
        with contextlib.suppress(RuntimeError):  # There is no such user.
            place = place.expanduser()
    present: list[Listing] = []
    missing: list[Listing] = []
    for item in (as_text(item, notes) for item in _list(place, notes, queries, fetch)):
        # What is there and no file, as a pipe, is told as what cannot be read.
        is_there = os.path.exists(item.path) and not os.path.isdir(item.path)
        (present if is_there else missing).append(item)
    if missing:
        names = [item.name for item in missing]
        folder = (place if place.is_dir() else place.parent).resolve()
        notes.add("missing", f"Listed photos that are not there, left out: {{n}}. They were sought in {folder}.", names)
    _LOG.debug("%s lists %d photos that are there, and %d that are not", place, len(present), len(missing))
    facts = read_all([item.path for item in present], limits=limits, progress=progress, remember=remember)
    kept: list[tuple[Listing, Facts]] = []
    unreadable: list[tuple[Listing, str]] = []
    for item, its in zip(present, facts, strict=True):
        if isinstance(its, Facts):
            kept.append((item, its))
            continue
        reason = str(its).removeprefix(f"{item.path}: ").rstrip(".")
        unreadable.append((item, reason))
        notes.add("unreadable", "Files that cannot be read as images, left out: {n}.", [f"{item.name}: {reason}"])
    kept = in_pixels(kept, place, notes)
    kept.sort(key=lambda pair: pair[0].name)
    return Reading(place, tuple(kept), tuple(unreadable), tuple(missing), notes, limits)


def dataset_of(found: Reading, same: SamePhotos | None = None) -> Dataset:
    """The data set that a reading gives.

    Args:
        found: the reading; its notes are told what is dropped, clipped or joined here.
        same: which photos are one, where it is known already.

    Raises:
        DataError: no photo can be read.
    """
    photos = _photos(found, same)
    return Dataset.of(found.place.name or found.place.resolve().name, photos, found.notes.all())


_LOST = ("bad-line", "unknown-class", "unannotated", "unreadable", "missing", "several-files", "unread", "unreachable")
"""Notes of what a data set holds and was not understood, which is why a label may be lacking."""


def check_enough(dataset: Dataset) -> tuple[Note, ...]:
    """Hold a data set against what training needs.

    Returns:
        A note that names the labels of fewer than 20 photos, if there are any.

    Raises:
        DataError: there are no photos, or only one label and no background.
    """
    counts = dataset.counts()
    if not counts:
        raise DataError(f"{dataset.name} holds no photos to learn from.")
    if not dataset.labels:
        raise DataError(f"{dataset.name} holds only photos labelled {BACKGROUND}; add photos of at least one logo.")
    if len(counts) < 2:
        lost = " ".join(str(note) for note in dataset.notes if note.kind in _LOST)
        raise DataError(
            f"{dataset.name} has one label only, {dataset.labels[0]}; there is nothing to tell it from. "
            + (f"See first whether more was meant to be read: {lost} Otherwise add photos " if lost else "Add photos ")
            + f"of a second label, or photos that show no logo, labelled {BACKGROUND}."
        )
    few = [f"{label} {count}" for label, count in counts.items() if count < FEW]
    if not few:
        return ()
    message = (
        f"{len(few)} of {len(counts)} labels have fewer than {FEW} photos: expect answers on these that change with "
        "the split, and accuracy figures with wide intervals; 50 or more photos each serve better."
    )
    return (Note("few-photos", message, len(few), tuple(few)),)


def _list(place: Path, notes: Notes, queries: bool, fetch: Fetch | None) -> list[Listing]:
    if not place.exists():
        raise DataError(
            f"{place}: there is no such file or folder (sought as {place.absolute()}). Name a folder that has a subfolder of "
            "photos for each label, or a list."
        )
    if place.is_dir():
        flickr = find_flickr27(place)
        return list_flickr27(flickr, notes, queries=queries) if flickr else list_annotated(place, notes)
    if place.suffix.lower() in TABLE_SUFFIXES:
        return list_table(place, notes, fetch=fetch)
    if place.suffix.lower() in (".txt", ".json") and names_photos(place):  # .txt as Excel saves "Unicode text".
        return list_table(place, notes, fetch=fetch)
    if place.suffix.lower() in ANNOTATION_SUFFIXES:
        return list_annotated(place, notes)
    if is_archive(place):
        folder = unpacked(place)
        notes.add("unpacked", f"The archive is unpacked in the cache, in {folder}.", count=0)
        if (flickr := find_flickr27(folder)) is not None:
            return list_flickr27(flickr, notes, queries=queries)
        try:
            return list_annotated(folder, notes)
        except DataError as error:
            raise DataError(f"{place} is unpacked, and cannot be read. {error}") from error
    raise DataError(
        archive_hint(place)
        or list_hint(place)
        or f"{place} is no data set. Give a folder with one subfolder for each label, a data set in YOLO's, COCO's, Pascal VOC's "
        "or ImageFolder's format, a .csv, .tsv or .jsonl table with the columns path and label, a .zip or .tar.gz of "
        "one of these, or the Flickr Logos 27 folder or archive."
    )


def _photos(found: Reading, same: SamePhotos | None) -> list[Photo]:
    notes = found.notes
    if not found.kept:
        why = [note for note in notes.all() if note.kind in ("missing", "unreadable", "several-files", "unreachable")]
        raise DataError(
            f"{found.place} holds no photo that can be read. {' '.join([*map(str, why), 'Mend these, or name other photos.'])}"
        )
    if same is None:
        same = same_of(found.kept, limits=found.limits)
    photos = []
    for (item, facts), group, evidence in zip(found.kept, same.groups, same.evidence, strict=True):
        regions = _regions(item, facts, notes)
        place_in = (item.split, item.group, facts.sha256, facts.width, facts.height, group)
        of_origin = (len(item.regions), item.source)
        photos.append(Photo(item.path, item.name, regions, *place_in, *of_origin, evidence))
        for trait, message in _TRAITS.items():
            if trait in facts.traits:
                notes.add(trait, message, [item.name])
    _note_labels(photos, notes)
    _note_copies(photos, notes)
    return photos


def _regions(item: Listing, facts: Facts, notes: Notes) -> tuple[Region, ...]:
    """The distinct regions of a photo, clipped to it. A label that is left without a box stays, for the whole photo."""
    seen: set[Region] = set()
    regions: dict[Region, None] = {}
    for region in item.regions:
        if region.box is not None and region.box.area <= 0:
            message = "Boxes that are empty or inverted, dropped (the photo keeps its label): {n}."
            notes.add("empty-box", message, [item.name])
            region = Region(region.label)
        elif region in seen:
            notes.add("repeated-row", "Rows that repeat an earlier one, counted once: {n}.", [item.name])
            continue
        elif region.box is not None:
            clipped: Box | None = region.box.clipped(facts.width, facts.height)
            seen.add(region)
            if clipped is not None and clipped.area <= 0:
                message = "Boxes that lie outside their photo, dropped (the photo keeps its label): {n}."
                notes.add("outside-box", message, [item.name])
                clipped = None
            elif clipped != region.box:
                notes.add("clipped-box", "Boxes that reach past the photo's edge, clipped: {n}.", [item.name])
            region = Region(region.label, clipped)
        seen.add(region)
        regions[region] = None
    boxed = {region.label for region in regions if region.box is not None}
    return tuple(region for region in regions if region.box is not None or region.label not in boxed)


def same_of(kept: Sequence[tuple[Listing, Facts]], *, limits: Limits = Limits()) -> SamePhotos:
    """Which of the photos of one reading, or of several together, are one.

    Args:
        kept: each listed photo, and what is known of its file.
        limits: how large an image may be that is looked at more closely: as large as it might be when it was read.
    """
    return same_photos(
        [facts.thumbs for _, facts in kept],
        [facts.aspects for _, facts in kept],
        files=[facts.sha256 for _, facts in kept],
        names=[item.name for item, _ in kept],
        labels=[{region.label for region in item.regions} for item, _ in kept],
        points=[facts.points for _, facts in kept],
        paths=[item.path for item, _ in kept],
        limits=limits,
    )


def _note_labels(photos: Sequence[Photo], notes: Notes) -> None:
    counts: Counter[str] = Counter()
    for photo in photos:
        counts.update(photo.labels)
        if len(photo.labels) > 1:
            message = "Photos of several labels, counted for the one whose boxes cover most: {n}."
            notes.add("several-labels", message, [f"{photo.name}: {' and '.join(photo.labels)}"])
    note_names(counts, notes)


def _note_copies(photos: Sequence[Photo], notes: Notes) -> None:
    groups: dict[int, list[Photo]] = {}
    for photo in photos:
        groups.setdefault(photo.near, []).append(photo)
    for group in groups.values():
        if len(group) < 2:
            continue
        names = " = ".join(photo.name for photo in group[:4]) + (" = ..." if len(group) > 4 else "")
        evidence = {how for photo in group for how in photo.evidence}
        if SAME_FILE in evidence:
            message = "Groups that hold the very same file more than once, kept in one part of a split: {n}."
            notes.add("copies", message, [names])
        elif evidence == {BY_NAME}:
            message = "Groups of photos that their names call versions of one photo (by name), kept in one part of a split: {n}."
            notes.add("named-copies", message, [names])
        else:
            names += f" ({'; '.join(sorted(evidence))})"
            message = "Groups of photos that are near copies of one another, kept in one part of a split: {n}."
            notes.add("near-copies", message, [names])
        if len({photo.label for photo in group}) > 1:
            labelled = " = ".join(f"{photo.name} ({photo.label})" for photo in group[:4])
            message = "Groups of copies or near copies that carry different labels, which is worth a look: {n}."
            notes.add("conflicting-labels", message, [labelled])
