"""Words from training to the answer: photos that differ by what is written alone, a machine that cannot read, names alone."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from logolens import Classifier
from logolens.bundle.format import load_bundle
from logolens.cli import main
from logolens.config import BACKGROUND, TrainSettings
from logolens.data import load
from logolens.errors import BundleError, DataError, MissingExtraError, UsageError
from logolens.io.views import WHOLE
from logolens.models.calibration import Calibration
from logolens.models.contracts.late import UnknownEvidence
from logolens.models.experts import words as asking
from logolens.models.words import Line, Reader, WordWeights, reads, word_readings
from logolens.models.words.fit_words import VisualEvidence, fit_words
from logolens.models.words.word_readings import WordReadings
from logolens.training.samples import Sample
from logolens.training.train import train

pytestmark = pytest.mark.skipif(not reads(), reason="the extra words is not installed")

BRANDS = ("heineken", "starbucks", "vodafone")


def photo(text: str, seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """The same kind of picture for every brand: only what is written differs."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(120, 256, (4, 5, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(5):
        x, y = int(rng.integers(0, size[0])), int(rng.integers(0, size[1]))
        pen.ellipse((x, y, x + 40, y + 40), fill=tuple(int(value) for value in rng.integers(100, 256, 3)))
    if text:
        at = (int(rng.integers(5, 60)), int(rng.integers(5, 170)))
        ink = tuple(int(value) for value in rng.integers(0, 60, 3))
        pen.text(at, text, fill=ink, font=ImageFont.load_default(size=int(rng.integers(34, 44))))
    return image


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    for number, label in enumerate((*BRANDS, "none")):
        (folder / label).mkdir()
        for position in range(16):
            text = "" if label == "none" else label.capitalize() if position % 2 else label.upper()
            photo(text, 100 * number + position).save(folder / label / f"{position}.png")
    return folder


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory, train_settings: TrainSettings) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "read"
    with pytest.MonkeyPatch.context() as patch:
        # Some are read first, and as their names are met, the rest is.
        patch.setattr(word_readings, "_FIRST", 9)
        patch.setattr(word_readings, "_FIRST_OF_EACH", 3)
        result = train(photos, out, replace(train_settings, words="auto", matcher="off"))
    found = re.search(r"Words count: On (\d+) of", "\n".join(result.notes))
    assert found is not None, result.notes
    assert int(found.group(1)) > 9
    return out


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for number, brand in enumerate(BRANDS):
        found[brand] = tmp_path / f"{brand}.png"
        photo(brand.capitalize(), 9000 + number).save(found[brand])
    return found


def test_what_is_read_decides_where_what_is_seen_cannot(trained: Path, asked: dict[str, Path]) -> None:
    closer = load_bundle(trained).closer
    assert closer is not None
    assert closer.late["words"].facts.weights.weight > 0
    told = Classifier.load(trained).predict(list(asked.values()))
    assert [prediction.label for prediction in told] == list(asked)
    for prediction, brand in zip(told, asked, strict=True):
        word = prediction.to_json()["words"][0]
        assert word["label"] == brand
        assert word["similarity"] > 0.8
        assert word["confidence"] > 0.8
        assert all(0 <= edge <= 1 for edge in word["box"])


def test_an_answer_that_words_alone_speak_for_says_so(trained: Path, asked: dict[str, Path]) -> None:
    both, seen = Classifier.load(trained), _without(trained)
    for path in asked.values():
        (now,), (before,) = both.predict(path), seen.predict(path)
        assert before.words == ()
        assert now.read == (now.label != before.label)


def _without(bundle: Path) -> Classifier:
    loaded = load_bundle(bundle)
    assert loaded.closer is not None
    return Classifier(replace(loaded, closer=replace(loaded.closer, late={})))


