"""Videos among what is named: told from images, and left out and counted where they cannot be read."""

from __future__ import annotations

from pathlib import Path

from logolens.errors import MissingExtraError
from logolens.io.files import open_regular
from logolens.io.sources.mime import HEAD, SCANNED_SUFFIXES, suffix_of
from logolens.io.sources.source import Source
from logolens.io.video import VIDEO_SUFFIXES, is_video, need_video, reads_video

__all__ = ["Videos"]

_SHOWN = 3


class Videos:
    """Tells videos from images. Where the extra ``video`` is not installed those of a folder are left out, and counted.

    Attributes:
        suffixes: the endings that a folder's files must have to be looked at.
        left: the names of what was left out.
    """

    def __init__(self) -> None:
        self.suffixes = SCANNED_SUFFIXES | VIDEO_SUFFIXES
        self.left: list[str] = []
        self._problem = _problem()

    def source(self, name: str, path: Path, *, named: bool) -> Source | None:
        """A file as a source, an image or a video; None of a video that is left out.

        Args:
            name: what it is called.
            path: where it lies.
            named: whether it was named outright: it is then judged by its bytes too, and never left out without a word.
        """
        suffix = suffix_of(path.name)
        if suffix in SCANNED_SUFFIXES:
            return Source(name, path)
        if suffix not in VIDEO_SUFFIXES and not (named and _begins_as_video(path)):
            return Source(name, path)
        if self._problem is None:
            return Source(name, path, is_video=True)
        if named:
            return Source(name, problem=f"{name}: {self._problem}", is_video=True)
        self.left.append(name)
        return None

    def note(self) -> str | None:
        """A sentence that counts what was left out; None where nothing was."""
        if not self.left:
            return None
        shown = ", ".join(self.left[:_SHOWN]) + (", ..." if len(self.left) > _SHOWN else "")
        return f"Videos that were left out: {len(self.left):,}. {self._problem} ({shown})"


def _problem() -> str | None:
    if reads_video():
        return None
    try:
        need_video()
    except MissingExtraError as error:
        return str(error)
    return None


def _begins_as_video(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return is_video(file.read(HEAD))
    except OSError:
        return False
