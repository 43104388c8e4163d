"""The demo as a whole: compose, train, judge, show.

out/
    index.html              the page to look at
    data/                   the composed photos, see ``logolens.recipes.demo.demo_data``
    bundle/                 the classifier of the brands
    oldnew-bundle/          the classifier of one brand's old and new logo
    evaluation.json         the figures on unseen photos, as ``logolens evaluate --json`` prints them
    predictions.jsonl       the answers to unseen photos, as ``logolens predict --json`` prints them
    oldnew-evaluation.json
    demo.json               that this folder is the demo's, and whether it is complete
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logolens.config import TrainSettings
from logolens.errors import UsageError
from logolens.io.atomic import write_file
from logolens.io.names import valid_all
from logolens.recipes.demo.brands import BRANDS
from logolens.recipes.demo.demo_data import DemoSettings, make_demo_data
from logolens.recipes.demo.trial import DemoResult, Trial, run_trial
from logolens.types import Progress

__all__ = ["demo"]

_SIGN = "demo.json"
_MAKER = "logolens demo"


def demo(
    out: Path,
    settings: DemoSettings | None = None,
    *,
    brands: Sequence[str] = BRANDS,
    training: TrainSettings | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> DemoResult:
    """Compose photos of real brands' logos, train on them, judge the bundle on unseen ones, and write a page.

    Args:
        out: the folder to fill; absent, empty, or a demo's own.
        settings: how much is composed, and the seed; the defaults of ``DemoSettings`` if not given.
        brands: the labels, slugs of ``simple-icons-pack``.
        training: how to train; the defaults of ``logolens train``, without a test part, if not given.
        force: replace a complete demo that is there. An interrupted one is replaced without.
        progress: told of the work as it is done.

    Raises:
        DataError: the packages of brand artwork lack too many of the brands.
        MissingExtraError: the ``demo`` or the ``train`` extra is not installed.
        UsageError: the folder holds something else, or a complete demo and ``force`` is not given.
    """
    from logolens.recipes.demo.show import demo_page, readme_picture

    out = Path(out)
    _claim(out, force)
    settings = settings or DemoSettings()
    if training is None:
        # The unseen photos are the test, so none of the others need be kept back for one.
        training = TrainSettings(seed=settings.seed, test=0.0)
    start = time.perf_counter()
    data = make_demo_data(out / "data", settings, brands=brands, force=True, progress=progress)
    composed = time.perf_counter()
    trial = run_trial(data.annotations, data.unseen, out / "bundle", training, progress=progress)
    oldnew = None
    if data.oldnew_annotations is not None and data.oldnew_unseen is not None:
        oldnew = run_trial(
            data.oldnew_annotations, data.oldnew_unseen, out / "oldnew-bundle", training, progress=progress
        )
    _write_figures(out, "", trial)
    if oldnew is not None:
        _write_figures(out, "oldnew-", oldnew)
    seconds = {"composing": round(composed - start, 1), "the brands": sum(trial.seconds.values())}
    if oldnew is not None:
        seconds["old or new"] = sum(oldnew.seconds.values())
    result = DemoResult(out, data, trial, oldnew, out / "index.html", seconds)
    write_file(result.page, demo_page(result).encode("utf-8"), force=True)
    readme_picture(result, out / "overview.png", force=True)
    _sign(out, {"complete": True, "seconds": seconds, "labels": list(data.labels), "absent": list(data.absent)})
    return result


def _claim(out: Path, force: bool) -> None:
    """Make the folder the demo's own, or refuse it."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder for the demo.")
    if out.exists() and any(out.iterdir()):
        try:
            found = json.loads((out / _SIGN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict) or found.get("made by") != _MAKER:
            raise UsageError(f"{out} is not empty and is no demo's folder, so it stays as it is. Name a new folder.")
        if found.get("complete") and not force:
            raise UsageError(
                f"{out} holds a complete demo. Name another folder, or say that it may be replaced (force)."
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be made ({error.strerror}). Name a folder that you may write to.") from error
    _sign(out, {"complete": False})


def _sign(out: Path, facts: dict[str, Any]) -> None:
    text = json.dumps(valid_all({"made by": _MAKER, **facts}), indent=1, ensure_ascii=False)
    write_file(out / _SIGN, text.encode("utf-8"), force=True)


def _write_figures(out: Path, prefix: str, trial: Trial) -> None:
    figures = json.dumps(trial.evaluation.to_json(), indent=1, ensure_ascii=False)
    write_file(out / f"{prefix}evaluation.json", figures.encode("utf-8"), force=True)
    lines = "".join(json.dumps(answer.prediction.to_json(), ensure_ascii=False) + "\n" for answer in trial.answers)
    write_file(out / f"{prefix}predictions.jsonl", lines.encode("utf-8"), force=True)
