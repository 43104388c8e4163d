"""What a run will write, held against what is there before any work is done for it."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from logolens.bundle.format import check_out
from logolens.config import RetrainSettings
from logolens.errors import UsageError
from logolens.io.files import read_regular
from logolens.recipes.retrain.graph_file import labels_text, written_labels

__all__ = ["Targets", "has_tensorflow"]


@dataclass(frozen=True)
class Targets:
    """The paths that a run writes to; None for what was not asked for.

    Attributes:
        graph: the trained graph.
        labels: the labels file.
        intermediate: the intermediate graphs by step.
        saved_model: the folder of a SavedModel, or of a bundle where TensorFlow is not installed.
        checkpoint: the trained layer.
    """

    graph: Path
    labels: Path
    intermediate: dict[int, Path]
    saved_model: Path | None
    checkpoint: Path | None

    @staticmethod
    def of(settings: RetrainSettings) -> Targets:
        """The paths that the settings name.

        Raises:
            UsageError: one is missing, or two are the same.
        """
        for name in ("output_graph", "output_labels", "summaries_dir"):
            if not getattr(settings, name):
                raise UsageError(f"{name} is empty; name a path with --{name}.")
        every, last = settings.intermediate_store_frequency, settings.how_many_training_steps
        steps = range(every, last, every) if every else range(0)
        folder = Path(settings.intermediate_output_graphs_dir)
        suffix = Path(settings.output_graph).suffix
        targets = Targets(
            Path(settings.output_graph),
            Path(settings.output_labels),
            {step: folder / f"intermediate_{step}{suffix}" for step in steps},
            Path(settings.saved_model_dir) if settings.saved_model_dir else None,
            Path(f"{settings.checkpoint_path}.safetensors") if settings.checkpoint_path else None,
        )
        files = [path.resolve() for path in targets._files()]
        if len(set(files)) < len(files):
            raise UsageError(
                f"Two of the outputs are to be written to {_repeated(files)}; give each a path of its own."
            )
        return targets

    def _files(self) -> list[Path]:
        more = [self.checkpoint] if self.checkpoint else []
        return [self.graph, self.labels, *self.intermediate.values(), *more]

    def check(self, labels: Sequence[str], *, force: bool) -> None:
        """Refuse paths that cannot be written to, and files that no earlier run wrote.

        Args:
            labels: the labels that will be written.
            force: replace files whoever wrote them.

        Raises:
            UsageError: a file or folder is in the way; the message says which.
        """
        for path in self._files():
            _check_place(path)
        if self.saved_model is not None:
            _check_folder(self.saved_model, force)
        if force:
            return
        for path in (self.graph, *self.intermediate.values()):
            if path.exists() and written_labels(path) is None:
                raise UsageError(
                    f"{path} is there and no earlier retrain wrote it; name another file, or replace it with --force."
                )
        if self.labels.exists():
            before = written_labels(self.graph) if self.graph.exists() else None
            expected = {labels_text(known).encode() for known in (labels, before) if known is not None}
            if read_regular(self.labels) not in expected:
                raise UsageError(
                    f"{self.labels} is there and is not the labels file of the graph {self.graph}; name another file, or "
                    "replace it with --force."
                )


def _repeated(files: list[Path]) -> Path:
    return next(path for position, path in enumerate(files) if path in files[:position])


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file to write to.")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"{path} cannot be written: {above} is not a folder that can be written to.")


def has_tensorflow() -> bool:
    """Whether a SavedModel can be written."""
    return importlib.util.find_spec("tensorflow") is not None


def _check_folder(folder: Path, force: bool) -> None:
    if not has_tensorflow():
        check_out(folder, force or _is_bundle_of_retrain(folder))
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (force and (folder / "saved_model.pb").is_file()):
            raise UsageError(
                f"saved_model_dir {folder} is there and not empty; name a new folder, or replace a SavedModel with --force."
            )
    else:
        _check_place(folder / "saved_model.pb")


def _is_bundle_of_retrain(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "manifest.json").read_bytes())["command"] == "retrain")
    except (OSError, ValueError, KeyError, TypeError):
        return False
