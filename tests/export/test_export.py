from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from logolens.bundle.format import attach_head, load_bundle, write_bundle
from logolens.cli import main
from logolens.config import BACKGROUND, ExportSettings
from logolens.errors import BundleError, DataError, MissingExtraError, UsageError
from logolens.export import FORMATS, export
from logolens.export.export_bundle import _Comparison, _refuse_int8
from logolens.export.metadata import CALIBRATION, LABELS, PREPROCESSING, with_properties
from logolens.export.photos import find_photos
from logolens.export.step_graph import read_graph, refuse_unknown
from logolens.export.tensorflow_steps import OPERATIONS
from logolens.inference.classifier import Classifier
from logolens.models.calibration import Calibration
from logolens.models.head import Head

onnx = pytest.importorskip("onnx", reason="needs the extra export")
pytest.importorskip("torch", reason="needs the extra train")

needs_tensorflow = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("tensorflow", "ai_edge_litert")),
    reason="needs the extra tflite",
)


def quiet(stage: str, done: int, total: int) -> None:
    pass


def squares_of(bundle: Path, count: int = 5) -> np.ndarray:
    size = load_bundle(bundle).preprocessing.size
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def answers(model: bytes | Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model if isinstance(model, bytes) else str(model))
    return np.asarray(session.run(["probabilities"], {"image": images})[0])


