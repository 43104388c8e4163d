"""How much sooner is the posts' recipe trained than in Keras?

Both sides: the whole photo squashed to 128 px, frozen MobileNetV2, mean pooling, Dense 128, ReLU, dropout 0.5, softmax,
100 epochs of Adam in batches of 32 over all annotation rows (4,536 in Flickr Logos 27, although they show only 809
photos), 80 % of the rows for training and 20 % for validation, divided at random as the posts do.

Keras sees every row with the whole network in every epoch. One epoch is timed after a warm-up epoch and multiplied; the
decoded photos are handed to it in memory, and importing TensorFlow is not counted. logolens starts from a cold feature
cache, and all it does is counted, in a process of its own: starting Python, imports, reading, decoding, the network once
a photo, 100 epochs with early stopping off, and writing the bundle. The backbone's export, once a machine, is made before.

logolens is timed twice: through its functions, with every row a row of the head's training as in Keras; and as the
command `logolens train`, where rows that repeat a photo count once, and which also looks for near copies and draws plots.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import FLICKR27, busy, table, verdict

RECIPE: dict[str, Any] = {
    "backbone": "mobilenet_v2", "size": 128, "resize": "squash", "pooling": "avg", "boxes": False, "background": False,
    "head": "mlp", "hidden": 128, "dropout": 0.5, "batch": 32, "learning_rate": 0.001, "patience": 0, "balanced": False,
    "refit": False,
}  # fmt: skip


def rows_of(data: Path) -> list[tuple[Path, str]]:
    """(photo, label) of every annotation row of Flickr Logos 27; of other data, of every photo."""
    for file in sorted(data.rglob("*training_set_annotation.txt")):
        photos = next(folder for folder in file.parent.iterdir() if folder.is_dir())
        with file.open() as lines:
            return [(photos / cells[0], cells[1]) for cells in csv.reader(lines, delimiter=" ") if len(cells) > 1]
    from logolens.data import load

    return [(photo.path, photo.label) for photo in load(data).photos]


def divide(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training and the validation rows, at random: the leak of the posts, here for time alone."""
    order = np.random.default_rng(0).permutation(count)
    return order[count // 5 :], order[: count // 5]


def train_once(data: Path, out: Path, epochs: int) -> None:
    """logolens' side, through its own functions, over rows instead of photos; prints its laps as JSON."""
    start = time.perf_counter()
    from logolens.bundle.format import attach_head, write_bundle
    from logolens.config import HeadSettings, Preprocessing
    from logolens.io.images import content_hash, read_bytes
    from logolens.io.views import WHOLE
    from logolens.models.backbones import prepare
    from logolens.models.calibration import Calibration
    from logolens.models.features import FeatureCache, Sight, extract
    from logolens.models.head import Examples, fit_head
    from logolens.models.session import Session

    rows = rows_of(data)
    backbone = prepare(RECIPE["backbone"], size=RECIPE["size"], pooling=RECIPE["pooling"])
    preprocessing = Preprocessing(size=backbone.size, mean=backbone.mean, std=backbone.std)
    laps = {"start": time.perf_counter() - start}
    files = list(dict.fromkeys(file for file, _ in rows))
    sights = [Sight(file, content_hash(read_bytes(file)), (WHOLE,)) for file in files]
    with FeatureCache() as cache:
        features = extract(sights, Session(backbone.path, preprocessing), backbone.sha256, cache=cache)
    laps["features"] = time.perf_counter() - start - sum(laps.values())
    place = {file: number for number, file in enumerate(files)}
    classes = tuple(sorted({label for _, label in rows}))
    x = features[[place[file] for file, _ in rows]]
    y = np.array([classes.index(label) for _, label in rows])
    train, val = (Examples(x[part], y[part], np.ones(len(part), np.float32)) for part in divide(len(rows)))
    names = HeadSettings.__dataclass_fields__
    head = fit_head(
        train, val, len(classes), HeadSettings(epochs=epochs, **{k: v for k, v in RECIPE.items() if k in names})
    )
    laps["head"] = time.perf_counter() - start - sum(laps.values())
    from logolens.bundle.plots import write_history

    manifest = {
        "format": 1,
        "preprocessing": {"size": backbone.size},
        "labels": list(classes),
        "epochs": len(head.history),
    }
    write_bundle(
        out,
        manifest=manifest,
        classes=classes,
        model=attach_head(backbone.path, head, Calibration()),
        head=head,
        extras=lambda folder: write_history([epoch.row() for epoch in head.history], folder / "history.csv"),
    )
    laps["bundle"] = time.perf_counter() - start - sum(laps.values())
    print(json.dumps({"laps": laps, "val_accuracy": head.history[-1].val_accuracy, "epochs": len(head.history)}))


def train_command(data: Path, out: Path, epochs: int) -> list[str]:
    """The same recipe as a user would type it."""
    options = [sys.executable, "-m", "logolens", "train", str(data), "--out", str(out), "--epochs", str(epochs)]
    for name, value in RECIPE.items():
        flag = name.replace("_", "-")
        options += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return [*options, "--val", "0.2", "--test", "0"]


def timed(command: list[str], **environment: str) -> tuple[float, str]:
    """Run a command; the seconds it took, and the last line it printed."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return seconds, done.stdout.strip().splitlines()[-1]


def cold_cache(work: Path, name: str) -> Path:
    """A cache folder of its own that holds the weights and the exported backbones, but no feature."""
    from logolens.config import cache_folder

    folder = work / f"cache-{name}"
    folder.mkdir()
    for kept in ("weights", "backbones", "hashes"):
        if (cache_folder() / kept).exists():
            (folder / kept).symlink_to((cache_folder() / kept).absolute(), target_is_directory=True)
    return folder


def squares_of(rows: list[tuple[Path, str]], file: Path) -> None:
    """The photos decoded once for Keras, so that its time is training alone."""
    from logolens.config import Preprocessing
    from logolens.io.images import read_bytes
    from logolens.io.views import WHOLE, cut

    preprocessing = Preprocessing(size=RECIPE["size"])
    files = list(dict.fromkeys(path for path, _ in rows))
    photos = np.stack([cut(read_bytes(path), (WHOLE,), preprocessing)[0] for path in files])
    place = {path: number for number, path in enumerate(files)}
    classes = sorted({label for _, label in rows})
    photo = np.array([place[path] for path, _ in rows])
    label = np.array([classes.index(name) for _, name in rows])
    train, val = divide(len(rows))
    np.savez(file, photos=photos, train=photo[train], val=photo[val], train_labels=label[train], val_labels=label[val])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=FLICKR27, help="data set (default: %(default)s)")
    parser.add_argument(
        "--keras-python",
        type=Path,
        help="Python of an environment with tensorflow-cpu; without it only logolens is timed",
    )
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2, help="times each side is run, in turn")
    parser.add_argument("--backbone", default=RECIPE["backbone"])
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    RECIPE["backbone"] = options.backbone
    if options.once:
        train_once(options.data, options.once, options.epochs)
        return
    busy()
    from logolens.models.backbones import prepare

    prepare(RECIPE["backbone"], size=RECIPE["size"], pooling=RECIPE["pooling"])
    ours: list[float] = []
    typed: list[float] = []
    keras: list[float] = []
    laps: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        rows = rows_of(options.data)
        print(f"{len(rows)} rows of {len({path for path, _ in rows})} photos, {options.epochs} epochs\n")
        if options.keras_python:
            squares_of(rows, work / "squares.npz")
        for number in range(options.rounds):
            command = [sys.executable, __file__, str(options.data), "--epochs", str(options.epochs)]
            command += ["--backbone", options.backbone, "--once", str(work / f"bundle{number}")]
            seconds, line = timed(command, LOGOLENS_CACHE=str(cold_cache(work, f"rows{number}")))
            report = json.loads(line)
            ours.append(seconds)
            laps.append(report["laps"])
            command = train_command(options.data, work / f"typed{number}", options.epochs)
            typed.append(timed(command, LOGOLENS_CACHE=str(cold_cache(work, f"typed{number}")))[0])
            if options.keras_python:
                recipe = Path(__file__).with_name("keras_recipe.py")
                said = json.loads(timed([str(options.keras_python), str(recipe), str(work / "squares.npz"), "1"])[1])
                keras += said["epochs"]
    parts = ", ".join(f"{name} {median(lap[name] for lap in laps):.1f} s" for name in laps[0])
    lines = [
        ("logolens, every row", f"{median(ours):.1f}"),
        ("logolens train, every photo once", f"{median(typed):.1f}"),
    ]
    total = median(keras) * options.epochs if keras else 0.0
    table(("", "seconds"), [*lines, ("Keras, every row", f"{total:.0f}")] if keras else lines)
    print(f"\nEvery row: {parts}; validation rows right (the leak's figure): {report['val_accuracy']:.3f}")
    if keras:
        print(f"Keras with TensorFlow {said['version']}: {median(keras):.1f} s an epoch\n")
        verdict("Keras to logolens, every row", total / median(ours), 300)
        verdict("Keras to `logolens train`", total / median(typed), 300)


if __name__ == "__main__":
    main()
