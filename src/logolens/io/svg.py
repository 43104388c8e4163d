"""Drawings (SVG) to pixels, with nothing fetched that they refer to.

A drawing can name files of this machine and hosts of the network, and be made to take a processor for hours. So whatever
it refers to outside itself is taken out before it is drawn, and it is drawn at one bounded size; a scan does so in its
decoding processes, within their limits on memory and time.
"""

from __future__ import annotations

import codecs
import re
import zlib
from typing import Any
from xml.parsers import expat

from logolens.errors import ImageError, MissingExtraError, require

__all__ = ["is_svg", "outside_references", "rasterize"]

_SIDE = 1024
_DEEPEST = 200
_MOST_DRAWN = 200_000
_MOST_TEXT = 20_000_000
_HEAD = 4096
_ROOT = re.compile(rb"<(?:[A-Za-z]{1,20}:)?svg[\s>/]")
_HTML = re.compile(rb"<(?:!doctype\s+html|html|body|div)[\s>]", re.IGNORECASE)
# In either order of the attributes, with whatever prefix the namespace was given.
_HREF = re.compile(r"""([\w.-]{0,40}:?\b(?:href|src|base)\s{0,99}=\s{0,99})("([^"]*)"|'([^']*)')""")
_INNER = re.compile(r"(?i)\s*(?:#|data:image/(?:png|jpe?g|gif|webp)[;,])")
_CSS_URL = re.compile(r"""(?i)url\(\s{0,99}(?!['"]?\s{0,99}(?:\#|data:image/(?:png|jpe?g|gif|webp)[;,]))""")
_IMPORT = re.compile(r"(?i)@import\b")
_STYLESHEET = re.compile(r"<\?xml-stylesheet.*?\?>", re.S)
_ENTITY = re.compile(r"""<!ENTITY\s{1,99}[\w.:-]{1,99}\s{1,99}(?:"([^"<&%']{0,2000})"|'([^'<&%"]{0,2000})')\s{0,99}>""")


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


def rasterize(data: bytes, side: int = _SIDE) -> bytes:
    """Draw an SVG as PNG, its longer side at most this many pixels and its background transparent.

    Raises:
        ImageError: it is broken, too large, refers to itself without end, or the extra that draws is not installed.
    """
    try:
        resvg = require("resvg_py", "svg")
    except MissingExtraError as error:
        raise ImageError(f"This is a drawing (SVG). {error}") from error
    text = _inert(_text(data))
    _measure(text)
    size: dict[str, Any] = {"width": side} if _is_wide(text) else {"height": side}
    try:
        return bytes(resvg.svg_to_bytes(svg_string=text, skip_system_fonts=not _has_text(text), **size))
    except BaseException as error:  # Rust's panics are no Exception.
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise ImageError(f"This is a drawing (SVG) that cannot be drawn ({reason}).") from error


def outside_references(data: bytes) -> int:
    """How often an SVG refers to something outside itself: a file, a host. None of it is ever fetched.

    Raises:
        ImageError: it is packed and damaged, or too large.
    """
    text = _text(data)
    values = (found[3] if found[3] is not None else found[4] for found in _HREF.finditer(text))
    named = sum(bool(value.strip()) and not _INNER.match(value) for value in values)
    return named + sum(len(pattern.findall(text)) for pattern in (_CSS_URL, _IMPORT, _STYLESHEET))


def _text(data: bytes) -> str:
    if data[:2] == b"\x1f\x8b":
        try:
            data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, _MOST_TEXT + 1)
        except zlib.error as error:
            raise ImageError(f"This drawing (SVG) is packed, and damaged ({error}).") from error
    if len(data) > _MOST_TEXT:
        raise ImageError(f"This drawing (SVG) has more than {_MOST_TEXT:,} bytes of text; simplify it.")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    declared = re.match(rb"""\s*<\?xml[^>]{0,200}encoding=["']([\w.:-]{1,40})""", data)
    name = "utf-16" if wide else declared[1].decode("ascii") if declared else "utf-8-sig"
    try:
        text = data.decode("utf-8-sig" if name.lower() in ("utf-8", "utf8") else name)
    except (LookupError, UnicodeError, ValueError, TypeError):
        text = data.decode("utf-8-sig", "replace")
    return re.sub(r"^\s*<\?xml[^>]{0,400}\?>", "", text)


