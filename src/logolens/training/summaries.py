"""Where a run's scalars for TensorBoard go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from logolens.errors import UsageError, require

__all__ = ["run_folder", "summary_writer"]


def summary_writer(folder: Path) -> Any:
    """PyTorch's writer of TensorBoard's event files, as a context manager; ``tensorboard --logdir`` shows them.

    Args:
        folder: made if it is not there. Other files in it are left alone.

    Raises:
        MissingExtraError: PyTorch or the package tensorboard is not installed.
        UsageError: the folder cannot be made or written to.
    """
    require("tensorboard", "train")
    writer: Any = require("torch.utils.tensorboard", "train").SummaryWriter
    try:
        return writer(str(folder))
    except (OSError, UnicodeError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else "it takes no name that is not UTF-8"
        raise UsageError(
            f"Nothing can be written to {folder} for TensorBoard ({reason}); name another folder."
        ) from error


def run_folder(folder: Path) -> Path:
    """Where a new run's event files go: ``folder``, or ``run-2``, ``run-3``, ... in it where an earlier run's lie there.

    TensorBoard draws all event files of one folder as one zigzag line, so each run gets a folder of its own.
    """
    number, place = 1, folder
    while any(place.glob("*/events.out.tfevents.*")):
        number += 1
        place = folder / f"run-{number}"
    return place
