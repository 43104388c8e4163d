"""Larger networks of timm, by what they learned from and what that is good for on logos; their facts, without PyTorch.

Text decides: on logo retrieval, networks that were pre-trained on pictures with their texts are ahead of those trained on
ImageNet's labels (Hubenthal and Kumar, "Image-Text Pre-Training for Logo Recognition", WACV 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from logolens.models.backbones.spec import Backbone, Published

__all__ = ["GROUPS", "Group", "Named"]


@dataclass(frozen=True)
class Named:
    """A network of timm that is listed.

    Attributes:
        backbone: its facts.
        multiply_adds: of a pass at its own size, in billions.
    """

    backbone: Backbone
    multiply_adds: float


@dataclass(frozen=True)
class Group:
    """Networks that learned in one way.

    Attributes:
        title: how they learned.
        suits: what they are good for on logos.
        networks: the smallest first.
    """

    title: str
    suits: str
    networks: tuple[Named, ...]


def _scaled(red: float, green: float, blue: float) -> tuple[float, float, float]:
    return red * 255.0, green * 255.0, blue * 255.0


_IMAGENET: dict[str, Any] = {"mean": _scaled(0.485, 0.456, 0.406), "std": _scaled(0.229, 0.224, 0.225)}
_CLIP: dict[str, Any] = {
    "mean": _scaled(0.48145466, 0.4578275, 0.40821073),
    "std": _scaled(0.26862954, 0.26130258, 0.27577711),
}
_HALVES: dict[str, Any] = {"mean": _scaled(0.5, 0.5, 0.5), "std": _scaled(0.5, 0.5, 0.5)}


def _timm(
    name: str,
    family: str,
    parameters: int,
    multiply_adds: float,
    channels: tuple[int, int],
    maps: tuple[str, str] = ("forward_intermediates", "forward_intermediates"),
    *,
    step: int = 1,
    head: str = "head.",
    license: str = "apache-2.0",
    **facts: Any,
) -> Named:
    settings: dict[str, Any] = {
        "name": f"timm/{name}",
        "family": family,
        "library": "timm",
        "architecture": name,
        "channels": channels,
        "parameters": parameters,
        "last": maps[0],
        "middle": maps[1],
        "origin": f"timm's {name}",
        "license": license,
        "min_size": 32 if step == 1 else step * max(2, -(-32 // step)),
        "step": step,
        "interpolation": "bicubic",
        "classifier": (head,),
        "published": Published(f"timm_{name}.safetensors", "hf", f"timm/{name}"),
    }
    return Named(Backbone(**{**settings, **facts}), multiply_adds)


def _convnext(name: str, family: str, parameters: int, multiply_adds: float, width: int, **facts: Any) -> Named:
    maps = ("forward_features", "stages.2")
    return _timm(name, family, parameters, multiply_adds, (width, width // 2), maps, head="head.fc.", **facts)


def _efficientnet_v2(name: str, parameters: int, multiply_adds: float, middle: int, **facts: Any) -> Named:
    maps = ("forward_features", "blocks.4")
    return _timm(name, "EfficientNetV2", parameters, multiply_adds, (1280, middle), maps, head="classifier.", **facts)


GROUPS: tuple[Group, ...] = (
    Group(
        "learned from pictures with their texts",
        "the first to try: they see names and lettering, and are ahead on logo retrieval",
        (
            _timm(
                "vit_base_patch32_clip_224.datacompxl", "CLIP", 87_456_000, 4.4, (768, 768), step=32, crop=1.0, **_CLIP
            ),
            _timm(
                "vit_base_patch32_siglip_256.v2_webli", "SigLIP 2", 94_552_320, 5.7, (768, 768),
                step=32, size=256, crop=0.9, **_HALVES,
            ),
            _timm(
                "vit_medium_patch16_clip_224.tinyclip_yfcc15m", "CLIP", 38_325_248, 8.0, (512, 512),
                step=16, crop=0.9, license="mit", **_CLIP,
            ),
            _timm(
                "vit_base_patch16_siglip_224.v2_webli", "SigLIP 2", 92_884_224, 17.5, (768, 768),
                step=16, crop=0.9, **_HALVES,
            ),
            _timm(
                "vit_base_patch16_clip_224.datacompxl", "CLIP", 85_799_424, 17.6, (768, 768), step=16, crop=1.0, **_CLIP
            ),
            _timm(
                "eva02_base_patch16_clip_224.merged2b", "EVA-02", 85_869_312, 17.6, (768, 768),
                step=16, crop=0.9, license="mit", **_CLIP,
            ),
            _convnext(
                "convnext_base.clip_laion2b", "ConvNeXt", 87_566_464, 20.1, 1024, size=256, crop=1.0, **_CLIP
            ),
        ),
    ),
    Group(
        "learned from pictures alone, without labels",
        "parts and textures, so packs and marks that differ in details; they know no names",
        (
            _convnext(
                "convnext_tiny.dinov3_lvd1689m", "DINOv3", 27_820_128, 4.5, 768,
                crop=1.0, license="dinov3-license", **_IMAGENET,
            ),
            _timm(
                "vit_small_patch16_dinov3.lvd1689m", "DINOv3", 21_586_944, 6.2, (384, 384),
                step=16, size=256, crop=1.0, license="dinov3-license", **_IMAGENET,
            ),
            _timm(
                "vit_small_patch14_dinov2.lvd142m", "DINOv2", 22_056_192, 46.7, (384, 384),
                step=14, size=518, crop=1.0, **_IMAGENET,
            ),
            _timm(
                "vit_base_patch14_dinov2.lvd142m", "DINOv2", 86_579_712, 151.6, (768, 768),
                step=14, size=518, crop=1.0, **_IMAGENET,
            ),
        ),
    ),
    Group(
        "learned from labels, or from masked pictures",
        "kinds of things, as the networks above; worth it with fine-tuning and some hundred photos a label",
        (
            _efficientnet_v2("tf_efficientnetv2_b0.in1k", 5_858_704, 0.5, 112, size=192, crop=0.875, **_IMAGENET),
            _convnext("convnext_tiny.fb_in22k_ft_in1k", "ConvNeXt", 27_820_128, 4.5, 768, crop=0.875, **_IMAGENET),
            _timm(
                "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k", "Swin", 27_519_354, 4.5, (768, 384),
                step=32, head="head.fc.", crop=0.9, license="mit", **_IMAGENET,
            ),
            _efficientnet_v2(
                "tf_efficientnetv2_s.in21k_ft_in1k", 20_177_488, 5.3, 160, size=300, crop=1.0, **_HALVES
            ),
            _timm(
                "eva02_small_patch14_224.mim_in22k", "EVA-02", 21_621_120, 6.1, (384, 384),
                step=14, crop=0.9, license="mit", **_CLIP,
            ),
        ),
    ),
)  # fmt: skip
"""The text-aware first, as they are on logos."""
