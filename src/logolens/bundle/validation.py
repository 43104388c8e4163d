"""The one reading of a bundle's files: regular files, of a bounded size, the manifest's types and numbers held to what they mean.

A bundle may come from anyone. What its files say is judged here, before anything is done with it; what passes can neither
hang, nor fill the memory, nor end a run with anything but a `BundleError`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from logolens.errors import BundleError
from logolens.io.files import open_regular

__all__ = ["MANIFEST", "manifest_hash", "read_file", "read_manifest", "sealed"]

MANIFEST = "manifest.json"

_MOST_BYTES = 4 << 30
"""Of any file of a bundle: twice what protobuf lets an ONNX file be."""

_MOST_MANIFEST = 256 << 20
"""A gallery of 100,000 labels has a manifest of some 60 MB."""

_DEEPEST = 32
"""Objects within objects in a manifest; ours go seven deep."""

_SEAL = "manifest_sha256"
_HASH = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[^/\\\x00-\x1f]{1,200}")


def read_file(path: Path, most: int = _MOST_BYTES) -> bytes:
    """A file of a bundle.

    Raises:
        BundleError: it cannot be read, is no regular file, or is too large.
    """
    try:
        with open_regular(path) as file:
            data = file.read(most + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BundleError(f"{path} cannot be read ({reason}); copy or train the bundle again.") from error
    if len(data) > most:
        raise BundleError(f"{path} has more than {most:,} bytes, which no bundle's file has; train the bundle again.")
    return data


def read_manifest(folder: Path, newest: int) -> dict[str, Any]:
    """What a bundle's ``manifest.json`` says, with types and numbers as they must be; its own hash is verified where it has one.

    Args:
        folder: the bundle's.
        newest: the highest format that is read.

    Raises:
        BundleError: the folder is no bundle, of a later format, or the manifest is damaged, altered or made to do harm.
    """
    path = folder / MANIFEST
    if not path.exists():
        what = "there is no such folder" if not folder.exists() else "it has no manifest.json"
        raise BundleError(f"{folder} is not a bundle: {what}. Name the folder that `logolens train --out` wrote.")
    data = read_file(path, _MOST_MANIFEST)
    try:
        manifest = _parsed(data)
        if not isinstance(manifest, dict):
            raise ValueError("it is no JSON object")
        _format(manifest, "format")
        if manifest["format"] > newest:
            raise BundleError(
                f"{folder} is a bundle of format {manifest['format']}; this release reads up to {newest}. "
                "Run: pip install -U logolens"
            )
        for name, holds in _RULES.items():
            holds(manifest, name)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BundleError(f"{path} is damaged ({reason}); copy or train the bundle again.") from error
    if _SEAL in manifest and manifest[_SEAL] != manifest_hash(manifest):
        raise BundleError(f"{path} was altered since the bundle was written; copy or train the bundle again.")
    return manifest


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """The SHA-256 of all that a manifest says but this; the order and layout of its text do not count."""
    rest = {name: value for name, value in manifest.items() if name != _SEAL}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with its own hash, as it is written."""
    # As it will be read: tuples have become lists, and keys text.
    read = json.loads(json.dumps(manifest, ensure_ascii=True, allow_nan=False))
    return {**{name: value for name, value in read.items() if name != _SEAL}, _SEAL: manifest_hash(read)}


def _parsed(data: bytes) -> Any:
    def refuse(name: str) -> Any:
        raise ValueError(f"it holds {name}, which is no number")

    if _depth(data) > _DEEPEST:
        raise ValueError("it is nested too deeply")
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error
    for number in _numbers(value):
        if not math.isfinite(number) or abs(number) > 1e300:
            raise ValueError("it holds a number that is too large")
    return value


_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def _depth(data: bytes) -> int:
    """How deep objects and lists stand within each other, told before they are parsed."""
    deepest = depth = 0
    for sign in re.findall(rb"[\[\]{}]", _QUOTED.sub(b"", data)):
        depth += 1 if sign in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _numbers(value: Any) -> Iterator[float]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)
        elif isinstance(one, int):
            yield float(one) if abs(one) < 1 << 63 else math.inf
        elif isinstance(one, float):
            yield one


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _format(manifest: Mapping[str, Any], name: str) -> None:
    _must(_is_count(manifest.get(name)) and manifest[name] > 0, f"its {name} is no whole number")


def _files(manifest: Mapping[str, Any], name: str) -> None:
    files = manifest.get(name)
    _must(isinstance(files, dict), "it names no files")
    for file, digest in manifest[name].items():
        _must(
            bool(_FILE.fullmatch(file)) and file not in (".", ".."),
            f"it names {file[:80]!r}, which is no file of a bundle",
        )
        _must(isinstance(digest, str) and bool(_HASH.fullmatch(digest)), f"the hash of {file[:80]} is no SHA-256")


