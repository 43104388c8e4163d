"""How fast does `scan` get through a folder of 500-pixel JPEGs, and does its memory stay flat?

(a) Looking at whole images, beside ONNX Runtime with the same network, fed with squares that lie ready in memory, in its
    fastest configuration on this machine: what reading, hashing, decoding in processes of their own, and storing cost after
    all overlap.
(b) Beside a plain loop of PyTorch, timm and a DataLoader of two workers, with the same architecture.
(c) The most memory that the command takes, with its workers, at few and at many images.

The images are made: some photos, and copies of them that differ in their last bytes, so that each is a content of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from common import busy, natural, photo_files, table, verdict
from embed_speed import fastest_ready, plain_torch, ready_squares
from PIL import Image, ImageDraw

from logolens.bundle.format import load_bundle
from logolens.config import ScanSettings, TrainSettings
from logolens.io.images import read_bytes
from logolens.io.threads import processors
from logolens.io.views import WHOLE, cut
from logolens.scan import Store, scan

_PHOTOS = 128


@dataclass
class Times:
    """Seconds of each round: on the clock, and of processors, with those of ended child processes."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self, run: Callable[[], object]) -> None:
        """Time one round."""
        start, used = time.perf_counter(), os.times()
        run()
        self.wall.append(time.perf_counter() - start)
        now = os.times()
        self.cpu.append(sum(now[:4]) - sum(used[:4]))


def make_bundle(work: Path, *, found: bool = False) -> Path:
    """A bundle of two labels on the default network: two drawings, which the photos do not show; or made so that they do."""
    from logolens.training.train import train

    rng = np.random.default_rng(1)
    for number, label in enumerate(("one", "two", "none")):
        (work / "train" / label).mkdir(parents=True)
        for copy in range(12):
            image = natural((300, 225), rng)
            if label != "none" and not found:
                image = Image.new("RGB", (300, 225), (250, 250, 245 - copy))
                shape = (ImageDraw.Draw(image).ellipse, ImageDraw.Draw(image).rectangle)[number]
                shape((60 + copy, 40, 220 + copy, 190), fill=(200, 10 * copy, 30), outline="black", width=12)
            image.save(work / "train" / label / f"{copy}.jpg")
    train(work / "train", work / "bundle", TrainSettings(val=0.25, test=0.0, matcher="off", cache=False))
    return work / "bundle"


def make_images(photos: list[Path], folder: Path, count: int) -> Path:
    """So many files, all different contents, in folders of a thousand."""
    data = [photo.read_bytes() for photo in photos]
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:04}").mkdir(parents=True)
        # What follows the end of a JPEG is never looked at, but it is another file.
        path = folder / f"{number // 1000:04}" / f"{number:06}.jpg"
        path.write_bytes(data[number % len(data)] + number.to_bytes(4, "big"))
    return folder


def scan_once(bundle: Path, label: str, folder: Path, work: Path) -> float:
    """A scan into a store of its own; gives the share of images that were found, and so are kept a thumbnail of."""
    path = work / f"{time.monotonic_ns()}.db"
    with Store(path) as store:
        result = scan(bundle, [folder], store, ScanSettings(find=(label,), views="whole"))
    assert not result.facts.verdicts["error"], "an image could not be read"
    return 1.0 - result.facts.verdicts["clear"] / result.facts.images


def peak_memory(bundle: Path, label: str, folder: Path, work: Path, count: int) -> tuple[float, float, float]:
    """Megabytes that the command holds at most, alone and with its workers (shared pages counted once), and its rate."""
    store = work / f"memory-{count}.db"
    command = [
        sys.executable,
        "-m",
        "logolens",
        "scan",
        str(bundle),
        str(folder),
        "--find",
        label,
        "--store",
        str(store),
        *("--views", "whole"),
    ]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    alone = together = 0.0
    while process.poll() is None:
        own = pss(process.pid)
        alone, together = max(alone, own), max(together, own + sum(map(pss, workers_of(process.pid))))
        time.sleep(0.25)
    assert process.stderr is not None
    assert process.returncode == 0, process.stderr.read()
    return alone, together, count / (time.perf_counter() - start)


