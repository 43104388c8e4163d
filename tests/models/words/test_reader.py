"""Reading what is written in a picture: drawn text that is level, turned, large, small, Cyrillic or absent, and odd shapes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from logolens.config import ReaderSettings
from logolens.errors import MissingExtraError
from logolens.models.words import label_names, reader
from logolens.models.words.reader import Line, model_hashes, reads

pytestmark = pytest.mark.skipif(not reads(), reason="the extra words is not installed")


def written(
    text: str, size: tuple[int, int] = (640, 480), height: int = 70, at: tuple[int, int] = (80, 180)
) -> Image.Image:
    image = Image.new("RGB", size, (236, 232, 220))
    ImageDraw.Draw(image).text(at, text, fill=(30, 40, 90), font=ImageFont.load_default(size=height))
    return image


def texts(lines: tuple[Line, ...]) -> list[str]:
    return [label_names.fold(line.text) for line in lines]


def test_a_word_is_read_with_its_place() -> None:
    (line,) = reader().read(written("Vodafone"))
    assert label_names.fold(line.text) == "vodafone"
    assert line.confidence > 0.9
    x1, y1, x2, y2 = line.box
    left, top, right, bottom = 80 / 640, 190 / 480, 400 / 640, 260 / 480
    assert x1 == pytest.approx(left, abs=0.05)
    assert y1 == pytest.approx(top, abs=0.06)
    assert x2 == pytest.approx(right, abs=0.12)
    assert y2 == pytest.approx(bottom, abs=0.06)
    assert 0.08 < line.height < 0.25


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180])
def test_turned_writing_is_read(turn: Image.Transpose) -> None:
    assert "vodafone" in texts(reader().read(written("Vodafone").transpose(turn)))


def test_slanted_writing_is_read() -> None:
    assert "vodafone" in texts(reader().read(written("Vodafone").rotate(18, fillcolor=(236, 232, 220))))


def test_a_picture_without_writing_has_no_lines() -> None:
    noise = np.random.default_rng(3).integers(90, 160, (40, 60, 3), dtype=np.uint8)
    assert reader().read(Image.fromarray(noise).resize((600, 400))) == ()
    assert reader().read(Image.new("RGB", (500, 400), "white")) == ()


@pytest.mark.parametrize(
    "size", [(1, 1), (900, 1), (1, 900), (7, 7), (60, 900), (900, 60), (8, 6000), (6000, 8), (9, 9)]
)
def test_odd_shapes_cost_no_more_than_a_photo(size: tuple[int, int]) -> None:
    photo = Image.new("RGB", (640, 640), "white")
    reader().read(photo)
    begun = time.process_time()
    reader().read(photo)
    usual = time.process_time() - begun
    begun = time.process_time()
    assert reader().read(Image.new("RGB", size, "white")) == ()
    assert time.process_time() - begun < 4 * usual + 0.2


def test_a_banner_is_read() -> None:
    assert "vodafone" in texts(reader().read(written("Vodafone", (900, 60), 40, (300, 5))))


def test_large_and_small_pictures_are_read() -> None:
    assert "vodafone" in texts(reader().read(written("Vodafone", (3000, 2000), 300, (400, 800))))
    assert "vodafone" in texts(reader().read(written("Vodafone", (160, 120), 22, (20, 40))))


def test_a_page_full_of_text_gives_no_more_lines_than_are_asked_for() -> None:
    page = Image.new("RGB", (900, 1200), "white")
    draw = ImageDraw.Draw(page)
    for row in range(40):
        for column in range(3):
            draw.text(
                (20 + column * 300, 10 + row * 29),
                f"brand{row}x{column}",
                fill="black",
                font=ImageFont.load_default(size=22),
            )
    assert len(reader(ReaderSettings(lines=20)).read(page)) <= 20
    assert 30 < len(reader().read(page)) <= ReaderSettings().lines


def test_several_threads_may_read_at_once() -> None:
    pictures = [written(word) for word in ("Vodafone", "Heineken", "Starbucks", "Porsche")] * 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(reader().read, pictures))
    assert found == [reader().read(picture) for picture in pictures]


def test_the_models_have_hashes_and_the_settings_are_in_the_key() -> None:
    hashes = model_hashes()
    assert len(hashes) == 2
    assert all(len(value) == 64 for value in hashes.values())
    assert reader().key != reader(ReaderSettings(side=320)).key
    assert reader() is reader(ReaderSettings())


def test_reading_imports_nothing_but_the_models(tmp_path: Path) -> None:
    """The wheel's own code asks for packages, and would download; only its files are used."""
    import subprocess
    import sys

    code = (
        "import sys; from PIL import Image; from logolens.models.words import reader;"
        "reader().read(Image.new('RGB', (64, 64)));"
        "print(sorted({'rapidocr', 'omegaconf', 'requests', 'torch'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    module = __import__("logolens.models.words.reader", fromlist=["_models"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"logolens\[words\]"):
        module._models.__wrapped__()
