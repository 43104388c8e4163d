"""What is installed without extras: it predicts, and says how to get the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
_OFFLINE = ("No matching distribution", "Could not find a version", "Failed to establish", "Temporary failure")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that holds logolens alone."""
    folder = tmp_path_factory.mktemp("core") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    path = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    constraints = REPOSITORY / "constraints.txt"
    install = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(path), "install", "--quiet", "--no-compile", str(REPOSITORY)]
        + (["-c", str(constraints)] if constraints.is_file() else []),
        capture_output=True,
        text=True,
        check=False,
    )
    if install.returncode and any(sign in install.stderr for sign in _OFFLINE):
        pytest.skip("the package index cannot be reached")
    assert install.returncode == 0, install.stderr
    return path


def run(python: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
    # -I: nothing of this checkout, and no PYTHONPATH, may stand in for what was installed.
    return subprocess.run(
        [str(python), "-I", "-m", "logolens", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_core_has_no_extras_in_it(python: Path) -> None:
    listed = subprocess.run(
        [
            str(python),
            "-I",
            "-c",
            "from importlib.metadata import distributions as d; print(*{x.name.lower() for x in d()})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    names = set(listed.stdout.split())
    assert {
        "logolens",
        "numpy",
        "onnxruntime",
        "opencv-python-headless",
        "pillow",
        "click",
        "rich",
        "safetensors",
    } <= names
    assert not names & {"torch", "timm", "onnx", "scikit-learn", "matplotlib"}


def test_help_and_version(python: Path) -> None:
    for arguments in (["--help"], ["--version"], ["train", "--help"]):
        done = run(python, *arguments)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


def test_it_predicts_what_the_full_install_predicts(python: Path, bundle: Any) -> None:
    from logolens.inference.classifier import Classifier

    photos = sorted((bundle.data / "acme").iterdir())[:4]
    done = run(python, "predict", bundle.path, *photos, "--json")
    assert done.returncode == 0, done.stderr
    for line, prediction in zip(done.stdout.splitlines(), Classifier.load(bundle.path).predict(photos), strict=True):
        answer = json.loads(line)
        assert answer["label"] == prediction.label
        assert answer["scores"] == pytest.approx(prediction.scores, abs=1e-4)


def test_it_shows_a_summary(python: Path, bundle: Any) -> None:
    done = run(python, "summary", bundle.path)
    assert done.returncode == 0, done.stderr
    assert "frozen" in done.stdout


def test_serving_says_what_to_install(python: Path, bundle: Any) -> None:
    done = run(python, "serve", bundle.path)
    assert done.returncode == 1
    assert "pip install 'logolens[serve]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_audits_all_but_the_labels(python: Path, bundle: Any) -> None:
    done = run(python, "audit", bundle.data, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["photos"] == 86
    assert "pip install 'logolens[train]'" in found["unchecked"]


def test_training_says_what_to_install(python: Path, bundle: Any, tmp_path: Path) -> None:
    done = run(python, "train", bundle.data, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "pip install 'logolens[train]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
