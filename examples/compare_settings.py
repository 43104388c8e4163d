"""Train with several settings and compare them by their validation figures.

python examples/compare_settings.py DATA FOLDER

Each bundle goes into FOLDER. Features are computed once and shared through the cache where the settings allow it. The
test figures are left for the one bundle that is chosen: who picks the best of several test figures no longer has a test.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from logolens import TrainSettings, train

TRIALS = {
    "linear": {},
    "linear-strict": {"l2": 0.3},
    "mlp": {"head": "mlp"},
}
"""Names of the trials, and how each differs from the defaults."""


def compare(data: str, folder: str, base: TrainSettings = TrainSettings()) -> dict[str, tuple[float, list[float]]]:
    """Train each trial; return its validation accuracy and 95 % interval."""
    figures = {}
    for name, changes in TRIALS.items():
        result = train(data, Path(folder) / name, dataclasses.replace(base, **changes), force=True)
        validation = result.manifest["metrics"]["val"]
        figures[name] = (validation["top1"], validation["top1_ci95"])
    return figures


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for name, (top1, (low, high)) in compare(*sys.argv[1:]).items():
        print(f"{name:15} {top1:.1%}  (95 % interval {low:.1%} to {high:.1%})")
