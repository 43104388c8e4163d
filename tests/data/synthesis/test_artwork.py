"""The demo's artwork, backgrounds and compositions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from logolens.data.synthesis import Artwork, compose, decoy, encode, photo_size
from logolens.data.synthesis.backgrounds import SEEN_BACKGROUNDS, UNSEEN_BACKGROUNDS, background
from logolens.errors import DataError, UsageError
from logolens.recipes.demo.brands import (
    BRANDS,
    CHANGED_BRAND,
    OTHER_BRANDS,
    OTHER_BRANDS_UNSEEN,
    artwork,
    artworks,
    rasterise,
    resemblance,
)


@pytest.fixture(scope="module")
def icons() -> None:
    for package in ("resvg_py", "simple_icons_pack", "simpleicons"):
        pytest.importorskip(package, reason="needs the demo extra")


@pytest.fixture
def star() -> Artwork:
    """A drawing that needs no package: a plus sign."""
    alpha = np.zeros((200, 300), np.uint8)
    alpha[80:120, 20:280] = 255
    alpha[10:190, 120:180] = 255
    return Artwork("plus", alpha, (200, 30, 40))


@pytest.mark.usefixtures("icons")
def test_every_brand_of_the_demo_is_in_the_package() -> None:
    found, absent = artworks((*BRANDS, CHANGED_BRAND))
    assert not absent
    assert [art.label for art in found] == [*BRANDS, CHANGED_BRAND]
    for art in found:
        assert art.title
        assert max(art.alpha.shape) > 300
        assert art.alpha[0].any()
        assert art.alpha[-1].any()
        assert art.alpha[:, 0].any()
        assert art.alpha[:, -1].any()


def test_the_groups_of_brands_are_disjoint() -> None:
    groups = (BRANDS, OTHER_BRANDS, OTHER_BRANDS_UNSEEN, (CHANGED_BRAND,))
    every = [slug for group in groups for slug in group]
    assert len(every) == len(set(every))
    assert not set(SEEN_BACKGROUNDS) & set(UNSEEN_BACKGROUNDS)


@pytest.mark.usefixtures("icons")
def test_an_absent_brand_is_named_and_the_rest_goes_on() -> None:
    found, absent = artworks(("nike", "nosuchbrandhere", "puma"))
    assert [art.label for art in found] == ["nike", "puma"]
    assert absent == ["nosuchbrandhere"]
    with pytest.raises(DataError, match="nosuchbrandhere"):
        artwork("nosuchbrandhere")
    with pytest.raises(DataError, match="holds 1 of the 2"):
        artworks(("nike", "nosuchbrandhere"))


@pytest.mark.parametrize("slug", ["", "../nike", "a b", "ni/ke"])
def test_a_slug_is_letters_and_digits(slug: str) -> None:
    with pytest.raises(UsageError, match="short name"):
        artwork(slug)


@pytest.mark.usefixtures("icons")
def test_the_changed_brand_did_change_and_others_did_not() -> None:
    assert resemblance(artwork(CHANGED_BRAND, year="2022"), artwork(CHANGED_BRAND)) < 0.4
    assert resemblance(artwork("nike", year="2022"), artwork("nike")) > 0.95


@pytest.mark.usefixtures("icons")
def test_broken_svg_is_refused() -> None:
    for text in ("", "no svg at all", "<svg"):
        with pytest.raises(DataError, match="cannot be drawn"):
            rasterise(text)


@pytest.mark.usefixtures("icons")
def test_an_svg_without_shapes_is_refused() -> None:
    empty = rasterise('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"></svg>')
    with pytest.raises(DataError, match="shows nothing"):
        Artwork("empty", empty, (0, 0, 0))


@pytest.mark.parametrize(
    ("alpha", "error"),
    [
        (np.zeros((50, 50), np.uint8), DataError),
        (np.full((50, 50), 90, np.uint8), DataError),
        (np.zeros((0, 0), np.uint8), DataError),
        (np.full((50, 50, 3), 255, np.uint8), UsageError),
        (np.ones((50, 50), np.float32), UsageError),
    ],
)
def test_artwork_with_nothing_to_see_is_refused(alpha: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error, match="mark"):
        Artwork("mark", alpha, (0, 0, 0))


def test_artwork_is_cut_to_what_is_drawn(star: Artwork) -> None:
    assert star.alpha.shape == (180, 260)


@pytest.mark.parametrize("family", [*SEEN_BACKGROUNDS, *UNSEEN_BACKGROUNDS])
def test_backgrounds_have_the_size_and_follow_the_seed(family: str) -> None:
    one = background(family, (150, 97), np.random.default_rng(4))
    again = background(family, (150, 97), np.random.default_rng(4))
    other = background(family, (150, 97), np.random.default_rng(5))
    assert one.size == (150, 97)
    assert one.mode == "RGB"
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()
    assert np.asarray(one).std() > 1, "not one flat colour"


def test_an_unknown_background_is_refused() -> None:
    with pytest.raises(UsageError, match="'moon'"):
        background("moon", (100, 100), np.random.default_rng(0))


def test_the_same_seed_gives_the_same_bytes(star: Artwork) -> None:
    def make(seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        picture, _ = compose([star], "bricks", rng, others=[decoy(rng)])
        return encode(picture, rng)

    assert make(1) == make(1)
    assert make(1) != make(2)


def test_boxes_enclose_what_the_logo_changes(star: Artwork) -> None:
    """The same picture with and without the logo's ink differs inside the box, and up to its edges."""
    tight = 0
    for seed in range(24):
        family = (SEEN_BACKGROUNDS + UNSEEN_BACKGROUNDS)[seed % 13]
        with_ink, boxes = compose([star], family, np.random.default_rng(seed), size=(320, 240))
        without, same = compose([star], family, np.random.default_rng(seed), size=(320, 240), ink=False)
        assert boxes == same
        assert len(boxes) == 1
        box = boxes[0]
        assert box.label == "plus"
        assert 0 <= box.x1 < box.x2 <= 320
        assert 0 <= box.y1 < box.y2 <= 240
        difference = np.abs(np.asarray(with_ink, np.int16) - np.asarray(without, np.int16)).max(axis=2)
        strong = difference > 30
        ys, xs = np.nonzero(strong)
        assert len(xs) > 0.02 * (box.x2 - box.x1) * (box.y2 - box.y1)
        slack = 6  # Soft focus carries ink a few pixels beyond the box.
        assert box.x1 - slack <= xs.min()
        assert xs.max() < box.x2 + slack
        assert box.y1 - slack <= ys.min()
        assert ys.max() < box.y2 + slack
        reached = [xs.min() - box.x1, box.x2 - xs.max(), ys.min() - box.y1, box.y2 - ys.max()]
        tight += max(reached) <= slack + 3
    assert tight >= 20, "boxes are tight wherever light and blur leave the edges visible"


