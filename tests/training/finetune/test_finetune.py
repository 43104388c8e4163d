"""Fine-tuning from photos to a bundle: trained, measured, exported, taken up after a kill; and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import needs_training

from logolens.config import AugmentSettings, TrainSettings
from logolens.errors import UsageError

FAMILIES = [
    ("resnet18", 64),
    ("mobilenet_v2", 64),
    pytest.param("alexnet", 64, marks=pytest.mark.slow),
    pytest.param("vgg11", 32, marks=pytest.mark.slow),
    pytest.param("timm/mobilenetv3_small_050", 64, marks=pytest.mark.slow),
    pytest.param("googlenet", 64, marks=pytest.mark.slow),
    pytest.param("inception_v3", 96, marks=pytest.mark.slow),
    pytest.param("mobilenet_v1_0.25", 64, marks=pytest.mark.slow),
    pytest.param("timm/vit_tiny_patch16_224", 224, marks=pytest.mark.slow),
]

QUICK = TrainSettings(
    backbone="resnet18",
    size=48,
    val=0.25,
    test=0.2,
    threads=1,  # Two would wait for each other on a busy machine.
    epochs=10,
    finetune="last-1-blocks",
    finetune_epochs=2,
    finetune_batch=16,
    words="off",
)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Random weights of a backbone as a file: enough to see that all runs, and never a promise of accuracy."""
    needs_training()
    folder = tmp_path_factory.mktemp("weights")

    def write(name: str) -> Path:
        from networks import random_backbone
        from safetensors.torch import save_file

        from logolens.models.backbones import find

        path = folder / f"{name.replace('/', '_')}.safetensors"
        if not path.exists():
            state = random_backbone(find(name)).body.state_dict()
            save_file({key: value.contiguous().clone() for key, value in state.items()}, path)
        return path

    return write


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory, make_photos: Any) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"), count=8, none=44, size=(64, 64))


