"""What an exported model says of itself: the same facts inside the file, under these keys, and as JSON beside it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from logolens.bundle.format import Bundle
from logolens.io.protobuf import protobuf_fields
from logolens.io.views import decoding_of

__all__ = [
    "CALIBRATION",
    "DECODING",
    "GRAPH",
    "LABELS",
    "PREPROCESSING",
    "PRODUCER",
    "answers_only",
    "describe",
    "properties",
    "with_properties",
]

LABELS = "logolens.labels"
"""A JSON list: the names of the outputs, the background's last where there is one."""

PREPROCESSING = "logolens.preprocessing"
"""A JSON object: how a photo becomes the network's input, as in a bundle's manifest."""

CALIBRATION = "logolens.calibration"
"""A JSON object: the temperature, and the threshold and slope of ``none``. They are at work inside the network already."""

DECODING = "logolens.decoding"
"""A JSON object: what a photo goes through before it is resized, see `logolens.io.views.decoding_of`."""

PRODUCER = "logolens.producer"
"""A JSON object: what made the model, from which backbone and under which licence."""

GRAPH = "logolens.retrain"
"""The JSON object by which `classify` knows a graph, as `retrain` writes it."""

_MODEL_GRAPH, _GRAPH_OUTPUT = 7, 12
"""The numbers of two fields in onnx.proto."""


def properties(bundle: Bundle) -> dict[str, str]:
    """A bundle's facts as texts, for the metadata of a file."""
    manifest = bundle.manifest
    backbone: dict[str, Any] = manifest.get("backbone", {})
    preprocessing = dataclasses.asdict(bundle.preprocessing)
    producer = {
        "logolens": manifest.get("logolens"),
        "created": manifest.get("created"),
        "backbone": backbone.get("name"),
        "license": backbone.get("license"),
        "precision": backbone.get("precision", "float32"),
    }
    graph = {
        "format": 1,
        "labels": list(bundle.classes),
        "preprocessing": preprocessing,
        "output": "probabilities",
        "architecture": backbone.get("name"),
    }
    texts = {
        LABELS: list(bundle.classes),
        PREPROCESSING: preprocessing,
        DECODING: decoding_of(bundle.preprocessing),
        CALIBRATION: manifest.get("calibration", {}),
        PRODUCER: producer,
        GRAPH: graph,
    }
    return {key: json.dumps(value, ensure_ascii=False, sort_keys=True) for key, value in texts.items()}


def describe(bundle: Bundle, *, batch: str | int = "n") -> dict[str, Any]:
    """A bundle's facts as one object, for the JSON file beside an export."""
    size = bundle.preprocessing.size
    facts = {key.removeprefix("logolens."): json.loads(text) for key, text in properties(bundle).items()}
    del facts[GRAPH.removeprefix("logolens.")]
    shape = [batch, len(bundle.classes)]
    return facts | {
        "input": {"name": "image", "type": "uint8", "shape": [batch, size, size, 3], "colours": "RGB"},
        "outputs": [{"name": name, "type": "float32", "shape": shape} for name in ("probabilities", "logits")],
    }


def with_properties(model: bytes, entries: dict[str, str]) -> bytes:
    """An ONNX model with these metadata properties added.

    They are put behind the file's last byte, where a reader of protocol buffers takes them for more entries of the same
    list: no package is needed, and what the file held stays as it was to the byte.

    Args:
        model: an ONNX file's bytes, without these properties.
        entries: texts by their keys.
    """
    return model + b"".join(
        _field(14, _field(1, key.encode()) + _field(2, text.encode())) for key, text in entries.items()
    )


def answers_only(model: bytes) -> bytes:
    """A bundle's network without the maps that looking closer needs: ``probabilities`` and ``logits`` are all it gives.

    As in `with_properties`, no package is needed.
    """
    return b"".join(
        _field(number, _without_maps(value)) if number == _MODEL_GRAPH else _again(number, value)
        for number, value in protobuf_fields(memoryview(model))
    )


def _without_maps(graph: memoryview | int) -> bytes:
    assert isinstance(graph, memoryview)
    kept = []
    for number, value in protobuf_fields(graph):
        if number == _GRAPH_OUTPUT and isinstance(value, memoryview):
            name = dict(protobuf_fields(value)).get(1)
            if isinstance(name, memoryview) and bytes(name) in (b"last", b"middle"):
                continue
        kept.append(_again(number, value))
    return b"".join(kept)


def _again(number: int, value: memoryview | int) -> bytes:
    """A field as it was read; models and graphs have but whole numbers and what has a length."""
    return _varint(number << 3) + _varint(value) if isinstance(value, int) else _field(number, bytes(value))


def _field(number: int, data: bytes) -> bytes:
    """A field of bytes in protocol buffers' encoding."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
