"""Whole photo, closer views, tiles: the same answers in any company, with places, every logo, and what they rest on."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logolens.bundle.format import LOCALISER, load_bundle
from logolens.errors import BundleError
from logolens.export.metadata import answers_only
from logolens.inference.classifier import Classifier
from logolens.io.views import WHOLE
from logolens.models.experts.drawing import MATCHER
from logolens.models.proposals import iou, tiles

LABELS = ("acme", "bolt", "crest")
VIEWS = ("whole", "auto", "tiles")


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory, make_boxed: Any, make_photos: Any) -> list[Path]:
    folder = tmp_path_factory.mktemp("unseen")
    make_photos(folder / "plain", count=1, none=4, seed=5)
    return sorted([*make_boxed(folder / "boxed", count=4, seed=31).parent.glob("*.png"), *folder.rglob("plain/*/*")])


@pytest.fixture
def old(bundle: Any, tmp_path: Path) -> Path:
    """A bundle as releases before format 2 wrote it: whole photos only, and a model without maps."""
    folder = Path(shutil.copytree(bundle.path, tmp_path / "old"))
    for name in (MATCHER, LOCALISER):
        (folder / name).unlink(missing_ok=True)
    model = answers_only((folder / "model.onnx").read_bytes())
    (folder / "model.onnx").write_bytes(model)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    del manifest["closer"], manifest["settings"]["views"]
    manifest["format"] = 1
    manifest["stack"] = {"head": 1.0, "matcher": 0.0, "reason": "The network alone is right."}
    manifest["files"] = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.name != "manifest.json"
    }
    manifest.pop("manifest_sha256", None)  # As a release that wrote none would have it.
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return folder


def is_inside(box: tuple[float, float, float, float]) -> bool:
    return 0 <= box[0] < box[2] <= 1 + 1e-9 and 0 <= box[1] < box[3] <= 1 + 1e-9


# The modes


def test_photos_are_looked_at_as_the_bundle_was_trained_for_unless_told_otherwise(boxed: Any) -> None:
    assert Classifier.load(boxed.path).views == "auto"
    closer = load_bundle(boxed.path).closer
    assert closer is not None
    assert Classifier.load(boxed.path).threshold == closer.calibration.threshold
    for views in VIEWS:
        assert Classifier.load(boxed.path, views=views).views == views
    whole = Classifier.load(boxed.path, views="whole")
    assert whole.threshold == whole.bundle.calibration.threshold


@pytest.mark.parametrize("views", VIEWS)
def test_small_logos_are_recognised_in_every_mode(boxed: Any, unseen: list[Path], views: str) -> None:
    classifier = Classifier.load(boxed.path, views=views)
    shown = [path for path in unseen if path.parent.name == "boxed"]
    right = [
        max(LABELS, key=lambda label: prediction.scores[label]) == path.name.split("-")[0]
        for prediction, path in zip(classifier.predict(shown), shown, strict=True)
    ]
    assert np.mean(right) > 0.7


@pytest.mark.parametrize(
    "views", ["auto", *(pytest.param(views, marks=pytest.mark.slow) for views in ("whole", "tiles"))]
)
def test_threads_and_company_change_neither_answers_nor_places(boxed: Any, unseen: list[Path], views: str) -> None:
    how = {"views": views, "where": True, "every": True}
    single = Classifier.load(boxed.path, threads=1, **how)
    alone = [single.predict(path)[0] for path in unseen]
    assert all(prediction.error is None for prediction in alone)
    for threads, order in ((1, 1), (2, -1)):
        company: list[Any] = [*unseen, b"no image"][::order]
        answers = Classifier.load(boxed.path, threads=threads, **how).predict(company)[::order]
        assert answers[-1].error is not None
        for one, other in zip(alone, answers[:-1], strict=True):
            assert one.label == other.label
            assert all(abs(one.scores[name] - other.scores[name]) < 1e-4 for name in one.scores)
            assert (one.box is None) == (other.box is None)
            assert one.box is None or one.box == pytest.approx(other.box, abs=1e-3)
            assert one.logos is not None
            assert other.logos is not None
            assert [logo.label for logo in one.logos] == [logo.label for logo in other.logos]


# Places


@pytest.mark.parametrize("views", VIEWS)
@pytest.mark.parametrize("which", ["bundle", "boxed"])
def test_a_place_is_told_where_it_is_asked_for_and_a_logo_shows(
    request: pytest.FixtureRequest, unseen: list[Path], which: str, views: str
) -> None:
    path = request.getfixturevalue(which).path
    plain = Classifier.load(path, views=views).predict(unseen)
    placed = Classifier.load(path, views=views, where=True).predict(unseen)
    assert any(prediction.label != "none" for prediction in placed)
    for one, other in zip(plain, placed, strict=True):
        assert one.label == other.label
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
        assert (one.box, one.logos, other.logos) == (None, None, None)
        assert one.to_json()["box"] is None
        assert (other.box is None) == (other.label == "none")
        if other.box is not None:
            assert is_inside(other.box)
            assert other.to_json()["box"] == [round(edge, 4) for edge in other.box]
            json.dumps(other.to_json())


# Every logo


def side_by_side(draw_boxed: Any, labels: tuple[str, ...], size: tuple[int, int] = (220, 200)) -> Image.Image:
    photo = Image.new("RGB", (size[0] * len(labels), size[1]))
    for number, label in enumerate(labels):
        photo.paste(draw_boxed(label, 700 + number, size, share=(0.4, 0.5))[0], (size[0] * number, 0))
    return photo


def test_every_logo_of_a_photo_has_a_place_of_its_own(boxed: Any, unseen: list[Path]) -> None:
    from conftest import draw_boxed

    photos = [
        side_by_side(draw_boxed, pair)
        for pair in [
            ("acme", "bolt"),
            ("crest", "acme"),
            ("bolt", "crest"),
            ("none", "bolt"),
            ("acme", "bolt", "crest"),
        ]
    ]
    found = 0
    for prediction in Classifier.load(boxed.path, every=True).predict([*photos, *unseen]):
        assert prediction.logos is not None
        sure = [logo.confidence for logo in prediction.logos]
        assert sure == sorted(sure, reverse=True)
        assert all(0.5 < confidence <= 1 for confidence in sure)
        places = [(-logo.confidence, LABELS.index(logo.label), -logo.place) for logo in prediction.logos]
        assert places == sorted(places)
        assert all(0 < logo.place <= 1 for logo in prediction.logos)
        assert {logo.label for logo in prediction.logos} <= set(LABELS)
        for number, logo in enumerate(prediction.logos):
            assert is_inside(logo.box)
            others = [other.box for place, other in enumerate(prediction.logos) if place != number]
            assert not others or iou(logo.box, others).max() < 0.3
        found += len(prediction.logos) > 1
        told = prediction.to_json()["logos"]
        assert [(entry["label"], entry["place"]) for entry in told] == [
            (logo.label, round(logo.place, 4)) for logo in prediction.logos
        ]
    assert found >= 1


# Explanations


@pytest.mark.parametrize("views", ["auto", "tiles"])
def test_an_explanation_is_of_the_answer_that_is_given(boxed: Any, unseen: list[Path], views: str) -> None:
    classifier = Classifier.load(boxed.path, views=views, where=True)
    for path in unseen[::3]:
        prediction, found = classifier.explain(path)
        (plain,) = classifier.predict(path)
        assert found is not None
        assert (prediction.image, prediction.label) == (str(path), plain.label)
        assert prediction.scores == pytest.approx(plain.scores, abs=1e-5)
        best = max(LABELS, key=lambda label: prediction.scores[label])
        assert found.label == (prediction.label if prediction.label in LABELS else best)
        assert found.heat.ndim == 2
        assert np.isfinite(found.heat).all()
        assert found.views[0] == WHOLE
        if views == "tiles":
            with Image.open(path) as image:
                assert found.views == (WHOLE, *tiles(image.size))
        assert found.match is None


def test_an_image_that_cannot_be_read_has_no_explanation(boxed: Any, tmp_path: Path) -> None:
    classifier = Classifier.load(boxed.path)
    prediction, found = classifier.explain(tmp_path / "gone.jpg")
    assert found is None
    assert prediction.image == str(tmp_path / "gone.jpg")
    assert prediction.error == "there is no such file."
    assert classifier.explain(b"no image")[0].error is not None


def test_whole_photos_rest_on_nothing_to_show(boxed: Any, unseen: list[Path]) -> None:
    with pytest.raises(BundleError, match="whole photos only"):
        Classifier.load(boxed.path, views="whole").explain(unseen[0])


# Odd images


def odd_images() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))
    clear = noise.convert("RGBA")
    clear.putalpha(0)
    half = noise.convert("RGBA")
    half.putalpha(Image.linear_gradient("L").resize(half.size))
    images = {
        "10x10": Image.new("RGB", (10, 10), "red"),
        "1x1": Image.new("RGB", (1, 1), "blue"),
        "20000x50": Image.new("RGB", (20_000, 50), "green"),
        "50x2000": noise.resize((50, 2000)),
        "white": Image.new("RGB", (300, 200), "white"),
        "black": Image.new("RGB", (300, 200), "black"),
        "grey": noise.convert("L"),
        "grey with alpha": noise.convert("LA"),
        "clear": clear,
        "half clear": half,
        "one bit": noise.convert("1"),
        "palette": noise.convert("P"),
    }
    encoded = {}
    for name, image in images.items():
        out = io.BytesIO()
        image.save(out, "PNG")
        encoded[name] = out.getvalue()
    return encoded


@pytest.mark.parametrize("views", VIEWS)
@pytest.mark.parametrize("which", ["bundle", "boxed"])
def test_odd_images_get_an_answer_with_a_place_inside(request: pytest.FixtureRequest, which: str, views: str) -> None:
    path = request.getfixturevalue(which).path
    images = odd_images()
    if views == "tiles":
        del images["20000x50"]  # 800 views; its own test has it once.
    predictions = Classifier.load(path, views=views, where=True, every=True).predict(list(images.values()))
    for name, prediction in zip(images, predictions, strict=True):
        assert prediction.error is None, name
        assert prediction.label in (*LABELS, "none"), name
        assert sum(prediction.scores.values()) == pytest.approx(1.0, abs=1e-5), name
        assert (prediction.box is None) == (prediction.label == "none"), name
        assert prediction.logos is not None, name
        for box in [prediction.box, *(logo.box for logo in prediction.logos)]:
            assert box is None or is_inside(box), name


def test_a_very_long_strip_is_looked_at_in_tiles(bundle: Any) -> None:
    (prediction,) = Classifier.load(bundle.path, views="tiles", where=True).predict([odd_images()["20000x50"]])
    assert prediction.error is None
    assert prediction.box is None or is_inside(prediction.box)


def test_odd_images_can_be_explained(boxed: Any) -> None:
    classifier = Classifier.load(boxed.path)
    for name, data in odd_images().items():
        prediction, found = classifier.explain(data)
        assert prediction.error is None, name
        assert found is not None, name
        assert np.isfinite(found.heat).all(), name


# Bundles of earlier releases, and of other settings


def test_an_old_bundle_answers_with_the_whole_photo(old: Path, bundle: Any, unseen: list[Path]) -> None:
    assert load_bundle(old).closer is None
    classifier = Classifier.load(old)
    assert classifier.views == "whole"
    now = Classifier.load(bundle.path, views="whole").predict(unseen)
    for one, other in zip(classifier.predict(unseen), now, strict=True):
        assert one.label == other.label
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
    # It has learned nothing of places, and answers without.
    assert all(prediction.box is None for prediction in Classifier.load(old, where=True).predict(unseen[:2]))


def test_a_bundle_of_format_2_answers_as_it_did(boxed: Any, tmp_path: Path, unseen: list[Path]) -> None:
    """Its manifest gives each weight of the evidence a field of its own."""
    folder = Path(shutil.copytree(boxed.path, tmp_path / "copied"))
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    closer, old = manifest["closer"], {"whole": "whole", "tiles": "closer", "closest": "closest", "matcher": "matcher"}
    weights, experts = closer.pop("weights"), closer.pop("experts")
    closer["matcher"] = "matcher" in experts
    closer["stack"] = {
        **{then: weights["labels"].get(now, 0.0) for then, now in old.items()},
        **{f"shows_{then}": weights["presence"].get(now, 0.0) for then, now in old.items()},
        "lead": weights["stop_margins"].get("whole"),
        "lead_closer": weights["stop_margins"].get("closer"),
        "reason": weights["reason"],
    }
    manifest["format"] = 2
    manifest.pop("manifest_sha256", None)  # As a release that wrote none would have it.
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    now, then = (Classifier.load(path).predict(unseen) for path in (boxed.path, folder))
    assert [one.to_json() for one in then] == [one.to_json() for one in now]


@pytest.mark.parametrize("views", ["auto", "tiles"])
def test_an_old_bundle_cannot_look_closer_and_says_so(old: Path, views: str) -> None:
    with pytest.raises(BundleError, match=f"cannot be {views}; train it again"):
        Classifier.load(old, views=views)


def test_an_old_bundle_with_a_matcher_is_refused_with_a_sentence(old: Path) -> None:
    manifest = json.loads((old / "manifest.json").read_text("utf-8"))
    manifest["stack"]["matcher"] = 2.0
    manifest.pop("manifest_sha256", None)  # As a release that wrote none would have it.
    (old / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleError, match=r"earlier release.*train it again\.$"):
        load_bundle(old)


@pytest.mark.parametrize(
    "changes",
    [
        {"closer": {}},
        {"closer": 7},
        {"closer": {"stack": {"gamma": 1}}},
        {"closer": {"weights": {"labels": {"whole": "much"}}}},
        {"closer": {"stack": {}, "calibration": {}, "matcher": False}},
        {"settings": {}},
        {"stack": 5},
    ],
)
def test_a_manifest_that_is_wrong_about_looking_closer_is_a_sentence(
    boxed: Any, tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(boxed.path, tmp_path / "copied"))
    manifest = json.loads((folder / "manifest.json").read_text("utf-8")) | changes
    manifest.pop("manifest_sha256", None)  # As a release that wrote none would have it.
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        load_bundle(folder)


def test_an_altered_localiser_is_refused(boxed: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(boxed.path, tmp_path / "copied"))
    data = (folder / LOCALISER).read_bytes()
    (folder / LOCALISER).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{LOCALISER} was altered"):
        Classifier.load(folder)
    (folder / LOCALISER).unlink()
    with pytest.raises(BundleError, match=rf"{LOCALISER} cannot be read"):
        Classifier.load(folder)


def test_a_model_without_maps_cannot_look_closer(boxed: Any, tmp_path: Path) -> None:
    read = load_bundle(boxed.path)
    narrow = dataclasses.replace(read, model=answers_only(read.model))
    with pytest.raises(BundleError, match="no output last"):
        Classifier(narrow)
    assert Classifier(narrow, views="whole").predict(Image.new("RGB", (40, 30)))[0].error is None
