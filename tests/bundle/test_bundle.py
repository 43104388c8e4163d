"""A bundle is whole or absent, is what it was when it was written, and cannot reach outside itself."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logolens.bundle.format import FORMAT, attach_head, check_out, load_bundle, write_bundle
from logolens.config import Preprocessing
from logolens.errors import BundleError, UsageError
from logolens.inference.classifier import Classifier
from logolens.models.calibration import Calibration
from logolens.models.head import Head
from logolens.models.session import Session

LABELS = ("acme", "bolt", "crest")


@pytest.fixture
def copied(bundle: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.path, tmp_path / "bundle"))


def change_manifest(folder: Path, **values: Any) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8")) | values
    manifest.pop("manifest_sha256", None)  # Who means harm leaves the hash out, or makes it agree.
    path.write_text(json.dumps(manifest), "utf-8")


def replace_file(folder: Path, name: str, data: bytes) -> None:
    """As somebody would who means harm: the manifest's hash is made to agree."""
    (folder / name).write_bytes(data)
    files = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
    change_manifest(folder, files=files | {name: hashlib.sha256(data).hexdigest()})


def small_head(width: int = 12, classes: int = 3, layers: int = 1) -> Head:
    rng = np.random.default_rng(0)
    sizes = [width, *[7] * (layers - 1), classes]
    return Head(
        tuple(
            (rng.normal(0, 0.1, (a, b)).astype(np.float32), rng.normal(0, 1, b).astype(np.float32))
            for a, b in pairwise(sizes)
        )
    )


def write(
    out: Path, model: bytes = b"", *, force: bool = False, mark: str = "", classes: Any = LABELS
) -> dict[str, Any]:
    manifest = {"format": FORMAT, "preprocessing": {"size": 64}, "calibration": {}, "mark": mark}

    def card(folder: Path) -> None:
        (folder / "README.md").write_text(mark)

    return write_bundle(
        out,
        manifest=manifest,
        classes=classes,
        model=model,
        head=small_head(),
        extras=card,
        force=force,
    )


# Reading


def test_what_training_wrote_is_read_back(bundle: Any) -> None:
    read = load_bundle(bundle.path)
    assert read.classes == (*LABELS, "none")
    assert read.labels == LABELS
    assert read.preprocessing == Preprocessing(size=96)
    assert read.model == (bundle.path / "model.onnx").read_bytes()
    assert load_bundle(str(bundle.path)).manifest == read.manifest


def test_the_head_alone_can_be_read_from_its_file(bundle: Any) -> None:
    tensors = pytest.importorskip("safetensors.numpy").load_file(bundle.path / "head.safetensors")
    head = Head.from_tensors(tensors)
    assert head.layers[0][0].shape[1] == 4
    assert np.isfinite(head.layers[0][0]).all()


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "head.safetensors"])
def test_a_file_that_decides_answers_must_be_there_and_unaltered(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} was altered"):
        load_bundle(copied)
    (copied / name).unlink()
    with pytest.raises(BundleError, match=f"{name} cannot be read"):
        load_bundle(copied)


def test_the_card_may_be_edited_and_pictures_left_out(copied: Path) -> None:
    (copied / "README.md").write_text("Ours.")
    (copied / "curves.png").unlink()
    (copied / "notes.txt").write_text("Mine.")
    assert load_bundle(copied).labels == LABELS


