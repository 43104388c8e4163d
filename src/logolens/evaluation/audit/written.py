"""Photos in which another name is written than their label's: what is read tells on labels that what is seen cannot.

Names alone are looked for, and no words that photos teach: the labels of these photos are what is in question.
"""

from __future__ import annotations

from logolens.config import BACKGROUND, AuditSettings
from logolens.data import Dataset, Photo
from logolens.data.checks.findings import Finding
from logolens.models.words import Lexicon, WordProof, all_names, read_by_content, read_names, reads
from logolens.types import Progress

__all__ = ["about_words"]

_MOST = 5000
"""Photos up to which words are read unasked: a thousand take one or two minutes."""

_LOUD = 1.5
"""Nats of a name from which it is told: read well, not small, and not one among many."""

_LIKE = 0.85
"""Similarity to a name from which it is told."""


def about_words(dataset: Dataset, settings: AuditSettings, on_progress: Progress) -> tuple[list[Finding], list[str]]:
    """Photos that name another label, and photos of ``none`` that name one, the surest first; and what was not looked at.

    Raises:
        MissingExtraError: words are asked for, and the extra ``words`` is not installed.
        UsageError, DataError: the file of names cannot be used.
        ImageError: a photo changed while it was being used.
    """
    if settings.words == "off":
        return [], []
    if settings.words == "auto" and settings.names is None:
        if not reads():
            return [], ["Words were not read; for that, run: pip install 'logolens[words]'"]
        if len(dataset) > _MOST:
            return [], [f"Words were not read, as there are more than {_MOST:,} photos; --words on reads them."]
    given = read_names(settings.names, dataset.labels) if settings.names is not None else {}
    lexicon = Lexicon.learn(dataset.labels, all_names(dataset.labels, given))
    lines = read_by_content(
        dataset.photos,
        cached=settings.cache,
        threads=settings.threads,
        progress=lambda done, total: on_progress("reading words", done, total),
    )
    said = {sha256: lexicon.evidence(its)[1] for sha256, its in lines.items()}
    found = [
        (proof.evidence, _finding(photo, proof))
        for photo in dataset.photos
        if (proof := _against(photo, said[photo.sha256])) is not None
    ]
    return [finding for _, finding in sorted(found, key=lambda one: (-one[0], one[1].photos))], []


def _against(photo: Photo, proofs: tuple[WordProof, ...]) -> WordProof | None:
    """The loudest name of another label, where none of the photo's own is written beside it."""
    loud = [proof for proof in proofs if proof.evidence >= _LOUD and proof.similarity >= _LIKE]
    if not loud or any(proof.label in photo.labels for proof in proofs):
        return None
    return loud[0]


def _finding(photo: Photo, proof: WordProof) -> Finding:
    x1, y1, x2, y2 = proof.box
    box = (x1 * photo.width, y1 * photo.height, x2 * photo.width, y2 * photo.height)
    what = "is said to show no label" if photo.label == BACKGROUND else f"is labelled {photo.label}"
    return Finding(
        "other-name",
        f"{photo.name} {what}, and “{proof.word}” is written in it, a name of {proof.label}.",
        (photo.name,),
        label=photo.label,
        suggested=proof.label,
        boxes=(box,),
    )
