"""All weights of a bundle's network as safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import Preprocessing
from logolens.errors import require
from logolens.export.step_graph import weight_names
from logolens.io.files import plain_path
from logolens.models.session import Session

__all__ = ["NAMES", "write_weights"]

NAMES = "logolens.onnx_names"
"""The metadata key of a JSON object: names of tensors in the file to their names in the bundle's ``model.onnx``."""

Runner = Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]


def write_weights(model: bytes, preprocessing: Preprocessing, path: Path, metadata: dict[str, str]) -> Runner:
    """Write every weight of a network, backbone and head, under names that tell where it stands.

    Returns:
        What runs the bundle's network with the weights of the written file: images to probabilities.

    Raises:
        MissingExtraError: the package safetensors or onnx is not installed.
    """
    onnx: Any = require("onnx", "export")
    safetensors: Any = require("safetensors.numpy", "export")
    network = onnx.load_model_from_string(model)
    names = weight_names(network)
    tensors = {
        names[entry.name]: np.array(onnx.numpy_helper.to_array(entry), order="C")  # Scales have no axes, and keep none.
        for entry in network.graph.initializer
    }
    original_names = json.dumps({new: old for old, new in names.items()}, ensure_ascii=False)
    path.write_bytes(safetensors.save(tensors, metadata={**metadata, NAMES: original_names}))

    with plain_path(path) as written:
        read = safetensors.load_file(written)
    for entry in network.graph.initializer:
        entry.CopyFrom(onnx.numpy_helper.from_array(read[names[entry.name]], entry.name))
    session = Session(network.SerializeToString(), preprocessing)
    place = session.output_names.index("probabilities")
    return lambda images: session.run(images)[place]
