"""A process that decodes: how it is started, and how it holds itself to its limits."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import IO, BinaryIO

__all__ = ["bound_memory", "bound_time", "pipes_taken", "put", "start_worker"]

_ENVIRONMENT = {
    # One thread each: a worker is one of many, and an idle pool of threads counts as memory.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # glibc gives the room of each picture back to the system, which then clears it anew for the next, a page at a time:
    # a third of what decoding a small photo costs. Kept is what a photo needs; a big one's room goes back as before.
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
}
"""What a worker's process is told beside what this one knows."""


def start_worker(code: str, *arguments: str, stdin: int | BinaryIO = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """Start this Python with a few lines of code, which may import what this process can.

    Args:
        code: what it runs.
        arguments: what it is told.
        stdin: what it reads from; a pipe if not given.

    Raises:
        OSError: it cannot be started.
    """
    # What this process can import the worker can, too, wherever it was started; the current folder is not to be
    # trusted (-P): it may be the one that is scanned.
    path = [
        str(Path(str(files("logolens"))).resolve().parent),
        *(os.path.abspath(entry) for entry in sys.path if entry),
    ]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **_ENVIRONMENT},
        # An interrupt at the keyboard is for the run to handle: its workers end when it closes their pipes.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


@contextmanager
def pipes_taken() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """In the worker: what comes and what goes, taken from standard input and output, which lead nowhere from then on."""
    source = os.fdopen(os.dup(0), "rb", buffering=0)
    target = os.fdopen(os.dup(1), "wb", buffering=0)
    # Whatever a decoder prints must not stand among the answers.
    with open(os.devnull, "r+b") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    # What an image names must not be found beside the run.
    with contextlib.suppress(OSError):
        os.chdir(os.path.abspath(os.sep))
    yield source, target


def put(target: IO[bytes], data: bytes | memoryview) -> None:
    """Write all of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[target.write(rest) :]


def bound_memory(memory: int) -> None:
    """Let this process take so much memory beyond what it has now, where the system can hold it to that; leave no core dump."""
    try:
        import resource
    except ImportError:  # Windows has none.
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        used = int(Path("/proc/self/statm").read_bytes().split()[5]) * resource.getpagesize()
    # Data alone: the address space also counts libraries, and what threads reserve and never touch.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (used + memory, used + memory))


def bound_time(seconds: float) -> None:
    """Let what comes next take so much processor time. It ends a hang even when nobody is left to watch the clock."""
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(usage.ru_utime + usage.ru_stime + seconds) + 1, hard))
