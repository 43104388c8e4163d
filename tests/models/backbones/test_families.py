"""Each family of networks walks the whole road at its own preprocessing: trained, evaluated, asked, summarised, fine-tuned,
exported.

The weights are random, so no figure is judged here: what is judged is that each step runs and tells the network's own facts.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from logolens.cli import main
from logolens.models.backbones import find

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "timm", "safetensors")),
    reason="needs the extra train",
)

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
CLIP = ((122.7709383, 116.7460125, 104.0937362), (68.5005327, 66.6321579, 70.3231631))
PLUS_MINUS_ONE = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
LABELS = {"acme", "bolt", "crest"}


@dataclass(frozen=True)
class Family:
    """A family's small member.

    Attributes:
        backbone: its name.
        side: of its input in the test: its own where that is quick, else a small one that it takes.
        scaling: mean and standard deviation that its publisher trained it with.
        features: width of what the head learns from.
        first: kind of the first layer that holds parameters.
    """

    backbone: str
    side: int
    scaling: tuple[tuple[float, ...], tuple[float, ...]]
    features: int
    first: str = "Conv2d"

    @property
    def id(self) -> str:
        return f"{self.backbone.removeprefix('timm/')}-{self.side}"


QUICK = [
    Family("resnet18", 64, IMAGENET, 1536),
    Family("mobilenet_0.25_128", 128, PLUS_MINUS_ONE, 768),
    Family("mobilenet_v2", 64, IMAGENET, 2752),
    Family("timm/test_vit.r160_in1k", 96, PLUS_MINUS_ONE, 256),  # A transformer, its positions resampled.
]
SLOW = [
    Family("timm/mobilenetv3_small_050", 64, IMAGENET, 624),
    Family("inception_v3", 75, PLUS_MINUS_ONE, 5632),
    Family("vgg11", 48, IMAGENET, 2048),
    Family("alexnet", 64, IMAGENET, 1024),
    Family("alexnet", 224, IMAGENET, 1024),
    Family("vgg11", 224, IMAGENET, 2048),
    Family("resnet18", 224, IMAGENET, 1536),
    Family("inception_v3", 299, PLUS_MINUS_ONE, 5632),
    Family("mobilenet_v2", 224, IMAGENET, 2752),
    Family("mobilenet_v3_small", 224, IMAGENET, 1248),
    Family("timm/mobilenetv3_small_050", 224, IMAGENET, 624),
    Family("timm/vit_small_patch14_dinov2.lvd142m", 56, IMAGENET, 1536),
    Family("timm/vit_small_patch16_dinov3.lvd1689m", 64, IMAGENET, 1536),
    Family("timm/convnext_tiny.dinov3_lvd1689m", 64, IMAGENET, 2304),
    Family("timm/vit_medium_patch16_clip_224.tinyclip_yfcc15m", 64, CLIP, 2048),
    Family("timm/vit_base_patch32_siglip_256.v2_webli", 64, PLUS_MINUS_ONE, 3072),
    Family("timm/convnext_tiny.fb_in22k_ft_in1k", 64, IMAGENET, 2304),
    Family("timm/eva02_small_patch14_224.mim_in22k", 56, CLIP, 1536),
    Family("timm/swin_tiny_patch4_window7_224.ms_in22k_ft_in1k", 64, IMAGENET, 2304),
    Family("timm/tf_efficientnetv2_b0.in1k", 64, IMAGENET, 2784),
]


BRIEF = {"mobilenet_0.25_128-128", "test_vit.r160_in1k-96"}
"""Which are also fine-tuned and exported when time is short."""


@dataclass(frozen=True)
class Run:
    """A family, what it was trained from and on, and the bundle."""

    family: Family
    weights: Path
    data: Path
    bundle: Path

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.bundle / "manifest.json").read_text(encoding="utf-8")))

    def train(self, out: Path, *more: str) -> int:
        """Train at the command line, a few epochs."""
        size = [] if self.family.side == find(self.family.backbone).size else ["--size", str(self.family.side)]
        network = ["--backbone", self.family.backbone, "--weights", str(self.weights), *size]
        quick = ["--epochs", "8", "--val", "0.25", "--words", "off"]
        return main(["train", str(self.data), "--out", str(out), *network, *quick, *more])


@pytest.fixture(scope="module")
def photos(make_photos: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("families") / "photos", count=7)


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(family, id=family.id) for family in QUICK),
        *(pytest.param(family, id=family.id, marks=pytest.mark.slow) for family in SLOW),
    ],
)
def run(request: pytest.FixtureRequest, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One family, trained."""
    from networks import random_backbone
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("family")
    family = request.param
    weights = folder / "random.safetensors"
    save_file(random_backbone(find(family.backbone), seed=3).body.state_dict(), weights)
    made = Run(family, weights, photos, folder / "bundle")
    assert made.train(made.bundle, "--test", "0.25") == 0
    yield made
    weights.unlink()  # up to 87 MB each


