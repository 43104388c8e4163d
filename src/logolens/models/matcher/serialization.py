"""A matcher as one file: safetensors and nothing else, so that reading it can run no code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from logolens.config import MatcherSettings
from logolens.errors import BundleError, UsageError
from logolens.io.atomic import written_beside
from logolens.io.files import plain_path
from logolens.models.matcher.index import Index
from logolens.models.matcher.keypoints import WIDTH, Keypoints
from logolens.models.matcher.match import Matcher
from logolens.models.matcher.references import LEAST, Reference

__all__ = ["FORMAT", "load_matcher", "save_matcher"]

FORMAT = 1
"""The file's layout; one of a higher number is refused."""

_Arrays = dict[str, npt.NDArray[Any]]

# Of each tensor: its type, and its shape, in which R are references, N key points, K lists.
_LAYOUT = {
    "descriptors": ("uint8", ("N", WIDTH)),
    "points": ("float32", ("N", 2)),
    "scale": ("float32", ("N",)),
    "angle": ("float32", ("N",)),
    "counts": ("int64", ("R",)),
    "sizes": ("int64", ("R", 2)),
    "labels": ("int64", ("R",)),
    "boxes": ("float32", ("R", 4)),
    "boxed": ("uint8", ("R",)),
    "outlines": ("float32", ("R", 4)),
    "pictures": ("uint8", ("P",)),
    "picture_sizes": ("int64", ("R",)),
    "centres": ("float32", ("K", WIDTH)),
    "order": ("int32", ("M",)),
    "ends": ("int64", ("E",)),
}


