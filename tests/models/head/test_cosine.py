"""The head of a gallery: the same in NumPy, in ONNX and out of its file; thresholds, means and nearest references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from logolens.bundle.format import attach_head, read_head
from logolens.bundle.onnx_graph import strip_head
from logolens.config import HeadSettings
from logolens.errors import BundleError
from logolens.models.calibration import Calibration, margins
from logolens.models.head import CosineHead, Examples, fit_cosine, fit_head
from logolens.models.session import Session

WIDTH = 12


def examples(counts: tuple[int, ...], background: int, seed: int = 0, spread: float = 0.2) -> Examples:
    """Views of labels at places of their own, and backgrounds about another."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(9).normal(size=(len(counts) + 1, WIDTH))
    truth = np.repeat(np.arange(len(counts) + 1), [*counts, background])
    features = (places[truth] + spread * rng.normal(size=(len(truth), WIDTH))).astype(np.float32)
    return Examples(features, truth.astype(np.int64), np.ones(len(truth), np.float32))


@pytest.fixture(scope="module")
def head() -> CosineHead:
    return fit_cosine(examples((3, 9, 1, 5), 30), 5, background=True)


def test_unseen_views_are_told_apart_and_backgrounds_from_all(head: CosineHead) -> None:
    unseen = examples((20, 20, 20, 20), 40, seed=1)
    logits = head.logits(unseen.features)
    shows = unseen.truth < 4
    assert (logits[shows, :-1].argmax(axis=1) == unseen.truth[shows]).mean() > 0.95
    best = margins(logits)
    assert best[shows].min() > np.quantile(best[~shows], 0.9)


def test_references_of_a_label_stand_together_with_length_one(head: CosineHead) -> None:
    assert head.owners.tolist() == [0] * 3 + [1] * 9 + [2] + [3] * 5
    assert np.allclose(np.linalg.norm(head.references, axis=1), 1.0, atol=1e-4)
    assert np.allclose(np.linalg.norm(head.means, axis=1), 1.0, atol=1e-4)


def test_a_label_that_looks_like_many_things_asks_for_more() -> None:
    learned = examples((6, 6), 40)
    vague = learned.features.copy()
    # The second label's references lie half way to what shows nothing.
    vague[6:12] = 0.5 * vague[6:12] + 0.5 * learned.features[learned.truth == 2].mean(axis=0)
    plain = fit_cosine(learned, 3, background=True)
    changed = fit_cosine(Examples(vague, learned.truth, learned.weight), 3, background=True)
    assert changed.thresholds[1] > plain.thresholds[1]


def test_a_second_drawing_of_a_label_is_found_by_its_nearest_reference(head: CosineHead) -> None:
    """A view that equals one of many references scores above one that equals none of them."""
    row = head.references[3:4]
    beside = head.above(row)[0, 1]
    others = np.delete(head.references[3:12], 0, axis=0)
    assert beside > head.beside(row[0], others)


@pytest.mark.parametrize("counts", [(3, 9, 1, 5), (4, 4), (1,), (16, 3, 1, 1, 1, 7, 2)])
@pytest.mark.parametrize("background", [0, 30])
def test_onnx_gives_what_numpy_gives(counts: tuple[int, ...], background: int, small_network: bytes) -> None:
    learned = examples(counts, background)
    if not background:
        learned = Examples(learned.features, learned.truth, learned.weight)
    head = fit_cosine(learned, len(counts) + (background > 0), background=background > 0)
    model = attach_head(small_network, head, Calibration(threshold=0.0 if background else None))
    images = np.random.default_rng(3).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    from logolens.config import Preprocessing

    session = Session(model, Preprocessing(size=64))
    outputs = dict(zip(session.output_names, session.run(images), strict=True))
    (features,) = Session(strip_head(model), Preprocessing(size=64)).run(images)
    assert np.array_equal(features, Session(small_network, Preprocessing(size=64)).run(images)[0])
    assert np.allclose(outputs["logits"], head.logits(features), atol=1e-3)
    assert np.allclose(outputs["probabilities"].sum(axis=1), 1.0, atol=1e-5)


def test_a_head_is_the_same_out_of_its_file(head: CosineHead, tmp_path: Path) -> None:
    from safetensors.numpy import save

    again = read_head(save(head.tensors()), tmp_path)
    assert isinstance(again, CosineHead)
    features = examples((4, 4, 4, 4), 4, seed=5).features
    assert np.array_equal(again.logits(features), head.logits(features))
    assert again.tensors().keys() == head.tensors().keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("owners", np.zeros(18, np.float32)),
        ("references", np.zeros((18, 3), np.float32)),
        ("empty", np.zeros(3, np.float32)),
        ("thresholds", np.zeros(9, np.float32)),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(head: CosineHead, tmp_path: Path, name: str, value: object) -> None:
    from safetensors.numpy import save

    with pytest.raises(BundleError, match=r"head\.safetensors is damaged"):
        read_head(save({**head.tensors(), name: value}), tmp_path)  # type: ignore[dict-item]


def test_fitting_needs_no_torch_and_is_the_same_every_time(head: CosineHead) -> None:
    again = fit_head(examples((3, 9, 1, 5), 30), None, 5, HeadSettings(head="gallery"), background=True)
    assert isinstance(again, CosineHead)
    assert np.array_equal(again.references, head.references)
    assert again.history == ()


def test_without_backgrounds_no_threshold_is_set_and_nothing_is_none() -> None:
    head = fit_cosine(examples((5, 5), 0), 2, background=False)
    assert head.outputs == 2
    assert not head.thresholds.any()
    assert head.logits(examples((5, 5), 0, seed=2).features).shape == (10, 2)
