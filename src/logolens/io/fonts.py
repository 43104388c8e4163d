"""Letters for pictures: a font that has the characters of a text, and lines that fit a width. Needs Pillow alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from PIL import ImageFont

__all__ = ["Font", "escape_missing", "fit_lines", "font_for", "readable"]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont | ImageFont.TransposedFont

# What Pillow's own font lacks, looked for by file name in the system's font folders: Linux, Windows, macOS.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "NotoSans-Regular.ttf",
    "wqy-zenhei.ttc",
    "segoeui.ttf",
    "msyh.ttc",
    "YuGothR.ttc",
    "malgun.ttf",
    "Nirmala.ttc",
    "LeelawUI.ttf",
    "Arial Unicode.ttf",
    "Hiragino Sans GB.ttc",
    "PingFang.ttc",
    "AppleSDGothicNeo.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
)


def escape_missing(text: str, has: Callable[[str], bool]) -> str:
    """The text with each character that the font lacks written as its code point, so that labels stay apart."""
    return "".join(
        character if character.isspace() or has(character) else f"[{ord(character):04X}]" for character in text
    )


def font_for(text: str, size: int) -> Font:
    """The first font that has every character of the text, else the one that has most of them."""
    wanted = {character for character in text if not character.isspace()}
    best, most = _default(size), -1
    for name in ("", *_SYSTEM_FONTS):
        font = _default(size) if not name else _system(name, size)
        if font is None:
            continue
        covered = sum(_has(font, character) for character in wanted)
        if covered > most:
            best, most = font, covered
        if covered == len(wanted):
            break
    return best


def readable(text: str, font: Font) -> str:
    """The text on one line, without control characters, and with escapes for what the font lacks."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return escape_missing(" ".join(plain.split()), lambda character: _has(font, character))


def fit_lines(text: str, font: Font, width: int, most: int = 1) -> list[str]:
    """Break a text into at most `most` lines of `width` pixels, the last one cut with an ellipsis."""
    lines: list[str] = []
    rest = readable(text, font)
    ellipsis = "…" if _has(font, "…") else "..."
    while rest:
        if len(lines) == most - 1 or font.getlength(rest) <= width:
            lines.append(_cut(rest, font, width, ellipsis))
            break
        end = _fitting(rest, font, width)
        # Break at a space or after a sign that joins words, unless that would leave the line half empty.
        at = max((rest.rfind(sign, 0, end + (sign == " ")) + (sign != " ") for sign in " -_/."), default=0)
        if at <= end // 2:
            at = end
        lines.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    return lines


def _fitting(text: str, font: Font, width: int) -> int:
    """How many leading characters fit the width; one at least."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, font: Font, width: int, ellipsis: str) -> str:
    if font.getlength(text) <= width:
        return text
    return text[: _fitting(text, font, width - int(font.getlength(ellipsis)))].rstrip() + ellipsis


@lru_cache(maxsize=32)
def _default(size: int) -> Font:
    try:
        return ImageFont.load_default(size=size)
    except ImportError:  # a Pillow built without FreeType has one bitmap font in one size
        return ImageFont.load_default()


@lru_cache(maxsize=256)
def _system(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)
    except (OSError, ImportError):
        return None


@lru_cache(maxsize=256)
def _unshaped(font: ImageFont.FreeTypeFont) -> ImageFont.FreeTypeFont:
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=8192)
def _has(font: Font, character: str) -> bool:
    """Whether the font draws this character other than it draws one that no font has."""
    try:
        # Shaping moves a mark that stands alone, so that its empty box no longer looks like another's.
        if isinstance(font, ImageFont.FreeTypeFont) and font.layout_engine != ImageFont.Layout.BASIC:
            font = _unshaped(font)
        drawn, absent = font.getmask(character), font.getmask("\U0010fffe")
    except (UnicodeEncodeError, OSError, ValueError):
        return character.isascii()
    return (drawn.size, bytes(drawn)) != (absent.size, bytes(absent))
