"""From a bundle to a file of another format: make it under a temporary name, hold it against the bundle, move it in place."""

from __future__ import annotations

import contextlib
import difflib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.bundle.format import Bundle, load_bundle
from logolens.config import BACKGROUND, ExportSettings
from logolens.errors import BundleError, DataError, LogolensError, UsageError
from logolens.export.metadata import answers_only, describe, properties, with_properties
from logolens.export.photos import Photos, Sample, find_photos, made_up, spread, squares
from logolens.io.atomic import replace_folder
from logolens.io.images import read_bytes
from logolens.models.calibration import choose
from logolens.models.experts import first_experts, late_experts
from logolens.models.quantise import is_quantised, quantised, speed_ratio
from logolens.models.session import Job, Session
from logolens.types import Progress, silent

__all__ = ["FORMATS", "ExportResult", "export"]

_LOG = logging.getLogger(__name__)

FORMATS = {
    "onnx": ".onnx",
    "onnx-int8": ".onnx",
    "tflite": ".tflite",
    "safetensors": ".safetensors",
    "saved-model": "",
}
"""The formats, each with the ending of its files; a SavedModel is a folder."""

_WITHDRAWN = {
    "torchscript": "TorchScript is no longer written: PyTorch itself gave it up. Choose onnx, which ONNX Runtime runs wherever "
    "PyTorch does."
}
"""Formats that earlier releases wrote, each with what to take instead."""

Runner = Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]

_CHECKED = 32
"""Photos on which a format of full precision is held against the bundle."""

_MAX_DIFFERENCE = 1e-4
_MAX_CHANGED = 0.15


@dataclass(frozen=True)
class ExportResult:
    """What an export gave.

    Attributes:
        path: the file, or the folder of a SavedModel.
        format: as in `FORMATS`.
        files: all that was written, the model first.
        bytes: the size of the model.
        images: on how many images it was held against the bundle.
        difference: the largest difference of a probability.
        changed: the share of the images that it answers otherwise than the bundle.
        accuracy_before: onnx-int8: the share of the test photos on which the bundle's best label is right; None where
            there are no labelled photos, and for other formats.
        accuracy_after: the same of what was exported.
        labelled: the photos that the two accuracies stand on.
        speed: onnx-int8: how many times as fast as the bundle's network it ran on one processor of this machine.
        seconds: how long it took.
        notes: what should be known about it, a sentence each.
    """

    path: Path
    format: str
    files: tuple[Path, ...]
    bytes: int
    images: int
    difference: float
    changed: float
    accuracy_before: float | None
    accuracy_after: float | None
    labelled: int
    speed: float | None
    seconds: float
    notes: tuple[str, ...]


@dataclass
class _Comparison:
    """How what was exported answers beside the bundle."""

    images: int = 0
    difference: float = 0.0
    changed: int = 0
    labelled: int = 0
    right_before: int = 0
    right_after: int = 0

    def add(self, bundle: Bundle, before: Any, after: Any, labels: tuple[str, ...] = ()) -> None:
        """One image: probabilities before and after, and what it shows if that is known."""
        if after.shape != before.shape:
            raise BundleError(f"The export gives {after.shape} where the bundle gives {before.shape}; it is not used.")
        background = BACKGROUND in bundle.classes
        gap = float(np.abs(after - before).max())
        self.images += 1
        self.difference = max(self.difference, gap if gap == gap else float("inf"))
        self.changed += choose(before, background) != choose(after, background)
        if set(labels) & set(bundle.labels):
            columns = slice(0, len(bundle.labels))
            self.labelled += 1
            self.right_before += bundle.labels[int(np.argmax(before[columns]))] in labels
            self.right_after += bundle.labels[int(np.argmax(after[columns]))] in labels


