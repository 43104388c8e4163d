"""What a person decided about a scan's answers, taken as further photos to train on.

The file is what a report's page saves: JSON with a list of decisions, one an image. An accepted image shows the label that
was answered, a rejected one the label that the reviewer chose, or none; a skipped one says nothing. The box is left aside:
that the label is right does not say that the box is, and all outside a box is learnt as background.
"""

from __future__ import annotations

import difflib
import itertools
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from logolens.config import BACKGROUND, Limits, cache_folder
from logolens.data.dataset import Dataset, Notes, Photo, Region
from logolens.data.folder import clean_label
from logolens.data.indexing import Facts, Progress, read_all
from logolens.data.same_photo import same_photos
from logolens.errors import DataError, ImageError
from logolens.io.atomic import write_atomically
from logolens.io.files import read_regular
from logolens.io.images import content_hash
from logolens.io.names import file_name

__all__ = ["FORMAT", "Decision", "read_decisions", "with_corrections"]

FORMAT = "logolens decisions"
"""What such a file says of itself under ``format``."""

_VERSION = 1
_SHOWN = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A URL, and a member of an archive or document: neither is a file of its own.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_ELSEWHERE = re.compile(rf"{_ADDRESS.pattern}|.*!/", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Decision:
    """What a reviewer decided about one picture.

    Attributes:
        row: in the file, from 1.
        names: of the picture when it was judged.
        sha256: its content.
        label: what it shows, which may be ``none``.
        kind: ``accept`` where that is what was answered, else ``reject``.
    """

    row: int
    names: tuple[str, ...]
    sha256: str
    label: str
    kind: str


class _RowError(Exception):
    """One decision cannot be understood."""


def check_corrections(file: str | os.PathLike[str]) -> None:
    """See that a file of decisions can be read, before the many photos are that it is about.

    Raises:
        DataError: it cannot, as for `with_corrections`.
    """
    _content(Path(file))


def read_decisions(file: str | os.PathLike[str]) -> dict[str, Decision]:
    """What was decided, by SHA-256, whatever labels it names; what was skipped is left out.

    Args:
        file: as the page of `logolens report` saves it.

    Raises:
        DataError: it cannot be read or understood; the first five bad rows are named by number.
    """
    return _decisions(Path(file), _content(Path(file)), None)


def with_corrections(
    dataset: Dataset,
    file: str | os.PathLike[str],
    *,
    limits: Limits = Limits(),
    read: Callable[[str], bytes] | None = None,
    progress: Progress | None = None,
    remember: bool = True,
) -> Dataset:
    """Add to a data set what a reviewer decided about a scan's answers.

    An image is known by its SHA-256. One that the data set holds already takes the reviewer's label, if it does not carry
    it; the others join it. Copies and near copies are found anew, so that a split keeps them together.

    Args:
        dataset: the photos to train on.
        file: the decisions, as the page of `logolens report` saves them. Names that are relative paths are looked for from
            the folder that the scan was made in, from the working folder, and from the file's own.
        limits: how large an image may be.
        read: gives the bytes of an image that is no file: a URL, a bucket's object, an archive's member, as
            ``lambda name: reopen(name).read()`` does with `logolens.io.sources.reopen`. Without it such images are left out,
            with a note. What it gives is kept in the cache folder.
        progress: called as ``progress(done, total)`` while images are read.
        remember: whether what was learnt of unchanged files may be kept in the cache folder and used again.

    Raises:
        DataError: the file cannot be read or understood (the first five bad rows are named by number), a label is not one
            of the data set's, or no decision can be used.
    """
    file = Path(file)
    content = _content(file)
    decisions = _decisions(file, content, {*dataset.labels, BACKGROUND})
    notes = Notes()
    own = {photo.sha256 for photo in dataset.photos}
    photos = [_relabelled(photo, decisions.get(photo.sha256), notes) for photo in dataset.photos]
    base = content.get("base")
    finder = _Finder(file, base if isinstance(base, str) else "", limits, read, notes)
    further = [(its, path) for its in decisions.values() if its.sha256 not in own and (path := finder.find(its))]
    facts = read_all(
        [*(photo.path for photo in photos), *(path for _, path in further)],
        limits=limits,
        progress=progress,
        remember=remember,
    )
    kept: list[Facts] = []
    for photo, its in zip(photos, facts, strict=False):
        if not isinstance(its, Facts) or its.sha256 != photo.sha256:
            raise DataError(f"{photo.path} changed while the data was read; run again once nothing writes there.")
        kept.append(its)
    joined = 0
    for (decision, path), its in zip(further, facts[len(photos) :], strict=True):
        if isinstance(its, Facts) and its.sha256 == decision.sha256:
            photos.append(_joining(decision, path, its))
            kept.append(its)
            joined += 1
        else:
            reason = "it is another image by now" if isinstance(its, Facts) else str(its)
            message = "Corrected images that changed since they were judged, or cannot be read, left out: {n}."
            notes.add("changed-correction", message, [f"row {decision.row}, {decision.names[0]}: {reason}"])
    if not joined and not own & decisions.keys():
        why = " ".join(map(str, notes.all())) or "It holds no accepted or rejected image; skipped ones say nothing."
        raise DataError(f"{file}: none of its decisions can be used. {why}")
    if joined:
        notes.add("corrections", "Corrected images that joined the data set: {n}.", count=joined)
    same = same_photos(
        [its.thumbs for its in kept],
        [its.aspects for its in kept],
        files=[its.sha256 for its in kept],
        names=[photo.name for photo in photos],
        labels=[photo.labels for photo in photos],
        points=[its.points for its in kept],
        paths=[photo.path for photo in photos],
        limits=limits,
    )
    grouped = [
        replace(photo, near=near, evidence=evidence)
        for photo, near, evidence in zip(photos, same.groups, same.evidence, strict=True)
    ]
    return Dataset.of(dataset.name, grouped, (*dataset.notes, *notes.all()))


def _content(file: Path) -> Mapping[str, Any]:
    again = "save the decisions again in the page of `logolens report`."
    try:
        content = json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(
            f"{file}: the decisions cannot be read ({error.strerror}). Name the file that the page of `logolens report` saved."
        ) from error
    except (ValueError, RecursionError) as error:
        where = (
            f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "not UTF-8, or nested"
        )
        raise DataError(f"{file}: this is not JSON ({where}); {again}") from error
    if (
        not isinstance(content, dict)
        or content.get("format") != FORMAT
        or not isinstance(content.get("decisions"), list)
    ):
        raise DataError(f"{file}: this is not a file of decisions; {again}")
    if content.get("version") != _VERSION:
        raise DataError(f"{file}: this file is of version {content.get('version')!r}, not {_VERSION}; update logolens.")
    return content


def _decisions(file: Path, content: Mapping[str, Any], known: set[str] | None) -> dict[str, Decision]:
    """What was decided, by SHA-256, without what was skipped; of the known labels alone where these are given."""
    found: dict[str, Decision] = {}
    problems: list[str] = []
    for row, entry in enumerate(content["decisions"], 1):
        try:
            decision = _decision(row, entry, known)
            if decision is None:
                continue
            earlier = found.setdefault(decision.sha256, decision)
            if earlier.label != decision.label:
                raise _RowError(
                    f"{decision.names[0]} shows {decision.label}, but row {earlier.row} says {earlier.label} of the same "
                    "picture"
                )
        except _RowError as error:
            problems.append(f"row {row}: {error}")
    if problems:
        more = f" (and {len(problems) - _SHOWN} more rows)" if len(problems) > _SHOWN else ""
        raise DataError(f"{file}: {'; '.join(problems[:_SHOWN])}{more}. Correct these decisions and run again.")
    return found


def _decision(row: int, entry: object, known: set[str] | None) -> Decision | None:
    if not isinstance(entry, dict):
        raise _RowError("it is not an object with name, sha256, decision and label")
    kind = entry.get("decision")
    if kind == "skip":
        return None
    if kind not in ("accept", "reject"):
        raise _RowError(f"the decision is {kind!r}; it must be accept, reject or skip")
    names = entry.get("names") or [entry.get("name")]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise _RowError("it names no image")
    if any("\0" in name for name in names):
        raise _RowError("the name holds a NUL character")
    sha256 = entry.get("sha256")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise _RowError(f"{names[0]}: its sha256 is {str(sha256)[:70]!r}, not 64 hexadecimal digits")
    label = entry.get("label")
    if label is None:
        label = entry.get("answer") if kind == "accept" else BACKGROUND
    if not isinstance(label, str) or not clean_label(label):
        raise _RowError(f"{names[0]} is accepted, but no label says as what")
    label = clean_label(label)
    if known is not None and label not in known:
        near = difflib.get_close_matches(label, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(known)[:8])}"
        raise _RowError(f"{names[0]} shows {label!r}, which is no label of the data set ({hint})")
    return Decision(row, tuple(names), sha256, label, kind)


