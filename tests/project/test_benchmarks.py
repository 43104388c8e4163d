"""The benchmarks run: their help, and each at its smallest setting on made data. What they measure is not judged here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from service import write_colours

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = (
    "accuracy",
    "alternatives",
    "audit_many",
    "audit_planted",
    "pair",
    "decode_mutants",
    "decode_speed",
    "embed_speed",
    "few_shots",
    "fuzz_parsers",
    "gallery_add",
    "gallery_search",
    "retrain_oldnew",
    "scan_kill",
    "scan_site",
    "scan_speed",
    "serve_load",
    "serve_soak",
    "train_speed",
    "video",
)


def run(script: str, *arguments: str, cache: Path) -> str:
    """What a script prints; fails with its standard error when it fails."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{script}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "LOGOLENS_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labels of ten photos each: discs and squares on noise that no two photos share."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for label in ("disc", "square"):
        (folder / label).mkdir()
        for number in range(10):
            noise = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            image = Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)
            draw = ImageDraw.Draw(image)
            x, y = int(rng.integers(0, 56)), int(rng.integers(0, 32))
            (draw.ellipse if label == "disc" else draw.rectangle)((x, y, x + 36, y + 36), fill="red", outline="black")
            image.save(folder / label / f"{number}.jpg", quality=90)
    return folder


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_what_is_measured(script: str, cache: Path) -> None:
    assert "usage:" in run(script, "--help", cache=cache)


def test_every_script_is_explained_in_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [script for script in SCRIPTS if f"{script}.py" not in readme] == []


def test_alternatives(photos: Path, cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("imagehash")
    pytest.importorskip("tinycss2")
    (tmp_path / "a.css").write_text("a { background: url(one.png) } b { content: url('two.png') }", encoding="utf-8")
    said = run("alternatives", "--data", str(photos), "--css", str(tmp_path / "a.css"), cache=cache)
    assert "20 photos and a copy of each" in said
    assert "named by tinycss2 alone: 0" in said


def test_decode_speed(cache: Path) -> None:
    said = run("decode_speed", "--width", "1600", "--height", "1200", "--rounds", "3", cache=cache)
    assert "1600 x 1200 JPEG" in said
    assert "logolens to the full decode: 0." in said


@pytest.mark.slow
@pytest.mark.usefixtures("train_settings")  # skips where the extra train is not installed
def test_embed_speed(cache: Path) -> None:
    said = run(
        "embed_speed", "--made", "--count", "8", "--rounds", "1", "--torch-rounds", "0", "--size", "64", cache=cache
    )
    assert "logolens to ONNX Runtime alone:" in said


def test_gallery_search(cache: Path) -> None:
    pytest.importorskip("onnx")
    said = run("gallery_search", "--references", "300", "--labels", "9", "--views", "2", "--rounds", "1", cache=cache)
    assert "300 references of 9 labels" in said
    assert float(said.split("from NumPy's: ")[1].split()[0]) < 1e-5


@pytest.mark.slow
def test_serve_soak(tmp_path: Path, small_network: bytes, cache: Path) -> None:
    pytest.importorskip("fastapi")
    bundle = write_colours(tmp_path / "colours", small_network)
    said = run("serve_soak", str(bundle), "--made", "--count", "4", "--requests", "100", cache=cache)
    assert "0 of 100 answers were wrong." in said
    assert "It ended with 0." in said


@pytest.mark.slow
@pytest.mark.usefixtures("train_settings")
def test_train_speed_without_keras(photos: Path, cache: Path) -> None:
    said = run(
        "train_speed", str(photos), "--epochs", "2", "--rounds", "1", "--backbone", "efficientnet_lite0", cache=cache
    )
    assert "20 rows of 20 photos, 2 epochs" in said
    assert "validation rows right" in said


@pytest.mark.slow
@pytest.mark.usefixtures("train_settings")
def test_accuracy_of_logolens(photos: Path, cache: Path) -> None:
    said = run("accuracy", str(photos), "--folds", "2", "--only-logolens", cache=cache)
    assert "20 photos of 2 labels, 2 folds" in said
    assert "logolens, default settings" in said


@pytest.mark.slow
def test_audit_many_finds_the_copies_that_it_planted(cache: Path) -> None:
    out = run("audit_many", "--count", "300", cache=cache)
    assert "3 of 3" in out
    assert out.splitlines()[-1].split()[0] == "303"


def test_mutants_of_images_end_nothing(cache: Path) -> None:
    pytest.importorskip("resvg_py")
    told = run("decode_mutants", "--count", "240", "--seed", "3", cache=cache)
    assert "240 images" in told
    for line in ("ended their process   0", "took over 10 s        0", "wanted over 1 GB      0"):
        assert line in told


def test_the_parsers_are_fuzzed_and_a_find_can_be_tried_again(cache: Path, tmp_path: Path) -> None:
    told = run("fuzz_parsers", "css", "svg", "--seconds", "2", "--out", str(tmp_path), cache=cache)
    assert told.count("no find") == 2, told
    (tmp_path / "find").write_bytes(b"a{background:url(")
    assert "No find any more" in run("fuzz_parsers", "css", "--again", str(tmp_path / "find"), cache=cache)
