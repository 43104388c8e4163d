"""A timm model's facts, resolved once from timm's own configuration and kept in the cache folder."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

from logolens.config import cache_folder
from logolens.errors import UsageError
from logolens.io.atomic import write_atomically
from logolens.models.backbones.frameworks import import_timm, import_torch
from logolens.models.backbones.spec import Backbone, DataPackage, Published
from logolens.models.backbones.weights_cache import safe_name

__all__ = ["backbone_from_json", "backbone_to_json", "middle_and_last", "resolve", "timm_names"]

_FACTS = 2
"""Counts up whenever more is asked of timm, so that what was remembered before is asked anew."""


def backbone_to_json(backbone: Backbone) -> dict[str, Any]:
    """``backbone`` as plain values."""
    return dataclasses.asdict(backbone)


def backbone_from_json(facts: dict[str, Any]) -> Backbone:
    """The inverse of ``backbone_to_json``.

    Raises:
        TypeError: a field is missing or unknown.
    """
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    if values.get("published"):
        values["published"] = Published(**values["published"])
    if values.get("package"):
        values["package"] = DataPackage(**values["package"])
    return Backbone(**values)


def timm_names() -> list[str]:
    """The names of all models that timm can build.

    Raises:
        MissingExtraError: timm is not installed.
    """
    return list(import_timm().list_models())


def resolve(name: str) -> Backbone | None:
    """The facts of the timm model ``name`` (with or without a tag); None where timm knows no such model.

    Raises:
        UsageError: the model's maps cannot be used as features.
        MissingExtraError: timm is not installed.
    """
    try:
        version = importlib.metadata.version("timm")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    remembered = cache_folder() / "backbones" / f"timm-{safe_name(name)}-{version}-{_FACTS}.json"
    try:
        return backbone_from_json(json.loads(remembered.read_bytes()))
    except (OSError, ValueError, TypeError, AttributeError):
        pass  # not there yet, or damaged: it is made again
    timm = import_timm()
    if not re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?", name) or not timm.is_model(name):
        return None
    backbone = _examine(timm, name)
    write_atomically(remembered, json.dumps(backbone_to_json(backbone), indent=1).encode())
    return backbone


def _examine(timm: Any, name: str) -> Backbone:
    torch = import_torch()
    try:
        # On the meta device no number is computed: only the shapes are of interest.
        with torch.device("meta"), torch.no_grad():
            model = timm.create_model(name, pretrained=False, num_classes=0).eval()
            config = dict(model.pretrained_cfg)
            side = int(config["input_size"][-1])
            image = torch.zeros(1, 3, side, side)
            maps = last, middle, channels = _maps(model, image)
            parameters = sum(parameter.numel() for parameter in model.parameters())
            step = _step(model, side, maps) if config.get("fixed_input_size") else 1
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"The timm model {name!r} cannot serve as a backbone: a trial pass failed "
            f"({type(error).__name__}: {error}). Choose another one; `logolens backbones` lists them."
        ) from error
    classifier = config.get("classifier") or ()
    prefixes = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    tag = config.get("tag") or ""
    return Backbone(
        name=f"timm/{name}",
        family=type(model).__name__,
        library="timm",
        architecture=name,
        channels=channels,
        parameters=parameters,
        last=last,
        middle=middle,
        origin=f"timm's {config.get('architecture', name)}{f'.{tag}' if tag else ''}",
        license=str(config.get("license") or "as published with the weights"),
        size=side,
        # A multiple of the step, of two patches or more.
        min_size=32 if step <= 1 else step * max(2, -(-32 // step)),
        fixed_size=step == 0,
        step=max(step, 1),
        mean=_scaled(config["mean"]),
        std=_scaled(config["std"]),
        interpolation=str(config.get("interpolation") or "bicubic"),
        crop=float(config.get("crop_pct") or 1.0),
        classifier=tuple(f"{prefix}." for prefix in prefixes),
        published=_published(config, name, tag),
    )


def _step(model: Any, side: int, maps: tuple[str, str, tuple[int, int]]) -> int:
    """The pixels of which every side must be a multiple; 0 where the model takes its own side alone.

    timm's own ``set_input_size`` resamples what stands for places (position embeddings, tables of relative positions). That it
    does is seen by a trial at another side, which leaves the model at that side.
    """
    torch = import_torch()
    if not hasattr(model, "set_input_size"):
        return 0
    info = getattr(model, "feature_info", None) or []
    stages = info if isinstance(info, list) else info.get_dicts()
    step = max((int(stage.get("reduction") or 0) for stage in stages), default=0)
    if step == 0:
        return 0
    other = 4 * step if side != 4 * step else 6 * step
    try:
        model.set_input_size(img_size=(other, other))
        same = _maps(model, torch.zeros(1, 3, other, other)) == maps
    except Exception:  # Whatever a model stumbles over; it is then taken at its own size.
        return 0
    return step if same else 0


def _maps(model: Any, image: Any) -> tuple[str, str, tuple[int, int]]:
    """Which modules give the last and the middle map, and their widths."""
    last = model.forward_features(image)
    info = getattr(model, "feature_info", None) or []
    stages = info if isinstance(info, list) else info.get_dicts()
    middles = [stage for stage in stages if stage.get("reduction") == 16 and stage.get("module")]
    if last.ndim == 4 and last.shape[1] == model.num_features and middles:
        name, seen = middles[-1]["module"], []
        hook = model.get_submodule(name).register_forward_hook(lambda _module, _input, output: seen.append(output))
        model.forward_features(image)
        hook.remove()
        if seen and getattr(seen[-1], "ndim", 0) == 4 and seen[-1].shape[1] == middles[-1]["num_chs"]:
            return "forward_features", name, (int(last.shape[1]), int(seen[-1].shape[1]))
    if not hasattr(model, "forward_intermediates"):
        raise UsageError(
            f"The timm model {type(model).__name__} gives neither maps nor intermediate tokens, so it cannot serve "
            "as a backbone. Choose another one; `logolens backbones` lists them."
        )
    last, middle = model.forward_intermediates(
        image, indices=middle_and_last(model), norm=True, output_fmt="NCHW", intermediates_only=True
    )[::-1]
    return "forward_intermediates", "forward_intermediates", (int(last.shape[1]), int(middle.shape[1]))


def middle_and_last(model: Any) -> list[int]:
    """Which two of a timm model's intermediate outputs serve as the middle and the last map.

    Hierarchical models list one output a stage: the last two but the stride. Plain transformers list one a block, all
    of one stride: the block at two thirds of the depth and the last.
    """
    info = getattr(model, "feature_info", None) or []
    stages = info if isinstance(info, list) else info.get_dicts()
    strides = [stage.get("reduction") for stage in stages]
    count = len(strides) or len(model.blocks)
    if len(set(strides)) > 1:
        return [count - 2, count - 1]
    return [max(count * 2 // 3 - 1, 0), count - 1]


def _scaled(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) * 255.0 for value in values)
    return red, green, blue


def _published(config: dict[str, Any], name: str, tag: str) -> Published | None:
    architecture = str(config.get("architecture") or name.split(".")[0])
    stem = f"timm_{architecture}{f'.{tag}' if tag else ''}"
    if repository := config.get("hf_hub_id"):
        return Published(f"{stem}.safetensors", "hf", str(repository))
    if (url := config.get("url")) and str(url).endswith((".pth", ".pt", ".safetensors")):
        digest = re.search(r"-([0-9a-f]{8,64})\.\w+$", str(url))
        return Published(f"{stem}{Path(str(url)).suffix}", "url", str(url), digest.group(1) if digest else "")
    return None
