"""Where in a view the logo lies: learned from boxes, better than a guess, kept and read back."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logolens.bundle.format import LOCALISER, Bundle, load_bundle, read_head
from logolens.data import load
from logolens.errors import BundleError, ImageError
from logolens.io.views import WHOLE, around
from logolens.models.box_regressor import Localiser, fit_localiser
from logolens.models.cascade import OUTPUTS
from logolens.models.head import Head
from logolens.models.proposals import iou
from logolens.models.session import Job, Session

LABELS = ("acme", "bolt", "crest")


@pytest.fixture(scope="module")
def read(boxed: Any) -> Bundle:
    return load_bundle(boxed.path)


@pytest.fixture(scope="module")
def head(read: Bundle) -> Head:
    assert read.closer is not None
    return read_head(read.closer.head, read.path)


@pytest.fixture(scope="module")
def session(read: Bundle) -> Session:
    return Session(read.model, read.preprocessing, threads=2, outputs=("logits", *OUTPUTS))


@pytest.fixture(scope="module")
def localiser(read: Bundle) -> Localiser:
    assert read.closer is not None
    assert read.closer.localiser is not None
    return Localiser.load(read.closer.localiser, read.path / LOCALISER)


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory, make_boxed: Any) -> Any:
    return load(make_boxed(tmp_path_factory.mktemp("unseen"), count=15, seed=9))


def test_it_finds_drawn_logos_better_than_the_middle_of_the_view_does(
    read: Bundle, head: Head, session: Session, localiser: Localiser, unseen: Any
) -> None:
    rng = np.random.default_rng(4)
    told, middle = [], []
    for photo in unseen.photos:
        (box,) = photo.boxes
        side, size = box.x2 - box.x1, (photo.width, photo.height)
        dx, dy = rng.uniform(-0.4, 0.4, 2) * side
        view = around((box.x1 + dx, box.y1 + dy, box.x2 + dx, box.y2 + dy), size, 2.2)
        x1, y1, x2, y2 = view.box or (0, 0, 1, 1)
        wide, high = (x2 - x1) * size[0], (y2 - y1) * size[1]
        true = (
            max(0.0, (box.x1 - x1 * size[0]) / wide),
            max(0.0, (box.y1 - y1 * size[1]) / high),
            min(1.0, (box.x2 - x1 * size[0]) / wide),
            min(1.0, (box.y2 - y1 * size[1]) / high),
        )
        (outcome,) = session.look([Job(photo.path.read_bytes, (view,))])
        _, last, middle_map = outcome.outputs
        found = localiser.box(last[0], middle_map[0], head, LABELS.index(photo.label), background=True, pooling="rich")
        assert 0 <= found[0] < found[2] <= 1
        assert 0 <= found[1] < found[3] <= 1
        told.append(iou(true, [found])[0])
        middle.append(iou(true, [(0.5 - 0.5 / 2.2, 0.5 - 0.5 / 2.2, 0.5 + 0.5 / 2.2, 0.5 + 0.5 / 2.2)])[0])
    assert np.mean(told) > np.mean(middle) + 0.05


def test_fitting_again_gives_the_same_and_knows_the_size_of_its_parts(
    boxed: Any, read: Bundle, head: Head, session: Session, unseen: Any
) -> None:
    told: list[tuple[str, int, int]] = []
    runs = []
    for threads in (1, 2):
        again = Session(read.model, read.preprocessing, threads=threads, outputs=("logits", *OUTPUTS))
        found = fit_localiser(unseen.photos, head, read.classes, "rich", again, lambda *work: told.append(work))
        assert found is not None
        runs.append(found)
    for name, value in vars(runs[0]).items():
        assert value.dtype == np.float32, name
        assert np.allclose(value, getattr(runs[1], name), atol=1e-4), name
    assert runs[0].last_axes.shape == (32, len(runs[0].last_mean))
    assert runs[0].middle_axes.shape == (8, len(runs[0].middle_mean))
    assert runs[0].weights.shape[1] == 4
    assert told[len(told) // 2 - 1] == ("learning where logos lie", 45, 45)


def test_too_few_boxes_and_photos_without_any_teach_nothing(
    bundle: Any, read: Bundle, head: Head, session: Session, unseen: Any
) -> None:
    silent = partial(fit_localiser, head=head, classes=read.classes, pooling="rich", session=session, on_progress=print)
    assert silent(unseen.photos[:39]) is None
    assert silent(load(bundle.data).photos) is None
    assert silent([]) is None
    # Labels that the head does not know are no boxes to learn from.
    assert fit_localiser(unseen.photos, head, ("other", "none"), "rich", session, print) is None


def test_a_photo_that_changed_or_went_is_named(
    read: Bundle, head: Head, session: Session, tmp_path: Path, make_boxed: Any
) -> None:
    photos = load(make_boxed(tmp_path, count=14, seed=5)).photos
    victim = tmp_path / "bolt-3.png"
    Image.new("RGB", (200, 150)).save(victim)
    for _ in ("changed", "gone"):
        with pytest.raises(ImageError, match=r"bolt-3\.png"):
            fit_localiser(photos, head, read.classes, "rich", session, lambda *_: None)
        victim.unlink(missing_ok=True)


def test_what_is_saved_is_read_back(localiser: Localiser, tmp_path: Path) -> None:
    path = tmp_path / LOCALISER
    localiser.save(path)
    again = Localiser.load(path.read_bytes(), path)
    for name, value in vars(localiser).items():
        assert np.array_equal(value, getattr(again, name)), name


def test_a_damaged_file_is_a_sentence(localiser: Localiser, tmp_path: Path) -> None:
    path = tmp_path / LOCALISER
    localiser.save(path)
    whole = path.read_bytes()
    narrow = dataclasses.replace(localiser, weights=localiser.weights[:, :3])
    narrow.save(path)
    other = dataclasses.replace(localiser, last_axes=localiser.last_axes[:, 1:])
    for data in (b"", b"no tensors", whole[: len(whole) // 2], path.read_bytes()):
        with pytest.raises(BundleError, match=r"localiser\.safetensors is damaged"):
            Localiser.load(data, path)
    other.save(path)
    with pytest.raises(BundleError, match="damaged"):
        Localiser.load(path.read_bytes(), path)
    from safetensors.numpy import save

    with pytest.raises(BundleError, match="damaged"):
        Localiser.load(save({"weights": localiser.weights}), path)


@pytest.mark.parametrize("level", [0.0, 1e4])
def test_maps_of_nothing_give_a_box_inside_the_view(localiser: Localiser, head: Head, level: float) -> None:
    last = np.full((len(localiser.last_mean), 3, 3), level, np.float32)
    middle = np.full((len(localiser.middle_mean), 6, 6), level, np.float32)
    for label in range(3):
        x1, y1, x2, y2 = localiser.box(last, middle, head, label, background=True, pooling="rich")
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1


def test_the_whole_view_is_a_view_too(session: Session, localiser: Localiser, head: Head, unseen: Any) -> None:
    outcomes = session.look(Job(photo.path.read_bytes, (WHOLE,)) for photo in unseen.photos)
    overlaps = []
    for photo, outcome in zip(unseen.photos, outcomes, strict=True):
        _, last, middle = outcome.outputs
        found = localiser.box(last[0], middle[0], head, LABELS.index(photo.label), background=True, pooling="rich")
        (box,) = photo.boxes
        true = (box.x1 / photo.width, box.y1 / photo.height, box.x2 / photo.width, box.y2 / photo.height)
        overlaps.append(iou(true, [found])[0])
    assert np.mean(overlaps) > 0.1