def test_what_is_no_bundle_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        load_bundle(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="is not a bundle"):
        load_bundle(tmp_path / "file")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '"text"', "{}", '{"format": 1}', '{"format": "x", "files": {}, "preprocessing": {}}'],
)
def test_a_damaged_manifest_is_a_sentence(copied: Path, text: str) -> None:
    (copied / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        load_bundle(copied)


def test_a_manifest_that_is_no_text_is_a_sentence(copied: Path) -> None:
    (copied / "manifest.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        load_bundle(copied)


def test_a_later_format_asks_for_a_later_release(copied: Path) -> None:
    change_manifest(copied, format=FORMAT + 1)
    with pytest.raises(BundleError, match="pip install -U logolens"):
        load_bundle(copied)


@pytest.mark.parametrize(
    "road", [{"size": 5}, {"size": "large"}, {"resize": "stretch"}, {"mean": 3}, {"interpolation": None}]
)
def test_a_preprocessing_that_cannot_be_is_a_sentence(copied: Path, road: dict[str, Any]) -> None:
    change_manifest(copied, preprocessing=road)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load_bundle(copied)


def test_what_a_later_release_adds_to_the_manifest_does_no_harm(copied: Path) -> None:
    road = json.loads((copied / "manifest.json").read_text("utf-8"))["preprocessing"]
    change_manifest(copied, preprocessing=road | {"gamma": 2.2}, more={"x": 1})
    assert load_bundle(copied).preprocessing.size == 96


# A model that reaches outside


def _external(onnx: Any) -> Any:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return tensor


def _sparse(onnx: Any) -> Any:
    values = onnx.helper.make_tensor("w", 1, [1], [1.0])
    return onnx.helper.make_sparse_tensor(values, onnx.helper.make_tensor("i", 7, [1], [0]), [4])


def _models(onnx: Any) -> dict[str, Any]:
    helper = onnx.helper

    def graph(nodes: Any = (), name: str = "g", **more: Any) -> Any:
        return helper.make_graph(list(nodes), name, [], [], **more)

    def model(inner: Any, **more: Any) -> Any:
        return helper.make_model(inner, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **more)

    inside = helper.make_node("Constant", [], ["c"], value=_external(onnx))
    branch = helper.make_node("If", ["x"], ["y"], then_branch=graph([inside]), else_branch=graph())
    function = helper.make_function("ours", "F", [], ["c"], [inside], [helper.make_opsetid("", 17)])
    trained = model(graph())
    trained.training_info.add().algorithm.CopyFrom(graph(initializer=[_external(onnx)]))
    located = _external(onnx)
    located.ClearField("data_location")
    return {
        "external initialiser": model(graph(initializer=[_external(onnx)])),
        "a location without the flag": model(graph(initializer=[located])),
        "external constant": model(graph([inside])),
        "external constant in a branch": model(graph([branch])),
        "external constant in a function": model(graph(), functions=[function]),
        "external tensor for training": trained,
        "sparse initialiser": model(graph(sparse_initializer=[_sparse(onnx)])),
        "sparse constant": model(graph([helper.make_node("Constant", [], ["c"], sparse_value=_sparse(onnx))])),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "external initialiser",
        "a location without the flag",
        "external constant",
        "external constant in a branch",
        "external constant in a function",
        "external tensor for training",
        "sparse initialiser",
        "sparse constant",
    ],
)
def test_a_model_with_outside_or_sparse_tensors_is_refused(copied: Path, kind: str) -> None:
    onnx = pytest.importorskip("onnx")
    replace_file(copied, "model.onnx", _models(onnx)[kind].SerializeToString())
    with pytest.raises(BundleError, match="sparse tensors" if "sparse" in kind else "in another file"):
        load_bundle(copied)


def test_a_model_that_is_none_or_cut_short_is_refused(copied: Path) -> None:
    model = (copied / "model.onnx").read_bytes()
    for data in (
        b"\xff" * 50,
        b"GIF89a and more",
        model[: len(model) // 2],
        model[:-1],
        b"",
        b"\x3a\xff\xff\xff\xff\x0f",
    ):
        replace_file(copied, "model.onnx", data)
        with pytest.raises(BundleError, match=r"model"):
            Classifier.load(copied)


def test_a_good_model_that_is_no_classifier_of_images_is_refused(copied: Path, small_network: bytes) -> None:
    replace_file(copied, "model.onnx", small_network)
    with pytest.raises(BundleError, match="no output probabilities"):
        Classifier.load(copied)


def test_labels_and_model_must_agree_in_number(copied: Path) -> None:
    replace_file(copied, "labels.txt", b"acme\nnone\n")
    with pytest.raises(BundleError, match=r"4 outputs and labels\.txt 2 lines"):
        Classifier.load(copied, views="whole")
    with pytest.raises(BundleError, match="bundle again"):
        Classifier.load(copied)
    replace_file(copied, "labels.txt", b"\xff\xfe\n")
    with pytest.raises(BundleError, match="not UTF-8"):
        Classifier.load(copied)


# Writing


def test_what_is_written_is_read_back(tmp_path: Path, small_network: bytes) -> None:
    classes = ("Ünïcode & Söhne", "line\u2028separator", "next\x85line", "none")
    manifest = write(tmp_path / "deep" / "er" / "out", small_network, mark="one", classes=classes)
    read = load_bundle(tmp_path / "deep" / "er" / "out")
    assert read.classes == classes
    assert read.manifest == manifest
    assert set(manifest["files"]) == {"model.onnx", "labels.txt", "head.safetensors", "README.md"}
    assert os.listdir(tmp_path / "deep" / "er") == ["out"]


def test_a_bundle_is_replaced_only_by_force_and_then_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, mark="one")
    with pytest.raises(UsageError, match="--force"):
        write(out, mark="two")
    assert (out / "README.md").read_text() == "one"
    write(out, mark="two", force=True)
    assert (out / "README.md").read_text() == "two"
    assert load_bundle(out).manifest["mark"] == "two"
    assert os.listdir(tmp_path) == ["out"]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", mark="one")
    assert load_bundle(tmp_path / "out").manifest["mark"] == "one"


@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_a_bundles_is_never_overwritten(tmp_path: Path, force: bool) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "holiday.jpg").write_text("precious")
    site = tmp_path / "site"
    site.mkdir()
    (site / "manifest.json").write_text('{"name": "Our site", "files": ["index.html"]}')
    (site / "index.html").write_text("precious")
    mixed = tmp_path / "mixed"
    write(mixed, mark="one")
    (mixed / "holiday.jpg").write_text("precious")
    single = tmp_path / "single"
    single.write_text("precious")
    for out in (photos, site, mixed, single):
        with pytest.raises(UsageError, match="name a"):
            check_out(out, force)
        with pytest.raises(UsageError):
            write(out, force=force)
    assert (photos / "holiday.jpg").read_text() == "precious"
    assert (site / "index.html").read_text() == "precious"
    assert (mixed / "holiday.jpg").read_text() == "precious"
    assert single.read_text() == "precious"