def pss(pid: int) -> float:
    """A process's memory in MB, pages that it shares counted by its share."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1000
    except OSError:  # It has just ended.
        pass
    return 0.0


def workers_of(pid: int) -> list[int]:
    """The child processes of a process."""
    found = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found |= set(map(int, path.read_text().split()))
        except OSError:
            continue
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a bundle; one is trained in a few seconds if not given")
    parser.add_argument("--count", type=int, default=4000, help="images in each round of (a)")
    parser.add_argument(
        "--found", action="store_true", help="let the labels be found, where else most images are clear"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch-rounds", type=int, default=2, help="rounds of (b); 0 leaves it out")
    parser.add_argument("--few", type=int, default=1000, help="images of the smaller scan of (c); 0 leaves it out")
    parser.add_argument("--many", type=int, default=10_000, help="images of the larger one; 100000 takes 5 GB of disk")
    options = parser.parse_args()
    busy()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        bundle = options.bundle or make_bundle(work, found=options.found)
        loaded = load_bundle(bundle)
        label = loaded.labels[0]
        (work / "photos").mkdir()
        photos = photo_files(None, _PHOTOS, work / "photos")
        folder = make_images(photos, work / "images", options.count)
        size = loaded.preprocessing.size
        print(f"{options.count} JPEGs of 500 x 375, network at {size} px, {processors()} processors\n")
        squares = np.stack([cut(read_bytes(photo), (WHOLE,), loaded.preprocessing)[0] for photo in photos])
        repeated = np.resize(squares, (options.count, *squares.shape[1:]))
        best, _ = fastest_ready(squares, loaded.path / "model.onnx")
        way = [int(word) for word in best.replace(",", "").split() if word.isdigit()]
        ready = ready_squares(repeated, loaded.path / "model.onnx", *way)
        ours, network, plain = Times(), Times(), Times()
        ready()
        shares: list[float] = []
        for _ in range(options.rounds):
            ours.measure(lambda: shares.append(scan_once(bundle, label, folder, work)))
            network.measure(ready)
        few = sorted(folder.rglob("*.jpg"))[:256]
        for _ in range(options.torch_rounds):
            plain.measure(plain_torch(few, loaded.manifest["backbone"]["name"], size, 2))

        def row(name: str, times: Times, count: int) -> tuple[str, str, str]:
            return name, f"{count / median(times.wall):.0f}", f"{1e3 * median(times.cpu) / count:.1f}"

        rows = [
            row("logolens scan, file to stored answer", ours, options.count),
            row(f"ONNX Runtime, ready squares ({best})", network, options.count),
        ]
        if plain.wall:
            rows.append(row("PyTorch and timm, DataLoader of 2 workers", plain, len(few)))
        table(("", "images/s", "CPU ms"), rows)
        print(f"\nOf the images {shares[-1]:.0%} were found (match or unsure).")
        verdict("scan to ready squares", median(network.wall) / median(ours.wall), 0.8)
        print(f"  in processor time: {median(network.cpu) / median(ours.cpu):.2f}")
        if plain.wall:
            rate = median(plain.wall) / len(few) / (median(ours.wall) / options.count)
            verdict("scan to the PyTorch loop", rate, 2.0)
        if options.few and Path("/proc/self/smaps_rollup").exists():
            print()
            memory = []
            peaks = []
            for number, count in enumerate((options.few, options.many)):
                images = make_images(photos, work / f"memory-{number}", count)
                alone, together, rate = peak_memory(bundle, label, images, work, count)
                peaks.append(together)
                memory.append((f"{count:,} images", f"{alone:.0f}", f"{together:.0f}", f"{rate:.0f}"))
            table(("", "MB", "MB with workers", "images/s"), memory)
            print()
            verdict("peak in MB", max(peaks), 1000, least=False)
            verdict("peak at many to peak at few", peaks[1] / peaks[0], 1.15, least=False)


if __name__ == "__main__":
    main()
