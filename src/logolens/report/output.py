"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from logolens.errors import UsageError

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
    # Not tempfile: its files are readable by their owner alone, whatever the umask says.
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            stream.write(data)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise UsageError(f"{target} cannot be written: {reason}. Check that its folder exists and is yours.") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target
