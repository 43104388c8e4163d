"""The command line: answers on standard output, everything else on standard error, one sentence for each mistake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image

import logolens
from logolens.cli import cli, main

LOGOLENS = [sys.executable, "-m", "logolens"]


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


COMMANDS = dict(commands())


@pytest.fixture
def photo(bundle: Any) -> Path:
    return bundle.data / "acme" / "acme-0.png"


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text("utf-8"))


# Help and usage


def test_the_commands() -> None:
    assert {name[0] for name in COMMANDS} >= {
        *("train", "evaluate", "predict", "summary", "demo", "datasets", "backbones", "cache"),
    }
    assert {("datasets", "get"), ("backbones", "get"), ("cache", "clear")} <= set(COMMANDS)


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=lambda path: " ".join(path) or "logolens")
def test_every_command_has_help_and_so_has_every_option(path: tuple[str, ...], capsys: Any) -> None:
    for flag in ("--help", "-h"):
        assert main([*path, flag]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("Usage: logolens")
        assert err == ""
    command = COMMANDS[path] if path else cli
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith("."), parameter.name
            assert parameter.help[0].isupper(), parameter.name


def test_the_version(capsys: Any) -> None:
    assert main(["--version"]) == 0
    assert logolens.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["train"], "Missing option '--out'"),
        (["train", "photos"], "Missing option '--out'"),
        (["train", "photos", "--out", "o", "--epoch"], "--epoch"),
        (["train", "photos", "--out", "o", "--epochs", "many"], "'many' is not a valid integer"),
        (["train", "photos", "--out", "o", "--epochs", "0"], "epochs is 0; it must be from 1 to 100000."),
        (["train", "photos", "--out", "o", "--size", "7"], "size is 7; it must be from 32 to 1024."),
        (["train", "photos", "--out", "o", "--head", "forest"], "'forest' is not one of"),
        (["train", "photos", "--out", "o", "--val", "0.6", "--test", "0.6"], "leave nothing to train on"),
        (["train", "photos", "--out", "o", "--val", "nan"], "val is nan"),
        (["predict", "bundle"], "Missing argument 'IMAGES...'"),
        (["predict", "bundle", "a.jpg", "--top", "0"], "0 is not in the range"),
        (["predict", "bundle", "a.jpg", "--threads", "-1"], "-1 is not in the range"),
        (["datasets", "get", "imagenet", "d"], "'imagenet' is not"),
    ],
)
def test_wrong_usage_is_a_sentence_and_2(arguments: list[str], said: str, capsys: Any) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.startswith("Error: ")]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "nowhere", "--out", "o"], "nowhere"),
        (["predict", "nowhere", "a.jpg"], "nowhere is not a bundle"),
        (["evaluate", "nowhere", "data"], "nowhere is not a bundle"),
        (["summary", "nowhere"], "nowhere is not a bundle"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_1(
    arguments: list[str], said: str, capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("Error: ")
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_no_backbone_can_take_ends_before_anything_is_written(
    bundle: Any, tmp_path: Path, capsys: Any
) -> None:
    assert main(["train", str(bundle.data), "--out", str(tmp_path / "o"), "--backbone", "efficientnet_lite9"]) == 2
    assert "efficientnet_lite9" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# Train


def test_training_with_settings_from_a_file_and_again_from_the_manifest(
    tmp_path: Path, make_photos: Any, capsys: Any
) -> None:
    data, one, two, three = (tmp_path / name for name in ("photos", "one", "two", "three"))
    make_photos(data, labels=("acme", "bolt"), count=7)
    config = tmp_path / "settings.toml"
    config.write_text(
        '[train]\nsize = 96\nepochs = 9\nval = 0.3\nseed = 3\nbalanced = false\nviews = "whole"\n\n[predict]\ntop = 2\n'
    )
    assert main(["train", str(data), "--out", str(one), "--config", str(config), "--epochs", "5"]) == 0
    out, err = capsys.readouterr()
    settings = manifest_of(one)["settings"]
    assert (settings["size"], settings["val"], settings["seed"], settings["balanced"]) == (96, 0.3, 3, False)
    assert settings["epochs"] == 5  # The command line wins.
    assert str(one) in out
    assert "top-1 accuracy" in out
    assert "Traceback" not in err
    assert "\x1b" not in out + err
    assert "━" not in err  # No bars where nobody watches.

    assert main(["train", "--config", str(one / "manifest.json"), "--out", str(two)]) == 0
    assert main(["train", str(data), "--config", str(one), "-o", str(three), "--seed", "4"]) == 0
    assert manifest_of(two)["settings"] == settings
    assert manifest_of(two)["data"]["data_hash"] == manifest_of(one)["data"]["data_hash"]
    for name in ("model.onnx", "head.safetensors", "split.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert manifest_of(three)["settings"] == settings | {"seed": 4}
    capsys.readouterr()

    assert main(["train", str(data), "--out", str(one), "--config", str(config)]) == 2
    assert "--force" in capsys.readouterr().err
    before = (one / "manifest.json").read_bytes()
    assert main(["train", str(data), "--out", str(one), "--config", str(config), "--force"]) == 0
    assert (one / "manifest.json").read_bytes() != before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch = 5", "did you mean epochs?"),
        ("[train]\nlearning-rates = 5", "did you mean learning-rate?"),
        ("zzz = 5", "see logolens train --help"),
        ("epochs = ", "is not TOML"),
        ("epochs = 'many'", "not a valid integer"),
        ("epochs = -3", "epochs is -3"),
        ("head = 'forest'", "is not one of"),
        ("cache = 'perhaps'", "not a valid boolean"),
        ("val = [1, 2]", "sets val to a list; it takes one value"),
        ("train = 3", "sets train, which `logolens train` does not know"),
    ],
)
def test_a_settings_file_that_is_wrong_is_a_sentence(text: str, said: str, tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "s.toml"
    config.write_text(text + "\n")
    assert main(["train", "photos", "--out", str(tmp_path / "o"), "--config", str(config)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"settings": 3}', "null"])
def test_a_json_file_that_is_no_manifest_is_a_sentence(text: str, tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "manifest.json"
    config.write_text(text)
    assert main(["train", "photos", "--out", str(tmp_path / "o"), "--config", str(config)]) == 2
    assert "is not a bundle's manifest" in capsys.readouterr().err
    assert main(["train", "photos", "--out", str(tmp_path / "o"), "--config", str(tmp_path / "gone.toml")]) == 2
    assert "gone.toml cannot be read" in capsys.readouterr().err


def test_a_flat_settings_file_serves_any_command(bundle: Any, photo: Path, tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "s.toml"
    config.write_text("top = 1\nthreads = 1\n")
    assert main(["predict", str(bundle.path), str(photo), "--json", "--config", str(config)]) == 0
    assert len(json.loads(capsys.readouterr().out)["scores"]) == 1
    assert main(["predict", str(bundle.path), str(photo), "--json", "--config", str(config), "--top", "3"]) == 0
    assert len(json.loads(capsys.readouterr().out)["scores"]) == 3


# Predict


def test_predict_prints_one_json_object_an_image_in_order(bundle: Any, tmp_path: Path, capsys: Any) -> None:
    good = sorted((bundle.data / "bolt").iterdir())[:3]
    (tmp_path / "broken.jpg").write_text("no image")
    images = [good[0], tmp_path / "broken.jpg", good[1], tmp_path / "gone.jpg", good[2]]
    assert main(["predict", str(bundle.path), *map(str, images), "--json"]) == 1
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["image"] for answer in answers] == [str(path) for path in images]
    assert all(list(answer) == ["image", "label", "confidence", "scores", "box", "error"] for answer in answers)
    assert [answer["label"] is None for answer in answers] == [False, True, False, True, False]
    assert [answer["error"] is not None for answer in answers] == [False, True, False, True, False]
    assert err == ""
    assert main(["predict", str(bundle.path), *map(str, good), "--json"]) == 0


def test_predict_for_people(bundle: Any, photo: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["predict", str(bundle.path), str(photo)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert str(photo) in out
    assert "%" in out
    assert err == ""
    assert main(["predict", str(bundle.path), str(photo), "--top", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["predict", str(bundle.path), str(photo), str(tmp_path / "gone.jpg")]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "gone.jpg: there is no such file." in err
    assert "1 of 2 images could not be read" in err


def test_predict_takes_folders_and_patterns(bundle: Any, tmp_path: Path, capsys: Any) -> None:
    def count(*images: str) -> int:
        code = main(["predict", str(bundle.path), *images, "--json"])
        answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert code == int(any(answer["error"] for answer in answers))
        return len(answers)

    assert count(str(bundle.data / "acme")) == 14
    assert count(str(bundle.data / "*" / "*-1.jpg")) == 4
    assert count(str(bundle.data / "acme"), str(bundle.data / "bolt" / "bolt-0.png")) == 15
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(bundle.path), str(tmp_path / "empty"), str(tmp_path / "*.xyz"), "--json"]) == 1
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 2
    assert all(answer["error"] for answer in answers)


def test_predict_shows_a_picture_and_never_overwrites_one(
    bundle: Any, photo: Path, tmp_path: Path, capsys: Any
) -> None:
    shown = tmp_path / "shown.png"
    arguments = ["predict", str(bundle.path), str(photo), str(tmp_path / "gone.jpg"), "--show", str(shown), "--json"]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert str(shown) in err
    with Image.open(shown) as picture:
        assert min(picture.size) > 100
    shown.write_bytes(b"mine")
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert shown.read_bytes() == b"mine"
    assert main([*arguments, "--force"]) == 1
    assert shown.read_bytes() != b"mine"


def test_predict_refuses_an_altered_bundle(bundle: Any, photo: Path, tmp_path: Path, capsys: Any) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "copy"))
    (copy / "labels.txt").write_text("acme\nbolt\nother\nnone\n")
    assert main(["predict", str(copy), str(photo)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "altered" in err


def test_standard_input_and_output_as_a_shell_has_them(bundle: Any, photo: Path) -> None:
    run = subprocess.run(
        [*LOGOLENS, "predict", str(bundle.path), "-", str(photo), "--json"],
        input=photo.read_bytes(),
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == b""
    piped, named = (json.loads(line) for line in run.stdout.splitlines())
    assert piped["image"] == "-"
    assert piped["scores"] == pytest.approx(named["scores"], abs=1e-5)


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_reader_that_has_had_enough_is_no_error(bundle: Any, photo: Path, options: list[str]) -> None:
    process = subprocess.Popen(
        [*LOGOLENS, "predict", str(bundle.path), *[str(photo)] * 3000, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    process.wait(240)
    assert error == b""


def test_an_interrupt_that_keeps_a_module_from_loading_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as stop:
            raise ImportError("initialization failed") from stop

    @click.command()
    def loading() -> None:
        load()

    monkeypatch.setitem(cli.commands, "loading", loading)
    assert main(["loading"]) == 130
    assert capsys.readouterr().err == "Stopped.\n"


# As the command does it, which takes an interrupt that comes before or after the command line's own part for the same.
_INTERRUPTED = """
import sys
from logolens.cli import main
try:
    print("ready", flush=True)
    code = main(sys.argv[1:])
