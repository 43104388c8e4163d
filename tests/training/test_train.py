"""From photos to a bundle: complete, honest about its split, and the same twice."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logolens.config import TrainSettings
from logolens.errors import DataError, ImageError, LeakError, UsageError

LABELS = ("acme", "bolt", "crest")


@pytest.fixture
def quick(train_settings: TrainSettings) -> TrainSettings:
    """On the exported backbone of the shared bundle, without key points: they take long, and have tests of their own."""
    return dataclasses.replace(train_settings, epochs=15, matcher="off")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory, make_photos: Any) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"), count=8)


def run(data: Path, out: Path, settings: TrainSettings, **more: Any) -> Any:
    from logolens.training.train import train

    return train(data, out, settings, **more)


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def split_of(folder: Path) -> dict[str, set[str]]:
    parts: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
    with (folder / "split.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            parts[row["part"]].add(row["path"])
    return parts


# The whole way


def test_a_bundle_is_complete(bundle: Any) -> None:
    assert {file.name for file in bundle.path.iterdir()} == {
        *("model.onnx", "labels.txt", "manifest.json", "head.safetensors", "README.md"),
        *("curves.png", "history.csv", "confusion.png", "split.csv"),
        *(["matcher.safetensors"] if "matcher" in manifest_of(bundle.path)["closer"]["experts"] else []),
    }
    assert (bundle.path / "labels.txt").read_text("utf-8").split() == [*LABELS, "none"]
    for name in ("curves.png", "confusion.png"):
        with Image.open(bundle.path / name) as picture:
            assert min(picture.size) > 200
    with (bundle.path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    head = manifest_of(bundle.path)["head"]
    assert len(rows) == head["epochs"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert "acme" in (bundle.path / "README.md").read_text("utf-8")


def test_the_manifest_tells_all_that_decided_the_model(bundle: Any) -> None:
    manifest = manifest_of(bundle.path)
    assert manifest["format"] == 3
    assert manifest["labels"] == list(LABELS)
    assert manifest["background"] is True
    for name, value in dataclasses.asdict(bundle.settings).items():
        assert manifest["settings"][name] == json.loads(json.dumps(value)), name
    assert manifest["backbone"]["name"] == "efficientnet_lite0"
    assert len(manifest["backbone"]["weights_sha256"]) == 64
    assert manifest["preprocessing"]["size"] == 96
    assert manifest["data"]["photos"] == 86
    assert sum(manifest["data"][part] for part in ("train", "val", "test")) == 86
    assert len(manifest["data"]["data_hash"]) == 64
    assert {"python", "torch", "onnxruntime", "numpy", "pillow"} <= set(manifest["versions"])
    assert set(manifest["files"]) == {file.name for file in bundle.path.iterdir()} - {"manifest.json"}
    assert manifest["calibration"]["threshold"] is not None
    closer = manifest["closer"]
    assert closer["calibration"]["threshold"] is not None
    assert closer["held_out"] >= 20
    assert closer["localiser"] is False
    assert f"{closer['weights']['reason']}".endswith(".")


def test_a_bundle_with_boxes_knows_where_logos_lie(boxed: Any) -> None:
    manifest = manifest_of(boxed.path)
    assert manifest["closer"]["localiser"] is True
    assert "localiser.safetensors" in manifest["files"]
    assert (boxed.path / "localiser.safetensors").is_file()
    assert (manifest["closer"]["experts"], manifest["settings"]["matcher"]) == ([], "off")


def test_it_learned_something(bundle: Any) -> None:
    metrics = manifest_of(bundle.path)["metrics"]
    for part in ("val", "test"):
        assert metrics[part]["top1"] > 0.6
        assert metrics[part]["none"]["auroc"] > 0.8


def test_the_split_is_written_and_parts_share_no_photo(bundle: Any) -> None:
    parts, data = split_of(bundle.path), manifest_of(bundle.path)["data"]
    assert {part: len(names) for part, names in parts.items()} == {part: data[part] for part in parts}
    assert len(parts["train"] | parts["val"] | parts["test"]) == 86
    assert all((bundle.data / name).is_file() for names in parts.values() for name in names)


@pytest.mark.slow
def test_the_same_photos_and_settings_give_the_same_bundle(
    photos: Path, tmp_path: Path, quick: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(photos, tmp_path / "one", quick)
    # Elsewhere, under other names, without the cache, on one thread.
    moved = tmp_path / "moved"
    for path in sorted(photos.rglob("*.*"), reverse=True):
        (moved / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved / path.parent.name / f"x{path.name}")
    run(moved, tmp_path / "two", dataclasses.replace(quick, cache=False))
    one, two = manifest_of(tmp_path / "one"), manifest_of(tmp_path / "two")
    assert one["data"]["data_hash"] == two["data"]["data_hash"]
    for name in ("labels.txt", "history.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    # The order of the photos differs with their names, and with it the last bits of sums over them.
    run(photos, tmp_path / "three", quick)
    for name in ("model.onnx", "head.safetensors", "labels.txt", "history.csv", "split.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "three" / name).read_bytes(), name
    assert first.manifest["metrics"] == manifest_of(tmp_path / "three")["metrics"]
    run(photos, tmp_path / "four", dataclasses.replace(quick, seed=1))
    assert split_of(tmp_path / "four") != split_of(tmp_path / "one")


def test_progress_tells_each_stage_to_its_end(photos: Path, tmp_path: Path, quick: TrainSettings) -> None:
    told: list[tuple[str, int, int]] = []
    settings = dataclasses.replace(quick, matcher="on")
    result = run(photos, tmp_path / "out", settings, progress=lambda *work: told.append(work))
    last = {stage: (done, total) for stage, done, total in told}
    for stage in (
        *("reading photos", "preparing the backbone", "computing features", "holding photos out"),
        *("seeking key points", "looking closer", "writing the bundle"),
    ):
        done, total = last[stage]
        assert done == total > 0, stage
    assert 1 <= last["training"][0] <= 15
    assert result.bundle == tmp_path / "out"
    # Words are tried, and take time of their own, where they can be read.
    assert set(result.seconds) - {"words"} == {
        "data",
        "backbone",
        "features",
        "head",
        "looking closer",
        "measuring",
        "bundle",
    }
    assert result.manifest == manifest_of(tmp_path / "out")


def test_an_mlp_head(photos: Path, tmp_path: Path, quick: TrainSettings) -> None:
    from logolens.inference.classifier import Classifier

    settings = dataclasses.replace(quick, head="mlp", hidden=16, epochs=30)
    result = run(photos, tmp_path / "out", settings)
    assert result.manifest["head"]["kind"] == "mlp"
    assert [shape[1] for shape in result.manifest["head"]["layers"]] == [16, 4]
    predictions = Classifier.load(tmp_path / "out").predict(sorted(photos.rglob("*.*")))
    truth = [Path(prediction.image).parent.name for prediction in predictions]
    assert np.mean([prediction.label == label for prediction, label in zip(predictions, truth, strict=True)]) > 0.7


@pytest.mark.parametrize("changed", [{"resize": "pad"}, {"pooling": "avg"}])
def test_the_road_that_was_trained_is_the_road_that_predicts(
    photos: Path, tmp_path: Path, quick: TrainSettings, changed: dict[str, Any]
) -> None:
    from logolens.inference.classifier import Classifier

    settings = dataclasses.replace(quick, refit=False, **changed)
    result = run(photos, tmp_path / "out", settings)
    parts = split_of(tmp_path / "out")
    predictions = Classifier.load(tmp_path / "out").predict([photos / name for name in sorted(parts["test"])])
    right = [prediction.label == Path(prediction.image).parent.name for prediction in predictions]
    assert np.mean(right) == pytest.approx(result.manifest["metrics"]["test"]["top1"])
    assert result.manifest["preprocessing"]["resize"] == changed.get("resize", "squash")


# What is odd about the data


def test_the_background_can_be_left_out(bundle: Any, tmp_path: Path, quick: TrainSettings) -> None:
    result = run(bundle.data, tmp_path / "out", dataclasses.replace(quick, background=False))
    assert result.manifest["background"] is False
    assert result.manifest["labels"] == list(LABELS)


def test_a_few_photos_of_none_are_enough_to_say_none_and_decide_how_readily(
    tmp_path: Path, quick: TrainSettings, make_photos: Any
) -> None:
    """Twenty, of which three are kept for validation; drawn backgrounds beside them are not what false alarms are counted on."""
    from logolens.inference.classifier import Classifier

    data = make_photos(tmp_path / "photos", count=14, none=20)
    result = run(data, tmp_path / "out", dataclasses.replace(quick, val=0.15, test=0.0))
    assert (tmp_path / "out" / "labels.txt").read_text("utf-8").split() == [*LABELS, "none"]
    assert any("Only 20 photos labelled none show none of the labels" in note for note in result.notes)
    assert result.manifest["closer"]["held_out"] == len(LABELS) * 14 + 20
    new = make_photos(tmp_path / "new", labels=(), none=30, seed=9)
    answers = Classifier.load(tmp_path / "out").predict(sorted(new.rglob("*.*")))
    assert np.mean([answer.label == "none" for answer in answers]) > 0.6


def test_built_in_backgrounds_stand_in_where_no_photo_shows_none_and_are_nobodys_photos(
    photos: Path, tmp_path: Path, quick: TrainSettings
) -> None:
    from logolens.inference.classifier import Classifier

    result = run(photos, tmp_path / "out", quick)
    assert result.manifest["background"] is True
    assert (tmp_path / "out" / "labels.txt").read_text("utf-8").split() == [*LABELS, "none"]
    assert any("built-in backgrounds" in note for note in result.notes)
    # They are neither counted, nor listed, nor measured on.
    assert result.manifest["data"]["photos"] == 24
    assert set(result.manifest["data"]["per_label"]) == set(LABELS)
    assert all((photos / name).is_file() for names in split_of(tmp_path / "out").values() for name in names)
    assert all(result.manifest["metrics"][part].get("none") is None for part in ("val", "test"))
    assert result.manifest["closer"]["calibration"]["threshold"] is not None
    answers = Classifier.load(tmp_path / "out").predict(sorted(photos.rglob("*.*")))
    assert np.mean([answer.label != "none" for answer in answers]) > 0.8

    run(photos, tmp_path / "without", dataclasses.replace(quick, background=False))
    assert manifest_of(tmp_path / "without")["background"] is False
    assert manifest_of(tmp_path / "without")["data"]["data_hash"] == result.manifest["data"]["data_hash"]


def test_parts_that_were_given_are_followed(tmp_path: Path, make_photos: Any, quick: TrainSettings) -> None:
    for number, part in enumerate(("train", "val", "test")):
        make_photos(tmp_path / "data" / part, labels=("acme", "bolt"), count=5, seed=number)
    run(tmp_path / "data", tmp_path / "out", quick)
    for part, names in split_of(tmp_path / "out").items():
        assert len(names) == 10
        assert all(name.startswith(f"{part}/") for name in names)


def test_a_photo_in_two_given_parts_is_a_leak_that_is_named(
    tmp_path: Path, make_photos: Any, quick: TrainSettings
) -> None:
    for number, part in enumerate(("train", "val", "test")):
        make_photos(tmp_path / "data" / part, labels=("acme", "bolt"), count=5, seed=number)
    shutil.copy(tmp_path / "data/train/acme/acme-0.png", tmp_path / "data/test/acme/other.png")
    with pytest.raises(LeakError, match=r"acme-0\.png") as caught:
        run(tmp_path / "data", tmp_path / "out", quick)
    assert "other.png" in str(caught.value)
    assert not (tmp_path / "out").exists()
    result = run(tmp_path / "data", tmp_path / "out", dataclasses.replace(quick, allow_leaks=True))
    assert any("other.png" in note for note in result.notes)


def test_copies_stay_in_one_part(tmp_path: Path, make_photos: Any, quick: TrainSettings) -> None:
    data = make_photos(tmp_path / "data", labels=("acme", "bolt"), count=8)
    for path in sorted((data / "acme").glob("*.png")):
        with Image.open(path) as photo:
            photo.resize((100, 100)).save(path.with_name(f"small-{path.stem}.jpg"))
    run(data, tmp_path / "out", quick)
    part_of = {name: part for part, names in split_of(tmp_path / "out").items() for name in names}
    for path in sorted((data / "acme").glob("acme-*.png")):
        assert part_of[f"acme/{path.name}"] == part_of[f"acme/small-{path.stem}.jpg"]


def test_one_label_is_an_error_unless_there_is_none_beside_it(
    tmp_path: Path, make_photos: Any, quick: TrainSettings
) -> None:
    with pytest.raises(DataError, match="label"):
        run(make_photos(tmp_path / "one", labels=("acme",), count=6), tmp_path / "out", quick)
    assert not (tmp_path / "out").exists()
    result = run(make_photos(tmp_path / "two", labels=("acme",), count=14, none=44), tmp_path / "out", quick)
    assert result.manifest["labels"] == ["acme"]
    assert result.manifest["background"] is True


@pytest.mark.parametrize(("val", "test"), [(0.0, 0.0), (0.0, 0.3), (0.3, 0.0)])
def test_parts_may_be_left_out(photos: Path, tmp_path: Path, quick: TrainSettings, val: float, test: float) -> None:
    settings = dataclasses.replace(quick, val=val, test=test)
    result = run(photos, tmp_path / "out", settings)
    parts = split_of(tmp_path / "out")
    assert bool(parts["val"]) is (val > 0)
    assert bool(parts["test"]) is (test > 0)
    metrics = result.manifest["metrics"]
    # Photos are held out by turns to decide what closer views are worth, whether or not a part is kept for validation.
    assert metrics["val"]["n"] == len(parts["train"] | parts["val"])
    assert (metrics["test"] is not None) is (test > 0)
    assert result.evaluation is not None
    assert result.split == ("test" if test else "val")
    assert (tmp_path / "out" / "README.md").is_file()


@pytest.mark.parametrize(("count", "expected"), [(1, (2, 0, 0)), (2, (4, 0, 0)), (3, (2, 2, 2))])
def test_very_few_photos_train_and_are_told(
    tmp_path: Path, make_photos: Any, quick: TrainSettings, count: int, expected: tuple[int, ...]
) -> None:
    from logolens.inference.classifier import Classifier

    data = make_photos(tmp_path / "data", labels=("acme", "bolt"), count=count)
    result = run(data, tmp_path / "out", quick)
    assert tuple(len(names) for names in split_of(tmp_path / "out").values()) == expected
    assert any("fewer than 20 photos" in note for note in result.notes)
    assert Classifier.load(tmp_path / "out").predict(data / "acme" / "acme-0.png")[0].label in ("acme", "bolt")


def test_broken_photos_are_left_out_and_told(tmp_path: Path, make_photos: Any, quick: TrainSettings) -> None:
    data = make_photos(tmp_path / "data", labels=("acme", "bolt"), count=8)
    (data / "acme" / "broken.jpg").write_bytes(b"no image")
    (data / "bolt" / "empty.png").touch()
    result = run(data, tmp_path / "out", quick)
    assert result.manifest["data"]["photos"] == 16
    told = " ".join(result.notes)
    assert "broken.jpg" in told
    assert "empty.png" in told


@pytest.mark.parametrize("how", ["gone", "broken", "changed"])
def test_a_photo_that_changes_between_reading_and_features_is_named(
    tmp_path: Path, make_photos: Any, quick: TrainSettings, how: str
) -> None:
    data = make_photos(tmp_path / "data", labels=("acme", "bolt"), count=6, seed=3)
    victim = data / "acme" / "acme-3.png"

    def strike(stage: str, done: int, total: int) -> None:
        if stage == "preparing the backbone" and done == 0:
            if how == "gone":
                victim.unlink()
            else:
                victim.write_bytes(b"broken" if how == "broken" else (data / "bolt" / "bolt-3.png").read_bytes())

    with pytest.raises(ImageError, match=r"acme-3\.png"):
        run(data, tmp_path / "out", dataclasses.replace(quick, cache=False), progress=strike)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["nowhere", "empty", "loose"])
def test_data_that_is_none_is_a_sentence(tmp_path: Path, quick: TrainSettings, kind: str) -> None:
    data = tmp_path / kind
    if kind != "nowhere":
        data.mkdir()
    if kind == "loose":
        Image.new("RGB", (40, 40)).save(data / "a.png")
    with pytest.raises(DataError, match=kind):
        run(data, tmp_path / "out", quick)


def test_a_target_that_is_taken_is_refused_before_any_work(tmp_path: Path, quick: TrainSettings) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    stages: list[str] = []
    with pytest.raises(UsageError, match="name another folder"):
        run(tmp_path / "nowhere", tmp_path / "out", quick, progress=lambda stage, done, total: stages.append(stage))
    assert stages == []


@pytest.mark.parametrize("name", ["exclude", "corrections"])
def test_a_list_that_is_not_there_is_told_before_any_photo_is_read(
    photos: Path, tmp_path: Path, quick: TrainSettings, name: str
) -> None:
    absent: dict[str, Any] = {name: tmp_path / "absent"}
    settings = dataclasses.replace(quick, **absent)
    stages: list[str] = []
    with pytest.raises(DataError, match=r"absent: the (list|decisions) cannot be read"):
        run(photos, tmp_path / "out", settings, progress=lambda stage, done, total: stages.append(stage))
    assert stages == []


def test_a_backbone_that_is_not_known_is_a_sentence(photos: Path, tmp_path: Path, quick: TrainSettings) -> None:
    with pytest.raises(UsageError, match="efficientnet_lite00"):
        run(photos, tmp_path / "out", dataclasses.replace(quick, backbone="efficientnet_lite00"))


def test_boxes_are_learned_from_and_their_surroundings_show_none(
    tmp_path: Path, draw_photo: Any, quick: TrainSettings
) -> None:
    rows = ["path,label,x1,y1,x2,y2"]
    for label in ("acme", "bolt"):
        for number in range(20):
            canvas = draw_photo("none", 100 + number, (300, 200))
            canvas.paste(draw_photo(label, number, (70, 70)), (10, 20))
            name = f"{label}-{number}.jpg"
            canvas.save(tmp_path / name)
            rows.append(f"{name},{label},10,20,80,90")
    table = tmp_path / "photos.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = run(table, tmp_path / "out", dataclasses.replace(quick, val=0.3))
    assert result.manifest["background"] is True
    assert result.manifest["labels"] == ["acme", "bolt"]
