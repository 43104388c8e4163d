"""The parts of fine-tuning: blocks, the cut, what an epoch holds, and how views are varied."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import needs_training

from logolens.config import BACKGROUND, AugmentSettings, Preprocessing
from logolens.data import Dataset, load
from logolens.errors import ImageError
from logolens.io.views import WHOLE, View, cut
from logolens.training.finetune.augment import augment
from logolens.training.finetune.dataloader import Held, Photos, Plan, batches, held_batches

STRONG = AugmentSettings(flip=0.5, grey=0.3, invert=0.3, blur=0.5, jpeg=0.5)
RANDOM = np.random.default_rng(3).integers(0, 256, (48, 48, 3), dtype=np.uint8)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_same_state_gives_the_same_view() -> None:
    for number in range(20):
        one, two = (augment(RANDOM, STRONG, rng(1, number)) for _ in range(2))
        assert np.array_equal(one, two)
    assert not np.array_equal(augment(RANDOM, STRONG, rng(1)), augment(RANDOM, STRONG, rng(2)))


def test_no_strength_changes_nothing() -> None:
    assert np.array_equal(augment(RANDOM, AugmentSettings.parse("none"), rng(0)), RANDOM)


@pytest.mark.parametrize("name", ["rotation", "perspective", "colour", "grey", "invert", "blur", "jpeg", "flip"])
def test_each_trait_works_alone(name: str) -> None:
    strength = {"rotation": 15.0, "perspective": 0.2, "colour": 0.4}.get(name, 1.0)
    only = AugmentSettings(**{**vars(AugmentSettings.parse("none")), name: strength})
    views = [augment(RANDOM, only, rng(number)) for number in range(4)]
    assert all(view.shape == RANDOM.shape and view.dtype == np.uint8 for view in views)
    assert any(not np.array_equal(view, RANDOM) for view in views)


def test_flip_invert_and_grey_are_what_they_say() -> None:
    none = vars(AugmentSettings.parse("none"))
    assert np.array_equal(augment(RANDOM, AugmentSettings(**{**none, "flip": 1.0}), rng(0)), RANDOM[:, ::-1])
    assert np.array_equal(augment(RANDOM, AugmentSettings(**{**none, "invert": 1.0}), rng(0)), 255 - RANDOM)
    grey = augment(RANDOM, AugmentSettings(**{**none, "grey": 1.0}), rng(0))
    assert np.array_equal(grey[..., 0], grey[..., 1])


def test_a_turned_view_keeps_its_middle() -> None:
    square = np.full((101, 101, 3), 20, np.uint8)
    square[48:53, 48:53] = 250
    turned = augment(square, AugmentSettings(**{**vars(AugmentSettings.parse("none")), "rotation": 45.0}), rng(5))
    assert turned[50, 50, 0] > 200
    assert turned[5, 50, 0] < 60


def test_colour_leaves_greys_grey() -> None:
    grey = np.repeat(np.linspace(40, 200, 48).astype(np.uint8)[None, :, None], 48, 0).repeat(3, 2)
    varied = augment(grey, AugmentSettings(**{**vars(AugmentSettings.parse("none")), "colour": 0.3}), rng(1))
    assert int(np.ptp(varied.astype(int), axis=2).max()) <= 2
    assert not np.array_equal(varied, grey)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, make_photos: Any) -> Dataset:
    """Three labels with a box in each photo, one photo of two labels, and photos without a logo."""
    folder = make_photos(tmp_path_factory.mktemp("data"), count=6, none=5, size=(96, 80))
    rows = ["path,label,x1,y1,x2,y2"]
    for path in sorted(folder.glob("*/*")):
        box = ",,," if path.parent.name == BACKGROUND else "60,40,90,70"
        rows.append(f"{path.relative_to(folder)},{path.parent.name},{box}")
    rows.append("acme/acme-1.jpg,bolt,2,2,20,20")
    (folder / "list.csv").write_text("\n".join(rows))
    return load(folder / "list.csv")


def plan_of(dataset: Dataset, **more: Any) -> Plan:
    return Plan(dataset, range(len(dataset)), [*dataset.labels, BACKGROUND], **more)


def test_an_epoch_holds_every_box_once_and_its_shares(dataset: Dataset) -> None:
    plan = plan_of(dataset)
    epoch = plan.epoch(1)
    boxes = [(source.photo, source.box) for source in epoch if source.box is not None]
    assert len(boxes) == len(set(boxes)) == 19
    assert len(epoch) == len(plan)
    share = sum(source.background for source in epoch) / len(epoch)
    assert 0.15 < share < 0.25
    wholes = [source for source in epoch if source.box is None and not source.background]
    assert 0.12 < len(wholes) / len(epoch) < 0.25
    # A photo of two labels has no one answer as a whole.
    two = next(n for n, photo in enumerate(dataset.photos) if len(photo.labels) == 2)
    assert all(source.photo != two for source in wholes)


def test_epochs_differ_and_repeat(dataset: Dataset) -> None:
    plan = plan_of(dataset, seed=4)
    assert plan.epoch(1) == plan_of(dataset, seed=4).epoch(1)
    assert plan.epoch(1) != plan.epoch(2)
    assert plan.epoch(1) != plan_of(dataset, seed=5).epoch(1)


def test_without_boxes_or_background(dataset: Dataset) -> None:
    plan = Plan(dataset, range(len(dataset)), dataset.labels, boxes=False)
    epoch = plan.epoch(1)
    assert not any(source.background or source.box is not None for source in epoch)
    assert len(epoch) == 17  # The photo of two labels is left out.


def test_rare_labels_weigh_more(dataset: Dataset) -> None:
    plan = plan_of(dataset)
    bolt, crest = (dataset.labels.index(name) for name in ("bolt", "crest"))
    assert plan.weight[bolt] < plan.weight[crest]
    assert plan.weight[-1] == 1.0
    assert set(plan_of(dataset, balanced=False).weight) == {1.0}


def batches_of(dataset: Dataset, workers: int, memory: int = 1 << 29) -> list[Any]:
    with ThreadPoolExecutor(workers) as pool:
        road = Preprocessing(size=32)
        photos = Photos(dataset, 32, memory=memory)
        plan = plan_of(dataset)
        return list(batches(plan, photos, 2, 7, road, STRONG, lambda squares: (squares,), pool, ahead=3))


def test_batches_do_not_depend_on_threads_or_memory(dataset: Dataset) -> None:
    one, two = batches_of(dataset, 1), batches_of(dataset, 3, memory=0)
    assert [len(batch.truth) for batch in one] == [7] * (len(plan_of(dataset)) // 7) + [len(plan_of(dataset)) % 7]
    for left, right in zip(one, two, strict=True):
        assert np.array_equal(left.inputs[0], right.inputs[0])
        assert np.array_equal(left.truth, right.truth)
        assert left.inputs[0].dtype == np.uint8


def test_judged_views_are_cut_as_in_prediction(dataset: Dataset) -> None:
    held = [Held(0, WHOLE, 0), Held(3, View((0.1, 0.2, 0.7, 0.9)), 1)]
    road = Preprocessing(size=32)
    with ThreadPoolExecutor(2) as pool:
        (batch,) = held_batches(dataset, held, 8, road, lambda squares: (squares,), pool)
    for row, one in zip(batch.inputs[0], held, strict=True):
        assert np.array_equal(row, cut(dataset.photos[one.photo].path.read_bytes(), [one.view], road)[0])


def test_a_photo_that_changed_is_named(tmp_path: Path, make_photos: Any) -> None:
    folder = make_photos(tmp_path / "photos", count=3)
    changed = load(folder)
    path = changed.photos[0].path
    path.write_bytes(changed.photos[1].path.read_bytes())
    with pytest.raises(ImageError, match=f"{path.name}.*changed"):
        Photos(changed, 32).get(0)


BLOCKS = {
    "resnet18": (9, "layer4.1"),
    "alexnet": (3, "features.6"),
    "vgg11": (5, "features.16"),
    "mobilenet_v2": (19, "features.18"),
    "efficientnet_lite0": (18, "conv_head"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_hold_the_whole_network(name: str) -> None:
    needs_training()
    from networks import random_backbone

    from logolens.models.backbones import find
    from logolens.training.finetune.blocks import blocks, unfreeze

    network = random_backbone(find(name))
    found = blocks(network, 64)
    assert (len(found), found[-1].name) == BLOCKS[name]
    assert sum(block.parameters for block in found) == find(name).parameters
    modules = [module for block in found for module in block.modules]
    assert len(modules) == len(set(modules))
    opened = unfreeze(network, found, 2)
    assert opened == found[-2:]
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == sum(b.parameters for b in opened)


@pytest.mark.parametrize(
    ("name", "last", "pooling"),
    [("resnet18", 1, "rich"), ("resnet18", 4, "rich"), ("mobilenet_v2", 7, "avg"), ("efficientnet_lite0", 5, "rich")],
)
def test_the_halves_give_what_the_whole_gives(name: str, last: int, pooling: str) -> None:
    needs_training()
    import torch
    from networks import random_backbone

    from logolens.models.backbones import find
    from logolens.training.finetune.blocks import blocks, unfreeze
    from logolens.training.finetune.partial_freeze import halve

    network = random_backbone(find(name), pooling=pooling)
    found = blocks(network, 64)
    trained = unfreeze(network, found, last)
    halves = halve(network, found, trained, Preprocessing(size=64))
    assert halves.cut
    squares = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    with torch.no_grad():
        whole = network(torch.from_numpy(squares)).numpy()
        parts = halves.back(*(torch.from_numpy(part) for part in halves.front(squares))).numpy()
    np.testing.assert_allclose(parts, whole, atol=2e-4)
    # They share what is trained, so the whole network follows its back.
    shared = {id(value) for value in network.parameters() if value.requires_grad}
    assert {id(value) for value in halves.back.parameters() if value.requires_grad} == shared


def test_a_head_keeps_its_answers_as_a_module() -> None:
    needs_training()
    import torch

    from logolens.models.head import Head
    from logolens.training.finetune.head_module import DenseHead

    draw = np.random.default_rng(0)
    shapes = ((12, 5), (5, 3))
    layers = tuple(
        (draw.normal(size=shape).astype(np.float32), draw.normal(size=shape[1]).astype(np.float32)) for shape in shapes
    )
    head = Head(layers)
    module = DenseHead(head, 3.7, 0.5).eval()
    features = draw.normal(size=(6, 12)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(features)).numpy(), head.logits(features), atol=1e-4)
    np.testing.assert_allclose(module.to_head().logits(features), head.logits(features), atol=1e-4)
