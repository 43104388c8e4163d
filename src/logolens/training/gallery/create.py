"""A gallery of nothing: a backbone, the projection that backgrounds and the first references give, and no labels yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from logolens.bundle.format import Bundle
from logolens.bundle.manifest import Trained, manifest_of
from logolens.config import GallerySettings, Preprocessing, TrainSettings
from logolens.data import Dataset, Split
from logolens.data.builtin_backgrounds import builtin_photos
from logolens.io.views import WHOLE, inner_view
from logolens.models.backbones import ExportedBackbone, prepare
from logolens.models.calibration import Calibration
from logolens.models.features import FeatureCache, Sight, extract
from logolens.models.head import CosineHead, projection, unit
from logolens.models.session import Session
from logolens.training.gallery.knowledge import UNMEASURED, first_knowledge
from logolens.training.samples import INNER_VIEWS
from logolens.types import Progress

__all__ = ["Begun", "begin", "begun_bundle", "first_head"]

Features = npt.NDArray[np.float32]

_VIEWS_EACH = 2
"""Views for each dimension of the projection: thresholds come from references held against one another."""

_EACH = 12
"""Built-in backgrounds of each family: more gave no better projection."""


@dataclass(frozen=True)
class Begun:
    """What a gallery is begun on.

    Attributes:
        backbone: the exported network.
        preprocessing: how views become its input.
        session: it, giving ``features``.
        backgrounds: features of the built-in backgrounds.
    """

    backbone: ExportedBackbone
    preprocessing: Preprocessing
    session: Session
    backgrounds: Features


def begin(settings: GallerySettings, on_progress: Progress) -> Begun:
    """Prepare the backbone and look at the built-in backgrounds, which the cache remembers.

    Raises:
        WeightsError: the backbone's weights cannot be had.
        MissingExtraError: the extra ``train`` is not installed.
    """
    on_progress("preparing the backbone", 0, 1)
    backbone = prepare(settings.backbone, size=settings.size, weights=settings.weights, pooling=TrainSettings.pooling)
    on_progress("preparing the backbone", 1, 1)
    preprocessing = Preprocessing(size=backbone.size, resize=TrainSettings.resize, mean=backbone.mean, std=backbone.std)
    session = Session(backbone.path, preprocessing, threads=settings.threads, outputs=("features",))
    sights = []
    for photo in builtin_photos(_EACH):
        rng = np.random.default_rng(int(photo.sha256[:16], 16))
        inner = (inner_view([], (photo.width, photo.height), rng) for _ in range(INNER_VIEWS))
        sights.append(Sight(photo.path, photo.sha256, (WHOLE, *inner)))
    with FeatureCache() as cache:
        features = extract(
            sights, session, backbone.sha256, cache=cache,
            progress=lambda done, total: on_progress("looking at backgrounds", done, total),
        )  # fmt: skip
    return Begun(backbone, preprocessing, session, features)


def first_head(
    begun: Begun, references: Sequence[Features], labels: Sequence[int], backgrounds: Sequence[Features], *, drawn: bool
) -> CosineHead:
    """The head of a new gallery. Its projection is learned from backgrounds alone, so that references can be held against
    one another.

    Args:
        begun: what it stands on.
        references: features of each reference, a row a view.
        labels: the position of each one's label, ascending.
        backgrounds: features of photos, and of regions of photos, that show no label.
        drawn: let the built-in backgrounds count for thresholds; else they serve the projection alone.
    """
    seen = np.concatenate([begun.backgrounds, *backgrounds])
    weights, bias = projection(seen, np.zeros(len(seen), np.int64), _VIEWS_EACH)
    empty = unit(seen if drawn else np.concatenate(backgrounds), weights, bias)
    mean = empty.mean(axis=0)
    return CosineHead(
        ((weights, bias),),
        references=unit(np.concatenate(references), weights, bias),
        owners=np.repeat(np.array(labels, dtype=np.int64), [len(rows) for rows in references]),
        thresholds=np.zeros(max(labels) + 1, np.float32),
        empty=mean / max(float(np.linalg.norm(mean)), 1e-6),
        backgrounds=empty,
    )


def begun_bundle(path: Path, begun: Begun, settings: GallerySettings, head: CosineHead) -> Bundle:
    """What a new gallery is written from: a bundle that lies nowhere yet."""
    recorded = {
        **asdict(settings),
        "views": TrainSettings.views,
        "pooling": begun.backbone.pooling,
        "resize": TrainSettings.resize,
        "head": "gallery",
    }
    calibration = Calibration(threshold=0.0)
    made = Trained(
        command="gallery",
        data=path,
        dataset=Dataset.of("references", ()),
        splits=Split((), (), ()),
        settings=recorded,
        backbone=begun.backbone,
        preprocessing=begun.preprocessing,
        background=True,
        head={},
        calibration=calibration,
        figures={"val": None, "test": None},
    )
    closer = {
        "weights": UNMEASURED.to_json(),
        "calibration": asdict(calibration),
        "held_out": 0,
        "experts": [],
        "localiser": False,
        **first_knowledge(settings),
    }
    manifest = manifest_of(made, closer=closer, gallery={"begun": "references"})
    model = begun.backbone.path.read_bytes()
    return Bundle(path, manifest, (), begun.preprocessing, calibration, None, model)
