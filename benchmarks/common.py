"""What the benchmarks share: photos to measure with, contestants timed in turn, and tables."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

__all__ = [
    "FLICKR27",
    "NO_LOGO",
    "REPOSITORY",
    "Timing",
    "busy",
    "natural",
    "photo_files",
    "table",
    "take_turns",
    "verdict",
]

REPOSITORY = Path(__file__).resolve().parent.parent
FLICKR27 = REPOSITORY.parent / "shared" / "data" / "flickr27"
NO_LOGO = REPOSITORY.parent / "shared" / "data" / "no-logo"
"""Where the scripts look for Flickr Logos 27 when no path is given."""


@dataclass(frozen=True)
class Timing:
    """What one contestant took, a value a round.

    Attributes:
        wall: seconds on the clock.
        cpu: processor seconds of this process, of all its threads.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """The median of the rounds, on the clock."""
        return median(self.wall)

    @property
    def cpu_seconds(self) -> float:
        """The median of the rounds, in processor time; other programs disturb it less."""
        return median(self.cpu)


def take_turns(contestants: Mapping[str, Callable[[], object]], rounds: int, *, warm: bool = True) -> dict[str, Timing]:
    """Time contestants in turn, A B A B ..., so that what disturbs the machine disturbs them alike.

    Args:
        contestants: what to time, by name.
        rounds: how many times each.
        warm: run each once untimed before.
    """
    if warm:
        for run in contestants.values():
            run()
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    cpu: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start, used = time.perf_counter(), time.process_time()
            run()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - used)
    return {name: Timing(tuple(wall[name]), tuple(cpu[name])) for name in contestants}


def natural(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A picture with a photo's mix of smooth areas, edges and grain."""
    width, height = size
    image = Image.new("RGB", size)
    for scale, share in ((64, 1.0), (16, 0.5), (4, 0.25)):
        noise = rng.integers(0, 256, (height // scale + 2, width // scale + 2, 3), dtype=np.uint8)
        image = Image.blend(image, Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC), share)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        side = int(rng.integers(min(size) // 20 + 1, min(size) // 4 + 2))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x, y, x + side, y + side), fill=tuple(int(value) for value in rng.integers(0, 256, 3)))
    image = image.filter(ImageFilter.GaussianBlur(0.7))
    grain = rng.normal(0.0, 4.0, (height, width, 1)).astype(np.float32)
    return Image.fromarray(np.clip(np.asarray(image, np.float32) + grain, 0, 255).astype(np.uint8))


def photo_files(folder: Path | None, count: int, work: Path, size: tuple[int, int] = (500, 375)) -> list[Path]:
    """The first ``count`` JPEG files below a folder; without a folder, made ones of this size at quality 85."""
    if folder is not None:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[:count]
        if not files:
            raise SystemExit(f"{folder} holds no .jpg files.")
        return files
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        buffer = io.BytesIO()
        natural(size, rng).save(buffer, "JPEG", quality=85)
        files.append(work / f"{number:04}.jpg")
        files[-1].write_bytes(buffer.getvalue())
    return files


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, the first one to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (headers, *rows)) for column in range(len(headers))]
    for row in (headers, ["-" * width for width in widths], *rows):
        first, *others = zip(row, widths, strict=True)
        print("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip())


def verdict(what: str, value: float, target: float, *, least: bool = True) -> None:
    """Print a ratio beside its target."""
    reached = value >= target if least else value <= target
    bound = "at least" if least else "at most"
    print(f"{what}: {value:.2f} (target {bound} {target:g}: {'reached' if reached else 'NOT reached'})")


def busy() -> None:
    """Say so when other programs use the machine."""
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 1:
        print(
            f"Note: the machine's load was {load:.1f} before the start. Then even ratios wander; repeat the run when it is quiet."
        )
