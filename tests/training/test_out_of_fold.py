"""What held-out photos decide is written down, carried through to prediction, and said where it is odd."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from logolens.bundle.format import load_bundle
from logolens.config import TrainSettings
from logolens.errors import BundleError
from logolens.inference.classifier import Classifier
from logolens.models.experts.drawing import MATCHER
from logolens.training.train import train


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
            photo.paste(emblem, (int(rng.integers(0, 150)), int(rng.integers(0, 150))), mask)
            photo.save(folder / kind / f"{number}.jpg", quality=88)
    return folder


@pytest.fixture(scope="module")
def with_matcher(near_alike: Path, tmp_path_factory: pytest.TempPathFactory, train_settings: TrainSettings) -> Path:
    out = tmp_path_factory.mktemp("stacked") / "bundle"
    train(near_alike, out, dataclasses.replace(train_settings, matcher="on", test=0.2))
    return out


def test_near_alike_emblems_are_told_apart_and_the_bundle_carries_the_proof(
    near_alike: Path, with_matcher: Path
) -> None:
    bundle = load_bundle(with_matcher)
    assert bundle.closer is not None
    assert bundle.closer.experts == ("matcher",)
    assert bundle.closer.weights.labels.get("matcher", 0.0) > 0
    assert bundle.manifest["closer"]["weights"]["reason"] == bundle.closer.weights.reason
    assert "held-out photos" in bundle.closer.weights.reason
    assert MATCHER in bundle.manifest["files"]
    photos = sorted(near_alike.rglob("*.jpg"))
    answers = Classifier.load(with_matcher).predict(photos)
    assert [answer.label for answer in answers] == [photo.parent.name for photo in photos]
    for answer in answers:
        assert sum(answer.scores.values()) == pytest.approx(1.0)
    assert bundle.manifest["metrics"]["val"]["top1"] > 0.9


def test_off_means_off(near_alike: Path, tmp_path: Path, train_settings: TrainSettings) -> None:
    result = train(near_alike, tmp_path / "out", dataclasses.replace(train_settings, matcher="off"))
    assert not (tmp_path / "out" / MATCHER).exists()
    closer = result.manifest["closer"]
    assert closer["experts"] == []
    assert "matcher" not in closer["weights"]["labels"] | closer["weights"]["presence"]


def test_an_altered_matcher_is_refused(with_matcher: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(with_matcher, copied)
    data = (copied / MATCHER).read_bytes()
    (copied / MATCHER).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError, match="altered"):
        Classifier.load(copied)
    (copied / MATCHER).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        Classifier.load(copied)


def test_the_proof_of_an_answer_can_be_shown(near_alike: Path, with_matcher: Path) -> None:
    """Points of the photo beside those of the reference, and the place that they prove."""
    classifier = Classifier.load(with_matcher, where=True)
    assert classifier.matcher is not None
    proved = 0
    for photo in sorted(near_alike.rglob("1*.jpg")):
        prediction, found = classifier.explain(photo)
        assert found is not None
        assert found.label == photo.parent.name
        if found.match is None:
            continue
        reference = classifier.matcher.references[found.match.reference]
        assert (found.match.label, reference.label) == (found.label, found.label)
        assert found.match.source.shape == found.match.target.shape == (found.match.inliers, 2)
        assert (found.match.target >= 0).all()
        assert (found.match.target <= found.size).all()
        moved = found.match.source @ found.match.affine[:, :2].T + found.match.affine[:, 2]
        assert np.abs(moved - found.match.target).max() < 12
        if found.match.inliers >= 8 and prediction.box is not None:
            proved += 1
            x1, y1, x2, y2 = prediction.box
            middle = found.match.target.mean(axis=0) / found.size
            assert x1 <= middle[0] <= x2
            assert y1 <= middle[1] <= y2
    assert proved > 3


# Odd data


def test_labels_without_key_points_or_with_one_reference_are_said_and_trained(
    near_alike: Path, tmp_path: Path, train_settings: TrainSettings
) -> None:
    data = Path(shutil.copytree(near_alike, tmp_path / "photos"))
    for number in range(14):
        (data / "plain").mkdir(exist_ok=True)
        Image.new("RGB", (200, 150), (number, 200, 2 * number)).save(data / "plain" / f"{number}.png")
    settings = dataclasses.replace(train_settings, matcher="on", test=0.0, val=0.2)
    result = train(data, tmp_path / "out", settings)
    told = " ".join(result.notes)
    assert "References too plain or small to be matched, left out: 14" in told
    assert "Labels without any reference" in told
    assert result.manifest["labels"] == ["new", "old", "plain"]
    answers = Classifier.load(tmp_path / "out").predict(sorted(data.glob("plain/*")))
    assert all(answer.error is None for answer in answers)


def test_a_label_with_a_single_photo_is_said_and_trained(
    near_alike: Path, tmp_path: Path, train_settings: TrainSettings
) -> None:
    data = Path(shutil.copytree(near_alike, tmp_path / "photos"))
    (data / "rare").mkdir()
    _emblem("rare").save(data / "rare" / "one.png")
    settings = dataclasses.replace(train_settings, matcher="on", test=0.0, val=0.2)
    result = train(data, tmp_path / "out", settings)
    assert any("rare" in note for note in result.notes)
    classifier = Classifier.load(tmp_path / "out", where=True, every=True)
    (answer,) = classifier.predict(data / "rare" / "one.png")
    assert answer.error is None
    assert answer.label in ("new", "old", "rare", "none")


def test_copies_of_one_drawing_a_label_leave_nothing_to_hold_out_and_are_trained(
    tmp_path: Path, train_settings: TrainSettings, draw_photo: Callable[..., Image.Image]
) -> None:
    """Twelve renderings of one artwork, as a brand team has them, are one group of near copies."""
    for label in ("acme", "bolt"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for side in range(12):
            draw_photo(label, 3).resize((128 + side, 128 + side)).save(tmp_path / "photos" / label / f"{side}.png")
    (tmp_path / "photos" / "none").mkdir()  # Too few to learn from, and so no built-in backgrounds either.
    for number in range(12):
        draw_photo("none", number).save(tmp_path / "photos" / "none" / f"{number}.png")
    train(tmp_path / "photos", tmp_path / "bundle", dataclasses.replace(train_settings, test=0.0))
    assert load_bundle(tmp_path / "bundle").labels == ("acme", "bolt")
    assert Classifier.load(tmp_path / "bundle").predict(draw_photo("bolt", 3))[0].label == "bolt"


def test_photos_that_are_all_plain_are_said_and_trained(tmp_path: Path, train_settings: TrainSettings) -> None:
    data, out = tmp_path / "photos", tmp_path / "out"
    for label in ("dark", "light"):
        (data / label).mkdir(parents=True)
        for number in range(12):
            level = 10 * number + (130 if label == "light" else 0)
            Image.new("RGB", (90, 60), (level, level, 5)).save(data / label / f"{number}.png")
    result = train(data, out, dataclasses.replace(train_settings, matcher="on", test=0.0))
    assert any("too plain or small to be matched" in note for note in result.notes)
    assert not (out / MATCHER).exists()
    assert Classifier.load(out).predict(Image.new("RGB", (50, 50), (240, 240, 5)))[0].error is None


@pytest.mark.slow
@pytest.mark.parametrize(("none", "enough"), [(60, False), (150, True)])
def test_photos_of_none_decide_alone_what_none_is_where_they_are_enough(
    tmp_path: Path,
    train_settings: TrainSettings,
    make_boxed: Callable[..., Path],
    draw_photo: Callable[..., Image.Image],
    none: int,
    enough: bool,
) -> None:
    data = make_boxed(tmp_path / "photos")
    with data.open("a", encoding="utf-8") as file:
        for number in range(none):
            draw_photo("none", 500 + number).save(data.parent / f"empty-{number}.png")
            file.write(f"empty-{number}.png,none,,,,\n")
    done = train(data, tmp_path / "bundle", dataclasses.replace(train_settings, matcher="off"))
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.closer is not None
    with (tmp_path / "bundle" / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    asked = [row for row in rows if row["part"] != "test"]
    tested = [row for row in rows if row["part"] == "test" and row["label"] == "none"]
    held_out = bundle.manifest["closer"]["held_out"]
    assert held_out == len(asked) if enough else held_out > len(asked)
    # So with the figures of the test: photos of none alone where there are thirty, regions of the others beside fewer.
    assert done.split == "test"
    assert done.evaluation is not None
    assert done.evaluation.none is not None
    assert done.evaluation.none.n == len(tested) if enough else done.evaluation.none.n > len(tested)
