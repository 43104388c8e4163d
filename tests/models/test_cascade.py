"""How far a photo is looked into: as far as it is needed, and the same in training and in prediction."""

from __future__ import annotations

import dataclasses
import io
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from logolens.bundle.format import load_bundle, read_head
from logolens.io.views import WHOLE
from logolens.models.calibration import label_margins, softmax
from logolens.models.cascade import OUTPUTS, Cascade, Observation
from logolens.models.ensemble import EnsembleWeights, lead
from logolens.models.experts.network import CLOSEST, PROPOSALS
from logolens.models.head import Head
from logolens.models.proposals import iou, tiles
from logolens.models.session import Job, Session

# Margins


def counting(*names: str, **stops: float) -> EnsembleWeights:
    """Weights by which the whole photo and these experts count the same; and the margins at which an answer stands."""
    return EnsembleWeights({"whole": 1.0, **dict.fromkeys(names, 1.0)}, stop_margins=stops)


@pytest.mark.parametrize("labels", [1, 2, 5])
def test_with_a_background_margins_are_what_stands_above_it(labels: int) -> None:
    logits = np.random.default_rng(labels).normal(scale=4, size=(50, labels + 1))
    margins = label_margins(logits, background=True)
    assert margins.shape == (50, labels)
    for label in range(labels):
        pair = softmax(logits[:, [label, labels]])[:, 0]
        assert 1 / (1 + np.exp(-margins[:, label])) == pytest.approx(pair)


@pytest.mark.parametrize("labels", [2, 3, 27])
def test_without_a_background_margins_are_log_odds_against_all_other_labels(labels: int) -> None:
    logits = np.random.default_rng(labels).normal(scale=4, size=(50, labels))
    margins = label_margins(logits, background=False)
    assert margins.shape == (50, labels)
    assert 1 / (1 + np.exp(-margins)) == pytest.approx(softmax(logits), abs=1e-9)
    # At most one label is likelier than not.
    assert ((margins > 0).sum(axis=1) <= 1).all()


@pytest.mark.parametrize("background", [False, True])
def test_margins_keep_the_order_and_do_not_care_for_a_shift(background: bool) -> None:
    logits = np.random.default_rng(0).normal(scale=4, size=(60, 6))
    margins = label_margins(logits, background)
    labels = logits[:, :-1] if background else logits
    assert np.array_equal(margins.argsort(axis=1), labels.argsort(axis=1))
    assert label_margins(logits + 31, background) == pytest.approx(margins)


def test_margins_of_a_single_label_and_of_huge_logits_are_numbers() -> None:
    assert label_margins(np.array([[2.5]]), background=False).tolist() == [[2.5]]
    huge = label_margins(np.array([[1e5, -1e5, 0.0], [0.0, 0.0, 0.0]]), background=False)
    assert np.isfinite(huge).all()
    assert huge[1] == pytest.approx(-np.log(2))


# The way of a photo, on a network that was trained


@dataclasses.dataclass(frozen=True)
class Road:
    """What a photo is looked at with."""

    session: Session
    head: Head
    background: bool
    pooling: str

    def look(self, data: bytes, stack: EnsembleWeights, mode: str = "auto", matcher: Any = None) -> Observation:
        cascade = Cascade(
            stack, background=self.background, pooling=self.pooling, knowledge={"matcher": matcher}, mode=mode
        )
        (outcome,) = self.session.look([Job(lambda: data, steps=lambda picture: cascade.look(picture, self.head))])
        assert outcome.error is None
        return outcome.value


@pytest.fixture(scope="module")
def road(bundle: Any) -> Road:
    read = load_bundle(bundle.path)
    assert read.closer is not None
    session = Session(read.model, read.preprocessing, threads=1, outputs=("logits", *OUTPUTS))
    return Road(session, read_head(read.closer.head, bundle.path), True, read.closer.pooling)


@pytest.fixture(scope="module")
def photos(draw_photo: Any) -> list[bytes]:
    return [
        encode(draw_photo(label, 500 + seed, size))
        for seed, size in enumerate([(128, 128), (300, 200), (160, 240)])
        for label in ("acme", "bolt", "none")
    ]


