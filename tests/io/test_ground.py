"""Images with transparency are looked at over a ground that shows them, on every road."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from logolens.data import load
from logolens.io.ground import DARK, WHITE, ground_of
from logolens.io.images import as_rgb, open_rgb

INKS = {
    "white": (255, 255, 255),
    "pale": (235, 240, 245),
    "black": (0, 0, 0),
    "red": (200, 0, 0),
    "grey": (120, 120, 120),
}


def mark(*inks: tuple[int, int, int], size: int = 300) -> Image.Image:
    """Bars on a transparent ground, each in one of the inks by turns."""
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    for number in range(6):
        x = 20 + 45 * number
        pen.rectangle((x, 60, x + 20, size - 60), fill=(*inks[number % len(inks)], 255))
    return image


def contrast(image: Image.Image, drawn: Image.Image) -> float:
    """The least mean difference of a bar's pixels from the ground's."""
    pixels = np.asarray(image, np.float64)
    ink = np.asarray(drawn)[..., 3] > 128
    ground = pixels[~ink].mean(axis=0)
    return float(np.abs(pixels[ink] - ground).mean(axis=1).min())


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "inks", [(a,) for a in INKS] + [("white", "black"), ("white", "red"), ("white", "grey"), ("pale", "black")]
)
def test_every_ink_and_mixture_is_seen(inks: tuple[str, ...]) -> None:
    drawn = mark(*(INKS[name] for name in inks))
    for image in (open_rgb(png(drawn)), as_rgb(drawn)):
        assert contrast(image, drawn) >= 40


def test_what_white_shows_stays_on_white() -> None:
    assert ground_of(mark(INKS["black"])) == ground_of(mark(INKS["red"])) == WHITE
    assert ground_of(mark(INKS["white"])) == DARK
    assert ground_of(Image.new("RGBA", (50, 50), (0, 0, 0, 0))) == WHITE


def test_white_letters_on_a_plate_are_seen_on_white() -> None:
    plate = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    pen = ImageDraw.Draw(plate)
    pen.ellipse((10, 10, 190, 190), fill=(200, 0, 0, 255))
    pen.rectangle((40, 40, 160, 160), fill=(255, 255, 255, 255))
    assert ground_of(plate) == WHITE


def test_palettes_grey_and_fine_lines(tmp_path: Path) -> None:
    fine = Image.new("RGBA", (3000, 1000), (0, 0, 0, 0))
    ImageDraw.Draw(fine).line((100, 500, 2900, 520), fill=(255, 255, 255, 255), width=5)
    assert ground_of(fine) == DARK
    drawn = mark(INKS["white"])
    for image in (drawn.convert("LA"), drawn.quantize(16)):
        assert contrast(open_rgb(png(image)), drawn) >= 40


def test_drawings_and_data_sets_too(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><path fill="#fff" d="M4 4h6v12h-6z"/></svg>'
    colours = open_rgb(svg).getcolors(1 << 20)
    assert colours is not None
    assert {colour for _, colour in sorted(colours, key=lambda pair: pair[0])[-2:]} == {(255, 255, 255), DARK}
    for label, ink in (("acme", "white"), ("bolt", "red")):
        (tmp_path / label).mkdir()
        mark(INKS[ink]).save(tmp_path / label / "a.png")
    (note,) = (note for note in load(tmp_path, training=False).notes if note.kind == "clear")
    assert note.count == 2
