"""The gallery's commands: add, rename, remove. Each reads the gallery, changes it in memory, and puts it in its place."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from logolens.bundle.format import check_out, thresholds
from logolens.bundle.hub import refuse_hub
from logolens.bundle.onnx_graph import strip_head
from logolens.config import BACKGROUND, GallerySettings
from logolens.data import Box
from logolens.errors import DataError, UsageError, require
from logolens.io.sources import left_note
from logolens.models.head import CosineHead, with_thresholds
from logolens.models.matcher import Reference as Drawn
from logolens.models.session import Session
from logolens.training.gallery.create import begin, begun_bundle, first_head
from logolens.training.gallery.edit import Like, assembled, likened, new_name
from logolens.training.gallery.embed import Asked, Embedded, Embedder, asked_for, asked_in_table, is_table
from logolens.training.gallery.ledger import Reference
from logolens.training.gallery.load import Entry, Gallery, open_gallery
from logolens.training.gallery.save import write_gallery
from logolens.types import Progress, silent

__all__ = ["Added", "Changed", "add", "remove", "rename"]


_PHOTOS = 30
"""Views of photos without a label, from which on the built-in backgrounds no longer count."""


@dataclass(frozen=True)
class Changed:
    """What a change left.

    Attributes:
        path: the gallery.
        labels: it has now.
        required: for each of them, how far its cosine must stand above the background's.
        seconds: how long it took.
        background: whether it can answer ``none``.
    """

    path: Path
    labels: tuple[str, ...]
    required: dict[str, float]
    seconds: float
    background: bool = True


@dataclass(frozen=True)
class Added(Changed):
    """What `add` did.

    Attributes:
        begun: whether the gallery was made by this.
        fresh: the labels that are new.
        references: what was added.
        skipped: what was left out, with the reason.
        backgrounds: how many were added.
        like: the labels that those added to look like.
        notes: what is recommended, a sentence each.
    """

    begun: bool = False
    fresh: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    backgrounds: int = 0
    like: tuple[Like, ...] = ()
    notes: tuple[str, ...] = ()


def add(
    gallery: Path | str,
    images: Sequence[str],
    label: str | None = None,
    settings: GallerySettings = GallerySettings(),
    *,
    box: tuple[float, float, float, float] | None = None,
    backgrounds: Sequence[str] = (),
    progress: Progress | None = None,
) -> Added:
    """Add references to a gallery, which is begun where there is none yet.

    Args:
        gallery: its folder.
        images: files, folders or patterns; or one table (.csv, .tsv, .jsonl) as `logolens train` takes it.
        label: what the images show; may be left out of a table, whose rows say it.
        settings: everything else.
        box: where in the one image the logo is, (x1, y1, x2, y2) in pixels of the upright image.
        backgrounds: images that show no label, by which thresholds are set.
        progress: told of the work as it is done.

    Raises:
        UsageError: the label, the box or the folder cannot work.
        BundleError: the folder holds no gallery, or one that was altered.
        DataError: no image could be taken; nothing was changed then.
        MissingExtraError: the extra ``train`` is not installed.
    """
    began, on_progress = time.perf_counter(), progress or silent
    path = Path(gallery)
    name = None if label is None else new_name(label)
    left: list[str] = []
    asked = _asked(images, name, box, left.append)
    empty_ones = asked_for(backgrounds, BACKGROUND, None, left.append) if backgrounds else []
    own = [Asked(one.source, BACKGROUND) for one in empty_ones]
    own += [one for one in asked if one.label == BACKGROUND]
    asked = [one for one in asked if one.label != BACKGROUND]
    for each in asked:
        new_name(each.label)
    is_new = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    require("onnx", "train")  # Now, and not after all images have been looked at.
    _refuse_unwritable(path)
    if is_new:
        return _noted(_begin(path, asked, own, settings, began, on_progress), left)
    refuse_hub(path)
    there = open_gallery(path)
    session = Session(
        strip_head(there.bundle.model), there.bundle.preprocessing, threads=settings.threads, outputs=("features",)
    )
    embedder = Embedder(session, there.references)
    embedded, empty = list(embedder.look(asked, on_progress)), list(embedder.look(own, on_progress))
    taken, skipped = _parted([*embedded, *empty])
    if not taken:
        raise DataError(_nothing(path, skipped))
    head, entries = there.head, there.entries()
    for one in dict.fromkeys(found.reference.label for found in taken if found.reference.label != BACKGROUND):
        rows = [(found.reference, head.projected(found.rows)) for found in taken if found.reference.label == one]
        entries.setdefault(one, []).extend(rows)
    more: dict[str, Any] = {}
    kept = None
    none = [head.projected(found.rows) for found in taken if found.reference.label == BACKGROUND]
    if none:
        kept, more = _with_backgrounds(there, none)
    labels, changed, references = assembled(head, entries, kept)
    added = tuple(found.reference for found in taken if found.reference.label != BACKGROUND)
    manifest = write_gallery(
        there.bundle, labels, changed, references, _data_facts(added, len(none)), _lines(taken), **more
    )
    added_now = Added(
        path,
        labels,
        thresholds(manifest) or {},
        time.perf_counter() - began,
        changed.background,
        begun=False,
        fresh=tuple(one for one in labels if one not in there.bundle.labels),
        references=added,
        skipped=skipped,
        backgrounds=len(none),
        like=_likes(changed, labels, entries, added),
        notes=_advice(added, manifest),
    )
    return _noted(added_now, left)


def rename(gallery: Path | str, old: str, new: str, *, merge: bool = False) -> Changed:
    """Give a label another name; with ``merge`` that of another label, which then has the references of both.

    Raises:
        UsageError: there is no such label, the new name cannot be, or it is another label's and ``merge`` is not set.
        BundleError: the folder holds no gallery, or one that was altered.
    """
    began, path, name = time.perf_counter(), Path(gallery), new_name(new)
    refuse_hub(path)
    there = open_gallery(path)
    there.known(old)
    if name == old:
        raise UsageError(f"{old} is called that already; give another name.")
    if name in there.bundle.labels and not merge:
        raise UsageError(
            f"{path} has a label {name} already; choose another name, or make one label of both with --merge."
        )
    if merge and name not in there.bundle.labels:
        raise UsageError(f"{path} has no label {name} to merge {old} with; leave --merge out to rename it.")
    _refuse_unwritable(path)
    entries = there.entries()
    moved = [(replace(reference, label=name), rows) for reference, rows in entries.pop(old)]
    entries[name] = [*entries.get(name, []), *moved]
    return _rewritten(there, entries, f"{old} was {'merged with' if merge else 'renamed to'} {name}.", began)


def remove(gallery: Path | str, label: str) -> Changed:
    """Take a label and all its references out.

    Raises:
        UsageError: there is no such label, or it is the last.
        BundleError: the folder holds no gallery, or one that was altered.
    """
    began, path = time.perf_counter(), Path(gallery)
    refuse_hub(path)
    there = open_gallery(path)
    there.known(label)
    if len(there.bundle.labels) == 1:
        raise UsageError(
            f"{label} is the last label of {path}, and a gallery needs one; add another first, or delete the folder."
        )
    _refuse_unwritable(path)
    entries = there.entries()
    count = len(entries.pop(label))
    return _rewritten(there, entries, f"{label} was removed with {count} references.", began)


def _rewritten(there: Gallery, entries: dict[str, list[Entry]], change: str, began: float) -> Changed:
    labels, head, references = assembled(there.head, entries)
    manifest = write_gallery(there.bundle, labels, head, references, change)
    return Changed(there.bundle.path, labels, thresholds(manifest) or {}, time.perf_counter() - began, head.background)


def _noted(added: Added, left: Sequence[str]) -> Added:
    note = left_note(left, "name one to have it read")
    return added if note is None else replace(added, notes=(note, *added.notes))


def _asked(
    images: Sequence[str],
    label: str | None,
    box: tuple[float, float, float, float] | None,
    left: Callable[[str], object],
) -> list[Asked]:
    if any(is_table(image) for image in images):
        if len(images) > 1 or box is not None:
            raise UsageError("A table is added alone: name no other image and no --box beside it.")
        return asked_in_table(Path(images[0]), label)
    if not images:
        return []
    if label is None:
        raise UsageError("Say which brand the images show, as in --label acme; only a table can be added without.")
    return asked_for(images, label, Box(*box) if box is not None else None, left)


def _begin(
    path: Path, asked: list[Asked], own: list[Asked], settings: GallerySettings, began: float, on_progress: Progress
) -> Added:
    """A new gallery of these references."""
    if not asked:
        raise UsageError(f"There is no gallery in {path} yet; begin it with images of a label.")
    check_out(path, force=False)
    begun = begin(settings, on_progress)
    embedder = Embedder(begun.session, (), surroundings=True)
    embedded, empty = list(embedder.look(asked, on_progress)), list(embedder.look(own, on_progress))
    taken, skipped = _parted([*embedded, *empty])
    shown = sorted((one for one in taken if one.reference.label != BACKGROUND), key=lambda one: one.reference.label)
    if not shown:
        raise DataError(_nothing(path, skipped))
    backgrounds = [one.rows for one in taken if one.reference.label == BACKGROUND]
    outside = [one.around for one in shown if one.around is not None]
    labels = sorted({one.reference.label for one in shown})
    photos = sum(map(len, backgrounds)) + sum(map(len, outside))
    drawn = photos < _PHOTOS
    head = first_head(
        begun,
        [one.rows for one in shown],
        [labels.index(one.reference.label) for one in shown],
        [*backgrounds, *outside],
        drawn=drawn,
    )
    head = with_thresholds(head)
    references = [one.reference for one in shown]
    bundle = begun_bundle(path, begun, settings, head)
    more = {"builtin": len(begun.backgrounds) if drawn else 0, "photos": photos}
    manifest = write_gallery(
        bundle, labels, head, references, _data_facts(references, len(backgrounds)), _lines(taken), **more
    )
    return Added(
        path,
        tuple(labels),
        thresholds(manifest) or {},
        time.perf_counter() - began,
        begun=True,
        fresh=tuple(labels),
        references=tuple(references),
        skipped=skipped,
        backgrounds=len(backgrounds),
        like=_likes(
            head,
            labels,
            Gallery(replace(bundle, classes=(*labels, BACKGROUND)), head, tuple(references)).entries(),
            references,
        ),
        notes=_advice(references, manifest),
    )


def _with_backgrounds(there: Gallery, rows: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
    """The gallery's backgrounds with these, and the facts of them; built-in ones go once there are enough others."""
    facts = there.bundle.manifest["gallery"]
    builtin, photos = int(facts.get("builtin", 0)), int(facts.get("photos", 0)) + sum(map(len, rows))
    kept = there.head.backgrounds
    if builtin and photos >= _PHOTOS:
        kept, builtin = kept[builtin:], 0
    return np.concatenate([kept, *rows]), {"builtin": builtin, "photos": photos}


