"""The names by which the classic retraining scripts call their networks, and the backbones that these names mean."""

from __future__ import annotations

import re

from logolens.backbones.catalogue import find
from logolens.errors import UsageError

__all__ = ["resolve_architecture"]

_SIZES = ("224", "192", "160", "128")
_V1_WIDTHS = {1.0: "1.0", 0.75: "0.75", 0.5: "0.50", 0.25: "0.25"}
# TensorFlow's scripts write "mobilenet_0.50_224", TensorFlow Hub "mobilenet_v1_050_224" and "mobilenet_v2_100_224".
_NUMBER = r"\d\.\d{1,2}|\d{3}|1"
_V1 = re.compile(rf"mobilenet_(?:v1_)?({_NUMBER})_(\d+)")
_V2 = re.compile(rf"mobilenet_v2_(?:({_NUMBER})_)?(\d+)")


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
    if match := _V1.fullmatch(wanted):
        return _v1(wanted, *match.groups())
    if match := _V2.fullmatch(wanted):
        return _v2(wanted, *match.groups())
    if re.match(r"mobilenet_(v1_)?\d", wanted):
        raise UsageError(f"There is no architecture {wanted!r}. {_v1_choice()}")
    try:
        return find(wanted).name, None
    except UsageError as error:
        raise UsageError(
            f"There is no architecture {wanted!r}: give inception_v3, mobilenet_<width>_<size> such as "
            f"mobilenet_0.50_224, mobilenet_v2_<size> such as mobilenet_v2_224, or a backbone's name. {error}"
        ) from error


def _v1(name: str, width: str, size: str) -> tuple[str, int | None]:
    known = _V1_WIDTHS.get(_number(width))
    if known is None or size not in _SIZES:
        raise UsageError(f"There is no architecture {name!r}. {_v1_choice()}")
    return find(f"mobilenet_{known}_{size}").name, int(size)


def _v1_choice() -> str:
    return (
        f"MobileNet V1 is called mobilenet_<width>_<size>, its width one of {', '.join(_V1_WIDTHS.values())} and its "
        f"size one of {', '.join(_SIZES)}, as in mobilenet_0.50_224."
    )


def _v2(name: str, width: str | None, size: str) -> tuple[str, int | None]:
    if width is not None and _number(width) != 1.0:
        raise UsageError(
            f"There is no architecture {name!r}: MobileNet V2 is offered at its full width only. Give "
            f"mobilenet_v2_{size}, or a narrower MobileNet V1 such as mobilenet_0.50_224."
        )
    backbone = find("mobilenet_v2")
    side = int(size)
    backbone.side(side)
    if side > 1024:
        raise UsageError(f"There is no architecture {name!r}: images have at most 1024 pixels a side.")
    return backbone.name, side


def _number(text: str) -> float:
    """A width: "0.5", "0.50", "050" and "1" are the ways to write it."""
    return float(text) if "." in text or text == "1" else int(text) / 100
