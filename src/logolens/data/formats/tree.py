"""The files of a data set, and which of them an annotation means by the path it writes."""

from __future__ import annotations

import codecs
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from logolens.config import BACKGROUND
from logolens.data.dataset import Listing, Notes, Region
from logolens.data.folder import NO_LABELS, clean_label, split_named
from logolens.errors import DataError
from logolens.io.files import open_regular
from logolens.io.images import IMAGE_SUFFIXES
from logolens.io.sources import walk

__all__ = ["Tree", "annotated", "list_of_annotated", "split_named", "text_of", "tree_of"]

_MOST_BYTES = 500_000_000


@dataclass(frozen=True)
class Tree:
    """All files below a folder, hidden ones left out.

    Attributes:
        root: the folder.
        images: the files whose endings are those of images, in order.
        others: all further files, in order.
        named: the one annotation file that the user named instead of a folder, or None.
    """

    root: Path
    images: tuple[Path, ...]
    others: tuple[Path, ...]
    named: Path | None = None

    def files(self, *suffixes: str) -> list[Path]:
        """The files with one of these endings, lower case with the dot; where the user named one file, that alone."""
        if self.named is not None and self.named.suffix.lower() in suffixes:
            return [self.named]
        return [path for path in self.others if path.suffix.lower() in suffixes]

    def name(self, path: Path) -> str:
        """A file's path from the root, with forward slashes."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()

    def split_of(self, path: Path) -> str | None:
        """The part that a folder above a file is called after, such as train/images or images/train2017."""
        for part in Path(self.name(path)).parent.parts:
            if split := split_named(part):
                return split
        return None

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for path in self.images:
            found[path.name.casefold()].append(path)
        return found

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for path in self.images:
            found[path.stem.casefold()].append(path)
        return found

    @cached_property
    def _all(self) -> frozenset[Path]:
        return frozenset(self.images)

    def image(self, written: str, beside: Path, split: str | None = None) -> Path | None:
        """The image that an annotation means, whatever machine its path was written on; None where none or several may be it.

        Only images of this data set are found: a path that leads elsewhere is followed by its last parts.

        Args:
            written: the path as it stands in the annotation.
            beside: the folder of the annotation.
            split: the part that the annotation is about.
        """
        text = written.strip()
        if re.match(r"https?:/", text):
            text = unquote(text.partition("?")[0])  # What is behind it signs the address.
        parts = [part for part in re.split(r"[\\/]+", text) if part not in ("", ".", "..")]
        if not parts:
            return None
        for start in (beside, self.root):
            if (path := start.joinpath(*parts)) in self._all:
                return path
        found = self._by_name.get(parts[-1].casefold(), ())
        # What is said to lie in test is not what is called so in train.
        wanted = {named for part in parts[:-1] if (named := split_named(part))}
        own = [path for path in found if not wanted or (here := self.split_of(path)) is None or here in wanted]
        return self._nearest(own, parts, beside, split)

    def image_of_stem(self, stem: str, beside: Path, split: str | None = None) -> Path | None:
        """The image of a name without its ending, as near as it can be to a folder; None where none or several may be it."""
        found = self._by_stem.get(stem.casefold(), ())
        same = [path for path in found if path.parent == beside]
        return self._nearest(same or found, [stem], beside, split)

    def label_of(self, path: Path) -> str | None:
        """The label that a file's folder gives, as in train/acme/1.jpg; None where it is called images, train or the like."""
        folders = [part for part in Path(self.name(path)).parent.parts if split_named(part) is None]
        return clean_label(folders[0]) if folders and folders[0].lower() not in (*NO_LABELS, "data") else None

    def _nearest(self, found: Sequence[Path], parts: Sequence[str], beside: Path, split: str | None) -> Path | None:
        if len(found) <= 1:
            return found[0] if found else None

        def nearness(path: Path) -> tuple[int, int, int, int]:
            below = Path(self.name(path)).parts
            alike = _common([part.casefold() for part in below[::-1]], [part.casefold() for part in parts[::-1]])
            # As images/acme/1.jpg and Annotations/acme/1.xml share what their folders are called.
            folders = _common(path.parent.parts[::-1], beside.parts[::-1])
            in_part = split is not None and self.split_of(path) == split
            return alike, in_part, folders, _common(path.parts, beside.parts)

        ranked = sorted(((nearness(path), path) for path in found), key=lambda pair: pair[0], reverse=True)
        return ranked[0][1] if ranked[0][0] > ranked[1][0] else None


def tree_of(place: Path) -> Tree:
    """The files below a folder, or around an annotation file: where no image lies beside it, below the folder above."""
    root = place if place.is_dir() else place.parent
    tree = _walked(root, None if place.is_dir() else place)
    if place.is_file() and not tree.images and root.resolve() != root.resolve().parent:
        tree = _walked(root.resolve().parent, place.resolve())
    return tree


def _walked(root: Path, named: Path | None) -> Tree:
    images: list[Path] = []
    others: list[Path] = []
    for path in walk(root, suffixes=None, folder_links=True):
        (images if path.suffix.lower() in IMAGE_SUFFIXES else others).append(path)
    return Tree(root, tuple(images), tuple(others), named)


def annotated(regions: Iterable[Region]) -> tuple[Region, ...]:
    """What a photo shows, of all that is annotated in it: nothing, or nothing but boxes of ``none``, is the background."""
    shown = tuple(region for region in regions if region.label != BACKGROUND)
    return shown or (Region(BACKGROUND),)


def list_of_annotated(tree: Tree, found: Mapping[Path, Listing], notes: Notes) -> list[Listing]:
    """What was found by photo, as a list; photos that nothing annotates are told."""
    left = [tree.name(image) for image in tree.images if image not in found]
    if left:
        notes.add("unannotated", "Photos without an annotation, left out: {n}.", left)
    return list(found.values())


def text_of(file: Path) -> str:
    """The text of an annotation file, in whatever encoding and with whatever line ends; those become ``\\n``.

    Raises:
        DataError: it cannot be read, or is far too large.
    """
    try:
        if os.path.getsize(file) > _MOST_BYTES:
            raise DataError(f"{file} is larger than {_MOST_BYTES:,} bytes; divide it.")
        with open_regular(file) as opened:
            data = opened.read()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from error
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # What Windows programs write where they write no Unicode.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count
