"""Bundles on the Hugging Face Hub: ``hf://OWNER/NAME@REVISION`` as a folder of this machine.

The client of the Hub does the transfer into its own cache; what came must have the hashes that the bundle's manifest tells.
It is imported when such an address is met, and not before.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logolens.bundle.validation import MANIFEST, read_manifest
from logolens.errors import BundleError, DownloadError, LogolensError, UsageError, require
from logolens.io.hugging_face import (
    TIMEOUT,
    HubProgress,
    bar,
    endpoint,
    first_line,
    has_token,
    hub_cache,
    is_offline,
    quiet,
)

__all__ = [
    "CARD",
    "EXTRA",
    "HubAddress",
    "folder_of",
    "hub_address",
    "in_sentences",
    "name_of",
    "refuse_hub",
    "shown_as",
]

_LOG = logging.getLogger(__name__)

CARD = "README.md"
"""The one file that may be other than the manifest tells: people edit it."""

EXTRA = "hub"
"""The extra of logolens that brings the client."""

_MOST_BYTES = 4 << 30  # of a file, as of every bundle
_MOST_FILES = 2_000
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REVISION = r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}"
# A pathlib.Path has made one slash of two.
_HUB = re.compile(r"hf:[/\\]{1,2}(.*)", re.DOTALL)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubAddress:
    """A repository of models on the Hub.

    Attributes:
        repository: OWNER/NAME.
        revision: a branch, tag or commit; None for what is newest.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


def hub_address(given: str | os.PathLike[str]) -> HubAddress | None:
    """The address that ``given`` is; None where it is a folder's path.

    Raises:
        UsageError: it begins as an address and is none.
    """
    match = _HUB.fullmatch(os.fspath(given))
    if match is None:
        return None
    repository, mark, revision = match[1].replace("\\", "/").partition("@")
    parts = repository.split("/")
    named = len(parts) == 2 and all(re.fullmatch(_PART, part) and not re.search(r"--|\.\.", part) for part in parts)
    if not named or parts[1].endswith(".git"):
        raise UsageError(
            f"{os.fspath(given)} is no address on the Hugging Face Hub; write hf://OWNER/NAME, as in hf://acme/logos, with a "
            "revision behind an @ where you want one."
        )
    if mark and (not re.fullmatch(_REVISION, revision) or ".." in revision):
        raise UsageError(
            f"{os.fspath(given)}: {revision!r} is no revision; behind the @ stands a branch, a tag or a commit of the repository."
        )
    return HubAddress(repository, revision or None)


def refuse_hub(out: str | os.PathLike[str]) -> None:
    """Refuse to write to an address, as if it were a folder's path.

    Raises:
        UsageError: it is an address.
    """
    if (address := hub_address(out)) is not None:
        raise UsageError(
            f"{address} is on the Hugging Face Hub. Name a folder of this machine to write to, and put it there with "
            f"`logolens push FOLDER {address}`."
        )


def name_of(folder: Path) -> str:
    """What to call a bundle: the folder's name, or of one in the Hub's cache its repository's."""
    return _repository_of(folder) or folder.resolve().name


def shown_as(folder: Path) -> str:
    """How to write a bundle in what people read: its path, or of one in the Hub's cache its address with the commit."""
    kept = _repository_of(folder)
    return str(folder) if kept is None else f"{kept}@{folder.name[:12]}"


def _repository_of(folder: Path) -> str | None:
    folder = folder.absolute()
    if folder.parent.name != "snapshots" or not folder.parents[1].name.startswith("models--"):
        return None
    return "hf://" + folder.parents[1].name.removeprefix("models--").replace("--", "/", 1)


