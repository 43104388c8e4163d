"""Where to look closer: squares all over a photo, windows of its map, and the best of them apart from one another."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from logolens.config import Preprocessing
from logolens.io.views import View
from logolens.models.proposals import SCALES, iou, nms, roi_pool, tiles, windows
from logolens.models.session import Session

SIZES = [(500, 500), (500, 333), (333, 500), (640, 480), (101, 99), (1000, 30), (30, 1000), (47, 4000), (70, 68)]
CELLS = [(7, 7), (3, 3), (10, 4), (1, 1), (1, 9), (2, 2)]


def edges_of(view: View) -> tuple[float, float, float, float]:
    assert view.box is not None
    return view.box


def sides(view: View, size: tuple[int, int]) -> tuple[float, float]:
    x1, y1, x2, y2 = edges_of(view)
    return (x2 - x1) * size[0], (y2 - y1) * size[1]


def is_inside(view: View) -> bool:
    x1, y1, x2, y2 = edges_of(view)
    return 0.0 <= x1 < x2 <= 1.0 + 1e-12 and 0.0 <= y1 < y2 <= 1.0 + 1e-12


# Tiles


@pytest.mark.parametrize("size", SIZES)
def test_tiles_lie_inside_the_photo_and_are_square(size: tuple[int, int]) -> None:
    found = tiles(size)
    assert found
    for view in found:
        assert is_inside(view)
        wide, high = sides(view, size)
        assert wide == pytest.approx(high)
        assert any(wide == pytest.approx(scale * min(size)) for scale in SCALES)


@pytest.mark.parametrize("size", SIZES)
def test_tiles_leave_no_point_of_the_photo_out(size: tuple[int, int]) -> None:
    boxes = np.array([edges_of(view) for view in tiles(size)])
    for x in np.linspace(0.001, 0.999, 61):
        for y in np.linspace(0.001, 0.999, 13):
            inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
            assert inside.any(), (x, y)


def test_a_small_logo_lies_well_inside_some_tile_wherever_it_is() -> None:
    """Neighbours overlap by half, so that what is half a tile wide is never cut by all of them."""
    size, rng = (500, 333), np.random.default_rng(0)
    side = 0.17 * 333
    boxes = np.array([edges_of(view) for view in tiles(size, (0.36,))]) * [*size, *size]
    for _ in range(300):
        x, y = rng.uniform(0, size[0] - side), rng.uniform(0, size[1] - side)
        whole = (boxes[:, :2] <= [x, y]).all(axis=1) & (boxes[:, 2:] >= [x + side, y + side]).all(axis=1)
        assert whole.any(), (x, y)


def test_a_square_photo_is_not_its_own_tile() -> None:
    assert all(max(sides(view, (400, 400))) < 300 for view in tiles((400, 400)))
    assert any(max(sides(view, (600, 400))) == pytest.approx(400) for view in tiles((600, 400)))


@pytest.mark.parametrize("size", [(1, 1), (10, 10), (23, 23), (24, 24), (5000, 12), (3, 800)])
def test_a_photo_too_small_for_detail_has_neither_tiles_nor_windows(size: tuple[int, int]) -> None:
    assert tiles(size) == []
    places, views = windows((7, 7), size)
    assert places.shape == (0, 4)
    assert views == []


def test_a_long_strip_has_a_bounded_number_of_tiles_and_its_largest_still_cover_it() -> None:
    size = (20_000, 50)
    found = tiles(size)
    assert 100 < len(found) <= 2 * 410
    largest = sorted(edges_of(view) for view in found if sides(view, size)[1] == pytest.approx(50))
    assert largest[0][0] == 0.0
    assert largest[-1][2] == pytest.approx(1.0)
    for one, other in itertools.pairwise(largest):
        assert other[0] <= one[2] + 1e-9


# Windows


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cells", CELLS)
def test_windows_lie_inside_the_map_and_their_views_inside_the_photo(
    size: tuple[int, int], cells: tuple[int, int]
) -> None:
    places, views = windows(cells, size)
    assert len(places) == len(views) > 0
    assert (places[:, :2] >= 0).all()
    assert (places[:, 2] <= cells[1]).all()
    assert (places[:, 3] <= cells[0]).all()
    assert (places[:, 2:] > places[:, :2]).all()
    for view in views:
        assert is_inside(view)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cells", CELLS)
def test_the_view_of_a_window_shows_its_middle(size: tuple[int, int], cells: tuple[int, int]) -> None:
    places, views = windows(cells, size)
    for (left, top, right, bottom), view in zip(places.tolist(), views, strict=True):
        x, y = (left + right) / 2 / cells[1], (top + bottom) / 2 / cells[0]
        x1, y1, x2, y2 = edges_of(view)
        assert x1 - 1e-9 <= x <= x2 + 1e-9
        assert y1 - 1e-9 <= y <= y2 + 1e-9


def test_the_views_of_an_ordinary_photo_are_squares_of_the_three_sizes() -> None:
    _, views = windows((7, 7), (500, 400))
    sizes = {round(max(sides(view, (500, 400)))) for view in views}
    assert sizes == {400, 240, 144}
    for view in views:
        wide, high = sides(view, (500, 400))
        assert wide == pytest.approx(high)


def test_the_views_of_a_strip_are_as_long_as_its_windows() -> None:
    size = (4000, 47)
    places, views = windows((7, 7), size)
    for (left, _, right, _), view in zip(places.tolist(), views, strict=True):
        assert sides(view, size)[0] >= 0.79 * (right - left) / 7 * 4000


# Pooling


def test_a_window_of_the_whole_map_has_the_networks_own_features() -> None:
    pytest.importorskip("torch")
    from conftest import needs_training

    needs_training()
    from logolens.models.backbones import prepare

    backbone = prepare("efficientnet_lite0", size=96)
    session = Session(backbone.path, Preprocessing(size=96), threads=1)
    squares = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    squares[1] = 0
    outputs = dict(zip(session.output_names, session.run(squares), strict=True))
    for features, last, middle in zip(outputs["features"], outputs["last"], outputs["middle"], strict=True):
        every = np.array([[0, 0, last.shape[2], last.shape[1]]])
        assert np.abs(roi_pool(last, middle, every, backbone.pooling)[0] - features).max() < 1e-4


def test_a_window_knows_only_its_own_cells_and_those_of_the_middle_map_behind_them() -> None:
    rng = np.random.default_rng(1)
    last, middle = rng.normal(size=(5, 3, 3)).astype(np.float32), rng.normal(size=(4, 6, 6)).astype(np.float32)
    place = np.array([[1, 0, 3, 2]])
    before = roi_pool(last, middle, place, "rich")
    assert before.shape == (1, 2 * 5 + 2 * 4)
    outside = last.copy()
    outside[:, 2] += 9
    outside[:, :, 0] -= 9
    behind = middle.copy()
    behind[:, 4:] += 9
    behind[:, :, :2] -= 9
    assert np.array_equal(roi_pool(outside, behind, place, "rich"), before)
    outside[:, 1, 1] += 9
    assert not np.array_equal(roi_pool(outside, behind, place, "rich"), before)


def test_each_part_of_the_features_has_length_one_and_the_classic_recipe_is_the_mean() -> None:
    rng = np.random.default_rng(2)
    last, middle = rng.normal(size=(5, 4, 3)).astype(np.float32), rng.normal(size=(4, 7, 6)).astype(np.float32)
    places = np.array([[0, 0, 3, 4], [0, 0, 1, 1], [1, 2, 3, 3]])
    rich = roi_pool(last, middle, places, "rich")
    for start, stop in ((0, 5), (5, 10), (10, 14), (14, 18)):
        assert np.linalg.norm(rich[:, start:stop], axis=1) == pytest.approx(1.0, abs=1e-3)
    plain = roi_pool(last, middle, places, "avg")
    assert plain.shape == (3, 5)
    assert plain[0] == pytest.approx(last.mean(axis=(1, 2)), abs=1e-6)
    assert plain[1] == pytest.approx(last[:, 0, 0])
    assert plain[2] == pytest.approx(last[:, 2:3, 1:3].mean(axis=(1, 2)), abs=1e-6)


def test_maps_without_any_sign_of_anything_give_numbers() -> None:
    for level in (0.0, 1e30):
        last, middle = np.full((5, 3, 3), level, np.float32), np.full((4, 6, 6), level, np.float32)
        assert np.isfinite(roi_pool(last, middle, np.array([[0, 0, 3, 3]]), "rich")).all()


# Apart from one another


def test_overlap_is_intersection_over_union() -> None:
    boxes = [(0, 0, 1, 1), (0, 0, 0.5, 1), (0.5, 0, 1.5, 1), (2, 2, 3, 3), (1, 0, 2, 1)]
    assert iou((0, 0, 1, 1), boxes) == pytest.approx([1.0, 0.5, 1 / 3, 0.0, 0.0])
    assert iou((0, 0, 1, 1), []).shape == (0,)
    assert iou((0.3, 0.3, 0.3, 0.3), [(0.3, 0.3, 0.3, 0.3), (0, 0, 1, 1)]) == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize("seed", range(20))
def test_no_two_of_the_distinct_overlap_and_what_is_left_out_has_a_better_one_beside_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 0.7, (80, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.05, 0.3, (80, 2))], axis=1)
    scores = rng.normal(size=80)
    limit = float(rng.uniform(0.2, 0.6))
    kept = nms(boxes, scores, 80, limit)
    assert kept[0] == int(scores.argmax())
    assert [scores[number] for number in kept] == sorted((scores[number] for number in kept), reverse=True)
    for place, number in enumerate(kept):
        others = kept[:place] + kept[place + 1 :]
        assert not others or iou(boxes[number], boxes[others]).max() < limit
    for number in set(range(80)) - set(kept):
        better = [one for one in kept if scores[one] >= scores[number]]
        assert iou(boxes[number], boxes[better]).max() >= limit
    assert nms(boxes, scores, 5, limit) == kept[:5]


def test_of_nothing_nothing_is_kept_and_of_equals_the_first() -> None:
    assert nms([], [], 6) == []
    assert nms([(0, 0, 1, 1)] * 4, [0.5] * 4, 6) == [0]
