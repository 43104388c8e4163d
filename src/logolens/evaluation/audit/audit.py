"""From a data set to what is odd about it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from logolens.config import AuditSettings, Limits
from logolens.data import Dataset, Notes, Reading, dataset_of, read, same_of
from logolens.data.checks.duplicates import about_copies
from logolens.data.checks.findings import Audit, Finding, ordered
from logolens.data.checks.image_files import about_boxes, about_files, about_labels
from logolens.errors import DataError, MissingExtraError, UsageError
from logolens.evaluation.audit.label_issues import about_images
from logolens.evaluation.audit.written import about_words
from logolens.types import Progress, silent

__all__ = ["audit"]


_NAMED = 10_000
"""Places that a note of the audit names; training's notes name five."""

_REPORTED = (
    "not-image",
    "unlabelled",
    "unlisted",
    "unlistable",
    "linked-back",
    "empty-folder",
    "repeated-row",
    "unknown-column",
    "queries",
)
"""Notes of the reading that are no finding: they concern no photo of the data set."""


def audit(
    data: Path | str,
    settings: AuditSettings = AuditSettings(),
    *,
    against: Path | str | None = None,
    limits: Limits = Limits(),
    progress: Progress | None = None,
) -> Audit:
    """Look for what is wrong with a data set; see `findings.KINDS` for what that can be. Nothing is changed.

    Every file is read once. What is kept of a photo is two grey thumbnails of 1,024 bytes and some numbers, so that 100,000
    photos need less than 1 GB; what was learned of unchanged files is remembered in the cache folder.

    Args:
        data: as for training: a folder, a list, or the Flickr Logos 27 archive or folder.
        settings: what counts as odd.
        against: another data set, none of whose pictures should be in this one, as the test photos of a benchmark.
        limits: how large an image may be.
        progress: told of the work as it is done.

    Raises:
        UsageError: the data set is held against itself.
        DataError: a data set cannot be understood, or holds no photo that can be read.
    """
    start = time.perf_counter()
    on_progress = progress or silent
    if against is not None and os.path.realpath(data) == os.path.realpath(against):
        raise UsageError(f"{data} is held against itself; copies within it are found anyway. Name another data set.")
    found = read(
        data, Notes(most=_NAMED), limits=limits, progress=lambda done, total: on_progress("reading photos", done, total)
    )
    other = None
    if against is not None:
        other = read(
            against, Notes(), limits=limits, progress=lambda done, total: on_progress("reading the other", done, total)
        )
    on_progress("seeking copies", 0, 1)
    dataset, elsewhere = _together(found, other)
    findings: list[Finding] = [
        *about_files(found, settings),
        *about_copies(dataset, elsewhere, limits=limits),
        *about_boxes(found, settings),
        *about_labels(dataset, settings),
    ]
    on_progress("seeking copies", 1, 1)
    notes = [str(replace(note, examples=note.examples[:5])) for note in dataset.notes if note.kind in _REPORTED]
    read_in, unread = about_words(dataset, settings, on_progress)
    findings += read_in
    notes += unread
    unchecked = None
    if settings.labels:
        found = replace(found, kept=())  # The thumbnails have done their work.
        try:
            further, more_notes = about_images(dataset, settings, on_progress)
            findings += further
            notes += more_notes
        except (MissingExtraError, DataError) as error:
            unchecked = f"Wrong labels were not sought. {error}"
    else:
        unchecked = "Wrong labels were not sought, as was asked for (--no-labels)."
    files = {photo.name: photo.path for photo in dataset.photos}
    named = {name for finding in findings for name in finding.photos}
    others = {name for finding in findings for name in finding.others}
    return Audit(
        data=os.fspath(data),
        against=None if against is None else os.fspath(against),
        photos=len(dataset),
        labels=dataset.counts(),
        findings=ordered(findings),
        notes=tuple(notes),
        unchecked=unchecked,
        files={name: files[name] for name in files.keys() & named},
        other_files={photo.name: photo.path for photo in elsewhere.photos if photo.name in others} if elsewhere else {},
        seconds=time.perf_counter() - start,
    )


def _together(found: Reading, other: Reading | None) -> tuple[Dataset, Dataset | None]:
    """Both data sets with copies numbered through: a picture has one number in either."""
    if other is None:
        return dataset_of(found), None
    same = same_of((*found.kept, *other.kept), limits=found.limits)
    own = len(found.kept)
    return dataset_of(found, same.part(0, own)), dataset_of(other, same.part(own))
