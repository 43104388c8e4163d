"""The run itself: photos, features, steps, figures, files, in the order in which the classic script does them."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from logolens.config import Preprocessing, RetrainSettings
from logolens.data import Dataset, Split, load, split
from logolens.errors import DataError, UsageError, require
from logolens.io.atomic import write_file
from logolens.io.views import WHOLE
from logolens.metrics import wilson_interval
from logolens.models.backbones import ExportedBackbone
from logolens.models.calibration import Calibration
from logolens.models.features import FeatureCache, Sight, extract
from logolens.models.head import Examples, Head
from logolens.models.session import Session
from logolens.recipes.retrain.architecture_flag import ready_network, requested_network
from logolens.recipes.retrain.distort import COPIES, distorted_features, wants_distortions
from logolens.recipes.retrain.graph_file import Graph, check_name, labels_text
from logolens.recipes.retrain.outputs import Targets, has_tensorflow
from logolens.recipes.retrain.saved import save_bundle
from logolens.recipes.retrain.sgd import Regression, batches
from logolens.recipes.retrain.temperature import fit_scores
from logolens.training.summaries import run_folder, summary_writer

__all__ = ["RetrainResult", "retrain"]

_LOG = logging.getLogger(__name__)

_POOLING = "rich"


@dataclass(frozen=True)
class RetrainResult:
    """What a run gave.

    Attributes:
        graph: the ONNX file.
        labels: the labels in the order of its outputs.
        summaries: the folder of the event files.
        validation_accuracy: at the last step; None where no photos were kept for it.
        test_accuracy: None where no photos were kept for it.
        tested: how many photos the test accuracy is of.
        misclassified: the test photos that were answered wrongly: (path, the answer).
        temperature: what the logits are divided by, so that the scores mean what they say.
        seconds: how long all of it took.
    """

    graph: Path
    labels: tuple[str, ...]
    summaries: Path
    validation_accuracy: float | None
    test_accuracy: float | None
    tested: int
    misclassified: tuple[tuple[Path, str], ...]
    temperature: float
    seconds: float


def retrain(settings: RetrainSettings, *, force: bool = False) -> RetrainResult:
    """Train a softmax layer on a network's features and write both as one ONNX graph, with the labels beside it.

    What it does is told to the logger ``logolens.retrain``.

    Args:
        settings: everything.
        force: replace files at the output paths that no earlier run wrote.

    Raises:
        UsageError: a setting cannot work, or a file is in the way of an output.
        DataError: the photos cannot be used.
        WeightsError: the network's weights cannot be had.
        MissingExtraError: a package of the extra ``train`` is not installed.
    """
    start = time.perf_counter()
    if not settings.image_dir:
        raise UsageError("No photos are named; give their folder with --image_dir.")
    check_name(settings.final_tensor_name)
    targets = Targets.of(settings)
    name, size = requested_network(settings)
    for package in ("onnx", "tensorboard"):
        require(package, "train")

    dataset, labels = _photos(settings)
    targets.check(labels, force=force)
    splits = split(dataset, settings.split_settings())
    _tell_about(dataset, splits)
    backbone = ready_network(name, size, Path(settings.model_dir) if settings.model_dir else None, pooling=_POOLING)
    preprocessing = Preprocessing(size=backbone.size, mean=backbone.mean, std=backbone.std)
    examples = _examples(dataset, splits, labels, backbone, preprocessing, settings)

    def graph(path: Path, head: Head, calibration: Calibration = Calibration()) -> Graph:
        return Graph.of(
            path,
            backbone.path,
            head,
            calibration,
            labels=labels,
            preprocessing=preprocessing,
            output=settings.final_tensor_name,
            architecture=backbone.name,
        )

    def store(step: int, head: Head) -> None:
        path = targets.intermediate[step]
        _LOG.info("Save intermediate result to : %s", path)
        _write(path, graph(path, head).model)
        _write_checkpoint(targets, head)

    summaries = run_folder(Path(settings.summaries_dir))
    head, validation = _descend(examples, len(labels), settings, summaries, set(targets.intermediate), store)
    rows, wrong, accuracy = _final_test(head, examples["test"], settings)
    photos = [dataset.photos[splits.test[row]].path for row in rows]
    misclassified = tuple((photos[place], labels[answer]) for place, answer in wrong)
    if settings.print_misclassified_test_images:
        _LOG.info("=== MISCLASSIFIED TEST IMAGES ===")
        for path, answer in misclassified:
            _LOG.info("%70s  %s", path, answer)

    calibration = fit_scores(
        head,
        examples["train"],
        examples["val"],
        dataset.subset(splits.train),
        lambda part: _trained(part, len(labels), settings),
    )
    _LOG.info("Save final result to : %s", targets.graph)
    _LOG.info("It is an ONNX model whatever its suffix: for logolens classify and ONNX Runtime, not for TensorFlow.")
    final = graph(targets.graph, head, calibration)
    _write(targets.graph, final.model)
    _write(targets.labels, labels_text(labels).encode())
    _write_checkpoint(targets, head)
    if targets.saved_model is not None:
        _save_model(
            targets.saved_model,
            lambda folder: save_bundle(
                folder,
                settings=settings,
                dataset=dataset,
                splits=splits,
                backbone=backbone,
                preprocessing=preprocessing,
                pooling=_POOLING,
                labels=labels,
                head=head,
                temperature=calibration.temperature,
                held={part: examples[part] for part in ("val", "test")},
            ),
        )
    seconds = time.perf_counter() - start
    _LOG.info("Done in %.1f s.", seconds)
    return RetrainResult(
        targets.graph,
        labels,
        summaries,
        validation,
        accuracy,
        len(rows),
        misclassified,
        calibration.temperature,
        seconds,
    )


def _photos(settings: RetrainSettings) -> tuple[Dataset, tuple[str, ...]]:
    """The photos, and the labels as their folders spell them, in the order of the outputs."""
    folder = Path(settings.image_dir)
    if not folder.is_dir():
        raise DataError(f"image_dir {folder} is not a folder; name one that has a subfolder of photos for each label.")
    _LOG.info("Looking for images in '%s'", folder)
    dataset = load(folder)
    if len(labels := tuple(sorted({photo.label for photo in dataset.photos}))) < 2:
        raise DataError(f"image_dir {folder} has one label only, {labels[0]}; add photos of a second one.")
    return dataset, labels


def _tell_about(dataset: Dataset, splits: Split) -> None:
    for note in (*dataset.notes, *splits.notes):
        _LOG.warning("%s", note)
    counts = ", ".join(f"{label} {count}" for label, count in dataset.counts().items())
    _LOG.info("%d images of %d labels: %s", len(dataset.photos), len(dataset.counts()), counts)
    _LOG.info(
        "%d to train on, %d for validation, %d for the test; near copies stay together",
        *map(len, (splits.train, splits.val, splits.test)),
    )


def _examples(
    dataset: Dataset,
    splits: Split,
    labels: Sequence[str],
    backbone: ExportedBackbone,
    preprocessing: Preprocessing,
    settings: RetrainSettings,
) -> dict[str, Examples]:
    """The features of each part; the training photos' are of their distorted copies where those are asked for."""
    session = Session(backbone.path, preprocessing, threads=settings.threads, outputs=("features",))
    place = {label: position for position, label in enumerate(labels)}
    truth = {
        part: np.array([place[dataset.photos[number].label] for number in numbers], dtype=np.int64)
        for part, numbers in splits.by_name().items()
    }
    distort = wants_distortions(settings)
    plain = [part for part in truth if not (distort and part == "train")]
    photos = {part: [dataset.photos[number] for number in numbers] for part, numbers in splits.by_name().items()}
    sights = [Sight(photo.path, photo.sha256, (WHOLE,)) for part in plain for photo in photos[part]]
    with ExitStack() as stack:
        cache = stack.enter_context(_cache(settings.bottleneck_dir))
        _LOG.info("Features are cached in %s", cache.path)
        every: Any = extract(sights, session, backbone.sha256, cache=cache, progress=_counted("images"))
        features = dict(zip(plain, np.split(every, np.cumsum([len(truth[part]) for part in plain])[:-1]), strict=True))
        if distort:
            features["train"] = distorted_features(
                photos["train"], settings, session, backbone.sha256, cache=cache, progress=_counted("distorted images")
            )
            truth["train"] = np.repeat(truth["train"], COPIES)
    if not np.bincount(truth["train"], minlength=len(labels)).all():
        raise DataError("A label has no photo left to train on; add photos, or lower the percentages.")
    return {part: Examples(features[part], truth[part], np.ones(len(truth[part]), np.float32)) for part in truth}


