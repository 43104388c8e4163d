"""Which frames of a video are looked at: those that show something new, at most so many a second."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["PROBE_SIDE", "Chooser"]

PROBE_SIDE = 48
"""Width and height in pixels of the small grey pictures that frames are compared by."""

_PROBES = 5
"""How many frames are compared for each that may be looked at: what begins between two looks so begins at its own time."""

_SAME = 10
"""Grey levels, of 255, up to which a cell of the small picture is the same. Compression and grain move a cell by two or three,
for it is the mean of some hundred pixels; a logo that appears moves its cells by tens."""

_MOVING = 0.25
"""The share of cells that differ from the frame before from which the picture is in the midst of a change."""

Probe = npt.NDArray[np.uint8]


class Chooser:
    """Is shown small pictures of a video's frames in order, and says which frames are to be looked at.

    A frame is looked at that differs from the last one that was, no sooner than ``1 / fps`` seconds after it. Where a change
    has just begun, as a cross-fade, its end is waited for, for half as long at the most; what moves all the time is not waited
    for. What hardly differs from the last frame looked at is not looked at again: that frame's answer holds.

    Args:
        fps: how many frames of a second are looked at, at the most.
    """

    def __init__(self, fps: float) -> None:
        self._gap = 1.0 / fps
        self._slack = 1e-3 * self._gap
        self._looked: Probe | None = None
        self._looked_at = self._probed_at = self._held_until = -np.inf
        self._before: Probe | None = None
        self._moves_since: float | None = None
        self._between: list[tuple[float, Probe]] = []

    def wants(self, time: float) -> bool:
        """Whether the frame of this time, in seconds, is to be shown."""
        return time - self._probed_at >= self._gap / _PROBES - self._slack

    def show(self, time: float, probe: Probe) -> float | None:
        """Show a frame.

        Args:
            time: its time in seconds.
            probe: a grey picture of it, uint8 of shape (`PROBE_SIDE`, `PROBE_SIDE`).

        Returns:
            From when on what it shows is seen, in seconds, where it is to be looked at; else None.
        """
        self._probed_at = time
        before, self._before = self._before, probe
        if self._looked is None or before is None:
            return self._look(time, probe, time)
        if _differing(probe, before) <= _MOVING * probe.size:
            self._moves_since = None
        elif self._moves_since is None:
            self._moves_since = time
        cells = _differing(probe, self._looked)
        if not cells:
            self._between.clear()
            self._held_until = time
            return None
        self._between.append((time, probe))
        if time - self._looked_at < self._gap - self._slack:
            return None
        if self._moves_since is not None and time - self._moves_since < self._gap / 2:
            return None
        return self._look(time, probe, self._began(probe))

    def _look(self, time: float, probe: Probe, began: float) -> float:
        self._looked, self._looked_at, self._held_until = probe, time, time
        self._between.clear()
        return began

    def _began(self, probe: Probe) -> float:
        """Where what a probe shows takes over from what was looked at last: the first moment since when all is nearer to it."""
        assert self._looked is not None
        first = len(self._between) - 1
        while first > 0 and _distance(self._between[first - 1][1], probe) < _distance(
            self._between[first - 1][1], self._looked
        ):
            first -= 1
        earlier = self._between[first - 1][0] if first else self._held_until
        return (earlier + self._between[first][0]) / 2


def _differing(first: Probe, second: Probe) -> int:
    """How many cells are not the same."""
    return int((np.abs(first.astype(np.int16) - second) > _SAME).sum())


def _distance(first: Probe, second: Probe) -> float:
    return float(np.abs(first.astype(np.int16) - second).mean())
