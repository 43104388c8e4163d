"""The graph file that `retrain` writes and `classify` reads: one ONNX model that knows its own labels and preprocessing.

Its input ``image`` is uint8 RGB of shape (n, size, size, 3); its output, whose name the user chooses, the labels'
probabilities. What else there is to know stands in the file's metadata, where ONNX Runtime reads it without the onnx
package. The labels file beside it is for people and for old scripts.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logolens.bundle.format import attach_head
from logolens.bundle.onnx_check import refuse_harmful
from logolens.config import Preprocessing
from logolens.errors import BundleError, UsageError, require
from logolens.io.files import read_regular
from logolens.io.names import valid_all
from logolens.models.calibration import Calibration
from logolens.models.head import Head

__all__ = ["Graph", "check_name", "labels_text", "load_graph", "read_labels", "written_labels"]

_KEY = "logolens.retrain"
_COMMAND = "retrain"
_FORMAT = 1
_NO_ONNX = (
    "{} is no ONNX model, or a damaged one. Name the file that `logolens retrain` wrote to --output_graph; a graph of the "
    "old TensorFlow script must be trained again."
)


@dataclass(frozen=True)
class Graph:
    """A trained network with all that is needed to use it.

    Attributes:
        path: the file.
        model: its bytes.
        labels: the labels in the order of the outputs.
        preprocessing: how a photo becomes the network's input.
        output: the name of the output that holds the probabilities.
        architecture: the backbone's name.
        command: what wrote it, "retrain" or another of the commands; "" where that is not known.
    """

    path: Path
    model: bytes
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    output: str
    architecture: str
    command: str = ""

    @staticmethod
    def of(
        path: Path,
        backbone: Path,
        head: Head,
        calibration: Calibration,
        *,
        labels: Sequence[str],
        preprocessing: Preprocessing,
        output: str,
        architecture: str,
    ) -> Graph:
        """Join a backbone's ONNX file and a head to one model; nothing is written yet.

        Raises:
            UsageError: ``output`` is a name that stands for something else inside the network.
            MissingExtraError: the package onnx is not installed.
        """
        onnx: Any = require("onnx", "train")
        model = onnx.load_model_from_string(attach_head(backbone, head, calibration))
        used = {name for node in model.graph.node for name in (*node.input, *node.output)} - {"probabilities"}
        if output in used:
            raise UsageError(
                f"final_tensor_name is {output!r}, a name that the network uses inside; choose another, as final_result."
            )
        for node in model.graph.node:
            node.output[:] = [output if name == "probabilities" else name for name in node.output]
        kept = [value for value in model.graph.output if value.name == "probabilities"]
        del model.graph.output[:]
        model.graph.output.extend(kept)
        model.graph.output[0].name = output
        facts = {
            "format": _FORMAT,
            "labels": list(labels),
            "preprocessing": dataclasses.asdict(preprocessing),
            "output": output,
            "architecture": architecture,
            "command": _COMMAND,
        }
        onnx.helper.set_model_props(model, {_KEY: json.dumps(valid_all(facts), sort_keys=True, ensure_ascii=False)})
        onnx.checker.check_model(model)
        return Graph(path, model.SerializeToString(), tuple(labels), preprocessing, output, architecture, _COMMAND)


def check_name(name: str) -> None:
    """Refuse a name for the output that TensorFlow would not have taken either.

    Raises:
        UsageError: the name is empty, or holds spaces or other signs.
    """
    if not re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*", name):
        raise UsageError(
            f"final_tensor_name is {name!r}; give letters, digits and any of _ . / - without spaces, as final_result."
        )


def load_graph(path: Path) -> Graph:
    """Read a graph that `retrain` wrote.

    Raises:
        BundleError: it is missing, no ONNX file, or not one of `retrain`.
    """
    import onnxruntime

    try:
        model = read_regular(path)
    except OSError as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise BundleError(f"{path}: {what}. Name the file that `logolens retrain` wrote to --output_graph.") from error
    try:
        refuse_harmful(model, path)
    except BundleError as error:
        raise (BundleError(_NO_ONNX.format(path)) if error.__cause__ else error) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Only the metadata is wanted here; optimising the network is left to whoever runs it.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        known = session.get_modelmeta().custom_metadata_map
        shapes = {output.name: output.shape for output in session.get_outputs()}
    except Exception as error:  # ONNX Runtime raises its own types, all straight from Exception.
        raise BundleError(_NO_ONNX.format(path)) from error
    if _KEY not in known:
        raise BundleError(
            f"{path} is an ONNX model, but not one that `logolens retrain` wrote: it does not tell its labels and "
            "preprocessing. Name a graph of `logolens retrain`, or a bundle's folder."
        )
    try:
        facts = json.loads(known[_KEY])
        preprocessing: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in facts["preprocessing"].items()
        }
        names = (facts["output"], facts["architecture"], facts.get("command", ""))
        graph = Graph(path, model, tuple(facts["labels"]), Preprocessing(**preprocessing), *names)
        if facts["format"] > _FORMAT:
            raise BundleError(f"{path} was written by a later release of logolens. Run: pip install -U logolens")
        if shapes[graph.output][-1] != len(graph.labels):
            raise ValueError("its labels are not as many as its outputs")
    except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise BundleError(f"{path} has damaged metadata ({error}); train it again.") from error
    return graph


def written_labels(path: Path) -> tuple[str, ...] | None:
    """The labels of a graph that an earlier `retrain` wrote; None of any other file, or of none."""
    try:
        graph = load_graph(path)
    except BundleError:
        return None
    return graph.labels if graph.command == _COMMAND else None


def labels_text(labels: Sequence[str]) -> str:
    """What the labels file holds."""
    return "".join(f"{label}\n" for label in labels)


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels of a labels file, one a line.

    Raises:
        BundleError: it is missing, empty, or no text.
    """
    try:
        text = read_regular(path).decode("utf-8")
    except OSError as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise BundleError(f"{path}: {what}. Name the file that `logolens retrain` wrote to --output_labels.") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text, so it is no labels file; name another with --labels.") from error
    labels = tuple(line for line in text.replace("\r\n", "\n").split("\n") if line)
    if not labels:
        raise BundleError(f"{path} holds no labels; write one a line, or leave --labels out.")
    return labels
