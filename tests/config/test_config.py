"""Settings hold their bounds, and every default is written once."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from logolens.config import (
    CacheSettings,
    HeadSettings,
    Limits,
    Preprocessing,
    SplitSettings,
    TrainSettings,
    cache_folder,
)
from logolens.errors import LogolensError, MissingExtraError, UsageError, require

KINDS = (CacheSettings, HeadSettings, Limits, Preprocessing, SplitSettings, TrainSettings)


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_valid_and_frozen(kind: type) -> None:
    settings = kind()
    name = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, name, 1)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (spec_kind, spec.name, value)
        for spec_kind in KINDS
        for spec in dataclasses.fields(spec_kind)
        for value in (
            *([spec.metadata["low"] - 1] if spec.metadata.get("low") is not None else []),
            *([spec.metadata["high"] + 1] if spec.metadata.get("high") is not None else []),
            *([math.nan] if spec.metadata.get("low") is not None else []),
            *(["no-such-choice"] if spec.metadata.get("choices") else []),
        )
    ],
)
def test_a_value_outside_its_bounds_is_refused_by_name(kind: type, name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        kind(**{name: value})
    message = str(caught.value)
    assert name.replace("_", "-") in message
    assert message.endswith(".")


def test_bounds_themselves_are_allowed() -> None:
    assert Preprocessing(size=32).size == 32
    assert Preprocessing(size=1024).size == 1024
    assert HeadSettings(patience=0, l2=0.0, dropout=0.0).patience == 0
    assert TrainSettings(size=None, threads=None).size is None


def test_parts_must_leave_something_to_train_on() -> None:
    assert SplitSettings(val=0.0, test=0.0).val == 0.0
    for kind in (SplitSettings, TrainSettings):
        with pytest.raises(UsageError, match="below 1"):
            kind(val=0.5, test=0.5)


def test_train_settings_repeat_no_default_and_pass_everything_on() -> None:
    assert TrainSettings().head_settings() == HeadSettings()
    assert TrainSettings().split_settings() == SplitSettings()
    changed = TrainSettings(head="mlp", epochs=7, hidden=9, dropout=0.1, seed=5, val=0.3, test=0.1, balanced=False)
    assert changed.head_settings() == HeadSettings(head="mlp", epochs=7, hidden=9, dropout=0.1, seed=5, balanced=False)
    assert changed.split_settings() == SplitSettings(val=0.3, test=0.1, seed=5)


def test_every_setting_of_training_explains_itself() -> None:
    for spec in dataclasses.fields(TrainSettings):
        assert len(spec.metadata["help"]) > 10, spec.name
        assert not spec.metadata["help"].endswith("."), spec.name


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "named"))
    assert cache_folder() == tmp_path / "named"
    monkeypatch.delenv("LOGOLENS_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "logolens"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().name in ("logolens", "Cache")
    assert not (tmp_path / "xdg").exists()  # Asking creates nothing.


def test_require_names_the_command_to_run() -> None:
    assert require("json", "train").__name__ == "json"
    with pytest.raises(MissingExtraError, match=r"no_such_package_here.*pip install 'logolens\[train\]'"):
        require("no_such_package_here.part", "train")


def test_a_package_that_lacks_one_of_its_own_parts_says_so_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_a_package.py").write_text("import a_part_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_part_that_is_missing"):
        require("half_a_package", "train")


def test_all_errors_are_of_one_family() -> None:
    from logolens import errors

    for name in errors.__all__:
        value = getattr(errors, name)
        if isinstance(value, type):
            assert issubclass(value, LogolensError), name
            assert value.__doc__, name
