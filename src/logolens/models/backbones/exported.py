"""A backbone as an ONNX graph: exported once, cached, and from then on read from the cache without PyTorch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logolens.config import cache_folder
from logolens.errors import LogolensError, UsageError
from logolens.io.atomic import write_atomically
from logolens.models.backbones.catalogue import find
from logolens.models.backbones.layers import Layer
from logolens.models.backbones.spec import Backbone
from logolens.models.backbones.weights import Progress, Weights, locate
from logolens.models.backbones.weights_cache import file_hash, safe_name

__all__ = ["EXPORT_VERSION", "ExportedBackbone", "export", "prepare"]

_LOG = logging.getLogger(__name__)

EXPORT_VERSION = 2
"""Counts up whenever the same weights would give another graph or other features."""


@dataclass(frozen=True)
class ExportedBackbone:
    """A backbone's ONNX graph in the cache folder, and all that is known of it.

    The graph's input ``image`` is uint8 [N, size, size, 3], RGB, already resized; its output ``features`` is float32
    [N, width], and ``last`` and ``middle`` are the maps [N, C, H, W] that the features were pooled from.

    Attributes:
        path: the .onnx file.
        sha256: of that file, as hex.
        name: the backbone's name.
        family: its architecture's family.
        size: side of the input, in pixels.
        pooling: "rich" or "avg".
        width: how many features an image gets.
        mean: taken off inside the graph, per channel, on values from 0 to 255.
        std: divided by inside the graph, per channel.
        interpolation: the resampling that the network was trained with.
        crop: share of the side that its own evaluation cuts out of the middle.
        parameters: how many numbers it holds, without the classifier.
        weights_sha256: of the weight file.
        origin: where the weights came from, in words.
        license: of the weights.
        version: the ``EXPORT_VERSION`` that wrote it.
        difference: largest difference from PyTorch's own result when it was checked.
        layers: what the network is made of.
        precision: "float32", or "int8" where its convolutions are quantised.
        cosine: of a quantised one, its features' mean cosine with those at float32; else None.
    """

    path: Path
    sha256: str
    name: str
    family: str
    size: int
    pooling: str
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: float
    parameters: int
    weights_sha256: str
    origin: str
    license: str
    version: int
    difference: float
    layers: tuple[Layer, ...]
    precision: str = "float32"
    cosine: float | None = None


def prepare(
    name: str,
    *,
    size: int | None = None,
    weights: Path | None = None,
    pooling: str = "rich",
    progress: Progress | None = None,
) -> ExportedBackbone:
    """The backbone called ``name``, ready to run: its weights located (or brought) and its ONNX graph in the cache.

    Args:
        name: as in ``find``.
        size: side of the input, in pixels; None takes the backbone's own.
        weights: the user's own weight file.
        pooling: "rich" or "avg".
        progress: told how far a download is.

    Raises:
        UsageError: no such backbone or pooling, or a size it cannot take.
        WeightsError: there are no weights, they are another network's, or the exported graph disagrees with PyTorch.
        MissingExtraError: it must be exported first and PyTorch is not installed.
    """
    backbone = find(name)
    backbone.width(pooling)
    return export(backbone, locate(backbone, weights, progress=progress), size=size, pooling=pooling)


def export(backbone: Backbone, weights: Weights, *, size: int | None = None, pooling: str = "rich") -> ExportedBackbone:
    """The ONNX graph of a backbone with these weights: from the cache, or written to it now.

    A new graph is run beside PyTorch on random and on smooth images in several batch sizes; where any feature differs
    by more than 1e-3 (relative to the largest, where that is over 1) it is refused and nothing is kept.

    Raises:
        UsageError: no such pooling, or a size that the backbone cannot take.
        WeightsError: the weights are another network's, or the exported graph disagrees with PyTorch.
        MissingExtraError: it is not in the cache and PyTorch is not installed.
    """
    side, width = backbone.side(size), backbone.width(pooling)
    # The facts join the key, so that another mean or another map is another graph.
    facts = hashlib.sha256(json.dumps(dataclasses.asdict(backbone), sort_keys=True).encode()).hexdigest()
    key = f"{safe_name(backbone.name)}-{side}-{pooling}-v{EXPORT_VERSION}-{weights.sha256[:16]}-{facts[:8]}"
    folder = cache_folder() / "backbones"
    if (cached := _cached(folder, key, weights)) is not None:
        return cached

    from logolens.models.backbones.build import build
    from logolens.models.backbones.onnx_export import graph_of

    _LOG.info("%s is exported to ONNX at %d pixels", backbone.name, side)
    network = build(backbone, weights, pooling=pooling, side=side)
    try:
        graph, difference, rows = graph_of(network, side)
    except LogolensError:
        raise
    except Exception as error:
        raise UsageError(
            f"The backbone {backbone.name} cannot be exported to ONNX at {side} pixels "
            f"({type(error).__name__}: {error}). Try its own size, or another backbone."
        ) from error
    digest = hashlib.sha256(graph).hexdigest()
    # The graph's name tells its content: whoever writes last, a sidecar never points at another's graph.
    path = folder / f"{key}-{digest[:12]}.onnx"
    exported = ExportedBackbone(
        path=path,
        sha256=digest,
        name=backbone.name,
        family=backbone.family,
        size=side,
        pooling=pooling,
        width=width,
        mean=backbone.mean,
        std=backbone.std,
        interpolation=backbone.interpolation,
        crop=backbone.crop,
        # At another side a transformer has another number of places.
        parameters=sum(row.parameters for row in rows) if side != backbone.size else backbone.parameters,
        weights_sha256=weights.sha256,
        origin=weights.origin,
        license=backbone.license,
        version=EXPORT_VERSION,
        difference=difference,
        layers=tuple(rows),
    )
    write_atomically(path, graph)
    _LOG.info("%s differs from PyTorch by %.2g at most", path, difference)
    facts_of = {**dataclasses.asdict(exported), "path": path.name}
    write_atomically(folder / f"{key}.json", json.dumps(facts_of, indent=1).encode())
    return exported


def _cached(folder: Path, key: str, weights: Weights) -> ExportedBackbone | None:
    """What an earlier call wrote; None where it is absent, damaged or of other weights."""
    try:
        facts = json.loads((folder / f"{key}.json").read_bytes())
        rows = tuple(Layer(**{**row, "shape": tuple(row["shape"])}) for row in facts["layers"])
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in facts.items()}
        exported = ExportedBackbone(**{**values, "path": folder / Path(facts["path"]).name, "layers": rows})
        if exported.weights_sha256 == weights.sha256 and file_hash(exported.path) == exported.sha256:
            return dataclasses.replace(exported, origin=weights.origin)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # made again
    return None