def _relabelled(photo: Photo, decision: Decision | None, notes: Notes) -> Photo:
    if decision is None:
        return photo
    if decision.label in photo.labels:
        notes.add("confirmed", "Photos of the data set whose label a correction confirms: {n}.", [photo.name])
        return photo
    message = "Photos of the data set whose label a correction overrules: {n}."
    notes.add("overruled", message, [f"{photo.name}: {' and '.join(photo.labels)} is {decision.label}"])
    return replace(photo, regions=(Region(decision.label),))


def _joining(decision: Decision, path: Path, facts: Facts) -> Photo:
    # The folder in front keeps it apart from a photo of the data set that has the same name.
    given = decision.names[0].lstrip("/").encode("utf-8", "backslashreplace").decode()
    name = f"corrections/{given}"
    region = Region(decision.label)
    return Photo(path, name, (region,), None, None, facts.sha256, facts.width, facts.height, near=0)


class _Finder:
    """Finds the file of a corrected image, by any of its names."""

    def __init__(
        self, file: Path, base: str, limits: Limits, read: Callable[[str], bytes] | None, notes: Notes
    ) -> None:
        self._folders = list(dict.fromkeys([*([Path(base)] if base and "\0" not in base else []), Path(), file.parent]))
        self._limits, self._read, self._notes = limits, read, notes

    def find(self, decision: Decision) -> Path | None:
        there: list[Path] = []
        for name in decision.names:
            there += [path for path in self._paths(name) if path not in there]
        # Of several files with the name the one that was judged is meant; its content tells.
        for path in there if len(there) > 1 else ():
            if _hash_of(path, self._limits) == decision.sha256:
                return path
        if there:
            return there[0]
        elsewhere = [name for name in decision.names if _ELSEWHERE.match(name)]
        kept = self._fetched(decision, elsewhere) if elsewhere else None
        if kept is None:
            message = "Corrected images that are not on this machine, left out: {n}."
            self._notes.add("missing-correction", message, [f"row {decision.row}, {decision.names[0]}"])
        return kept

    def _paths(self, name: str) -> Sequence[Path]:
        if _ELSEWHERE.match(name) and not os.path.isfile(name):
            return ()
        spelled = dict.fromkeys((name, file_name(name)))
        return [path for each in spelled for folder in self._folders if _is_file(path := folder / each)]

    def _fetched(self, decision: Decision, names: Sequence[str]) -> Path | None:
        target = cache_folder() / "corrections" / decision.sha256[:2] / decision.sha256
        if _hash_of(target, self._limits) == decision.sha256:
            return target
        if self._read is None:
            return None
        # An archive is looked for where files are; an address is the same from everywhere.
        tried = [[name] if _ADDRESS.match(name) else [str(folder / name) for folder in self._folders] for name in names]
        for name in itertools.chain.from_iterable(tried):
            try:
                data = self._read(name)
            except ImageError:
                continue
            if content_hash(data) == decision.sha256:
                write_atomically(target, data)
                return target
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # A name too long for a file, or of characters that none can have.
        return False


def _hash_of(path: Path, limits: Limits) -> str | None:
    try:
        if path.stat().st_size > limits.max_bytes:
            return None
        return content_hash(read_regular(path))
    except (OSError, ValueError):
        return None
