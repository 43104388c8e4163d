"""`scan`: sources to answers in a store, so that every image that shows what is sought is found, and none is looked at twice."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from logolens.bundle.format import Bundle, load_bundle
from logolens.bundle.hub import name_of
from logolens.config import Limits, ScanSettings, SourceSettings, VideoSettings
from logolens.data.corrections import read_decisions
from logolens.data.same_photo import same_photos
from logolens.errors import UsageError
from logolens.io.sources import Gaps, Source, Videos, gather, left_note
from logolens.io.sources.urls import redacted
from logolens.scan.prefetch import Readers
from logolens.scan.progress import Counts, Progress
from logolens.scan.queries import Facts
from logolens.scan.records import Answer
from logolens.scan.scan_classifier import open_classifier
from logolens.scan.shards import Shards, bundle_hash
from logolens.scan.store import Store
from logolens.scan.thumbnails import unpack
from logolens.scan.verdicts import Allowed, Decided, Judge

__all__ = ["ScanResult", "scan"]

_LOG = logging.getLogger(__name__)

_MOST_ALIKE = 50_000
"""Pictures among which near copies are sought; each is held against each, so twice as many take four times as long."""


@dataclass(frozen=True)
class ScanResult:
    """What a scan came to.

    Attributes:
        facts: what was asked, and how much was found.
        resumed: whether it went on with one that was interrupted.
        classified: contents that were classified; the others were known.
        seconds: how long it took.
        notes: what a person should know.
        kept: images that were not met, and are not known to be gone.
    """

    facts: Facts
    resumed: bool
    classified: int
    seconds: float
    notes: tuple[str, ...] = ()
    kept: int = 0


def scan(
    bundle: str | os.PathLike[str],
    arguments: Iterable[str | os.PathLike[str]],
    store: Store,
    settings: ScanSettings = ScanSettings(),
    *,
    source_settings: SourceSettings = SourceSettings(),
    limits: Limits = Limits(),
    video_settings: VideoSettings = VideoSettings(),
    progress: Callable[[Progress], None] | None = None,
) -> ScanResult:
    """Look at every image of some sources, and keep what is learned in a store.

    What the store knows already is not looked at again: a file whose size and time of change are the same, a URL whose
    server says so, a content that was met under any name, unless the bundle is another one. A run that was interrupted is
    taken up where it stopped.

    Args:
        bundle: the bundle's folder, or its address on the Hugging Face Hub.
        arguments: what to scan: folders, files, patterns, URLs; see `sources`.
        store: where results go, open for writing.
        settings: what is sought, and how.
        source_settings: how sources are read.
        limits: what is refused unread.
        video_settings: how much of a video is looked at.
        progress: called a few times a second.

    Raises:
        BundleError: the bundle cannot be used.
        StoreError: the store cannot be written. What it held stands.
        UsageError: nothing was named, or a label is sought that the bundle does not know.
        DataError: the decisions cannot be read or understood.
    """
    given = [os.fspath(argument) for argument in arguments]
    if not given:
        raise UsageError("Nothing to scan was named; give folders, files, patterns or URLs.")
    began = time.monotonic()
    loaded = load_bundle(bundle)
    judge = Judge(loaded.classes, settings)
    decided = Decided(read_decisions(settings.decisions) if settings.decisions is not None else {}, judge)
    if settings.baseline is not None:
        store.against(settings.baseline)
    resumed = store.begin(
        bundle=bundle_hash(loaded, settings),
        bundle_name=name_of(loaded.path),
        judge=judge,
        allowed=Allowed(settings.allow),
        sources=[redacted(source) for source in given],
        settings=settings,
        decided=decided,
        videos=video_settings,
    )
    _LOG.info(
        "%s the scan of %s with %s",
        "going on with" if resumed else "beginning",
        ", ".join(map(redacted, given)),
        bundle,
    )
    gaps = Gaps()
    left: list[str] = []
    videos = Videos()
    found = gather(given, source_settings, limits=limits, gaps=gaps, left=left.append, videos=videos)
    try:
        if settings.engine == "local" and settings.shard is None:
            classified = _here(loaded, found, store, judge, settings, limits, video_settings, progress)
        else:
            shards = Shards(loaded, loaded.path, store, judge, settings, source_settings, limits, video_settings)
            classified = shards.run(found, Counts(progress))
    finally:
        store.commit()
    _LOG.info("%d pictures were looked at; near copies are sought", classified)
    kept = store.keep(gaps.hold) if gaps else 0
    notes = _finish(store)
    if kept:
        notes = (
            f"{kept:,} images were not met for the errors above, and are not known to be gone: they are listed as they were.",
            *notes,
        )
    way = "they lead back to what is read anyway" if source_settings.follow_links else "--follow-links has them read"
    if decided.unknown:
        notes = (
            f"Decisions about labels that {Path(bundle).name} does not know are left aside: {', '.join(decided.unknown)}.",
            *notes,
        )
    if note := left_note(left, way):
        notes = (note, *notes)
    notes = (*filter(None, (videos.note(), store.part_note())), *notes)
    return ScanResult(store.facts(), resumed, classified, time.monotonic() - began, notes, kept)


def _here(
    bundle: Bundle,
    found: Iterator[Source],
    store: Store,
    judge: Judge,
    settings: ScanSettings,
    limits: Limits,
    videos: VideoSettings,
    progress: Callable[[Progress], None] | None,
) -> int:
    """Look at all of it in this process, storing as it goes."""
    counts = Counts(progress)
    with (
        open_classifier(bundle, settings, limits, lambda scores: settings.wanted(judge(scores)[2]), videos) as looking,
        Readers(found, store.known, count=settings.readers, limits=limits, videos=videos) as readers,
    ):

        def keep(answer: Answer) -> None:
            counts.add(store.put(answer), looking.classified, readers.drawn, readers.exhausted)

        looking.run(readers, keep, has=store.has, rest=store.commit)
        counts.update(looking.classified, readers.drawn, readers.exhausted)
        return looking.classified


def _finish(store: Store) -> tuple[str, ...]:
    """Group near copies, and end the run."""
    names, blobs = store.near()
    if len(names) > _MOST_ALIKE:
        store.finish([])
        return (
            f"{len(names):,} pictures are too many to group near copies among (at most {_MOST_ALIKE:,}); exact copies "
            "stand together all the same. Raise --threshold and --unsure, or set --near none.",
        )
    alike: list[tuple[bytes, bytes]] = []
    if len(names) > 1:
        groups = same_photos(*unpack(blobs)).groups
        sizes: dict[int, int] = {}
        for group in groups:
            sizes[group] = sizes.get(group, 0) + 1
        alike = [(name, names[group]) for name, group in zip(names, groups, strict=True) if sizes[group] > 1]
    store.finish(alike)
    return ()
