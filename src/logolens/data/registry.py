"""Data sets that are published, by name: fetched, verified, unpacked, with a receipt of what came."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from logolens.data.dataset import Notes
from logolens.data.flickr27 import ARCHIVE, FOLDER, find_flickr27, list_flickr27, unpack_flickr27
from logolens.errors import ArchiveError, DataError, DownloadError, UsageError
from logolens.io.atomic import replace_folder
from logolens.io.download import FetchProgress, FetchSettings, fetch, sha256_of
from logolens.io.unpack import ArchiveLimits

__all__ = ["PUBLISHED", "Receipt", "get"]

PUBLISHED = {"flickr27": f"http://image.ntua.gr/iva/datasets/flickr_logos/{ARCHIVE}"}
"""The data sets that can be had by name, and their published addresses."""

_MAX_BYTES = 1_000_000_000
_RECEIPT = "logolens-receipt.json"


@dataclass(frozen=True)
class Receipt:
    """What was brought.

    Attributes:
        name: the data set.
        folder: where it lies; give it to `load`.
        source: the address or the local archive.
        sha256: of the archive. No hash is published for Flickr Logos 27: the one of the first download is written down,
            to compare with later ones or to give as ``sha256=``.
        photos: how many are listed.
        labels: how many there are.
        fetched: the time, ISO 8601 in UTC.
    """

    name: str
    folder: str
    source: str
    sha256: str
    photos: int
    labels: int
    fetched: str


def get(
    name: str,
    dest: str | os.PathLike[str],
    *,
    archive: str | os.PathLike[str] | None = None,
    url: str | None = None,
    sha256: str | None = None,
    force: bool = False,
    progress: FetchProgress | None = None,
    settings: FetchSettings = FetchSettings(),
    limits: ArchiveLimits = ArchiveLimits(),
) -> Receipt:
    """Bring a published data set into a folder.

    Afterwards ``dest/flickr_logos_27_dataset`` holds the annotations, the photos and a receipt. A data set that is
    there already is left alone and its receipt returned. An archive that was downloaded is deleted once unpacked; one
    that was given is not touched.

    Args:
        name: "flickr27".
        dest: the folder to put it in.
        archive: a local archive to use instead of the network.
        url: another address than the published one.
        sha256: the archive's expected hash.
        force: replace what is there.
        progress: called with the bytes so far and in all while the archive is fetched.
        settings: how patient the download is.
        limits: what the archive may unpack to.

    Raises:
        UsageError: the name is not known, or both an archive and an address are given.
        DownloadError: the archive cannot be fetched, or is not the one expected.
        ArchiveError: it is damaged, unsafe, or holds another data set; or something else is in the way.
    """
    if name not in PUBLISHED:
        raise UsageError(f"There is no published data set called {name!r}; known: {', '.join(sorted(PUBLISHED))}.")
    if archive is not None and url is not None:
        raise UsageError("Give either a local archive or an address, not both.")
    place = Path(dest) / FOLDER
    if not force and place.exists():
        if find_flickr27(place) == place:
            return _receipt_of(name, place)
        raise ArchiveError(f"{place} exists and is not the {name} data set; remove it, or force it to be replaced.")
    fetched = Path(dest) / ARCHIVE
    if archive is None:
        source = url or PUBLISHED[name]
        if fetched.exists() and not force:
            raise ArchiveError(f"{fetched} exists already; give it as the archive, or force it to be replaced.")
        local = fetched
        digest = fetch(source, local, sha256=sha256, max_bytes=_MAX_BYTES, progress=progress, settings=settings)
    else:
        local, source = Path(archive), str(archive)
        if not local.is_file():
            raise ArchiveError(f"{local}: there is no such archive.")
        digest = sha256_of(local)
        if sha256 is not None and digest != sha256.lower():
            raise DownloadError(f"{local} has the SHA-256 {digest}, expected was {sha256.lower()}; get it again.")
    try:
        receipt = _install(name, local, place, source, digest, limits)
    except ArchiveError as error:
        if archive is None:
            # A damaged download would stand in the way of the next.
            local.unlink(missing_ok=True)
            raise ArchiveError(f"{source}: {error}") from error
        raise
    if archive is None:
        local.unlink(missing_ok=True)
    return receipt


def _install(name: str, local: Path, place: Path, source: str, digest: str, limits: ArchiveLimits) -> Receipt:
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{FOLDER}-", dir=place.parent))
    try:
        fresh = unpack_flickr27(local, work / FOLDER, limits=limits)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        try:
            listed = list_flickr27(fresh, Notes())
        except DataError as error:
            raise ArchiveError(f"{local}: {error}") from error
        missing = [item.name for item in listed if not item.path.is_file()]
        # One lost photo is an oddity to note at loading; many mean that the archive is not whole.
        if not listed or len(missing) > 0.02 * len(listed):
            raise ArchiveError(f"{local}: {len(missing)} of {len(listed)} listed photos are not in it; get it again.")
        labels = {region.label for item in listed for region in item.regions}
        receipt = Receipt(name, str(place), source, digest, len(listed), len(labels), now)
        (fresh / _RECEIPT).write_text(json.dumps(asdict(receipt), indent=2) + "\n", encoding="utf-8")
        replace_folder(fresh, place)
    except OSError as error:
        raise ArchiveError(f"{place}: the data set cannot be put there ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return receipt


def _receipt_of(name: str, place: Path) -> Receipt:
    try:
        stored = json.loads((place / _RECEIPT).read_text(encoding="utf-8"))
        return Receipt(**(stored | {"folder": str(place)}))
    except (OSError, ValueError, TypeError):
        listed = list_flickr27(place, Notes())
        labels = {region.label for item in listed for region in item.regions}
        return Receipt(name, str(place), "", "", len(listed), len(labels), "")
