"""Drawings (SVG): drawn, with nothing fetched, and those that are made to do harm refused."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from website import picture

from logolens.config import DecodeSettings
from logolens.errors import ImageError
from logolens.io.images import open_rgb
from logolens.io.svg import is_svg, rasterize
from logolens.io.svg_rewrite import rewrite

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><rect width="20" height="10" fill="#00f"/></svg>'

FORMS = {
    "plain": SVG,
    "with a declaration": b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?>\n<!DOCTYPE svg>" + SVG,
    "UTF-16": SVG.decode().encode("utf-16"),
    "Latin-1": b"<?xml version='1.0' encoding='iso-8859-1'?><!-- \xe9 -->" + SVG,
    "svgz": gzip.compress(SVG),
    "no namespace": SVG.replace(b' xmlns="http://www.w3.org/2000/svg"', b""),
    "a prefix": SVG.replace(b"<svg xmlns", b"<s:svg xmlns:s")
    .replace(b"<rect", b"<s:rect")
    .replace(b"</svg", b"</s:svg"),
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


OPEN = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 20 10">'
WHOLE = 'width="20" height="10"'
ATTACKS = {
    "quotes that hide the reference": """<image id="href='#" href="{}" class="'" {whole}/>""",
    "blanks before the equals sign": "<image href" + " " * 300 + '="{}" {whole}/>',
    "blanks after it": "<image href=" + " " * 300 + '"{}" {whole}/>',
    "blanks and lines in an effect": """<filter id="f"><feImage id="href='#" href\n\n=\t"{}" class="'"/></filter>"""
    '<rect {whole} filter="url(#f)"/>',
    "a prefix": """<image id="xlink:href='#" xlink:href="{}" class="'" {whole}/>""",
    "a prefix of its own": """<image xmlns:z="http://www.w3.org/1999/xlink" z:href="{}" {whole}/>""",
    "an element's prefix": """<s:image xmlns:s="http://www.w3.org/2000/svg" href="{}" {whole}/>""",
    "a character's number": '<image href="{}" {whole}/>',
    "a comment that unbalances quotes": """<!-- href=" --><image href="{}" {whole}/><!-- " -->""",
    "a section that unbalances quotes": """<desc><![CDATA[<image href="#]]></desc><image href="{}" {whole}/>""",
    "an instruction that unbalances quotes": """<?p href="?><image href="{}" {whole}/>""",
    "a base": '<g xml:base="{}"><image xml:base="{}" href="#" {whole}/></g>',
    "upper case": '<image HREF="#" href="{}" {whole}/>',
    "both forms": '<image href="#none" xlink:href="{}" {whole}/>',
    "a name that is nowhere": '<filter id="f"><feImage href="#red.png"/></filter><rect {whole} filter="url(#f)"/>',
    "an image by name": '<image href="#red.png" {whole}/>',
    "a use": '<use href="{}"/>',
    "a pattern": '<pattern id="p" {whole} patternUnits="userSpaceOnUse"><image href="{}" {whole}/></pattern>'
    '<rect {whole} fill="url(#p)"/>',
    "a mask": '<mask id="m"><image href="{}" {whole}/></mask><rect {whole} mask="url(#m)" fill="#00f"/>',
    "a sheet": '<style>image {{ href: url({}); mask-image: u\\72l({}) }} @\\69mport "{}";</style><image {whole}/>',
    "a style": '<image style="href:{};href:url({})" {whole}/>',
    "a nested drawing": '<image href="data:image/svg+xml;base64,{nested}" {whole}/>',
    "a nested drawing called a picture": '<image href="data:image/png;base64,{nested}" {whole}/>',
    "a nested drawing called a text": '<image href="data:text/plain;base64,{nested}" {whole}/>',
    "foreign content": '<foreignObject {whole}><img xmlns="http://www.w3.org/1999/xhtml" src="{}"/></foreignObject>',
    "a script": '<script href="{}"/><image onload="x" href="" {whole}/>',
}
"""What a drawing may hold to have a file drawn; the file's path stands for {}."""


def attack(name: str, path: str) -> str:
    nested = base64.b64encode(f'{OPEN}<image href="{path}" {WHOLE}/></svg>'.encode()).decode()
    shown = "".join(f"&#{ord(sign)};" for sign in path) if name == "a character's number" else path
    inner = ATTACKS[name].replace("{whole}", WHOLE).replace("{nested}", nested).replace("{}", shown)
    return f"{OPEN}{inner.replace('{{', '{').replace('}}', '}')}</svg>"


def seals(text: str) -> None:
    """That a rewritten drawing refers to nothing but itself."""
    for element in ElementTree.fromstring(text).iter():
        for key, value in element.attrib.items():
            if key.endswith("href"):
                assert value.startswith(("#", "data:image/png;base64,", "data:image/jpeg;base64,")), value
            assert "url(" not in value.lower().replace("url(#", ""), value
        if element.tag.endswith("style"):
            assert "url(" not in (element.text or "").lower().replace("url(#", "")
            assert "@import" not in (element.text or "").lower()


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("form", ["plain", "UTF-16", "svgz", "with a document type"])
def test_no_trick_has_a_file_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str) -> None:
    pytest.importorskip("resvg_py")
    Image.new("RGB", (20, 10), "red").save(tmp_path / "red.png")
    Image.new("RGB", (20, 10), "red").save(tmp_path / "#red.png")
    monkeypatch.chdir(tmp_path)
    text = attack(name, str(tmp_path / "red.png"))
    seals(rewrite(text).text)
    data = text.encode()
    if form == "UTF-16":
        data = text.encode("utf-16")
    elif form == "svgz":
        data = gzip.compress(data)
    elif form == "with a document type":
        path = str(tmp_path / "red.png")
        hidden = text.replace(path, "&where;")
        data = f'<!DOCTYPE svg [<!ENTITY where "{path}"><!ATTLIST image href CDATA "{path}">]>{hidden}'.encode()
    png, _ = rasterize(data)  # In this process, whose folder holds the pictures.
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    shown: list[tuple[int, tuple[int, ...]]] = image.getcolors(1 << 20) or []  # type: ignore[assignment]
    assert not [colour for _, colour in shown if colour[3] and colour[0] > 200 and colour[2] < 50]
    assert name == "a mask" or open_rgb(data).size == (1024, 512)


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY x SYSTEM "{}">',
        '<!ENTITY x PUBLIC "a" "{}">',
        '<!ENTITY % x SYSTEM "{}"> %x;',
        '<!ENTITY x "&#60;image href=&#34;{}&#34;/&#62;">',
        '<!ENTITY y "a"><!ENTITY x "&y;{}">',
        '<!ENTITY x SYSTEM "{}" NDATA y>',
    ],
)
def test_entities_that_reach_or_hold_more_than_text_are_refused(declared: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("<rect/>", encoding="utf-8")
    text = f"<!DOCTYPE svg [{declared.replace('{}', str(tmp_path / 'secret'))}]>{OPEN}&x;</svg>"
    with pytest.raises(ImageError, match="entities that hold more"):
        rewrite(text)
    # A document type that lies elsewhere is not fetched.
    assert rewrite(f'<!DOCTYPE svg SYSTEM "{tmp_path / "secret"}">{OPEN}</svg>').text


def test_entities_that_grow_are_refused() -> None:
    for text in (
        f"<!DOCTYPE svg [<!ENTITY x '{'a' * 2000}'>]>{OPEN}{'&x;' * 20_000}</svg>",
        f"<!DOCTYPE svg [<!ENTITY x '{'a' * 2001}'>]>{OPEN}&x;</svg>",
    ):
        with pytest.raises(ImageError, match="entit"):
            rewrite(text)


def test_what_is_packed_is_unpacked_no_further_than_the_limit() -> None:
    began = time.process_time()
    packed = gzip.compress(OPEN.encode() + b" " * 300_000_000, 1)
    with pytest.raises(ImageError, match="more than 20,000,000 bytes"):
        rasterize(packed)
    assert time.process_time() - began < 20


def test_every_kind_of_what_lies_outside_is_told() -> None:
    for inner in (
        '<image href="/etc/x.png"/>', '<use xlink:href="a.svg#x"/>', '<style>@import "a.css";</style>',
        '<rect fill="url(http://x/#a)"/>', '<rect style="fill:url(file:///x)"/>', '<script src="x.js"/>',
        '<filter id="f"><feImage href="#none"/></filter>',
    ):  # fmt: skip
        assert rewrite(f"{OPEN}{inner}</svg>").outside == 1, inner
    for inner in (
        '<a href="http://x"><rect/></a>',
        '<use href="#a"/>',
        '<rect fill="url(#a)"/>',
        "<title>href='x'</title>",
    ):
        assert rewrite(f"{OPEN}{inner}</svg>").outside == 0, inner


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP"])
def test_pictures_that_a_drawing_holds_are_drawn(format: str) -> None:
    pytest.importorskip("resvg_py")
    out = io.BytesIO()
    Image.new("RGB", (20, 10), (0, 0, 255)).save(out, format)
    held = base64.b64encode(out.getvalue()).decode()
    folded = held[:20] + "\n " + held[20:]
    for data in (held, folded):
        text = f'{OPEN}<image {WHOLE} xlink:href="data:image/{format.lower()};base64,{data}"/></svg>'
        seals(rewrite(text).text.replace("image/gif", "image/png").replace("image/webp", "image/png"))
        red, _, blue = open_rgb(text.encode()).getpixel((500, 200))  # type: ignore[misc]
        assert red < 9
        assert blue > 245
    huge = io.BytesIO()
    Image.new("1", (9000, 9000)).save(huge, "PNG")
    text = f'{OPEN}<image {WHOLE} href="data:image/png;base64,{base64.b64encode(huge.getvalue()).decode()}"/></svg>'
    with pytest.raises(ImageError, match="pixels"):
        rewrite(text)


def test_a_drawing_keeps_what_it_is_drawn_with() -> None:
    pytest.importorskip("resvg_py")
    text = f"""{OPEN}<title>t</title><style type="text/css"><![CDATA[ .a > rect:first-child {{ fill: #00f }} ]]></style>
      <defs><linearGradient id="g"><stop offset="0" stop-color="#0f0"/></linearGradient>
      <linearGradient id="h" xlink:href="#g"/></defs><foreignObject/><g class="a"><rect width="10" height="10"/></g>
      <g transform="translate(10)"><rect style="fill: url('#h')" width="10" height="10"/></g></svg>"""
    image = open_rgb(text.encode())
    assert image.getpixel((200, 200)) == (0, 0, 255)
    assert image.getpixel((800, 200)) == (0, 255, 0)


@pytest.mark.parametrize(
    ("drawn", "at", "colour"),
    [
        ('<path d="M5 5h10" stroke="#00f" stroke-width="6" stroke-linecap="round"/>', (2.5, 5), (0, 0, 255)),
        ('<path d="M0 0h20v10H0zM5 2h10v6H5z" clip-rule="evenodd" fill-rule="evenodd" fill="#00f"/>', (10, 5), (255, 255, 255)),
        ('<clipPath id="c"><path clip-rule="evenodd" d="M0 0h20v10H0zM5 2h10v6H5z"/></clipPath>'
         '<rect width="20" height="10" clip-path="url(#c)" fill="#00f"/>', (10, 5), (255, 255, 255)),
        ('<path d="M0 5h20" stroke="#00f" stroke-width="4" stroke-dasharray="5 15"/>', (10, 5), (255, 255, 255)),
        ('<path d="M4 9 10 2 16 9" fill="none" stroke="#00f" stroke-width="3" stroke-linejoin="bevel"/>', (10, 0.6), (255,) * 3),
        ('<g style="display:none"><rect width="20" height="10"/></g>', (10, 5), (255, 255, 255)),
        ('<symbol id="s" viewBox="0 0 1 1"><rect width="1" height="1" fill="#00f"/></symbol><use href="#s" x="5" width="10" '
         'height="10"/>', (10, 5), (0, 0, 255)),
        ('<mask id="m"><rect width="10" height="10" fill="#fff"/></mask><rect width="20" height="10" mask="url(&quot;#m&quot;)" '
         'fill="#00f"/>', (15, 5), (255, 255, 255)),
        ('<switch><foreignObject requiredExtensions="x"/><g><rect width="20" height="10" fill="#00f"/></g></switch>', (9, 5),
         (0, 0, 255)),
    ],
)  # fmt: skip
def test_what_draws_is_kept(drawn: str, at: tuple[float, float], colour: tuple[int, int, int]) -> None:
    pytest.importorskip("resvg_py")
    image = open_rgb(f"{OPEN}{drawn}</svg>".encode())
    assert image.getpixel((round(at[0] * 51.2), round(at[1] * 51.2))) == colour


@pytest.mark.parametrize("size", ['width="100%" height="100%"', 'width="2in" height="4in"', ""])
def test_the_longer_side_is_bounded(size: str) -> None:
    pytest.importorskip("resvg_py")
    text = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 10 20"><rect width="10" height="20"/></svg>'
    assert open_rgb(text.encode()).size == (512, 1024)


@pytest.mark.parametrize("sign", [" ", "9", ";", "#", "(", "url(", "&amp;", "url(#", "/*", "@import", "\\", "data:"])
def test_rewriting_takes_time_in_proportion(sign: str) -> None:
    long = sign * 200_000
    began = time.process_time()
    for inner in (
        f'<image href="data:{long}"/>', f'<rect fill="url(#{long}" style="{long}"/>', f"<style>{long}</style>",
        f'<rect width="{long}x"/>',
    ):  # fmt: skip
        with contextlib.suppress(ImageError):
            rewrite(f'<svg xmlns="http://www.w3.org/2000/svg" width="{long}x" viewBox="{long}x">{inner}</svg>')
    assert time.process_time() - began < 5


HARMFUL = {
    "a size that is not there": '<svg xmlns="http://www.w3.org/2000/svg"><rect width="1" height="1e9"/></svg>',
    "a stack that overflows": f'{OPEN}<filter id="f"><feImage href="#r"/></filter><rect id="r" {WHOLE} filter="url(#f)"/></svg>',
    "uses one below the other": OPEN
    + "".join(f'<g id="u{n}"><use href="#u{n + 1}"/></g>' for n in range(30_000))
    + "</svg>",
    "an effect without end": f'{OPEN}<filter id="f">'
    + '<feTurbulence numOctaves="999999999" baseFrequency="1"/><feMorphology radius="999"/>' * 9
    + f'</filter><rect {WHOLE} filter="url(#f)"/></svg>',
    "letters without end": f'{OPEN}<text font-size="9">{"W" * 3_000_000}</text></svg>',
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_drawing_that_ends_or_hangs_its_process_costs_only_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("resvg_py")
    monkeypatch.setattr("logolens.io.apart.DRAWING", DecodeSettings(decode_seconds=2.0, decode_memory=1_000_000_000))
    said = ""
    try:
        open_rgb(HARMFUL[name].encode())
    except ImageError as error:
        said = str(error)
    # Some are drawn by one release of the renderer and end another; of what goes on for ever nothing can come.
    assert "takes longer than 2 seconds" in said or "without end" not in name or "letters" in name
    assert open_rgb(SVG).size == (1024, 512)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system makes no copies of a process")
def test_a_copy_of_a_process_draws_by_itself() -> None:
    pytest.importorskip("resvg_py")
    code = f"""
import os
from logolens.io.images import open_rgb
first = open_rgb({SVG!r}).tobytes()
child = os.fork()
assert open_rgb({SVG!r}).tobytes() == first
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert open_rgb({SVG!r}).tobytes() == first
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
