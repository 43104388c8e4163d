"""Shards of work, here or on a Ray cluster. What the work is, nothing here knows.

A shard's items stand in a file. Its result goes to a temporary file, which takes its name when it is whole; then a receipt
is written in the same way, with the hashes of items, settings and result. A shard is done only if its receipt stands, so
whatever is killed, at whatever moment, no shard is lost, and none that is done is run again.

    000007.items      what to work on, one item a line
    000007.result     what came of it
    000007.receipt    that it did, and from what
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

from logolens.errors import StoreError, WorkerError, require
from logolens.io.atomic import written_beside

__all__ = ["Shard", "Work", "cut", "run_local", "run_ray", "standing"]

Work = Callable[[Iterator[bytes]], Iterable[bytes]]
"""Lines to lines."""

Builder = Callable[[], AbstractContextManager[Work]]
"""Makes the work in the process that runs it, once for all shards that it works on there."""

_LOST = 20
"""How often a shard is run again after its worker was lost."""

_PARTING = 10.0
"""For how many seconds a run that ends early waits for its tasks to end."""


@dataclass(frozen=True)
class Shard:
    """A shard's files.

    Attributes:
        folder: where they stand; on a cluster, a folder that all its machines see.
        number: the shard's number.
        key: the hash of all besides the items that decides the result.
    """

    folder: str
    number: int
    key: str

    @property
    def items(self) -> Path:
        """The file of what to work on."""
        return Path(self.folder, f"{self.number:06}.items")

    @property
    def result(self) -> Path:
        """The file of what came of it."""
        return Path(self.folder, f"{self.number:06}.result")

    @property
    def receipt(self) -> Path:
        """The file that says that the result stands."""
        return Path(self.folder, f"{self.number:06}.receipt")

    def is_done(self) -> bool:
        """Whether the receipt stands: for these items, this key, and the result as it lies there."""
        try:
            receipt = json.loads(self.receipt.read_bytes())
            return bool(
                receipt["key"] == self.key
                and receipt["items"] == _hash_of(self.items)
                and receipt["result"] == _hash_of(self.result)
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def lines(self) -> Iterator[bytes]:
        """The lines of the result."""
        with open(self.result, "rb") as file:
            yield from file

    def remove(self) -> None:
        """Remove the shard's files, and what writers that were killed have left of them."""
        folder = Path(self.folder)
        # Earlier releases called what is being written otherwise.
        unfinished = (*folder.glob(f".{self.number:06}.*.tmp"), *folder.glob(f"{self.number:06}.*.part"))
        for path in (self.receipt, self.result, self.items, *unfinished):
            path.unlink(missing_ok=True)


def cut(lines: Iterable[bytes], folder: Path, size: int, key: str, *, first: int = 0) -> Iterator[Shard]:
    """Cut lines into shards of ``size`` items and write them down, one shard as it is asked for.

    Raises:
        StoreError: the folder cannot be written to.
    """
    lines = iter(lines)
    for number in count(first):
        part = list(islice(lines, size))
        if not part:
            return
        shard = Shard(str(folder.absolute()), number, key)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_whole(shard.items, part)
        except OSError as error:
            raise StoreError(f"{folder} cannot be written to ({error.strerror}); check its rights and room.") from error
        yield shard


def standing(folder: Path, key: str) -> list[Shard]:
    """The shards that an earlier run has left in a folder, done or not, by number."""
    numbers = sorted(int(path.stem) for path in folder.glob("*.items") if path.stem.isdigit())
    return [Shard(str(folder.absolute()), number, key) for number in numbers]


def run_local(build: Builder, shards: Iterable[Shard]) -> Iterator[Shard]:
    """Work through shards in this process; yields each when it is done, also those that were done before."""
    with ExitStack() as stack:
        work: Work | None = None
        for shard in shards:
            if not shard.is_done():
                work = work or stack.enter_context(build())
                _run(work, shard)
            yield shard