def export(
    bundle: Path | str,
    out: Path | str,
    format: str = "onnx",
    settings: ExportSettings = ExportSettings(),
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Write a bundle's network in another format, once it has been held against the bundle.

    The file takes uint8 RGB of shape (n, size, size, 3), resized as `Preprocessing` says, and gives probabilities; labels
    and preprocessing stand inside it, and beside it as ``NAME.labels.txt`` and ``NAME.json``.

    Args:
        bundle: a bundle's folder.
        out: the file to write; a folder for ``saved-model``.
        format: one of `FORMATS`.
        settings: everything else.
        force: replace what is there.
        progress: told of the work as it is done.

    Raises:
        UsageError: there is no such format, ``out`` is taken, or the network cannot be had in this format.
        BundleError: the bundle cannot be used, or what was made differs too much from it; nothing is written then.
        DataError: there are no photos to calibrate onnx-int8 on.
        MissingExtraError: the format needs a package that is not installed.
    """
    start, on_progress = time.perf_counter(), progress or silent
    if format in _WITHDRAWN:
        raise UsageError(_WITHDRAWN[format])
    if format not in FORMATS:
        near = difflib.get_close_matches(format, FORMATS, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(FORMATS)}."
        raise UsageError(f"There is no format {format!r}; {hint}")
    source = load_bundle(bundle)
    source = replace(source, model=answers_only(source.model))
    _check_precision(source, format)
    out = Path(out)
    beside = [out.with_suffix(end) for end in (".labels.txt", ".json") if out.name and format != "saved-model"]
    _check_out(out, beside, format, force)
    most = (settings.photos, None) if format == "onnx-int8" else (_CHECKED, _CHECKED)
    photos = find_photos(source, settings.data, most, on_progress)
    with _folder_beside(out) as folder:
        made = folder / "made"
        on_progress(f"making {format}", 0, 1)
        try:
            run = _make(source, format, made, photos, settings)
        except LogolensError:
            raise
        except Exception as error:  # Each framework raises its own types.
            reason = (str(error).splitlines() or [""])[0][:200]
            raise UsageError(
                f"{source.path} cannot be written as {format} ({type(error).__name__}: {reason}). Export it as onnx instead."
            ) from error
        on_progress(f"making {format}", 1, 1)
        notes = _left_behind(source)
        speed = None
        if format == "onnx-int8":
            compared, speed = _compare_int8(source, made, photos, settings, notes, on_progress)
            _refuse_int8(source, compared, settings)
        else:
            compared = _compare(source, run, photos, notes)
            _refuse(source, compared, settings, format)
        _LOG.info("%s differs by %.2g at most on %d images", format, compared.difference, compared.images)
        for path, text in zip(beside, (_labels(source), _facts(source, format)), strict=False):
            (folder / path.name).write_text(text, encoding="utf-8")
        size = sum(file.stat().st_size for file in (made.rglob("*") if made.is_dir() else [made]) if file.is_file())
        for path in beside:
            replace_folder(folder / path.name, path)
        replace_folder(made, out)
    labelled = compared.labelled if format == "onnx-int8" else 0
    return ExportResult(
        path=out,
        format=format,
        files=(out, *beside),
        bytes=size,
        images=compared.images,
        difference=compared.difference,
        changed=compared.changed / compared.images,
        accuracy_before=compared.right_before / labelled if labelled else None,
        accuracy_after=compared.right_after / labelled if labelled else None,
        labelled=labelled,
        speed=speed,
        seconds=time.perf_counter() - start,
        notes=tuple(notes),
    )


def _check_precision(bundle: Bundle, format: str) -> None:
    """Refuse what a bundle that was trained at int8 cannot become."""
    why = {"onnx-int8": "as this format has it", **dict.fromkeys(("tflite", "saved-model"), "in ONNX's way alone")}
    if format in why and is_quantised(bundle.model):
        cure = "export it as onnx, or train it with --precision float32"
        raise UsageError(f"The network of {bundle.path} is at int8 already, {why[format]}; {cure}.")


def _check_out(out: Path, beside: list[Path], format: str, force: bool) -> None:
    """Refuse a target before any work is done for it."""
    if not out.name:
        raise UsageError(f"{out} is no name for a file; give one, as model{FORMATS[format]}.")
    if format == "saved-model" and out.exists():
        if not out.is_dir():
            raise UsageError(f"{out} is a file; a SavedModel is a folder, so name another.")
        if any(out.iterdir()) and not (out / "saved_model.pb").is_file():
            raise UsageError(f"{out} is a folder of something else; name another.")
    elif out.is_dir():
        raise UsageError(f"{out} is a folder; name a file, as {out / ('model' + FORMATS[format])}.")
    for path in (out, *beside):
        if path.exists() and not force and not (path.is_dir() and not any(path.iterdir())):
            raise UsageError(f"{path} is there already; name another file, or replace it with --force.")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"{out} cannot be made: {above} is not a folder that can be written to.")


@contextlib.contextmanager
def _folder_beside(out: Path) -> Iterator[Path]:
    """A temporary folder on the target's own disk; folders made for it go again when the export fails."""
    new = [folder for folder in out.absolute().parents if not folder.exists()]
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name[:60]}-", dir=out.absolute().parent) as folder:
            yield Path(folder)
    except BaseException:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def _left_behind(bundle: Bundle) -> list[str]:
    """What the bundle does beyond its network, which decides whether the network alone will do."""
    closer = bundle.closer
    if closer is None:
        return []
    others = [expert.title for expert in first_experts() if expert.files and closer.weights.labels.get(expert.name)]
    late = [
        part
        for expert in late_experts()
        if expert.name in closer.late
        for part in expert.parts(closer.late[expert.name].facts)
    ]
    kept = [*(["closer views"] if closer.weights.looks_closer else []), *others, *late]
    if not kept:
        return []
    left = f"{' and '.join(kept)} {'stay' if len(kept) > 1 or kept[0].endswith('s') else 'stays'}"
    return [
        f"A file of one network answers as `logolens predict --views whole` does; the bundle's {left} behind. "
        f"{closer.weights.reason}"
    ]