def folder_of(given: str | os.PathLike[str], *, newest: int, progress: HubProgress | None = None) -> Path:
    """The folder of a bundle: the path itself, or that of the Hub's cache into which the bundle was brought.

    Files that are there are not fetched again. Where the Hub cannot be reached, or may not be asked (``HF_HUB_OFFLINE=1``,
    ``LOGOLENS_OFFLINE=1``), what was fetched before is taken. ``HF_TOKEN`` is for what not everyone may read.

    Args:
        given: a path, or ``hf://OWNER/NAME`` with or without ``@REVISION``.
        newest: the highest format of a manifest that is read.
        progress: called with the bytes so far and in all, of each file that is downloaded.

    Raises:
        UsageError: it is no address.
        DownloadError: it cannot be had; the message says what to do.
        BundleError: it is no bundle, or a file is not what the manifest promises.
        MissingExtraError: the client is not installed.
    """
    address = hub_address(given)
    if address is None:
        return Path(given)
    return _Bringing(address, progress).folder(newest)


@contextlib.contextmanager
def in_sentences(address: HubAddress, asked: str, file: str = "") -> Iterator[None]:
    """What the client raises, as a sentence that says what to do.

    Args:
        address: what is read or written.
        asked: what the token must allow: "read" or "write".
        file: what of it is read.

    Raises:
        DownloadError: in place of the client's own errors.
    """
    hub: Any = require("huggingface_hub.errors", EXTRA)
    try:
        with quiet():
            yield
    except LogolensError:
        raise
    except Exception as error:  # The client's own, its HTTP library's, and the machine's.
        raise DownloadError(_sentence(hub, error, address, asked, file)) from error


def _sentence(hub: Any, error: Exception, address: HubAddress, asked: str, file: str) -> str:
    base, repository = endpoint(), address.repository
    status = _status(error)
    token = has_token(EXTRA)
    if isinstance(error, hub.GatedRepoError):
        return (
            f"{address} is given only to those who asked for it: ask on {base}/{repository}, and set HF_TOKEN to a token of "
            "that account."
        )
    if isinstance(error, hub.RepositoryNotFoundError) or (status == 404 and asked == "write"):
        seen = "your token (HF_TOKEN) may not see it" if token else "it is private and HF_TOKEN is not set"
        return f"There is no repository {repository} on {base}, or {seen}. Check the name; {base}/settings/tokens gives tokens."
    if isinstance(error, hub.RevisionNotFoundError):
        return (
            f"The repository {repository} has no revision {address.revision or 'main'}; {base}/{repository}/commits/main lists "
            "its commits, and without an @ the newest is taken."
        )
    if isinstance(error, hub.EntryNotFoundError) and not isinstance(error, hub.LocalEntryNotFoundError):
        if file in ("", MANIFEST):
            return f"{address} is no bundle: it has no {MANIFEST}. Name a repository that `logolens push` wrote."
        return f"{address} is no whole bundle: it lacks {file}. Ask who pushed it to push it again."
    if status == 401:
        return f"{base} does not know your token; set HF_TOKEN to one of {base}/settings/tokens that may {asked}."
    if status == 403:
        return f"Your token (HF_TOKEN) may not {asked} {repository}; {base}/settings/tokens makes one that may {asked} there."
    if status in (409, 412):
        return f"{address} was changed by somebody else meanwhile; run the same command again."
    if status is not None:
        return f"{base} answered {status} about {address} ({first_line(error)}). Try again later."
    cached = f", and {address} is not in the cache" if asked == "read" else ""
    return f"{base} cannot be reached ({first_line(error)}){cached}. Check the network, HF_ENDPOINT and the proxy, and try again."


