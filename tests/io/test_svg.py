"""Drawings (SVG): drawn, with nothing fetched, and those that are made to do harm refused."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import pytest
from PIL import Image
from website import picture

from logolens.errors import ImageError
from logolens.io.images import open_rgb
from logolens.io.svg import is_svg, rasterize

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><rect width="20" height="10" fill="#00f"/></svg>'

FORMS = {
    "plain": SVG,
    "with a declaration": b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?>\n<!DOCTYPE svg>" + SVG,
    "UTF-16": SVG.decode().encode("utf-16"),
    "Latin-1": b"<?xml version='1.0' encoding='iso-8859-1'?><!-- \xe9 -->" + SVG,
    "svgz": gzip.compress(SVG),
    "an editor's entities": b'<!DOCTYPE svg [<!ENTITY ns "http://www.w3.org/2000/svg">]>'
    + SVG.replace(b"http://www.w3.org/2000/svg", b"&ns;"),
}


@pytest.mark.parametrize("form", FORMS)
def test_drawings_are_drawn(form: str) -> None:
    pytest.importorskip("resvg_py")
    assert is_svg(FORMS[form])
    image = open_rgb(FORMS[form])
    assert image.size == (1024, 512)
    assert image.getpixel((500, 200)) == (0, 0, 255)


def test_what_is_no_drawing() -> None:
    for data in (picture(1), b"", b"<html><svg></svg>", gzip.compress(b"x"), b"svg", b"\xff\xfe\0"):
        assert not is_svg(data)


@pytest.mark.parametrize(
    "reference",
    [
        '<image width="20" height="10" href="{}"/>',
        "<image width='20' height='10' xlink:href = '{}'/>",
        '<image width="20" height="10" xlink:href=" {}"/>',
        '<image width="20" height="10" xlink:href="file://{}"/>',
        '<style>rect{{fill:url({})}} @import "{}";</style>',
        '<use href="{}#a"/>',
        "<filter id='f'><feImage href='{}'/></filter><rect width='20' height='10' filter='url(#f)'/>",
    ],
)
def test_drawings_reach_nothing_outside(tmp_path: Path, reference: str) -> None:
    pytest.importorskip("resvg_py")
    Image.new("RGB", (20, 10), "red").save(tmp_path / "red.png")
    inner = reference.format(tmp_path / "red.png", tmp_path / "red.png")
    text = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 20 10">{inner}</svg>'
    colours = open_rgb(text.encode()).getcolors() or []
    assert (255, 0, 0) not in [colour for _, colour in colours]


def test_drawings_made_to_do_harm_are_refused() -> None:
    pytest.importorskip("resvg_py")
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
    doubled = "".join(f'<g id="g{n}">' + f'<use href="#g{n - 1}"/>' * 10 + "</g>" for n in range(1, 12))
    harm = {
        "nests": head + "<g>" * 100_000,
        "comes to": f'{head}<g id="g0"><rect width="9" height="9"/></g>{doubled}</svg>',
        "entities": '<!DOCTYPE s [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>' + head + "&b;</svg>",
        "cannot be drawn": head + "<path d=",
    }
    for word, text in harm.items():
        with pytest.raises(ImageError, match=word):
            rasterize(text.encode())
    for sides in ('width="1000000000" height="1"', 'viewBox="0 0 0 0"', 'width="-1" height="x"', 'viewBox="a b"'):
        with contextlib.suppress(ImageError):
            assert max(open_rgb(f'<svg xmlns="http://www.w3.org/2000/svg" {sides}/>'.encode()).size) <= 1024