def test_it_trains_with_its_own_facts(run: Run) -> None:
    family, manifest = run.family, run.manifest
    mean, std = family.scaling
    assert manifest["backbone"]["name"] == family.backbone
    assert manifest["backbone"]["features"] == family.features
    assert manifest["backbone"]["weights_origin"] == "the file random.safetensors given by the user"
    assert manifest["backbone"]["size"] == manifest["preprocessing"]["size"] == family.side
    assert manifest["preprocessing"]["mean"] == pytest.approx(mean)
    assert manifest["preprocessing"]["std"] == pytest.approx(std)
    assert set(manifest["labels"]) == LABELS
    assert manifest["head"]["layers"][0][0] == family.features


def test_it_evaluates(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run.bundle), str(run.data), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["n"] == 21
    assert 0 <= figures["top1"] <= 1
    assert set(figures["per_class"]) == LABELS


def test_it_predicts(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["acme/acme-1.jpg", "bolt/bolt-0.png"]
    assert main(["predict", str(run.bundle), *(str(run.data / name) for name in names), "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(answer["image"]).name for answer in answers] == ["acme-1.jpg", "bolt-0.png"]
    for answer in answers:
        assert set(answer["scores"]) >= LABELS
        assert sum(answer["scores"].values()) == pytest.approx(1, abs=1e-3)


def test_its_summary_shows_each_layer(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(run.bundle)]) == 0
    said = capsys.readouterr().out
    parameters = run.manifest["backbone"]["parameters"]
    # At another side a transformer has another number of places, and of nothing else.
    assert parameters == pytest.approx(find(run.family.backbone).parameters, rel=0.05)
    assert f"{run.family.side} x {run.family.side} x 3" in said
    assert f"{parameters:,} frozen" in said
    assert sum(layer["parameters"] for layer in run.manifest["layers"]) == parameters
    weighty = [layer for layer in run.manifest["layers"] if layer["parameters"]]
    assert weighty[0]["kind"] == run.family.first
    assert not any(layer["trainable"] for layer in weighty)


def _unless_time_is_short(family: Family) -> None:
    if family.id not in BRIEF and os.environ.get("LOGOLENS_SLOW") != "1":
        pytest.skip("slow; LOGOLENS_SLOW=1 runs it")


def _answers(bundle: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> list[dict[str, float]]:
    """The scores of a few photos."""
    capsys.readouterr()
    assert (
        main(["predict", str(bundle), *(str(run.data / f"{label}/{label}-1.jpg") for label in LABELS), "--json"]) == 0
    )
    return [json.loads(line)["scores"] for line in capsys.readouterr().out.splitlines()]


def test_it_fine_tunes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _unless_time_is_short(run.family)
    out = tmp_path / "bundle"
    assert run.train(out, "--finetune", "last-1-block", "--finetune-epochs", "1", "--test", "0.25") == 0
    facts = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["finetune"]
    assert len(facts["blocks"]) == 1
    assert facts["blocks_in_all"] > 1
    assert 0 < facts["trained_parameters"] < find(run.family.backbone).parameters
    assert facts["epochs"] == 1
    for scores in _answers(out, run, capsys):
        assert set(scores) >= LABELS


def test_it_tells_where(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    _unless_time_is_short(run.family)
    photo = run.data / "acme" / "acme-1.jpg"
    assert main(["predict", str(run.bundle), str(photo), "--where", "--views", "auto", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    if answer["label"] != "none":
        left, top, right, bottom = answer["box"]
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1


def test_it_exports(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command refuses to write what differs from the bundle; here the file's own answers are looked at once more."""
    import numpy as np
    import onnxruntime
    from PIL import Image

    from logolens.inference.classifier import Classifier

    _unless_time_is_short(run.family)
    file = tmp_path / "exported.onnx"
    assert main(["export", str(run.bundle), "--format", "onnx", "--out", str(file)]) == 0
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert image.shape[1:] == [run.family.side, run.family.side, 3]
    with Image.open(run.data / "acme" / "acme-1.jpg") as photo:
        square = photo.convert("RGB").resize((run.family.side, run.family.side))
    (probabilities,) = session.run(["probabilities"], {image.name: np.asarray(square)[None]})
    # What is exported is the network, which looks at the whole photo.
    (wanted,) = Classifier.load(run.bundle, views="whole").predict([square])
    assert probabilities.max() == pytest.approx(max(wanted.scores.values()), abs=1e-3)


def test_other_weights_are_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of another network ends the run before anything is written."""
    import torch

    torch.save({"features.0.0.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    other = Run(run.family, tmp_path / "other.pth", run.data, run.bundle)
    assert other.train(tmp_path / "bundle") == 1
    assert f"does not hold the weights of {run.family.backbone}" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["other.pth"]
