"""A trained model's folder: weights, labels, manifest, model card.

    model.onnx        uint8 RGB of shape (n, size, size, 3) to probabilities and logits; preprocessing is inside
    labels.txt        one label a line, in the order of the outputs; `none`, the background, last where it was learned
    manifest.json     every setting, version, hash and figure
    head.safetensors  the head alone
    README.md         the model card
    matcher.safetensors  the references that photos are compared with, where that helps
    words.json        which words, read in a photo, speak for which label, where that helps
    pair-1.safetensors, pair-1-matcher.safetensors  what tells the first pair of near labels apart, where that helps
    split.csv         which photo was trained on, validated with, tested with
    curves.png, history.csv, confusion.png

Nothing in it can run code: no pickle, and an ONNX file that points outside itself is refused.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logolens.bundle.hub import folder_of, refuse_hub
from logolens.bundle.onnx_check import refuse_harmful
from logolens.bundle.onnx_graph import attach_head
from logolens.bundle.validation import MANIFEST, read_file, read_manifest, sealed
from logolens.config import BACKGROUND, Preprocessing, cache_folder
from logolens.errors import BundleError, UsageError, require
from logolens.io.atomic import check_room, naming_full_disk, replace_folder
from logolens.io.files import open_regular
from logolens.io.names import valid_all
from logolens.models.calibration import Calibration
from logolens.models.contracts.late import Recorded
from logolens.models.ensemble import EnsembleWeights
from logolens.models.experts import expert_of, late_experts

if TYPE_CHECKING:
    from logolens.models.head import Head

__all__ = [
    "FORMAT",
    "LOCALISER",
    "Bundle",
    "Closer",
    "attach_head",
    "check_out",
    "load_bundle",
    "read_head",
    "thresholds",
    "verified",
    "weights_of",
    "write_bundle",
]

_LOG = logging.getLogger(__name__)

LOCALISER = "localiser.safetensors"
"""What tells where logos lie, in a bundle that was trained on boxes."""

FORMAT = 3
"""The bundle's layout; a bundle of a higher one is refused."""

_LEAST_ROOM = 24_000_000
"""Bytes that the smallest bundle of the default network takes, with its files beside it."""

_LEFT_BY_SYSTEMS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})

_DECISIVE = ("model.onnx", "labels.txt", "head.safetensors")
"""The files that decide an answer. Their hashes are verified; a person may edit the model card."""


@dataclass(frozen=True)
class Closer:
    """How a bundle looks closer than at the whole photo.

    Attributes:
        weights: how evidence is added.
        calibration: how it becomes probabilities.
        views: "auto" or "tiles", as it was trained for.
        pooling: how the network pools its maps.
        head: the bytes of ``head.safetensors``.
        experts: those that learned something of their own, whose files the bundle holds.
        localiser: the bytes of ``localiser.safetensors``, or None.
        late: what it holds of late experts, by their names.
    """

    weights: EnsembleWeights
    calibration: Calibration
    views: str
    pooling: str
    head: bytes
    experts: tuple[str, ...]
    localiser: bytes | None
    late: Mapping[str, Recorded] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and verified.

    Attributes:
        path: the folder.
        manifest: what ``manifest.json`` says.
        classes: the names of the model's outputs, the background last where it was learned.
        preprocessing: how a photo becomes the network's input.
        calibration: how the whole photo's logits become probabilities.
        closer: how it looks closer; None of a bundle that looks at whole photos only.
        model: the bytes of ``model.onnx``.
    """

    path: Path
    manifest: dict[str, Any]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    calibration: Calibration
    closer: Closer | None
    model: bytes

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, without the background."""
        return tuple(name for name in self.classes if name != BACKGROUND)


