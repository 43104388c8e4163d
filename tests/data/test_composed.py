"""Training with composed images: where they may stand, what they count for, and what is said of their figures."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Trained, needs_training
from PIL import Image, ImageDraw

from logolens.cli import main
from logolens.config import SplitSettings, SynthesisSettings, TrainSettings
from logolens.data import check_leaks, load, split
from logolens.data.builtin_backgrounds import is_builtin
from logolens.data.composed import (
    COMPOSED_WEIGHT,
    beside_photos,
    composed_alone,
    composed_data_notes,
    is_composed,
    referred,
    with_composed,
)
from logolens.data.synthesis import synthesize
from logolens.errors import DataError, UsageError
from logolens.inference.classifier import Classifier
from logolens.training.cross_fit import cross_fit
from logolens.training.prepare_data import assemble
from logolens.training.samples import Picker, samples_of
from logolens.training.task import Task
from logolens.training.train import train

SETTINGS = TrainSettings(synthesize=8, size=96, val=0.25, test=0.2, threads=2, epochs=40, views="whole")


def silent(stage: str, done: int, total: int) -> None:
    """Nobody looks."""


def write_artwork(folder: Path, *labels: str) -> Path:
    """The made-up logos of the photos (see conftest.draw) as artwork with a clear ground."""
    for label in labels:
        image = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
        pen = ImageDraw.Draw(image)
        if label == "acme":
            pen.ellipse((0, 0, 199, 199), fill="red")
            pen.ellipse((66, 66, 133, 133), fill="white")
        elif label == "bolt":
            pen.rectangle((0, 0, 199, 199), fill="blue")
            pen.polygon([(100, 0), (199, 199), (0, 199)], fill="yellow")
            pen.rectangle((0, 0, 6, 6), fill=(0, 0, 0, 0))
            pen.rectangle((150, 0, 199, 40), fill=(0, 0, 0, 0))
        else:
            pen.rectangle((66, 0, 133, 199), fill="green")
            pen.rectangle((0, 66, 199, 133), fill="green")
        (folder / label).mkdir(parents=True, exist_ok=True)
        image.save(folder / label / "logo.png")
    return folder


@pytest.fixture(scope="module")
def artwork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artwork(tmp_path_factory.mktemp("artwork"), "acme", "bolt")


def joined(artwork: Path, photos: Path, settings: TrainSettings = SETTINGS) -> tuple:  # type: ignore[type-arg]
    dataset = load(photos, training=False)
    parts = split(dataset, settings.split_settings())
    settings = dataclasses.replace(settings, artwork=artwork)
    return (dataset, parts, *with_composed(dataset, parts, settings, silent))


def test_composed_images_stand_in_training_alone_where_there_are_photos(
    artwork: Path, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    before, kept, dataset, parts = joined(artwork, make_photos(tmp_path / "photos", count=8, none=12))
    assert dataset.photos[: len(before)] == before.photos
    assert (parts.val, parts.test) == (kept.val, kept.test)
    added = [dataset.photos[number] for number in parts.train if number >= len(before)]
    assert {(photo.label, sum(other.label == photo.label for other in added)) for photo in added} == {
        ("acme", 8),
        ("bolt", 8),
        ("none", 8),
    }
    assert all(is_composed(photo) for photo in added)
    assert beside_photos(dataset) == set(range(len(before), len(dataset)))
    assert not check_leaks(dataset, parts)
    told = {note.kind: note for note in dataset.notes}
    assert "24; each counts for 0.3 of a photo" in told["composed"].message
    assert told["no-artwork"].examples == ("crest",)
    assert len({photo.near for photo in before.photos} & {photo.near for photo in added}) == 0


def test_they_count_for_less_and_are_never_held_out(
    artwork: Path, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    needs_training()
    _, _, dataset, parts = joined(artwork, make_photos(tmp_path / "photos", count=8, none=12))
    looks = samples_of(dataset, parts, SETTINGS)
    train_only = beside_photos(dataset)
    assert {sample.photo for sample in looks if sample.train_only} == train_only
    assert {look.weight for look in looks if look.photo in train_only} == {COMPOSED_WEIGHT}
    assert {look.weight for look in looks if look.photo not in train_only} == {1.0}
    features = np.random.default_rng(0).random((len(looks), 6), dtype=np.float32)
    classes = (*dataset.labels, "none")
    examples = Picker(looks, features, classes).examples("train")
    assert set(examples.weight.tolist()) == {1.0, float(np.float32(COMPOSED_WEIGHT))}
    holding = cross_fit(Task(dataset, parts, classes, SETTINGS, silent), looks, features, 5)
    assert holding is not None
    assert not set(holding.fold_of) & train_only
    assert set(holding.fold_of) == {*parts.train, *parts.val} - train_only


def test_a_label_without_photos_is_judged_on_composed_images_and_that_is_told(
    tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    art = write_artwork(tmp_path / "art", "acme", "crest")
    photos = make_photos(tmp_path / "photos", labels=("acme", "bolt"), count=8, none=12)
    before, kept, dataset, parts = joined(art, photos)
    assert dataset.labels == ("acme", "bolt", "crest")
    for part in ("val", "test"):
        added = [dataset.photos[n] for n in getattr(parts, part) if n >= len(before)]
        assert added
        assert {photo.label for photo in added} == {"crest"}
        groups = {photo.group for photo in added}
        assert not groups & {dataset.photos[n].group for n in parts.train}
    told = {note.kind: note for note in dataset.notes}
    assert told["composed-labels"].examples == ("crest",)
    assert {dataset.photos[n].label for n in beside_photos(dataset)} == {"acme", "none"}
    assert kept.train == parts.train[: len(kept.train)]


def test_artwork_alone_gives_parts_whose_backgrounds_differ(artwork: Path) -> None:
    dataset = composed_alone(artwork, SETTINGS, silent)
    parts = split(dataset, SplitSettings())
    groups = [{dataset.photos[n].group for n in numbers} for numbers in parts.by_name().values()]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert dataset.counts() == {"acme": 8, "bolt": 8, "none": 16}
    assert all(is_composed(photo) for photo in dataset.photos)
    assert not beside_photos(dataset)  # Nothing but them can decide.
    assert dataset.notes[0].kind == "composed-alone"
    assert composed_alone(artwork, SETTINGS, silent).data_hash == dataset.data_hash
    assert "composed-frozen" in {note.kind for note in dataset.notes}
    tuned = composed_alone(artwork, dataclasses.replace(SETTINGS, finetune="last-1-block"), silent)
    assert "composed-frozen" not in {note.kind for note in tuned.notes}


def test_data_that_were_composed_beforehand_are_said_to_be(artwork: Path, tmp_path: Path) -> None:
    made = synthesize(artwork, tmp_path / "made", SynthesisSettings(count=1, none=1, size=160))
    for data in (made.folder, made.boxes):
        (note,) = composed_data_notes(data)
        assert "All 3 images were composed" in note.message
    assert composed_data_notes(artwork) == composed_data_notes(tmp_path / "nowhere.csv") == ()


def test_images_once_composed_are_used_again_and_made_anew_when_damaged(artwork: Path, own_cache: Path) -> None:
    settings = dataclasses.replace(SETTINGS, synthesize=3)
    first = composed_alone(artwork, settings, silent)
    stages: list[str] = []
    composed_alone(artwork, settings, lambda stage, done, total: stages.append(stage))
    assert "composing photos" not in stages
    first.photos[0].path.unlink()
    again = composed_alone(artwork, settings, lambda stage, done, total: stages.append(stage))
    assert "composing photos" in stages
    assert again.data_hash == first.data_hash
    other = composed_alone(artwork, dataclasses.replace(settings, seed=1), silent)
    assert other.data_hash != first.data_hash
    assert len(list((own_cache / "composed").iterdir())) == 2


def test_local_features_are_matched_with_the_largest_composed_logos(artwork: Path) -> None:
    settings = dataclasses.replace(SETTINGS, synthesize=20)
    photos = [photo for photo in composed_alone(artwork, settings, silent).photos if photo.label == "acme"]
    kept = referred(photos)
    assert len(kept) == 12 < len(photos)
    least = min(max(box.area for box in photo.boxes) for photo in kept)
    assert all(max(box.area for box in photo.boxes) <= least for photo in photos if photo not in kept)


@pytest.fixture(scope="module")
def alone(artwork: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A bundle from artwork alone."""
    needs_training()
    folder = tmp_path_factory.mktemp("alone")
    settings = dataclasses.replace(SETTINGS, synthesize=20)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        command, named, *rest = _command(artwork, folder / "bundle", "20")
        assert main([command, "--artwork", named, *rest]) == 0
    (folder / "shown.txt").write_text(shown.getvalue(), encoding="utf-8")
    return Trained(folder / "bundle", artwork, settings)


