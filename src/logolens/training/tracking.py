"""Where a training's figures go as it goes on: TensorBoard, MLflow, Weights & Biases.

A tracker is one class here and one line in `TRACKERS`. What it needs is imported when it is asked for.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from logolens.config import TrainSettings
from logolens.errors import LogolensError, UsageError, require
from logolens.models.head import Epoch
from logolens.training.summaries import summary_writer

__all__ = ["TRACKERS", "Tracked", "Tracker"]

_LOG = logging.getLogger(__name__)
_PROJECT = "logolens"


class Tracker(Protocol):
    """A place where a run's figures go."""

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Keep figures of one step."""

    def end(self, figures: Mapping[str, float], bundle: Path | None) -> None:
        """Keep the final figures and end the run; ``bundle`` is None of one that failed."""


class _TensorBoard:
    def __init__(self, name: str, settings: Mapping[str, str], folder: Path) -> None:
        # TensorBoard draws all event files of one folder as one line, so each run gets a folder of its own.
        number = 1
        while (place := folder / (name if number == 1 else f"{name}-{number}")).exists():
            number += 1
        self._writer = summary_writer(place)
        rows = "\n".join(f"| {key} | {value} |" for key, value in settings.items())
        self._writer.add_text("settings", f"| setting | value |\n| --- | --- |\n{rows}")

    def log(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, figures: Mapping[str, float], bundle: Path | None) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, 0)
        self._writer.close()


class _MLflow:
    """By its client alone: a run of the caller's own that is open is left as it is."""

    def __init__(self, name: str, settings: Mapping[str, str], folder: Path) -> None:
        mlflow: Any = require("mlflow", "mlflow")
        self._entities: Any = require("mlflow.entities", "mlflow")
        self._client = mlflow.MlflowClient()
        title = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
        there = self._client.get_experiment_by_name(title)
        experiment = self._client.create_experiment(title) if there is None else there.experiment_id
        self._run = self._client.create_run(experiment, run_name=name).info.run_id
        params = [self._entities.Param(key, value[:500]) for key, value in settings.items() if value]
        self._client.log_batch(self._run, params=params)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        when = int(time.time() * 1000)
        metrics = [self._entities.Metric(name, value, when, step) for name, value in figures.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def end(self, figures: Mapping[str, float], bundle: Path | None) -> None:
        self.log(figures, 0)
        for name in ("manifest.json", "README.md", "confusion.png", "curves.png"):
            if bundle is not None and (bundle / name).is_file():
                self._client.log_artifact(self._run, str(bundle / name))
        self._client.set_terminated(self._run, "FAILED" if bundle is None else "FINISHED")


class _WandB:
    def __init__(self, name: str, settings: Mapping[str, str], folder: Path) -> None:
        wandb: Any = require("wandb", "wandb")
        folder.mkdir(parents=True, exist_ok=True)
        project = os.environ.get("WANDB_PROJECT", _PROJECT)
        self._run = wandb.init(project=project, name=name, config=dict(settings), dir=str(folder), reinit="create_new")

    def log(self, figures: Mapping[str, float], step: int) -> None:
        # Its own count goes up alone; two stages count their epochs each.
        self._run.log({**figures, "epoch": step})

    def end(self, figures: Mapping[str, float], bundle: Path | None) -> None:
        self._run.summary.update(dict(figures))
        self._run.finish(exit_code=1 if bundle is None else 0)


TRACKERS: dict[str, Callable[[str, Mapping[str, str], Path], Tracker]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _WandB,
}


class Tracked:
    """The trackers of one training. One that fails on the way is told of once and left aside: the training goes on.

    Args:
        names: of `TRACKERS`.
        bundle: the bundle that is to be written; runs are called like it.
        settings: of the training.
        folder: for what lies in files of ours.

    Raises:
        UsageError: there is no such tracker, or it cannot be begun.
        MissingExtraError: what it needs is not installed.
    """

    def __init__(self, names: Sequence[str], bundle: Path, settings: TrainSettings, folder: Path) -> None:
        if unknown := [name for name in names if name not in TRACKERS]:
            raise UsageError(f"There is no tracker {unknown[0]!r}; choose of: {', '.join(TRACKERS)}.")
        texts = {key: _text(value) for key, value in dataclasses.asdict(settings).items()}
        self._trackers: dict[str, Tracker] = {}
        for name in dict.fromkeys(names):
            try:
                self._trackers[name] = TRACKERS[name](bundle.resolve().name, texts, folder)
            except LogolensError:
                self.end({}, None)
                raise
            except Exception as error:  # Each has a tree of exceptions of its own.
                self.end({}, None)
                raise UsageError(
                    f"{name} cannot be written to ({_line(error)}); see to it, or train without --log."
                ) from error

    def epoch(self, stage: str, epoch: Epoch) -> None:
        """Keep what an epoch gave."""
        row = epoch.row()
        figures = {f"{stage}/{key}": float(value) for key, value in row.items() if key != "epoch" and value is not None}
        self._each(lambda tracker: tracker.log(figures, epoch.epoch))

    def stage(self, name: str, seconds: float) -> None:
        """Keep how long a stage took."""
        self._each(lambda tracker: tracker.log({f"seconds/{name.replace(' ', '_')}": seconds}, 0))

    def end(self, figures: Mapping[str, float], bundle: Path | None) -> None:
        """End the runs; without a bundle they have failed."""
        self._each(lambda tracker: tracker.end(figures, bundle))
        self._trackers.clear()

    def _each(self, do: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                do(tracker)
            except Exception as error:
                _LOG.warning(
                    "%s takes no more figures of this training (%s); the training goes on.", name, _line(error)
                )
                del self._trackers[name]


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
