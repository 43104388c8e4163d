"""A folder of composed images: written beside its place under a hidden name, and never over what someone else made."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from logolens.data.synthesis.composing import LogoBox
from logolens.errors import UsageError
from logolens.io.atomic import replace_folder
from logolens.io.names import file_name, text_of, valid, valid_all
from logolens.io.threads import processors
from logolens.types import Progress

__all__ = [
    "Maker",
    "Progress",
    "being_made",
    "check_target",
    "read_marker",
    "write_images",
    "write_marker",
    "write_table",
]


_FORMAT = 1


@dataclass(frozen=True)
class Maker:
    """Who makes a folder, and how it is known again.

    Attributes:
        marker: the file that says that a folder is this maker's own, and complete.
        name: the maker, as in "the demo".
        holds: what the folder holds, as in "the demo's photos".
        keys: what the marker must tell beside its files.
        flag: how a user says that it may be replaced.
    """

    marker: str
    name: str
    holds: str
    keys: frozenset[str]
    flag: str


def read_marker(folder: Path, maker: Maker) -> dict[str, Any] | None:
    """What a folder's marker tells; None where there is none that this release understands."""
    try:
        found = json.loads((folder / maker.marker).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and found.get("format") == _FORMAT and isinstance(found.get("files"), list)
    return found if known and maker.keys <= found.keys() else None


def check_target(folder: Path, maker: Maker, force: bool) -> None:
    """Refuse a target that holds anything but what an earlier call made.

    Raises:
        UsageError: it does, or an earlier call's work is there and ``force`` is not given.
    """
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UsageError(f"{folder} is not a folder of its own. Name a new or empty folder.")
        if not folder.exists() or not any(folder.iterdir()):
            return
        marker = read_marker(folder, maker)
        if marker is None:
            raise UsageError(
                f"{folder} is not empty and was not made by {maker.name}, so it stays as it is. Name a new or empty folder."
            )
        made = {*marker["files"], maker.marker}
        for path in sorted(folder.rglob("*")):
            if not path.is_dir() or path.is_symlink():
                name = text_of(path.relative_to(folder).as_posix())
                if name not in made:
                    raise UsageError(
                        f"{folder} holds {name}, which {maker.name} did not make. Move it away, or name another folder."
                    )
    except OSError as error:
        raise UsageError(f"{folder} cannot be looked into ({error.strerror}). Name another folder.") from error
    if not force:
        raise UsageError(
            f"{folder} holds {maker.holds} already. Name another folder, or say that they may be replaced ({maker.flag})."
        )


@contextmanager
def being_made(folder: Path, maker: Maker, force: bool) -> Iterator[Path]:
    """A folder that takes its name only once all of it is there; an interrupted run leaves nothing that looks like it.

    Yields:
        The temporary folder to write into; at the end `write_marker` must have been called on it.

    Raises:
        UsageError: the folder holds something else, or cannot be written.
    """
    check_target(folder, maker, force)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Hidden, so that nobody who reads the parent folder takes it for data.
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name[:60]}.", suffix=".part", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror}). Name a folder that you may write to.") from error
    try:
        yield temporary
        check_target(folder, maker, force)  # Once more: composing takes a while.
        replace_folder(temporary, folder)
    except OSError as error:
        raise UsageError(
            f"{maker.holds[:1].upper()}{maker.holds[1:]} cannot be written to {folder} ({error.strerror}). "
            "Check the disk and its permissions."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_marker(folder: Path, maker: Maker, facts: dict[str, Any], files: Sequence[str]) -> None:
    """Say whose a folder is, and which files in it are.

    Raises:
        OSError: it cannot be written.
    """
    marker = valid_all({"format": _FORMAT, **facts, "files": sorted(files)})
    (folder / maker.marker).write_text(json.dumps(marker, indent=1, ensure_ascii=False), encoding="utf-8")


def write_images(
    root: Path,
    paths: Sequence[PurePosixPath],
    render: Callable[[int], tuple[bytes, list[LogoBox]]],
    progress: Progress | None,
    threads: int | None,
) -> list[list[LogoBox]]:
    """Compose images and write them, several at once.

    Args:
        root: the folder.
        paths: where in it each goes.
        render: gives the file and the boxes of the image at a position.
        progress: told how far it is.
        threads: how many are composed at once; as many as there are processors by default.

    Returns:
        The boxes of each.
    """
    for parent in sorted({path.parent for path in paths}):
        (root / file_name(str(parent))).mkdir(parents=True, exist_ok=True)

    def work(position: int) -> list[LogoBox]:
        data, boxes = render(position)
        (root / file_name(str(paths[position]))).write_bytes(data)
        return boxes

    answers: list[list[LogoBox]] = []
    # Threads do: Pillow and numpy let go of the interpreter while they work.
    pool = ThreadPoolExecutor(threads or processors())
    try:
        for done, boxes in enumerate(pool.map(work, range(len(paths))), start=1):
            answers.append(boxes)
            if progress is not None:
                progress("composing photos", done, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)
    return answers


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as CSV below a row of column names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    path.write_text(valid(text.getvalue()), encoding="utf-8")