@pytest.fixture
def lost(bundle: Any, tmp_path: Path) -> Path:
    """A copy of the bundle whose photos are not where they were."""
    folder = tmp_path / "lost"
    shutil.copytree(bundle.path, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["data"]["path"] = str(tmp_path / "gone")
    manifest.pop("manifest_sha256", None)  # As a release that wrote none would have it.
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Each format


def test_it_says_what_one_network_leaves_behind(boxed: Any, tmp_path: Path, capsys: Any) -> None:
    closer = load_bundle(boxed.path).closer
    assert closer is not None
    assert closer.weights.labels.get("closer", 0.0)  # Else this bundle has nothing to leave behind.
    assert main(["export", str(boxed.path), "--out", str(tmp_path / "boxed.onnx")]) == 0
    said = capsys.readouterr().err
    assert "closer views stay behind" in said
    assert closer.weights.reason in " ".join(said.split())


def test_onnx_is_the_bundles_network_and_knows_its_labels(bundle: Any, tmp_path: Path) -> None:
    result = export(bundle.path, tmp_path / "logo.onnx")
    model, classes = (tmp_path / "logo.onnx").read_bytes(), load_bundle(bundle.path).classes
    assert names(tmp_path) == ["logo.json", "logo.labels.txt", "logo.onnx"]
    assert result.files == tuple(tmp_path / name for name in ("logo.onnx", "logo.labels.txt", "logo.json"))
    own, given = onnx.load(bundle.path / "model.onnx"), onnx.load_model_from_string(model)
    onnx.checker.check_model(given)
    # The maps that looking closer needs are the bundle's alone; all else is as it was.
    assert [output.name for output in own.graph.output] == ["last", "middle", "probabilities", "logits"]
    assert [output.name for output in given.graph.output] == ["probabilities", "logits"]
    del own.graph.output[:], given.graph.output[:], given.metadata_props[:]
    assert own == given
    known = onnxruntime.InferenceSession(model).get_modelmeta().custom_metadata_map
    assert tuple(json.loads(known[LABELS])) == classes
    assert json.loads(known[PREPROCESSING])["size"] == 96
    assert json.loads(known[CALIBRATION])["threshold"] == load_bundle(bundle.path).manifest["calibration"]["threshold"]
    assert (tmp_path / "logo.labels.txt").read_text(encoding="utf-8") == "acme\nbolt\ncrest\nnone\n"
    facts = json.loads((tmp_path / "logo.json").read_text(encoding="utf-8"))
    assert facts["input"]["shape"] == ["n", 96, 96, 3]
    assert facts["preprocessing"]["resize"] == "squash"
    assert (result.difference, result.changed) == (0.0, 0.0)
    assert result.images == load_bundle(bundle.path).manifest["data"]["test"]
    assert result.notes == ()


def test_onnx_can_be_asked_by_classify(bundle: Any, tmp_path: Path) -> None:
    from logolens.recipes.retrain.graph_file import load_graph

    export(bundle.path, tmp_path / "logo.onnx")
    graph = load_graph(tmp_path / "logo.onnx")
    assert graph.labels == load_bundle(bundle.path).classes
    assert graph.preprocessing == load_bundle(bundle.path).preprocessing
    assert graph.output == "probabilities"


def test_onnx_needs_no_extra(bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnx", "torch", "safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    assert export(bundle.path, tmp_path / "logo.onnx").difference == 0.0


def test_safetensors_hold_every_weight_under_a_telling_name(bundle: Any, tmp_path: Path) -> None:
    from safetensors import safe_open

    result = export(bundle.path, tmp_path / "logo.safetensors", "safetensors")
    weights = onnx.load(str(bundle.path / "model.onnx")).graph.initializer
    with safe_open(str(tmp_path / "logo.safetensors"), "np") as file:
        metadata, keys = file.metadata(), set(file.keys())
        head = file.get_tensor("head.0.weight")
    assert len(keys) == len(weights)
    assert {"head.0.weight", "conv_stem.1.weight", "blocks.0.0.conv_dw.weight", "blocks.0.0.conv_dw.bias"} <= keys
    assert not any(key.startswith("onnx::Conv") for key in keys)
    assert tuple(json.loads(metadata[LABELS])) == load_bundle(bundle.path).classes
    assert np.array_equal(head, onnx.numpy_helper.to_array(next(w for w in weights if w.name == "head.0.weight")))
    assert result.difference == 0.0


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")
def test_saved_model_serves(bundle: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    result = export(bundle.path, tmp_path / "logo", "saved-model")
    assert result.difference < 1e-4
    assert result.files == (tmp_path / "logo",)
    assert (tmp_path / "logo/assets.extra/labels.txt").read_text(encoding="utf-8") == "acme\nbolt\ncrest\nnone\n"
    images = squares_of(bundle.path)
    served = tf.saved_model.load(str(tmp_path / "logo")).signatures["serving_default"](image=tf.constant(images))
    assert np.abs(served["probabilities"].numpy() - answers(bundle.path / "model.onnx", images)).max() < 1e-4
    with pytest.raises(UsageError, match="there already"):
        export(bundle.path, tmp_path / "logo", "saved-model")
    export(bundle.path, tmp_path / "logo", "saved-model", force=True)
    assert names(tmp_path) == ["logo"]


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")
def test_tflite_runs_in_litert(bundle: Any, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "logo.tflite"
    assert export(bundle.path, path, "tflite").difference < 1e-4
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode() == "acme\nbolt\ncrest\nnone\n"
    assert json.loads((tmp_path / "logo.json").read_text(encoding="utf-8"))["input"]["shape"] == [1, 96, 96, 3]
    images = squares_of(bundle.path, 1)
    serve = Interpreter(model_path=str(path)).get_signature_runner("serving_default")
    assert np.abs(serve(image=images)["probabilities"] - answers(bundle.path / "model.onnx", images)).max() < 1e-4


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_without_tensorflow_the_command_to_install_it_is_named(bundle: Any, tmp_path: Path) -> None:
    for format in ("tflite", "saved-model"):
        with pytest.raises(MissingExtraError, match=r"pip install 'logolens\[tflite\]'"):
            export(bundle.path, tmp_path / "logo", format)
    assert names(tmp_path) == []


# Eight bits


def test_int8_is_smaller_and_tells_its_loss_and_speed(bundle: Any, tmp_path: Path) -> None:
    settings = ExportSettings(photos=32)
    result = export(bundle.path, tmp_path / "logo.onnx", "onnx-int8", settings)
    tested = load_bundle(bundle.path).manifest["data"]
    logos = sum(parts["test"] for label, parts in tested["per_label"].items() if label != BACKGROUND)
    assert (result.images, result.labelled) == (tested["test"], logos)
    assert result.accuracy_before == pytest.approx(load_bundle(bundle.path).manifest["metrics"]["test"]["top1"])
    assert result.accuracy_after is not None
    assert result.accuracy_before is not None
    assert result.accuracy_before - result.accuracy_after <= max(0.02, 1 / logos) + 1e-9
    assert result.speed is not None
    assert result.speed > 0.0
    assert result.bytes < 0.4 * (bundle.path / "model.onnx").stat().st_size
    model = onnx.load(str(tmp_path / "logo.onnx"))
    assert {entry.key for entry in model.metadata_props} >= {LABELS, PREPROCESSING}
    assert answers(tmp_path / "logo.onnx", squares_of(bundle.path)).shape == (5, 4)

    # What follows the maps stays exact, and so does the first convolution.
    made = {output: node.op_type for node in model.graph.node for output in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    small = [node for node in convolutions if made.get(node.input[0]) == "DequantizeLinear"]
    assert len(small) == len(convolutions) - 3
    (gemm,) = (node for node in model.graph.node if node.op_type == "Gemm")
    assert made[gemm.input[0]] == "Concat"
    weights = {entry.name: entry for entry in model.graph.initializer}
    assert weights["head.0.weight"].data_type == onnx.TensorProto.FLOAT


def test_int8_without_photos_says_what_to_do(lost: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data"):
        export(lost, tmp_path / "logo.onnx", "onnx-int8")
    assert names(tmp_path) == ["lost"]


def test_int8_takes_photos_without_labels_from_elsewhere(lost: Path, tmp_path: Path, make_photos: Any) -> None:
    plain = make_photos(tmp_path / "other", count=6, seed=3) / "acme"
    result = export(lost, tmp_path / "logo.onnx", "onnx-int8", ExportSettings(photos=8, data=plain, max_difference=1.0))
    assert (result.images, result.labelled) == (3, 0)
    assert result.accuracy_after is None
    assert any("no labels" in note for note in result.notes)
    assert any("one half" in note for note in result.notes)


@pytest.mark.parametrize(
    ("comparison", "settings", "refused"),
    [
        (_Comparison(100, 0.2, 15, 80, 70, 69), ExportSettings(), None),
        (_Comparison(100, 0.2, 16, 80, 70, 70), ExportSettings(), "16 of 100"),
        (_Comparison(100, 0.2, 16, 80, 70, 70), ExportSettings(max_difference=0.2), None),
        (_Comparison(100, 0.2, 4, 80, 70, 68), ExportSettings(), "2 more of 80"),
        (_Comparison(100, 0.2, 4, 80, 70, 68), ExportSettings(max_loss=0.05), None),
        (_Comparison(5, 0.2, 1, 5, 5, 4), ExportSettings(), None),
        (_Comparison(5, 0.2, 2, 5, 5, 4), ExportSettings(), "2 of 5"),
        (_Comparison(5, float("inf"), 0, 5, 5, 5), ExportSettings(), "0 of 5"),
    ],
)
def test_int8_is_refused_where_it_loses_too_much(
    bundle: Any, comparison: _Comparison, settings: ExportSettings, refused: str | None
) -> None:
    source = load_bundle(bundle.path)
    if refused is None:
        _refuse_int8(source, comparison, settings)
    else:
        with pytest.raises(BundleError, match=refused):
            _refuse_int8(source, comparison, settings)


def test_a_number_that_is_none_counts_as_the_largest_difference(bundle: Any) -> None:
    comparison = _Comparison()
    comparison.add(load_bundle(bundle.path), np.full(4, 0.25), np.full(4, np.nan))
    assert comparison.difference == float("inf")
    with pytest.raises(BundleError, match="gives"):
        comparison.add(load_bundle(bundle.path), np.full(4, 0.25), np.full(3, 0.25))


# The photos


def test_photos_are_found_by_content_not_by_name_alone(bundle: Any, tmp_path: Path) -> None:
    source = load_bundle(bundle.path)
    whole = find_photos(source, None, (1000, None), quiet)
    counts = source.manifest["data"]
    assert (len(whole.learned), len(whole.test)) == (counts["train"] + counts["val"], counts["test"])
    assert whole.own
    some = find_photos(source, None, (7, 3), quiet)
    assert (len(some.learned), len(some.test)) == (7, 3)
    # Moved elsewhere: all are found again.
    moved = tmp_path / "moved"
    shutil.copytree(bundle.data, moved)
    again = find_photos(source, moved, (1000, None), quiet)
    assert [sample.labels for sample in again.test] == [sample.labels for sample in whole.test]
    assert {sample.path.parent.parent for sample in again.test} == {moved}
    # The same names, other photos: none of them is the split's.
    for path in moved.rglob("*.*"):
        path.write_bytes(path.read_bytes() + b"\0")
    strangers = find_photos(source, moved, (1000, None), quiet)
    assert not strangers.own
    assert len(strangers.learned) == len(strangers.test) == counts["photos"] // 2
    assert {label for sample in strangers.test for label in sample.labels} == {"acme", "bolt", "crest", "none"}


def test_a_folder_that_is_not_there_or_holds_no_photo_is_refused(bundle: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "gone"):
        with pytest.raises(DataError, match=name):
            export(bundle.path, tmp_path / "logo.onnx", settings=ExportSettings(data=tmp_path / name))
    assert names(tmp_path) == ["empty"]


def test_without_photos_made_up_images_are_compared_and_that_is_said(lost: Path, tmp_path: Path) -> None:
    result = export(lost, tmp_path / "logo.onnx")
    assert result.images == 8
    assert "made-up" in result.notes[0]


# What is refused


def test_an_unknown_format_is_refused(bundle: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean safetensors"):
        export(bundle.path, tmp_path / "logo.pt", "safetensor")
    with pytest.raises(UsageError, match="saved-model"):
        export(bundle.path, tmp_path / "logo.pt", "")


def test_torchscript_is_answered_with_what_to_take_instead(
    bundle: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="Choose onnx"):
        export(bundle.path, tmp_path / "logo.pt", "torchscript")
    assert main(["export", str(bundle.path), "--format", "torchscript", "-o", str(tmp_path / "logo.pt")]) == 2
    assert "Choose onnx" in capsys.readouterr().err
    assert names(tmp_path) == []


@pytest.mark.parametrize("taken", ["logo.onnx", "logo.labels.txt", "logo.json"])
def test_nothing_is_overwritten_without_force(bundle: Any, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=f"{taken} is there already"):
        export(bundle.path, tmp_path / "logo.onnx")
    assert names(tmp_path) == [taken]
    export(bundle.path, tmp_path / "logo.onnx", force=True)
    assert (tmp_path / taken).read_bytes() != b"mine"
    assert len(names(tmp_path)) == 3


def test_a_folder_of_something_else_is_never_replaced(bundle: Any, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album/photo.jpg").write_bytes(b"photo")
    (tmp_path / "file").write_bytes(b"file")
    for out, format in (
        ("album", "saved-model"),
        ("album", "onnx"),
        ("file", "saved-model"),
        ("file/logo.onnx", "onnx"),
    ):
        with pytest.raises(UsageError):
            export(bundle.path, tmp_path / out, format, force=True)
    assert names(tmp_path) == ["album", "file"]
    assert names(tmp_path / "album") == ["photo.jpg"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_that_cannot_be_written_to_is_refused(bundle: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot be made"):
        export(bundle.path, tmp_path / "logo.onnx")


@pytest.fixture
def never_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that no export holds to: what ONNX Runtime reads back differs by nothing."""
    monkeypatch.setattr("logolens.export.export_bundle._MAX_DIFFERENCE", -1.0)


@pytest.mark.usefixtures("never_alike")
def test_a_difference_above_the_limit_leaves_nothing_behind(bundle: Any, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="--max-difference"):
        export(bundle.path, tmp_path / "new/deep/logo.onnx")
    assert names(tmp_path) == []


@pytest.mark.usefixtures("never_alike")
def test_what_was_there_survives_a_failure(bundle: Any, tmp_path: Path) -> None:
    (tmp_path / "logo.onnx").write_bytes(b"old")
    with pytest.raises(BundleError):
        export(bundle.path, tmp_path / "logo.onnx", force=True)
    assert (tmp_path / "logo.onnx").read_bytes() == b"old"
    assert names(tmp_path) == ["logo.onnx"]


def test_a_damaged_bundle_is_refused(lost: Path, tmp_path: Path) -> None:
    model = (lost / "model.onnx").read_bytes()
    (lost / "model.onnx").write_bytes(model[:-1])
    with pytest.raises(BundleError, match="altered"):
        export(lost, tmp_path / "logo.onnx")
    with pytest.raises(BundleError, match="is not a bundle"):
        export(tmp_path / "gone", tmp_path / "logo.onnx")
    assert names(tmp_path) == ["lost"]


@pytest.mark.parametrize(
    ("format", "package", "extra"),
    [
        ("onnx-int8", "onnx", "export"),
        ("safetensors", "safetensors.numpy", "export"),
        ("tflite", "tensorflow", "tflite"),
        ("saved-model", "tensorflow", "tflite"),
    ],
)
def test_a_missing_package_is_named_with_its_command(
    bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'logolens\[{extra}\]'"):
        export(bundle.path, tmp_path / "logo", format)
    assert names(tmp_path) == []


# The command


def test_the_command(bundle: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "logo.onnx"
    assert main(["export", str(bundle.path), "--format", "onnx", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "0 of a probability, on " in said.out
    assert said.err == "making onnx\n"
    assert main(["export", str(bundle.path), "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["export", str(bundle.path), "--out", str(out), "--format", "keras"]) == 2
    said = capsys.readouterr()
    assert all(format in said.err for format in FORMATS)
    assert main(["export", str(tmp_path / "gone"), "--out", str(out), "--force"]) == 1
    assert "is not a bundle" in capsys.readouterr().err
    assert main(["export", str(bundle.path), "--out", str(out), "--photos", "1"]) == 2


# Every family's operators


def random_bundle(name: str, side: int, folder: Path, pooling: str = "rich") -> Path:
    """A bundle on random weights, whose probabilities depend on the image."""
    from networks import random_backbone

    from logolens.models.backbones import find
    from logolens.models.backbones.onnx_export import graph_of

    backbone = find(name)
    graph, _, _ = graph_of(random_backbone(backbone, pooling=pooling), side)
    (folder / "backbone.onnx").write_bytes(graph)
    random = np.random.default_rng(0)
    width = backbone.width(pooling)
    head = Head(((random.normal(0, 1, (width, 4)).astype(np.float32), np.zeros(4, np.float32)),))
    calibration = Calibration(1.5, 0.2, 0.7)
    manifest = {
        "format": 1,
        "preprocessing": {"size": side, "mean": backbone.mean, "std": backbone.std},
        "backbone": {"name": name, "license": backbone.license},
        "calibration": {"temperature": 1.5, "threshold": 0.2, "slope": 0.7},
    }
    write_bundle(
        folder / "bundle",
        manifest=manifest,
        classes=("a", "b", "c", "none"),
        model=attach_head(folder / "backbone.onnx", head, calibration),
        head=head,
        extras=lambda _: None,
    )
    return folder / "bundle"


FAMILIES = [
    ("alexnet", 64),
    ("resnet18", 65),
    ("googlenet", 64),
    ("mobilenet_0.25_128", 64),
    ("mobilenet_v3_small", 64),
    *(
        pytest.param(name, side, marks=pytest.mark.slow)
        for name, side in (("vgg11_bn", 48), ("inception_v3", 75), ("mobilenet_v2", 50), ("efficientnet_lite2", 50))
    ),
]


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "side"), FAMILIES)
def test_every_family_is_rebuilt_in_tensorflow(tmp_path: Path, name: str, side: int) -> None:
    bundle = random_bundle(name, side, tmp_path)
    assert export(bundle, tmp_path / "model", "saved-model").difference < 1e-4
    assert export(bundle, tmp_path / "model.tflite", "tflite").difference < 1e-4


def test_a_network_with_an_unknown_step_is_refused_by_name(bundle: Any, tmp_path: Path) -> None:
    source = load_bundle(bundle.path)
    model = onnx.load_model_from_string(source.model)
    for node in model.graph.node:
        node.output[:] = ["raw" if name == "logits" else name for name in node.output]
        node.input[:] = ["raw" if name == "logits" else name for name in node.input]
    model.graph.node.append(onnx.helper.make_node("Softsign", ["raw"], ["logits"]))
    write_bundle(
        tmp_path / "odd",
        manifest={key: value for key, value in source.manifest.items() if key not in ("files", "closer")},
        classes=source.classes,
        model=model.SerializeToString(),
        head=Head(((np.zeros((1, 4), np.float32), np.zeros(4, np.float32)),)),
        extras=lambda _: None,
    )
    with pytest.raises(UsageError, match="Softsign"):
        refuse_unknown(read_graph(load_bundle(tmp_path / "odd").model), list(OPERATIONS), "TensorFlow")


def test_properties_may_be_long_and_in_any_script(small_network: bytes) -> None:
    entries = {"kurz": "ä" * 70_000, "leer": ""}
    model = with_properties(small_network, entries)
    known = {entry.key: entry.value for entry in onnx.load_model_from_string(model).metadata_props}
    assert known == entries
    assert onnxruntime.InferenceSession(model).get_modelmeta().custom_metadata_map == entries


def test_the_recipe_in_the_docs_gives_what_predict_gives(
    bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block of docs/how-to/export.md that needs no logolens, on photos of every kind that it speaks of."""
    from conftest import draw

    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "export.md").read_text(encoding="utf-8")
    (recipe,) = (text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "onnxruntime" in text)
    assert "logolens" not in recipe.replace("logolens.{key}", "")
    assert len([line for line in recipe.splitlines() if line and not line.startswith(("import", "from"))]) <= 10
    monkeypatch.chdir(tmp_path)
    export(bundle.path, tmp_path / "brands.onnx")
    classifier = Classifier.load(bundle.path, views="whole")
    turned = Image.Exif()
    turned[0x0112] = 6
    photos = [draw(label, 40 + number, size) for number, (label, size) in enumerate(
        [("acme", (128, 128)), ("bolt", (500, 333)), ("crest", (1600, 1203)), ("none", (641, 97)), ("acme", (70, 90))]
    )]  # fmt: skip
    for photo in photos:
        for options in ({"format": "JPEG", "quality": 90}, {"format": "JPEG", "exif": turned}, {"format": "PNG"}):
            photo.save(tmp_path / "photo.jpg", **options)
            found: dict[str, Any] = {}
            exec(compile(recipe, "export.md", "exec"), found)
            (answer,) = classifier.predict(tmp_path / "photo.jpg")
            given = dict(zip(found["labels"], found["probabilities"].tolist(), strict=True))
            assert given == pytest.approx(dict(answer.scores), abs=1e-3), options


def test_the_file_tells_all_that_a_photo_goes_through(bundle: Any, tmp_path: Path) -> None:
    export(bundle.path, tmp_path / "logo.onnx")
    facts = json.loads((tmp_path / "logo.json").read_text(encoding="utf-8"))
    assert facts["decoding"]["jpeg_least_side"] == 68  # 70 % of 96 pixels.
    assert {"orientation", "transparency", "frame", "colours"} <= set(facts["decoding"])
    card = (bundle.path / "README.md").read_text(encoding="utf-8")
    assert "keep 68 pixels" in card
    assert "EXIF" in card
