"""What does a device do for a bundle: passes a second, photos a second, and how far its answers are from the processor's?

Every device that this machine's ONNX Runtime knows takes its turn, the processor first, round by round. Passes are of squares
that are ready, on one thread and on as many as there are processors; photos go the way of `logolens predict`, from the file to
the answer. Processor time stands beside, since a GPU that is fed by the processor waits for it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from common import FLICKR27, busy, table, verdict

from logolens.config import DEVICES
from logolens.inference.classifier import Classifier
from logolens.io.sources import walk
from logolens.io.threads import processors
from logolens.models.devices import device_named

CLOSE = 1e-3


def passes(classifier: Classifier, count: int, threads: int, rounds: int) -> tuple[float, float]:
    """Passes a second, and milliseconds of processor time each; medians."""
    session = classifier._session
    size, batch = session.preprocessing.size, session.device.batch
    squares = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    runs = max(1, count // batch)
    session.run(squares)
    rates, prices = [], []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            start, used = time.perf_counter(), time.process_time()
            list(pool.map(lambda _: session.run(squares), range(runs)))
            rates.append(runs * batch / (time.perf_counter() - start))
            prices.append(1e3 * (time.process_time() - used) / (runs * batch))
    return statistics.median(rates), statistics.median(prices)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle's folder")
    parser.add_argument("--photos", type=Path, default=FLICKR27, help="folder of photos (default: %(default)s)")
    parser.add_argument("--count", type=int, default=200, help="photos, and passes (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--views", choices=("whole", "auto", "tiles"), help="as the bundle was trained if not given")
    parser.add_argument("--devices", nargs="*", help="those that ONNX Runtime knows if not given")
    options = parser.parse_args()
    busy()
    there = onnxruntime.get_available_providers()
    known = [name for name in DEVICES if name != "auto" and device_named(name).provider in there]
    names = ["cpu", *(name for name in options.devices or known if name != "cpu")]
    files = [str(source) for _, source in zip(range(options.count), walk(options.photos), strict=False)]
    asked = {name: Classifier.load(options.bundle, device=name, views=options.views) for name in names}
    answers: dict[str, list[dict[str, float]]] = {}
    photos: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name, classifier in asked.items():
            start = time.perf_counter()
            answers[name] = [dict(answer.scores) for answer in classifier.predict(files)]
            photos[name].append(len(files) / (time.perf_counter() - start))
    rows, worst = [], 0.0
    for name, classifier in asked.items():
        one, price = passes(classifier, options.count, 1, options.rounds)
        every, _ = passes(classifier, options.count, processors(), options.rounds)
        away = max(
            (
                abs(here[label] - there[label])
                for here, there in zip(answers["cpu"], answers[name], strict=True)
                for label in here
            ),
            default=0.0,
        )
        worst = max(worst, away)
        rows.append(
            (
                name,
                str(classifier._session.device.batch),
                f"{one:.0f}",
                f"{price:.1f}",
                f"{every:.0f}",
                f"{statistics.median(photos[name]):.1f}",
                f"{away:.1g}",
            )
        )
    print(
        f"{len(files)} photos, {options.rounds} rounds, views {asked['cpu'].views}, ONNX Runtime {onnxruntime.__version__}"
    )
    table(
        ("device", "batch", "passes/s, 1 thread", "ms of processor", "passes/s, all", "photos/s", "farthest score"),
        rows,
    )
    verdict("farthest score from the processor's", worst, CLOSE, least=False)


if __name__ == "__main__":
    main()
