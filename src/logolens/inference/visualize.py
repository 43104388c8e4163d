"""Pictures of predictions: the photo beside a bar chart of its confidences, and contact sheets. Needs Pillow alone."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from logolens.config import BACKGROUND
from logolens.errors import DataError, UsageError
from logolens.inference.word_sentences import word_sentence
from logolens.io.atomic import write_file
from logolens.io.fonts import fit_lines, font_for
from logolens.types import Box

__all__ = ["draw_prediction", "encoded", "picture_kind", "show_prediction", "show_predictions"]


_PAPER, _FRAME, _INK, _SOFT = (255, 255, 255), (243, 244, 246), (17, 24, 39), (75, 85, 99)
_ANSWER, _OTHER, _TRACK, _ALARM = (31, 95, 168), (147, 180, 217), (229, 231, 235), (180, 35, 24)
_MARGIN, _PANEL = 24, 420
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def show_prediction(
    image: Image.Image | None,
    prediction: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    top: int = 5,
    boxes: Sequence[Box] = (),
    force: bool = False,
) -> Path:
    """Write the photo with its label and a bar chart of the largest confidences.

    Args:
        image: the photo; None where it could not be read.
        prediction: ``{"image", "label", "confidence", "scores", "error", "box", "logos", "words", "read"}``, any of which may
            be absent or None; a box is in fractions of the photo's sides.
        path: a .png, .jpg or .webp file to write.
        top: how many bars.
        boxes: (x1, y1, x2, y2) in the photo's pixels, drawn on it.
        force: replace a file of that name.

    Raises:
        UsageError: the suffix is another one, the file is there already, or it cannot be written.
    """
    kind = picture_kind(path)
    canvas = draw_prediction(image, prediction, top=top, boxes=boxes)
    return write_file(path, encoded(canvas, kind), force=force)


def draw_prediction(
    image: Image.Image | None, prediction: Mapping[str, Any], *, top: int = 5, boxes: Sequence[Box] = ()
) -> Image.Image:
    """The picture that `show_prediction` writes, of the same arguments."""
    # A wide photo stands above its chart, any other beside it.
    wide = image is not None and image.width > 1.9 * image.height
    boxes = [*boxes, *_predicted_boxes(image, prediction)]
    photo = _photo(image, (920, 520) if wide else (620, 560), boxes, _written(image, prediction))
    across = 920 if wide else _PANEL
    panel = _panel(prediction, across, top)
    if wide:
        size = (across, photo.height + _MARGIN + panel.height)
        frame, at = (across, photo.height), (0, photo.height + _MARGIN)
    else:
        frame_width = max(photo.width, 280)
        height = max(photo.height, panel.height, 240)
        size, frame, at = (frame_width + _MARGIN + across, height), (frame_width, height), (frame_width + _MARGIN, 0)
    canvas = Image.new("RGB", (size[0] + 2 * _MARGIN, size[1] + 2 * _MARGIN), _PAPER)
    canvas.paste(_centred(photo, frame), (_MARGIN, _MARGIN))
    canvas.paste(panel, (at[0] + _MARGIN, at[1] + _MARGIN))
    return canvas


def show_predictions(
    items: Iterable[tuple[Image.Image | None, Mapping[str, Any]]],
    path: str | os.PathLike[str],
    *,
    columns: int = 4,
    most: int = 60,
    total: int | None = None,
    force: bool = False,
) -> Path:
    """Write a contact sheet: each photo small, with its label and confidence. One photo alone gets `show_prediction`.

    Args:
        items: photos (None where one could not be read) with their predictions; no more than `most` are taken, and
            none is held once it is drawn, so that a generator may open one photo after the other.
        path: a .png, .jpg or .webp file to write.
        columns: cards in a row.
        most: how many cards at most.
        total: how many photos there are, to say how many are not shown.
        force: replace a file of that name.

    Raises:
        DataError: there is nothing to show.
        UsageError: a number is below 1, the suffix is another one, or the file cannot be written.
    """
    kind = picture_kind(path)
    if columns < 1 or most < 1:
        raise UsageError(f"A contact sheet needs at least one column and one card; got {columns} and {most}.")
    taken = islice(items, most)
    first = list(islice(taken, 2))
    if not first:
        raise DataError("There is no prediction to show. Name at least one image.")
    if len(first) == 1 and (total is None or total == 1):
        return show_prediction(*first[0], path, force=force)
    cards = [_card(image, prediction) for image, prediction in first]
    del first
    cards += [_card(image, prediction) for image, prediction in taken]

    across = min(columns, len(cards))
    width, height = cards[0].size
    rows = -(-len(cards) // across)
    hidden = max((total or 0) - len(cards), 0)
    gap, foot = 16, 40 if hidden else 0
    canvas = Image.new(
        "RGB", (across * (width + gap) - gap + 2 * _MARGIN, rows * (height + gap) - gap + 2 * _MARGIN + foot), _PAPER
    )
    for i, card in enumerate(cards):
        canvas.paste(card, (_MARGIN + i % across * (width + gap), _MARGIN + i // across * (height + gap)))
    if hidden:
        draw = ImageDraw.Draw(canvas)
        text = f"{hidden:,} more {'is' if hidden == 1 else 'are'} not shown"
        _text(draw, (_MARGIN, canvas.height - _MARGIN - 22), text, 16, _SOFT, canvas.width - 2 * _MARGIN)
    return write_file(path, encoded(canvas, kind), force=force)


def picture_kind(path: str | os.PathLike[str]) -> str:
    """Pillow's name of the format that a picture's file name asks for.

    Raises:
        UsageError: it asks for none that is written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise UsageError(f"{Path(path)} does not end in .png, .jpg or .webp; name a picture to write.")
    return _FORMATS[suffix]


