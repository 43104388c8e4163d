"""A backbone with 8-bit convolutions: made once, kept, made again where it is damaged, and refused where it cannot be."""

from __future__ import annotations

import dataclasses
import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logolens.config import Preprocessing
from logolens.errors import DataError, UsageError
from logolens.models.backbones import ExportedBackbone
from logolens.models.backbones.int8 import LEAST_IMAGES, quantise
from logolens.models.quantise import is_quantised, quantised
from logolens.models.session import Session

onnx = pytest.importorskip("onnx", reason="needs the extra train")

SIDE = 32


def network(*, convolutions: bool = True, scale: float = 0.3) -> bytes:
    """A network in MobileNet's manner with random weights: a first convolution, a depthwise one, and pairs of both."""
    helper, kind, rng = onnx.helper, onnx.TensorProto, np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=kind.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "small"], ["map0"]),
    ]
    constants = [onnx.numpy_helper.from_array(np.array(1 / 255, np.float32), "small")]
    shapes = [(8, 3, 3, 1), (8, 1, 3, 8), (12, 8, 1, 1), (12, 1, 3, 12), (16, 12, 1, 1)] if convolutions else []
    for number, (out, inputs, side, groups) in enumerate(shapes):
        weights = rng.normal(0, scale, (out, inputs, side, side)).astype(np.float32)
        bias = rng.uniform(0, 0.5, out).astype(np.float32)
        constants += [
            onnx.numpy_helper.from_array(weights, f"w{number}"),
            onnx.numpy_helper.from_array(bias, f"b{number}"),
        ]
        given = [f"map{number}", f"w{number}", f"b{number}"]
        pads = [side // 2] * 4
        nodes.append(helper.make_node("Conv", given, [f"sum{number}"], group=groups, pads=pads))
        nodes.append(helper.make_node("Relu", [f"sum{number}"], [f"map{number + 1}"]))
    last = f"map{len(shapes)}"
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", kind.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("features", kind.FLOAT, ["n", 16 if convolutions else 3])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def views(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., ExportedBackbone]:
    def write(**how: Any) -> ExportedBackbone:
        model = network(**how)
        path = tmp_path / "backbones" / "small.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(model)
        digest = hashlib.sha256(model).hexdigest()
        black, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        return ExportedBackbone(
            path=path, sha256=digest, name="small", family="Small", size=SIDE, pooling="avg", width=16, mean=black, std=one,
            interpolation="bilinear", crop=1.0, parameters=500, weights_sha256=digest, origin="a test", license="none",
            version=2, difference=0.0, layers=(),
        )  # fmt: skip

    return write


def features(path: Path, images: np.ndarray) -> np.ndarray:
    return Session(path, Preprocessing(size=SIDE), outputs=("features",)).run(images)[0]


def test_it_is_made_once_and_gives_nearly_the_same_features(exported: Any) -> None:
    backbone = exported()
    small = quantise(backbone, views(16))
    assert (small.precision, backbone.precision) == ("int8", "float32")
    assert small.sha256 == hashlib.sha256(small.path.read_bytes()).hexdigest() != backbone.sha256
    assert is_quantised(small.path.read_bytes())
    one, other = features(backbone.path, views(20, 1)), features(small.path, views(20, 1))
    assert not np.array_equal(one, other)
    assert np.abs(one - other).max() < 0.05 * np.abs(one).max()
    assert small.cosine is not None
    assert small.cosine > 0.99
    before = small.path.stat().st_mtime_ns
    assert quantise(backbone, views(16)) == small
    assert small.path.stat().st_mtime_ns == before
    # Other images give other ranges, and so another network beside it.
    assert quantise(backbone, views(16, 2)).path != small.path


def test_weights_keep_to_seven_bits_and_the_first_layers_to_float(exported: Any) -> None:
    graph = onnx.load(str(quantise(exported(), views(16)).path)).graph
    weights = [onnx.numpy_helper.to_array(w) for w in graph.initializer if w.data_type == onnx.TensorProto.INT8]
    large = [w for w in weights if w.ndim == 4]
    assert [w.shape[:2] for w in large] == [(12, 1), (16, 12)]
    # Full weights would be cut off by processors that add two products in 16 bits.
    assert all(np.abs(w.astype(int)).max() <= 64 for w in large)


def test_a_damaged_or_half_written_one_is_made_again(exported: Any) -> None:
    backbone = exported()
    small = quantise(backbone, views(16))
    whole = small.path.read_bytes()
    small.path.write_bytes(whole[: len(whole) // 2])
    assert quantise(backbone, views(16)) == small
    assert small.path.read_bytes() == whole
    # A run that was killed before its facts were written leaves the network alone.
    (facts,) = small.path.parent.glob("*-int8-*.json")
    for damage in (lambda: facts.unlink(), lambda: facts.write_text("{"), lambda: facts.write_text("[1]")):
        damage()
        assert quantise(backbone, views(16)) == small


def test_a_run_that_is_killed_leaves_nothing_that_is_taken_for_a_network(exported: Any, tmp_path: Path) -> None:
    backbone = exported()
    np.save(tmp_path / "views.npy", views(16))
    code = (
        "import os, pickle, signal, sys, numpy, logolens.models.backbones.int8 as int8\n"
        "write = int8.write_atomically\n"
        "int8.write_atomically = lambda path, data: (write(path, data), os.kill(os.getpid(), signal.SIGKILL))\n"
        f"int8.quantise(pickle.load(sys.stdin.buffer), numpy.load({str(tmp_path / 'views.npy')!r}))"
    )
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("needs a signal that cannot be caught")
    import pickle

    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(backbone), capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert not list(backbone.path.parent.glob("*.json"))
    assert quantise(backbone, views(16)).path.exists()


def test_too_few_images_are_refused(exported: Any) -> None:
    with pytest.raises(DataError, match=rf"15 are too few of the {LEAST_IMAGES}.*--precision float32"):
        quantise(exported(), views(15))
    with pytest.raises(DataError, match="0 are too few"):
        quantise(exported(), views(0))


def test_a_network_with_nothing_to_quantise_is_refused_by_name(exported: Any) -> None:
    with pytest.raises(UsageError, match=r"The backbone small cannot be had at int8.*no convolutions beside"):
        quantise(exported(convolutions=False), views(16))


def test_a_network_that_is_no_longer_itself_is_refused(exported: Any) -> None:
    backbone = exported(scale=float("nan"))
    with pytest.raises(UsageError, match="The backbone small cannot be had at int8"):
        quantise(backbone, views(16))
    assert [path.name for path in backbone.path.parent.iterdir()] == ["small.onnx"]


def test_a_network_that_the_quantiser_cannot_read_is_refused(exported: Any) -> None:
    backbone = exported()
    backbone.path.write_bytes(b"no network")
    with pytest.raises(UsageError, match="The backbone small cannot be had at int8"):
        quantise(dataclasses.replace(backbone, sha256="0" * 64), views(16))


def test_what_is_in_8_bits_already_is_not_quantised_twice(exported: Any) -> None:
    small = quantise(exported(), views(16))
    with pytest.raises(UsageError, match="in 8 bits already"):
        quantised(small.path.read_bytes(), views(16))