def test_the_logos_width_is_within_its_share(star: Artwork) -> None:
    for seed in range(12):
        _, boxes = compose([star], "plaster", np.random.default_rng(seed), size=(400, 400), width_share=(0.3, 0.4))
        # A turn of 20 degrees, a view from one side and an occlusion change it by a quarter or so.
        assert 0.2 * 400 < boxes[0].x2 - boxes[0].x1 < 0.55 * 400


def test_several_logos_have_a_box_each_and_others_none(star: Artwork) -> None:
    rng = np.random.default_rng(3)
    _, boxes = compose([star, star], "wood", rng, others=[decoy(rng)])
    assert [box.label for box in boxes] == ["plus", "plus"]
    _, none = compose([], "wood", rng, others=[star])
    assert none == []


def test_photo_sizes_lie_in_their_range() -> None:
    rng = np.random.default_rng(0)
    sizes = [photo_size(rng) for _ in range(200)]
    assert all(320 <= max(size) <= 640 and min(size) >= 180 for size in sizes)
    assert any(w < h for w, h in sizes)
    assert any(w > h for w, h in sizes)


@pytest.mark.parametrize("size", [(10, 10), (63, 400)])
def test_a_picture_too_small_for_a_logo_is_refused(star: Artwork, size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="too small"):
        compose([star], "wood", np.random.default_rng(0), size=size)


@pytest.mark.parametrize("share", [(0.5, 0.2), (0.0, 0.5), (0.5, 1.5)])
def test_an_impossible_share_is_refused(star: Artwork, share: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="width share"):
        compose([star], "wood", np.random.default_rng(0), width_share=share)


def test_thin_and_tall_artwork_is_composed(tmp_path: Path) -> None:
    for shape in ((400, 8), (8, 400)):
        art = Artwork("bar", np.full(shape, 255, np.uint8), (0, 0, 0))
        for seed in range(6):
            picture, boxes = compose([art], "tiles", np.random.default_rng(seed), size=(200, 150))
            assert picture.size == (200, 150)
            assert boxes[0].x2 > boxes[0].x1
            assert boxes[0].y2 > boxes[0].y1