def _labels(bundle: Bundle) -> str:
    return "".join(f"{name}\n" for name in bundle.classes)


def _facts(bundle: Bundle, format: str) -> str:
    facts = {"format": format, **describe(bundle, batch=1 if format == "tflite" else "n")}
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def _make(bundle: Bundle, format: str, path: Path, photos: Photos, settings: ExportSettings) -> Runner:
    """Write the format to ``path``; gives what runs the file that was written."""
    size = bundle.preprocessing.size
    texts = {"labels.txt": _labels(bundle), "logolens.json": _facts(bundle, format)}
    if format == "tflite":
        from logolens.export.tensorflow import write_tflite

        return write_tflite(bundle.model, size, path, texts)
    if format == "saved-model":
        from logolens.export.tensorflow import write_saved_model

        return write_saved_model(bundle.model, size, path, texts)
    if format == "safetensors":
        from logolens.export.safetensors_file import write_weights

        return write_weights(bundle.model, bundle.preprocessing, path, properties(bundle))
    model = bundle.model
    if format == "onnx-int8":
        images, _ = squares(spread(photos.learned or photos.test, settings.photos), bundle, settings.photos)
        if not len(images):
            raise DataError(
                f"onnx-int8 needs photos to take its ranges from, and those of {bundle.path} are not at "
                f"{bundle.manifest.get('data', {}).get('path')} any more. Name a folder of photos with --data."
            )
        model = quantised(model, images)
    path.write_bytes(with_properties(model, properties(bundle)))
    session = Session(path, bundle.preprocessing, threads=settings.threads)
    place = session.output_names.index("probabilities")
    return lambda images: session.run(images)[place]


