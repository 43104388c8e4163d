"""What the demo leaves to look at: its page, a contact sheet of its photos, and one picture of photos with answers."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from logolens.bundle.plots import plot_confusion
from logolens.config import BACKGROUND
from logolens.data.synthesis.artwork import Artwork
from logolens.errors import DataError
from logolens.evaluation.html_page import Code, Figure, Gallery, Part, Section, Table, Text, Thumb, Tiles, page
from logolens.io.atomic import write_file
from logolens.metrics import Evaluation
from logolens.recipes.demo.brands import CHANGED_BRAND, artwork
from logolens.recipes.demo.trial import Answer, DemoResult, Trial

__all__ = ["contact_sheet", "demo_page", "readme_picture"]

_PICTURE_BYTES = 240_000


def contact_sheet(
    photos: Sequence[Path], path: str | os.PathLike[str], *, columns: int = 8, side: int = 160, force: bool = False
) -> Path:
    """Write a PNG of photos side by side, each fitted into a square of ``side`` pixels above its folder's name.

    Raises:
        DataError: there are no photos.
        UsageError: the file is there and ``force`` is not given, or it cannot be written.
    """
    if not photos:
        raise DataError("There are no photos to lay out. Name at least one.")
    strip = 20
    rows = -(-len(photos) // columns)
    sheet = Image.new("RGB", (min(columns, len(photos)) * side, rows * (side + strip)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, photo in enumerate(photos):
        x, y = number % columns * side, number // columns * (side + strip)
        with Image.open(photo) as image:
            small = ImageOps.contain(image.convert("RGB"), (side - 6, side - 6))
        sheet.paste(small, (x + (side - small.width) // 2, y + (side - small.height) // 2))
        draw.text((x + side / 2, y + side), photo.parent.name, fill=(50, 50, 60), font=_font(13), anchor="ma")
    return write_file(path, _png(sheet), force=force)


def readme_picture(result: DemoResult, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write a PNG, 1200 pixels wide and below 250 KB, of twelve unseen photos with their answers.

    The photos are taken evenly from all answers, so that right, wrong and ``none`` stand in it about as they occur.

    Raises:
        UsageError: the file is there and ``force`` is not given, or it cannot be written.
    """
    chosen = _sample(result.brands.answers, 12)
    across, gap, photo_w, photo_h, foot = 6, 10, 188, 150, 46
    rows = -(-len(chosen) // across)
    canvas = Image.new("RGB", (1200, gap + rows * (photo_h + foot + gap)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, answer in enumerate(chosen):
        x, y = gap + number % across * (photo_w + gap), gap + number // across * (photo_h + foot + gap)
        with Image.open(answer.photo) as image:
            # Grain costs most of a PNG's bytes and shows nothing at this size.
            small = ImageOps.fit(image.convert("RGB"), (photo_w, photo_h)).filter(ImageFilter.MedianFilter(3))
        canvas.paste(small, (x, y))
        good = (23, 105, 58) if answer.right else (180, 35, 24)
        draw.rectangle((x, y, x + photo_w - 1, y + photo_h + foot - 1), outline=(210, 214, 220))
        text = f"{_title(result, answer.prediction.label)}  {answer.prediction.confidence or 0.0:.0%}"
        draw.text((x + 7, y + photo_h + 5), text, fill=good, font=_font(15))
        length = (photo_w - 14) * (answer.prediction.confidence or 0.0)
        below = y + photo_h + 28
        if answer.right:
            draw.rectangle((x + 7, below + 2, x + photo_w - 8, below + 8), fill=(232, 235, 239))
            draw.rectangle((x + 7, below + 2, x + 7 + length, below + 8), fill=good)
        else:
            draw.text((x + 7, below - 2), f"is: {_title(result, answer.true)}", fill=(91, 100, 114), font=_font(12))
    for colours in (256, 160, 96, 64, 40, 24):
        data = _png(canvas.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE))
        if len(data) <= _PICTURE_BYTES:
            break
    return write_file(path, data, force=force)


def demo_page(result: DemoResult) -> str:
    """The page of a finished demo: one HTML text that needs no other file."""
    brands, data = result.brands, result.data
    names = ", ".join(data.titles[label] for label in data.labels)
    figures = brands.evaluation
    tiles = [(_percent(figures.top1), f"top-1 accuracy: of unseen logos named right{_interval(figures)}")]
    if (missed := _missed(brands)) is not None:
        tiles.append((_percent(missed), "miss rate: of unseen logos answered none"))
    if figures.none is not None:
        tiles.append(
            (_percent(figures.none.false_alarm_rate), "false-alarm rate: of photos without these logos given a label")
        )
    if result.oldnew is not None:
        tiles.append((_percent(result.oldnew.evaluation.top1), "of old and new logos told apart"))
    tiles.append((f"{sum(result.seconds.values()):.0f} s", "for all of it"))
    lead = (
        f"logolens composed {sum(data.counts.values())} photo-like pictures of real brands' logos, trained on "
        f"{data.counts['train']} of them, and was then asked about {data.counts['unseen']} that it had not seen, "
        "on backgrounds that it had not seen either."
    )
    sections = [
        Section("What came out", [Tiles(tiles), Text(_reading(brands))]),
        Section("What was done", _steps(result, names)),
        *_curves(brands),
        Section("Unseen photos, label by label", [_per_label(result, figures), _confusion(result, brands)]),
        Section("Photos and answers", _galleries(result)),
    ]
    if nones := [answer for answer in brands.answers if answer.true == BACKGROUND]:
        chosen = [a for a in nones if not a.right][:6] + [a for a in nones if a.right][:6]
        caption = (
            "Walls, words, plain shapes, and brands that training never showed, not even as an example of something "
            "else. The right answer is none; wrong answers stand first."
        )
        sections.append(Section("Photos that show none of the labels", [_gallery(result, chosen, caption)]))
    if result.oldnew is not None:
        sections.append(Section("The old logo or the new one?", _oldnew(result, result.oldnew)))
    sections.append(Section("The same on your own photos", _own(result)))
    return page("logolens: a demonstration", *sections, lead=lead)


def _reading(trial: Trial) -> str:
    figures = trial.evaluation
    text = (
        f"Of {figures.n} unseen photos that show one of the {len(figures.per_class)} brands, {_percent(figures.top1)} "
        "got the right label when one of the brands must be named"
    )
    low, high = figures.top1_ci95
    if low is not None and high is not None:
        text += f"; with as many other photos of this kind expect from {_percent(low)} to {_percent(high)}"
    text += f". The right one is among the best five for {_percent(figures.top5)}."
    if figures.none is not None and figures.none.auroc is not None:
        text += (
            f" {figures.none.n} further photos show none of them; a photo with a logo is held for more logo-like than "
            f"one without in {_percent(figures.none.auroc)} of all pairs (AUROC {figures.none.auroc:.3f})."
        )
    missed = _missed(trial)
    if missed is not None:
        text += (
            f" It may also say that a photo shows none of the brands, and does so for {_percent(missed)} of the photos "
            "that do show one: the price of few false alarms, set by --max-false-alarms."
        )
    return text


def _missed(trial: Trial) -> float | None:
    """The share of photos with a logo that were answered with none; None where the bundle knows no such answer."""
    logos = [answer for answer in trial.answers if answer.true != BACKGROUND]
    if not logos or BACKGROUND not in logos[0].prediction.scores:
        return None
    return sum(answer.prediction.label == BACKGROUND for answer in logos) / len(logos)


def _steps(result: DemoResult, names: str) -> list[Part]:
    data, brands = result.data, result.brands
    rows = [
        ("compose photos", f"{sum(data.counts.values())} photos", f"{result.seconds['composing']:.1f}"),
        ("train on the brands", f"{data.counts['train']} photos", f"{brands.seconds['training']:.1f}"),
        ("answer unseen photos", f"{data.counts['unseen']} photos", f"{brands.seconds['answering']:.1f}"),
    ]
    if result.oldnew is not None:
        rows.append(("train and ask: old or new", f"{data.counts['oldnew']} and {data.counts['oldnew-unseen']} photos",
                     f"{result.seconds['old or new']:.1f}"))  # fmt: skip
    parts: list[Part] = [
        Text(
            f"The brands: {names}. Their artwork comes from simple-icons-pack (public domain), drawn on signs, "
            "stickers, cloth and screens at an angle, in poor light, half hidden, out of focus, and saved as JPEG."
        ),
        Text(
            "A network that was trained on a million everyday photos turns each photo into numbers; only a small "
            "head on top of it was trained here. Part of the photos was held back to stop at the right moment."
        ),
        Table(("step", "on", "seconds"), rows, numbers=(2,)),
    ]
    if data.absent:
        parts.append(
            Text(
                f"The installed packages of brand artwork lack {', '.join(data.absent)}; the demo went on without. "
                "Figures of other installations are not comparable with these."
            )
        )
    return parts


def _curves(trial: Trial) -> list[Section]:
    file = trial.training.bundle / "curves.png"
    if not file.is_file():
        return []
    caption = (
        "Loss and accuracy of the head alone after each pass over the training photos; its validation photos are seen once, as a "
        "whole. The answers to unseen photos rest on closer views and other experts too, where these help, so they can be right "
        "more often than the curve ends at."
    )
    return [Section("Training", [Figure(file.read_bytes(), "Curves of loss and accuracy over the epochs", caption)])]


def _per_label(result: DemoResult, figures: Evaluation) -> Table:
    rows = [
        (_title(result, label), str(row.n), _share(row.precision), _share(row.recall), _share(row.f1))
        for label, row in figures.per_class.items()
    ]
    return Table(("brand", "photos", "precision", "recall", "F1"), rows, numbers=(1, 2, 3, 4))


def _confusion(result: DemoResult, trial: Trial) -> Figure:
    file = plot_confusion(
        trial.evaluation, result.out / f"{trial.training.bundle.name}-unseen.png", title="Unseen photos", force=True
    )
    return Figure(file.read_bytes(), "Confusion matrix", "One row a true label, one column an answer.")


def _galleries(result: DemoResult) -> list[Part]:
    logos = [answer for answer in result.brands.answers if answer.true != BACKGROUND]
    right, wrong = [a for a in logos if a.right], [a for a in logos if not a.right]
    first = {answer.true: answer for answer in reversed(right)}
    hard = sorted(right, key=lambda a: a.prediction.confidence or 0.0)
    shown = list(first.values())[::-1] + [a for a in hard if a not in first.values()][:6]
    parts: list[Part] = [
        _gallery(result, shown, "Answered right: one photo of each brand, then those it was least sure of.")
    ]
    if wrong:
        wrong = sorted(wrong, key=lambda a: -(a.prediction.confidence or 0.0))
        caption = f"Answered wrong ({len(wrong)} in all), the surest first."
        parts.append(_gallery(result, wrong[:18], caption))
    return parts


def _oldnew(result: DemoResult, trial: Trial) -> list[Part]:
    old, new = artwork(CHANGED_BRAND, year="2022"), artwork(CHANGED_BRAND)
    figures = trial.evaluation
    wrong = [a for a in trial.answers if not a.right]
    right = [a for a in trial.answers if a.right]
    shown = wrong[:6] + _sample(right, 12)
    return [
        Text(
            f"{new.title} took a new emblem. This task has the labels old and new, and the photos are composed from "
            "the artwork of 2022 (from simpleicons) and of today."
        ),
        Gallery(
            [
                Thumb(_jpeg(_on_white(old)), caption="old: the artwork of 2022"),
                Thumb(_jpeg(_on_white(new)), caption="new: the artwork of today"),
            ]
        ),
        Text(
            f"Trained on {result.data.counts['oldnew']} photos, it named {_percent(figures.top1)} of {figures.n} "
            f"unseen ones right{_interval(figures)}."
        ),
        *(part for section in _curves(trial) for part in section.parts),
        _confusion(result, trial),
        _gallery(result, shown, "Unseen photos, wrong answers first."),
    ]


def _own(result: DemoResult) -> list[Part]:
    example = next((a for a in result.brands.answers if a.right), result.brands.answers[0])
    return [
        Text("Put photos into one folder a label, some that show none of them into a folder called none, and run:"),
        Code(
            "logolens train photos/ --out bundle/\n"
            "logolens evaluate bundle/ other-photos/\n"
            "logolens predict bundle/ photo.jpg --show answer.png"
        ),
        Text("With what the demo made, from its folder:"),
        Code(
            "logolens train data/train.csv --out again/\n"
            "logolens evaluate again/ data/unseen\n"
            f"logolens predict again/ {example.photo.relative_to(result.out).as_posix()} --json"
        ),
        Text("The same from Python:"),
        Code(
            "from logolens import Classifier\n\n"
            'for answer in Classifier.load("bundle").predict(["photo.jpg"]):\n'
            "    print(answer.image, answer.label, answer.confidence)"
        ),
    ]


def _gallery(result: DemoResult, answers: Sequence[Answer], caption: str) -> Gallery:
    thumbs = []
    for answer in answers:
        with Image.open(answer.photo) as image:
            small = ImageOps.contain(image.convert("RGB"), (300, 300))
        label = answer.prediction.label
        thumbs.append(
            Thumb(
                _jpeg(small),
                predicted=_title(result, label),
                true=_title(result, answer.true),
                confidence=answer.prediction.confidence,
            )
        )
    return Gallery(thumbs, caption)


def _sample(answers: Sequence[Answer], count: int) -> list[Answer]:
    """Some answers, evenly spaced over all."""
    if len(answers) <= count:
        return list(answers)
    return [answers[(2 * i + 1) * len(answers) // (2 * count)] for i in range(count)]


def _title(result: DemoResult, label: str | None) -> str:
    return "" if label is None else result.data.titles.get(label, label)


def _interval(figures: Evaluation) -> str:
    low, high = figures.top1_ci95
    return "" if low is None or high is None else f" (95 % interval {_percent(low)} to {_percent(high)})"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value * 100:.1f} %"


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _on_white(art: Artwork) -> Image.Image:
    drawn = ImageOps.contain(ImageOps.invert(Image.fromarray(art.alpha)), (240, 240))
    return ImageOps.pad(drawn, (280, 280), color=255, method=Image.Resampling.LANCZOS).convert("RGB")


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _font(size: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
