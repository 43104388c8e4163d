"""Bundles that are made to do harm, or damaged: each is one sentence, at once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from logolens.bundle.format import load_bundle
from logolens.bundle.onnx_check import refuse_harmful
from logolens.bundle.validation import manifest_hash
from logolens.cli import main
from logolens.errors import BundleError


@pytest.fixture
def copied(bundle: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.path, tmp_path / "bundle"))


def rename_hash(digest: str, manifest: dict[str, Any]) -> None:
    manifest["files"]["labels.txt"] = digest


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Any], seal: bool = False) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    manifest.pop("manifest_sha256", None)
    if seal:
        manifest["manifest_sha256"] = manifest_hash(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "[" * 100_000,
        "[]",
        "null",
        '{"format": Infinity}',
        '{"format": NaN}',
        '{"format": "3"}',
        '{"format": true}',
        '{"format": 1e999}',
        '{"format": ' + "9" * 5000 + "}",
        "\x00",
        "",
    ],
)
def test_a_manifest_that_is_none(text: str, copied: Path, capsys: Any) -> None:
    (copied / "manifest.json").write_text(text)
    with pytest.raises(BundleError):
        load_bundle(copied)
    assert main(["predict", str(copied), "x.jpg"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("value", ["1", 0, 0.0, -1, True, None, [], {}, 10**400, 10**30])
@pytest.mark.parametrize("where", ["calibration", "closer"])
def test_a_temperature_that_is_none(value: object, where: str, copied: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        if where == "closer":
            manifest["closer"] = {"calibration": dict(manifest["calibration"])}
            manifest["settings"] |= {"views": "auto", "pooling": "rich"}
            manifest = manifest["closer"]
        manifest["calibration"]["temperature"] = value

    rewrite(copied, change)
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(copied)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("files", []),
        ("files", {"../../etc/passwd": "0" * 64}),
        ("files", {"model.onnx": 3}),
        ("labels", "acme"),
        ("preprocessing", {"size": "224"}),
        ("preprocessing", {"size": 10**9}),
        ("preprocessing", {"std": [0, 0, 0]}),
        ("preprocessing", {"mean": ["a", 1, 1]}),
        ("calibration", []),
        ("calibration", {"temperature": 1.0, "unknown": 1}),
        ("closer", []),
        ("closer", {"calibration": {"temperature": 1.0}, "weights": {"labels": {"whole": "1"}}}),
        ("gallery", {"labels": {"acme": {"threshold": "x"}}}),
        ("backbone", "x"),
        ("layers", [{}]),
        ("pairs", [3]),
        ("contrast", [3]),
        ("stack", [1]),
    ],
)
def test_parts_of_another_type(name: str, value: object, copied: Path) -> None:
    rewrite(copied, lambda manifest: manifest.update({name: value}), seal=True)
    with pytest.raises(BundleError):
        load_bundle(copied)


def test_the_manifest_has_a_hash_of_its_own_and_older_ones_without_it_open(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    assert manifest["manifest_sha256"] == manifest_hash(manifest)
    manifest["calibration"]["temperature"] *= 2
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="altered"):
        load_bundle(copied)
    rewrite(copied, lambda manifest: None)
    assert load_bundle(copied).labels


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "labels.txt", "head.safetensors"])
def test_a_pipe_or_a_device_keeps_nobody_waiting(name: str, copied: Path) -> None:
    (copied / name).unlink()
    os.mkfifo(copied / name)
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(copied)
    (copied / name).unlink()
    (copied / name).symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(copied)


def looping() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["again"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("again", TensorProto.BOOL, [])],
    )
    node = helper.make_node("Loop", ["", "yes"], [], body=body)
    return helper.make_model(helper.make_graph([node], "g", [], [])).SerializeToString()


def with_function() -> bytes:
    function = helper.make_function(
        "own", "F", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [helper.make_opsetid("", 20)]
    )
    model = helper.make_model(helper.make_graph([helper.make_node("F", ["x"], ["y"], domain="own")], "g", [], []))
    model.functions.append(function)
    return model.SerializeToString()


def named(operator: str) -> bytes:
    return helper.make_model(
        helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "g", [], [])
    ).SerializeToString()


@pytest.mark.parametrize("model", [looping(), with_function(), *map(named, ("If", "Scan", "Loop", "SequenceMap"))])
def test_control_flow_is_refused_wherever_it_stands(model: bytes, copied: Path) -> None:
    with pytest.raises(BundleError, match="loops, branches or functions"):
        refuse_harmful(model, Path("model.onnx"))
    (copied / "model.onnx").write_bytes(model)
    digest = hashlib.sha256(model).hexdigest()
    rewrite(copied, lambda manifest: manifest["files"].update({"model.onnx": digest}), seal=True)
    with pytest.raises(BundleError, match="loops, branches or functions"):
        load_bundle(copied)
    assert onnx.load_from_string(named("Relu")).graph.node[0].op_type == "Relu"
    refuse_harmful(named("Relu"), Path("model.onnx"))


def test_labels_twice_or_empty_are_refused(copied: Path) -> None:
    text = (copied / "labels.txt").read_text().splitlines()
    for lines in ([text[0], *text], ["", *text[1:]]):
        data = "".join(f"{line}\n" for line in lines).encode()
        (copied / "labels.txt").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        rewrite(copied, partial(rename_hash, digest))
        with pytest.raises(BundleError, match="empty label, or one twice"):
            load_bundle(copied)


def test_labels_that_contradict_the_manifest_are_refused(copied: Path) -> None:
    labels = (copied / "labels.txt").read_text().splitlines()
    for text in ("\n".join(reversed(labels)), "\n".join(label.replace("none", "nxne") for label in labels)):
        (copied / "labels.txt").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        rewrite(copied, partial(rename_hash, digest))
        with pytest.raises(BundleError, match=r"labels\.txt (has labels behind none|and manifest\.json disagree)"):
            load_bundle(copied)


def test_every_file_of_a_bundle_honours_the_umask_and_another_user_can_read_it(boxed: Any) -> None:
    files = sorted(boxed.path.iterdir())
    assert "localiser.safetensors" in {file.name for file in files}
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
    probe = boxed.path / "probe"
    probe.write_bytes(b"")
    expected = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    assert set(modes.values()) == {expected}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_another_user_reads_what_was_written(boxed: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        place = shutil.copytree(boxed.path, Path(above) / "bundle")
        code = (
            "import os, pathlib, sys; os.setgid(65534); os.setuid(65534);"
            "[path.read_bytes() for path in pathlib.Path(sys.argv[1]).iterdir()]"
        )
        subprocess.run([sys.executable, "-c", code, str(place)], check=True)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_folder_that_is_put_in_place_has_the_rights_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    code = (
        "import os, sys, tempfile; from pathlib import Path; from logolens.io.atomic import replace_folder;"
        "os.umask(int(sys.argv[2])); made = Path(tempfile.mkdtemp(dir=sys.argv[1])); (made / 'sub').mkdir(0o700);"
        "(made / 'sub' / 'f').write_text('x'); (made / 'sub' / 'f').chmod(0o600);"
        "replace_folder(made, Path(sys.argv[1]) / 'out')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), str(umask)], check=True)
    for name, most in (("out", 0o777), ("out/sub", 0o777), ("out/sub/f", 0o666)):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == most & ~umask