def run_ray(
    build: Builder, shards: Iterable[Shard], *, address: str = "", processors: int = 1, ahead: int = 2
) -> Iterator[Shard]:
    """Work through shards on a Ray cluster; yields each when it is done, in whatever order, also those done before.

    Each shard is a task of its own, which Ray runs again when its worker or its machine is lost. There is no pool of actors
    that could stall when a machine goes, and machines that join are used at once.

    Args:
        build: makes the work; it is sent to where it runs. Two that have the same ``repr`` make the same work.
        shards: what to work through; drawn as there is room, so that there may be more than memory holds.
        address: the cluster; empty for the one that this process is connected to already, or else one on this machine.
        processors: of a machine, for each task.
        ahead: tasks handed in for each one that the cluster has room for.

    Raises:
        MissingExtraError: Ray is not installed.
        WorkerError: the cluster cannot be reached, or a shard's workers were lost too often.
    """
    ray: Any = require("ray", "ray")
    own = not ray.is_initialized()
    if own:
        _connect(ray, address)
    open_: dict[Any, Shard] = {}
    try:
        task = ray.remote(num_cpus=processors, max_retries=_LOST, retry_exceptions=False)(_run_there)
        builder = ray.put(build)
        shards, more = iter(shards), True
        while more or open_:
            room = ahead * max(1, int(ray.cluster_resources().get("CPU", 1) // processors))
            while more and len(open_) < room:
                shard = next(shards, None)
                if shard is None:
                    more = False
                elif shard.is_done():
                    yield shard
                else:
                    open_[task.remote(builder, shard)] = shard
            if open_:
                done, _ = ray.wait(list(open_), num_returns=1, timeout=1.0)
                for reference in done:
                    shard = open_.pop(reference)
                    _collect(ray, reference, shard)
                    yield shard
    finally:
        _cancel(ray, list(open_))
        if own:
            ray.shutdown()


def _cancel(ray: Any, references: list[Any]) -> None:
    """Interrupt what is not done, and let it clear up, before its processes are ended or its cluster is left alone."""
    try:
        for reference in references:
            ray.cancel(reference)
        if references:
            ray.wait(references, num_returns=len(references), timeout=_PARTING)
    except (ray.exceptions.RayError, OSError, ValueError):  # The cluster is gone, and its tasks with it.
        pass


def _connect(ray: Any, address: str) -> None:
    try:
        # Ray itself waits for minutes for a cluster that is not there.
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host and port.isdigit():
            socket.create_connection((host.strip("[]"), int(port)), timeout=20).close()
        # A cluster made for this run alone keeps little: shards pass through files.
        small = {} if address else {"object_store_memory": 200_000_000, "include_dashboard": False}
        ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **small)
    except (OSError, ValueError, RuntimeError) as error:
        raise WorkerError(
            f"The Ray cluster {address or 'on this machine'} cannot be reached ({error}); start one with `ray start "
            "--head`, and give the address that it prints."
        ) from error


def _collect(ray: Any, reference: Any, shard: Shard) -> None:
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # What the work itself complains of reads the same wherever it ran.
        raise error.cause if isinstance(error.cause, Exception) else error from None
    except ray.exceptions.RayError as error:
        raise WorkerError(
            f"Shard {shard.number} lost its worker {_LOST} times ({type(error).__name__}); look at the cluster's memory, "
            "then run the same command: what is done stays."
        ) from error


_built: dict[str, tuple[ExitStack, Work]] = {}
"""What builders made in this process, so that a worker loads its model once, not for each shard."""


def _run_there(build: Builder, shard: Shard) -> int:
    """What a worker of the cluster runs."""
    if shard.is_done():  # An earlier try got as far as its receipt and was lost before it could say so.
        return shard.number
    key = repr(build)
    if key not in _built:
        for stack, _ in _built.values():
            stack.close()
        _built.clear()
        stack = ExitStack()
        _built[key] = (stack, stack.enter_context(build()))
    _run(_built[key][1], shard)
    return shard.number


def _run(work: Work, shard: Shard) -> None:
    items = _hash_of(shard.items)
    number = 0

    def counted() -> Iterator[bytes]:
        nonlocal number
        with open(shard.items, "rb") as file:
            for line in work(file):
                number += 1
                yield line

    result = _write_whole(shard.result, counted())
    receipt = {"items": items, "key": shard.key, "count": number, "result": result}
    _write_whole(shard.receipt, [json.dumps(receipt).encode()])


def _write_whole(path: Path, lines: Iterable[bytes]) -> str:
    """Write a file under a temporary name that nobody else uses, then rename it; returns the hash of its bytes."""
    digest = hashlib.sha256()
    with written_beside(path) as temporary, open(temporary, "wb") as file:
        for line in lines:
            digest.update(line)
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _hash_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
