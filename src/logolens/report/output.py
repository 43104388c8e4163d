"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from logolens.errors import UsageError
from logolens.whole import written_beside

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], data: bytes, *, force: bool = False) -> Path:
    """Write a file under a temporary name in its own folder, then rename it.

    Args:
        path: where to; its folder must exist.
        data: what to write.
        force: replace a file of that name.

    Raises:
        UsageError: the file is there and `force` is not given, or it cannot be written.
    """
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file to write to.")
    if target.exists() and not force:
        raise UsageError(f"{target} is there already. Name another file, or say that it may be replaced (force).")
    try:
        with written_beside(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{target} cannot be written: {reason}. Check that its folder exists and is yours.") from error
    return target
