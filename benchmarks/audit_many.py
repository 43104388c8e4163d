"""How much memory and time does an audit of many photos take, and are copies still found?

Photos are made, each another one; one in a hundred is there a second time, saved anew at another size and quality. Printed are
the most memory the process took, the time, and how many of the copies were found, for the number given and for a tenth of it.

python benchmarks/audit_many.py [--count 100000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import busy, natural, table
from PIL import Image

_EACH = 100
_CHILD = """
import json, resource, sys, time
from logolens.evaluation.audit import audit
from logolens.config import AuditSettings
begin = time.perf_counter()
found = audit(sys.argv[1], AuditSettings(labels=False))
pairs = [finding.photos for finding in found.of("near-copy")]
print(json.dumps({"seconds": time.perf_counter() - begin, "photos": found.photos, "pairs": pairs,
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def make(folder: Path, count: int) -> set[tuple[str, str]]:
    """Make the photos; returns the names of each planted pair."""
    rng = np.random.default_rng(0)
    grounds = [natural((320, 240), rng) for _ in range(60)]
    planted = set()
    for number in range(count):
        label = folder / f"label{number % 10}" / f"{number // 10_000:03}"
        if number < 10 or number % 10_000 < 10:
            label.mkdir(parents=True, exist_ok=True)
        # A photo of its own: a part of one ground beside and over parts of two others.
        image = Image.new("RGB", (160, 120))
        for place in range(6):
            ground = grounds[int(rng.integers(len(grounds)))]
            x, y = int(rng.integers(0, 240)), int(rng.integers(0, 180))
            tile = ground.crop((x, y, x + 54, y + 60)).rotate(90 * int(rng.integers(4)), expand=True)
            image.paste(tile.resize((54, 60)), (place % 3 * 54, place // 3 * 60))
        name = label / f"{number:07}.jpg"
        image.save(name, "JPEG", quality=85)
        if number % _EACH == 0:
            again = label / f"{number:07}-again.jpg"
            image.resize((128, 96)).save(again, "JPEG", quality=70)
            planted.add(tuple(sorted(path.relative_to(folder).as_posix() for path in (name, again))))
    return planted


def main() -> None:
    """Make, audit, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    busy()
    rows = []
    for size in (count // 10, count):
        with tempfile.TemporaryDirectory() as work:
            planted = make(Path(work) / "photos", size)
            done = subprocess.run(
                [sys.executable, "-c", _CHILD, str(Path(work) / "photos")], capture_output=True, text=True, check=True
            )
        facts = json.loads(done.stdout)
        found = {tuple(sorted(pair)) for pair in facts["pairs"]}
        rows.append(
            [
                f"{facts['photos']:,}",
                f"{facts['memory']:.0f} MB",
                f"{facts['seconds']:.0f} s",
                f"{len(planted & found):,} of {len(planted):,}",
                f"{len(found - planted):,}",
            ]
        )
    table(["photos", "most memory", "time", "copies found", "other groups"], rows)


if __name__ == "__main__":
    main()
