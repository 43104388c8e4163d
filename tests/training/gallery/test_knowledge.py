"""What a gallery knows of its drawings' lines and its labels' names, and that both follow the labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import needs_training
from PIL import Image, ImageDraw

from logolens import Classifier
from logolens.bundle.format import load_bundle
from logolens.config import GallerySettings
from logolens.errors import UsageError
from logolens.models.matcher.serialization import load_matcher
from logolens.models.words import reads
from logolens.training.gallery import add, remove, rename
from logolens.training.gallery.knowledge import drawn_references, first_knowledge

SETTINGS = GallerySettings(size=96, threads=2)


def drawing(seed: int) -> Image.Image:
    """A mark of one colour on nothing."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGBA", (240, 240), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    for number in range(14):
        x, y = (int(value) for value in rng.integers(5, 170, 2))
        w, h = (int(value) for value in rng.integers(14, 66, 2))
        fill = (160, 20, 40, 255) if number % 3 else (0, 0, 0, 0)
        (pen.rectangle if rng.random() < 0.6 else pen.ellipse)((x, y, x + w, y + h), fill=fill)
    return image


def photo(mark: Image.Image | None, seed: int, colour: tuple[int, int, int] = (245, 240, 230)) -> Image.Image:
    """A mark in another colour, small and turned, somewhere on noise."""
    rng = np.random.default_rng([seed, 3])
    image = Image.fromarray(rng.integers(40, 110, (6, 8, 3), dtype=np.uint8)).resize((480, 360))
    if mark is not None:
        small = mark.resize((130, 130), Image.Resampling.LANCZOS).rotate(seed * 25, Image.Resampling.BICUBIC)
        image.paste(Image.new("RGB", small.size, colour), (60 + 20 * seed, 90), small.getchannel("A"))
    return image


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery begun from a drawing each of two labels. Tests copy it to change it."""
    needs_training()
    folder = tmp_path_factory.mktemp("drawn")
    for number, label in enumerate(("acme", "zenith")):
        drawing(number).save(folder / f"{label}.png")
        add(folder / "gallery", [str(folder / f"{label}.png")], label, SETTINGS)
    return folder


@pytest.fixture
def gallery(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn / "gallery", tmp_path / "gallery"))


def labels_drawn(gallery: Path) -> list[str]:
    return sorted({one.label for one in load_matcher(gallery / "matcher.safetensors").references})


def test_a_drawing_is_known_by_its_lines_in_another_colour_and_turned(drawn: Path) -> None:
    classifier = Classifier.load(drawn / "gallery", where=True)
    for number, label in enumerate(("acme", "zenith")):
        image = photo(drawing(number), number + 1)
        prediction, why = classifier.explain(image)
        assert prediction.label == label
        assert why is not None
        assert why.match is not None
        assert why.match.inliers >= 8
        assert prediction.box is not None
        left, top, right, bottom = prediction.box
        assert abs((left + right) / 2 * 480 - (60 + 20 * (number + 1) + 65)) < 25
        assert abs((top + bottom) / 2 * 360 - 155) < 25


def test_lines_and_names_follow_the_labels(gallery: Path, tmp_path: Path) -> None:
    assert labels_drawn(gallery) == ["acme", "zenith"]
    rename(gallery, "zenith", "nadir")
    assert labels_drawn(gallery) == ["acme", "nadir"]
    drawing(7).save(tmp_path / "third.png")
    add(gallery, [str(tmp_path / "third.png")], "third", SETTINGS)
    assert labels_drawn(gallery) == ["acme", "nadir", "third"]
    rename(gallery, "third", "acme", merge=True)
    assert labels_drawn(gallery) == ["acme", "nadir"]
    remove(gallery, "acme")
    assert labels_drawn(gallery) == ["nadir"]
    bundle = load_bundle(gallery)
    assert bundle.closer is not None
    assert bundle.closer.weights.labels["matcher"] > 0
    if reads():
        assert list(json.loads(bundle.closer.late["words"].data["words.json"])["labels"]) == ["nadir"]
    assert Classifier.load(gallery).predict(photo(drawing(1), 2))[0].label == "nadir"


@pytest.mark.skipif(not reads(), reason="the extra words is not installed")
def test_the_name_of_a_label_is_read_where_its_drawing_is_not(drawn: Path) -> None:
    from PIL import ImageFont

    classifier = Classifier.load(drawn / "gallery")
    for label in ("acme", "zenith"):
        image = Image.new("RGB", (480, 300), (235, 235, 230))
        ImageDraw.Draw(image).text((60, 110), label.upper(), font=ImageFont.load_default(72), fill=(20, 40, 120))
        prediction = classifier.predict(image)[0]
        assert max((name for name in prediction.scores if name != "none"), key=prediction.scores.__getitem__) == label
        assert [proof.label for proof in prediction.words] == [label]


def test_drawings_alone_answer_by_proofs_alone_until_photos_come(drawn: Path, gallery: Path, tmp_path: Path) -> None:
    empty = [photo(None, seed) for seed in range(4)]
    assert [one.label for one in Classifier.load(gallery).predict(empty)] == ["none"] * 4
    photo(drawing(0), 2).save(tmp_path / "photo.png")
    add(gallery, [str(tmp_path / "photo.png")], "acme", SETTINGS)
    before, after = load_bundle(drawn / "gallery").closer, load_bundle(gallery).closer
    assert before is not None
    assert after is not None
    assert "whole" not in before.weights.presence
    assert after.weights.presence["whole"] > 0
    assert labels_drawn(gallery) == ["acme", "zenith"]


def test_what_is_off_is_neither_kept_nor_asked(drawn: Path, tmp_path: Path) -> None:
    settings = GallerySettings(size=96, threads=2, matcher="off", words="off")
    for label in ("acme", "zenith"):
        add(tmp_path / "plain", [str(drawn / f"{label}.png")], label, settings)
    names = {path.name for path in (tmp_path / "plain").iterdir()}
    assert not names & {"matcher.safetensors", "words.json"}
    bundle = load_bundle(tmp_path / "plain")
    assert bundle.closer is not None
    assert (bundle.closer.experts, bundle.closer.late) == ((), {})


def test_drawings_alone_are_warned_of(drawn: Path, tmp_path: Path) -> None:
    done = add(tmp_path / "again", [str(drawn / "acme.png")], "acme", SETTINGS)
    assert any("Drawings alone say little of photos" in note for note in done.notes)


def test_a_drawing_of_nothing_has_no_lines() -> None:
    assert drawn_references(Image.new("RGBA", (50, 50), (0, 0, 0, 0)), "acme", "a" * 64, "acme.png") == ()
    assert len(drawn_references(drawing(3), "acme", "a" * 64, "acme.png")) == 2


def test_words_on_where_nothing_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from logolens.training.gallery import knowledge

    monkeypatch.setattr(knowledge, "reads", lambda: False)
    with pytest.raises(UsageError, match=r"logolens\[words\]"):
        first_knowledge(GallerySettings(words="on"))
    assert first_knowledge(GallerySettings()) == {}
