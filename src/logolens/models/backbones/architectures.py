"""The names by which the classic retraining scripts call their networks, and the backbones that these names mean."""

from __future__ import annotations

import re

from logolens.errors import UsageError
from logolens.models.backbones.catalogue import find

__all__ = ["resolve_architecture"]

_V2 = re.compile(r"mobilenet_v2_(?:(\d\.\d{1,2}|\d{3})_)?(\d{2,4})")
_V1_CHOICE = (
    "MobileNet V1 is called mobilenet_<width>_<size>, its width one of 1.0, 0.75, 0.50, 0.25 and its size one of 224, "
    "192, 160, 128, as in mobilenet_0.50_224."
)


def resolve_architecture(name: str) -> tuple[str, int | None]:
    """The backbone that an architecture's name means, and the side of its input where the name tells it.

    Known are ``inception_v3``, ``mobilenet_<width>_<size>`` (MobileNet V1), ``mobilenet_v2_<size>``, and the name of
    any backbone, whose size is then None, which stands for the backbone's own.

    Raises:
        UsageError: there is no such architecture; the message names those that are near, or the whole choice.
        MissingExtraError: a timm model is named with ``timm/`` and timm is not installed.
    """
    wanted = name.strip()
    if wanted.endswith("_quantized"):
        plain = wanted.removesuffix("_quantized")
        raise UsageError(
            f"The architecture {wanted!r} asks for training with simulated quantization, which is not offered. Train "
            f"{plain!r} and export the result to int8 with `logolens export BUNDLE --format onnx-int8`."
        )
    if match := _V2.fullmatch(wanted):
        return _v2(wanted, *match.groups())
    try:
        backbone = find(wanted)
    except UsageError as error:
        if re.match(r"mobilenet_(v1_)?\d", wanted):
            raise UsageError(f"There is no architecture {wanted!r}. {_V1_CHOICE}") from error
        raise UsageError(
            f"There is no architecture {wanted!r}: give inception_v3, mobilenet_<width>_<size> such as "
            f"mobilenet_0.50_224, mobilenet_v2_<size> such as mobilenet_v2_224, or a backbone's name. {error}"
        ) from error
    return backbone.name, backbone.size if backbone.architecture == "mobilenet_v1" else None


def _v2(name: str, width: str | None, size: str) -> tuple[str, int | None]:
    # TensorFlow Hub writes mobilenet_v2_100_224.
    if width is not None and width not in {"1.0", "1.00", "100"}:
        raise UsageError(
            f"There is no architecture {name!r}: MobileNet V2 is offered at its full width only. Give "
            f"mobilenet_v2_{size}, or a narrower MobileNet V1 such as mobilenet_0.50_224."
        )
    backbone, side = find("mobilenet_v2"), int(size)
    if side > 1024:
        raise UsageError(f"There is no architecture {name!r}: images have at most 1024 pixels a side.")
    return backbone.name, backbone.side(side)