except KeyboardInterrupt:
    sys.stderr.write("Stopped.\\n")
    code = 130
sys.exit(code)
"""


@pytest.mark.skipif(os.name == "nt", reason="this system sends no SIGINT")
@pytest.mark.parametrize("wait", [0.0, 0.15, 0.3, 2.0])  # Extension modules are loaded, or it waits for standard input.
def test_an_interrupt_ends_quietly(bundle: Any, photo: Path, wait: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, "predict", str(bundle.path), str(photo), "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert err.strip() == b"Stopped."
    assert b"Traceback" not in out


# The others


def test_evaluate_prints_figures_and_json(bundle: Any, make_photos: Any, tmp_path: Path, capsys: Any) -> None:
    data = make_photos(tmp_path / "fresh", count=5, none=5, seed=9)
    assert main(["evaluate", str(bundle.path), str(data), "--json"]) == 0
    out, _ = capsys.readouterr()
    figures = json.loads(out)
    assert figures["n"] == 15
    assert figures["top1"] > 0.6
    assert figures["none"]["n"] == 5
    assert main(["evaluate", str(bundle.path), str(data)]) == 0
    out, err = capsys.readouterr()
    assert "acme" in out
    assert f"{figures['top1']:.1%}" in out
    assert "were used to train" not in err
    assert main(["evaluate", str(bundle.path), str(bundle.data)]) == 0
    assert "were used to train or tune this bundle" in capsys.readouterr().err


def test_evaluate_refuses_labels_that_the_bundle_does_not_know(
    bundle: Any, make_photos: Any, tmp_path: Path, capsys: Any
) -> None:
    data = make_photos(tmp_path / "other", labels=("acme", "zebra"), count=3)
    assert main(["evaluate", str(bundle.path), str(data)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "zebra" in err


def test_summary_adds_up(bundle: Any, capsys: Any) -> None:
    assert main(["summary", str(bundle.path)]) == 0
    out = capsys.readouterr().out
    manifest = manifest_of(bundle.path)
    frozen, trained = manifest["backbone"]["parameters"], manifest["head"]["parameters"]
    assert f"{frozen + trained:,} parameters: {frozen:,} frozen, {trained:,} trained." in out
    assert sum(layer["parameters"] for layer in manifest["layers"]) == frozen
    assert trained == 2784 * 4 + 4
    assert "efficientnet_lite0" in out


def test_backbones_are_listed(capsys: Any) -> None:
    assert main(["backbones"]) == 0
    out = capsys.readouterr().out
    for name in ("efficientnet_lite0", "efficientnet_lite1", "mobilenet_v2"):
        assert name in out
    assert main(["backbones", "get", "no_such_network"]) in (1, 2)
    assert "no_such_network" in capsys.readouterr().err


def test_the_cache_is_shown_and_cleared(own_cache: Path, capsys: Any) -> None:
    import numpy as np

    from logolens.models.features import FeatureCache

    with FeatureCache() as features:
        features.put([(number.to_bytes(32, "big"), np.ones(1000, np.float32)) for number in range(7)])
    (own_cache / "backbones").mkdir()
    (own_cache / "backbones" / "net.onnx").write_bytes(bytes(3_000_000))
    assert main(["cache"]) == 0
    out = capsys.readouterr().out
    assert "7" in out
    assert "3.0 MB" in out
    assert str(own_cache) in out
    assert main(["cache", "clear"]) == 0
    assert "7 features removed" in capsys.readouterr().out
    assert (own_cache / "backbones" / "net.onnx").exists()
    assert main(["cache", "clear", "--all"]) == 0
    assert not (own_cache / "backbones").exists()
    assert main(["cache", "clear", "--all"]) == 0  # There may be nothing to clear.


def test_a_cache_that_cannot_be_written_to_is_a_sentence(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "file" / "cache"))
    assert main(["cache"]) == 2
    assert "LOGOLENS_CACHE" in capsys.readouterr().err


def test_a_folder_s_drawings_are_answered_as_a_scan_does(
    bundle: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("resvg_py", reason="needs the extra svg")
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><circle cx="20" cy="20" r="15" fill="red"/></svg>'
    )
    (tmp_path / "marks").mkdir()
    (tmp_path / "marks" / "acme.svg").write_text(drawing, encoding="utf-8")
    for images in (tmp_path / "marks", tmp_path / "**" / "*.svg"):
        assert main(["predict", str(bundle.path), str(images), "--json"]) == 0
        (answer,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
        assert answer["image"].endswith("acme.svg")
        assert answer["error"] is None


def test_a_profile_tells_where_time_went_and_leaves_the_answers_alone(bundle: Any, photo: Path) -> None:
    command = [*LOGOLENS, "predict", str(bundle.path), *[str(photo)] * 3, "--json"]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    told = subprocess.run([*command, "--profile"], capture_output=True, text=True, check=True)
    assert told.stdout == plain.stdout
    assert plain.stderr == ""
    head, *lines = told.stderr.splitlines()
    assert head.split() == ["stage", "share", "ms", "an", "image", "of", "processor", "times", "an", "image"]
    times = {line[:12].strip(): line.split()[-1] for line in lines}
    assert times["read"] == "1.0"
    assert float(times["network"]) >= 1.0
    assert {"decode", "cut views", "other"} <= set(times)
