"""From what the user names to what is learned from: photos read, lists of decisions heeded, parts divided, gaps filled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from logolens.config import Limits, SourceSettings, TrainSettings
from logolens.data import (
    Dataset,
    Split,
    check_corrections,
    check_enough,
    check_exclusions,
    load,
    split,
    with_corrections,
    without,
)
from logolens.data.boxes_apart import boxes_apart
from logolens.data.builtin_backgrounds import with_backgrounds
from logolens.data.checks.summary import in_short
from logolens.data.composed import composed_alone, composed_data_notes, with_composed
from logolens.io.sources import reopen
from logolens.models.experts import late_experts
from logolens.models.words import model_hashes, read_names
from logolens.types import Progress

__all__ = ["assemble"]


def assemble(
    data: Path, settings: TrainSettings, on_progress: Progress, announce: Callable[[str], None]
) -> tuple[Dataset, Split]:
    """The photos, and images composed from artwork, divided into parts; what was decided about them is heeded.

    Args:
        data: the photos; or artwork alone, where images are to be composed and no artwork is named, or the same.
        settings: of the training.
        on_progress: told of the work as it is done.
        announce: told what stands out among the photos, a sentence each.

    Raises:
        DataError: the data, the artwork or a list cannot be used; LeakError when the data's own split holds the same photo
            twice.
        MissingExtraError: the artwork needs an extra that is not installed.
    """
    # Before the photos, of which there may be many.
    if settings.exclude is not None:
        check_exclusions(settings.exclude)
    if settings.corrections is not None:
        check_corrections(settings.corrections)
    if settings.words == "on" or settings.names is not None:
        model_hashes()
    if settings.names is not None:
        read_names(settings.names)
    said = settings.artwork is not None and settings.artwork.resolve() == data.resolve()
    if said:
        settings = replace(settings, artwork=None)
    alone = bool(settings.synthesize) and settings.artwork is None
    if alone:
        dataset = composed_alone(data, settings, on_progress, said=said)
        announce(str(dataset.notes[0]))
    else:
        dataset = load(data, training=False, progress=lambda done, total: on_progress("reading photos", done, total))
        dataset = dataset.with_notes(composed_data_notes(data))
    if settings.names is not None and settings.artwork is None:
        read_names(settings.names, dataset.labels)
    if settings.exclude is not None:
        dataset = without(dataset, settings.exclude)
    # Artwork may bring the second label.
    enough = settings.artwork is None or len(dataset.counts()) > 1
    if enough:
        dataset = dataset.with_notes(check_enough(dataset))
    for line in in_short(dataset, str(data)) if not alone else ():
        announce(line)
    if settings.corrections is not None:
        dataset = with_corrections(
            dataset,
            settings.corrections,
            read=lambda name: reopen(name, SourceSettings()).read(Limits()),
            progress=lambda done, total: on_progress("reading corrections", done, total),
        )
    if settings.examples == "box":
        dataset = boxes_apart(dataset, progress=lambda done, total: on_progress("cutting boxes out", done, total))
    splits = split(dataset, settings.split_settings(), allow_leaks=settings.allow_leaks)
    _check_late(dataset, splits, settings)
    if settings.background:
        dataset, splits = with_backgrounds(dataset, splits)
    if settings.artwork is not None:
        dataset, splits = with_composed(dataset, splits, settings, on_progress)
        dataset = dataset if enough else dataset.with_notes(check_enough(dataset))
    return dataset, splits


def _check_late(dataset: Dataset, splits: Split, settings: TrainSettings) -> None:
    """Refuse what late experts cannot learn from these photos."""
    for expert in late_experts():
        expert.check(dataset, splits, settings)
