"""Training at int8: the bundle computes in what it was trained in, everywhere; and when auto takes it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Trained

from logolens.bundle.format import load_bundle
from logolens.cli import main
from logolens.config import PRECISIONS, TrainSettings
from logolens.errors import DataError, UsageError
from logolens.export import export
from logolens.inference.classifier import Classifier
from logolens.models.quantise import is_quantised
from logolens.training import precision
from logolens.training.train import train


@pytest.fixture(scope="module")
def eight(bundle: Trained, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A bundle that was trained at int8, on the photos of the shared one."""
    out = tmp_path_factory.mktemp("int8") / "bundle"
    settings = dataclasses.replace(bundle.settings, precision="int8", views="whole", epochs=10)
    train(bundle.data, out, settings)
    return Trained(out, bundle.data, settings)


def scores(bundle: Path, photos: list[Path]) -> np.ndarray:
    answers = Classifier.load(bundle, threads=1).predict(photos)
    return np.array([[answer.scores[label] for label in sorted(answer.scores)] for answer in answers])


def photos_of(trained: Trained) -> list[Path]:
    return sorted(path for path in trained.data.rglob("*") if path.is_file())[::9]


def test_the_bundle_holds_the_quantised_network_and_says_so(eight: Trained, capsys: Any) -> None:
    manifest = load_bundle(eight.path).manifest
    assert is_quantised((eight.path / "model.onnx").read_bytes())
    assert manifest["backbone"]["precision"] == "int8"
    facts = manifest["precision"]
    assert facts["taken"] == "int8"
    assert facts["calibrated_on"] == 64
    assert facts["cosine"] > 0.9
    assert facts["reason"] in manifest["data"]["notes"]
    assert facts["reason"] in (eight.path / "README.md").read_text(encoding="utf-8")
    assert main(["summary", str(eight.path)]) == 0
    assert "at int8" in capsys.readouterr().out


def test_its_figures_are_those_of_its_answers(eight: Trained) -> None:
    manifest = load_bundle(eight.path).manifest
    rows = [line.split(",") for line in (eight.path / "split.csv").read_text(encoding="utf-8").splitlines()[1:]]
    test = [(eight.data / path, label) for path, label, part, _ in rows if part == "test" and label != "none"]
    answers = Classifier.load(eight.path, threads=1).predict([path for path, _ in test])
    right = sum(
        max((label for label in answer.scores if label != "none"), key=answer.scores.__getitem__) == label
        for answer, (_, label) in zip(answers, test, strict=True)
    )
    assert right == round(manifest["metrics"]["test"]["top1"] * len(test))


def test_it_answers_the_same_elsewhere_and_without_the_quantiser(
    eight: Trained, tmp_path: Path, bundle: Trained
) -> None:
    here = scores(eight.path, photos := photos_of(eight))
    assert not np.array_equal(here, scores(bundle.path, photos))
    shutil.copytree(eight.path, tmp_path / "copy")
    code = (
        "import sys, json\n"
        "for name in ('onnx', 'onnxruntime.quantization', 'torch'): sys.modules[name] = None\n"
        "from logolens.inference.classifier import Classifier\n"
        "answers = Classifier.load(sys.argv[1], threads=1).predict(sys.argv[2:])\n"
        "print(json.dumps([[answer.scores[label] for label in sorted(answer.scores)] for answer in answers]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "copy"), *map(str, photos)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "LOGOLENS_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(json.loads(done.stdout), here, atol=1e-6)


def test_exports_keep_it_or_say_why_not(eight: Trained, tmp_path: Path) -> None:
    result = export(eight.path, tmp_path / "model.onnx")
    assert result.difference == 0.0
    assert json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))["producer"]["precision"] == "int8"
    assert export(eight.path, tmp_path / "weights.safetensors", "safetensors").difference == 0.0
    with pytest.raises(UsageError, match="at int8 already"):
        export(eight.path, tmp_path / "small.onnx", "onnx-int8")
    for format in ("tflite", "saved-model"):
        with pytest.raises(UsageError, match="--precision float32"):
            export(eight.path, tmp_path / "other", format)