def check_out(out: Path, force: bool) -> None:
    """Refuse a target folder that holds something, before any work is done for it.

    Raises:
        UsageError: the folder is not empty and ``force`` is not set, it holds something that is not a bundle's, or it
            cannot be made.
        RoomError: its disk, or the cache's, has no room for it.
    """
    refuse_hub(out)
    check_room(out, _LEAST_ROOM, "the bundle")
    check_room(cache_folder(), _LEAST_ROOM, "what is kept of the network and the photos")
    if not out.exists():
        above = next(folder for folder in out.absolute().parents if folder.exists())
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise UsageError(f"{out} cannot be made: {above} is not a folder that can be written to.")
        return
    if not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder for the bundle.")
    if not any(out.iterdir()):
        return
    try:
        with open_regular(out / MANIFEST) as file:
            listed = set(json.loads(file.read(256 << 20))["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        listed = set()
    # Web sites and browser extensions have a manifest.json too.
    known = {"manifest.json", *listed} if listed.issuperset(_DECISIVE) else set()
    if foreign := sorted({file.name for file in out.iterdir()} - known - _LEFT_BY_SYSTEMS):
        raise UsageError(f"{out} holds files that are not a bundle's, as {foreign[0]}; name another folder.")
    if not force:
        raise UsageError(f"{out} holds a bundle already; name another folder, or replace it with --force.")


def write_bundle(
    out: Path,
    *,
    manifest: dict[str, Any],
    classes: tuple[str, ...],
    model: bytes,
    head: Head,
    extras: Callable[[Path], None],
    force: bool = False,
) -> dict[str, Any]:
    """Write a bundle whole or not at all: into a folder beside the target, which is then renamed.

    Args:
        out: the bundle's folder.
        manifest: what to record; the files' hashes are added to it.
        classes: the names of the model's outputs.
        model: the ONNX file.
        head: the fitted head.
        extras: writes further files (plots, card) into the folder it is given.
        force: replace a bundle that is there.

    Returns:
        The manifest as written.
    """
    check_out(out, force)
    save: Any = require("safetensors.numpy", "train").save
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        naming_full_disk(out, "the bundle"),
        tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary,
    ):
        folder = Path(temporary) / "bundle"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(model)
        (folder / "labels.txt").write_bytes("".join(f"{name}\n" for name in classes).encode())
        (folder / "head.safetensors").write_bytes(save(head.tensors()))
        extras(folder)
        manifest = sealed(
            {
                **valid_all(manifest),
                "files": {file.name: _sha256(file.read_bytes()) for file in sorted(folder.iterdir())},
            }
        )
        text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / "manifest.json").write_text(text, encoding="utf-8")
        # No moment mixes files of the old bundle and the new one.
        replace_folder(folder, out)
    _LOG.info("%s is written", out)
    return dict(json.loads(text))


def weights_of(closer: Mapping[str, Any]) -> EnsembleWeights:
    """How evidence is added, as the manifest's ``closer`` tells it: ``weights``, or ``stack`` as earlier releases called it."""
    return EnsembleWeights.from_json(closer["weights"] if "weights" in closer else closer["stack"])


def _experts_of(closer: Mapping[str, Any]) -> tuple[str, ...]:
    """The experts that have files in the bundle; earlier releases had one, and said whether it was there."""
    if "experts" in closer:
        return tuple(str(name) for name in closer["experts"])
    return ("matcher",) if closer["matcher"] else ()


