"""Files in the cache folder: written in one step, and hashed no more often than they change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from pathlib import Path

from logolens.config import cache_folder
from logolens.io.atomic import write_atomically

__all__ = ["file_hash", "remembered_hash", "safe_name"]


def safe_name(name: str) -> str:
    """``name`` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's content, as hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_hash(path: Path) -> str:
    """As ``file_hash``, but a file whose size, time and inode have not changed since the last call is not read again.

    Weight files reach half a gigabyte, and each start of a command asks for their hash.

    Raises:
        OSError: the file cannot be read.
    """
    path = path.resolve()
    stat = path.stat()
    state = [str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    memo = cache_folder() / "hashes" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:24]}.json"
    try:
        known = json.loads(memo.read_bytes())
        if known["state"] == state and re.fullmatch(r"[0-9a-f]{64}", known["sha256"]):
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there yet, or damaged: the file is hashed
    digest = file_hash(path)
    with contextlib.suppress(OSError):  # a cache folder that cannot be written to costs time, not the answer
        write_atomically(memo, json.dumps({"state": state, "sha256": digest}).encode())
    return digest
