"""A bundle's answers: the same numbers as in training, in order, whatever is among the images."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logolens.cli import main
from logolens.config import Limits, Preprocessing
from logolens.errors import BundleError
from logolens.inference.classifier import Answer, Classifier, Prediction
from logolens.models.calibration import Calibration, margins

LABELS = ("acme", "bolt", "crest")


@pytest.fixture(scope="module")
def classifier(bundle: Any) -> Classifier:
    return Classifier.load(bundle.path, threads=2)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, make_photos: Any) -> list[Path]:
    """Photos of the three labels, and of none, that training has not seen."""
    return sorted(make_photos(tmp_path_factory.mktemp("fresh"), count=6, none=6, seed=7).rglob("*.*"))


def encode(image: Image.Image, format: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, format)
    return out.getvalue()


def test_fresh_photos_are_recognised_and_none_is_answered(classifier: Classifier, fresh: list[Path]) -> None:
    predictions = classifier.predict(fresh)
    right = [prediction.label == path.parent.name for prediction, path in zip(predictions, fresh, strict=True)]
    assert np.mean(right) > 0.75
    assert any(prediction.label == "none" for prediction in predictions)
    assert classifier.labels == LABELS


def test_what_an_answer_holds(classifier: Classifier, fresh: list[Path]) -> None:
    for prediction, path in zip(classifier.predict(fresh), fresh, strict=True):
        assert prediction.image == str(path)
        assert prediction.error is None
        scores = list(prediction.scores.values())
        assert set(prediction.scores) == {*LABELS, "none"}
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1.0, abs=1e-5)
        assert prediction.label is not None
        assert prediction.confidence == prediction.scores[prediction.label]
        labels = {name: score for name, score in prediction.scores.items() if name != "none"}
        if prediction.label == "none":
            assert prediction.scores["none"] > 0.5
        else:
            assert prediction.scores["none"] <= 0.5
            assert prediction.label == max(labels, key=labels.__getitem__)


def test_the_json_object_has_these_keys_and_plain_values(classifier: Classifier, fresh: list[Path]) -> None:
    good, bad = classifier.predict([fresh[0], "no such file.jpg"])
    assert list(good.to_json()) == list(bad.to_json()) == ["image", "label", "confidence", "scores", "box", "error"]
    assert type(good.to_json()["confidence"]) is float
    assert all(type(score) is float for score in good.to_json()["scores"].values())
    assert list(good.to_json(2)["scores"]) == list(good.scores)[:2]
    assert len(good.to_json(99)["scores"]) == 4
    assert bad.to_json() == {
        "image": "no such file.jpg",
        "label": None,
        "confidence": None,
        "scores": {},
        "box": None,
        "error": "there is no such file.",
    }


def test_prediction_and_training_walk_the_same_road(classifier: Classifier, bundle: Any, fresh: list[Path]) -> None:
    """The bundle's ONNX file on a whole photo gives what head and calibration give on the features that training takes."""
    load_file = pytest.importorskip("safetensors.numpy").load_file
    from logolens.io.images import content_hash
    from logolens.io.views import WHOLE
    from logolens.models.backbones import prepare
    from logolens.models.features import Sight, extract
    from logolens.models.head import Head
    from logolens.models.session import Session

    manifest = classifier.bundle.manifest
    backbone = prepare("efficientnet_lite0", size=96)
    session = Session(backbone.path, Preprocessing(size=96, mean=backbone.mean, std=backbone.std))
    sights = [Sight(path, content_hash(path.read_bytes()), (WHOLE,)) for path in fresh]
    features = extract(sights, session, backbone.sha256)
    logits = Head.from_tensors(load_file(bundle.path / "head.safetensors")).logits(features)
    expected = Calibration(**manifest["calibration"]).probabilities(logits)
    whole = Classifier.load(bundle.path, views="whole", threads=2)
    predicted = [[prediction.scores[name] for name in whole.bundle.classes] for prediction in whole.predict(fresh)]
    assert np.abs(np.array(predicted) - expected).max() < 1e-4
    answers = list(whole.answers_each((str(path), path.read_bytes) for path in fresh))
    for answer, row, logit in zip(answers, expected, logits, strict=True):
        assert isinstance(answer, Answer)
        assert np.abs(answer.probabilities - row).max() < 1e-4
        assert answer.score == pytest.approx(float(margins(logit[None])[0]), abs=1e-3)
        assert answer.labels.sum() == pytest.approx(1.0)
        assert (answer.box, answer.logos) == (None, None)
    # Which answer it is follows from the numbers alone.
    for answer, prediction in zip(answers, whole.predict(fresh), strict=True):
        assert isinstance(answer, Answer)
        assert whole.threshold is not None
        assert answer.score is not None
        assert (prediction.label == "none") == (answer.score < whole.threshold)


def test_threads_and_company_do_not_change_an_answer(bundle: Any, fresh: list[Path]) -> None:
    single = Classifier.load(bundle.path, threads=1)
    alone = [single.predict(path)[0] for path in fresh]
    for threads in (1, 3):
        for one, other in zip(alone, Classifier.load(bundle.path, threads=threads).predict(fresh), strict=True):
            assert one.label == other.label
            assert all(abs(one.scores[name] - other.scores[name]) < 1e-5 for name in one.scores)


def test_one_classifier_serves_several_threads(classifier: Classifier, fresh: list[Path]) -> None:
    expected = [prediction.label for prediction in classifier.predict(fresh)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: [p.label for p in classifier.predict(fresh)], range(6)))
    assert answers == [expected] * 6


