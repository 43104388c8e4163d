"""Views are fractions of the upright photo, and their pixels depend on nothing but photo and view."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from logolens.config import Limits, Preprocessing
from logolens.errors import ImageError
from logolens.io.views import WHOLE, View, around, background_views, cut

SQUARE = Preprocessing(size=64)


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def test_keys_tell_views_apart_and_equal_views_share_one() -> None:
    views = [WHOLE, View((0, 0, 1, 1)), View((0, 0, 0.5, 1)), View((0, 0, 1, 0.5)), View((0.25, 0, 1, 1))]
    assert len({view.key for view in views}) == len(views)
    assert View((0.1 + 0.2, 0, 1, 1)).key == View((0.3, 0, 1, 1)).key
    assert WHOLE.key == View().key


def test_around_is_a_square_about_the_box_with_its_margin() -> None:
    view = around((40, 60, 60, 70), (200, 100), 1.5)
    assert view.box == pytest.approx((35 / 200, 50 / 100, 65 / 200, 80 / 100))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 20, 20), (0, 0, 0.15, 0.3)),
        ((180, 80, 200, 100), (0.85, 0.7, 1, 1)),
        ((-50, -50, 250, 150), (0, 0, 1, 1)),
        ((0, 0, 200, 100), (0, 0, 1, 1)),
    ],
)
def test_around_is_clipped_to_the_photo(box: Any, expected: Any) -> None:
    view = around(box, (200, 100), 2.0)
    assert view.box is not None
    assert view.box == pytest.approx(expected, abs=0.001)


def test_around_a_box_of_no_size_still_shows_something() -> None:
    view = around((100, 50, 100, 50), (200, 100), 1.0)
    assert view.box is not None
    assert view.box[2] > view.box[0]
    assert view.box[3] > view.box[1]


def test_background_views_touch_no_box_and_stay_within_the_photo() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        size = (int(rng.integers(60, 800)), int(rng.integers(60, 800)))
        corners = rng.uniform(0, 1, (2, 4)) * [size[0], size[1], size[0], size[1]]
        boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
        for view in background_views(boxes, size, rng, 3):
            assert view.box is not None
            x1, y1, x2, y2 = view.box
            assert 0 <= x1 < x2 <= 1.0000001
            assert 0 <= y1 < y2 <= 1.0000001
            assert (x2 - x1) * size[0] == pytest.approx((y2 - y1) * size[1])
            for a, b, c, d in boxes:
                across = min(x2 * size[0], c) - max(x1 * size[0], a)
                down = min(y2 * size[1], d) - max(y1 * size[1], b)
                assert min(across, down) <= 1e-6


def test_background_views_are_as_many_as_asked_and_repeat_by_seed() -> None:
    def views(seed: int) -> list[View]:
        return background_views([(0, 0, 30, 30)], (640, 480), np.random.default_rng(seed), 4)

    assert len(views(1)) == 4
    assert views(1) == views(1)
    assert views(1) != views(2)


def test_there_is_no_background_without_boxes_or_beside_a_box_that_fills_the_photo() -> None:
    rng = np.random.default_rng(0)
    assert background_views([], (640, 480), rng, 3) == []
    assert background_views([(0, 0, 640, 480)], (640, 480), rng, 3) == []


def test_cut_gives_one_square_a_view_in_order() -> None:
    photo = Image.new("RGB", (100, 50), "red")
    photo.paste((0, 0, 255), (50, 0, 100, 50))
    views = [View((0.5, 0, 1, 1)), WHOLE, View((0, 0, 0.5, 1))]
    right, whole, left = cut(encode(photo, "PNG"), views, SQUARE)
    assert (right == [0, 0, 255]).all()
    assert (left == [255, 0, 0]).all()
    assert whole[32, 3].tolist() == [255, 0, 0]
    assert whole[32, 60].tolist() == [0, 0, 255]
    assert cut(encode(photo, "PNG"), [], SQUARE) == []


def test_fractions_are_of_the_upright_photo() -> None:
    upright = Image.new("RGB", (100, 60), "red")
    upright.paste((0, 0, 255), (50, 0, 100, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(upright.rotate(90, expand=True), "PNG", exif=exif)
    (right,) = cut(data, [View((0.5, 0, 1, 1))], SQUARE)
    assert (right == [0, 0, 255]).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(1600, 1200), (333, 777), (40, 30)])
def test_the_pixels_of_a_view_do_not_depend_on_the_views_beside_it(
    draw_photo: Any, size: tuple[int, int], format: str
) -> None:
    data = encode(draw_photo("acme", 4, size), format)
    views = [
        WHOLE,
        View((0, 0, 1, 1)),
        View((0.1, 0.2, 0.6, 0.7)),
        View((0.4, 0.4, 0.45, 0.45)),
        View((0, 0.3, 0.2, 1)),
    ]
    together = cut(data, views, SQUARE)
    backwards = cut(data, views[::-1], SQUARE)[::-1]
    for number, view in enumerate(views):
        (alone,) = cut(data, [view], SQUARE)
        assert np.array_equal(alone, together[number])
        assert np.array_equal(alone, backwards[number])


def test_a_small_view_of_a_large_photo_keeps_its_detail(draw_photo: Any) -> None:
    # At the scale that serves the whole photo, this view would be 15 pixels wide.
    rng = np.random.default_rng(0)
    photo = draw_photo("acme", 4, (2000, 2000))
    photo.paste(Image.fromarray(rng.integers(0, 2, (100, 100), dtype=np.uint8) * 255), (1000, 1000))
    data = encode(photo, "JPEG", quality=95, subsampling=0)
    view = View((0.5, 0.5, 0.55, 0.55))
    _, detail = cut(data, [WHOLE, view], SQUARE)
    expected = np.asarray(photo.crop((1000, 1000, 1100, 1100)).resize((64, 64), Image.Resampling.BILINEAR))
    assert np.abs(detail.astype(int) - expected).mean() < 12


def test_a_view_of_less_than_a_pixel_gives_that_pixel() -> None:
    photo = Image.new("RGB", (10, 10), "red")
    photo.putpixel((9, 9), (0, 0, 255))
    views = [View((0.99, 0.99, 0.991, 0.991)), View((1.0, 1.0, 1.0, 1.0)), View((0.0, 0.0, 0.0, 0.0))]
    corner, edge, first = cut(encode(photo, "PNG"), views, SQUARE)
    assert (corner == [0, 0, 255]).all()
    assert (edge == [0, 0, 255]).all()
    assert (first == [255, 0, 0]).all()


def test_what_cannot_be_decoded_is_an_image_error_whatever_the_view() -> None:
    for views in ([WHOLE], [View((0, 0, 0.5, 0.5))]):
        with pytest.raises(ImageError):
            cut(b"no image", views, SQUARE)
        with pytest.raises(ImageError, match="limit of 99"):
            cut(encode(Image.new("RGB", (10, 10)), "PNG"), views, SQUARE, Limits(max_pixels=99))
