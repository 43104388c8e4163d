"""Ask a graph of `retrain`, or a bundle, what images show; with the flags of the classic label_image script.

The core install is enough. The classic script had to be told how the network wants its images; here the graph knows, and
whatever the flags say is held against it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from logolens.bundle.format import load_bundle
from logolens.config import Limits, Preprocessing
from logolens.errors import BundleError, ImageError, UsageError
from logolens.io.sources import Source, expand
from logolens.io.views import WHOLE, cut
from logolens.models.session import Session
from logolens.recipes.retrain.graph_file import Graph, load_graph, read_labels

__all__ = ["Answer", "classify"]

_INPUT = "image"
_CLASSIC_INPUTS = frozenset({"input", "Mul", "Placeholder"})
"""What the classic graphs called the one input they had; old command lines still name it so."""


@dataclass(frozen=True)
class Answer:
    """What one image shows.

    Attributes:
        image: its name, as it was given.
        scores: the probability of each label, highest first; empty where the image could not be read.
        seconds: how long the network took, without reading and decoding the image.
        error: why the image could not be read, as a sentence.
    """

    image: str
    scores: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None


def classify(
    graph: Path | str,
    images: Sequence[str],
    *,
    labels: Path | str | None = None,
    input_height: int | None = None,
    input_width: int | None = None,
    input_mean: float | None = None,
    input_std: float | None = None,
    input_layer: str | None = None,
    output_layer: str | None = None,
    threads: int | None = None,
    limits: Limits = Limits(),
    left: Callable[[str], object] | None = None,
) -> Iterator[Answer]:
    """Answer for images, in the order given.

    Args:
        graph: the file that `retrain` wrote, or a bundle's folder.
        images: files, folders, patterns, or ``-`` for standard input.
        labels: the labels file; it must say what the graph says.
        input_height: of the network's input, in pixels; like those that follow, held against the graph's own.
        input_width: of the network's input, in pixels.
        input_mean: taken off every channel, to within 1.
        input_std: divided by, to within 1.
        input_layer: the name of the input.
        output_layer: the name of the output.
        threads: images at a time; as many as there are processors when None.
        limits: what is refused unread.
        left: told of each linked folder that is not followed.

    Raises:
        BundleError: the graph or the labels file cannot be used, or they differ.
        UsageError: a flag says something else than the graph, or no image was named. Both are raised by the call.
    """
    model = _load(Path(graph))
    _check_labels(model, labels)
    _check_claims(model, input_height, input_width, input_mean, input_std, input_layer, output_layer)
    sources = expand(images, limits=limits, left=left)
    session = Session(model.model, model.preprocessing, threads=threads, limits=limits)
    return _answers(model, session, sources)


def _load(path: Path) -> Graph:
    if not path.is_dir() and not (path.name == "model.onnx" and path.with_name("manifest.json").is_file()):
        return load_graph(path)
    bundle = load_bundle(path if path.is_dir() else path.parent)
    name = str(bundle.manifest.get("backbone", {}).get("name", "unknown"))
    return Graph(bundle.path, bundle.model, bundle.classes, bundle.preprocessing, "probabilities", name)


def _check_labels(model: Graph, path: Path | str | None) -> None:
    if path is None:
        return
    named = read_labels(Path(path))
    if named == model.labels:
        return
    if len(named) != len(model.labels):
        what = f"it has {len(named)} labels and the graph {len(model.labels)}"
    else:
        line = next(number for number, pair in enumerate(zip(named, model.labels, strict=True)) if pair[0] != pair[1])
        what = f"line {line + 1} says {named[line]!r} and the graph {model.labels[line]!r}"
    raise BundleError(
        f"The labels file {path} is not that of the graph {model.path}: {what}. Name the file that was written with the "
        "graph, or leave --labels out: the graph knows its labels."
    )


def _check_claims(
    model: Graph,
    height: int | None,
    width: int | None,
    mean: float | None,
    std: float | None,
    input_layer: str | None,
    output_layer: str | None,
) -> None:
    preprocessing = model.preprocessing
    for flag, side in (("input_height", height), ("input_width", width)):
        if side is not None and side != preprocessing.size:
            _differs(flag, str(side), f"takes images of {preprocessing.size} x {preprocessing.size} pixels")
    for flag, claim, own in (("input_mean", mean, preprocessing.mean), ("input_std", std, preprocessing.std)):
        # The classic scripts say 128 where the network was trained with 127.5.
        if claim is not None and not all(abs(claim - value) <= 1.0 for value in own):
            _differs(flag, f"{claim:g}", f"has {_numbers(own)} for red, green and blue")
    if input_layer is not None and _bare(input_layer) not in {_INPUT, *_CLASSIC_INPUTS}:
        _differs("input_layer", input_layer, f"has the one input {_INPUT}")
    if output_layer is not None and _bare(output_layer) != model.output:
        _differs("output_layer", output_layer, f"has the output {model.output}")


def _differs(flag: str, said: str, truth: str) -> None:
    raise UsageError(f"{flag} is {said}, but the graph {truth}. Leave --{flag} out: the graph prepares images itself.")


def _bare(layer: str) -> str:
    """A tensor's name as old scripts write it, without import/ before and :0 behind."""
    return layer.removeprefix("import/").removesuffix(":0")


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _answers(model: Graph, session: Session, sources: Iterator[Source]) -> Iterator[Answer]:
    try:
        output = session.output_names.index(model.output)
        probe = session.run(_blank(model.preprocessing))[output]
    except Exception as error:  # ONNX Runtime raises its own types, all straight from Exception.
        raise BundleError(f"{model.path}: the model does not take or give what it must ({error}).") from error
    if probe.shape[1] != len(model.labels):
        raise BundleError(f"{model.path}: the model has {probe.shape[1]} outputs and {len(model.labels)} labels.")

    def answer(source: Source) -> Answer:
        try:
            square = cut(source.read(session.limits), (WHOLE,), model.preprocessing, session.limits)[0]
        except ImageError as error:
            return Answer(source.name, error=str(error).removeprefix(f"{source.name}: "))
        start = time.perf_counter()
        scores = session.run(square[None])[output][0]
        seconds = time.perf_counter() - start
        order = np.argsort(-scores, kind="stable")
        return Answer(source.name, {model.labels[place]: float(scores[place]) for place in order}, seconds)

    with ThreadPoolExecutor(session.threads, thread_name_prefix="logolens") as pool:
        yield from pool.map(answer, sources)


def _blank(preprocessing: Preprocessing) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.zeros((1, preprocessing.size, preprocessing.size, 3), np.uint8)
