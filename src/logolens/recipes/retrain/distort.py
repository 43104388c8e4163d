"""Features of randomly distorted training photos: flipped, cropped, scaled, brightened, as the classic script does it.

The classic script distorts anew at every step, and so runs the network for each photo of each batch. Here each photo has
a few distorted copies, drawn once from its content and the seed; their features are cached like any others.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ImageOps

from logolens.config import RetrainSettings
from logolens.data import Photo
from logolens.errors import ImageError
from logolens.io.images import open_rgb, read_known
from logolens.io.views import View
from logolens.models.features import FeatureCache, Key, feature_key
from logolens.models.session import Job, Session

__all__ = ["COPIES", "Distortion", "distorted_features", "distortions", "wants_distortions"]

COPIES = 8
"""Distorted copies of each training photo."""


@dataclass(frozen=True)
class Distortion:
    """One distorted copy of a photo.

    Attributes:
        view: the part of the photo, after the flip, that is left.
        flip: whether left and right change places.
        brightness: what every pixel is multiplied by.
    """

    view: View
    flip: bool
    brightness: float

    def apply(self, data: bytes, side: int) -> bytes:
        """The flipped and brightened photo as the bytes of an image file; the view is still to be cut out.

        Args:
            data: the photo's file.
            side: how many pixels are needed on the view's sides.
        """
        x1, y1, x2, y2 = self.view.box or (0.0, 0.0, 1.0, 1.0)
        image = open_rgb(data, shrink_to=int(np.ceil(side / min(x2 - x1, y2 - y1))))
        if self.flip:
            image = ImageOps.mirror(image)
        if self.brightness != 1.0:
            image = image.point([min(255, round(value * self.brightness)) for value in range(256)] * 3)
        out = io.BytesIO()
        image.save(out, "PPM")
        return out.getvalue()


def wants_distortions(settings: RetrainSettings) -> bool:
    """Whether any distortion is asked for."""
    return bool(settings.flip_left_right or settings.random_crop or settings.random_scale or settings.random_brightness)


def distortions(photo: str, settings: RetrainSettings, count: int = COPIES) -> list[Distortion]:
    """The distorted copies of a photo, always the same ones for the same content, seed and percentages.

    Args:
        photo: the SHA-256 of its bytes.
        settings: the percentages, and the seed.
        count: how many.
    """
    random = np.random.default_rng([settings.seed, int(photo[:16], 16)])
    flips = random.permutation(count) < count / 2
    copies = []
    for flip in flips:
        # The margin is that share of what is left, and the scale grows on top of it, as in the classic script.
        share = 1.0 / ((1.0 + settings.random_crop / 100.0) * random.uniform(1.0, 1.0 + settings.random_scale / 100.0))
        x, y = random.uniform(0.0, 1.0 - share, 2)
        spread = settings.random_brightness / 100.0
        brightness = float(random.uniform(1.0 - spread, 1.0 + spread))
        view = View((float(x), float(y), float(x + share), float(y + share))) if share < 1.0 else View()
        copies.append(Distortion(view, bool(flip) and settings.flip_left_right, brightness))
    return copies


def distorted_features(
    photos: Sequence[Photo],
    settings: RetrainSettings,
    session: Session,
    backbone: str,
    *,
    cache: FeatureCache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """The features of every photo's distorted copies.

    Args:
        photos: what is distorted.
        settings: how.
        session: the exported backbone on ONNX Runtime.
        backbone: the SHA-256 of the exported backbone.
        cache: where known features are taken from, and new ones go.
        progress: called with (copies done, copies in all).

    Returns:
        float32 of shape (photos x COPIES, width), the copies of a photo one after the other.

    Raises:
        ImageError: a photo cannot be read, or has changed since the data set was read.
    """
    jobs = [(photo, copy) for photo in photos for copy in distortions(photo.sha256, settings)]
    keys = [_key(photo, copy, session, backbone) for photo, copy in jobs]
    known = cache.get(list(dict.fromkeys(keys))) if cache else {}
    todo = {key: job for key, job in zip(keys, jobs, strict=True) if key not in known}

    def views() -> Iterator[Job]:
        for photo, copy in todo.values():
            yield Job(_reader(photo, copy, session), (copy.view,))

    fresh: list[tuple[Key, npt.NDArray[np.float32]]] = []
    try:
        for (key, (photo, _)), outcome in zip(todo.items(), session.look(views()), strict=True):
            if outcome.error:
                raise ImageError(f"{photo.path}: {outcome.error.removeprefix(f'{photo.path}: ')}")
            known[key] = outcome.outputs[0][0]
            fresh.append((key, known[key]))
            if progress:
                progress(len(known), len(keys))
    finally:
        if cache and fresh:
            cache.put(fresh)
    return np.stack([known[key] for key in keys])


def _key(photo: Photo, copy: Distortion, session: Session, backbone: str) -> Key:
    plain = feature_key(photo.sha256, copy.view, session.preprocessing, backbone)
    return hashlib.sha256(plain + f"flip {copy.flip} brightness {copy.brightness!r}".encode()).digest()


def _reader(photo: Photo, copy: Distortion, session: Session) -> Callable[[], bytes]:
    def read() -> bytes:
        return copy.apply(read_known(photo.path, photo.sha256, session.limits), session.preprocessing.size)

    return read
