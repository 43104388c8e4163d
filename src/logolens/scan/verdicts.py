"""From probabilities to a verdict: match, unsure or clear; and the list of images that are known to be fine."""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logolens.config import BACKGROUND, ScanSettings
from logolens.data.corrections import Decision
from logolens.errors import UsageError
from logolens.models.calibration import choose

__all__ = ["VERDICTS", "Allowed", "Decided", "Judge"]

VERDICTS = ("clear", "error", "unsure", "match")
"""All verdicts; of a picture that stands in several places the last of these holds."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_GLOB = re.compile(r"[*?[]")


class Judge:
    """Gives a verdict on an image's probabilities.

    The confidence is the probability that the image shows one of the labels sought: the sum of theirs. When none is named,
    every label is sought, and the confidence is the best label's.

    Args:
        classes: the names of the probabilities, in their order.
        settings: what is sought, and from which confidence on.

    Raises:
        UsageError: a label is sought that the bundle does not know.
    """

    def __init__(self, classes: Sequence[str], settings: ScanSettings) -> None:
        self.classes = tuple(classes)
        labels = [name for name in classes if name != BACKGROUND]
        for wanted in settings.find:
            if wanted not in labels:
                near = difflib.get_close_matches(wanted, labels, 1)
                hint = f"; did you mean {near[0]}?" if near else f". It knows: {', '.join(labels)}."
                raise UsageError(f"The bundle knows no label {wanted!r}{hint}")
        self.sought = frozenset(settings.find or labels)
        self._together = bool(settings.find)
        self._sought = [self.classes.index(name) for name in dict.fromkeys(settings.find or labels)]
        self._threshold, self.least = settings.threshold, settings.least
        """The confidence from which it is a match, and at least unsure."""

    def __call__(self, scores: npt.NDArray[np.float32]) -> tuple[str, float, str]:
        """The label, the confidence and the verdict.

        The label is the best one sought where it is found (match, unsure), else the answer, which may be ``none``.
        """
        sought = scores[self._sought]
        # Rounding in the network may lift a sum a little above one.
        confidence = min(1.0, float(sought.sum() if self._together else sought.max()))
        verdict = "match" if confidence >= self._threshold else "unsure" if confidence >= self.least else "clear"
        if verdict == "clear":
            return self.answer(scores), confidence, verdict
        return self.classes[self._sought[int(sought.argmax())]], confidence, verdict

    def answer(self, scores: npt.NDArray[np.float32]) -> str:
        """What `logolens predict` says of these probabilities."""
        return self.classes[choose(scores.astype(np.float64), BACKGROUND in self.classes)]


class Decided:
    """What a person decided about pictures, which holds whatever the bundle says of them.

    Args:
        decisions: by SHA-256. Those that name a label which the bundle does not know are left aside: what hides a match must
            be certain.
        judge: knows what is sought.
    """

    def __init__(self, decisions: Mapping[str, Decision], judge: Judge) -> None:
        known = {*judge.classes, BACKGROUND}
        self.decisions = {sha256: its for sha256, its in decisions.items() if its.label in known}
        self.unknown = sorted({its.label for its in decisions.values()} - known)
        """Labels of decisions that the bundle does not know."""
        self._sought = judge.sought

    def __call__(self, sha256: str | None) -> tuple[str, str] | None:
        """The label and the verdict that were decided for a content: a match where the label is sought, else clear."""
        decision = self.decisions.get(sha256 or "")
        return None if decision is None else (decision.label, "match" if decision.label in self._sought else "clear")


class Allowed:
    """The images that are known to be fine.

    Args:
        entries: paths, folders, URLs, patterns (``*``, ``?`` and ``[``), SHA-256 of contents, or ``@FILE`` with one of
            these a line, where empty lines and those that begin with ``#`` are left out.

    Raises:
        UsageError: a file of entries cannot be read.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._hashes: set[str] = set()
        self._names: set[str] = set()
        self._folders: list[str] = []
        patterns: list[str] = []
        for entry in _lines(entries):
            if _SHA256.fullmatch(entry):
                self._hashes.add(entry.lower())
            elif _GLOB.search(entry) and not os.path.exists(entry):
                patterns.append(fnmatch.translate(_plain(entry)))
            else:
                self._names.add(_plain(entry))
                if entry.endswith("/") or os.path.isdir(entry):
                    self._folders.append(_plain(entry).rstrip("/") + "/")
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def __call__(self, name: str, sha256: str | None) -> bool:
        """Whether this image is one of them."""
        if sha256 is not None and sha256 in self._hashes:
            return True
        if not (self._names or self._pattern):
            return False
        plain = _plain(name)
        return (
            plain in self._names
            or any(plain.startswith(folder) for folder in self._folders)
            or (self._pattern is not None and self._pattern.match(plain) is not None)
        )


def _plain(name: str) -> str:
    """A path in one spelling; a URL as it is."""
    return name if "://" in name else os.path.normpath(name).replace("\\", "/")


def _lines(entries: Iterable[str]) -> Iterable[str]:
    for entry in entries:
        if not entry.startswith("@"):
            yield entry
            continue
        try:
            text = Path(entry[1:]).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UsageError(f"The allow-list {entry[1:]} cannot be read ({reason}).") from error
        for line in text.splitlines():
            if (line := line.strip()) and not line.startswith("#"):
                yield line
