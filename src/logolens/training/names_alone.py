"""A bundle of names alone: no photo is learned from, and it answers by what it reads.

Nothing of it was measured on photos of the brands it will be asked about. Its constants come from names alone on Flickr Logos 27,
where they named 471 of 809 photos rightly, 12 wrongly, and none of 55 without a logo.
"""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from logolens.bundle.format import attach_head, check_out, write_bundle
from logolens.bundle.manifest import Trained, manifest_of
from logolens.bundle.model_card import model_card
from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset, Split
from logolens.errors import DataError, UsageError, require
from logolens.models.backbones import prepare
from logolens.models.calibration import Calibration
from logolens.models.ensemble import EnsembleWeights
from logolens.models.head import Head
from logolens.models.words import Lexicon, WordExpert, WordWeights, all_names, model_hashes, nameless, read_names
from logolens.models.words.word_readings import shared_names
from logolens.models.words.words_file import WORDS, save_words
from logolens.types import Progress

__all__ = ["NamesTrained", "train_from_names"]

_THRESHOLD = 0.75
"""Nats of a word from which a logo is likelier there than not: a name of eight letters with one misread is just above."""

_SLOPE = 2.4
"""How fast that grows: a name that was read without fault is 97 % sure."""

_SURE = 0.97
"""The probability of the label whose name alone was read without fault, beside all others."""

_UNSEEN = 0.5
"""The margin that what is seen, which is 0, stands below the threshold of a machine that cannot read."""


@dataclasses.dataclass(frozen=True)
class NamesTrained:
    """What training on names alone gave.

    Attributes:
        bundle: the folder that was written.
        manifest: as written to ``manifest.json``.
        notes: what should be known, a sentence each.
        seconds: how long it took.
    """

    bundle: Path
    manifest: dict[str, Any]
    notes: tuple[str, ...]
    seconds: float


def train_from_names(
    out: Path, settings: TrainSettings, *, force: bool = False, progress: Progress | None = None
) -> NamesTrained:
    """Write a bundle that knows labels by their names alone.

    Args:
        out: the bundle's folder.
        settings: of which ``names`` is the file of names, and the backbone's count.
        force: replace a bundle that is there.
        progress: told of the work as it is done.

    Raises:
        UsageError: no names are given, or ``out`` holds something.
        DataError: the names cannot be used.
        MissingExtraError: the extra ``train`` or ``words`` is not installed.
    """
    if settings.names is None:
        raise UsageError("There is nothing to learn from: name a folder of photos, or a file of names with --names.")
    if settings.precision == "int8":
        raise UsageError(
            "int8 takes its ranges from photos to train on, and of names alone there are none; leave out --precision int8."
        )
    check_out(out, force)
    require("torch", "train")
    models = model_hashes()
    begun = time.perf_counter()
    given = read_names(settings.names)
    if BACKGROUND in given:
        raise DataError(
            f"{settings.names} names {BACKGROUND!r}, which stands for all that shows no logo; leave it out."
        )
    labels = tuple(sorted(given))
    names = all_names(labels, given)
    if lost := nameless(labels, names):
        raise DataError(
            f"{settings.names}: the label {lost[0]} has no name that could be read, as digits alone are none; write "
            f"{lost[0]}: its name."
        )
    notes = (
        "No photo was learned from: this bundle answers by the words it reads alone, and by its constants, which nothing was "
        "measured for. Ask it photos whose answer is known before it is relied on: logolens evaluate.",
        *shared_names(names),
    )
    lexicon = Lexicon.learn(labels, names)
    if all(entry.odds <= 0 for entry in lexicon.entries):
        raise DataError(f"{settings.names}: every name stands for several labels, so none tells them apart.")
    weights = _weights(lexicon, len(labels))
    if progress:
        progress("preparing the backbone", 0, 1)
    backbone = prepare(settings.backbone, size=settings.size, weights=settings.weights, pooling=settings.pooling)
    if progress:
        progress("preparing the backbone", 1, 1)
    head = Head(((np.zeros((backbone.width, len(labels) + 1), np.float32), np.zeros(len(labels) + 1, np.float32)),))
    calibration = Calibration(1.0, _UNSEEN)
    made = Trained(
        command="train",
        data=settings.names,
        dataset=Dataset(settings.names.name, (), labels, (), ""),
        splits=Split((), (), ()),
        settings={**vars(settings), "views": "auto"},
        backbone=backbone,
        preprocessing=Preprocessing(size=backbone.size, resize=settings.resize, mean=backbone.mean, std=backbone.std),
        background=True,
        head={"kind": "none", "layers": [list(head.layers[0][0].shape)], "parameters": 0, "epochs": 0, "best_epoch": 0},
        calibration=calibration,
        figures={"val": None, "test": None},
        notes=notes,
    )
    closer = {
        "weights": EnsembleWeights(reason="Nothing was seen: only words count.").to_json(),
        "calibration": dataclasses.asdict(calibration),
        "words": {**weights.to_json(), "models": models},
        "held_out": 0,
        "experts": [],
        "localiser": False,
    }
    manifest = manifest_of(made, closer=closer)

    def extras(folder: Path) -> None:
        save_words(WordExpert(lexicon, weights), folder / WORDS)
        (folder / "README.md").write_text(model_card(manifest, None), encoding="utf-8")

    model = attach_head(backbone.path, head, calibration)
    manifest = write_bundle(
        out, manifest=manifest, classes=(*labels, BACKGROUND), model=model, head=head, extras=extras, force=force
    )
    return NamesTrained(out, manifest, notes, time.perf_counter() - begun)


def _weights(lexicon: Lexicon, labels: int) -> WordWeights:
    """How words count where nothing else does."""
    best = max(entry.odds for entry in lexicon.entries)
    temperature = best / math.log(_SURE / (1 - _SURE) * max(1, labels - 1))
    return WordWeights(
        1.0,
        0.0,
        1.0,
        0.0,
        0.0,
        Calibration(temperature, _THRESHOLD, _SLOPE),
        "Nothing but words is known of these labels.",
    )
