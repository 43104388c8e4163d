"""How much is taken on at a time: images, bytes of bodies, and bodies that are on their way.

A request has a slot from its head to its answer, and the slot is in one of three states:

    coming -> slow -> whole
    coming ---------> whole

Only a whole one, whose body is there, holds a place among the images. One that is coming counts as if it did for its first
second, so that a busy service says no by the head and reads no bodies in vain; but all of those together never take more than
half of the room. One that is slow holds nothing but the bytes that have come, and gives way when those are needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from logolens.config import ServeSettings
from logolens.serve.refusal import Refusal

if TYPE_CHECKING:
    from logolens.serve.metrics import Metrics

__all__ = ["SLOT", "Gate", "Slot"]

SLOT = "logolens.slot"
"""The key of a request's slot in its ASGI scope."""

_LINE = 1000
"""Most requests that wait for room; what they hold is a connection and what the system has received of their bodies."""

_BODIES = 1000
"""Most bodies that are on their way at a time."""

_COMING_SECONDS = 1.0
"""How long a body may take to arrive before it is slow."""

_RATE_GRACE = 3.0
"""Seconds that a body may take whatever its rate."""


class Gate:
    """Counts what is taken on, and keeps a line of those who wait for room. Used by the event loop alone.

    Args:
        settings: how much is taken on.
        metrics: is told.
    """

    def __init__(self, settings: ServeSettings, metrics: Metrics) -> None:
        self.settings = settings
        self._metrics = metrics
        self.images = 0
        self.bytes = 0
        self._bodies: dict[Slot, None] = {}  # Those that are on their way, the oldest first.
        self._coming: deque[Slot] = deque()  # Those of them that are not slow yet; and some that are whole by now.
        self._coming_images = self._coming_bytes = self._slow_bytes = 0
        self._line: deque[tuple[Slot, asyncio.Future[None]]] = deque()
        self._whole_line: deque[tuple[Slot, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._pace = 0.0
        self._last = time.monotonic()

    async def enter(self, announced: int | None) -> Slot:
        """Let a request's body come, at once or when there is room for it.

        A client that is turned away at once comes back at once, and a few hundred of them would keep a processor busy with
        saying no; one that stands in the line costs nothing.

        Args:
            announced: the body's length, where the client says it.

        Raises:
            Refusal: there is no room for it, nor will there be soon.
        """
        if announced is not None and announced > self.settings.max_body:
            raise self.too_large()
        slot = Slot(self, announced or 0)
        if not self._line and self._lets_in(slot):
            self._admit(slot)
            return slot
        if len(self._line) >= _LINE:
            raise self.busy("queue")
        try:
            await self._wait(self._line, slot, self.settings.patience)
        except asyncio.CancelledError:
            if slot in self._bodies:
                self.leave(slot)
            raise
        return slot

    async def work_on(self, slot: Slot, images: int) -> None:
        """Give a request whose body is whole its places among the images, at once or when there are as many.

        Raises:
            Refusal: there are not, nor will there be soon.
        """
        self._arrived(slot)
        if slot.images == images:
            return
        self.images -= slot.images
        slot.images, slot.wanted = 0, images
        if self._fits(slot):
            self._place(slot)
            return
        self._let_in()
        # Those whose bodies are there come before those whose bodies are not.
        await self._wait(self._whole_line, slot, min(self.settings.patience, slot.until - time.monotonic()))

    async def _wait(self, line: deque[tuple[Slot, asyncio.Future[None]]], slot: Slot, patience: float) -> None:
        """Stand in a line until the slot's turn has come."""
        if patience <= 0:
            raise self.busy("queue")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append((slot, turn))
        self._look_again()
        try:
            async with asyncio.timeout(patience):
                await turn
        except TimeoutError:
            if not _has_come(line, slot, turn):
                raise self.busy("queue") from None
        except asyncio.CancelledError:
            _has_come(line, slot, turn)
            raise

    def _look_again(self) -> None:
        """Let in who waits when the first of those that are coming has become slow: nobody else may come by until then."""

        def look() -> None:
            self._timer = None
            self._let_in()
            if self._line:
                self._look_again()

        if self._timer is None and self._coming:
            wait = max(0.0, self._coming[0].began + _COMING_SECONDS - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait + 0.01, look)

    # What there is room for

    def _grow_old(self) -> None:
        """Count no longer what has been coming for too long."""
        until = time.monotonic() - _COMING_SECONDS
        while self._coming and (not self._coming[0].is_coming or self._coming[0].began <= until):
            self._no_longer_coming(self._coming.popleft())

    def _no_longer_coming(self, slot: Slot) -> None:
        if slot.is_coming:
            slot.is_coming = False
            self._coming_images -= 1
            self._coming_bytes -= slot.announced
            self._slow_bytes += slot.bytes

    def _lets_in(self, slot: Slot) -> bool:
        """Whether there is room for one more body, among those that are there and a share for those that are coming."""
        settings = self.settings
        if self.images + self._coming_share() >= settings.queue:
            return False
        # A request that is larger than what may be held is taken on alone. What is slow gives way when the bytes come.
        held = self.bytes - self._slow_bytes + min(self._coming_bytes, settings.queue_bytes // 2)
        return not held or held + slot.announced <= settings.queue_bytes

    def _coming_share(self) -> int:
        self._grow_old()
        return min(self._coming_images, max(1, self.settings.queue // 2))

    def _fits(self, slot: Slot) -> bool:
        """Whether a request whose body is there can have its places now.

        One that wants many leaves some to those that are coming; one that wants more than there are is taken on alone.
        """
        if slot.wanted == 1:
            return self.images < self.settings.queue
        others = self.images + self._coming_share()
        return not others or others + slot.wanted <= self.settings.queue

    def _admit(self, slot: Slot) -> None:
        if len(self._bodies) >= _BODIES and not self._give_way(lambda slow: -slow.began):
            raise self.busy("queue")
        slot.begin()
        slot.is_coming = True
        self._coming_images += 1
        self._coming_bytes += slot.announced
        self._coming.append(slot)
        self._bodies[slot] = None
        self._metrics.in_flight.inc()

    def _arrived(self, slot: Slot) -> None:
        """A body is there, or never will be."""
        if slot in self._bodies:
            self._no_longer_coming(slot)
            self._slow_bytes -= slot.bytes
            del self._bodies[slot]

    def _place(self, slot: Slot) -> None:
        slot.images = slot.wanted
        self.images += slot.images

    def _give_way(self, worth: Callable[[Slot], float]) -> bool:
        """End one of the bodies that are slow, if there are any: the one that is worth most."""
        self._grow_old()
        slow = [slot for slot in self._bodies if not slot.is_coming]
        if not slow:
            return False
        slot = max(slow, key=worth)
        self._arrived(slot)
        self._release(slot)
        slot.give_way()
        return True

    def make_room(self, slot: Slot, more: int) -> None:
        """Hold more bytes for a request.

        Raises:
            Refusal: there is no room for them.
        """
        while self.bytes + more > self.settings.queue_bytes and self.bytes > slot.bytes:
            if not self._give_way(lambda slow: slow.bytes) or slot.has_given_way:
                refusal = self.busy("bytes")
                refusal.closes = True
                raise refusal
        slot.bytes += more
        self.bytes += more
        if slot.is_coming:  # What has come is counted as such.
            less = min(more, slot.announced)
            slot.announced -= less
            self._coming_bytes -= less
        elif slot in self._bodies:
            self._slow_bytes += more
        self._metrics.in_flight_bytes.set(self.bytes)

    def rest(self, slot: Slot) -> None:
        """Take back a slot's place among the images, and nothing else."""
        self.images -= slot.images
        slot.images = 0
        self._let_in()

    def leave(self, slot: Slot) -> None:
        """Take back what a slot held, and let in who is next."""
        self._arrived(slot)
        self._metrics.in_flight.dec()
        if slot.images:
            now = time.monotonic()
            # Seconds an image: of the last few that left, the latest counting most.
            self._pace += (min(now - self._last, 10.0) / slot.images - self._pace) * 0.1
            self._last = now
        self._release(slot)
        self._let_in()

    def _release(self, slot: Slot) -> None:
        self.images -= slot.images
        self.bytes -= slot.bytes
        slot.images = slot.bytes = 0
        self._metrics.in_flight_bytes.set(self.bytes)

    def _let_in(self) -> None:
        for each in [each for each in self._whole_line if not each[1].done()]:
            # One that wants many does not keep those behind it that want few.
            if self._fits(each[0]):
                self._whole_line.remove(each)
                self._place(each[0])
                each[1].set_result(None)
        while self._line and self._lets_in(self._line[0][0]):
            slot, turn = self._line.popleft()
            if not turn.done():
                try:
                    self._admit(slot)
                except Refusal as refusal:
                    turn.set_exception(refusal)
                else:
                    turn.set_result(None)

    # What is said to those for whom there is none

    def busy(self, reason: str) -> Refusal:
        """What is said to a request for which there is no room."""
        wait = min(30, max(1, math.ceil(self.images * self._pace)))
        return Refusal(
            503,
            f"The service is busy with {self.images} images; ask again in {wait} {'second' if wait == 1 else 'seconds'}.",
            reason=reason,
            retry_after=wait,
        )

    def too_large(self) -> Refusal:
        """What is said of a body that passes the limit."""
        return Refusal(
            413,
            f"The body is larger than {self.settings.max_body:,} bytes; send fewer or smaller images at a time.",
            reason="too_large",
            closes=True,
        )


class Slot:
    """What one request holds of the service's room.

    Attributes:
        images: places that it has among the images.
        wanted: places that it wants.
        bytes: that it holds.
        announced: bytes that are still to come, as far as the client has said.
        is_coming: its body is on its way, and not slow.
        has_given_way: its body was slow, and its room was needed.
        until: when it is given up.
        wake: ends the waiting for more of its body, while it is waited for.
    """

    def __init__(self, gate: Gate, announced: int) -> None:
        self._gate = gate
        self.images = self.bytes = self.came = 0
        self.wanted = 1
        self.announced = announced
        self.is_coming = self.has_given_way = False
        self.wake: Callable[[], object] | None = None
        self.begin()

    def begin(self) -> None:
        """Let the request's time begin: now that it is taken on."""
        settings = self._gate.settings
        self.began = time.monotonic()
        self.until = self.began + settings.deadline
        self._body_until = self.began + min(settings.body_seconds, settings.deadline)

    @property
    def body_until(self) -> float:
        """When the body must be whole, or more of it must have come: at the end of its time, or when its rate is too low."""
        rate = self._gate.settings.body_rate
        return min(self._body_until, self.began + _RATE_GRACE + self.came / rate) if rate else self._body_until

    def give_way(self) -> None:
        """End a body that is slow."""
        self.has_given_way = True
        if self.wake is not None:
            self.wake()

    def take(self, count: int) -> None:
        """Count bytes of the body as they come.

        Raises:
            Refusal: they are too many.
        """
        self.came += count
        if self.came > self._gate.settings.max_body:
            raise self._gate.too_large()
        self.hold(self.came)

    def hold(self, total: int) -> None:
        """Hold so many bytes in all.

        Raises:
            Refusal: there is no room for them.
        """
        if self.has_given_way:
            raise self.gave_way()
        if total > self.bytes:
            self._gate.make_room(self, total - self.bytes)

    def gave_way(self) -> Refusal:
        """What is said to a client whose body was too slow to keep its room."""
        refusal = self._gate.busy("slow_body")
        refusal.closes = True
        return refusal

    async def work(self, images: int = 1) -> None:
        """Take the places of so many images in all, now that the body is there.

        Raises:
            Refusal: there is no room for them beside those of others.
        """
        if self.has_given_way:
            raise self.gave_way()
        await self._gate.work_on(self, images)

    def rest(self) -> None:
        """Give the place back until there is something to look at."""
        self._gate.rest(self)


def _has_come(line: deque[tuple[Slot, asyncio.Future[None]]], slot: Slot, turn: asyncio.Future[None]) -> bool:
    """Whether a request's turn had come when it stopped waiting; else it leaves the line."""
    if turn.done() and not turn.cancelled() and turn.exception() is None:
        return True
    with contextlib.suppress(ValueError):
        line.remove((slot, turn))
    return False
