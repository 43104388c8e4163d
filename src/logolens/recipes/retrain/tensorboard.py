"""Scalars for TensorBoard, written without TensorFlow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

from logolens.errors import UsageError, require

__all__ = ["Scalars", "run_folder"]


class Scalars:
    """Writes one event file into a folder; ``tensorboard --logdir`` shows it. Use it as a context manager.

    Args:
        folder: made if it is not there. Other files in it are left alone.

    Raises:
        MissingExtraError: the package tensorboard is not installed.
        UsageError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        writer: Any = require("tensorboard.summary.writer.event_file_writer", "train")
        self._event: Any = require("tensorboard.compat.proto.event_pb2", "train").Event
        self._summary: Any = require("tensorboard.compat.proto.summary_pb2", "train").Summary
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: Any = writer.EventFileWriter(str(folder))
        except OSError as error:
            raise UsageError(
                f"Nothing can be written to {folder} for TensorBoard ({error.strerror}); name another folder."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, step: int, **values: float) -> None:
        """Record values at a step, each under the name of its argument."""
        summary = self._summary(value=[self._summary.Value(tag=tag, simple_value=v) for tag, v in values.items()])
        self._file.add_event(self._event(wall_time=time.time(), step=step, summary=summary))


def run_folder(folder: Path) -> Path:
    """Where a new run's event files go: ``folder``, or ``run-2``, ``run-3``, ... in it where an earlier run's lie there.

    TensorBoard draws all event files of one folder as one zigzag line, so each run gets a folder of its own.
    """
    number, place = 1, folder
    while any(place.glob("*/events.out.tfevents.*")):
        number += 1
        place = folder / f"run-{number}"
    return place
