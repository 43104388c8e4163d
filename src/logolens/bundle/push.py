"""A bundle to the Hugging Face Hub: checked, with a card that the Hub reads, in one commit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from logolens.bundle.format import FORMAT, Bundle, load_bundle, verified
from logolens.bundle.hub import CARD, EXTRA, HubAddress, hub_address, in_sentences
from logolens.bundle.markdown import as_dict, is_number
from logolens.bundle.model_card import PLACE
from logolens.bundle.validation import MANIFEST, manifest_hash, read_file, read_manifest
from logolens.errors import BundleError, DownloadError, UsageError, require
from logolens.io.hugging_face import endpoint, has_token, is_offline

__all__ = ["Pushed", "hub_card", "push"]

_BY_THE_HUB = frozenset({".gitattributes"})
_LICENCES = frozenset(
    {
        "apache-2.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc-by-4.0",
        "cc-by-nc-4.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "mit",
        "openrail",
    }
)
"""What the Hub calls the licences that backbones come under; any other is "other" with its name."""

_FRONT = re.compile(r"---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)


@dataclass(frozen=True)
class Pushed:
    """What a push came to.

    Attributes:
        url: the repository's page.
        address: how to name the bundle from now on, at this very commit.
        changed: whether anything was pushed; False where it was there already.
        private: whether only its owner sees it.
        files: how many files the bundle has.
        bytes: of all of them.
    """

    url: str
    address: str
    changed: bool
    private: bool
    files: int
    bytes: int


def push(
    bundle: Path,
    to: str,
    *,
    private: bool = False,
    force: bool = False,
    license: str | None = None,
    message: str = "",
    bars: bool = False,
) -> Pushed:
    """Put a bundle into a repository of the Hub, which is made where there is none: in one commit, or not at all.

    Args:
        bundle: the bundle's folder; all its hashes are verified first.
        to: ``hf://OWNER/NAME``.
        private: make the repository so that only its owner sees it.
        force: replace the bundle that the repository holds, and files of the names of this one's; others stay.
        license: what the card names; that of the backbone's weights if not given.
        message: of the commit.
        bars: let the client draw its progress.

    Raises:
        UsageError: it is no address, the repository holds files and ``force`` is not set, or it is public and was to be private.
        BundleError: the bundle is none, or was altered.
        DownloadError: there is no token, it may not write, or the Hub cannot be reached.
        MissingExtraError: the client is not installed.
    """
    address = hub_address(to)
    if address is None:
        raise UsageError(f"{to} is no address on the Hugging Face Hub; write hf://OWNER/NAME.")
    if address.revision is not None:
        raise UsageError(f"{to} names a revision, and a push makes one of its own; write hf://{address.repository}.")
    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,60}", license):
        raise UsageError(f"{license!r} is no licence as the Hub names them, as in apache-2.0, mit or other.")
    loaded = load_bundle(bundle)
    files = _files(loaded, address, license)
    hub: Any = require("huggingface_hub", EXTRA)
    if (variable := is_offline()) is not None:
        raise DownloadError(f"{variable} is set, so nothing is sent. Unset it to push {address}.")
    base = endpoint()
    if not has_token(EXTRA):
        raise DownloadError(
            f"To push, set HF_TOKEN to a token that may write; {base}/settings/tokens gives one, and `hf auth login` keeps one."
        )
    api = hub.HfApi(endpoint=base, library_name="logolens")
    with in_sentences(address, "write"), _bars(hub, bars):
        info = _repository(hub, api, address, private)
        there = {
            entry.path for entry in api.list_repo_tree(address.repository, recursive=True) if hasattr(entry, "blob_id")
        }
        theirs = _manifest_there(api, address, info.sha) if MANIFEST in there else None
        facts: dict[str, Any] = {
            "files": len(files),
            "bytes": sum(map(len, files.values())),
            "private": bool(info.private),
        }
        if not force:
            if theirs is not None and manifest_hash(theirs) == manifest_hash(loaded.manifest):
                return Pushed(f"{base}/{address.repository}", f"{address}@{info.sha}", False, **facts)
            _refuse_to_replace(address, there, theirs)
        gone = (set(as_dict((theirs or {}).get("files"))) & there) - set(files)
        operations = [hub.CommitOperationAdd(name, data) for name, data in sorted(files.items())]
        operations += [hub.CommitOperationDelete(name, is_folder=False) for name in sorted(gone)]
        done = api.create_commit(
            address.repository,
            operations,
            commit_message=message or "Push a bundle of logolens",
            # Who pushed meanwhile is not written over.
            parent_commit=info.sha,
        )
    changed = done.oid != info.sha
    return Pushed(f"{base}/{address.repository}", f"{address}@{done.oid}", changed, **facts)


def _repository(hub: Any, api: Any, address: HubAddress, private: bool) -> Any:
    """What the Hub says of the repository, which is made where there is none."""
    not_found = require("huggingface_hub.errors", EXTRA).RepositoryNotFoundError
    try:
        info = api.model_info(address.repository)
    except not_found:
        api.create_repo(address.repository, private=private, repo_type="model")
        return api.model_info(address.repository)
    if private and not info.private:
        raise UsageError(
            f"{address} is there and everyone sees it, so --private does not hold. Make it private in its settings on the Hub, "
            "name another repository, or leave --private out."
        )
    return info


def _manifest_there(api: Any, address: HubAddress, commit: str) -> dict[str, Any] | None:
    """What the bundle in the repository says of itself; None where its manifest is no bundle's."""
    with TemporaryDirectory() as folder:
        api.hf_hub_download(address.repository, MANIFEST, revision=commit, local_dir=folder)
        try:
            return read_manifest(Path(folder), FORMAT)
        except BundleError:
            return None


