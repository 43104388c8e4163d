"""A backbone with 8-bit convolutions: quantised once for a set of images, cached, and from then on read from the cache."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logolens.config import Preprocessing
from logolens.errors import DataError, LogolensError, UsageError
from logolens.io.atomic import write_atomically
from logolens.models.backbones.exported import ExportedBackbone
from logolens.models.backbones.weights_cache import file_hash
from logolens.models.quantise import quantised
from logolens.models.session import Session

__all__ = ["INT8_VERSION", "LEAST_IMAGES", "quantise"]

_LOG = logging.getLogger(__name__)

INT8_VERSION = 1
"""Counts up whenever the same network and images would give another quantised network."""

LEAST_IMAGES = 16
"""Images below which ranges say little of what the network will see."""

_LEAST_COSINE = 0.9
"""Of the features with those at full precision, below which a network is taken to be spoilt."""


def quantise(backbone: ExportedBackbone, images: npt.NDArray[np.uint8]) -> ExportedBackbone:
    """The same backbone with 8-bit convolutions, whose ranges come from ``images``; from the cache where it is known.

    Its file lies beside the backbone's, under a name that tells the contents of both; a damaged one is made again.

    Args:
        backbone: at full precision.
        images: uint8 of shape (n, size, size, 3), views of photos that are learned from.

    Raises:
        DataError: there are fewer than `LEAST_IMAGES`.
        UsageError: the network has nothing to quantise, cannot be quantised, or gives other features afterwards.
        MissingExtraError: it is not in the cache and the package onnx is not installed.
    """
    if len(images) < LEAST_IMAGES:
        raise DataError(
            f"int8 takes its ranges from views of photos to train on, and {len(images)} are too few of the {LEAST_IMAGES} that "
            "it needs at the least. Add photos, or train with --precision float32."
        )
    seen = hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
    made_by = f"{INT8_VERSION} {importlib.metadata.version('onnxruntime')}"
    key = hashlib.sha256("\n".join((backbone.sha256, seen, made_by)).encode()).hexdigest()[:16]
    folder = backbone.path.parent
    facts = folder / f"{backbone.path.stem[:80]}-int8-{key}.json"
    if (cached := _cached(facts, backbone)) is not None:
        return cached
    _LOG.info("%s is quantised on %d images", backbone.name, len(images))
    try:
        graph = quantised(backbone.path.read_bytes(), images)
    except UsageError as error:
        raise UsageError(f"The backbone {backbone.name} cannot be had at int8. {error}") from error
    except LogolensError:
        raise
    except Exception as error:  # The quantiser raises whatever it stumbles over.
        reason = (str(error).splitlines() or [""])[0][:200]
        raise UsageError(
            f"The backbone {backbone.name} cannot be had at int8 ({type(error).__name__}: {reason}). Train with --precision "
            "float32, or choose another backbone."
        ) from error
    cosine = _cosine(backbone, graph, images)
    if not cosine >= _LEAST_COSINE:  # also where it is not a number
        raise UsageError(
            f"The backbone {backbone.name} cannot be had at int8: its features are no longer what they were (mean cosine "
            f"{cosine:.2f}, at least {_LEAST_COSINE:g} is asked). Train with --precision float32, or choose another backbone."
        )
    digest = hashlib.sha256(graph).hexdigest()
    # As with the backbone itself: whoever writes last, a sidecar never points at another's graph.
    path = facts.with_name(f"{facts.stem}-{digest[:12]}.onnx")
    write_atomically(path, graph)
    write_atomically(facts, json.dumps({"path": path.name, "sha256": digest, "cosine": cosine}).encode())
    return _of(backbone, path, digest, cosine)


def _of(backbone: ExportedBackbone, path: Path, digest: str, cosine: float) -> ExportedBackbone:
    return dataclasses.replace(backbone, path=path, sha256=digest, precision="int8", cosine=cosine)


def _cached(facts: Path, backbone: ExportedBackbone) -> ExportedBackbone | None:
    """What an earlier call wrote; None where it is absent or damaged."""
    try:
        known = json.loads(facts.read_bytes())
        path = facts.parent / Path(known["path"]).name
        if file_hash(path) == known["sha256"]:
            return _of(backbone, path, str(known["sha256"]), float(known["cosine"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # made again
    return None


def _cosine(backbone: ExportedBackbone, graph: bytes, images: npt.NDArray[np.uint8]) -> float:
    """The mean cosine between the features of some images at both precisions."""
    preprocessing = Preprocessing(size=backbone.size, mean=backbone.mean, std=backbone.std)
    some = images[:: max(1, len(images) // 32)]
    one, other = (
        Session(model, preprocessing, outputs=("features",)).run(some)[0].astype(np.float64)
        for model in (backbone.path, graph)
    )
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())