def encoded(canvas: Image.Image, kind: str) -> bytes:
    """A picture as the bytes of its file."""
    stream = io.BytesIO()
    canvas.save(stream, kind, **({"optimize": True} if kind == "PNG" else {"quality": 90}))
    return stream.getvalue()


def _photo(
    image: Image.Image | None, room: tuple[int, int], boxes: Sequence[Box] = (), words: Sequence[Box] = ()
) -> Image.Image:
    """The photo at the size that fills the room; a tiny one grows eightfold at most."""
    if image is None:
        return _placeholder(room)
    scale = min(room[0] / image.width, room[1] / image.height, 8.0)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    photo = image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    draw = ImageDraw.Draw(photo)
    marked = [*((box, _ANSWER) for box in words), *((box, _ALARM) for box in boxes)]
    for (x1, y1, x2, y2), color in marked:
        left, right = sorted((x1 * scale, x2 * scale))
        upper, lower = sorted((y1 * scale, y2 * scale))
        # Two colours, so that one of them stands out from any photo.
        draw.rectangle((left - 1, upper - 1, right + 1, lower + 1), outline=_PAPER, width=5)
        draw.rectangle((left, upper, right, lower), outline=color, width=3)
    return photo


def _predicted_boxes(image: Image.Image | None, prediction: Mapping[str, Any]) -> list[Box]:
    """The boxes that a prediction tells, in pixels of the image: of all its logos, or of the one."""
    if image is None:
        return []
    found = [logo["box"] for logo in prediction.get("logos") or ()] or [prediction.get("box")]
    width, height = image.size
    return [(x1 * width, y1 * height, x2 * width, y2 * height) for x1, y1, x2, y2 in filter(None, found)]


def _written(image: Image.Image | None, prediction: Mapping[str, Any]) -> list[Box]:
    """Where the words stand that speak for the answer, in pixels of the image."""
    if image is None:
        return []
    width, height = image.size
    found = [word["box"] for word in prediction.get("words") or () if word.get("label") == prediction.get("label")]
    return [(x1 * width, y1 * height, x2 * width, y2 * height) for x1, y1, x2, y2 in found]


