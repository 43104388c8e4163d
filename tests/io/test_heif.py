"""Photos in HEIC, with the extra and without it."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_boxed

from logolens.config import Limits
from logolens.data import load
from logolens.errors import DataError, ImageError
from logolens.io.heif import is_heif
from logolens.io.images import open_rgb
from logolens.io.sources.mime import kind_of


@pytest.fixture
def heic() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(draw_boxed("acme", 1, (160, 120))[0]).save(stream, quality=95)
    return stream.getvalue()


def test_a_photo_in_heic_is_read(heic: bytes, tmp_path: Path) -> None:
    image = open_rgb(heic)
    expected = draw_boxed("acme", 1, (160, 120))[0]
    assert image.size == (160, 120)
    assert np.abs(np.asarray(image, float) - np.asarray(expected, float)).mean() < 4
    assert kind_of(heic[:1024]) == "image"
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "a.HEIC").write_bytes(heic)
    assert load(tmp_path, training=False).counts() == {"acme": 1}


def test_damaged_and_oversized_ones_are_errors(heic: bytes) -> None:
    with pytest.raises(ImageError, match="not an image that can be read"):
        open_rgb(heic[: len(heic) // 2])
    with pytest.raises(ImageError, match="160 x 120"):
        open_rgb(heic, limits=Limits(max_pixels=1000))


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is not None, reason="the extra heif is installed")
def test_without_the_extra_the_error_names_it(tmp_path: Path) -> None:
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    assert is_heif(data)
    assert not is_heif(b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf" + bytes(100))
    with pytest.raises(ImageError, match=r"HEIC.*logolens\[heif\]"):
        open_rgb(data)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "a.heic").write_bytes(data)
    with pytest.raises(DataError, match=r"logolens\[heif\]"):
        load(tmp_path)
