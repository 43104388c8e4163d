"""A data set that comes as one file: unpacked once into the cache folder, by its content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from logolens.config import cache_folder
from logolens.data.flickr27 import complete_flickr27, find_flickr27
from logolens.data.folder import entries
from logolens.errors import ArchiveError, DataError
from logolens.io.images import IMAGE_SUFFIXES
from logolens.io.unpack import unpack

__all__ = ["ARCHIVE_SUFFIXES", "archive_hint", "is_archive", "unpacked"]

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
"""The endings of archives that are unpacked."""

_OTHERS = (".7z", ".rar", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".gz", ".bz2", ".xz")
_TABLES = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def is_archive(place: Path) -> bool:
    """Whether a file is an archive that `unpacked` takes, by its name."""
    return place.name.lower().endswith(ARCHIVE_SUFFIXES) and place.is_file()


def archive_hint(place: Path) -> str | None:
    """What to do about a file of another kind that holds data sets; None of what does not."""
    name = place.name.lower()
    if name.endswith(_TABLES):
        return f'{place} is a spreadsheet; save it as "CSV UTF-8" with the columns path and label, and give that.'
    if name.endswith(_OTHERS):
        return f"{place} is packed in a way that is not read; unpack it and give the folder, or pack it as .zip or .tar.gz."
    return None


def unpacked(archive: Path) -> Path:
    """The folder that an archive's data set is unpacked into; where one folder holds it all, that one.

    Raises:
        ArchiveError: it is damaged or unsafe, or cannot be unpacked.
        DataError: it cannot be read.
    """
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{archive}: the archive cannot be read ({error.strerror}).") from error
    target = cache_folder() / "datasets" / digest[:32]
    # It appears by one rename, so what is there is whole; another process may win the race to it.
    if not target.is_dir():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            unpack(archive, target)
        except OSError as error:
            raise ArchiveError(f"{target}: nothing can be unpacked there ({error.strerror}).") from error
        except ArchiveError:
            if not target.is_dir():
                raise
    if (flickr := find_flickr27(target)) is not None:
        complete_flickr27(flickr)
        return flickr
    return _inner(target)


def _inner(folder: Path) -> Path:
    """Below folders that hold nothing but one folder, as archives are made; a label's folder of photos is none of them."""
    while True:
        folders = entries(folder, folders=True)
        if len(folders) != 1 or entries(folder, folders=False):
            return folder
        files = entries(folders[0], folders=False)
        if not entries(folders[0], folders=True) and all(file.suffix.lower() in IMAGE_SUFFIXES for file in files):
            return folder
        folder = folders[0]