class _Bringing:
    """One bundle on its way into the client's cache."""

    def __init__(self, address: HubAddress, progress: HubProgress | None) -> None:
        self._hub: Any = require("huggingface_hub", EXTRA)
        self._address = address
        self._progress = progress
        self._cache = hub_cache()
        self._offline = is_offline()

    def folder(self, newest: int) -> Path:
        manifest = self._manifest()
        folder, commit = manifest.parent, manifest.parent.name
        files = read_manifest(folder, newest)["files"]
        if len(files) > _MOST_FILES:
            raise BundleError(f"{self._address} names {len(files):,} files; a bundle has at most {_MOST_FILES:,}.")
        for name in sorted(set(files) - {MANIFEST}):
            self._bring(name, commit, files)
        return folder

    def _manifest(self) -> Path:
        """The manifest of the revision, in the folder that is called after its commit."""
        revision = self._address.revision or "main"
        if _COMMIT.fullmatch(revision) and (there := self._kept(MANIFEST, revision)) is not None:
            return there
        if self._offline is None:
            try:
                return self._fetch(MANIFEST, revision)
            except DownloadError as error:
                there = self._kept(MANIFEST, revision)
                if there is None or not _is_out_of_reach(error.__cause__):
                    raise
                _LOG.warning(
                    "%s did not answer (%s); %s is taken as it was brought before.",
                    endpoint(),
                    first_line(error.__cause__ or error),
                    shown_as(there.parent),
                )
                self._offline = "the network"
                return there
        if (there := self._kept(MANIFEST, revision)) is not None:
            return there
        raise DownloadError(
            f"{self._address} is not in the cache {self._cache}, and {self._offline} forbids to ask the Hub. Bring it once "
            f"without {self._offline}, for example by `logolens summary {self._address}`."
        )

    def _bring(self, name: str, commit: str, files: Mapping[str, str]) -> None:
        """Have a file in the cache that is what the manifest promises."""
        # Not with this module, which every loading of a bundle imports.
        from logolens.models.backbones.weights_cache import remembered_hash

        there = self._kept(name, commit)
        if there is not None and (name == CARD or remembered_hash(there) == files[name]):
            return
        if self._offline is not None:
            what = "is not in" if there is None else "is damaged in"
            raise DownloadError(
                f"{self._address}: {name} {what} the cache {self._cache}, and the Hub cannot be asked because of "
                f"{self._offline}. Bring the bundle again when it can."
            )
        if there is not None:
            _LOG.warning("%s is damaged; it is fetched again.", there)
            _forget(there)
        came = self._fetch(name, commit)
        if name != CARD and (digest := remembered_hash(came)) != files[name]:
            _forget(came)
            raise BundleError(
                f"{self._address}: {name} is not the file that the bundle's manifest promises (its SHA-256 starts with "
                f"{digest[:8]} instead of {files[name][:8]}), so it is not used. Try again; if that does not help, ask who "
                "pushed it to push it again, or name an earlier commit behind an @."
            )

    def _kept(self, name: str, revision: str) -> Path | None:
        found = self._hub.try_to_load_from_cache(
            self._address.repository, name, cache_dir=self._cache, revision=revision
        )
        return Path(found) if isinstance(found, str) else None

    def _fetch(self, name: str, revision: str) -> Path:
        base, repository = endpoint(), self._address.repository
        with in_sentences(self._address, "read", name):
            url = self._hub.hf_hub_url(repository, name, revision=revision, endpoint=base)
            size = self._hub.get_hf_file_metadata(url, timeout=TIMEOUT).size or 0
            if size > _MOST_BYTES:
                raise DownloadError(f"{self._address}: {name} has {size:,} bytes, which no bundle's file has.")
            _LOG.info("%s of %s is brought from %s", name, self._address, base)
            return Path(
                self._hub.hf_hub_download(
                    repository,
                    name,
                    revision=revision,
                    cache_dir=self._cache,
                    endpoint=base,
                    etag_timeout=TIMEOUT,
                    tqdm_class=bar(self._progress, EXTRA),
                )
            )


def _is_out_of_reach(error: BaseException | None) -> bool:
    """Whether the Hub gave no answer, or one that says it has none for anybody."""
    status = _status(error)
    return status is None or status >= 500


def _status(error: BaseException | None) -> int | None:
    """What the server answered, where it did; the client hangs its own errors behind others."""
    while error is not None:
        if (status := getattr(getattr(error, "response", None), "status_code", None)) is not None:
            return int(status)
        error = error.__cause__
    return None


def _forget(path: Path) -> None:
    """Take a file out of the client's cache, which holds it under its tag and links to that."""
    for each in {path.resolve(), path}:
        each.unlink(missing_ok=True)