def test_paths_bytes_and_pillow_images_are_taken(classifier: Classifier, fresh: list[Path]) -> None:
    path = next(path for path in fresh if path.suffix == ".png")
    data = path.read_bytes()
    with Image.open(path) as opened:
        images: list[Any] = [str(path), path, data, opened, Image.open(io.BytesIO(data)).convert("RGB")]
        predictions = classifier.predict(images)
    assert [prediction.image for prediction in predictions] == [str(path), str(path), "image 3", str(path), "image 5"]
    assert len({tuple(prediction.scores.items()) for prediction in predictions}) == 1
    for alone in (str(path), path, data, images[-1]):
        assert [prediction.scores for prediction in classifier.predict(alone)] == [predictions[0].scores]
    assert classifier.predict([]) == []


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F"])
def test_pillow_images_of_every_mode(classifier: Classifier, mode: str) -> None:
    image = Image.new("RGB", (40, 30), (200, 30, 30))
    image = Image.new(mode, (40, 30)) if mode in ("I;16",) else image.convert(mode)
    (prediction,) = classifier.predict([image])
    assert prediction.error is None, prediction.error
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-5)


def test_a_pillow_image_is_taken_as_its_file_would_be(classifier: Classifier, draw_photo: Any) -> None:
    """Turned by EXIF, and with transparency over white."""
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    draw_photo("acme", 3, (120, 80)).rotate(90, expand=True).save(out, "PNG", exif=exif)
    clear = draw_photo("bolt", 3).convert("RGBA")
    clear.putalpha(128)
    for data in (out.getvalue(), encode(clear)):
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            from_file, from_image = classifier.predict([data, image])
        assert from_file.scores == from_image.scores


def test_broken_images_are_answered_with_their_error_and_the_others_as_ever(
    classifier: Classifier, fresh: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "half.jpg").write_bytes(next(p for p in fresh if p.suffix == ".jpg").read_bytes()[:900])
    bad = [tmp_path / "text.jpg", tmp_path / "empty.png", tmp_path / "half.jpg", tmp_path / "gone.jpg", tmp_path]
    mixed: list[Any] = [item for pair in zip(fresh, bad, strict=False) for item in pair] + [
        b"",
        Image.new("RGB", (0, 5)),
    ]
    predictions = classifier.predict(mixed)
    assert len(predictions) == 12
    for prediction, path in zip(predictions[0:10:2], fresh, strict=False):
        assert prediction.error is None
        assert prediction.image == str(path)
    for prediction in [*predictions[1:10:2], *predictions[10:]]:
        assert prediction.error is not None
        assert prediction.error.endswith(".")
        assert prediction.image not in prediction.error or prediction.image == str(tmp_path)
        assert (prediction.label, prediction.confidence, prediction.scores) == (None, None, {})


def test_an_endless_source_is_answered_as_it_comes(classifier: Classifier, fresh: list[Path]) -> None:
    drawn = 0

    def endless() -> Iterator[tuple[str, Any]]:
        nonlocal drawn
        for drawn in itertools.count(1):
            path = fresh[drawn % len(fresh)]
            yield f"{drawn}", path.read_bytes

    answers = classifier.predict_each(endless())
    assert [next(answers).image for _ in range(100)] == [str(number) for number in range(1, 101)]
    assert drawn <= 100 + 8 * 2 * 2 + 8
    answers.close()  # type: ignore[attr-defined]


def test_limits_are_followed(bundle: Any, fresh: list[Path]) -> None:
    small = Classifier.load(bundle.path, limits=Limits(max_pixels=100, max_bytes=10_000_000))
    assert "limit of 100" in str(small.predict(fresh[0])[0].error)
    tight = Classifier.load(bundle.path, limits=Limits(max_bytes=100))
    assert "100 bytes" in str(tight.predict(fresh[0])[0].error)


def test_a_photo_of_one_pixel_and_a_stripe_are_answered(classifier: Classifier) -> None:
    for size in ((1, 1), (10, 10), (5000, 12)):
        (prediction,) = classifier.predict(encode(Image.new("RGB", size, "red")))
        assert prediction.label is not None


def test_a_name_with_odd_characters_is_kept(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "фото ünd 'logo' #1 100%.png"
    Image.new("RGB", (30, 30)).save(path)
    assert classifier.predict(path)[0].image == str(path)


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        Classifier.load(tmp_path / "nowhere")


def test_a_prediction_is_a_value() -> None:
    assert Prediction("a", "b", 0.5, {"b": 0.5}) == Prediction("a", "b", 0.5, {"b": 0.5})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_folder_of_links_pipes_and_drawings_is_answered_on_the_command_line(
    bundle: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], draw_photo: Any
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "far").mkdir()
    draw_photo("acme", 1, (90, 60)).save(tmp_path / "far" / "a.jpg")
    (tmp_path / "set" / "linked.jpg").symlink_to(tmp_path / "far" / "a.jpg")
    (tmp_path / "set" / "more").symlink_to(tmp_path / "far")
    os.mkfifo(tmp_path / "set" / "pipe.jpg")
    assert main(["predict", str(bundle.path), str(tmp_path / "set"), "--json"]) == 1
    told = capsys.readouterr()
    answers = {Path(answer["image"]).name: answer for answer in map(json.loads, told.out.splitlines())}
    assert set(answers) == {"linked.jpg", "pipe.jpg"}
    assert answers["linked.jpg"]["label"]
    assert "a pipe" in answers["pipe.jpg"]["error"]
    assert "Linked folders that were not followed: 1" in told.err
