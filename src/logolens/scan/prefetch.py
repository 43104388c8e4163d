"""Sources read ahead: threads read and fetch while the network computes, in order, within a bound of memory."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from logolens.config import Limits, VideoSettings
from logolens.errors import ImageError
from logolens.io.images import content_hash
from logolens.io.sources import Source, Stamp, stamp_of
from logolens.io.video import hash_video
from logolens.scan.records import Known

__all__ = ["Content", "Readers"]

_HELD = 128_000_000
"""Bytes of images that wait or are being looked at, beyond which no more are read."""

_TOGETHER = 4
"""Plain files that a thread reads in one go."""

_QUICK = 0.001
"""Seconds in which a file is read that needs no other thread to read it."""

_SLOW_FOR = 64
"""How many times files go to the threads before reading them at once is tried again."""

_RACE = 2.0
"""Seconds within which a file may change again without its time of change showing it (FAT counts in twos)."""


@dataclass
class Content:
    """A source that was read, or found to need no reading.

    Attributes:
        name: the source's name.
        places: where it stands.
        stamp: what tells the next time that it is the same.
        sha256: its content; None when it could not be read.
        data: its bytes; None when they are not needed.
        error: why it could not be read.
        repeated: nothing but further places of a name that came before.
        video: the file, of a video, which is not held in memory but read when its turn comes; None of an image, and where its
            answer is known.
        as_read: what the file looked like when it was hashed.
    """

    name: str
    places: tuple[str, ...] = ()
    stamp: Stamp = Stamp()
    sha256: str | None = None
    data: bytes | None = None
    error: str | None = None
    repeated: bool = False
    video: Path | None = None
    as_read: Stamp | None = None


class Readers:
    """Reads sources in threads and gives them back in their order.

    Args:
        sources: what to read; drawn in a thread of its own, for it may have to fetch pages to find them.
        known: what an earlier look at a name left behind, if anything. Called from several threads.
        count: threads that read.
        limits: what is refused unread.
        videos: how large a video may be.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        known: Callable[[str], Known | None],
        *,
        count: int,
        limits: Limits = Limits(),
        videos: VideoSettings = VideoSettings(),
    ) -> None:
        self._sources, self._known, self._limits, self._videos = sources, known, limits, videos
        self._todo: queue.Queue[tuple[list[Source], _Slot] | None] = queue.Queue()
        self._slots: queue.Queue[_Slot | None] = queue.Queue(2 * count)
        self._room = threading.Condition()
        self._held = 0
        self._stopped = False
        self._current: _Slot | None = None
        self._ready: deque[Content] = deque()
        self._slow = 0
        self.drawn = 0
        """Sources that were drawn so far."""
        self.exhausted = False
        """Whether all sources were drawn."""
        self.finished = False
        """Whether all were given back."""
        # Daemons: a read that hangs on a dead file server must not keep the program from ending.
        self._threads = [threading.Thread(target=self._draw, name="logolens-sources", daemon=True)]
        self._threads += [
            threading.Thread(target=self._work, name=f"logolens-read-{number}", daemon=True) for number in range(count)
        ]
        self._count = count

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._room:
            self._stopped = True
            self._room.notify_all()
        for _number in range(self._count):
            self._todo.put(None)
        while True:  # The thread that draws may wait for room in the queue.
            try:
                self._slots.get_nowait()
            except queue.Empty:
                break
        for thread in self._threads:
            thread.join(2.0)

    def next(self, patience: float) -> Content | None:
        """The next one in order; None when there is none within ``patience`` seconds, or no more at all.

        Raises:
            Exception: whatever drawing the sources raised.
        """
        if self._ready:
            return self._ready.popleft()
        deadline = time.monotonic() + patience
        if self._current is None:
            if self.finished:
                return None
            try:
                slot = self._slots.get(timeout=0.0 if self._is_full() else patience)
            except queue.Empty:
                return None
            if slot is None:
                self.finished = True
                return None
            self._current = slot
        if not self._current.ready.wait(max(0.0, deadline - time.monotonic())):
            return None
        slot, self._current = self._current, None
        if slot.raised is not None:
            raise slot.raised
        self._ready.extend(slot.contents)
        return self._ready.popleft()

    def release(self, content: Content) -> None:
        """Say that a content's bytes are needed no more."""
        if content.data is not None:
            with self._room:
                self._held -= len(content.data)
                self._room.notify_all()
            content.data = None

    def _is_full(self) -> bool:
        return self._held > _HELD

    def _draw(self) -> None:
        last = _Slot()
        try:
            together: list[Source] = []
            for source in self._sources:
                self.drawn += 1
                together.append(source)
                if source.fetch is None and len(together) < min(_TOGETHER, self.drawn):
                    continue
                if not self._hand_in(together):
                    return
                together = []
            if together and not self._hand_in(together):
                return
        except BaseException as error:  # Whatever it is, it belongs to the thread that asks for the next one.
            last.raised = error
            last.ready.set()
            self._offer(last)
        self.exhausted = True
        self._offer(None)

    def _hand_in(self, sources: list[Source]) -> bool:
        """Have these read; False once nobody waits for them."""
        slot = _Slot()
        with self._room:
            # What was given to the readers always goes through, so that the next one in order can't be stuck here.
            while self._is_full() and not self._stopped:
                self._room.wait()
        # A file in the system's memory is read in less time than it takes to hand it to another thread. Where it takes
        # longer, threads read side by side, and after a while it is tried again.
        if self._slow == 0 and not any(source.fetch or source.is_video for source in sources):
            began = time.perf_counter()
            self._fill(slot, sources)
            if time.perf_counter() - began > _QUICK * len(sources):
                self._slow = _SLOW_FOR
        else:
            self._slow = max(0, self._slow - 1)
            self._todo.put((sources, slot))
        self._offer(slot)
        return not self._stopped

    def _offer(self, slot: _Slot | None) -> None:
        while not self._stopped:
            try:
                self._slots.put(slot, timeout=0.5)
            except queue.Full:
                continue
            return

    def _work(self) -> None:
        while (task := self._todo.get()) is not None and not self._stopped:
            self._fill(task[1], task[0])

    def _fill(self, slot: _Slot, sources: list[Source]) -> None:
        try:
            for source in sources:
                slot.contents.append(self._read(source))
        except BaseException as error:
            slot.raised = error
        with self._room:
            self._held += sum(len(content.data) for content in slot.contents if content.data is not None)
        slot.ready.set()

    def _read(self, source: Source) -> Content:
        name, places = source.name, source.places
        if source.repeated:
            return Content(name, places, repeated=True)
        known = self._known(name)
        if known is not None and not (known.sha256 is not None and (known.done or known.stands)):
            known = None
        try:
            if known is not None and known.done and source.fetch is not None and source.stamp is None:
                # An interrupted run that goes on asks no server for what it has had from it.
                return Content(name, places, known.stamp, known.sha256)
            if source.is_video and source.problem is None:
                return self._read_video(source, known)
            began = time.time()
            got = source.read_if_changed(self._limits, None if known is None else known.stamp)
        except ImageError as error:
            return Content(name, places, error=str(error).removeprefix(f"{name}: "))
        if got is None:
            assert known is not None
            return Content(name, places, known.stamp, known.sha256)
        data, stamp = got
        return Content(name, places, _settled(stamp, began), content_hash(data), data)

    def _read_video(self, source: Source, known: Known | None) -> Content:
        path = source.path if source.path is not None else Path(source.name)
        began = time.time()
        stamp = stamp_of(path) or Stamp()
        if known is not None and stamp.is_same(known.stamp):
            return Content(source.name, source.places, known.stamp, known.sha256)
        sha256 = hash_video(path, self._videos)
        return Content(source.name, source.places, _settled(stamp, began), sha256, video=path, as_read=stamp)


def _settled(stamp: Stamp, began: float) -> Stamp:
    """What tells the next time that a file is the same, which was read from this moment on."""
    if stamp.modified is not None and stamp.modified > began - _RACE:
        # It may yet be written to within the same tick of the clock; the next scan reads it again to be sure.
        return replace(stamp, modified=None)
    return stamp


class _Slot:
    """A place in the order, filled when the reading is done."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.contents: list[Content] = []
        self.raised: BaseException | None = None
