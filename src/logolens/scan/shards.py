"""A scan in shards: names go out in files, answers come back in files, and the store takes them in shard by shard."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from logolens.bundle.format import Bundle, load_bundle
from logolens.config import Limits, ScanSettings, SourceSettings, VideoSettings
from logolens.errors import BundleError, ImageError
from logolens.io.sources import Source, Stamp, reopen, stamp_of
from logolens.scan.prefetch import Readers
from logolens.scan.progress import Counts
from logolens.scan.records import Answer, Known
from logolens.scan.runners import Shard, Work, cut, run_local, run_ray, standing
from logolens.scan.scan_classifier import open_classifier
from logolens.scan.store import Store
from logolens.scan.verdicts import Judge
from logolens.scan.video_store import asked_of

__all__ = ["Shards", "bundle_hash"]

_SIZE = 2_000
"""Images in a shard: minutes of work, so that little is lost with a machine, and little is spent on receipts."""

_ELSEWHERE = ("engine", "address", "shard", "shard_folder", "threads", "device", "readers", "allow")
"""Settings that do not change what a shard's result is."""


def bundle_hash(bundle: Bundle, settings: ScanSettings) -> str:
    """What stands for a bundle's answers: any change of its files, its manifest or the way that it is asked changes it."""
    asked = [bundle.manifest, settings.views, settings.locates]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class Shards:
    """Looks at sources shard by shard, in this process or on a Ray cluster.

    Args:
        bundle: the bundle, loaded here.
        path: its folder, as the workers see it.
        store: where results go.
        judge: gives the verdicts.
        settings: what is sought, and how.
        source_settings: how sources are read.
        limits: what is refused unread.
        videos: how videos are looked at.
    """

    def __init__(
        self,
        bundle: Bundle,
        path: Path,
        store: Store,
        judge: Judge,
        settings: ScanSettings,
        source_settings: SourceSettings,
        limits: Limits,
        videos: VideoSettings = VideoSettings(),
    ) -> None:
        self._store, self._settings = store, settings
        self._build = Builder(
            str(path.absolute()), bundle_hash(bundle, settings), settings, source_settings, limits, videos
        )
        decisive = {name: value for name, value in asdict(settings).items() if name not in _ELSEWHERE}
        said = json.dumps([self._build.bundle_hash, decisive, asdict(limits), asked_of(videos)], sort_keys=True)
        self._key = hashlib.sha256(said.encode()).hexdigest()
        above = settings.shard_folder or store.path.with_name(store.path.name + ".shards")
        self._folder = above / f"{store.id}-{store.run}"
        self._counts = Counts(None)
        self._drawn = 0
        self._exhausted = False
        self._classified = 0

    def run(self, found: Iterable[Source], counts: Counts) -> int:
        """Look at all of it; returns how many contents were classified."""
        self._counts = counts
        stored = self._store.shards()
        open_: list[Shard] = []
        for shard in standing(self._folder, self._key):
            if shard.number in stored:  # It was stored, and the run was killed before it could clear up.
                shard.remove()
            else:
                open_.append(shard)
        first = 1 + max([*stored, *(shard.number for shard in open_)], default=-1)
        lines = self._lines(found, {name for shard in open_ for name in _names(shard)})
        shards = itertools.chain(open_, cut(lines, self._folder, self._settings.shard or _SIZE, self._key, first=first))
        if self._settings.engine == "ray":
            done = run_ray(self._build, shards, address=self._settings.address, processors=self._settings.threads or 1)
        else:
            done = run_local(self._build, shards)
        for shard in done:
            self._store.put_shard(shard.number, self._answers(shard), self._count)
            shard.remove()
        shutil.rmtree(self._folder, ignore_errors=True)
        counts.update(self._classified, self._drawn, self._exhausted)
        return self._classified

    def _answers(self, shard: Shard) -> Iterator[Answer]:
        for line in shard.lines():
            answer = Answer.from_line(line)
            self._classified += answer.result is not None
            yield answer

    def _count(self, verdict: str) -> None:
        self._counts.add(verdict, self._classified, self._drawn, self._exhausted)

    def _lines(self, found: Iterable[Source], waiting: set[str]) -> Iterator[bytes]:
        """What must be looked at, a line each. What needs no looking is stored at once."""
        for source in found:
            self._drawn += 1
            if source.repeated or source.problem is not None:
                self._count(self._store.put(Answer(source.name, source.places, error=source.problem)))
                continue
            if source.name in waiting:
                waiting.discard(source.name)  # A second of the same name, as from a list, is another matter.
                self._store.put(Answer(source.name, source.places))
                continue
            known = self._store.known(source.name)
            if (stamp := _unchanged(source, known)) is not None:
                assert known is not None
                self._count(self._store.put(Answer(source.name, source.places, stamp, known.sha256)))
                continue
            if source.path is not None or self._is_reopened(source):
                yield _to_line(source, known)
            elif (line := self._read_here(source, known)) is not None:
                yield line
        self._exhausted = True

    def _is_reopened(self, source: Source) -> bool:
        """Whether a worker can get at a source by its name. Archives it would have to read from their beginning."""
        if source.data is not None or source.needs_login or "!/" in source.name:
            return False
        build = self._build
        return reopen(source.name, build.source_settings, limits=build.limits).problem is None

    def _read_here(self, source: Source, known: Known | None) -> bytes | None:
        """A line that holds the image itself; none where it needs no looking, or cannot be read."""
        stands = known is not None and known.sha256 is not None and (known.stands or known.done)
        try:
            got = source.read_if_changed(self._build.limits, known.stamp if known is not None and stands else None)
        except ImageError as error:
            reason = str(error).removeprefix(f"{source.name}: ")
            self._count(self._store.put(Answer(source.name, source.places, error=reason)))
            return None
        if got is None:
            assert known is not None
            self._count(self._store.put(Answer(source.name, source.places, known.stamp, known.sha256)))
            return None
        return _to_line(replace(source, data=got[0], stamp=got[1], fetch=None), None)


