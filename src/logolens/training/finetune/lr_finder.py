"""The learning-rate range test's result: a suggestion, a table and a plot."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.errors import require
from logolens.io.atomic import write_file

__all__ = ["RateTest", "rate_files"]


def rate_files(out: Path) -> tuple[Path, Path]:
    """The table and the plot that a test for the bundle ``out`` writes: beside it, ``NAME-rates.csv`` and ``.png``."""
    out = out.absolute()
    return out.with_name(f"{out.name}-rates.csv"), out.with_name(f"{out.name}-rates.png")


@dataclass(frozen=True)
class RateTest:
    """How the loss answered to growing rates (Smith, "Cyclical learning rates for training neural networks", 2017).

    Attributes:
        rows: the backbone's rate and the smoothed loss, in nats, in the order in which they were tried.
    """

    rows: tuple[tuple[float, float], ...]

    @property
    def fell(self) -> bool:
        """Whether the loss fell by more than its own unrest; where the head fits the photos already, it cannot."""
        return bool(self._start - self._losses[self._rough :].min() > self._unrest)

    @property
    def suggestion(self) -> float:
        """A rate to train with, to two digits.

        A tenth of the rate at which the loss was lowest: below it the loss fell, above it rises. Where it never fell, a
        tenth of the highest rate that did no harm: the last at which the loss was no higher than at the start, but for its
        unrest.
        """
        rates, losses = np.array([rate for rate, _ in self.rows]), self._losses
        if self.fell:
            place = self._rough + int(losses[self._rough :].argmin())
        else:
            place = int(np.flatnonzero(losses <= self._start + self._unrest)[-1])
        return float(f"{rates[place] / 10:.1e}")

    @property
    def _losses(self) -> npt.NDArray[np.float64]:
        return np.array([loss for _, loss in self.rows])

    @property
    def _rough(self) -> int:
        """How many of the first means are of too few losses to be believed."""
        return min(len(self.rows) - 1, max(3, len(self.rows) // 10))

    @property
    def _start(self) -> float:
        """The loss before any rate does anything: the middle of the first tenth."""
        return float(np.median(self._losses[: self._rough]))

    @property
    def _unrest(self) -> float:
        """How far the loss wanders by chance: three times its spread over the first third, and a twentieth of it at least."""
        first = self._losses[: max(3, len(self.rows) // 3)]
        return float(max(3 * first.std(), 0.05 * abs(self._start)))

    def write(self, out: Path, *, force: bool = False) -> tuple[Path, Path]:
        """Write the table and the plot where `rate_files` says; returns both paths.

        Raises:
            UsageError: one of them is there and ``force`` is not set, or it cannot be written.
            MissingExtraError: matplotlib is not installed.
        """
        table, plot = rate_files(out)
        table.parent.mkdir(parents=True, exist_ok=True)
        stream = io.StringIO(newline="")
        writer = csv.writer(stream)
        writer.writerow(["rate", "loss"])
        writer.writerows([f"{rate:.6g}", f"{loss:.6f}"] for rate, loss in self.rows)
        write_file(table, stream.getvalue().encode(), force=force)
        return table, write_file(plot, self._drawn(), force=force)

    def _drawn(self) -> bytes:
        figure: Any = require("matplotlib.figure", "train").Figure(figsize=(6.4, 3.8), layout="constrained")
        require("matplotlib.backends.backend_agg", "train").FigureCanvasAgg(figure)
        axes = figure.subplots()
        rates, losses = zip(*self.rows, strict=True)
        axes.plot(rates, losses, color="#1f5fa8", linewidth=1.8)
        axes.axvline(
            self.suggestion, color="#6b7280", linestyle="--", linewidth=1, label=f"suggested: {self.suggestion:.2g}"
        )
        axes.set_xscale("log")
        axes.set_ylim(0, max(losses[0], min(losses)) * 2)
        axes.set_xlabel("rate of the backbone")
        axes.set_ylabel("loss")
        axes.set_title("Learning-rate range test", loc="left", fontsize=11, fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
        return stream.getvalue()
