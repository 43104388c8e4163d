"""A picture of what an answer rests on: where the network saw it, and the points that match a reference. Needs Pillow alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from logolens.inference.proofs import MatchProof, Proofs, Spot
from logolens.inference.results import Explanation
from logolens.inference.visualize import encoded, picture_kind
from logolens.io.atomic import write_file
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
    found: Explanation,
    path: str | os.PathLike[str],
    *,
    proofs: Proofs = Proofs(),
    force: bool = False,
) -> Path:
    """Write the photo with its heat-map, and with the reference that was found in it, matched points joined by lines.

    Args:
        image: the photo.
        prediction: as `show_prediction` takes it.
        found: what the answer rests on.
        path: a .png, .jpg or .webp file to write.
        proofs: what is drawn on the photo and beside it; see `proofs_of`.
        force: replace a file of that name.

    Raises:
        UsageError: the suffix is another one, the file is there already, or it cannot be written.
    """
    kind = picture_kind(path)
    photo = _fitted(image, _PHOTO)
    match = proofs.match
    reference = None if match is None or match.picture is None else _fitted(match.picture, _REFERENCE)
    warm = _warmed(photo, found.heat)
    width = 2 * _MARGIN + photo.width + _GAP + max(reference.width if reference is not None else 0, warm.width)
    tops = _MARGIN + 3 * _LETTERS
    first = max(photo.height, reference.height if reference is not None else 0)
    canvas = Image.new("RGB", (width, tops + first + _GAP + 2 * _LETTERS + warm.height + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(canvas)
    share = prediction.get("confidence")
    title = f"{prediction.get('label')}" + ("" if share is None else f", {100 * float(share):.1f} % sure")
    _write(draw, (_MARGIN, _MARGIN - 8), title, 24, _INK, width - 2 * _MARGIN)
    canvas.paste(photo if proofs.pair is None else _marked(photo, proofs.pair.cells), (_MARGIN, tops))
    _draw_places(draw, proofs, photo.size, tops)
    if match is not None and match.picture is not None and reference is not None:
        beside = (_MARGIN + photo.width + _GAP, tops)
        canvas.paste(reference, beside)
        _join(draw, match, photo.size, (_MARGIN, tops), beside, reference.width / match.picture.width)
    y = tops + first + 6
    _write(draw, (_MARGIN, y), _note(proofs, found.label), _LETTERS, _SOFT, width - 2 * _MARGIN)
    canvas.paste(warm, (_MARGIN, y + 2 * _LETTERS + 8))
    legend = f"Where the network sees {found.label}: warm is more"
    room = width - warm.width - 2 * _MARGIN - 12
    _write(draw, (_MARGIN + warm.width + 12, y + 2 * _LETTERS + 8), legend, 16, _SOFT, room)
    return write_file(path, encoded(canvas, kind), force=force)


def _draw_places(draw: ImageDraw.ImageDraw, proofs: Proofs, size: tuple[int, int], tops: int) -> None:
    """The logo's outline, and a frame around the word that was read."""
    if proofs.outline:
        corners = [(_MARGIN + x * size[0], tops + y * size[1]) for x, y in proofs.outline]
        draw.line([*corners, corners[0]], fill=_ALARM, width=3)
    if proofs.word is not None:
        left, upper, right, lower = proofs.word.box
        spots = [(_MARGIN + x * size[0], tops + y * size[1]) for x, y in ((left, upper), (right, lower))]
        draw.rectangle((*spots[0], *spots[1]), outline=_WORD, width=3)


def _join(
    draw: ImageDraw.ImageDraw,
    match: MatchProof,
    size: tuple[int, int],
    at: tuple[int, int],
    beside: tuple[int, int],
    grow: float,
) -> None:
    """Lines from points of the photo, which stands at one place, to those of the reference, at another and so much larger."""
    step = max(1, len(match.source) // _MOST_LINES)
    for (x, y), (u, v) in list(zip(match.source, match.target, strict=True))[::step]:
        here = (at[0] + u * size[0], at[1] + v * size[1])
        there = (beside[0] + x * grow, beside[1] + y * grow)
        draw.line((*here, *there), fill=_LINE, width=1)
        for spot in (here, there):
            draw.ellipse((spot[0] - 3, spot[1] - 3, spot[0] + 3, spot[1] + 3), outline=_LINE, width=2)


def _note(proofs: Proofs, label: str) -> str:
    """What is seen on the picture, in words."""
    match, word = proofs.match, proofs.word.sentence if proofs.word is not None else ""
    is_drawn = match is not None and match.picture is not None
    if match is not None and is_drawn:
        note = f"{len(match.source)} points lie as in this reference of {label}"
        note += f", from {match.from_photo}" if match.from_photo else ""
        note += f". {word}" if word else ""
    else:
        note = "No reference was found by its drawing"
        note += f". {word}." if word else "; the answer is the network's."
    if proofs.pair is not None:
        # The drawing did take part then, whether or not the matcher has a reference to show.
        note = f"{note}. " if is_drawn else ""
        note += f"Green places tell it from {proofs.pair.other_label}; red ones speak against."
    return note


def _fitted(image: Image.Image, room: tuple[int, int]) -> Image.Image:
    scale = min(room[0] / image.width, room[1] / image.height, 4.0)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _marked(photo: Image.Image, cells: Sequence[tuple[Sequence[Spot], float]]) -> Image.Image:
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