def _unchanged(source: Source, known: Known | None) -> Stamp | None:
    """The stamp that is known of a source, if its answer stands and nothing but its server could say otherwise."""
    if known is None or known.sha256 is None or not (known.done or known.stands):
        return None
    if known.done and source.fetch is not None and source.stamp is None:
        return known.stamp
    stamp = source.stamp or (None if source.path is None else stamp_of(source.path))
    return known.stamp if stamp is not None and stamp.is_same(known.stamp) else None


def _names(shard: Shard) -> Iterator[str]:
    with open(shard.items, "rb") as file:
        for line in file:
            yield json.loads(line)["name"]


def _to_line(source: Source, known: Known | None) -> bytes:
    item: dict[str, Any] = {"name": source.name}
    if source.places:
        item["places"] = source.places
    if source.path is not None:
        item["path"] = str(source.path.absolute())
        if source.is_video:
            item["video"] = True
    elif source.data is not None:
        item["data"] = base64.b64encode(source.data).decode()
        if (stamp := source.stamp) is not None:
            item["stamp"] = [stamp.size, stamp.modified, stamp.etag, stamp.last_modified]
    if known is not None and known.sha256 is not None and known.stands:
        stamp = known.stamp
        item["known"] = [known.sha256, stamp.size, stamp.modified, stamp.etag, stamp.last_modified]
    return json.dumps(item, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True)
class Builder:
    """Makes the work of a shard, in the process that runs it.

    Attributes:
        bundle: the bundle's folder.
        bundle_hash: what the bundle must be.
        settings: what is sought, and how.
        source_settings: how sources are read.
        limits: what is refused unread.
        videos: how videos are looked at.
    """

    bundle: str
    bundle_hash: str
    settings: ScanSettings
    source_settings: SourceSettings
    limits: Limits
    videos: VideoSettings = VideoSettings()

    @contextmanager
    def __call__(self) -> Iterator[Work]:
        """The work: lines of sources to lines of answers."""
        bundle = load_bundle(self.bundle)
        if bundle_hash(bundle, self.settings) != self.bundle_hash:
            raise BundleError(f"{self.bundle} is another bundle here than where the scan was begun; copy it anew.")
        settings = self.settings
        judge = Judge(bundle.classes, settings)
        if settings.engine == "ray" and settings.threads is None:
            settings = _with_one_thread(settings)
        with open_classifier(
            bundle, settings, self.limits, lambda scores: settings.wanted(judge(scores)[2]), self.videos
        ) as looking:

            def work(lines: Iterator[bytes]) -> list[bytes]:
                found: list[bytes] = []
                seen: set[str] = set()
                known: dict[str, Known] = {}

                def keep(answer: Answer) -> None:
                    if answer.sha256 is not None:
                        seen.add(answer.sha256)
                    found.append(answer.to_line())

                sources = self._sources(lines, known)
                with Readers(
                    sources, known.get, count=settings.readers, limits=self.limits, videos=self.videos
                ) as readers:
                    looking.run(readers, keep, has=seen.__contains__)
                return found

            yield work

    def _sources(self, lines: Iterable[bytes], known: dict[str, Known]) -> Iterator[Source]:
        for line in lines:
            item = json.loads(line)
            name, places = item["name"], tuple(item.get("places", ()))
            if "known" in item:
                sha256, *mark = item["known"]
                known[name] = Known(Stamp(*mark), sha256, done=False, stands=True)
            if "path" in item:
                yield Source(name, Path(item["path"]), places=places, is_video=item.get("video", False))
            elif "data" in item:
                stamp = Stamp(*item["stamp"]) if "stamp" in item else None
                yield Source(name, data=base64.b64decode(item["data"]), places=places, stamp=stamp)
            else:
                yield replace(reopen(name, self.source_settings, limits=self.limits), places=places)


def _with_one_thread(settings: ScanSettings) -> ScanSettings:
    return replace(settings, threads=1)