def encode(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def same(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    return bool(np.abs(one - other).max() < 1e-3)


def test_what_counts_for_nothing_is_not_looked_at(road: Road, photos: list[bytes]) -> None:
    for data in photos:
        seen = road.look(data, EnsembleWeights())
        assert seen.views == (WHOLE,)
        assert seen.matches is None
        assert len(seen.maps) == len(seen.margins) == 1
        assert np.array_equal(seen.evidence["closer"], seen.evidence["whole"])
        assert np.array_equal(seen.evidence["closest"], seen.evidence["whole"])
        assert not seen.evidence["matcher"].any()


@pytest.mark.parametrize(
    "stack",
    [counting("closer"), EnsembleWeights(presence={"whole": 1.0, "closer": 1.0})],
)
def test_closer_views_are_few_apart_and_inside_and_the_best_of_them_counts(
    road: Road, photos: list[bytes], stack: EnsembleWeights
) -> None:
    for data in photos:
        seen = road.look(data, stack)
        assert seen.views[0] is WHOLE
        closer = [view.box for view in seen.views[1:] if view.box is not None]
        assert 1 <= len(closer) == len(seen.views) - 1 <= PROPOSALS
        for place, box in enumerate(closer):
            assert min(box) >= 0
            assert max(box) <= 1 + 1e-12
            others = closer[:place] + closer[place + 1 :]
            assert not others or iou(box, others).max() < 0.5
        assert len(seen.maps) == len(seen.margins) == len(seen.views)
        assert np.array_equal(seen.evidence["closer"][0], seen.margins[1:].max(axis=0))
        assert np.array_equal(seen.evidence["whole"][0], seen.margins[0])


def test_the_closest_views_lie_within_closer_ones_and_are_looked_at_only_in_doubt(
    road: Road, photos: list[bytes]
) -> None:
    below = 0
    for data in photos:
        first, seen = (
            road.look(data, counting("closer")),
            road.look(data, counting("closer", "closest")),
        )
        count = len(first.views)
        assert seen.views[:count] == first.views
        within = [view.box for view in seen.views[count:] if view.box is not None]
        assert len(within) == len(seen.views) - count <= CLOSEST
        assert len(seen.maps) == len(seen.margins) == len(seen.views)
        assert same(seen.evidence["closer"], first.evidence["closer"])
        if not within:
            assert np.array_equal(seen.evidence["closest"], seen.evidence["closer"])
            continue
        below += 1
        assert np.array_equal(seen.evidence["closest"][0], seen.margins[count:].max(axis=0))
        parents = [view.box for view in first.views[1:] if view.box is not None]
        for x1, y1, x2, y2 in within:
            around = [(a, b, c, d) for a, b, c, d in parents if a <= x1 and b <= y1 and x2 <= c and y2 <= d]
            assert around
            assert min((x2 - x1) / (c - a) for a, _, c, _ in around) < 0.8
        clear = float(lead((seen.evidence["whole"] + seen.evidence["closer"]) / 2)[0])
        stack = counting("closer", "closest", closer=clear - 0.01)
        early = road.look(data, stack)
        assert early.views == first.views
        assert same(early.evidence["closest"], stack.with_early_stops(seen.evidence)["closest"])
    assert below > len(photos) / 2


def test_tiles_look_at_every_tile_even_where_the_whole_photo_is_clear(road: Road, photos: list[bytes]) -> None:
    stack = counting("closer", whole=-1e9, closer=-1e9)
    for data in photos[:4]:
        with Image.open(io.BytesIO(data)) as image:
            wanted = tiles(image.size)
        assert road.look(data, stack, "tiles").views == (WHOLE, *wanted)
        assert road.look(data, stack).views == (WHOLE,)


def test_evidence_with_early_answers_is_what_training_took_it_for(road: Road, photos: list[bytes]) -> None:
    """`EnsembleWeights.with_early_stops` says of full evidence what the cascade finds when it stops early."""
    full = [road.look(data, counting("closer")).evidence for data in photos]
    leads = np.array([lead(evidence["whole"])[0] for evidence in full])
    stack = counting("closer", whole=float(np.median(leads)) + 1e-3)
    early = 0
    for data, evidence in zip(photos, full, strict=True):
        seen, expected = road.look(data, stack), stack.with_early_stops(evidence)
        early += len(seen.views) == 1
        assert same(seen.evidence["whole"], expected["whole"])
        assert same(seen.evidence["closer"], expected["closer"])
    assert 0 < early < len(photos)


def test_the_matcher_is_asked_only_where_closer_views_leave_doubt(road: Road, photos: list[bytes]) -> None:
    from logolens.config import MatcherSettings
    from logolens.models.matcher import Matcher, Reference, describe

    settings = MatcherSettings(long_side=300)
    with Image.open(io.BytesIO(photos[4])) as image:
        keypoints = describe(image.convert("RGB"), settings)
        size = image.size
    assert len(keypoints) >= 4
    reference = Reference("bolt", "0" * 64, "bolt.png", keypoints, None, (0, 0, *size), b"")
    matcher = Matcher([reference], settings, labels=("acme", "bolt", "crest"))
    asked = road.look(photos[4], counting("closer", "matcher"), matcher=matcher)
    assert asked.matches is not None
    assert asked.evidence["matcher"][0, 1] > 0
    assert asked.evidence["matcher"][0, [0, 2]].tolist() == [0.0, 0.0]
    both = lead((asked.evidence["whole"] + asked.evidence["closer"]) / 2)[0]
    for stack in (
        counting("closer", "matcher", closer=float(both) - 0.01),
        counting("closer", "matcher", whole=float(lead(asked.evidence["whole"])[0]) - 0.01),
        counting("closer"),
    ):
        seen = road.look(photos[4], stack, matcher=matcher)
        assert seen.matches is None
        assert same(
            seen.evidence["matcher"],
            stack.with_early_stops(asked.evidence)["matcher"] * bool(stack.labels.get("matcher", 0.0)),
        )
    unsure = counting("closer", "matcher", closer=float(both) + 0.01)
    assert road.look(photos[4], unsure, matcher=matcher).matches is not None


def test_windows_of_its_maps_can_end_a_photos_way_and_do_nothing_else(road: Road, photos: list[bytes]) -> None:
    from logolens.models.ensemble import promise

    for data in photos:
        full = road.look(data, counting("closer", "windows"))
        assert full.evidence.asked == ("whole", "windows", "closer")
        promised = float(promise("windows", full.evidence)[0])
        both = (full.evidence["whole"] + full.evidence["windows"]) / 2
        assert promised == pytest.approx(float(both.max()))
        for floor, views in ((promised - 0.01, len(full.views)), (promised + 0.01, 1)):
            weights = dataclasses.replace(counting("closer"), none_floors={"windows": floor})
            seen = road.look(data, weights)
            assert len(seen.views) == views
            assert same(seen.evidence["closer"], weights.with_early_stops(full.evidence)["closer"])
            assert (float(weights.score(seen.evidence)[0]) < -20) == (views == 1)
        # Without a floor nobody needs them.
        assert "windows" not in road.look(data, counting("closer")).evidence.asked


def test_its_own_references_do_not_count_for_a_photo(road: Road, photos: list[bytes]) -> None:
    from logolens.config import MatcherSettings
    from logolens.models.matcher import Matcher, Reference, describe

    settings = MatcherSettings(long_side=300)
    with Image.open(io.BytesIO(photos[4])) as image:
        reference = Reference("bolt", "own", "a", describe(image.convert("RGB"), settings), None, (0, 0, *image.size))
    matcher = Matcher([reference], settings, labels=("acme", "bolt", "crest"))
    cascade = Cascade(
        counting("matcher"),
        background=True,
        pooling=road.pooling,
        knowledge={"matcher": matcher},
    )
    found = []
    gone: tuple[set[str], ...] = (set(), {"other"}, {"own"})
    for without in gone:
        job = Job(lambda: photos[4], steps=partial(cascade.look, head=road.head, without=without))
        (outcome,) = road.session.look([job])
        found.append(float(outcome.value.evidence["matcher"].max()))
    assert found[0] == found[1] > 0
    assert found[2] == 0


def test_logits_and_features_say_the_same(road: Road, bundle: Any, photos: list[bytes]) -> None:
    """Training asks the head about features, prediction asks the joined network."""
    from logolens.models.backbones import prepare

    backbone = prepare("efficientnet_lite0", size=96)
    session = Session(backbone.path, road.session.preprocessing, threads=1, outputs=("features", *OUTPUTS))
    other = dataclasses.replace(road, session=session)
    for data in photos:
        one, two = (
            road.look(data, counting("closer")),
            other.look(data, counting("closer")),
        )
        assert one.views == two.views
        assert same(one.margins, two.margins)


@pytest.mark.parametrize("size", [(1, 1), (10, 10), (20, 24)])
@pytest.mark.parametrize("mode", ["auto", "tiles"])
def test_a_photo_too_small_for_closer_views_is_looked_at_as_a_whole(
    road: Road, size: tuple[int, int], mode: str
) -> None:
    seen = road.look(encode(Image.new("RGB", size, "red")), counting("closer"), mode)
    assert seen.views == (WHOLE,)
    assert np.array_equal(seen.evidence["closer"], seen.evidence["whole"])
