"""Which file a table means by the name that it writes: with or without folders and endings, from whatever machine."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from logolens.data.folder import split_named
from logolens.io.images import IMAGE_SUFFIXES
from logolens.io.names import file_name
from logolens.io.sources import walk

__all__ = ["ListedFiles"]

_USUAL = ("images", "image", "imgs", "img", "photos", "JPEGImages")
"""Folders beside a table that hold its photos."""

_ENDINGS = ("", ".jpg", ".png", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".bmp", ".gif", ".tif")
"""What a name may go on with."""

_MOST_SOUGHT = 200_000
"""So many files below a table's folder are looked through at most; it may be somebody's home."""


class ListedFiles:
    """Finds the photos of one table.

    Args:
        table: the table's file; relative names start at its folder.
    """

    def __init__(self, table: Path) -> None:
        self._table = table
        self._names: dict[Path, frozenset[str]] = {}
        self.several: list[str] = []
        """Names that several files below the table's folder have, so that none was taken."""

    def find(self, name: str, *, split: str | None = None, part: str | None = None, label: str = "") -> Path | None:
        """The file of a name; where there is none, where it was to be; None where several may be meant.

        Tried are: the name as it is, in folders that are usual, with an ending where it has none; then any one file below the
        table's folder that is called so, as long as the name gives no folder that is there.

        Args:
            name: as the table writes it.
            split: the part that the row puts it in; of several files of a name the one in the folder of that name is meant.
            part: the part whose photos the whole table is about; none that lies in another one's folder is meant.
            label: the row's label; of several files of a name the one in the folder of that name is meant.
        """
        folder = self._table.parent
        path = folder / name
        if name.startswith("~") and not os.path.exists(path):
            with contextlib.suppress(RuntimeError):  # There is no such user.
                return Path(name).expanduser()
        if _is_photo(path):
            return path
        if os.path.exists(escaped := folder / file_name(name)):
            return escaped
        # A table written on Windows parts folders by backslashes, which elsewhere are letters.
        plain = name.replace("\\", "/") if "\\" in name else name
        path = folder / plain
        # macOS takes an accent apart in file names, and most programs that write tables put it together.
        forms = (Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD"))
        nearby = (folder / inner / plain for inner in (self._table.stem, *filter(None, (split, part)), *_USUAL))
        for place in itertools.chain((path,), forms, nearby):
            if (found := self._with_ending(place)) is not None:
                return found
        if path.parent != folder and os.path.isdir(path.parent):
            return path  # Its folder is there, and it is not in it.
        alike = self._anywhere(plain, part, split or part or self._part, label)
        if len(alike) > 1:
            self.several.append(name)
            return None
        return alike[0] if alike else path

    def _with_ending(self, path: Path) -> Path | None:
        """A file as it is called, or, where the name has no ending of images, the one that begins so."""
        folder = path.parent
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except (OSError, ValueError):  # It is not there, or no folder.
                self._names[folder] = frozenset()
        names = self._names[folder]
        endings = _ENDINGS if path.suffix.lower() not in IMAGE_SUFFIXES else ("",)
        found = (path.with_name(f"{path.name}{ending}") for ending in endings if f"{path.name}{ending}" in names)
        return next((place for place in found if _is_photo(place)), None)

    @cached_property
    def _part(self) -> str | None:
        """The part that the table is called after, as trainLabels.csv."""
        words = re.findall(r"[A-Z]?[a-z]+", self._table.stem)
        return next((part for word in words if (part := split_named(word))), None)

    def _anywhere(self, name: str, part: str | None, split: str | None, label: str) -> list[Path]:
        """The files that a name may mean."""
        parts = [_folded(part) for part in re.split(r"[\\/]+", name) if part not in ("", ".", "..")]
        if not parts:
            return []
        alike = self._by_name.get(parts[-1]) or self._by_stem.get(parts[-1]) or []
        named = [part, *map(split_named, parts[:-1])]
        wanted = {part for part in named if part}
        # What is said to lie in test is not what is called so in train.
        found = [path for path in alike if not wanted or not (own := self._splits(path)) or own & wanted]
        found = [path for path in found if split in self._splits(path)] or found
        return _nearest(found, parts, _folded(label))

    def _splits(self, path: Path) -> set[str]:
        inner = path.relative_to(self._table.parent).parts[:-1]
        return {named for part in inner if (named := split_named(part))}

    @cached_property
    def _files(self) -> list[Path]:
        return list(itertools.islice(walk(self._table.parent, folder_links=True), _MOST_SOUGHT))

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        return _grouped((_folded(path.name), path) for path in self._files)

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        return _grouped((_folded(path.stem), path) for path in self._files)


def _nearest(found: Sequence[Path], parts: Sequence[str], label: str) -> list[Path]:
    """Those whose folders are most like those written, then those in a folder of the label's name."""

    def nearness(path: Path) -> tuple[int, bool]:
        own = [_folded(part) for part in path.parts[:-1]]
        pairs = zip(reversed(own), reversed(parts[:-1]), strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)), label in own

    best = max(map(nearness, found), default=None)
    return [path for path in found if nearness(path) == best]


def _is_photo(path: Path) -> bool:
    """Whether something is there that may be meant; of a name without an ending, a folder called so is not."""
    # Of a name that is too long for any file, pathlib would raise.
    return os.path.exists(path) and not (os.path.isdir(path) and not path.suffix)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _grouped(pairs: Iterator[tuple[str, Path]]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for name, path in pairs:
        found[name].append(path)
    return found