def load_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle and verify it; one that is ``hf://OWNER/NAME@REVISION`` is brought from the Hugging Face Hub first.

    Raises:
        BundleError: it is not a bundle, lacks a file, was altered, is of a later format, or its model points to files
            outside itself.
        DownloadError: it cannot be brought.
    """
    folder = folder_of(path, newest=FORMAT)
    manifest = read_manifest(folder, newest=FORMAT)
    try:
        calibration = Calibration(**manifest["calibration"])
        closer = manifest.get("closer")
        if manifest.get("stack", {}).get("matcher"):
            raise BundleError(
                f"{folder} was trained by an earlier release, whose matcher this one asks in another way; train it again."
            )
        if closer is not None:
            weights, looked = weights_of(closer), Calibration(**closer["calibration"])
            experts = _experts_of(closer)
            views, pooling = str(manifest["settings"]["views"]), str(manifest["settings"]["pooling"])
            extra = [name for expert in experts for name in expert_of(expert).files]
            extra += [LOCALISER] if closer["localiser"] else []
            late = {expert.name: facts for expert in late_experts() if (facts := expert.read(manifest)) is not None}
            late_files = {
                expert.name: expert.files_of(late[expert.name]) for expert in late_experts() if expert.name in late
            }
            extra += [name for files in late_files.values() for name in files]
        hashes = dict(manifest["files"])
        known = {spec.name for spec in fields(Preprocessing)}
        known_facts = {name: value for name, value in manifest["preprocessing"].items() if name in known}
        known_facts |= {name: tuple(known_facts[name]) for name in ("mean", "std") if name in known_facts}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BundleError(
            f"{folder / 'manifest.json'} is damaged ({error}); copy or train the bundle again."
        ) from error
    try:
        preprocessing = Preprocessing(**known_facts)
    except (UsageError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / 'manifest.json'} names a preprocessing that cannot be: {error}") from error
    data: dict[str, bytes] = {}
    for name in (*_DECISIVE, *(extra if closer is not None else ())):
        data[name] = read_file(folder / name)
        if _sha256(data[name]) != hashes.get(name):
            raise BundleError(
                f"{folder / name} was altered since the bundle was written; copy or train the bundle again."
            )
    try:
        classes = tuple(data["labels.txt"].decode().removesuffix("\n").split("\n"))
    except UnicodeDecodeError as error:
        raise BundleError(f"{folder / 'labels.txt'} is not UTF-8 text; train the bundle again.") from error
    if len(set(classes)) != len(classes) or not all(classes):
        raise BundleError(f"{folder / 'labels.txt'} has an empty label, or one twice; train the bundle again.")
    if wrong := _contradiction(manifest, classes):
        raise BundleError(f"{folder / 'labels.txt'} {wrong}; copy or train the bundle again.")
    refuse_harmful(data["model.onnx"], folder / "model.onnx")
    looking = None
    if closer is not None:
        head, localiser = data["head.safetensors"], data.get(LOCALISER)
        held = {name: Recorded(late[name], {file: data[file] for file in files}) for name, files in late_files.items()}
        looking = Closer(weights, looked, views, pooling, head, experts, localiser, held)
    return Bundle(folder, manifest, classes, preprocessing, calibration, looking, data["model.onnx"])


def _contradiction(manifest: Mapping[str, Any], classes: tuple[str, ...]) -> str | None:
    """What ``labels.txt`` says otherwise than the manifest; None where they agree."""
    if BACKGROUND in classes[:-1]:
        return f"has labels behind {BACKGROUND}, which comes last"
    if manifest.get("background", BACKGROUND in classes) is not (BACKGROUND in classes):
        return f"and manifest.json disagree on whether {BACKGROUND} was learned"
    known = thresholds(manifest)
    if known is not None and known.keys() != set(classes) - {BACKGROUND}:
        return "has other labels than the gallery"
    return None


def thresholds(manifest: Mapping[str, Any]) -> dict[str, float] | None:
    """Of a gallery's manifest: for each label, how far its cosine must stand above the background's; None of others'."""
    labels = manifest.get("gallery", {}).get("labels")
    return None if labels is None else {label: float(facts["threshold"]) for label, facts in labels.items()}


def verified(bundle: Bundle, name: str) -> bytes:
    """A file of a bundle, as it was written.

    Raises:
        BundleError: it cannot be read, or was altered.
    """
    path = bundle.path / name
    data = read_file(path)
    if _sha256(data) != bundle.manifest["files"].get(name):
        raise BundleError(f"{path} was altered since the bundle was written; copy or train the bundle again.")
    return data


def read_head(data: bytes, folder: Path) -> Head:
    """The head out of ``head.safetensors``.

    Raises:
        BundleError: the bytes are no such file.
    """
    from safetensors.numpy import load

    from logolens.models.head import CosineHead, Head

    try:
        tensors = load(data)
        return CosineHead.from_tensors(tensors) if "references" in tensors else Head.from_tensors(tensors)
    except Exception as error:  # safetensors raises a type of its own.
        raise BundleError(
            f"{folder / 'head.safetensors'} is damaged ({error}); copy or train the bundle again."
        ) from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
