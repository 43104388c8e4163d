"""`retrain`: the classic retraining script's command line, and what each of its flags promises."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import needs_training
from PIL import Image

from logolens.cli import main
from logolens.config import RetrainSettings
from logolens.data import load
from logolens.errors import DataError, UsageError, WeightsError
from logolens.inference.classifier import Classifier
from logolens.io.views import View
from logolens.models.features import FeatureCache
from logolens.models.head import Examples
from logolens.models.session import Session
from logolens.recipes.retrain import retrain
from logolens.recipes.retrain.architecture_flag import ready_network, requested_network
from logolens.recipes.retrain.distort import COPIES, Distortion, distortions
from logolens.recipes.retrain.graph_file import load_graph
from logolens.recipes.retrain.sgd import Regression, batches
from logolens.training.summaries import run_folder, summary_writer

NETWORK = "efficientnet_lite0"


@pytest.fixture(autouse=True)
def quiet_logger() -> Iterator[None]:
    """The command sets the logger up for its process; here it goes back to what it was."""
    logger = logging.getLogger("logolens")
    before = (logger.handlers, logger.propagate, logger.level)
    yield
    logger.handlers, logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, make_photos: Callable[..., Path]) -> Path:
    """Three labels with names as people write them, in five formats, one file broken."""
    needs_training()
    folder = make_photos(tmp_path_factory.mktemp("retrain") / "images", count=12)
    (folder / "acme").rename(folder / "Acme Co")
    for position, suffix in enumerate(("gif", "bmp", "webp")):
        photo = folder / "bolt" / f"bolt-{3 * position}.png"
        with Image.open(photo) as image:
            image.save(photo.with_suffix(f".{suffix}"))
        photo.unlink()
    (folder / "crest" / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    return folder


def settings(images: Path, work: Path, **more: Any) -> RetrainSettings:
    given: dict[str, Any] = {
        "image_dir": str(images),
        "output_graph": str(work / "graph.pb"),
        "output_labels": str(work / "labels.txt"),
        "summaries_dir": str(work / "summaries"),
        "intermediate_output_graphs_dir": str(work / "intermediate"),
        "architecture": NETWORK,
        "how_many_training_steps": 60,
    }
    return RetrainSettings(**{**given, **more})


@pytest.fixture(scope="module")
def ran(images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The classic command line in a folder and a process of its own: the folder, and what was logged."""
    work = tmp_path_factory.mktemp("post")
    shutil.copytree(images, work / "images")
    command = [sys.executable, "-m", "logolens.retrain"]
    command += "--bottleneck_dir=dist/bottlenecks --how_many_training_steps=500 --model_dir=dist/models".split()  # noqa: SIM905
    command += ["--summaries_dir=dist/summaries", "--output_graph=dist/retrained_graph.pb"]
    command += ["--output_labels=dist/retrained_labels.txt", f"--architecture={NETWORK}", "--image_dir=images"]
    command += ["--learning_rate", "0.005", "--test_batch_size", "-1", "--print_misclassified_test_images"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stdout
    return work, done.stderr


def test_the_classic_command_line_leaves_what_it_names(ran: tuple[Path, str]) -> None:
    work, _ = ran
    files = {path.relative_to(work / "dist").as_posix() for path in (work / "dist").rglob("*") if path.is_file()}
    events = {name for name in files if "tfevents" in name}
    assert files - events == {
        "bottlenecks/features.sqlite",
        "models/efficientnet-lite0-57934424.pth",
        "retrained_graph.pb",
        "retrained_labels.txt",
    }
    assert {name.rsplit("/", 1)[0] for name in events} == {"summaries/train", "summaries/validation"}


def test_the_log_reads_as_the_classic_one(ran: tuple[Path, str]) -> None:
    _, log = ran
    steps = [int(step) for step in re.findall(r"Step (\d+): Train accuracy = \d+\.\d%", log)]
    assert steps == [*range(0, 500, 10), 499]
    assert [int(step) for step in re.findall(r"Step (\d+): Cross entropy = \d+\.\d{6}$", log, re.MULTILINE)] == steps
    assert len(re.findall(r"Step \d+: Validation accuracy = \d+\.\d% \(N=3\)", log)) == len(steps)
    assert re.search(r"Final test accuracy = \d+\.\d% \(N=3\)", log)
    assert "=== MISCLASSIFIED TEST IMAGES ===" in log
    assert "ONNX model whatever its suffix" in log
    assert re.search(r"WARNING: Files that cannot be read as images, left out: 1\. \(crest/broken\.jpg", log)
    assert "36 images of 3 labels: Acme Co 12, bolt 12, crest 12" in log


def test_labels_keep_their_case_and_are_sorted(ran: tuple[Path, str]) -> None:
    work, _ = ran
    assert (work / "dist/retrained_labels.txt").read_bytes() == b"Acme Co\nbolt\ncrest\n"
    assert load_graph(work / "dist/retrained_graph.pb").labels == ("Acme Co", "bolt", "crest")


def test_the_graph_is_whole_and_answers_rightly(ran: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    import onnxruntime

    work, _ = ran
    path = work / "dist/retrained_graph.pb"
    session: Any = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["image"]
    assert [entry.name for entry in session.get_outputs()] == ["final_result"]
    (scores,) = session.run(None, {"image": np.zeros((2, 224, 224, 3), np.uint8)})
    assert scores.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    arguments = ["--graph", str(path), "--labels", str(work / "dist/retrained_labels.txt")]
    right = 0
    for label in ("Acme Co", "bolt", "crest"):
        assert main(["classify", *arguments, "--image", str(work / "images" / label)]) == (label == "crest")
        best = re.findall(r"s\n\n(.+) \(score=", capsys.readouterr().out)
        right += best.count(label)
    assert right >= 33


def test_event_files_hold_accuracy_and_cross_entropy(ran: tuple[Path, str]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    work, log = ran
    for part, count in (("train", 500), ("validation", 51)):
        events = EventAccumulator(str(work / "dist/summaries" / part))
        events.Reload()
        assert set(events.Tags()["scalars"]) == {"accuracy", "cross_entropy"}
        accuracy, entropy = events.Scalars("accuracy"), events.Scalars("cross_entropy")
        assert len(accuracy) == len(entropy) == count
        assert accuracy[-1].step == 499
        assert all(0 <= event.value <= 1 for event in accuracy)
        if part == "train":
            assert entropy[0].value == pytest.approx(np.log(3), rel=1e-4)
            assert entropy[-1].value < 0.2
        else:
            told = re.findall(r"Step (\d+): Validation accuracy = ([\d.]+)%", log)
            assert [(event.step, f"{event.value * 100:.1f}") for event in accuracy] == [
                (int(step), value) for step, value in told
            ]


def test_an_earlier_runs_files_are_replaced_and_summaries_are_kept(images: Path, tmp_path: Path) -> None:
    (tmp_path / "summaries").mkdir()
    (tmp_path / "summaries" / "mine.txt").write_text("keep me")
    first = retrain(settings(images, tmp_path))
    before = first.graph.read_bytes()
    second = retrain(settings(images, tmp_path, how_many_training_steps=61))
    assert second.graph.read_bytes() != before
    assert first.summaries == tmp_path / "summaries"
    assert second.summaries == tmp_path / "summaries" / "run-2"
    assert len(list(tmp_path.glob("summaries/train/*"))) == 1
    assert len(list(tmp_path.glob("summaries/run-2/validation/*"))) == 1
    assert (tmp_path / "summaries" / "mine.txt").read_text() == "keep me"
    third = retrain(settings(images, tmp_path))
    assert third.graph.read_bytes() == before, "the same settings and photos give the same bytes"


def test_files_of_others_are_refused_until_forced(
    images: Path, tmp_path: Path, small_network: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, labels = tmp_path / "graph.pb", tmp_path / "labels.txt"
    for foreign in (b"my thesis", small_network):
        graph.write_bytes(foreign)
        with pytest.raises(UsageError, match=r"graph\.pb is there and no earlier retrain wrote it"):
            retrain(settings(images, tmp_path))
        assert graph.read_bytes() == foreign
    graph.unlink()
    labels.write_text("shopping list\n")
    with pytest.raises(UsageError, match=r"labels\.txt is there and is not the labels file of the graph"):
        retrain(settings(images, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["labels.txt"]
    retrain(settings(images, tmp_path), force=True)
    assert labels.read_text() == "Acme Co\nbolt\ncrest\n"
    labels.write_text("edited by hand\n")
    with pytest.raises(UsageError, match="--force"):
        retrain(settings(images, tmp_path))
    (tmp_path / "intermediate").mkdir()
    (tmp_path / "intermediate" / "intermediate_20.pb").write_text("mine")
    labels.unlink()
    with pytest.raises(UsageError, match="intermediate_20"):
        retrain(settings(images, tmp_path, intermediate_store_frequency=20))


def without_tensorflow(patch: pytest.MonkeyPatch) -> None:
    """As on a machine where TensorFlow is not installed."""
    patch.setattr("logolens.recipes.retrain.classic.has_tensorflow", lambda: False)
    patch.setattr("logolens.recipes.retrain.outputs.has_tensorflow", lambda: False)


def test_intermediate_graphs_checkpoint_and_bundle(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file

    without_tensorflow(monkeypatch)
    given = settings(
        images,
        tmp_path,
        intermediate_store_frequency=20,
        saved_model_dir=str(tmp_path / "bundle"),
        checkpoint_path=str(tmp_path / "checkpoint"),
        final_tensor_name="answer",
    )
    retrain(given)
    steps = sorted(path.name for path in (tmp_path / "intermediate").iterdir())
    assert steps == ["intermediate_20.pb", "intermediate_40.pb"]
    assert load_graph(tmp_path / "intermediate" / "intermediate_40.pb").output == "answer"
    assert load_graph(tmp_path / "graph.pb").output == "answer"
    assert load_file(tmp_path / "checkpoint.safetensors")["layers.0.weight"].shape[0] == 3
    classifier = Classifier.load(tmp_path / "bundle")
    assert classifier.labels == ("Acme Co", "bolt", "crest")
    photos = sorted((images / "Acme Co").iterdir())
    graph = Session((tmp_path / "graph.pb"), classifier.bundle.preprocessing)
    from logolens.io.views import WHOLE, cut

    for photo, prediction in zip(photos, classifier.predict(photos), strict=True):
        square = cut(photo.read_bytes(), (WHOLE,), classifier.bundle.preprocessing)[0]
        scores = graph.run(square[None])[0][0]
        assert [prediction.scores[label] for label in classifier.labels] == pytest.approx(scores.tolist(), abs=1e-5)
    retrain(given)  # a bundle of an earlier run is replaced
    (tmp_path / "bundle" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        retrain(given)


def test_a_bundle_with_a_background_keeps_it_last(
    tmp_path: Path,
    make_photos: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs_training()
    without_tensorflow(monkeypatch)
    photos = make_photos(tmp_path / "images", labels=("acme", "zebra"), count=10, none=12)
    given = settings(photos, tmp_path, saved_model_dir=str(tmp_path / "bundle"), validation_percentage=25)
    result = retrain(given)
    assert result.labels == ("acme", "none", "zebra")
    assert (tmp_path / "bundle" / "labels.txt").read_text() == "acme\nzebra\nnone\n"
    for command in (["evaluate", str(tmp_path / "bundle"), str(photos)], ["summary", str(tmp_path / "bundle")]):
        assert main(command) == 0
    assert "than the 12 without" in capsys.readouterr().out
    answers = Classifier.load(tmp_path / "bundle").predict(sorted((photos / "acme").iterdir()))
    assert sum(answer.label == "acme" for answer in answers) >= 7


def test_a_saved_model_is_written_where_tensorflow_is(images: Path, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    given = settings(images, tmp_path, saved_model_dir=str(tmp_path / "saved" / "1"))
    retrain(given)
    serve = tf.saved_model.load(str(tmp_path / "saved" / "1")).signatures["serving_default"]
    black = np.zeros((1, 224, 224, 3), np.uint8)
    scores = serve(image=tf.constant(black))["probabilities"].numpy()
    graph = Session(tmp_path / "graph.pb", load_graph(tmp_path / "graph.pb").preprocessing)
    assert scores == pytest.approx(graph.run(black)[0], abs=1e-4)
    with pytest.raises(UsageError, match="saved_model_dir"):
        retrain(given)


def test_bottlenecks_are_reused_and_never_stale(images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    work = shutil.copytree(images, tmp_path / "images")
    given = settings(work, tmp_path, bottleneck_dir=str(tmp_path / "bottlenecks"))
    caplog.set_level(logging.INFO, "logolens")
    retrain(given)

    def kept() -> int:
        with FeatureCache(tmp_path / "bottlenecks" / "features.sqlite") as cache:
            return cache.state().features

    assert kept() == 36
    before = (tmp_path / "graph.pb").read_bytes()
    retrain(given)
    assert kept() == 36
    # The classic script would answer from the old bottleneck: the name is the same.
    shutil.copy(work / "Acme Co" / "acme-1.jpg", work / "bolt" / "bolt-1.jpg")
    with Image.open(work / "crest" / "crest-1.jpg") as image:
        image.transpose(Image.Transpose.ROTATE_180).save(work / "crest" / "crest-1.jpg")
    retrain(given)
    assert kept() == 37
    assert (tmp_path / "graph.pb").read_bytes() != before


def test_model_dir_is_filled_looked_into_and_verified(images: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    given = settings(images, tmp_path, model_dir=str(models))
    retrain(given)
    (weights,) = models.iterdir()
    found = ready_network(NETWORK, None, models)
    assert found.origin == f"the file {weights.name} given by the user"
    with weights.open("r+b") as file:
        file.seek(5000)
        file.write(b"bad")
    with pytest.raises(WeightsError, match="damaged or altered"):
        retrain(given)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="model_dir"):
        retrain(settings(images, tmp_path, model_dir=str(tmp_path / "file")))


def test_percentages_and_batches_are_kept(images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "logolens")
    more = {"testing_percentage": 25, "validation_percentage": 33, "test_batch_size": 5, "validation_batch_size": 7}
    result = retrain(settings(images, tmp_path, train_batch_size=-1, eval_step_interval=30, **more))
    assert "15 to train on, 12 for validation, 9 for the test" in caplog.text
    assert result.tested == 5
    assert re.findall(r"Step (\d+): Validation accuracy = .*\(N=7\)", caplog.text) == ["0", "30", "59"]
    caplog.clear()
    result = retrain(settings(images, tmp_path, testing_percentage=0, validation_percentage=0))
    assert result.test_accuracy is None
    assert result.validation_accuracy is None
    assert "No test" in caplog.text
    assert "Validation accuracy" not in caplog.text


def test_misclassified_test_images_are_listed(tmp_path: Path, make_photos: Callable[..., Path], images: Path) -> None:
    work = shutil.copytree(images, tmp_path / "images")
    # Photos of one logo under two labels, by halves: some of the test must come out wrong.
    for number, photo in enumerate(sorted((work / "bolt").iterdir())):
        if number % 2:
            photo.rename(work / "crest" / photo.name)
    result = retrain(settings(work, tmp_path, testing_percentage=40))
    assert result.test_accuracy is not None
    assert result.test_accuracy < 1
    assert len(result.misclassified) == round(result.tested * (1 - result.test_accuracy))
    assert all(path.is_file() and answer in result.labels for path, answer in result.misclassified)
    assert all(path.parent.name != answer for path, answer in result.misclassified)


def test_distortions_change_training_alone_and_are_repeatable(images: Path, tmp_path: Path) -> None:
    cache = {"bottleneck_dir": str(tmp_path / "bottlenecks")}
    more = {"flip_left_right": True, "random_crop": 20, "random_scale": 10, "random_brightness": 15}
    first = retrain(settings(images, tmp_path, **cache, **more)).graph.read_bytes()

    def kept() -> int:
        with FeatureCache(tmp_path / "bottlenecks" / "features.sqlite") as features:
            return features.state().features

    assert kept() == 30 * COPIES + 6
    assert retrain(settings(images, tmp_path, **cache, **more)).graph.read_bytes() == first
    assert kept() == 30 * COPIES + 6
    assert retrain(settings(images, tmp_path, **cache)).graph.read_bytes() != first
    assert kept() == 30 * COPIES + 36


def test_distortions_mean_what_the_flags_say() -> None:
    photo = "a1b2c3d4e5f60718" * 4
    plain = RetrainSettings()
    assert distortions(photo, plain) == [Distortion(View(), False, 1.0)] * COPIES
    flipped = distortions(photo, replace(plain, flip_left_right=True))
    assert sum(copy.flip for copy in flipped) == COPIES / 2
    cropped = distortions(photo, replace(plain, random_crop=25), 50)
    boxes = np.array([copy.view.box for copy in cropped])
    assert boxes[:, 2] - boxes[:, 0] == pytest.approx(0.8)
    assert boxes[:, 3] - boxes[:, 1] == pytest.approx(0.8)
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert len({copy.view.key for copy in cropped}) == 50
    scaled = np.array([copy.view.box for copy in distortions(photo, replace(plain, random_scale=100), 50)])
    sides = scaled[:, 2] - scaled[:, 0]
    assert 0.5 <= sides.min() < 0.6
    assert 0.9 < sides.max() <= 1
    light = [copy.brightness for copy in distortions(photo, replace(plain, random_brightness=30), 50)]
    assert 0.7 <= min(light) < 0.8
    assert 1.2 < max(light) <= 1.3
    assert distortions(photo, replace(plain, random_crop=25), 50) == cropped
    assert distortions(photo, replace(plain, random_crop=25, seed=1), 50) != cropped
    assert distortions("ffff" * 16, replace(plain, random_crop=25), 50) != cropped


def test_a_distortion_is_applied_to_the_pixels(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 32), (200, 100, 0))
    image.paste((0, 0, 0), (0, 0, 32, 32))
    image.save(tmp_path / "photo.png")
    data = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "out.ppm").write_bytes(Distortion(View(), True, 1.5).apply(data, 32))
    with Image.open(tmp_path / "out.ppm") as done:
        assert done.size == (64, 32)
        assert done.getpixel((5, 5)) == (255, 150, 0)
        assert done.getpixel((60, 5)) == (0, 0, 0)


def test_gradient_descent_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    features = random.normal(3, 2, (40, 7)).astype(np.float32)
    truth = random.integers(0, 3, 40)
    model = Regression(Examples(features, truth, np.ones(40, np.float32)), 3, 0.5)
    spread = features.std(axis=0)
    x = torch.from_numpy((features - features.mean(axis=0)) / (spread + 1e-3 * spread.mean() + 1e-6))
    layer = torch.nn.Linear(7, 3)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.5)
    for rows in (random.integers(0, 40, 10) for _ in range(50)):
        _, loss = model.step(rows)
        optimiser.zero_grad()
        wanted = torch.nn.functional.cross_entropy(layer(x[rows]), torch.from_numpy(truth[rows]))
        wanted.backward()
        optimiser.step()
        assert loss == pytest.approx(float(wanted.detach()), rel=1e-4)
    logits = layer(x).detach().numpy()
    assert model.head().logits(features) == pytest.approx(logits, abs=1e-3)
    accuracy, loss = model.measure(np.arange(40))
    assert accuracy == (logits.argmax(axis=1) == truth).mean()
    assert model.judge(Examples(features, truth, np.ones(40, np.float32))) == pytest.approx((accuracy, loss))


def test_batches_draw_every_label_alike() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    draws = batches(truth, 1000, 0)
    rows = next(draws)
    assert truth[rows].mean() == pytest.approx(0.5, abs=0.06)
    assert set(rows) == set(range(100))
    assert not np.array_equal(rows, next(draws))
    assert np.array_equal(rows, next(batches(truth, 1000, 0)))
    assert np.array_equal(next(batches(truth, -1, 0)), np.arange(100))


def test_scores_are_calibrated_where_training_is_too_sure(tmp_path: Path, images: Path) -> None:
    assert retrain(settings(images, tmp_path)).temperature > 0
    work = shutil.copytree(images, tmp_path / "mixed")
    # Labels without meaning: the layer learns them by heart, and its scores must admit that they are worth nothing.
    pool = sorted(path for path in work.rglob("*.*") if path.stem != "broken")
    for number, photo in enumerate(pool):
        photo.rename(work / ("bolt", "crest")[number * 7 % 5 % 2] / f"{number}-{photo.name}")
    shutil.rmtree(work / "Acme Co")
    result = retrain(settings(work, tmp_path / "second", how_many_training_steps=300))
    assert result.temperature > 2


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://tfhub.dev/google/imagenet/inception_v3/feature_vector/1", ("inception_v3", None)),
        ("https://tfhub.dev/google/imagenet/mobilenet_v1_050_160/feature_vector/4", ("mobilenet_0.50_160", 160)),
        ("https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/classification/2", ("mobilenet_v2", 224)),
        ("https://tfhub.dev/google/imagenet/resnet_v1_50/feature_vector/1", ("resnet50", None)),
    ],
)
def test_a_hub_address_names_the_network(address: str, found: tuple[str, int | None]) -> None:
    assert requested_network(RetrainSettings(tfhub_module=address)) == found


def test_the_network_is_the_classic_one_unless_named() -> None:
    assert requested_network(RetrainSettings()) == ("inception_v3", None)
    assert requested_network(RetrainSettings(architecture="mobilenet_0.50_224")) == ("mobilenet_0.50_224", 224)


def test_weights_that_cannot_be_had_end_the_run_with_an_offer(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "retrain",
        f"--image_dir={images}",
        f"--output_graph={tmp_path}/g.pb",
        f"--output_labels={tmp_path}/l.txt",
    ]
    command += [f"--summaries_dir={tmp_path}/logs"]
    for network in ([], ["--architecture=mobilenet_0.50_224"]):
        assert main([*command, *network]) == 1
        err = capsys.readouterr().err
        assert "LOGOLENS_OFFLINE is set" in err
        assert "--architecture=mobilenet_v2_224" in err
        assert "--model_dir" in err
        assert "--weights" not in err
        assert not list(tmp_path.iterdir())


def test_a_flag_that_is_nearly_right_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrain", "--how_many_trainin_steps=5"]) == 2
    assert "--how_many_training_steps" in capsys.readouterr().err
    assert main(["retrain", "--logging_verbosity=LOUD"]) == 2
    assert "DEBUG" in capsys.readouterr().err
    assert main(["retrain", "--how_many_training_steps=many"]) == 2
    assert "--how_many_training_steps" in capsys.readouterr().err


def test_help_lists_every_classic_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrain", "--help"]) == 0
    text = capsys.readouterr().out
    assert [spec.name for spec in fields(RetrainSettings) if f"--{spec.name}" not in text] == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"testing_percentage": 60, "validation_percentage": 40}, "leave nothing to train on"),
        ({"testing_percentage": -1}, "testing_percentage is -1; it must be from 0 to 90"),
        ({"train_batch_size": 0}, "train_batch_size is 0"),
        ({"validation_batch_size": -2}, "validation_batch_size is -2; it must be at least -1"),
        ({"how_many_training_steps": 0}, "how_many_training_steps is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"logging_verbosity": "LOUD"}, "choose one of"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        RetrainSettings(**given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"image_dir": ""}, "give their folder with --image_dir"),
        ({"architecture": "mobilenet_0.60_224"}, "width one of 1.0, 0.75, 0.50, 0.25"),
        ({"architecture": "mobilenet_0.50_224_quantized"}, "simulated quantization"),
        ({"tfhub_module": "https://tfhub.dev/google/bert/1"}, "names no network that is known here"),
        ({"tfhub_module": "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/1"}, "name two networks"),
        ({"tfhub_module": ".../mobilenet_v1_100_224/quantops/feature_vector/1"}, "leave /quantops out"),
        ({"final_tensor_name": "final result"}, "final_tensor_name is 'final result'"),
        ({"final_tensor_name": "logits"}, "a name that the network uses inside"),
        ({"output_graph": ""}, "output_graph is empty"),
        ({"learning_rate": 1e38}, "diverged; give a learning_rate smaller"),
    ],
)
def test_what_cannot_work_is_told_and_nothing_is_written(
    images: Path, tmp_path: Path, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        retrain(settings(images, tmp_path, **given))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "tfevents" not in path.name]


def test_places_that_cannot_be_written_to_are_told(images: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a folder"):
        retrain(settings(images, tmp_path, output_graph=str(tmp_path)))
    with pytest.raises(UsageError, match="is not a folder that can be written to"):
        retrain(settings(images, tmp_path, output_labels=str(tmp_path / "file" / "labels.txt")))
    with pytest.raises(UsageError, match="bottleneck_dir"):
        retrain(settings(images, tmp_path, bottleneck_dir=str(tmp_path / "file" / "cache")))
    with pytest.raises(UsageError, match="Two of the outputs"):
        retrain(settings(images, tmp_path, output_labels=str(tmp_path / "sub" / ".." / "graph.pb")))
    with pytest.raises(UsageError, match="TensorBoard"):
        retrain(settings(images, tmp_path, summaries_dir=str(tmp_path / "file")))


def test_photos_that_cannot_be_used_are_told(tmp_path: Path, make_photos: Callable[..., Path]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        retrain(settings(tmp_path / "empty", tmp_path))
    with pytest.raises(DataError, match="is not a folder"):
        retrain(settings(tmp_path / "absent", tmp_path))
    with pytest.raises(DataError, match="one label only"):
        retrain(settings(make_photos(tmp_path / "one", labels=("acme",), count=3), tmp_path))
    (tmp_path / "hollow" / "old").mkdir(parents=True)
    with pytest.raises(DataError, match="none of its 1 subfolders holds an image"):
        retrain(settings(tmp_path / "hollow", tmp_path))


def test_each_run_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    assert run_folder(tmp_path / "logs") == tmp_path / "logs"
    for name in ("logs", "logs/run-2"):
        with summary_writer(tmp_path / name / "train") as writer:
            writer.add_scalar("loss", 0.5, 1)
    assert run_folder(tmp_path / "logs") == tmp_path / "logs" / "run-3"


def test_old_and_new_logo_in_half_a_minute(shared_data: Path, tmp_path: Path) -> None:
    needs_training()
    place = settings(shared_data / "oldnew", tmp_path, how_many_training_steps=500, learning_rate=0.005)
    retrain(replace(place, how_many_training_steps=1))  # the backbone is at hand from here on
    start = time.process_time()
    result = retrain(replace(place, bottleneck_dir=str(tmp_path / "bottlenecks")))
    assert (
        time.process_time() - start < 2 * 30
    )  # Of processor time, which other programs do not lengthen, on two cores.
    assert result.labels == ("new", "old")
    dataset = load(shared_data / "oldnew")
    assert result.tested == pytest.approx(0.1 * len(dataset), abs=1)
