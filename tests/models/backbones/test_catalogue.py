"""The catalogue's facts: written down without PyTorch, and true to the libraries that build the networks."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from logolens.errors import UsageError
from logolens.models.backbones import GROUPS, Backbone, Named, catalogue, find

# Not importorskip: timm imports torchvision, which may only be imported in logolens' own way.
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "timm")), reason="needs the extra train"
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path / "cache"))


OF_TIMM = [named for group in GROUPS for named in group.networks]
OTHERS = [backbone for backbone in catalogue() if not backbone.name.startswith("timm/")]


def _without_torch(code: str) -> str:
    """Run code in an interpreter of its own; its last line says whether PyTorch was imported."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_the_catalogue_and_its_presence_on_disk_are_told_without_torch() -> None:
    code = "import logolens.models.backbones as b; [(x, b.here(x)) for x in b.catalogue()]; b.find('resnet18')"
    assert _without_torch(code) == "False"


def test_names_are_unique_and_the_default_comes_first() -> None:
    names = [backbone.name for backbone in catalogue()]
    assert names[0] == "efficientnet_lite0"
    assert len(set(names)) == len(names) == len(OTHERS) + len(OF_TIMM)
    assert len(OTHERS) == 26
    assert catalogue()[0].width() == 2784
    assert find("mobilenet_v2").width() == 2752
    assert find("mobilenet_v2").width("avg") == 1280


@pytest.mark.parametrize("backbone", OTHERS, ids=lambda backbone: backbone.name)
def test_facts_agree_with_the_network_that_is_built(backbone: Backbone) -> None:
    import torch

    from logolens.models.backbones.frameworks import import_timm, import_torchvision
    from logolens.models.backbones.module import Network, body_of

    libraries = {"timm": import_timm, "torchvision": import_torchvision, "logolens": lambda: None}
    library = libraries[backbone.library]()
    with torch.device("meta"), torch.no_grad():
        network = Network(body_of(backbone, library), backbone)
        last, middle = network.maps(torch.zeros(1, 3, backbone.size, backbone.size))
    assert sum(parameter.numel() for parameter in network.body.parameters()) == backbone.parameters
    assert (last.shape[1], middle.shape[1]) == backbone.channels
    assert abs(backbone.size / middle.shape[2] - 16) < 2.5  # Inception and AlexNet do not pad
    assert last.shape[2] < middle.shape[2]


@pytest.mark.parametrize(
    "backbone", [one for one in catalogue() if one.library == "torchvision"], ids=lambda backbone: backbone.name
)
def test_the_published_file_and_preprocessing_are_torchvisions_own(backbone: Backbone) -> None:
    from logolens.models.backbones.frameworks import import_torchvision

    entry = import_torchvision().models.get_model_weights(backbone.architecture).IMAGENET1K_V1
    transforms = entry.transforms()
    assert backbone.published is not None
    assert entry.url == f"https://download.pytorch.org/models/{backbone.published.path}"
    assert backbone.published.sha256 in backbone.published.file
    assert len(backbone.published.sha256) == 8
    assert transforms.crop_size == [backbone.size]
    assert transforms.crop_size[0] / transforms.resize_size[0] == pytest.approx(backbone.crop, abs=0.001)
    assert transforms.interpolation.value == backbone.interpolation
    if backbone.family != "Inception":  # whose network scales once more
        assert [255 * value for value in transforms.mean] == pytest.approx(backbone.mean)
        assert [255 * value for value in transforms.std] == pytest.approx(backbone.std)


def test_inceptions_scaling_equals_torchvisions_detour() -> None:
    import torch

    from logolens.models.backbones.frameworks import import_torchvision

    backbone = find("googlenet")
    model = import_torchvision().models.googlenet(
        weights=None, transform_input=True, aux_logits=False, init_weights=False
    )
    image = torch.rand(1, 3, 8, 8) * 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    theirs = model._transform_input((image / 255 - mean) / std)
    ours = (image - torch.tensor(backbone.mean).view(1, 3, 1, 1)) / torch.tensor(backbone.std).view(1, 3, 1, 1)
    assert torch.allclose(theirs, ours, atol=1e-5)


