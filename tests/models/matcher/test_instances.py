"""Several copies of one drawing in one photo: each is found where it is, and nothing where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("cv2")

from logolens.config import MatcherSettings
from logolens.models.matcher import Keypoints, Reference, describe
from logolens.models.matcher.instances import copies, twins
from logolens.models.proposals import iou

SETTINGS = MatcherSettings(long_side=1000, query_points=3000)
PLACES = ((30, 40, 0.0, 120), (330, 60, 20.0, 150), (640, 30, -15.0, 130), (60, 380, 90.0, 160), (420, 360, 180.0, 140))
"""Left, top, turn in degrees, and side of each copy."""


def artwork(seed: int, side: int = 240) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(16):
        x, y = (int(value) for value in rng.integers(10, side - 70, 2))
        w, h = (int(value) for value in rng.integers(14, 66, 2))
        fill = tuple(int(value) for value in rng.integers(0, 200, 3))
        (pen.rectangle if rng.random() < 0.6 else pen.ellipse)((x, y, x + w, y + h), fill=fill)
    return image


def shelf(logo: Image.Image | None) -> tuple[Image.Image, list[tuple[float, ...]]]:
    """A photo of noise with the copies in it, and their boxes."""
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(60, 200, (6, 8, 3), dtype=np.uint8)).resize((900, 600))
    image = Image.blend(
        coarse, Image.fromarray(rng.integers(0, 256, (150, 225, 3), dtype=np.uint8)).resize((900, 600)), 0.15
    )
    boxes: list[tuple[float, ...]] = []
    for left, top, turn, side in PLACES if logo is not None else ():
        assert logo is not None
        small = logo.resize((side, side), Image.Resampling.LANCZOS).convert("RGBA")
        turned = small.rotate(turn, Image.Resampling.BICUBIC, expand=True)
        image.paste(turned, (left, top), turned)
        boxes.append((left, top, left + turned.width, top + turned.height))
    return image, boxes


def reference(image: Image.Image) -> Reference:
    points = describe(image, SETTINGS, most=300, long_side=400)
    return Reference("acme", "a" * 64, "acme.png", points, (0, 0, *image.size), (0, 0, *image.size))


def met(places: list[tuple[float, ...]], boxes: list[tuple[float, ...]]) -> int:
    return sum(max((iou(box, [place])[0] for place in places), default=0.0) >= 0.6 for box in boxes)


def test_every_copy_of_a_drawing_is_found_once() -> None:
    logo = artwork(3)
    image, boxes = shelf(logo)
    points = describe(image, SETTINGS)
    found = copies(points, [reference(logo), reference(artwork(4))], SETTINGS, least=8)
    assert met([place.box for place in found], boxes) == len(boxes)
    assert len(found) == len(boxes)
    assert all(place.inliers >= 8 for place in found)


def test_what_is_taken_is_not_found_again() -> None:
    logo = artwork(3)
    image, boxes = shelf(logo)
    points = describe(image, SETTINGS)
    found = copies(points, [reference(logo)], SETTINGS, least=8, taken=[tuple(map(float, box)) for box in boxes[:2]])  # type: ignore[misc]
    assert met([place.box for place in found], boxes[2:]) == len(boxes) - 2
    assert met([place.box for place in found], boxes[:2]) == 0


def test_one_print_leads_to_the_others_without_any_reference() -> None:
    image, boxes = shelf(artwork(3))
    points = describe(image, SETTINGS)
    x1, y1, x2, y2 = boxes[0]
    found = twins(points, (x1, y1, x2, y2), SETTINGS, least=8)
    assert met([place.box for place in found], boxes[1:]) == len(boxes) - 1
    assert met([place.box for place in found], boxes[:1]) == 0


@pytest.mark.parametrize("side", [1, 40, 600])
def test_nothing_is_found_where_nothing_is(side: int) -> None:
    image = shelf(None)[0].resize((900, side))
    points = describe(image, SETTINGS)
    assert copies(points, [reference(artwork(3))], SETTINGS, least=8) == ()
    assert copies(Keypoints.none((9, 9)), [reference(artwork(3))], SETTINGS, least=8) == ()
    assert twins(points, (0.0, 0.0, 5.0, 5.0), SETTINGS, least=8) == ()