def _inert(text: str) -> str:
    """The drawing with all that reaches outside it taken out."""
    start = text.find("<!DOCTYPE")
    if start >= 0 and "<!ENTITY" in text:
        # Drawing programs declare their namespaces so. Entities that hold markup or one another are for harm alone.
        if len(_ENTITY.findall(text)) != text.count("<!ENTITY"):
            raise ImageError("This drawing (SVG) declares entities that hold more than plain text, and is not drawn.")
        for found in _ENTITY.finditer(text):
            if text.count(f"&{_entity(found)};") > 1_000:
                raise ImageError("This drawing (SVG) repeats an entity thousands of times, and is not drawn.")
    text = _STYLESHEET.sub("", text)
    text = _HREF.sub(_kept_reference, text)
    text = _CSS_URL.sub("url(#none", text) if "url(" in text.lower() else text
    return _IMPORT.sub("@none", text)


def _measure(text: str) -> None:
    """Refuse what would never be done being drawn: elements nested without end, or used by one another as powers grow."""
    parser = expat.ParserCreate()
    stack: list[str] = [""]
    own: dict[str, int] = {"": 0}
    used: dict[str, list[str]] = {"": []}

    def start(tag: str, attributes: dict[str, str]) -> None:
        name = attributes.get("id") or stack[-1]
        if name not in own:
            own[name], used[name] = 0, []
            used[stack[-1]].append(name)
        own[name] += 1
        stack.append(name)
        if len(stack) > _DEEPEST:
            raise ImageError(f"This drawing (SVG) nests more than {_DEEPEST} elements, and is not drawn.")
        for key, value in attributes.items():
            if key.rpartition(":")[2] == "href" and value.strip().startswith("#"):
                used[name].append(value.strip()[1:])
            elif "url(" in value:
                used[name] += re.findall(r"url\(\s{0,9}[\"']?#([^\"')]{1,200})", value)

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise ImageError(f"This is a drawing (SVG) that cannot be drawn ({error}).") from error
    weights: dict[str, int] = {}

    def weight(name: str, above: tuple[str, ...]) -> int:
        if name in above or name not in own or len(above) > _DEEPEST:
            return 0
        if name not in weights:
            weights[name] = min(_MOST_DRAWN + 1, own[name] + sum(weight(each, (*above, name)) for each in used[name]))
        return weights[name]

    if max(weight(name, ()) for name in own) > _MOST_DRAWN:
        raise ImageError(f"This drawing (SVG) comes to more than {_MOST_DRAWN:,} elements, and is not drawn.")


def _entity(found: re.Match[str]) -> str:
    return found[0].split(None, 2)[1]


def _kept_reference(found: re.Match[str]) -> str:
    value = found[3] if found[3] is not None else found[4]
    return found[0] if _INNER.match(value) else f'{found[1]}""'


def _is_wide(text: str) -> bool:
    """Whether the longer side is the width, from the root's own attributes."""
    root = re.search(r"<(?:[A-Za-z]{1,20}:)?svg\b[^>]{0,5000}", text)
    head = root[0] if root else ""
    box = re.search(r"""viewBox\s*=\s*["']\s*[-+.\deE]+[\s,]+[-+.\deE]+[\s,]+([-+.\deE]+)[\s,]+([-+.\deE]+)""", head)
    sides = [re.search(rf"""\s{name}\s*=\s*["']\s*([.\deE+]+)(?!\s*%)""", head) for name in ("width", "height")]
    try:
        if sides[0] and sides[1]:
            return float(sides[0][1]) >= float(sides[1][1])
        return box is None or float(box[1]) >= float(box[2])
    except ValueError:
        return True


def _has_text(text: str) -> bool:
    """Fonts take long to load; few drawings need them."""
    return "<text" in text or ":text" in text
