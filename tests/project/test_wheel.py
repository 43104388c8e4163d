"""What a user gets: the verbs at the root, and their types out of the built wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import logolens

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """import logolens
from logolens.scan import Store

(prediction,) = logolens.load("bundle").predict(["photo.jpg"])
reveal_type(prediction)
reveal_type(logolens.train("photos", "bundle"))
reveal_type(logolens.scan("bundle", ["photos"], Store("results.db")))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment in which the wheel lies as pip would have put it."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; it comes with the extra dev")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("logolens-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True, timeout=60)
    python = next(path for path in (folder / "venv").glob("[bS]*/python*") if path.stem == "python")
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return python


def test_types_reach_the_user_of_the_wheel(site: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    check = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(site), "script.py"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    revealed = [
        line.partition("Revealed type is ")[2].strip('"') for line in done.stdout.splitlines() if "Revealed" in line
    ]
    assert [name.rpartition(".")[2] for name in revealed] == ["Prediction", "TrainResult", "ScanResult"]


def test_each_public_name_is_there_and_the_verbs_are_functions() -> None:
    assert set(logolens.__all__) <= set(dir(logolens))
    for name in ("audit", "evaluate", "load", "scan", "synthesize", "train"):
        assert callable(getattr(logolens, name))


def test_the_package_scan_is_the_verb_too() -> None:
    from logolens.errors import UsageError
    from logolens.scan import Store

    assert Store is logolens.scan.Store  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="Nothing to scan was named"):
        logolens.scan("bundle", [], None)
