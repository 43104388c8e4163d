"""Who answers, the head or the matcher: decided on held-out photos, and carried through to prediction."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from logolens.bundle import MATCHER, load_bundle
from logolens.config import TrainSettings
from logolens.errors import BundleError
from logolens.predict import Classifier
from logolens.stack import Stack, choose_stack
from logolens.train import train


def experts(good: bool, n: int = 60) -> tuple[Any, Any, Any]:
    """Head logits that know half of the truth, and evidence of the matcher that knows all of it or nothing."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, n)
    head = rng.normal(size=(n, 2))
    head[np.arange(n), truth] += 0.5
    evidence = np.abs(rng.normal(scale=0.05, size=(n, 2)))
    if good:
        evidence[np.arange(n), truth] += 2.0
    return head, evidence, truth


def test_a_matcher_that_knows_is_taken() -> None:
    head, evidence, truth = experts(good=True)
    stack = choose_stack(head, evidence, truth)
    assert stack.matcher > 0
    assert (stack.logits(head, evidence).argmax(axis=1) == truth).mean() > 0.95
    assert "60 held-out photos" in stack.reason


def test_a_matcher_that_knows_nothing_is_left_out() -> None:
    stack = choose_stack(*experts(good=False))
    assert (stack.head, stack.matcher) == (1.0, 0.0)
    assert "alone" in stack.reason


def test_the_background_has_no_evidence() -> None:
    logits = Stack(1.0, 2.0).logits(np.zeros((1, 3)), np.array([[1.0, 0.5]]))
    assert logits.tolist() == [[2.0, 1.0, 0.0]]
    assert Stack().logits(np.ones((1, 3)), np.ones((1, 2))).tolist() == [[1.0, 1.0, 1.0]]


def _emblem(kind: str, size: int = 220) -> Image.Image:
    """Two emblems of the same colours and parts, which differ only in how the parts lie."""
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    rng = np.random.default_rng(5 if kind == "old" else 6)
    for _ in range(26):
        x, y, w, h = rng.integers(10, size - 60, 2).tolist() + rng.integers(12, 50, 2).tolist()
        shape = draw.rectangle if rng.random() < 0.5 else draw.ellipse
        shape(
            (x, y, x + w, y + h), fill=tuple(int(v) for v in rng.choice([(20, 20, 20), (180, 30, 30), (30, 60, 160)]))
        )
    return image


@pytest.fixture(scope="module")
def near_alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("near-alike")
    for kind in ("old", "new"):
        (folder / kind).mkdir()
        for number in range(14):
            rng = np.random.default_rng([number, kind == "old"])
            noise = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
            photo = Image.fromarray(noise).resize((480, 360), Image.Resampling.BICUBIC)
            emblem = _emblem(kind).resize((int(rng.integers(130, 200)),) * 2).rotate(float(rng.uniform(-12, 12)))
            mask = Image.new("L", emblem.size, 255).rotate(0)
            photo.paste(emblem, tuple(int(v) for v in rng.integers(0, 150, 2)), mask)
            photo.save(folder / kind / f"{number}.jpg", quality=88)
    return folder


@pytest.fixture(scope="module")
def stacked(near_alike: Path, tmp_path_factory: pytest.TempPathFactory, train_settings: TrainSettings) -> Path:
    out = tmp_path_factory.mktemp("stacked") / "bundle"
    train(near_alike, out, dataclasses.replace(train_settings, matcher="on", test=0.2))
    return out


def test_near_alike_emblems_are_told_apart_and_the_bundle_carries_the_proof(near_alike: Path, stacked: Path) -> None:
    bundle = load_bundle(stacked)
    assert bundle.stack.matcher > 0
    assert bundle.manifest["stack"]["reason"] == bundle.stack.reason
    assert MATCHER in bundle.manifest["files"]
    photos = sorted(near_alike.rglob("*.jpg"))
    answers = Classifier.load(stacked).predict(photos)
    assert [answer.label for answer in answers] == [photo.parent.name for photo in photos]
    for answer in answers:
        assert sum(answer.scores.values()) == pytest.approx(1.0)
    assert bundle.manifest["metrics"]["val"]["top1"] > 0.9


def test_off_means_off(near_alike: Path, tmp_path: Path, train_settings: TrainSettings) -> None:
    result = train(near_alike, tmp_path / "out", dataclasses.replace(train_settings, matcher="off"))
    assert not (tmp_path / "out" / MATCHER).exists()
    assert result.manifest["stack"]["matcher"] == 0.0


def test_an_altered_matcher_is_refused(stacked: Path, tmp_path: Path) -> None:
    import shutil

    copied = tmp_path / "copied"
    shutil.copytree(stacked, copied)
    data = (copied / MATCHER).read_bytes()
    (copied / MATCHER).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError, match="altered"):
        Classifier.load(copied)
    (copied / MATCHER).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        Classifier.load(copied)
    manifest = json.loads((stacked / "manifest.json").read_text("utf-8"))
    assert manifest["stack"]["matcher"] > 0
