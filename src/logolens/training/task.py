"""What is learned, from what, and how; the network that looks closer, and what its experts know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from logolens.config import BACKGROUND, Preprocessing, TrainSettings
from logolens.data import Dataset, Split
from logolens.data.composed import referred
from logolens.models.backbones import ExportedBackbone
from logolens.models.cascade import OUTPUTS, Cascade
from logolens.models.ensemble import EnsembleWeights
from logolens.models.experts import first_experts
from logolens.models.session import Session
from logolens.types import Progress

__all__ = ["Context", "Knowledge", "Task", "learn"]


@dataclass(frozen=True)
class Knowledge:
    """What the experts learned.

    Attributes:
        of: by the expert's name; those that learned nothing are not in it.
        notes: what was odd, a sentence each.
    """

    of: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What is learned, from what, and how.

    Attributes:
        dataset: the photos.
        splits: which of them are learned from.
        classes: the head's outputs.
        settings: of the training.
        on_progress: told of the work as it is done.
    """

    dataset: Dataset
    splits: Split
    classes: tuple[str, ...]
    settings: TrainSettings
    on_progress: Progress

    @property
    def background(self) -> bool:
        """Whether the head's last output is the background."""
        return BACKGROUND in self.classes

    def with_network(self, backbone: ExportedBackbone, preprocessing: Preprocessing) -> Context:
        """The same with a network that looks at photos, giving features and maps."""
        session = Session(
            backbone.path,
            preprocessing,
            threads=self.settings.threads,
            outputs=("features", *OUTPUTS),
            device=self.settings.device,
        )
        return Context(**vars(self), pooling=backbone.pooling, session=session)


@dataclass(frozen=True)
class Context(Task):
    """A task, and the network that looks closer at its photos.

    Attributes:
        pooling: how the network pools its maps.
        session: the network, giving features and maps.
    """

    pooling: str
    session: Session

    def cascade(self, weights: EnsembleWeights, knowledge: Mapping[str, Any]) -> Cascade:
        """How far photos are looked into with these weights."""
        return Cascade(
            weights, background=self.background, pooling=self.pooling, knowledge=knowledge, mode=self.settings.views
        )


def learn(dataset: Dataset, splits: Split, settings: TrainSettings, on_progress: Progress) -> Knowledge:
    """What every expert learns from the training and validation photos of one label each."""
    photos = [
        dataset.photos[number]
        for number in (*splits.train, *splits.val)
        if len(dataset.photos[number].labels) == 1 and dataset.photos[number].label in dataset.labels
    ]
    photos = referred(photos)
    found = {expert.name: expert.learn(photos, dataset.labels, settings, on_progress) for expert in first_experts()}
    known = {name: its.knowledge for name, its in found.items() if its.knowledge is not None}
    return Knowledge(known, tuple(note for its in found.values() for note in its.notes))