def _command(data: Path, out: Path, count: str, *more: str) -> list[str]:
    values = ["--size", "96", "--views", "whole", "--threads", "2", "--epochs", "40", *more]
    return ["train", str(data), "-o", str(out), "--synthesize", count, *values]


def test_a_bundle_from_artwork_alone_knows_photos_it_never_saw(
    alone: Trained, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    photos = make_photos(tmp_path / "photos", labels=("acme", "bolt"), count=10)
    answers = Classifier.load(alone.path).predict(sorted(photos.glob("*/*")))
    right = sum(max(("acme", "bolt"), key=a.scores.__getitem__) == Path(a.image).parent.name for a in answers)
    assert right >= 17


def test_card_manifest_and_split_say_that_the_figures_are_of_composed_images(alone: Trained) -> None:
    card = (alone.path / "README.md").read_text(encoding="utf-8")
    assert "**These figures are of images composed from artwork, not of photos**" in card
    assert "No photo was given" in card
    data = json.loads((alone.path / "manifest.json").read_text(encoding="utf-8"))["data"]
    assert data["composed"] == {part: data[part] for part in ("train", "val", "test")}
    assert data["path"] == str(alone.data)
    with (alone.path / "split.csv").open(newline="", encoding="utf-8") as file:
        assert {row["path"].split("/")[0] for row in csv.DictReader(file)} == {"composed images"}


def test_the_command_tells_figures_of_composed_images_from_those_of_photos(
    artwork: Path, tmp_path: Path, make_photos: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    needs_training()
    photos = make_photos(tmp_path / "photos", labels=("acme", "bolt"), count=10, none=44)
    assert main(_command(photos, tmp_path / "b", "8", "--artwork", str(artwork))) == 0
    shown = capsys.readouterr()
    assert "(24 of them composed), 11 for validation, 11 for the test" in shown.out
    assert "test photos" in shown.out
    assert "Images composed from artwork to learn from beside 64 photos: 24" in shown.err
    card = (tmp_path / "b" / "README.md").read_text(encoding="utf-8")
    assert "figures are of images composed" not in card


def test_what_training_on_artwork_alone_prints(alone: Trained) -> None:
    shown = (alone.path.parent / "shown.txt").read_text(encoding="utf-8")
    assert "test composed images" in shown
    assert "No photo was given" in shown


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"artwork": Path("art")}, "say with --synthesize N"),
        ({"backgrounds": Path("walls")}, "backgrounds is for composing"),
        ({"synthesize": -1}, "synthesize is -1"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainSettings(**values)  # type: ignore[arg-type]


def test_photos_are_not_taken_for_artwork(
    artwork: Path, tmp_path: Path, make_photos: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    needs_training()
    photos = make_photos(tmp_path / "photos", count=2)
    assert main(_command(photos, tmp_path / "b", "5")) == 2
    assert "name the artwork with --artwork FOLDER" in capsys.readouterr().err
    (tmp_path / "list.csv").write_text("path,label\na.jpg,acme\n")
    assert main(_command(tmp_path / "list.csv", tmp_path / "b", "5")) == 2
    assert main(_command(tmp_path / "nowhere", tmp_path / "b", "5")) == 1
    assert main(_command(photos, tmp_path / "b", "5", "--artwork", str(tmp_path / "nowhere"))) == 1
    assert main(_command(photos, tmp_path / "b", "many")) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
    write_artwork(tmp_path / "art", "acme")
    (tmp_path / "art" / "acme").rename(tmp_path / "art" / "ACME")
    with pytest.raises(UsageError, match="write both the same way"):
        joined(tmp_path / "art", photos)


def test_artwork_without_transparency_is_taken_where_it_is_said_to_be_artwork(artwork: Path, tmp_path: Path) -> None:
    needs_training()
    opaque = tmp_path / "opaque"
    shutil.copytree(artwork, opaque)
    for path in opaque.rglob("*.png"):
        image = Image.open(path).convert("RGBA")
        Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB").save(path)
    settings = dataclasses.replace(SETTINGS, head="gallery")
    with pytest.raises(UsageError, match=f"say so with --artwork {opaque}"):
        assemble(opaque, settings, silent, lambda line: None)
    dataset, _ = assemble(opaque, dataclasses.replace(settings, artwork=opaque), silent, lambda line: None)
    assert all(is_composed(photo) or is_builtin(photo) for photo in dataset.photos)
    assert any("without transparency" in str(note) for note in dataset.notes)


def test_artwork_may_bring_the_second_label(tmp_path: Path, make_photos: Callable[..., Path]) -> None:
    needs_training()
    photos = make_photos(tmp_path / "photos", labels=("acme",), count=10, none=0)
    art = write_artwork(tmp_path / "art", "bolt")
    done = train(photos, tmp_path / "b", dataclasses.replace(SETTINGS, artwork=art, synthesize=20))
    assert done.manifest["labels"] == ["acme", "bolt"]
    assert done.manifest["data"]["composed"]["test"] > 0
    assert any("Labels without a photo" in note for note in done.notes)
    with pytest.raises(DataError, match="one label only"):
        train(photos, tmp_path / "c", dataclasses.replace(SETTINGS, synthesize=0))