def test_a_machine_that_cannot_read_answers_by_what_it_sees_and_says_so(
    trained: Path, asked: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(asking, "reads", lambda: False)
    with caplog.at_level(logging.WARNING):
        classifier = Classifier.load(trained)
    assert "pip install 'logolens[words]'" in caplog.text
    told = classifier.predict(list(asked.values()))
    same = _without(trained).predict(list(asked.values()))
    assert [one.scores for one in told] == [one.scores for one in same]
    assert all(one.words == () and not one.read for one in told)
    closer = load_bundle(trained).closer
    assert closer is not None
    assert classifier.threshold == closer.calibration.threshold
    assert closer.calibration != closer.late["words"].facts.weights.calibration


def test_other_models_than_it_learned_with_are_not_used(
    trained: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(asking, "model_hashes", lambda: {"other.onnx": "0" * 64})
    with caplog.at_level(logging.WARNING):
        Classifier.load(trained)
    assert "trained with other models" in caplog.text


def test_photos_that_hardly_show_a_logo_are_not_read(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closer = load_bundle(trained).closer
    assert closer is not None
    assert 0 < closer.late["words"].facts.weights.floor <= 0.5
    count = 0
    read = Reader.read

    def counted(self: Reader, image: Image.Image) -> object:
        nonlocal count
        count += 1
        return read(self, image)

    monkeypatch.setattr(Reader, "read", counted)
    classifier = Classifier.load(trained)
    plain = [photo("", 7000 + number) for number in range(12)]
    classifier.predict(plain)
    assert count < len(plain)
    count = 0
    classifier.predict(photo("Vodafone", 7100))
    assert count <= 1


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Image.Image]:
    """Every image that is read while the test runs."""
    images: list[Image.Image] = []
    as_it_is = Reader.read

    def noted(self: Reader, image: Image.Image) -> tuple[Line, ...]:
        images.append(image)
        return as_it_is(self, image)

    monkeypatch.setattr(Reader, "read", noted)
    return images


def test_where_nothing_is_written_few_photos_are_read(
    make_photos: Callable[..., Path],
    tmp_path: Path,
    train_settings: TrainSettings,
    read: list[Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(word_readings, "_FIRST", 12)
    monkeypatch.setattr(word_readings, "_FIRST_OF_EACH", 1)
    data = make_photos(tmp_path / "photos", count=12)
    settings = replace(train_settings, words="auto", matcher="off", cache=False)
    (note,) = [note for note in train(data, tmp_path / "out", settings).notes if "that were read first" in note]
    assert "of 12 photos" in note
    assert "words name a label on 0, so the other " in note
    assert len(read) == 12


def test_a_word_that_a_left_out_label_shares_is_heard_as_if_nobody_knew_that_label(
    tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    """On all packs of a trade stands the same word; of an unknown brand's packs nobody has learned that."""
    dataset = load(make_photos(tmp_path / "packs", labels=("acme", "bolt", "core"), count=8, none=8))
    box = (0.1, 0.4, 0.9, 0.6)
    texts = {"acme": "Acme Filter", "bolt": "Bolt Filter", "core": "Core"}
    lines = {each.sha256: (Line(texts[each.label], 0.99, box, 0.2),) for each in dataset.photos if each.label in texts}
    readings = WordReadings(dataset, {label: (label,) for label in dataset.labels}, lines)
    everyone = range(len(dataset))
    assert "filter" not in {entry.word.casefold() for entry in readings.lexicon(everyone).entries}
    rest = readings.lexicon(everyone, without={"bolt"})
    assert rest.labels == ("acme", "core")
    assert ("filter", "acme") in {(entry.word.casefold(), entry.label) for entry in rest.entries}

    samples = [Sample(number, WHOLE, each.label, "train", True) for number, each in enumerate(dataset.photos)]
    classes = [*dataset.labels, BACKGROUND]
    truth = np.array([classes.index(sample.label) for sample in samples], dtype=np.int64)
    bolts = np.flatnonzero(truth == 1)
    logits, doubt = np.zeros((len(samples), 3)), np.zeros(len(samples), dtype=bool)
    known = logits[bolts, :2]
    unknown = UnknownEvidence(bolts, np.array([0, 2], dtype=np.int64), known, known, doubt[bolts])
    seen = VisualEvidence(logits, logits, doubt, Calibration(1.0, 0.0, 1.0), (unknown,))
    fold_of = {number: number % 2 for number in everyone}
    weights = {}
    for named in (True, False):
        its = readings if named else WordReadings(dataset, {}, lines)
        found, _ = fit_words(its, samples, truth, seen, fold_of, everyone, TrainSettings(), background=True)
        assert found.expert is not None
        weights[named] = found.expert.weights
    by_name, learned = rest.evidence(lines[dataset.photos[bolts[0]].sha256])[0][0]
    assert by_name == 0
    assert learned > 0
    # Packs of a brand that nobody heard of say it as well: it tells labels apart, and not whether one shows.
    assert weights[True].weight > 0
    assert weights[True].shows_words > 0
    assert weights[True].shows_learned == 0
    # Of labels without a name nothing else can be read.
    assert weights[False].shows_words == 0
    assert weights[False].shows_learned > 0


def test_altered_words_are_refused(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    words = folder / "words.json"
    words.write_text(words.read_text(encoding="utf-8").replace("vodafone", "telefone"), encoding="utf-8")
    with pytest.raises(BundleError, match=r"words\.json was altered"):
        load_bundle(folder)
    words.unlink()
    with pytest.raises(BundleError, match=r"words\.json cannot be read"):
        load_bundle(folder)


@pytest.mark.parametrize("value", [-1.0, float("nan"), "x", None])
def test_weights_that_cannot_be_are_refused(trained: Path, tmp_path: Path, value: object) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["closer"]["words"]["weight"] = value
    manifest.pop("manifest_sha256", None)  # As a release that wrote none would have it.
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(folder)


def test_weights_of_earlier_bundles_count_learned_words_as_names(trained: Path) -> None:
    closer = load_bundle(trained).closer
    assert closer is not None
    written = closer.late["words"].facts.weights.to_json()
    assert WordWeights.from_json(written) == closer.late["words"].facts.weights
    del written["shows_learned"]
    assert WordWeights.from_json(written).shows_learned == closer.late["words"].facts.weights.shows_words


def test_words_are_readable_and_private_settings_are_not_needed(trained: Path) -> None:
    told = json.loads((trained / "words.json").read_text(encoding="utf-8"))
    assert set(told["labels"]) == set(BRANDS)
    assert any(row["named"] and row["word"] == "vodafone" for row in told["labels"]["vodafone"])


def test_turned_off_or_not_installed(
    photos: Path, tmp_path: Path, train_settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from logolens.training import prepare_data

    result = train(photos, tmp_path / "off", replace(train_settings, words="off", matcher="off"))
    assert result.manifest["closer"]["words"] is None
    assert not (tmp_path / "off" / "words.json").exists()

    def absent() -> dict[str, str]:
        raise MissingExtraError("Run: pip install 'logolens[words]'")

    monkeypatch.setattr(prepare_data, "model_hashes", absent)
    with pytest.raises(MissingExtraError, match="words"):
        train(photos, tmp_path / "on", replace(train_settings, words="on", matcher="off"))


def test_a_file_of_names_is_checked_before_photos_are_read(
    photos: Path, tmp_path: Path, train_settings: TrainSettings
) -> None:
    file = tmp_path / "names.txt"
    file.write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="names no label"):
        train(photos, tmp_path / "out", replace(train_settings, names=file, words="auto"))
    file.write_text("pepsi: Pepsi\n", encoding="utf-8")
    with pytest.raises(DataError, match="no label pepsi"):
        train(photos, tmp_path / "out", replace(train_settings, names=file, words="auto"))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"words": "on", "views": "whole"}, "views whole"),
        ({"words": "on", "head": "gallery"}, "gallery does not read"),
        ({"words": "off", "names": Path("x")}, "leave out --names"),
    ],
)
def test_settings_that_cannot_work_together(values: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        TrainSettings(**values)  # type: ignore[arg-type]


def test_names_alone_make_a_bundle(
    tmp_path: Path, asked: dict[str, Path], train_settings: TrainSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    names, out = tmp_path / "brands.txt", tmp_path / "bundle"
    names.write_text("Heineken\nStarbucks: Starbucks Coffee\nVodafone\n007: Bond Street\n", encoding="utf-8")
    assert main(["train", "--names", str(names), "--out", str(out), "--size", "96"]) == 0
    assert "No photo was learned from" in capsys.readouterr().err
    blank = tmp_path / "blank.png"
    photo("", 1).save(blank)
    assert main(["predict", str(out), *map(str, asked.values()), str(blank), "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["label"].lower() for one in told] == [*asked, "none"]
    assert all(one["read"] for one in told[:-1])
    assert "words" not in told[-1]
    assert main(["predict", str(out), str(asked["vodafone"]), "--explain", str(tmp_path / "why.png")]) == 0
    assert "Read, not seen" in capsys.readouterr().out
    assert main(["predict", str(out), str(asked["vodafone"]), "--show", str(tmp_path / "shown.png")]) == 0
    assert (tmp_path / "shown.png").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no label"),
        ("007\n", "no name that could be read"),
        ("none: x1\n", "shows no logo"),
        ("old: Acme\nnew: Acme\nolder: Acme\n", None),
        ("1: Acme\n2: ACME\n", "every name stands for several labels"),
    ],
)
def test_bad_names_alone(
    tmp_path: Path, text: str, told: str | None, capsys: pytest.CaptureFixture[str], train_settings: TrainSettings
) -> None:
    names = tmp_path / "brands.txt"
    names.write_text(text, encoding="utf-8")
    status = main(["train", "--names", str(names), "--out", str(tmp_path / "out"), "--size", "96"])
    said = capsys.readouterr().err
    if told is None:
        assert status == 0
        assert "Names of several labels" in said.replace("\n", " ")
    else:
        assert status in (1, 2)
        assert told in " ".join(said.split())


def test_nothing_to_learn_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--out", str(tmp_path / "out")]) == 2
    assert "--names" in capsys.readouterr().err