def _likes(
    head: CosineHead, labels: Sequence[str], entries: Mapping[str, Sequence[Entry]], added: Sequence[Reference]
) -> tuple[Like, ...]:
    return tuple(
        like
        for label in dict.fromkeys(reference.label for reference in added)
        for like in likened(head, labels, entries, label)
    )


def _refuse_unwritable(path: Path) -> None:
    """Refuse a folder whose place cannot be written to, before any work is done for it.

    Raises:
        UsageError: it cannot be.
    """
    above = next(folder for folder in (*path.absolute().parents, path.absolute()) if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"{path} cannot be changed: {above} is not a folder that can be written to.")


def _parted(embedded: Sequence[Embedded]) -> tuple[list[Embedded], tuple[tuple[str, str], ...]]:
    taken = [found for found in embedded if found.problem is None]
    return taken, tuple((found.reference.name, found.problem) for found in embedded if found.problem is not None)


def _lines(taken: Sequence[Embedded]) -> list[Drawn]:
    """The key points of all drawings among what was added."""
    return [one for found in taken if found.reference.label != BACKGROUND for one in found.lines]


def _nothing(path: Path, skipped: Sequence[tuple[str, str]]) -> str:
    name, problem = skipped[0]
    more = f", and {len(skipped) - 1} more" if len(skipped) > 1 else ""
    return f"Nothing was added to {path}: {name}: {problem.rstrip('.')}{more}. Name images that can be taken."


