"""What `predict` and its like are given: files, folders, globs and standard input, one by one, in order.

Nothing here opens an image. A source that cannot be read is still a source: its ``read`` says why, so that one bad
name among thousands ends no run.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from logolens.config import Limits
from logolens.errors import UsageError
from logolens.io.images import IMAGE_SUFFIXES
from logolens.io.sources.leftovers import is_leftover
from logolens.io.sources.mime import SCANNED_SUFFIXES
from logolens.io.sources.source import Source
from logolens.io.sources.videos import Videos

__all__ = ["STDIN", "expand", "in_order", "is_hidden", "leads_back", "left_note", "walk"]

STDIN = "-"
"""The argument that stands for standard input."""

_GLOB = re.compile(r"[*?[]")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,30}://")


def expand(
    arguments: Iterable[str | os.PathLike[str]],
    *,
    stdin: BinaryIO | None = None,
    limits: Limits = Limits(),
    left: Callable[[str], object] | None = None,
    videos: Videos | None = None,
) -> Iterator[Source]:
    """Turn arguments into sources, in the order given.

    A file named outright is yielded whatever its ending. A folder is walked (see `walk`), a pattern with ``*``, ``?``
    or ``[`` that names no existing file is expanded, with ``**`` for any depth, and sorted; folders that a pattern
    matches are walked too. ``-`` reads one image from standard input. A folder without images and a pattern that
    matches nothing each yield one source whose ``read`` raises, so that they are reported beside the answers.

    Args:
        arguments: paths, patterns or ``-``.
        stdin: what ``-`` reads; standard input by default.
        limits: ``max_bytes`` bounds what is read from standard input.
        left: told of each linked folder that is not followed.
        videos: tells videos from images; without it a video that is named is taken for an image, and one in a folder left out.

    Raises:
        UsageError: there are no arguments, one is empty, or ``-`` is given twice. Raised before the first source.
    """
    given = [os.fspath(argument) for argument in arguments]
    if not given:
        raise UsageError("No image was named; give files, folders, patterns, or - for standard input.")
    if any(not name for name in given):
        raise UsageError("One of the images has an empty name; check the quotes and variables in the command.")
    if given.count(STDIN) > 1:
        raise UsageError("Standard input (-) can be given only once, for it holds one image.")
    return _expand(given, stdin, limits, left, videos)


def _expand(
    given: list[str],
    stdin: BinaryIO | None,
    limits: Limits,
    left: Callable[[str], object] | None,
    videos: Videos | None,
) -> Iterator[Source]:
    for name in given:
        if name == STDIN:
            yield _from_stdin(stdin if stdin is not None else sys.stdin.buffer, limits)
        elif os.path.isdir(name):
            yield from _from_folder(name, left, videos)
        elif _ADDRESS.match(name) and not os.path.lexists(name):
            yield Source(
                name, problem=f"{name}: this is an address, and only files are read here; `logolens scan` fetches it."
            )
        elif _GLOB.search(name) and not os.path.lexists(name):
            yield from _from_pattern(name, left, videos)
        else:
            yield from _file(name, Path(name), videos, named=True)


def _file(name: str, path: Path, videos: Videos | None, *, named: bool) -> Iterator[Source]:
    source = Source(name, path) if videos is None else videos.source(name, path, named=named)
    if source is not None:
        yield source


def left_note(left: Sequence[str], way: str) -> str | None:
    """A sentence that counts the linked folders that were not followed; None where there are none.

    Args:
        left: their paths.
        way: what to do to have them read, as the end of a sentence.
    """
    if not left:
        return None
    shown = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
    return f"Linked folders that were not followed: {len(left)}; {way}. ({shown})"


def _from_stdin(stream: BinaryIO, limits: Limits) -> Source:
    try:
        data = stream.read(limits.max_bytes + 1)
    except OSError as error:
        return Source(STDIN, problem=f"Standard input cannot be read ({error.strerror or error}).")
    if not data:
        return Source(STDIN, problem="Standard input is empty; pipe one image into it.")
    if len(data) > limits.max_bytes:
        return Source(STDIN, problem=f"Standard input holds more than {limits.max_bytes} bytes; it takes one image.")
    return Source(STDIN, data=data)


def _from_folder(name: str, left: Callable[[str], object] | None, videos: Videos | None) -> Iterator[Source]:
    refused: list[OSError] = []
    found = False
    suffixes = SCANNED_SUFFIXES if videos is None else videos.suffixes
    for path in walk(name, suffixes=suffixes, on_error=refused.append, left=left):
        found = True
        yield from _file(str(path), path, videos, named=False)
    for error in refused:
        yield Source(str(error.filename), problem=f"{error.filename}: cannot be read ({error.strerror}).")
    if not found and not refused:
        yield Source(name, problem=f"{name}: this folder holds no files that end as images do, as in .jpg or .png.")


def _from_pattern(pattern: str, left: Callable[[str], object] | None, videos: Videos | None) -> Iterator[Source]:
    found = False
    wild = _GLOB.search(pattern)
    above = os.path.dirname(pattern[: wild.start()]) if wild else ""
    if "**" in pattern:
        # glob would follow links into loops here; the walk does not.
        parts = Path(pattern).parts
        first = next(index for index, part in enumerate(parts) if _GLOB.search(part))
        root = Path(*parts[:first])
        above = str(root)
        for path in walk(root, suffixes=SCANNED_SUFFIXES if videos is None else videos.suffixes, left=left):
            if _is_match(path.relative_to(root).parts, parts[first:]):
                found = True
                yield from _file(str(path), path, videos, named=False)
    else:
        for match in sorted(glob.glob(pattern), key=in_order):
            if is_hidden(os.path.basename(match)):
                continue
            found = True
            if os.path.isdir(match):
                yield from _from_folder(match, left, videos)
            else:
                yield from _file(match, Path(match), videos, named=True)
    if not found and above and not os.path.lexists(above):
        # Its disk may be unplugged.
        yield Source(above, problem=f"{above}: there is no such folder, so nothing matches {pattern}.", hides=True)
    elif not found:
        yield Source(pattern, problem=f"{pattern}: no file matches this pattern.")


def _is_match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches part by part, where ``**`` stands for any number of parts."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        # At the end it stands for all files below; elsewhere for any folders, also none.
        return len(pattern) == 1 or any(_is_match(parts[skip:], pattern[1:]) for skip in range(len(parts)))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _is_match(parts[1:], pattern[1:])


def walk(
    folder: str | os.PathLike[str],
    *,
    suffixes: frozenset[str] | None = IMAGE_SUFFIXES,
    folder_links: bool = False,
    within: str | os.PathLike[str] | None = None,
    on_error: Callable[[OSError], object] | None = None,
    left: Callable[[str], object] | None = None,
) -> Iterator[Path]:
    """The files below a folder, in one order on every machine, hidden and system ones left out.

    Names that begin with a dot (macOS writes ``._photo.jpg`` beside ``photo.jpg``), ``__MACOSX`` and the like are
    skipped. Links to files count as files. Links to folders are followed where ``folder_links`` says so, each folder once,
    and never back to where the walk goes anyway or comes from, so that no loop can catch it.

    Args:
        folder: where to begin.
        suffixes: the endings wanted, lower case with the dot; None for all.
        folder_links: whether links to folders are followed.
        within: the folder that is read as a whole, of which this one is a part; ``folder`` itself if not given.
        on_error: called for each folder that cannot be listed.
        left: called with the path of each linked folder that is not followed.
    """
    root = os.path.realpath(folder if within is None else within)
    seen: set[tuple[int, int]] = set()
    waiting = [os.fspath(folder)]
    while waiting:
        base = waiting.pop()
        try:
            if folder_links:
                status = os.stat(base)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            with os.scandir(base) as entries:
                found = sorted(
                    (entry for entry in entries if not is_hidden(entry.name)), key=lambda e: in_order(e.name)
                )
        except OSError as error:
            if on_error is not None:
                on_error(error)
            continue
        folders = []
        for entry in found:
            if not _is_folder(entry):
                if suffixes is None or os.path.splitext(entry.name)[1].lower() in suffixes:
                    yield Path(entry.path)
            elif not entry.is_symlink() or (folder_links and not leads_back(entry.path, root)):
                folders.append(entry.path)
            elif left is not None:
                left(entry.path)
        waiting += reversed(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself, or what cannot be asked: reading it says what is wrong with it.
        return False


def leads_back(link: str | os.PathLike[str], root: str | os.PathLike[str]) -> bool:
    """Whether a linked folder holds ``root``, or lies where reading ``root`` comes anyway."""
    target, whole = Path(os.path.realpath(link)), Path(os.path.realpath(root))
    if whole.is_relative_to(target):
        return True
    return target.is_relative_to(whole) and not any(map(is_hidden, target.relative_to(whole).parts))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out: hidden, or a system's own."""
    return name.startswith(".") or is_leftover(name)


def in_order(name: str) -> tuple[object, ...]:
    """photo2 before photo10, as people count; the name itself decides between equals."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts), name