def _refuse_to_replace(address: HubAddress, there: Iterable[str], theirs: Mapping[str, Any] | None) -> None:
    own = {MANIFEST, CARD, *as_dict(theirs.get("files"))} if theirs is not None else set()
    if foreign := sorted(set(there) - own - _BY_THE_HUB):
        raise UsageError(
            f"{address} holds files that are not a bundle's, as {foreign[0]}; name another repository, or push beside and over "
            "them with --force."
        )
    if theirs is not None:
        raise UsageError(
            f"{address} holds another bundle; name another repository, or replace it with --force. Its history keeps the earlier "
            "one, which can be named by its commit."
        )


@contextlib.contextmanager
def _bars(hub: Any, wanted: bool) -> Iterator[None]:
    """The client's progress bars, drawn or not; what it was told before stands again afterwards."""
    hidden = wanted or hub.utils.are_progress_bars_disabled()
    if not hidden:
        hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            hub.utils.enable_progress_bars()


def _files(bundle: Bundle, address: HubAddress, license: str | None) -> dict[str, bytes]:
    """What is pushed, by name. Every hash is verified but the card's, which a person may have edited."""
    found = {name: verified(bundle, name) for name in bundle.manifest["files"] if name not in (MANIFEST, CARD)}
    found[MANIFEST] = read_file(bundle.path / MANIFEST)
    card = bundle.path / CARD
    text = read_file(card).decode("utf-8", "replace") if card.exists() else "# Logo classifier\n"
    found[CARD] = hub_card(text, bundle.manifest, address, license).encode()
    return found


def hub_card(text: str, manifest: Mapping[str, Any], address: HubAddress, license: str | None = None) -> str:
    """A bundle's card as the Hub reads it: with front matter before it, and the address in place of the folder.

    Args:
        text: of the bundle's README.md. What front matter it has stands; what it lacks is added.
        manifest: of the bundle.
        address: where it is pushed.
        license: what to name in place of the licence of the backbone's weights.
    """
    facts = _front_matter(manifest, address, license)
    if match := _FRONT.match(text):
        try:
            own = yaml.safe_load(match[1])
        except yaml.YAMLError as error:
            raise UsageError(f"The front matter of {CARD} is no YAML ({error}); mend it, or take it out.") from error
        if isinstance(own, dict):
            facts = {**facts, **own, **({"license": license} if license else {})}
            text = text[match.end() :].lstrip("\r\n")
    text = text.replace(PLACE, f"`BUNDLE` stands for `{address}`, or for the path of a folder with these files.")
    front = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front}---\n\n{text}"


def _front_matter(manifest: Mapping[str, Any], address: HubAddress, license: str | None) -> dict[str, Any]:
    backbone = as_dict(manifest.get("backbone"))
    published = str(backbone.get("license") or "unknown")
    known = license or (published.lower() if published.lower() in _LICENCES else "other")
    facts: dict[str, Any] = {"license": known}
    if known == "other":
        facts["license_name"] = re.sub(r"[^a-z0-9]+", "-", published.lower()).strip("-") or "unknown"
    facts |= {
        "library_name": "logolens",
        "pipeline_tag": "image-classification",
        "tags": [
            "logo-recognition",
            "logo",
            "transfer-learning",
            "onnx",
            *([str(backbone["family"])] if backbone.get("family") else []),
        ],
        "metrics": ["accuracy", "f1"],
    }
    if results := _results(manifest):
        facts["model-index"] = [{"name": address.repository.split("/")[1], "results": results}]
    return facts


def _results(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures in the form that the Hub shows beside a model; those of photos kept apart, else of validation."""
    metrics, data = as_dict(manifest.get("metrics")), as_dict(manifest.get("data"))
    split = "test" if as_dict(metrics.get("test")) else "validation"
    figures = as_dict(metrics.get("test") or metrics.get("val"))
    named = (("accuracy", "top1", "Top-1 accuracy"), ("f1", "macro_f1", "Macro F1"))
    found = [
        {"type": kind, "name": name, "value": round(float(figures[key]), 4)}
        for kind, key, name in named
        if is_number(figures.get(key))
    ]
    if not found:
        return []
    dataset = {"name": str(data.get("name") or "own photos"), "type": "imagefolder", "split": split}
    return [{"task": {"type": "image-classification"}, "dataset": dataset, "metrics": found}]
