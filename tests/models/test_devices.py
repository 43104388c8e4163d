"""What networks run on: the processor, and whatever else this machine's ONNX Runtime knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from logolens.config import DEVICES, ScanSettings, ServeSettings, TrainSettings
from logolens.errors import BundleError, DeviceError, UsageError
from logolens.inference.classifier import Classifier
from logolens.models.devices import check_device, device_named, onnx_session
from logolens.models.session import Session

THERE = onnxruntime.get_available_providers()
ABSENT = [name for name in DEVICES if name != "auto" and device_named(name).provider not in THERE]
OTHERS = [name for name in DEVICES if name not in ("auto", "cpu", *ABSENT)]


def _scores(classifier: Classifier, photo: Path) -> dict[str, float]:
    (answer,) = classifier.predict([photo])
    return dict(answer.scores)


@pytest.fixture
def photo(bundle: Any) -> Path:
    return Path(bundle.data) / "acme" / "acme-0.png"


@pytest.mark.parametrize("name", ABSENT)
def test_a_device_that_is_not_there_is_one_sentence_that_says_what_to_do(bundle: Any, name: str) -> None:
    with pytest.raises(DeviceError) as error:
        Classifier.load(bundle.path, device=name)
    said = str(error.value)
    assert "\n" not in said
    assert f"cannot run on {name} here, only on cpu" in said
    assert "--device cpu" in said
    package = device_named(name).package
    assert (f"pip install {package}" in said) if package else ("macOS" in said)
    with pytest.raises(DeviceError):
        check_device(name)


def test_a_name_that_is_no_device_is_refused(bundle: Any) -> None:
    with pytest.raises(DeviceError, match="choose one of: auto, cpu"):
        Classifier.load(bundle.path, device="abacus")
    for kind in (TrainSettings, ScanSettings, ServeSettings):
        with pytest.raises(UsageError, match="device is 'abacus'"):
            kind(device="abacus")


def test_auto_is_the_processor_where_there_is_no_gpu(bundle: Any, photo: Path) -> None:
    one, other = (Classifier.load(bundle.path, device=name) for name in ("auto", "cpu"))
    assert other._session.device.name == "cpu"
    if set(THERE) <= {"CPUExecutionProvider", "AzureExecutionProvider", "OpenVINOExecutionProvider"}:
        assert one._session.device.name == "cpu"
        assert _scores(one, photo) == _scores(other, photo)


@pytest.mark.parametrize("name", OTHERS)
def test_other_devices_answer_as_the_processor_does(bundle: Any, photo: Path, name: str) -> None:
    plain, other = (Classifier.load(bundle.path, device=each) for each in ("cpu", name))
    assert other._session.device.name == name
    assert _scores(other, photo) == pytest.approx(_scores(plain, photo), abs=1e-3)
    squares = np.random.default_rng(0).integers(0, 256, (5, *[plain.bundle.preprocessing.size] * 2, 3), dtype=np.uint8)
    for one, two in zip(plain._session.run(squares), other._session.run(squares), strict=True):
        assert np.abs(one - two).max() <= 1e-3 * max(1.0, float(np.abs(one).max()))


@pytest.mark.parametrize("name", ["auto", "cpu", *OTHERS])
def test_what_is_no_network_is_the_networks_fault_on_every_device(bundle: Any, name: str) -> None:
    with pytest.raises(BundleError, match="cannot be loaded by ONNX Runtime"):
        Session(b"no network", Classifier.load(bundle.path).bundle.preprocessing, device=name)


def test_session_options_can_be_changed(bundle: Any) -> None:
    seen = []
    opened = onnx_session(Path(bundle.path) / "model.onnx", configure=lambda options: seen.append(options))
    assert seen[0].intra_op_num_threads == 1
    assert opened.device.name == "cpu"


@pytest.mark.skipif("cuda" not in ABSENT, reason="ONNX Runtime knows CUDA here")
@pytest.mark.parametrize("command", ["predict", "evaluate", "scan", "serve", "train"])
def test_each_command_says_so_before_it_begins(bundle: Any, photo: Path, tmp_path: Path, command: str) -> None:
    given = {
        "predict": [bundle.path, photo],
        "evaluate": [bundle.path, photo.parent.parent],
        "scan": [bundle.path, photo, "--store", tmp_path / "store.sqlite"],
        "serve": [bundle.path, "--port", "0"],
        "train": [photo.parent.parent, "--out", tmp_path / "new"],
    }[command]
    run = subprocess.run(
        [sys.executable, "-m", "logolens", command, *map(str, given), "--device", "cuda"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode not in (0, 3), run.stderr
    assert "pip install onnxruntime-gpu" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "new").exists()