def test_what_a_desktop_leaves_behind_is_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path / "out", mark="one")
    (tmp_path / "out" / ".DS_Store").touch()
    write(tmp_path / "out", mark="two", force=True)


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        with pytest.raises(UsageError, match="cannot be made"):
            check_out(out, False)
    check_out(tmp_path / "new" / "er" / "out", False)
    assert not (tmp_path / "new").exists()


def test_an_error_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise OSError("the disk is full")

    out = tmp_path / "out"
    for before in (None, "one"):
        if before:
            write(out, mark=before)
        with pytest.raises(OSError, match="disk is full"):
            write_bundle(
                out, manifest={}, classes=LABELS, model=b"", head=small_head(), extras=fail, force=before is not None
            )
        assert os.listdir(tmp_path) == (["out"] if before else [])
    assert (out / "README.md").read_text() == "one"


def test_figures_that_are_not_numbers_are_not_written(tmp_path: Path) -> None:
    manifest = {"format": 1, "preprocessing": {}, "metrics": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        write_bundle(
            tmp_path / "out",
            manifest=manifest,
            classes=LABELS,
            model=b"",
            head=small_head(),
            extras=lambda folder: None,
        )
    assert os.listdir(tmp_path) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent)]
from test_bundle import small_head
from logolens.bundle.format import write_bundle

def die(folder):
    (folder / "half.png").write_bytes(b"x" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)

write_bundle(
    Path(sys.argv[2]), manifest={}, classes=("a",), model=b"new", head=small_head(), extras=die, force=True
)
"""


@pytest.mark.skipif(os.name == "nt", reason="this system has no SIGKILL")
def test_a_killed_write_leaves_the_old_bundle_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, mark="one")
    run = subprocess.run([sys.executable, "-c", _KILLED, str(Path(__file__).parent), str(out)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert (out / "README.md").read_text() == "one"
    assert load_bundle(out).manifest["mark"] == "one"
    write(out, mark="two", force=True)
    assert load_bundle(out).manifest["mark"] == "two"


# Joining


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(
    "calibration", [Calibration(), Calibration(1.7), Calibration(0.6, 1.25, 2.5), Calibration(3.0, -0.5, 0.4)]
)
def test_the_joined_model_is_backbone_then_head_then_calibration(
    tmp_path: Path, small_network: bytes, layers: int, calibration: Calibration
) -> None:
    path = tmp_path / "backbone.onnx"
    path.write_bytes(small_network)
    head = small_head(layers=layers)
    square = Preprocessing(size=64)
    squares = np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    squares[0] = 0
    squares[1] = 255
    (features,) = Session(path, square).run(squares)
    session = Session(attach_head(path, head, calibration), square)
    answer = dict(zip(session.output_names, session.run(squares), strict=True))
    assert set(answer) == {"probabilities", "logits"}
    assert np.allclose(answer["logits"], head.logits(features), atol=1e-3)
    assert np.allclose(answer["probabilities"], calibration.probabilities(head.logits(features)), atol=1e-4)
    assert np.allclose(answer["probabilities"].sum(axis=1), 1.0, atol=1e-5)
    assert path.read_bytes() == small_network