@pytest.fixture(scope="session")
def boxed(tmp_path_factory: pytest.TempPathFactory, make_photos: Any) -> Path:
    """The same as a table with a box in each photo."""
    folder = make_photos(tmp_path_factory.mktemp("boxed"), count=8, size=(96, 96))
    with (folder / "photos.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "x1", "y1", "x2", "y2"])
        for path in sorted(folder.glob("*/*")):
            writer.writerow([path.relative_to(folder), path.parent.name, 30, 30, 60, 62])
    return folder / "photos.csv"


def run(data: Path, out: Path, settings: TrainSettings, **more: Any) -> Any:
    from logolens.training.train import train

    return train(data, out, settings, **more)


def tensors_of(model: Path) -> dict[str, np.ndarray]:
    import onnx

    graph = onnx.load(str(model)).graph
    return {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory, weights: Callable[[str], Path], photos: Path) -> Any:
    """One fine-tuned bundle, with what was told on the way."""
    out = tmp_path_factory.mktemp("tuned") / "bundle"
    told: list[str] = []
    stages: dict[str, int] = {}
    settings = dataclasses.replace(QUICK, weights=weights("resnet18"), finetune="last-2-blocks")
    result = run(
        photos, out, settings, announce=told.append, progress=lambda stage, done, total: stages.update({stage: done})
    )
    return result, told, stages


def test_the_manifest_tells_all(tuned: Any) -> None:
    result, told, stages = tuned
    facts = result.manifest["finetune"]
    assert facts["blocks"] == ["layer4.0", "layer4.1"]
    assert facts["blocks_in_all"] == 9
    assert facts["epochs"] == 2
    assert facts["augment"]["flip"] == 0.0
    assert [row["share"] for row in facts["shares_tried"]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert facts["share_of_finetuned"] in {row["share"] for row in facts["shares_tried"]}
    assert facts["frozen_front_on_onnx_runtime"] is True
    settings = result.manifest["settings"]
    assert settings["finetune"] == "last-2-blocks"
    assert settings["refit"] is False
    # What the audit finds, in two lines; then the time, which is told before the work and stands in the notes after it.
    audited, advised, time = told
    assert audited.startswith("Audit: 3 labels with few photos")
    assert "logolens audit" in advised
    assert "will take about" in time
    assert time in result.notes
    assert facts["estimated_seconds"] > 0
    assert stages["fine-tuning"] == 2 * -(-facts["views_an_epoch"] // 16)


def test_the_share_that_is_kept_is_the_best_on_validation(tuned: Any) -> None:
    facts = tuned[0].manifest["finetune"]
    losses = {row["share"]: row["loss"] for row in facts["shares_tried"]}
    assert losses[facts["share_of_finetuned"]] == min(losses.values())


def test_the_history_goes_on_through_both_stages(tuned: Any) -> None:
    result = tuned[0]
    with (result.bundle / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))
    assert [row["stage"] for row in rows[-3:]] == ["head", "fine-tuning", "fine-tuning"]
    assert all(float(row["val_loss"]) >= 0 for row in rows)
    assert result.manifest["head"]["epochs"] == len(rows)
    assert (result.bundle / "curves.png").stat().st_size > 1000


def test_the_summary_knows_what_is_trainable(tuned: Any) -> None:
    rows = [row for row in tuned[0].manifest["layers"] if row["parameters"]]
    assert {row["name"].split(".")[1] for row in rows if row["trainable"]} == {"layer4"}
    assert (
        sum(row["parameters"] for row in rows if row["trainable"])
        == (tuned[0].manifest["finetune"]["trained_parameters"])
    )


def test_the_bundle_predicts_what_was_measured(tuned: Any, photos: Path) -> None:
    from logolens.inference.classifier import Classifier

    result = tuned[0]
    with (result.bundle / "split.csv").open(newline="") as file:
        tests = [photos / row["path"] for row in csv.DictReader(file) if row["part"] == "test"]
    shows = [path for path in tests if path.parent.name != "none"]
    answers = Classifier.load(result.bundle).predict(shows)
    labels = [max((label for label in one.scores if label != "none"), key=one.scores.__getitem__) for one in answers]
    right = sum(label == path.parent.name for label, path in zip(labels, shows, strict=True))
    assert right / len(shows) == pytest.approx(result.evaluation.top1)


def test_nothing_is_left_beside_the_bundle(tuned: Any) -> None:
    assert [path.name for path in tuned[0].bundle.parent.iterdir()] == ["bundle"]


def test_only_the_last_blocks_moved(tuned: Any, weights: Callable[[str], Path]) -> None:
    from safetensors.numpy import load_file

    if tuned[0].manifest["finetune"]["share_of_finetuned"] == 0.0:
        pytest.skip("the frozen weights were kept, so that nothing moved")
    before = load_file(weights("resnet18"))
    after = tensors_of(tuned[0].bundle / "model.onnx")
    kept = [value for value in after.values() if value.ndim == 4]
    assert not any(np.array_equal(before["layer4.1.conv2.weight"], value) for value in kept)


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_each_family_is_fine_tuned(
    name: str, size: int, weights: Callable[[str], Path], boxed: Path, tmp_path: Path
) -> None:
    settings = dataclasses.replace(
        QUICK, backbone=name, size=size, weights=weights(name), finetune_epochs=1, pooling="rich"
    )
    result = run(boxed, tmp_path / "bundle", settings)
    facts = result.manifest["finetune"]
    assert len(facts["blocks"]) == 1
    assert 0 < facts["trained_parameters"] < result.manifest["backbone"]["parameters"]
    assert result.evaluation is not None


@pytest.mark.parametrize("more", [{"pooling": "avg", "head": "mlp"}, {"freeze_statistics": False}])
def test_all_of_a_network(more: dict[str, Any], weights: Callable[[str], Path], photos: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(
        QUICK, backbone="mobilenet_v2", weights=weights("mobilenet_v2"), finetune="all", finetune_epochs=1, **more
    )
    result = run(photos, tmp_path / "bundle", settings)
    facts = result.manifest["finetune"]
    assert facts["trained_parameters"] == result.manifest["backbone"]["parameters"]
    assert facts["frozen_front_on_onnx_runtime"] is False


def test_without_validation_photos_the_last_epoch_is_kept(
    weights: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    result = run(photos, tmp_path / "bundle", dataclasses.replace(QUICK, weights=weights("resnet18"), val=0.0))
    facts = result.manifest["finetune"]
    assert facts["best_epoch"] == 2
    assert facts["share_of_finetuned"] == 1.0
    assert facts["shares_tried"] == []


def test_a_budget_of_minutes_decides_the_epochs(weights: Callable[[str], Path], photos: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, weights=weights("resnet18"), finetune_minutes=0.01, finetune_epochs=500)
    facts = run(photos, tmp_path / "bundle", settings).manifest["finetune"]
    assert 1 <= facts["epochs"] < 500


SCRIPT = """
import json, sys
from pathlib import Path
from logolens.config import TrainSettings
from logolens.training.train import train
values = json.loads(sys.argv[3])
values["weights"] = Path(values["weights"])
train(sys.argv[1], sys.argv[2], TrainSettings(**values))
"""


def test_a_killed_run_goes_on_to_the_same_result(weights: Callable[[str], Path], photos: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, weights=weights("resnet18"), finetune_epochs=4, head="mlp")
    whole = run(photos, tmp_path / "whole", settings)

    values = {**dataclasses.asdict(settings), "weights": str(settings.weights)}
    command = [sys.executable, "-c", SCRIPT, str(photos), str(tmp_path / "killed"), json.dumps(values)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    state = tmp_path / ".killed.checkpoint" / "state.json"
    deadline = time.monotonic() + 600
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    _, said = process.communicate()
    assert state.exists(), said.decode()
    assert not (tmp_path / "killed").exists()
    reached = json.loads(state.read_text())["facts"]["epoch"]

    told: list[str] = []
    again = run(photos, tmp_path / "killed", settings, announce=told.append)
    _, _, resumed = told
    assert resumed.startswith(f"Fine-tuning goes on after epoch {reached} of 4")
    assert again.manifest["finetune"]["resumed_after_epoch"] == reached
    assert not state.parent.exists()
    one, two = (tensors_of(result.bundle / "model.onnx") for result in (whole, again))
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-6, err_msg=name)
    assert (whole.bundle / "history.csv").read_text() == (again.bundle / "history.csv").read_text()


@pytest.fixture
def halfway(weights: Callable[[str], Path], photos: Path, tmp_path: Path) -> tuple[Path, TrainSettings]:
    """A bundle's name with a checkpoint beside it, as a run leaves it that stops in the middle."""
    settings = dataclasses.replace(QUICK, weights=weights("resnet18"))

    class Stop(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "fine-tuning" and done == total:
            raise Stop

    with pytest.raises(Stop):
        run(photos, tmp_path / "bundle", settings, progress=stop)
    assert (tmp_path / ".bundle.checkpoint" / "state.json").exists()
    return tmp_path / "bundle", settings


def test_a_checkpoint_of_another_run_is_refused_or_set_aside(
    halfway: tuple[Path, TrainSettings], photos: Path, boxed: Path, weights: Callable[[str], Path]
) -> None:
    out, settings = halfway
    other = {
        "finetune_rate": dataclasses.replace(settings, finetune_rate=1e-3),
        "backbone": dataclasses.replace(settings, backbone="mobilenet_v2", weights=weights("mobilenet_v2")),
    }
    for name, changed in other.items():
        with pytest.raises(UsageError, match=rf"checkpoint of another run.*{name}.*--restart") as caught:
            run(photos, out, changed)
        assert str(out.parent) in str(caught.value)
    with pytest.raises(UsageError, match=r"checkpoint of another run.*data.*--restart"):
        run(boxed, out, settings)
    assert not out.exists()
    run(photos, out, other["finetune_rate"], restart=True)
    assert out.exists()
    # What was set aside is still there: it is the user's.
    (aside,) = out.parent.glob(".bundle.checkpoint.*")
    assert (aside / "state.json").exists()


def test_a_damaged_checkpoint_is_refused(halfway: tuple[Path, TrainSettings], photos: Path) -> None:
    out, settings = halfway
    folder = out.parent / ".bundle.checkpoint"
    (file,) = folder.glob("epoch-*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UsageError, match=r"damaged.*--restart"):
        run(photos, out, settings)
    (folder / "state.json").write_text("{")
    with pytest.raises(UsageError, match=r"cannot be used.*--restart"):
        run(photos, out, settings)


def test_threads_and_cache_do_not_make_another_run(halfway: tuple[Path, TrainSettings], photos: Path) -> None:
    out, settings = halfway
    result = run(photos, out, dataclasses.replace(settings, threads=2, cache=False))
    assert result.manifest["finetune"]["resumed_after_epoch"] == 1


def test_a_loss_that_bursts_names_the_rate(weights: Callable[[str], Path], photos: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(
        QUICK, weights=weights("resnet18"), finetune_rate=1e30, finetune_head_rate=1e30, finetune_epochs=3
    )
    with pytest.raises(UsageError, match=r"no longer a number.*learning rate.*1e\+30.*--find-lr"):
        run(photos, tmp_path / "bundle", settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["last-0-blocks", "last--1-blocks", "last-x-blocks", "some", "", "last-2"])
def test_what_is_no_choice_of_blocks_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match=r"finetune is .*none, all, or last-N-blocks"):
        TrainSettings(finetune=value)


def test_more_blocks_than_there_are_are_refused_before_any_work(
    weights: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    settings = dataclasses.replace(QUICK, weights=weights("resnet18"), finetune="last-10-blocks")
    seen: list[str] = []
    with pytest.raises(UsageError, match=r"last-10-blocks, but resnet18 has 9 blocks"):
        run(photos, tmp_path / "bundle", settings, progress=lambda stage, *_: seen.append(stage))
    assert "computing features" not in seen
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["flop=1", "flip", "flip=", "flip=2", "crop=-1", "rotation=nan", "rotation=0;flip=1"])
def test_an_augmentation_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        TrainSettings(augment=text)


def test_augmentation_is_read_from_a_flag() -> None:
    assert AugmentSettings.parse("default") == AugmentSettings()
    assert AugmentSettings.parse(" rotation = 0, flip=0.5") == AugmentSettings(rotation=0.0, flip=0.5)
    assert set(dataclasses.asdict(AugmentSettings.parse("none")).values()) == {0.0}


def test_the_range_test_suggests_a_rate_and_trains_nothing(
    weights: Callable[[str], Path], photos: Path, tmp_path: Path
) -> None:
    from logolens.training.train import find_rate

    found = find_rate(photos, tmp_path / "bundle", dataclasses.replace(QUICK, weights=weights("resnet18")))
    assert 1e-7 <= found.suggestion <= 0.1
    assert list(tmp_path.iterdir()) == []
    table, plot = found.write(tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle-rates.csv", "bundle-rates.png"]
    with table.open(newline="") as file:
        rates = [float(row["rate"]) for row in csv.DictReader(file)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(1e-6)
    assert plot.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(UsageError, match="there already"):
        found.write(tmp_path / "bundle")
    with pytest.raises(UsageError, match=r"bundle-rates\.csv is there already"):
        find_rate(photos, tmp_path / "bundle", QUICK)


def test_the_range_test_needs_something_to_train(photos: Path, tmp_path: Path) -> None:
    from logolens.training.train import find_rate

    with pytest.raises(UsageError, match="--finetune all"):
        find_rate(photos, tmp_path / "bundle", TrainSettings())


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--find-lr"], "--finetune all"),
        (["--finetune", "last-0-blocks"], "none, all, or last-N-blocks"),
        (["--finetune", "all", "--augment", "flop=1"], "NAME=VALUE"),
        (["--finetune", "all", "--finetune-minutes", "0"], "finetune-minutes"),
    ],
)
def test_the_command_line_refuses_in_a_sentence(
    flags: list[str], sentence: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from logolens.cli import main

    assert main(["train", str(photos), "--out", str(tmp_path / "bundle"), *flags]) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_fine_tunes(
    weights: Callable[[str], Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from logolens.cli import main

    out = tmp_path / "bundle"
    flags = [
        "--backbone",
        "resnet18",
        "--weights",
        str(weights("resnet18")),
        "--size",
        "48",
        "--threads",
        "1",
        "--words",
        "off",
    ]
    flags += ["--finetune", "last-1-blocks", "--finetune-epochs", "1", "--epochs", "5", "--val", "0.25"]
    assert main(["train", str(photos), "--out", str(out), *flags]) == 0
    said = capsys.readouterr()
    assert said.err.count("will take about") == 1
    assert main(["summary", str(out)]) == 0
    total = json.loads((out / "manifest.json").read_text())["finetune"]["trained_parameters"]
    assert f"{11_176_512 - total:,} frozen" in capsys.readouterr().out
