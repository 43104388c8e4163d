"""The images and further stylesheets that a stylesheet names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Sheet", "read_css"]

_STRING = r"""(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'"""
_URL = re.compile(
    r"""(@import\s{0,9}|@namespace\s[^;]{0,99})?\burl\(\s{0,99}"""
    + _STRING
    + r"""|((?:[^)"'\s\\]|\\[0-9a-fA-F]{1,6}\s?|\\.)*))""",
    re.I,
)
_IMPORT = re.compile(r"@import\s{0,9}" + _STRING + ")", re.I)
_SET = re.compile(r"image-set\(([^;{}]{1,20000})", re.I)
_QUOTED = re.compile(_STRING + ")")
_FONT_FACE = re.compile(r"@font-face\b", re.I)
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.S)
_NO_IMAGES = (".woff", ".woff2", ".ttf", ".otf", ".eot", ".css", ".cur", ".mp4", ".webm")


@dataclass
class Sheet:
    """What a stylesheet names, as it is written there."""

    images: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)


def read_css(text: str) -> Sheet:
    """All that a stylesheet, or one element's style, draws in. Broken rules hide nothing behind them."""
    sheet = Sheet()
    text = _without_fonts(_without_comments(text))
    for found in _IMPORT.finditer(text):
        sheet.imports.append(_plain(found[1] or found[2] or ""))
    for found in _URL.finditer(text):
        address = _plain(next((group for group in found.groups()[1:] if group), ""))
        rule = (found[1] or "").lower()
        if rule.startswith("@import"):
            sheet.imports.append(address)
        elif not rule and _is_image(address):
            sheet.images.append(address)
    for choices in _SET.finditer(text):
        for found in _QUOTED.finditer(choices[1]):
            address = _plain(found[1] or found[2] or "")
            if _is_image(address) and "/" in address.replace("image/", "", 1):
                sheet.images.append(address)
    sheet.images = list(dict.fromkeys(sheet.images))
    return sheet


def _is_image(address: str) -> bool:
    if not address or address.startswith(("#", "data:font", "data:application", "about:")):
        return False
    return not address.partition("?")[0].partition("#")[0].lower().endswith(_NO_IMAGES)


def _without_comments(text: str) -> str:
    if "/*" not in text:
        return text
    kept = []
    position = 0
    while (start := text.find("/*", position)) >= 0:
        kept.append(text[position:start])
        end = text.find("*/", start + 2)
        if end < 0:
            return " ".join(kept)
        position = end + 2
    kept.append(text[position:])
    return " ".join(kept)


def _without_fonts(text: str) -> str:
    """Fonts may be SVG files too, and show nothing."""
    kept = []
    position = 0
    while found := _FONT_FACE.search(text, position):
        kept.append(text[position : found.start()])
        end = text.find("}", found.end())
        position = len(text) if end < 0 else end + 1
    kept.append(text[position:])
    return " ".join(kept)


def _plain(text: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        if found[1]:
            code = int(found[1], 16)
            return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
        return "" if found[2] == "\n" else found[2]

    return _ESCAPE.sub(replaced, text).strip() if "\\" in text else text.strip()
