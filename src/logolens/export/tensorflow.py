"""A bundle's network rebuilt in TensorFlow, and written as a SavedModel or for TensorFlow Lite."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.errors import require
from logolens.export.step_graph import Graph, read_graph, refuse_unknown
from logolens.export.tensorflow_steps import OPERATIONS, Value, Work

__all__ = ["write_saved_model", "write_tflite"]

_Array = npt.NDArray[Any]
Runner = Callable[[npt.NDArray[np.uint8]], _Array]


def write_saved_model(model: bytes, size: int, folder: Path, texts: dict[str, str]) -> Runner:
    """Write a network as a TensorFlow SavedModel, with ``texts`` as files below its ``assets.extra``.

    Its signature ``serving_default`` takes ``image``, uint8 of shape (n, size, size, 3), and gives ``probabilities`` and
    ``logits``.

    Returns:
        What runs the written folder: images to probabilities.

    Raises:
        UsageError: the network has a step that is not known here.
        MissingExtraError: TensorFlow or onnx is not installed.
    """
    tf = _tensorflow()
    module = _module(tf, read_graph(model), size, None)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    (folder / "assets.extra").mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / "assets.extra" / name).write_text(text, encoding="utf-8")
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return lambda images: np.asarray(serve(image=tf.constant(images))["probabilities"].numpy())


def write_tflite(model: bytes, size: int, path: Path, texts: dict[str, str]) -> Runner:
    """Write a network for TensorFlow Lite (LiteRT), float32, one image at a time.

    ``texts`` stand in the file as a zip archive behind its end, where TensorFlow Lite's own metadata keeps its label files.

    Returns:
        What runs the written file: images to probabilities.

    Raises:
        UsageError: the network has a step that is not known here.
        MissingExtraError: TensorFlow, ai-edge-litert or onnx is not installed.
    """
    tf = _tensorflow()
    litert: Any = require("ai_edge_litert.interpreter", "tflite")
    module = _module(tf, read_graph(model), size, 1)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    serve = litert.Interpreter(model_path=str(path), num_threads=1).get_signature_runner("serving_default")

    def run(images: npt.NDArray[np.uint8]) -> _Array:
        return np.concatenate([np.array(serve(image=image[None])["probabilities"]) for image in images])

    return run


def _tensorflow() -> Any:
    # Unless the user has said otherwise, TensorFlow tells of its own insides on standard error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return require("tensorflow", "tflite")


def _module(tf: Any, graph: Graph, size: int, batch: int | None) -> Any:
    """A TensorFlow module whose function ``serve`` does the graph's steps one after the other."""
    refuse_unknown(graph, list(OPERATIONS), "TensorFlow")
    module = tf.Module()
    module.weights = {}

    def serve(image: Any) -> dict[str, Any]:
        values: dict[str, Value | None] = {"": None, "image": Value(image)}
        for step in graph.steps:
            work = Work(tf, graph, step, module.weights, [values.get(name) for name in step.inputs])
            result = OPERATIONS[step.op](work)
            results = result if isinstance(result, list) else [result]
            values.update(zip(step.outputs, results, strict=False))
        answers = {name: values[name] for name in ("probabilities", "logits")}
        return {name: tf.identity(value.tensor, name) for name, value in answers.items() if value is not None}

    spec = tf.TensorSpec([batch, size, size, 3], tf.uint8, name="image")
    module.serve = tf.function(serve, input_signature=[spec])
    return module
