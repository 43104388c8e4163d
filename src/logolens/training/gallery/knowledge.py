"""What a gallery knows beside its references' features: the lines of its drawings, and the names of its labels.

Features of a drawing on plain ground say little of photos: asked about real photos of 23 brands, drawings alone name a third of
them. Key points of the same drawings, verified by geometry, and the labels' names, read in the photos, name twice as many, and
are seldom wrong. Both follow the labels when these are added, renamed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from logolens.bundle.format import Bundle
from logolens.config import BACKGROUND, GallerySettings, MatcherSettings
from logolens.errors import UsageError
from logolens.models.calibration import Calibration
from logolens.models.ensemble import EnsembleWeights
from logolens.models.experts.drawing import MATCHER
from logolens.models.matcher import Matcher, describe
from logolens.models.matcher import Reference as Drawn
from logolens.models.matcher.references import LEAST
from logolens.models.matcher.serialization import load_matcher, save_matcher
from logolens.models.words import Lexicon, WordExpert, WordWeights, model_hashes, names_of, reads
from logolens.models.words.words_file import WORDS, save_words
from logolens.training.gallery.ledger import Reference

__all__ = ["UNMEASURED", "Known", "drawn_references", "first_knowledge", "knowledge_of"]

UNMEASURED = EnsembleWeights(
    {"whole": 0.5, "closer": 0.5},
    {"whole": 0.5, "closer": 0.5},
    {"whole": 12.0},
    reason="Whole photo and closer views count the same, since no photo was held out to weigh them.",
)
"""How a gallery that no training measured adds evidence: few references say little of a whole photo, so that nearly every one is
looked at closer. On 48 photos of four brands, five references each, this named 77 %, the weights that training chose on 27 brands
with early answers 73 %."""

_SIDES = (160, 400)
"""Pixels of the longer side that a drawing is sought key points at: a photo's logo is small more often than large."""

_MARGIN = 0.12
_POINTS = 300
_INK, _PAPER = (20, 20, 20), (245, 245, 245)

_MATCHER, _SHOWS = 4.0, 2.0
"""Logits for each unit of the matcher's evidence, in telling labels apart and in telling whether there is a logo. From 3 to 8 is
the same within two points on real photos of 23 brands."""

_WORDS = 4.0
"""Logits for each nat of what is read; a name read without fault is 2.2 nats. From 2 to 6 is the same within three points."""

_PROVED, _SLOPE = 2.8, 0.6
"""What speaks for a logo, in the units of both, from which it is likelier there than not, and how fast that grows, where proofs
alone count: six verified points, of which 69 in 70 were right on those photos, or a name of eight letters with one misread."""


@dataclass(frozen=True)
class Known:
    """What a gallery knows of its drawings and names.

    Attributes:
        matcher: of its drawings; None where it has none that can be matched.
        words: its labels' names; None where it reads none.
        closer: what the manifest says of both, to be laid over its part ``closer``.
    """

    matcher: Matcher | None
    words: WordExpert | None
    closer: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Write the files of both into a bundle's folder."""
        if self.matcher is not None:
            save_matcher(self.matcher, folder / MATCHER)
        if self.words is not None:
            save_words(self.words, folder / WORDS)


def drawn_references(drawing: Image.Image, label: str, sha256: str, name: str) -> tuple[Drawn, ...]:
    """A drawing's key points, dark on light, for the matcher; none of one too plain to be matched.

    Args:
        drawing: RGBA, as `drawings.drawing_of` gives it.
        label: what it shows.
        sha256: of its file.
        name: of its file.
    """
    found = []
    for side in _SIDES:
        scale = side / max(drawing.size)
        size = (max(1, round(drawing.width * scale)), max(1, round(drawing.height * scale)))
        page, margin = _page(drawing.resize(size, Image.Resampling.LANCZOS), round(_MARGIN * side))
        points = describe(page, MatcherSettings(), most=_POINTS, long_side=max(page.size))
        if len(points) >= LEAST:
            edges = (float(margin), float(margin), float(margin + size[0]), float(margin + size[1]))
            found.append(Drawn(label, sha256, name, points, edges, edges))
    return tuple(found)


