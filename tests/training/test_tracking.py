"""Callbacks, and trackers against what they really write: TensorBoard's event files, MLflow's local store, wandb offline."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logolens import LogolensError, TrainSettings
from logolens.cli import main
from logolens.errors import UsageError
from logolens.training import tracking
from logolens.training.train import TrainResult, train


@pytest.fixture
def photos(tmp_path: Path, make_photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_photos(tmp_path / "photos", count=8, none=8)


@pytest.fixture
def small(train_settings: TrainSettings) -> TrainSettings:
    return dataclasses.replace(train_settings, size=64, epochs=6, views="whole")


def run(photos: Path, settings: TrainSettings, **how: Any) -> TrainResult:
    return train(photos, "bundle", settings, force=True, **how)


def test_callbacks_are_told_of_stages_and_epochs(photos: Path, small: TrainSettings) -> None:
    stages: list[tuple[str, float]] = []
    epochs: list[tuple[str, Any]] = []
    result = run(
        photos,
        small,
        on_stage=lambda name, seconds: stages.append((name, seconds)),
        on_epoch=lambda stage, epoch: epochs.append((stage, epoch)),
    )
    assert dict(stages) == result.seconds
    assert {"data", "backbone", "features", "head", "measuring", "bundle"} <= dict(stages).keys()
    assert [(stage, epoch.epoch) for stage, epoch in epochs] == [
        ("head", number) for number in range(1, result.manifest["head"]["epochs"] + 1)
    ]
    rows = (Path("bundle") / "history.csv").read_text().splitlines()
    assert len(rows) == len(epochs) + 1
    assert all(epoch.val_loss is not None for _, epoch in epochs)


def test_a_callback_that_raises_ends_the_training(photos: Path, small: TrainSettings) -> None:
    def enough(stage: str, epoch: Any) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(photos, small, on_epoch=enough)
    assert not Path("bundle").exists()


def test_fine_tuning_tells_its_epochs_too(photos: Path, small: TrainSettings) -> None:
    epochs: list[tuple[str, int]] = []
    settings = dataclasses.replace(small, finetune="last-1-blocks", finetune_epochs=2)
    run(photos, settings, on_epoch=lambda stage, epoch: epochs.append((stage, epoch.epoch)))
    assert epochs[-2:] == [("fine-tuning", 1), ("fine-tuning", 2)]
    assert epochs[0] == ("head", 1)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What an event file holds, as TensorBoard itself reads it."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "photos", "--out", "bundle", "--size", "64", "--epochs", "6", "--views", "whole", "--force"]
    for _ in range(2):
        assert main([*arguments, "--log", "tensorboard"]) == 0
    found = scalars(Path("runs/bundle"))
    assert [step for step, _ in found["head/val_loss"]] == list(range(1, len(found["head/loss"]) + 1))
    assert found["head/loss"][0][1] > found["head/loss"][-1][1]
    assert 0 <= found["test/top1"][0][1] <= 1
    assert found["seconds/features"][0][1] > 0
    assert scalars(Path("runs/bundle-2"))["head/loss"] == found["head/loss"]  # A run of its own.


def test_mlflow(photos: Path, small: TrainSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{Path.cwd() / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "logos")
    result = run(photos, small, log=["mlflow"])
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("logos")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "bundle"
    assert kept.data.params["epochs"] == "6"
    assert result.evaluation is not None
    assert kept.data.metrics["test/top1"] == pytest.approx(result.evaluation.top1)
    steps = [one.step for one in client.get_metric_history(kept.info.run_id, "head/loss")]
    assert steps == list(range(1, result.manifest["head"]["epochs"] + 1))
    assert "manifest.json" in {each.path for each in client.list_artifacts(kept.info.run_id)}

    (photos / "none").rename(photos / "away.tmp")
    with pytest.raises(LogolensError):
        run(photos / "gone", small, log=["mlflow"])
    assert {each.info.status for each in client.search_runs([experiment.experiment_id])} == {"FINISHED", "FAILED"}


def test_wandb_offline(photos: Path, small: TrainSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run(photos, small, log=["wandb"], log_folder="logs")
    (written,) = Path("logs").glob("wandb/offline-run-*/run-*.wandb")
    data = written.read_bytes()
    assert b"head/loss" in data
    assert b"test/top1" in data


@pytest.mark.filterwarnings("ignore")
def test_a_tracker_that_cannot_be_begun_ends_it_before_the_photos_are_read(photos: Path, small: TrainSettings) -> None:
    with pytest.raises(UsageError, match="no tracker 'clearml'; choose of: tensorboard, mlflow, wandb"):
        run(photos, small, log=["clearml"])
    Path("file").write_text("")
    with pytest.raises(LogolensError, match="file"):
        run(photos, small, log=["tensorboard"], log_folder="file")
    assert not Path("bundle").exists()


def test_a_tracker_that_fails_on_the_way_does_not_end_the_training(
    photos: Path, small: TrainSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def __init__(self, *how: Any) -> None:
            pass

        def log(self, figures: Any, step: int) -> None:
            raise ConnectionError("the server is away")

        def end(self, figures: Any, bundle: Any) -> None:
            raise AssertionError("it was left aside")

    monkeypatch.setitem(tracking.TRACKERS, "failing", Failing)
    with caplog.at_level(logging.WARNING, "logolens"):
        result = run(photos, small, log=["failing"])
    assert result.evaluation is not None
    assert [record.message for record in caplog.records if "the server is away" in record.message] == [
        "failing takes no more figures of this training (the server is away); the training goes on."
    ]