def _compare(bundle: Bundle, run: Runner, photos: Photos, notes: list[str]) -> _Comparison:
    """Hold a format of full precision against the bundle, on photos where there are any."""
    images, _ = squares(spread(photos.test or photos.learned, _CHECKED), bundle, _CHECKED)
    if not len(images):
        images = made_up(bundle)
        notes.append(
            "The bundle's own photos are not at hand, so made-up images were compared; name a folder of photos with --data."
        )
    session = Session(bundle.model, bundle.preprocessing)
    before = session.run(images)[session.output_names.index("probabilities")]
    after = np.concatenate([run(images[start : start + 8]) for start in range(0, len(images), 8)])
    compared = _Comparison()
    for one, other in zip(before, after, strict=True):
        compared.add(bundle, one, other)
    return compared


def _refuse(bundle: Bundle, compared: _Comparison, settings: ExportSettings, format: str) -> None:
    limit = _MAX_DIFFERENCE if settings.max_difference is None else settings.max_difference
    if not compared.difference <= limit:
        raise BundleError(
            f"As {format}, {bundle.path} gives probabilities that differ by up to {compared.difference:.2g} on "
            f"{compared.images} images; allowed is {limit:g}. Nothing was written. Export it as onnx, or allow more with "
            "--max-difference."
        )


def _compare_int8(
    bundle: Bundle, path: Path, photos: Photos, settings: ExportSettings, notes: list[str], on_progress: Progress
) -> tuple[_Comparison, float]:
    """Hold the 8-bit network against the bundle on every test photo, for answers, accuracy and speed."""
    samples = photos.test or photos.learned
    if not photos.test:
        notes.append("No photo is kept for a test, so this is measured on photos that were learned from, and flatters.")
    elif not photos.own:
        notes.append(
            f"None of the photos in {settings.data} are of the bundle's split; one half was taken for the ranges."
        )
    before, after = (Session(model, bundle.preprocessing, threads=settings.threads) for model in (bundle.model, path))
    places = [session.output_names.index("probabilities") for session in (before, after)]
    compared, unread = _Comparison(), 0
    pairs = zip(samples, before.look(_jobs(samples)), after.look(_jobs(samples)), strict=True)
    for number, (sample, one, other) in enumerate(pairs, 1):
        on_progress("comparing", number, len(samples))
        if one.error is not None or other.error is not None:
            unread += 1
            continue
        compared.add(bundle, one.outputs[places[0]][0], other.outputs[places[1]][0], sample.labels)
    if not compared.images:
        raise DataError("None of the photos to check the export on can be read; name others with --data.")
    if unread:
        notes.append(f"{unread} photos could not be read and were left out.")
    if not compared.labelled:
        notes.append("The photos have no labels of the bundle, so its loss of accuracy is not known.")
    images, _ = squares(spread(samples, 16), bundle, 8)
    speed = speed_ratio(before, after, images)
    if speed < 1.0:
        notes.append(
            "On this machine's processor it is slower than the bundle's own network: it lacks fast products of bytes (VNNI "
            "or the like). Export it as onnx for this machine."
        )
    return compared, speed


def _jobs(samples: tuple[Sample, ...]) -> Iterator[Job]:
    return (Job(partial(read_bytes, sample.path)) for sample in samples)


def _refuse_int8(bundle: Bundle, compared: _Comparison, settings: ExportSettings) -> None:
    """One photo is always forgiven: on few photos, one is a large share and says little."""
    limit = _MAX_CHANGED if settings.max_difference is None else settings.max_difference
    lost = compared.right_before - compared.right_after
    if not np.isfinite(compared.difference) or compared.changed > max(1.0, limit * compared.images):
        raise BundleError(
            f"With 8 bits, {bundle.path} answers {compared.changed} of {compared.images} photos otherwise; allowed is a share "
            f"of {limit:g}. Nothing was written. Give more photos with --photos or --data, or allow more with --max-difference."
        )
    if lost > max(1.0, settings.max_loss * compared.labelled):
        raise BundleError(
            f"With 8 bits, {bundle.path} gets {lost} more of {compared.labelled} photos wrong; allowed is a share of "
            f"{settings.max_loss:g}. Nothing was written. Give more photos with --photos or --data, or allow more with "
            "--max-loss."
        )