def _cache(bottleneck_dir: str) -> FeatureCache:
    if not bottleneck_dir:
        return FeatureCache()
    try:
        return FeatureCache(Path(bottleneck_dir) / "features.sqlite")
    except UsageError as error:
        raise UsageError(
            f"bottleneck_dir {bottleneck_dir} cannot be used: it must be a folder that can be written to."
        ) from error


def _counted(what: str) -> Callable[[int, int], None]:
    """Tells of every hundredth."""

    def progress(done: int, total: int) -> None:
        if done and (done % 100 == 0 or done == total):
            _LOG.info("Features of %d of %d %s", done, total, what)

    return progress


def _descend(
    examples: dict[str, Examples],
    classes: int,
    settings: RetrainSettings,
    summaries: Path,
    store_at: set[int],
    store: Callable[[int, Head], None],
) -> tuple[Head, float | None]:
    """All training steps; gives the layer, and the last validation accuracy."""
    model = Regression(examples["train"], classes, settings.learning_rate)
    held, last = examples["val"], settings.how_many_training_steps - 1
    random = np.random.default_rng([settings.seed, 1])
    validation: float | None = None
    draws = batches(examples["train"].truth, settings.train_batch_size, settings.seed)
    with summary_writer(summaries / "train") as training, summary_writer(summaries / "validation") as judging:
        for step in range(last + 1):
            rows = next(draws)
            accuracy, entropy = model.step(rows)
            training.add_scalar("accuracy", accuracy, step)
            training.add_scalar("cross_entropy", entropy, step)
            if step % settings.eval_step_interval == 0 or step == last:
                accuracy, entropy = model.measure(rows)
                _LOG.info("Step %d: Train accuracy = %.1f%%", step, accuracy * 100)
                _LOG.info("Step %d: Cross entropy = %f", step, entropy)
                if len(held):
                    some = _sample(held, settings.validation_batch_size, random)
                    validation, entropy = model.judge(some)
                    judging.add_scalar("accuracy", validation, step)
                    judging.add_scalar("cross_entropy", entropy, step)
                    _LOG.info("Step %d: Validation accuracy = %.1f%% (N=%d)", step, validation * 100, len(some))
            if step in store_at:
                store(step, model.head())
    return model.head(), validation