def _page(drawing: Image.Image, margin: int) -> tuple[Image.Image, int]:
    """A drawing on paper; one of a single colour in ink, whatever its colour."""
    page = Image.new("RGB", (drawing.width + 2 * margin, drawing.height + 2 * margin), _PAPER)
    ink = np.asarray(drawing)[np.asarray(drawing)[..., 3] > 127][:, :3].astype(np.float64)
    plain = not len(ink) or float(np.abs(ink - ink.mean(axis=0)).mean()) < 24.0
    shown = Image.new("RGB", drawing.size, _INK) if plain else drawing.convert("RGB")
    page.paste(shown, (margin, margin), drawing.getchannel("A"))
    return page, margin


def first_knowledge(settings: GallerySettings) -> dict[str, Any]:
    """What the manifest of a new gallery says of words, before there are labels.

    Raises:
        UsageError: words are asked for, and nothing is installed that reads.
    """
    if settings.words == "on" and not reads():
        raise UsageError(
            "Nothing is installed that reads words: pip install 'logolens[words]', or leave out --words on."
        )
    if settings.words == "off" or not reads():
        return {}
    return {"words": {"models": model_hashes()}}


def knowledge_of(
    bundle: Bundle,
    closer: Mapping[str, Any],
    labels: Sequence[str],
    references: Sequence[Reference],
    drawn: Sequence[Drawn] = (),
    *,
    builtin: bool = False,
) -> Known:
    """What a changed gallery knows.

    Args:
        bundle: the gallery as it was read; where it is begun, what it will be made of.
        closer: its manifest's part, with the calibration of what is seen as it is now.
        labels: of the new one.
        references: of the new one.
        drawn: key points of drawings that were added.
        builtin: whether all its backgrounds are built-in pictures.
    """
    own = tuple(label for label in labels if label != BACKGROUND)
    facts: dict[str, Any] = {}
    matcher = None
    if bundle.manifest["settings"].get("matcher", "off") != "off":
        matcher = _matcher(bundle, closer, own, references, drawn)
        counts = UNMEASURED
        if matcher is not None:
            # Features of drawings and of made backgrounds cannot tell photos with a logo from others: proofs alone do.
            proofs = builtin and all(reference.kind == "artwork" for reference in references)
            counts = replace(
                counts,
                labels={**counts.labels, "matcher": _MATCHER},
                presence={**({} if proofs else counts.presence), "matcher": _SHOWS},
                stop_margins={} if proofs else counts.stop_margins,
            )
            if proofs:
                facts["calibration"] = {**closer["calibration"], "threshold": _PROVED, "slope": _SLOPE}
        facts |= {"weights": counts.to_json(), "experts": ["matcher"] if matcher is not None else []}
    words = None
    if closer.get("words") is not None:
        lexicon = Lexicon.learn(own, {label: names_of(label) for label in own})
        weights = WordWeights(
            _WORDS, 1.0, _WORDS, 0.0, 0.0, Calibration(**facts.get("calibration", closer["calibration"])),
            "The names of the labels count as on 23 brands: nothing was measured on photos of these.",
        )  # fmt: skip
        words = WordExpert(lexicon, weights)
        facts["words"] = {**weights.to_json(), "models": closer["words"]["models"]}
    return Known(matcher, words, facts)


def _matcher(
    bundle: Bundle,
    closer: Mapping[str, Any],
    labels: Sequence[str],
    references: Sequence[Reference],
    drawn: Sequence[Drawn],
) -> Matcher | None:
    """The lines of all drawings that are still references, under the labels that they have by now."""
    known = list(drawn)
    if "matcher" in closer.get("experts", ()):
        known = [*load_matcher(bundle.path / MATCHER).references, *known]
    label_of = {reference.sha256: reference.label for reference in references if reference.kind == "artwork"}
    kept = [replace(one, label=label_of[one.photo]) for one in known if one.photo in label_of]
    kept.sort(key=lambda one: (one.label, one.photo, one.size))
    return Matcher(kept, MatcherSettings(), labels=labels) if kept else None
