"""Files and folders that appear whole or not at all, whenever a program is killed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replace_folder", "write_atomically", "written_beside"]


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A name beside the one that is meant; what is written to it takes the meant name at the end, and goes if that fails.

    Raises:
        OSError: it cannot be renamed.
    """
    # Not tempfile: its files are readable by their owner alone, whatever the umask says.
    temporary = path.with_name(f".{path.name[:60]}-{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file, its folder too where that is missing, so that no reader sees half of it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as temporary:
        temporary.write_bytes(data)


def replace_folder(made: Path, out: Path) -> None:
    """Put a complete folder, or file, in its place on the same disk; a folder that is there steps aside until then.

    Raises:
        OSError: it cannot be renamed; what was there is there again.
    """
    old = out.with_name(f".{out.name[:60]}-{secrets.token_hex(6)}.old")
    if out.is_dir():
        os.replace(out, old)
    try:
        os.replace(made, out)
    except BaseException:
        if old.exists():
            os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)
