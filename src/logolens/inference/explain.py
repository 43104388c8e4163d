"""A picture of what an answer rests on: where the network saw it, and the points that match a reference. Needs Pillow alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from logolens.inference.visualize import encoded, picture_kind
from logolens.io.atomic import write_whole
from logolens.io.fonts import fit_lines, font_for

__all__ = ["show_explanation"]

_PAPER, _INK, _SOFT, _LINE, _ALARM = (255, 255, 255), (17, 24, 39), (75, 85, 99), (22, 163, 74), (180, 35, 24)
_WORD = (31, 95, 168)
_MARGIN, _GAP, _PHOTO, _REFERENCE, _LETTERS = 24, 24, (620, 520), (320, 520), 18
_MOST_LINES = 60
_FAINT = 0.15  # of the strongest place, below which one is not shown


def show_explanation(
    image: Image.Image,
    prediction: Mapping[str, Any],
    label: str,
    heat: npt.NDArray[np.float64],
    path: str | os.PathLike[str],
    *,
    reference: Image.Image | None = None,
    source: Sequence[tuple[float, float]] = (),
    target: Sequence[tuple[float, float]] = (),
    outline: Sequence[tuple[float, float]] = (),
    from_photo: str = "",
    cells: Sequence[tuple[Sequence[tuple[float, float]], float]] = (),
    told_from: str = "",
    word: str = "",
    written: tuple[float, float, float, float] | None = None,
    force: bool = False,
) -> Path:
    """Write the photo with its heat-map, and with the reference that was found in it, matched points joined by lines.

    Args:
        image: the photo.
        prediction: as `show_prediction` takes it.
        label: what is explained.
        heat: how much speaks for the label in each cell of the photo, of shape (rows, columns).
        path: a .png, .jpg or .webp file to write.
        reference: the reference; None where geometry found none.
        source: matched points in pixels of the reference.
        target: the same points in fractions of the photo's sides.
        outline: corners of the logo in fractions of the photo's sides, drawn however they were found.
        from_photo: the name of the photo that the reference was cut from.
        cells: of a pair of near labels, corners of places in fractions of the photo's sides, and how much each speaks for the
            label (or, below 0, for the other).
        told_from: that other label, as a sentence ends with it.
        word: what was read that speaks for the label, as a sentence without its full stop.
        written: where that stands, (x1, y1, x2, y2) in fractions of the photo's sides.
        force: replace a file of that name.

    Raises:
        UsageError: the suffix is another one, the file is there already, or it cannot be written.
    """
    kind = picture_kind(path)
    photo = _fitted(image, _PHOTO)
    other = None if reference is None else _fitted(reference, _REFERENCE)
    warm = _warmed(photo, heat)
    right = other.width if other is not None else 0
    width = 2 * _MARGIN + photo.width + _GAP + max(right, warm.width)
    tops = _MARGIN + 3 * _LETTERS
    first = max(photo.height, other.height if other is not None else 0)
    canvas = Image.new("RGB", (width, tops + first + _GAP + 2 * _LETTERS + warm.height + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(canvas)
    share = prediction.get("confidence")
    told = f"{prediction.get('label')}" + ("" if share is None else f", {100 * float(share):.1f} % sure")
    _write(draw, (_MARGIN, _MARGIN - 8), told, 24, _INK, width - 2 * _MARGIN)
    canvas.paste(photo, (_MARGIN, tops))
    if cells:
        canvas.paste(_marked(photo, cells), (_MARGIN, tops))
    if outline:
        corners = [(_MARGIN + x * photo.width, tops + y * photo.height) for x, y in outline]
        draw.line([*corners, corners[0]], fill=_ALARM, width=3)
    if written is not None:
        left, upper, farther, lower = written
        spots = [(_MARGIN + x * photo.width, tops + y * photo.height) for x, y in ((left, upper), (farther, lower))]
        draw.rectangle((*spots[0], *spots[1]), outline=_WORD, width=3)
    if other is not None and reference is not None:
        at = (_MARGIN + photo.width + _GAP, tops)
        canvas.paste(other, at)
        step = max(1, len(source) // _MOST_LINES)
        grow = other.width / reference.width
        for (x, y), (u, v) in list(zip(source, target, strict=True))[::step]:
            here = (_MARGIN + u * photo.width, tops + v * photo.height)
            there = (at[0] + x * grow, at[1] + y * grow)
            draw.line((*here, *there), fill=_LINE, width=1)
            for spot in (here, there):
                draw.ellipse((spot[0] - 3, spot[1] - 3, spot[0] + 3, spot[1] + 3), outline=_LINE, width=2)
        note = f"{len(source)} points lie as in this reference of {label}" + (
            f", from {from_photo}" if from_photo else ""
        )
    else:
        note = "No reference was found by its drawing"
        note += f". {word}." if word else "; the answer is the network's."
    if word and other is not None:
        note += f". {word}"
    if told_from:
        # The drawing did take part then, whether or not the matcher has a reference to show.
        note = "" if other is None else f"{note}. "
        note += f"Green places tell it from {told_from}; red ones speak against."
    y = tops + first + 6
    _write(draw, (_MARGIN, y), note, _LETTERS, _SOFT, width - 2 * _MARGIN)
    canvas.paste(warm, (_MARGIN, y + 2 * _LETTERS + 8))
    said = f"Where the network sees {label}: warm is more"
    _write(
        draw, (_MARGIN + warm.width + 12, y + 2 * _LETTERS + 8), said, 16, _SOFT, width - warm.width - 2 * _MARGIN - 12
    )
    return write_whole(path, encoded(canvas, kind), force=force)


def _fitted(image: Image.Image, room: tuple[int, int]) -> Image.Image:
    scale = min(room[0] / image.width, room[1] / image.height, 4.0)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _marked(photo: Image.Image, cells: Sequence[tuple[Sequence[tuple[float, float]], float]]) -> Image.Image:
    """The photo with the places that decided: the stronger, the more colour."""
    most = max(abs(share) for _, share in cells) or 1.0
    layer = Image.new("RGBA", photo.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    for corners, share in cells:
        strength = abs(share) / most
        if strength >= _FAINT:
            spots = [(x * photo.width, y * photo.height) for x, y in corners]
            draw.polygon(spots, fill=(*(_LINE if share > 0 else _ALARM), round(150 * strength)))
    return Image.alpha_composite(photo.convert("RGBA"), layer).convert("RGB")


def _warmed(photo: Image.Image, heat: npt.NDArray[np.float64]) -> Image.Image:
    """The photo in grey, half its size, coloured where the label is."""
    small = photo.resize((max(1, photo.width // 2), max(1, photo.height // 2)))
    probability = 1.0 / (1.0 + np.exp(-np.clip(heat, -30, 30)))
    # On a scale of its own: of a sure answer all cells may be likely, and the likeliest are of interest.
    spread = (heat - heat.min()) / max(float(np.ptp(heat)), 1e-9)
    cells = Image.fromarray(np.uint8(255 * np.clip(0.5 * probability + 0.5, 0, 1) * spread))
    mask = np.asarray(cells.resize(small.size, Image.Resampling.BICUBIC), np.float32)[..., None] / 255.0
    grey = np.asarray(small.convert("L").convert("RGB"), np.float32)
    warm = np.array((255.0, 90.0, 0.0), np.float32)
    return Image.fromarray(np.uint8(np.clip(grey * (1 - 0.6 * mask) + warm * 0.6 * mask, 0, 255)))


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, color: tuple[int, int, int], width: int
) -> None:
    font = font_for(text, size)
    x, y = at
    for line in fit_lines(text, font, max(width, 40), 3):
        draw.text((x, y), line, font=font, fill=color)
        y += round(size * 1.3)
