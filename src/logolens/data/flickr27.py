"""Flickr Logos 27 (Kalantidis et al., "Scalable Triangulation-based Logo Recognition", ICMR 2011) as it is published.

The archive holds three text files and a second archive with the images. The training file has one row for each box and
each of six overlapping subsets that the photo belongs to, so its 4,536 rows name 809 photos and 1,261 boxes.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from logolens.config import BACKGROUND
from logolens.data.dataset import Box, Listing, Notes, Region
from logolens.data.folder import clean_label
from logolens.errors import ArchiveError, DataError
from logolens.io.atomic import place_folder
from logolens.io.files import read_regular
from logolens.io.sources import walk
from logolens.io.unpack import ArchiveLimits, unpack

__all__ = ["ARCHIVE", "FOLDER", "complete_flickr27", "find_flickr27", "list_flickr27", "unpack_flickr27"]

FOLDER = "flickr_logos_27_dataset"
"""The folder that holds the text files and the folder of images."""
ARCHIVE = "flickr_logos_27_dataset.tar.gz"
"""The name of the published archive."""

_IMAGES = "flickr_logos_27_dataset_images"
_TRAINING = "flickr_logos_27_dataset_training_set_annotation.txt"
_QUERIES = "flickr_logos_27_dataset_query_set_annotation.txt"


def find_flickr27(folder: Path) -> Path | None:
    """The folder with the annotations: this one or its child of the published name; None when it is neither."""
    for place in (folder, folder / FOLDER):
        if (place / _TRAINING).is_file():
            return place
    return None


def list_flickr27(place: Path, notes: Notes, *, queries: bool = False) -> list[Listing]:
    """List the photos of the training set, and on request the query set as the part "test".

    Args:
        place: the folder that holds the annotations.
        notes: told of repeated rows, of photos that no file lists, and of queries left aside.
        queries: whether the 270 query photos are listed too; those that show no brand are labelled as background.

    Raises:
        DataError: the images are not there, or a row cannot be understood.
    """
    images = _images_of(place)
    regions: dict[str, list[Region]] = {}
    problems = []
    rows = 0
    for number, cells in _rows(place / _TRAINING):
        rows += 1
        try:
            # A label could hold a space; a file name of this set never does.
            name, label, corners = cells[0], " ".join(cells[1:-5]), [float(cell) for cell in cells[-4:]]
            if len(cells) < 7 or not label:
                raise ValueError
            box = Box(*corners)
        except (ValueError, IndexError, TypeError):
            problems.append(f"row {number} reads {' '.join(cells)[:60]!r}")
            continue
        regions.setdefault(name, []).append(Region(clean_label(label), box))
    if problems:
        raise DataError(
            f"{place / _TRAINING}: {'; '.join(problems[:5])}{' and more' if len(problems) > 5 else ''}; expected: "
            "image, label, subset, x1, y1, x2, y2. The file is damaged; get the data set again."
        )
    part = "train" if queries else None
    listed = [Listing(images / name, name, tuple(found), part) for name, found in regions.items()]
    query = _query_rows(place)
    extra = {name: label for name, label in query.items() if name not in regions}
    if queries:
        if not query:
            raise DataError(f"{place} has no {_QUERIES}, so there is no query set to read.")
        listed.extend(Listing(images / name, name, (Region(label),), "test") for name, label in extra.items())
    elif extra:
        message = "Photos of the query set, left aside unless the queries are asked for: {n}."
        notes.add("queries", message, list(extra))
    for path in walk(images):
        name = path.relative_to(images).as_posix()
        if name not in regions and name not in query:
            notes.add("unlisted", "Photos in the folder that no annotation file lists, left out: {n}.", [name])
    return listed


def unpack_flickr27(archive: Path, target: Path, *, limits: ArchiveLimits = ArchiveLimits()) -> Path:
    """Unpack the published archive, and the archive of images inside it, into a folder that does not exist yet.

    Returns:
        ``target``, which now holds the annotation files and the folder of images. It appears whole or not at all.

    Raises:
        ArchiveError: the archive is damaged, unsafe, or another one; or the target exists.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        unpack(archive, work / "outer", limits=limits)
        place = find_flickr27(work / "outer")
        if place is None:
            raise ArchiveError(f"{archive}: it holds no {_TRAINING}, so this is not the Flickr Logos 27 archive.")
        complete_flickr27(place, limits=limits)
        if not (place / _IMAGES).is_dir():
            raise ArchiveError(f"{archive}: it holds neither {_IMAGES}.tar.gz nor a folder of that name; get it again.")
        try:
            place_folder(place, target)
        except OSError as error:
            raise ArchiveError(f"{target}: the unpacked folder cannot be put there ({error.strerror}).") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def complete_flickr27(place: Path, *, limits: ArchiveLimits = ArchiveLimits()) -> None:
    """Unpack the archive of images that lies beside the annotations, unless they are there.

    Raises:
        ArchiveError: it is damaged or unsafe.
    """
    inner = place / f"{_IMAGES}.tar.gz"
    if (place / _IMAGES).is_dir() or not inner.is_file():
        return
    work = Path(tempfile.mkdtemp(prefix=".images-", dir=place))
    try:
        unpack(inner, work / "inner", limits=limits)
        nested = work / "inner" / _IMAGES
        place_folder(nested if nested.is_dir() else work / "inner", place / _IMAGES)
        inner.unlink()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _images_of(place: Path) -> Path:
    for images in (place / _IMAGES, place.parent / _IMAGES):
        if images.is_dir():
            return images
    hint = ""
    if (place / f"{_IMAGES}.tar.gz").is_file():
        hint = f" Unpack {_IMAGES}.tar.gz there, or give the original archive."
    raise DataError(f"{place} has the annotations but no folder {_IMAGES}.{hint}")


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    try:
        text = read_regular(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); get the data set again.") from error
    return [(number, cells) for number, line in enumerate(text.splitlines(), 1) if (cells := line.split())]


def _query_rows(place: Path) -> dict[str, str]:
    file = place / _QUERIES
    if not file.is_file():
        return {}
    return {cells[0]: clean_label(" ".join(cells[1:])) or BACKGROUND for _, cells in _rows(file)}
