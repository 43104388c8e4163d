"""Drawings (SVG) to pixels, with nothing fetched that they refer to.

A drawing can name files of this machine and hosts of the network, and be made to take a processor for hours. So it is written
anew without anything outside itself (see `logolens.io.svg_rewrite`) before it is drawn at one bounded size, and it is drawn in
a process with limits on memory and time alone (see `logolens.io.apart`).
"""

from __future__ import annotations

import codecs
import re
import zlib
from typing import Any

from logolens.errors import ImageError, MissingExtraError, require
from logolens.io.svg_rewrite import MOST_TEXT, rewrite

__all__ = ["is_svg", "rasterize"]

_SIDE = 1024
_DPI = 96  # CSS says so; told nothing, the renderer takes a millimetre for 0.
_HEAD = 4096
_ROOT = re.compile(rb"<(?:[A-Za-z]{1,20}:)?svg[\s>/]")
_HTML = re.compile(rb"<(?:!doctype\s+html|html|body|div)[\s>]", re.IGNORECASE)
_STYLESHEET = re.compile(r"<\?xml-stylesheet\b")
_DECLARED = re.compile(rb"""\s{0,99}<\?xml[^>]{0,200}encoding\s{0,9}=\s{0,9}["']([\w.:-]{1,40})""")
_ENCODINGS = frozenset(
    (
        *("ascii", "koi8-r", "koi8-u", "mac-roman", "hz", "iso2022_jp"),
        *("shift_jis", "euc_jp", "euc_kr", "gb2312", "gbk", "gb18030", "big5", "cp932", "cp949", "cp950"),
        *(f"iso8859-{part}" for part in range(1, 17)),
        *(f"cp125{part}" for part in range(9)),
    )
)
"""Those that a drawing may declare, as Python calls them; others of Python's take time as the square of the length."""


def is_svg(data: bytes) -> bool:
    """Whether bytes are a drawing, plain or packed with gzip (.svgz)."""
    head = data[:_HEAD]
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, _HEAD)
        except zlib.error:
            return False
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        head = head.replace(b"\0", b"")
    elif b"\0" in head:
        return False
    root = _ROOT.search(head)
    page = _HTML.search(head)
    return root is not None and (page is None or root.start() < page.start())


def rasterize(data: bytes, side: int = _SIDE) -> tuple[bytes, int]:
    """Draw an SVG as PNG, its longer side at most this many pixels and its background transparent.

    Returns:
        The PNG, and how often the drawing refers to something outside itself, none of which is ever fetched.

    Raises:
        ImageError: it is broken, too large, refers to itself without end, or the extra that draws is not installed.
    """
    try:
        resvg = require("resvg_py", "svg")
    except MissingExtraError as error:
        raise ImageError(f"This is a drawing (SVG). {error}") from error
    text = _text(data)
    drawing = rewrite(text)
    size: dict[str, Any] = {"width": side} if drawing.is_wide else {"height": side}
    try:
        # Fonts take long to load; few drawings need them. Without a folder for them, no reference is ever a file's.
        png = resvg.svg_to_bytes(svg_string=drawing.text, skip_system_fonts=not drawing.has_text, dpi=_DPI, **size)
        return bytes(png), drawing.outside + len(_STYLESHEET.findall(text))
    except BaseException as error:  # Rust's panics are no Exception.
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise ImageError(f"This is a drawing (SVG) that cannot be drawn ({reason}).") from error


def _text(data: bytes) -> str:
    if data[:2] == b"\x1f\x8b":
        try:
            data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, MOST_TEXT + 1)
        except zlib.error as error:
            raise ImageError(f"This drawing (SVG) is packed, and damaged ({error}).") from error
    if len(data) > MOST_TEXT:
        raise ImageError(f"This drawing (SVG) has more than {MOST_TEXT:,} bytes of text; simplify it.")
    return re.sub(r"^\s*<\?xml\s[^>]{0,400}\?>", "", _decoded(data))


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    declared = _DECLARED.match(data)
    if declared is not None and not data.startswith(codecs.BOM_UTF8):
        try:
            name = codecs.lookup(declared[1].decode("ascii")).name
            if name in _ENCODINGS:
                return data.decode(name)
        except (LookupError, UnicodeError, ValueError):
            pass  # It is not what it says; what can be read of it as UTF-8 is.
    return data.decode("utf-8-sig", "replace")