def viewed(trained: Trained, asked: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """What `choose_precision` is given in a training."""
    given: list[Any] = []

    def caught(*arguments: Any) -> Any:
        given.extend(arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("logolens.training.stages.choose_precision", caught)
        with pytest.raises(KeyboardInterrupt):
            train(trained.data, trained.path.parent / "never", dataclasses.replace(trained.settings, precision=asked))
    return tuple(given)


def test_auto_takes_it_where_it_is_fast_and_loses_nothing(eight: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, views, fit, progress = viewed(eight, "auto", monkeypatch)
    few = precision.choose_precision(backbone, views, fit, progress)
    assert few.backbone == backbone
    assert few.note is not None
    assert "validation photos are too few" in few.note
    monkeypatch.setattr(precision, "LEAST_HELD_OUT", 3)
    monkeypatch.setattr(precision, "LEAST_SPEED", 1e9)
    slow = precision.choose_precision(backbone, views, fit, progress)
    assert slow.backbone == backbone
    assert slow.note is not None
    assert "times as fast as at float32, and 1e+09 times is asked" in slow.note
    monkeypatch.setattr(precision, "LEAST_SPEED", 0.0)
    taken = precision.choose_precision(backbone, views, fit, progress)
    assert taken.facts is not None
    assert taken.facts["taken"] == "int8"
    assert taken.backbone.precision == "int8"
    assert taken.facts["top1_int8"] >= taken.facts["top1_float32_ci95"][0]
    assert f"of {taken.facts['photos']} validation photos" in str(taken.note)
    # A head that was trained together with its network is asked as it is; this one tells nothing apart at int8.
    head = fit(_picked(views, backbone, progress))
    spoilt = dataclasses.replace(head, layers=tuple((-weights, -bias) for weights, bias in head.layers))
    answers = {backbone.precision: head, "int8": spoilt}
    monkeypatch.setattr(precision, "_right", _with(precision._right, answers))
    lost = precision.choose_precision(backbone, views, head, progress)
    assert lost.backbone == backbone
    assert "int8 loses too much" in str(lost.note)


def _with(right: Any, heads: dict[str, Any]) -> Any:
    return lambda network, views, judged, fit, progress: right(
        network, views, judged, heads[network.precision], progress
    )


def _picked(views: Any, backbone: Any, progress: Any) -> Any:
    from logolens.training.samples import Picker

    samples, features = views.features(backbone, "train", "val", progress=progress)
    return Picker(samples, features, views.classes)


def test_what_cannot_be_had_is_said(bundle: Trained, tmp_path: Path, make_photos: Any, capsys: Any) -> None:
    with pytest.raises(UsageError, match=f"precision is 'int4'; choose one of: {', '.join(PRECISIONS)}"):
        TrainSettings(precision="int4")
    assert main(["train", str(bundle.data), "--out", str(tmp_path / "out"), "--precision", "half"]) == 2
    assert "--precision" in capsys.readouterr().err
    few = make_photos(tmp_path / "few", labels=("acme", "bolt"), count=3)
    settings = dataclasses.replace(bundle.settings, views="whole", background=False, val=0.0, test=0.0)
    with pytest.raises(DataError, match="are too few of the 16"):
        train(few, tmp_path / "out", dataclasses.replace(settings, precision="int8"))
    names = tmp_path / "names.txt"
    names.write_text("acme: Acme\n", encoding="utf-8")
    assert main(["train", "--names", str(names), "--out", str(tmp_path / "out"), "--precision", "int8"]) == 2
    assert "of names alone there are none" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_is_fine_tuned_is_quantised_afterwards(bundle: Trained, tmp_path: Path) -> None:
    settings = dataclasses.replace(
        bundle.settings, precision="int8", views="whole", epochs=5, finetune="last-1-blocks", finetune_epochs=1
    )
    train(bundle.data, tmp_path / "tuned", settings)
    manifest = load_bundle(tmp_path / "tuned").manifest
    assert manifest["precision"]["taken"] == "int8"
    assert manifest["finetune"]["trained_parameters"] > 0
    assert is_quantised((tmp_path / "tuned" / "model.onnx").read_bytes())
    assert {path.name for path in tmp_path.iterdir()} == {"tuned"}