def test_a_timm_model_takes_its_facts_from_timm_and_is_remembered(tmp_path: Path) -> None:
    backbone = find("mobilenetv3_small_050")
    assert backbone == find("timm/mobilenetv3_small_050")
    assert backbone.name == "timm/mobilenetv3_small_050"
    assert backbone.size == 224
    assert backbone.mean == pytest.approx((123.675, 116.28, 103.53))
    assert backbone.published is not None
    assert backbone.published.path == "timm/mobilenetv3_small_050.lamb_in1k"
    remembered = list((tmp_path / "cache" / "backbones").glob("timm-mobilenetv3_small_050-*.json"))
    assert len(remembered) == 1
    assert _without_torch("from logolens.models.backbones import find; find('timm/mobilenetv3_small_050')") == "False"

    remembered[0].write_bytes(remembered[0].read_bytes()[:100])
    assert find("mobilenetv3_small_050") == backbone
    json.loads(remembered[0].read_bytes())


def test_a_name_that_both_libraries_know_is_torchvisions_unless_timm_is_named() -> None:
    assert find("resnet18").library == "torchvision"
    assert find("timm/resnet18.a1_in1k").library == "timm"


@pytest.mark.parametrize(
    ("name", "channels", "step"),
    [("vit_tiny_patch16_224", (192, 192), 16), ("swin_tiny_patch4_window7_224", (768, 384), 32)],
)
def test_transformers_give_maps_too_and_take_multiples_of_their_patches(
    name: str, channels: tuple[int, int], step: int
) -> None:
    backbone = find(name)
    assert backbone.channels == channels
    assert backbone.middle == "forward_intermediates"
    assert (backbone.fixed_size, backbone.step, backbone.min_size) == (False, step, 2 * step)
    assert backbone.side(160) == 160
    with pytest.raises(UsageError, match=rf"patches of {step} pixels .*; give 128 or {128 + step} instead of 129"):
        backbone.side(129)
    with pytest.raises(UsageError, match="too small"):
        backbone.side(16)


def test_what_knows_its_own_places_alone_takes_its_own_size_alone() -> None:
    backbone = find("mixer_s32_224")
    assert backbone.fixed_size
    with pytest.raises(UsageError, match="takes images of 224 pixels only, not of 160"):
        backbone.side(160)


QUICK = {"timm/tf_efficientnetv2_b0.in1k", "timm/vit_small_patch14_dinov2.lvd142m"}


@pytest.mark.parametrize(
    "named",
    [pytest.param(n, marks=() if n.backbone.name in QUICK else pytest.mark.slow, id=n.backbone.name) for n in OF_TIMM],
)
def test_facts_of_what_is_listed_of_timm_are_timms_own(named: Named) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from logolens.models.backbones.frameworks import import_timm
    from logolens.models.backbones.module import Network, body_of
    from logolens.models.backbones.resolve import resolve

    backbone = named.backbone
    theirs = resolve(backbone.architecture)
    assert theirs is not None
    assert dataclasses.replace(theirs, family=backbone.family) == backbone
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network = Network(body_of(backbone, import_timm()), backbone)
        network.maps(torch.zeros(1, 3, backbone.size, backbone.size))
    assert counter.get_total_flops() / 2e9 == pytest.approx(named.multiply_adds, abs=0.06)


def test_the_families_that_people_ask_for_are_listed_the_text_aware_first(capsys: pytest.CaptureFixture[str]) -> None:
    from logolens.cli import main

    assert main(["backbones"]) == 0
    said = capsys.readouterr().out
    for family in ("DINOv2", "DINOv3", "CLIP", "SigLIP 2", "ConvNeXt", "EVA-02", "Swin", "EfficientNetV2"):
        assert f"  {family} " in said, family
    assert said.index("pictures with their texts") < said.index("without labels") < said.index("from labels")
    assert "dinov3-license" in said


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no backbone called 'efficientnet-lite0'.*efficientnet_lite0"):
        find("efficientnet-lite0")
    with pytest.raises(UsageError, match=r"nearest are: mobilenet_v2"):
        find("mobilenet_v")
    with pytest.raises(UsageError, match=r"mobilenetv3_small_100"):
        find("timm/mobilenetv3_smal_100")


@pytest.mark.parametrize("name", ["", "  ", "../../etc/passwd", "hf-hub:some/model", "timm/", "x" * 300])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="There is no backbone called"):
        find(name)


def test_sizes_and_poolings_are_bounded() -> None:
    assert find("resnet18").side() == 224
    assert find("resnet18").side(128) == 128
    with pytest.raises(UsageError, match="too small for the backbone inception_v3; give at least 75"):
        find("inception_v3").side(64)
    with pytest.raises(UsageError, match="choose one of: rich, avg"):
        find("resnet18").width("max")


def test_torchvision_is_imported_once_also_where_its_operators_are_missing() -> None:
    from logolens.models.backbones.frameworks import import_torchvision

    module = import_torchvision()
    assert module is import_torchvision()
    assert module.models.resnet18(weights=None).fc.in_features == 512