def _sample(examples: Examples, size: int, random: np.random.Generator) -> Examples:
    """So many examples at random, none twice; all of them where there are no more, or the size is -1."""
    if size < 0 or size >= len(examples):
        return examples
    rows = random.choice(len(examples), size, replace=False)
    return Examples(examples.features[rows], examples.truth[rows], examples.weight[rows])


def _final_test(
    head: Head, held: Examples, settings: RetrainSettings
) -> tuple[list[int], list[tuple[int, int]], float | None]:
    """The rows that were tested, the places among them that were answered wrongly with the answers, and the accuracy."""
    if not len(held):
        _LOG.info("No test: no photos were kept for it (testing_percentage is %d)", settings.testing_percentage)
        return [], [], None
    rows = np.arange(len(held))
    if 0 < settings.test_batch_size < len(held):
        rows = np.sort(np.random.default_rng([settings.seed, 2]).permutation(len(held))[: settings.test_batch_size])
    answers = head.logits(held.features[rows]).argmax(axis=1)
    right = answers == held.truth[rows]
    accuracy = float(right.mean())
    low, high = wilson_interval(int(right.sum()), len(right))
    _LOG.info("Final test accuracy = %.1f%% (N=%d)", accuracy * 100, len(rows))
    _LOG.info("95%% interval of the test accuracy: %.0f%% to %.0f%%", low * 100, high * 100)
    wrong = [(int(place), int(answers[place])) for place in np.flatnonzero(~right)]
    return rows.tolist(), wrong, accuracy


def _trained(examples: Examples, classes: int, settings: RetrainSettings) -> Head:
    """A layer trained as the flags say, without a word."""
    model = Regression(examples, classes, settings.learning_rate)
    draws = batches(examples.truth, settings.train_batch_size, settings.seed)
    for _ in range(settings.how_many_training_steps):
        model.step(next(draws))
    return model.head()


def _save_model(out: Path, bundle: Callable[[Path], None]) -> None:
    """Write a TensorFlow SavedModel, or where TensorFlow is not installed the bundle that one can be made of."""
    if not has_tensorflow():
        bundle(out)
        _LOG.info(
            "Save a bundle to : %s. A SavedModel needs TensorFlow: `logolens export %s --format saved-model --out FOLDER` "
            "makes one where it is installed.",
            out,
            out,
        )
        return
    from logolens.export import export

    with tempfile.TemporaryDirectory(prefix="logolens-") as folder:
        bundle(Path(folder) / "bundle")
        export(Path(folder) / "bundle", out, "saved-model", force=True)
    _LOG.info("Save a SavedModel to : %s", out)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {path.parent} cannot be made ({error.strerror}); name another.") from error
    write_file(path, data, force=True)


def _write_checkpoint(targets: Targets, head: Head) -> None:
    if targets.checkpoint is not None:
        save: Any = require("safetensors.numpy", "train").save
        _write(targets.checkpoint, save(head.tensors()))