def _placeholder(room: tuple[int, int]) -> Image.Image:
    width = min(*room, 400)
    photo = Image.new("RGB", (width, width * 3 // 4), _TRACK)
    draw = ImageDraw.Draw(photo)
    width, height = photo.size
    arm = min(photo.size) // 6
    for sign in (-1, 1):
        ends = (width // 2 - arm, height // 2 - sign * arm, width // 2 + arm, height // 2 + sign * arm)
        draw.line(ends, fill=(156, 163, 175), width=max(3, arm // 6))
    return photo


def _centred(photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    frame = Image.new("RGB", size, _FRAME)
    frame.paste(photo, ((size[0] - photo.width) // 2, (size[1] - photo.height) // 2))
    return frame


def _panel(prediction: Mapping[str, Any], width: int, top: int) -> Image.Image:
    """The label, how sure it is, the file's name, and the bars."""
    canvas = Image.new("RGB", (width, 340 + 64 * max(top, 0)), _PAPER)
    draw = ImageDraw.Draw(canvas)
    head, note, color = _said(prediction)
    y = _text(draw, (0, 0), head, 32, color, width, most=2)
    y = _text(draw, (0, y + 6), note, 18, _SOFT, width, most=5)
    if name := _file_name(prediction):
        y = _text(draw, (0, y + 4), name, 15, _SOFT, width)
    bars = _bars(prediction, top)
    y += 18 if bars else 0
    for label, share in bars:
        is_answer = label == prediction.get("label")
        figure = _percent(share)
        _text(draw, (width - 80, y), figure, 16, _INK, 80, right=True)
        y = _text(draw, (0, y), label, 16, _INK, width - 92) + 4
        draw.rectangle((0, y, width - 1, y + 13), fill=_TRACK)
        if share > 0:
            end = max(1, round((width - 1) * min(share, 1.0)))
            draw.rectangle((0, y, end, y + 13), fill=_ANSWER if is_answer else _OTHER)
        y += 28
    return canvas.crop((0, 0, width, max(y, 1)))


def _card(image: Image.Image | None, prediction: Mapping[str, Any]) -> Image.Image:
    """One photo of a contact sheet."""
    width, height, foot = 260, 220, 106
    canvas = Image.new("RGB", (width, height + foot), _PAPER)
    photo = _photo(image, (width, height), _predicted_boxes(image, prediction), _written(image, prediction))
    canvas.paste(_centred(photo, (width, height)), (0, 0))
    draw = ImageDraw.Draw(canvas)
    head, note, color = _said(prediction)
    y = _text(draw, (0, height + 8), head, 20, color, width)
    share = prediction.get("confidence")
    if prediction.get("label") is not None and share is not None:
        draw.rectangle((0, y + 4, width - 1, y + 11), fill=_TRACK)
        draw.rectangle((0, y + 4, max(1, round((width - 1) * min(float(share), 1.0))), y + 11), fill=_ANSWER)
        y += 14
    y = _text(draw, (0, y + 4), note, 14, _SOFT, width)
    if name := _file_name(prediction):
        _text(draw, (0, y + 2), name, 13, _SOFT, width)
    return canvas


def _said(prediction: Mapping[str, Any]) -> tuple[str, str, tuple[int, int, int]]:
    """Headline, note and the headline's colour."""
    label, share = prediction.get("label"), prediction.get("confidence")
    if label is None:
        return "no answer", str(prediction.get("error") or "The image was not classified."), _ALARM
    sure = "" if share is None else f"{_percent(float(share))} sure"
    if label == BACKGROUND:
        return BACKGROUND, "shows none of the labels" + (f", {sure}" if sure else ""), _SOFT
    word = next((word for word in prediction.get("words") or () if word.get("label") == label), None)
    if word is not None:
        sentence = word_sentence(word, bool(prediction.get("read")))
        sure = f"{sure}. {sentence}" if sure else sentence
    return str(label), sure, _INK


def _bars(prediction: Mapping[str, Any], top: int) -> list[tuple[str, float]]:
    scores = prediction.get("scores") or {}
    if prediction.get("label") is None:
        return []
    ranked = sorted(((str(label), float(share)) for label, share in scores.items()), key=lambda pair: -pair[1])
    return ranked[: max(top, 0)]


def _file_name(prediction: Mapping[str, Any]) -> str:
    name = str(prediction.get("image") or "").replace("\\", "/")
    return name.rstrip("/").rsplit("/", 1)[-1]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _text(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    color: tuple[int, int, int],
    width: int,
    *,
    most: int = 1,
    right: bool = False,
) -> int:
    """Draw a text within a width, and return the y below it."""
    font = font_for(text, size)
    x, y = at
    for line in fit_lines(text, font, width, most):
        draw.text((x + width - font.getlength(line) if right else x, y), line, font=font, fill=color)
        y += round(size * 1.3)
    return y
