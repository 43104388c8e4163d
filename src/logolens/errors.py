"""The exception tree, and the one way to import an optional package.

LogolensError
├── UsageError            a setting, flag or argument has a value that cannot work
├── ImageError            one image cannot be read
├── DataError             a data set cannot be used as it stands
│   └── LeakError         the same photo stands in two parts of a split
├── ArchiveError          an archive is damaged, or would unpack outside its target
├── DownloadError         a file could not be fetched, or is not the file that was promised
├── WeightsError          a backbone's weights are absent, altered or of another network
├── BundleError           a bundle is incomplete, altered or of another version
├── StoreError            a result store is damaged, of another kind, or in use
├── RoomError             a disk is full
├── DeviceError           what a network is to run on is not there
├── WorkerError           a worker process cannot be started, or died too often
└── MissingExtraError     an optional package is not installed

Every message says what is wrong, where (the file, the row), and what to do next.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = [
    "ArchiveError",
    "BundleError",
    "DataError",
    "DeviceError",
    "DownloadError",
    "ImageError",
    "LeakError",
    "LogolensError",
    "MissingExtraError",
    "RoomError",
    "StoreError",
    "UsageError",
    "WeightsError",
    "WorkerError",
    "require",
]


class LogolensError(Exception):
    """The base of every error that logolens raises on purpose."""


class UsageError(LogolensError):
    """A setting, flag or argument has a value that cannot work."""


class ImageError(LogolensError):
    """One image cannot be read: missing, empty, broken, too large, or of a format that is not read."""


class DataError(LogolensError):
    """A data set cannot be used as it stands."""


class LeakError(DataError):
    """The same photo, or a near copy of it, stands in two parts of a split."""


class ArchiveError(LogolensError):
    """An archive is damaged, too large, or would write outside its target."""


class DownloadError(LogolensError):
    """A file could not be fetched, or what came is not the file that was promised."""


class WeightsError(LogolensError):
    """A backbone's weights are absent, altered, or belong to another network."""


class BundleError(LogolensError):
    """A bundle is incomplete, altered since it was written, or of a version this release cannot read."""


class StoreError(LogolensError):
    """A result store cannot be used: damaged, of another kind or version, in use by another run, or its disk is full."""


class RoomError(LogolensError):
    """A disk has no room for what is to be written."""


class WorkerError(LogolensError):
    """A worker process cannot be started, or died too often for the work to go on."""


class DeviceError(LogolensError):
    """What a network is to run on is not there, or cannot be started."""


class MissingExtraError(LogolensError):
    """An optional package is needed and is not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package at the moment it is needed.

    Args:
        module: the dotted name to import, as in ``"torch"``.
        extra: the extra of logolens that installs it, as in ``"train"``.

    Raises:
        MissingExtraError: it is not installed; the message names the pip command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A package that is there but lacks one of its own parts must say so itself.
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise
        package = module.split(".")[0]
        raise MissingExtraError(
            f"This needs the package {package}, which is not installed. Run: pip install 'logolens[{extra}]'"
        ) from error