def _data_facts(references: Sequence[Reference], backgrounds: int) -> str:
    labels = ", ".join(dict.fromkeys(reference.label for reference in references))
    parts = [f"{len(references)} references of {labels} were added"] if references else []
    parts += [f"{backgrounds} backgrounds were added"] if backgrounds else []
    return " and ".join(parts) + "."


def _advice(references: Sequence[Reference], manifest: dict[str, Any]) -> tuple[str, ...]:
    """What would make the gallery better, as sentences."""
    found = []
    whole = sum(reference.kind == "photo" and not reference.boxes for reference in references)
    if whole:
        found.append(
            f"{whole} photos were taken as a whole. Where the logo fills less than a third of a photo, say where it is with "
            "--box, or in a table with the columns path, label, x1, y1, x2 and y2."
        )
    small = [r.name for r in references for x1, y1, x2, y2 in r.boxes if min(x2 - x1, y2 - y1) < 32]
    if small:
        found.append(f"The logo is less than 32 pixels high or wide in {small[0]}; a larger picture of it says more.")
    if references and all(reference.kind == "artwork" for reference in references):
        found.append(
            "Drawings alone say little of photos, and nothing was measured on any. Add a few photos of each label, and ask it "
            "photos whose answer is known before it is relied on: logolens evaluate."
        )
    facts = manifest["gallery"]
    if facts.get("builtin"):
        found.append(
            "Its backgrounds are built-in pictures, which say little of photos, so that photos of nothing are easily given a "
            f"label. Give {_PHOTOS // 3} or more photos without any of the labels with --backgrounds."
        )
    return tuple(found)
