"""Two labels that are near each other: photos are laid flat, where they differ is learned, and what does not help is not used."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import Trained
from PIL import Image, ImageDraw, ImageOps

from logolens.bundle.format import load_bundle
from logolens.cli import cli, main
from logolens.config import TrainSettings
from logolens.errors import BundleError, DataError, UsageError
from logolens.inference.classifier import Classifier
from logolens.models.pairwise import Pair, PairwiseExperts, Sighting, Ties, divide, frame_of, in_doubt, log_odds
from logolens.models.pairwise.hog import SIDE, WIDTH, cells, flat
from logolens.models.pairwise.pair_weights import difference, losses, right, weigh
from logolens.training.train import train

OTHER = "other"


def emblem(kind: str, size: int = 240) -> Image.Image:
    """Two emblems that share all but a part in the middle; ``other`` is another one altogether."""
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    rng = np.random.default_rng(9 if kind == OTHER else 8)
    for _ in range(24):
        x, y, w, h = rng.integers(8, size - 50, 2).tolist() + rng.integers(10, 44, 2).tolist()
        shape = draw.rectangle if rng.random() < 0.5 else draw.ellipse
        shape(
            (x, y, x + w, y + h), fill=tuple(int(v) for v in rng.choice([(20, 20, 20), (180, 30, 30), (30, 60, 160)]))
        )
    middle = (size * 0.43, size * 0.43, size * 0.57, size * 0.57)
    if kind == "old":
        draw.ellipse(middle, fill="white", outline="black", width=6)
    elif kind == "new":
        draw.rectangle(middle, fill="white", outline="black", width=6)
    return image


def photo(kind: str, seed: int) -> tuple[Image.Image, tuple[int, int, int, int]]:
    rng = np.random.default_rng([seed, *kind.encode()])
    noise = rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((400, 300), Image.Resampling.BICUBIC)
    side = int(rng.integers(120, 170))
    turned = emblem(kind).convert("RGBA").rotate(float(rng.uniform(-14, 14)), Image.Resampling.BICUBIC)
    turned = turned.resize((side, round(side * float(rng.uniform(0.85, 1.0)))))
    x, y = int(rng.integers(0, 400 - turned.width)), int(rng.integers(0, 300 - turned.height))
    image.paste(turned.convert("RGB"), (x, y), turned.getchannel("A"))
    image = ImageOps.autocontrast(image, cutoff=float(rng.uniform(0, 4)))
    return image, (x, y, x + turned.width, y + turned.height)


def write(folder: Path, labels: tuple[str, ...], count: int, first: int = 0) -> Path:
    rows = ["path,label,x1,y1,x2,y2"]
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            image, box = photo(label, number)
            image.save(folder / label / f"{number}.jpg", quality=88)
            rows.append(",".join([f"{label}/{number}.jpg", label, *map(str, box)]))
    (folder / "photos.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("near"), ("old", "new", OTHER), 12)


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("unseen"), ("old", "new", OTHER), 8, first=500)


@pytest.fixture(scope="module")
def trained_pair(near: Path, tmp_path_factory: pytest.TempPathFactory, train_settings: TrainSettings) -> Trained:
    settings = dataclasses.replace(train_settings, test=0.0, val=0.2, matcher="off", pair=(("old", "new"),))
    out = tmp_path_factory.mktemp("trained_pair") / "bundle"
    result = train(near / "photos.csv", out, settings)
    assert any("old and new" in note for note in result.notes)
    return Trained(out, near, settings)


def without_pairs(path: Path) -> Classifier:
    bundle = load_bundle(path)
    assert bundle.closer is not None
    return Classifier(replace(bundle, closer=replace(bundle.closer, late={})))


def test_the_expert_tells_apart_what_the_network_cannot_and_changes_nothing_else(
    trained_pair: Trained, unseen: Path
) -> None:
    photos = sorted(unseen.rglob("*.jpg"))
    with_it, without = (
        Classifier.load(trained_pair.path).predict(photos),
        without_pairs(trained_pair.path).predict(photos),
    )
    right_with, right_without = 0, 0
    for path, one, other in zip(photos, with_it, without, strict=True):
        assert one.error is None
        assert sum(one.scores.values()) == pytest.approx(1.0)
        assert one.scores["old"] + one.scores["new"] == pytest.approx(other.scores["old"] + other.scores["new"])
        for name in set(one.scores) - {"old", "new"}:
            assert one.scores[name] == pytest.approx(other.scores[name])
        if (kind := path.parent.name) != OTHER:
            counterpart = {"old": "new", "new": "old"}[kind]
            right_with += one.scores[kind] > one.scores[counterpart]
            right_without += other.scores[kind] > other.scores[counterpart]
    assert right_with >= 15
    assert right_with >= right_without


def test_the_manifest_and_the_card_say_what_was_decided(trained_pair: Trained) -> None:
    manifest = json.loads((trained_pair.path / "manifest.json").read_text())
    (fact,) = manifest["pairs"]
    assert fact["labels"] == ["old", "new"]
    assert fact["used"] is True
    assert fact["photos"] == 24
    assert fact["right_with"] >= fact["right"]
    assert fact["gained"] > fact["error"] > 0
    assert {"pair-1.safetensors", "pair-1-matcher.safetensors"} <= set(manifest["files"])
    assert manifest["settings"]["pair"] == [["old", "new"]]
    assert "The expert is used" in (trained_pair.path / "README.md").read_text()


def test_the_command_line_explains_which_places_decided(trained_pair: Trained, unseen: Path, tmp_path: Path) -> None:
    asked = unseen / "new" / "500.jpg"
    done = CliRunner().invoke(
        cli, ["predict", str(trained_pair.path), str(asked), "--explain", str(tmp_path / "why.png")]
    )
    assert done.exit_code == 0, done.output
    assert "new rather than old:" in done.output
    assert "laid flat by" in done.output
    plain = tmp_path / "plain.png"
    from logolens.inference.explain import show_explanation

    prediction, found = Classifier.load(trained_pair.path).explain(asked)
    assert found is not None
    assert found.pair_decision is not None
    with Image.open(asked) as image:
        show_explanation(image, prediction.to_json(), found, plain)
    with Image.open(tmp_path / "why.png") as one, Image.open(plain) as other:
        assert np.abs(np.asarray(one.convert("RGB"), int) - np.asarray(other.convert("RGB"), int)).max() > 60


def test_training_repeats_from_the_manifest(
    trained_pair: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = write(tmp_path / "photos", (OTHER, "another"), 3)
    arguments = ["train", str(elsewhere), "--out", str(tmp_path / "out"), "--config", str(trained_pair.path)]
    assert main(arguments) == 2
    assert "--pair names 'old'" in capsys.readouterr().err


def test_whole_views_ask_no_expert(trained_pair: Trained, unseen: Path) -> None:
    path = unseen / "old" / "500.jpg"
    whole = Classifier.load(trained_pair.path, views="whole").predict(path)[0]
    assert whole.scores == without_pairs(trained_pair.path).turned(views="whole").predict(path)[0].scores


@pytest.mark.parametrize("name", ["pair-1.safetensors", "pair-1-matcher.safetensors"])
def test_a_damaged_or_missing_expert_is_told(trained_pair: Trained, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(trained_pair.path, copy)
    (copy / name).write_bytes(b"junk")
    with pytest.raises(BundleError, match="was altered"):
        load_bundle(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(copy)


def test_an_expert_that_contradicts_its_references_is_refused(trained_pair: Trained) -> None:
    references = trained_pair.path / "pair-1-matcher.safetensors"
    data = (trained_pair.path / "pair-1.safetensors").read_bytes()
    with pytest.raises(BundleError, match="other labels"):
        Pair.load(("old", "newer"), data, Path("x.safetensors"), references)
    with pytest.raises(BundleError, match="damaged"):
        Pair.load(("old", "new"), data[:100], Path("x.safetensors"), references)


def test_a_bundle_of_an_earlier_release_has_no_experts(trained_pair: Trained, tmp_path: Path, unseen: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(trained_pair.path, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["pairs"]
    manifest.pop("manifest_sha256", None)  # As a release that wrote none would have it.
    (copy / "manifest.json").write_text(json.dumps(manifest))
    path = unseen / "old" / "500.jpg"
    assert Classifier.load(copy).predict(path)[0].scores == without_pairs(trained_pair.path).predict(path)[0].scores


def test_a_bundle_from_when_a_pair_was_called_contrast_answers_the_same(
    trained_pair: Trained, tmp_path: Path, unseen: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(trained_pair.path, copy)
    for file in copy.glob("pair-1*"):
        file.rename(copy / file.name.replace("pair", "contrast"))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["contrast"] = manifest.pop("pairs")
    manifest["settings"]["contrast"] = manifest["settings"].pop("pair")
    manifest["files"] = {name.replace("pair-", "contrast-"): value for name, value in manifest["files"].items()}
    manifest.pop("manifest_sha256", None)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    path = unseen / "old" / "500.jpg"
    scores = Classifier.load(copy).predict(path)[0].scores
    assert scores == Classifier.load(trained_pair.path).predict(path)[0].scores
    assert scores != without_pairs(copy).predict(path)[0].scores
    elsewhere = write(tmp_path / "photos", (OTHER, "another"), 3)
    assert main(["train", str(elsewhere), "--out", str(tmp_path / "out"), "--config", str(copy)]) == 2
    assert "--pair names 'old'" in capsys.readouterr().err


def test_the_old_spelling_of_the_flag_still_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], near: Path
) -> None:
    arguments = ["train", str(near), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--contrast", "old", "neu"]) == 2
    assert "--pair names 'neu'" in capsys.readouterr().err
    (tmp_path / "old.toml").write_text('contrast = [["old", "neu"]]\n')
    assert main([*arguments, "--config", str(tmp_path / "old.toml")]) == 2
    assert "--pair names 'neu'" in capsys.readouterr().err
    assert main([*arguments, "--contrast", "old"]) == 2
    assert "--contrast takes exactly 2 values" in capsys.readouterr().err
    assert TrainSettings(contrast=(("old", "new"),)) == TrainSettings(pair=(("old", "new"),))
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--pair" in shown
    assert "--contrast" not in shown


def test_drawings_that_do_not_differ_get_no_expert(near: Path, tmp_path: Path, train_settings: TrainSettings) -> None:
    """The same photos under two names at random: nothing can be learned, and nothing must be claimed."""
    rows = (near / "photos.csv").read_text().splitlines()
    old = [row for row in rows if ",old," in row]
    made = [rows[0]]
    for number, row in enumerate(old):
        made.append(str(near) + "/" + row.replace(",old,", ",a," if number % 2 else ",b,"))
    for number in range(40, 50):
        image, box = photo("old", number)
        image.save(tmp_path / f"{number}.jpg", quality=88)
        made.append(",".join([str(tmp_path / f"{number}.jpg"), "ab"[number % 2], *map(str, box)]))
    (tmp_path / "photos.csv").write_text("\n".join(made) + "\n")
    settings = dataclasses.replace(train_settings, test=0.0, matcher="off", pair=(("a", "b"),))
    result = train(tmp_path / "photos.csv", tmp_path / "bundle", settings)
    (fact,) = result.manifest["pairs"]
    assert fact["used"] is False
    assert "not used" in fact["reason"]
    assert not list((tmp_path / "bundle").glob("pair-*"))


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ((("old", "old"),), "twice"),
        ((("old", "none"),), "stands for all that shows no logo"),
        ((("old", "new"), ("new", "old")), "more than once"),
        ((("old",),), "exactly two labels"),
        ((("old", "new", "newer"),), "exactly two labels"),
        (("old",), "exactly two labels"),
    ],
)
def test_what_is_no_pair_is_refused(pairs: tuple[tuple[str, str], ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        TrainSettings(pair=pairs)


@pytest.mark.parametrize(("more", "told"), [({"views": "whole"}, "whole"), ({"finetune": "all"}, "finetune")])
def test_what_cannot_go_with_it_is_refused(more: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        TrainSettings(pair=(("old", "new"),), **more)  # type: ignore[arg-type]


def test_labels_that_are_not_there_and_too_few_photos_are_refused_before_any_work(
    near: Path, tmp_path: Path, train_settings: TrainSettings
) -> None:
    settings = dataclasses.replace(train_settings, pair=(("old", "neu"),))
    with pytest.raises(UsageError, match=r"'neu'.*new, old, other"):
        train(near / "photos.csv", tmp_path / "out", settings)
    few = write(tmp_path / "few", ("old", "new"), 7)
    settings = dataclasses.replace(train_settings, test=0.0, pair=(("old", "new"),))
    with pytest.raises(DataError, match=r"7 photos.* 8 of each are needed"):
        train(few, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--pair", "old"], "requires 2 arguments"),
        (["--pair", "old", "new", "newer"], "unexpected extra argument"),
        (["--pair", "old", "none"], "Name two labels of logos"),
    ],
)
def test_wrong_words_end_with_what_to_do(
    near: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["train", str(near), "--out", str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    if "none" not in arguments:
        assert "--pair takes exactly 2 values" in said
    assert not (tmp_path / "out").exists()


def test_a_drawing_is_the_same_once_it_lies_flat() -> None:
    drawing = emblem("old").convert("L")
    straight = np.array([[240 / SIDE, 0.0, 0.0], [0.0, 240 / SIDE, 0.0]])
    scene = Image.new("L", (500, 400), 128)
    scene.paste(drawing.resize((300, 240)).rotate(20, Image.Resampling.BICUBIC, expand=True, fillcolor=128), (60, 10))
    turn = np.deg2rad(20)
    wide, high = 300 / SIDE, 240 / SIDE
    middle = np.array([60, 10]) + np.array(Image.new("L", (300, 240)).rotate(20, expand=True).size) / 2
    linear = np.array([[np.cos(turn) * wide, np.sin(turn) * high], [-np.sin(turn) * wide, np.cos(turn) * high]])
    motion = np.concatenate([linear, (middle - linear @ [SIDE / 2, SIDE / 2])[:, None]], axis=1)
    one, other = cells(flat(drawing, straight)), cells(flat(scene, motion))
    unlike = cells(flat(emblem(OTHER).convert("L"), straight))
    assert one.shape == (WIDTH,)

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    assert alike(one, other) > 0.93
    assert alike(one, other) > alike(one, unlike) + 0.15
    assert alike(one, cells(255 - flat(drawing, straight))) > 0.999
    beyond = flat(drawing, straight + np.array([[0, 0, 5000.0], [0, 0, -5000.0]]))
    assert np.isfinite(cells(beyond)).all()


def test_references_are_laid_over_one_another_and_strangers_are_not() -> None:
    rng = np.random.default_rng(0)
    truth = {
        number: np.array([[1.0 + 0.1 * number, 0.05, 10.0 * number], [-0.05, 1.2, 5.0], [0, 0, 1]])
        for number in range(5)
    }
    motions = {}
    for one in range(4):
        for other in range(4):
            if one != other:
                way = truth[other] @ np.linalg.inv(truth[one])
                way[:2, 2] += rng.normal(0, 0.3, 2)
                motions[(one, other)] = (20, way)
    ties = Ties(motions, np.tile([0.0, 0.0, 100.0, 80.0], (5, 1)))
    frame = frame_of(ties, range(5))
    assert frame is not None
    assert [frame.holds(number) for number in range(5)] == [True] * 4 + [False]
    corner = np.array([30.0, 60.0, 1.0])
    spots = {number: frame.back[number] @ corner for number in range(4)}
    for number in range(1, 4):
        expected = (truth[number] @ np.linalg.inv(truth[0]) @ [*spots[0], 1.0])[:2]
        assert np.abs(spots[number] - expected).max() < 1.5
    assert frame_of(ties, {0, 4}) is None


def test_only_opinions_that_know_something_are_weighed_and_none_against_itself() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(60) < 0.5
    sign = np.where(truth, 1.0, -1.0)
    table = np.stack([0.1 * rng.normal(size=60), -sign, sign + 0.3 * rng.normal(size=60)], axis=1)
    weights = weigh(table, truth)
    assert (weights >= 0).all()
    assert weights[1] == 0
    assert weights[2] > 1
    odds = table @ weights
    assert right(odds, truth) > 0.95
    assert losses(odds, truth).mean() < 0.3
    # The classes are separable, and still the weights are finite.
    assert np.isfinite(weigh(1000 * table[:, 2:], truth)).all()


def test_a_difference_needs_both_drawings() -> None:
    row = np.ones((1, WIDTH), np.float32)
    assert difference([(row, True), (row, True), (row, False)]) is None
    assert difference([]) is None
    found = difference([(row, True), (row * 0.9, True), (-row, False), (-0.9 * row, False)])
    assert found is not None
    assert found.score(row) > 0.5 > -0.5 > found.score(-row)
    assert found.score(row[:0]) == 0.0
    assert found.by_cell(row).sum() == pytest.approx(found.score(row), rel=1e-4)


def test_a_division_keeps_the_sum_and_where_geometry_is_silent_the_stack_is_heard() -> None:
    labels = np.array([0.3, 0.5, 0.2])
    assert divide(labels, 0, 1, 3.0).sum() == pytest.approx(1.0)
    assert divide(labels, 0, 1, 3.0)[2] == 0.2
    assert divide(labels, 0, 1, log_odds(labels, 0, 1)) == pytest.approx(labels)
    assert in_doubt(labels, 0, 1, 1.0)
    assert not in_doubt(labels, 0, 1, 0.001)
    pair = Pair(("a", "b"), None, None, None, (0.0, 5.0, 5.0))
    assert pair.odds(1.5, Sighting(0.0, 0.0, 0)) == 1.5
    assert pair.odds(1.5, Sighting(-0.5, 0.0, 0)) == -2.5
    experts = PairwiseExperts((pair,), ("a", "b", "c"))
    probabilities = np.array([0.9, 0.6, 0.1])
    assert experts.ordered(probabilities, np.array([0.1, 0.8, 0.1])).tolist() == [0.6, 0.9, 0.1]
    assert experts.ordered(probabilities, np.array([0.8, 0.1, 0.1])).tolist() == [0.9, 0.6, 0.1]


@pytest.mark.slow
def test_on_real_photos_it_costs_nothing(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "oldnew"
    if not folder.is_dir():
        pytest.skip(f"needs the photos in {folder}")
    result = train(folder, tmp_path / "bundle", TrainSettings(pair=(("old", "new"),)))
    (fact,) = result.manifest["pairs"]
    assert fact["photos"] >= 40
    assert not fact["used"] or fact["gained"] > fact["error"]
    assert result.evaluation is not None
    assert (result.evaluation.top1 or 0) >= 0.85