def _one_calibration(value: Any, where: str) -> None:
    _must(isinstance(value, dict), f"its {where} is no object")
    for name in ("temperature", "slope"):
        if name in value:
            _must(_is_number(value[name]), f"the {name} of its {where} is no number")
    _must(value.get("temperature", 1.0) > 0, f"the temperature of its {where} is not above 0")
    threshold = value.get("threshold")
    _must(threshold is None or _is_number(threshold), f"the threshold of its {where} is no number")


def _calibration(manifest: Mapping[str, Any], name: str) -> None:
    _must(name in manifest, f"it has no {name}")
    _one_calibration(manifest[name], name)


def _closer(manifest: Mapping[str, Any], name: str) -> None:
    closer = manifest.get(name)
    if closer is None:
        return
    _must(isinstance(closer, dict), f"its {name} is no object")
    _one_calibration(closer.get("calibration"), f"{name}'s calibration")
    settings = manifest.get("settings")
    _must(isinstance(settings, dict), "it has no settings")
    for key in ("views", "pooling"):
        _must(isinstance(manifest["settings"].get(key), str), f"its setting {key} is no text")
    for key in ("weights", "stack"):
        if key in closer:
            _weights(closer[key], key)


def _weights(value: Any, where: str) -> None:
    _must(isinstance(value, dict), f"its {where} is no object")
    for name, one in value.items():
        for inner in one.values() if isinstance(one, dict) else [one] if name != "reason" else []:
            _must(inner is None or _is_number(inner), f"{name} in its {where} is no number")


def _labels(manifest: Mapping[str, Any], name: str) -> None:
    labels = manifest.get(name, [])
    _must(
        isinstance(labels, list) and all(isinstance(label, str) for label in labels), "its labels are no list of texts"
    )


def _preprocessing(manifest: Mapping[str, Any], name: str) -> None:
    facts = manifest.get(name)
    _must(isinstance(facts, dict), f"it has no {name}")
    size = manifest[name].get("size", 224)
    _must(_is_count(size) and 1 <= size <= 4096, f"the size in its {name} is no number of pixels up to 4096")
    for key in ("mean", "std"):
        values = manifest[name].get(key, [1.0, 1.0, 1.0])
        _must(
            isinstance(values, list) and len(values) == 3 and all(map(_is_number, values)),
            f"its {key} is not three numbers",
        )
    _must(all(value > 0 for value in manifest[name].get("std", [1.0])), "its std is not above 0")


def _gallery(manifest: Mapping[str, Any], name: str) -> None:
    gallery = manifest.get(name)
    if gallery is None:
        return
    _must(isinstance(gallery, dict) and isinstance(gallery.get("labels"), dict), f"its {name} has no labels")
    for label, facts in manifest[name]["labels"].items():
        threshold = facts.get("threshold") if isinstance(facts, dict) else None
        _must(_is_number(threshold), f"the threshold of {label[:80]} is no number")
        for key in ("references", "views"):
            _must(_is_count(facts.get(key, 0)), f"the number of {key} of {label[:80]} is no count")


def _object(manifest: Mapping[str, Any], name: str) -> None:
    _must(isinstance(manifest.get(name, {}), dict), f"its {name} is no object")


def _backbone(manifest: Mapping[str, Any], name: str) -> None:
    _object(manifest, name)
    for key in ("features", "parameters", "size"):
        if key in manifest.get(name, {}):
            _must(_is_count(manifest[name][key]), f"{key} of its {name} is no count")


def _layers(manifest: Mapping[str, Any], name: str) -> None:
    layers = manifest.get(name, [])
    _must(isinstance(layers, list), f"its {name} are no list")
    for layer in layers:
        whole = isinstance(layer, dict) and isinstance(layer.get("shape"), list) and _is_count(layer.get("parameters"))
        _must(whole and {"name", "kind", "trainable"} <= set(layer), f"one of its {name} is no layer")


def _pairs(manifest: Mapping[str, Any], name: str) -> None:
    pairs = manifest.get(name, [])
    _must(isinstance(pairs, list), f"its {name} is no list")
    for pair in pairs:
        two = pair.get("labels") if isinstance(pair, dict) else None
        _must(
            isinstance(two, list) and len(two) == 2 and all(isinstance(one, str) for one in two),
            f"its {name} names no pair",
        )


_RULES: dict[str, Callable[[Mapping[str, Any], str], None]] = {
    "files": _files,
    "labels": _labels,
    "calibration": _calibration,
    "preprocessing": _preprocessing,
    "settings": _object,
    "closer": _closer,
    "gallery": _gallery,
    "backbone": _backbone,
    "head": _object,
    "data": _object,
    "metrics": _object,
    "stack": _object,
    "finetune": _object,
    "precision": _object,
    "layers": _layers,
    "pairs": _pairs,
    "contrast": _pairs,
}
"""What each part of a manifest must be, in the order in which they are looked at."""