def save_matcher(matcher: Matcher, path: str | os.PathLike[str]) -> None:
    """Write a matcher; an existing file is replaced at once, or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    from safetensors.numpy import save

    target = Path(path)
    references = matcher.references
    keypoints = [its.keypoints for its in references]
    pictures = b"".join(its.picture for its in references)
    tensors: _Arrays = {
        "descriptors": matcher.index.descriptors,
        "points": matcher.points,
        "scale": matcher.scale,
        "angle": matcher.angle,
        "counts": np.array([len(its) for its in keypoints], np.int64),
        "sizes": np.array([its.size for its in keypoints], np.int64).reshape(-1, 2),
        "labels": np.array([matcher.labels.index(its.label) for its in references], np.int64),
        "boxes": np.array([its.box or (0, 0, 0, 0) for its in references], np.float32).reshape(-1, 4),
        "boxed": np.array([its.box is not None for its in references], np.uint8),
        "outlines": np.array([its.outline for its in references], np.float32).reshape(-1, 4),
        "pictures": np.frombuffer(pictures, np.uint8),
        "picture_sizes": np.array([len(its.picture) for its in references], np.int64),
        "centres": matcher.index.centres,
        "order": matcher.index.order,
        "ends": matcher.index.ends,
    }
    facts = {
        "format": FORMAT,
        "settings": asdict(matcher.settings),
        "labels": matcher.labels,
        "photos": [its.photo for its in references],
        "names": [its.name for its in references],
    }
    data: bytes = save(
        {name: np.ascontiguousarray(value) for name, value in tensors.items()},
        {"matcher": json.dumps(facts, ensure_ascii=True)},
    )
    try:
        with written_beside(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise UsageError(
            f"The matcher cannot be written to {target} ({error.strerror}); name another place."
        ) from error


def load_matcher(path: str | os.PathLike[str]) -> Matcher:
    """Read a matcher and hold it against all that it promises.

    Raises:
        BundleError: the file is missing, damaged, of a newer version, or contradicts itself.
    """
    source = Path(path)
    try:
        return _read(source)
    except BundleError:
        raise
    except FileNotFoundError:
        raise BundleError(f"{source}: there is no such file; train again to make the matcher.") from None
    except Exception as error:  # safetensors raises its own, JSON, numpy and dictionaries theirs.
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise BundleError(f"{source} is no readable matcher ({reason}). Copy it anew, or train again.") from error


def _read(source: Path) -> Matcher:
    from safetensors import safe_open

    with plain_path(source) as path, safe_open(path, framework="numpy") as file:
        facts = json.loads((file.metadata() or {})["matcher"])
        if not isinstance(facts["format"], int) or facts["format"] > FORMAT:
            raise BundleError(
                f"{source} has the format {facts['format']!r}, and this release reads up to {FORMAT}; upgrade logolens."
            )
        if extra := set(file.keys()) ^ set(_LAYOUT):
            raise _wrong(source, f"it lacks, or has too many of, the tensors {', '.join(sorted(extra))}")
        arrays: _Arrays = {name: file.get_tensor(name) for name in _LAYOUT}
    known = {spec.name for spec in fields(MatcherSettings)}
    settings = MatcherSettings(**{name: value for name, value in facts["settings"].items() if name in known})
    _check(source, arrays, facts)
    return _built(arrays, facts, settings)


def _check(source: Path, arrays: _Arrays, facts: dict[str, Any]) -> None:
    sizes: dict[str, int] = {}
    for name, (kind, shape) in _LAYOUT.items():
        value = arrays[name]
        if value.dtype != np.dtype(kind) or value.ndim != len(shape):
            raise _wrong(source, f"{name} is {value.dtype} of shape {value.shape}")
        for letter, length in zip(shape, value.shape, strict=True):
            if length != (letter if isinstance(letter, int) else sizes.setdefault(letter, length)):
                raise _wrong(source, f"{name} is of shape {value.shape}")
        if kind == "float32" and not np.isfinite(value).all():
            raise _wrong(source, f"{name} holds values that are no numbers")
    references, points, lists = sizes["R"], sizes["N"], sizes["K"]
    labels = facts["labels"]
    texts = [*labels, *facts["photos"], *facts["names"]]
    promises: dict[str, Callable[[], bool]] = {
        "the names of labels and photos are not texts": lambda: all(isinstance(text, str) for text in texts),
        "labels are named twice": lambda: len(set(labels)) == len(labels),
        "photos and references differ in number": lambda: len(facts["photos"]) == len(facts["names"]) == references,
        "a reference has a label that is not named": lambda: _within(arrays["labels"], 0, len(labels)),
        "the references' key points do not add up": lambda: (
            _within(arrays["counts"], LEAST, points + 1) and int(arrays["counts"].sum()) == points
        ),
        "a reference has no size": lambda: _within(arrays["sizes"], 1, 1 << 30),
        "a key point has no size": lambda: bool((arrays["scale"] > 0).all()),
        "pictures do not add up": lambda: (
            _within(arrays["picture_sizes"], 0, sizes["P"] + 1) and int(arrays["picture_sizes"].sum()) == sizes["P"]
        ),
        "the lists do not add up": lambda: _listed(arrays["order"], arrays["ends"], lists, points),
    }
    for complaint, holds in promises.items():
        if not holds():
            raise _wrong(source, complaint)


def _within(values: npt.NDArray[Any], low: int, high: int) -> bool:
    return bool(((values >= low) & (values < high)).all())


def _listed(order: npt.NDArray[Any], ends: npt.NDArray[Any], lists: int, points: int) -> bool:
    """Whether each key point stands in one list, once."""
    held = points if lists else 0
    return (
        len(ends) == lists + 1
        and len(order) == held
        and int(ends[0]) == 0
        and int(ends[-1]) == held
        and bool((np.diff(ends) >= 0).all())
        and np.array_equal(np.sort(order), np.arange(held))
    )


def _wrong(source: Path, complaint: str) -> BundleError:
    return BundleError(f"{source} is damaged: {complaint}. Copy it anew, or train again.")


def _built(arrays: _Arrays, facts: dict[str, Any], settings: MatcherSettings) -> Matcher:
    pictures = arrays["pictures"].tobytes()
    ends = np.cumsum([0, *arrays["counts"]])
    seen = np.cumsum([0, *arrays["picture_sizes"]])
    references = []
    for number in range(len(ends) - 1):
        part = slice(int(ends[number]), int(ends[number + 1]))
        width, height = arrays["sizes"][number].tolist()
        keypoints = Keypoints(
            (width, height),
            arrays["points"][part],
            arrays["scale"][part],
            arrays["angle"][part],
            arrays["descriptors"][part],
        )
        box = tuple(arrays["boxes"][number].tolist()) if arrays["boxed"][number] else None
        references.append(
            Reference(
                facts["labels"][int(arrays["labels"][number])],
                facts["photos"][number],
                facts["names"][number],
                keypoints,
                box,
                tuple(arrays["outlines"][number].tolist()),
                pictures[int(seen[number]) : int(seen[number + 1])],
            )
        )
    index = Index(arrays["descriptors"], arrays["centres"], arrays["order"], arrays["ends"])
    return Matcher(references, settings, labels=facts["labels"], index=index)
