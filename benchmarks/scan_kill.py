"""Does a scan that is killed (kill -9) at random moments, and run again each time, end with the results of one that was not?

The images are made: photos, copies of some, and a few broken files. Each kill falls at a random share of the time that the
whole scan takes. At the end both stores must hold the same pictures, verdicts, thumbnails, groups and places, and all that
was stored before a kill must not have been looked at again.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import busy, photo_files
from scan_speed import make_bundle, make_images

from logolens.bundle.format import load_bundle
from logolens.scan import StoreReader


def stored(path: Path) -> int:
    """Names that a store holds, as another program sees them; 0 when it is not yet made."""
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return 0
    try:
        return int(db.execute("SELECT count(*) FROM images").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        db.close()


def contents(path: Path) -> list[Any]:
    """All that a store says, but for the moments at which it was written."""
    with StoreReader(path) as store:
        rows = [(row.to_json(), store.thumbnail(row.sha256) if row.sha256 else None) for row in store.rows()]
        facts = store.facts()
        return [*rows, facts.images, facts.pictures, facts.verdicts, facts.changes, facts.finished is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a bundle; one is trained in a few seconds if not given")
    parser.add_argument("--count", type=int, default=3000, help="images")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    options = parser.parse_args()
    busy()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        bundle = options.bundle or make_bundle(work)
        (work / "photos").mkdir()
        folder = make_images(photo_files(None, 100, work / "photos"), work / "images", options.count)
        for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
            if number % 10 == 0:
                (folder / f"copy-{number:06}.jpg").write_bytes(path.read_bytes())
            if number % 97 == 0:
                (folder / f"broken-{number:06}.jpg").write_bytes(path.read_bytes()[:200] + bytes([number % 251]))
        for path in folder.rglob("*.jpg"):
            os.utime(path, (1e9, 1e9))
        label = load_bundle(bundle).labels[0]

        def command(name: str) -> list[str]:
            return [
                *(sys.executable, "-m", "logolens", "scan", str(bundle), str(folder), "--find", label),
                *("--thumbnails", "all", "--near", "all", "--store", str(work / name)),
            ]

        start = time.perf_counter()
        subprocess.run(command("calm.db"), check=True, capture_output=True)
        whole = time.perf_counter() - start
        print(f"{options.count} images, copies and broken files beside them; {whole:.1f} s without a kill\n")
        kills, before = 0, 0
        path = work / "killed.db"
        # The moments spread over what is left, so that early, middle and late ones are all met.
        while kills < options.kills:
            share = rng.uniform(0.05, 1.9 / (options.kills - kills + 1))
            limit = max(0.2, share * whole * max(0.1, 1 - before / (1.11 * options.count)))
            process = subprocess.Popen(command("killed.db"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            begun = time.perf_counter()
            # Some kills fall before anything is stored: while it starts, and in the middle of a transaction.
            while process.poll() is None and time.perf_counter() - begun < limit + (1.5 if kills % 3 else 0.0):
                time.sleep(0.005)
            if process.poll() is not None:
                print("it had ended before it was to be killed")
                break
            process.kill()
            process.wait()
            kills += 1
            now = stored(path)
            print(f"kill {kills:2} after {time.perf_counter() - begun:5.2f} s: {now:,} stored, {now - before:+,}")
            assert now >= before, "something that was stored is gone"
            before = now
        subprocess.run(command("killed.db"), check=True, capture_output=True)
        calm, killed = contents(work / "calm.db"), contents(path)
        print(f"\n{len(calm) - 5:,} pictures; {kills} kills")
        print(f"the two stores say the same: {'yes' if calm == killed else 'NO'}")
        if calm != killed:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
