"""A contact sheet: some of the composed images with their boxes, to be looked at before anything is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from logolens.data.synthesis.composing import LogoBox

__all__ = ["contact_sheet"]

_WIDE, _HIGH, _FOOT = 216, 168, 22
_COLUMNS = 6


def contact_sheet(items: Sequence[tuple[Path, str, Sequence[LogoBox]]]) -> Image.Image:
    """The images small, each with its label below and a thin line around every logo.

    Args:
        items: file, label and boxes of each.
    """
    rows = max(1, -(-len(items) // _COLUMNS))
    sheet = Image.new("RGB", (_COLUMNS * _WIDE, rows * (_HIGH + _FOOT)), (248, 248, 246))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for place, (path, label, boxes) in enumerate(items):
        left, top = place % _COLUMNS * _WIDE, place // _COLUMNS * (_HIGH + _FOOT)
        with Image.open(path) as image:
            small = ImageOps.contain(image.convert("RGB"), (_WIDE - 8, _HIGH - 4))
            scale = small.width / image.width
        x, y = left + (_WIDE - small.width) // 2, top + (_HIGH - small.height) // 2
        sheet.paste(small, (x, y))
        for box in boxes:
            corners = (box.x1 * scale + x - 1, box.y1 * scale + y - 1, box.x2 * scale + x, box.y2 * scale + y)
            draw.rectangle(corners, outline=(255, 64, 160))
        text = label if len(label) <= 26 else f"{label[:25]}…"
        draw.text((left + 6, top + _HIGH), text, fill=(40, 40, 40), font=font)
    return sheet
