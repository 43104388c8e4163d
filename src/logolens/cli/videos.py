"""What `predict` says of videos: lines, a table of appearances, and pictures of the surest frames."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from logolens.cli.console import counted, echo, hint, message
from logolens.errors import UsageError

if TYPE_CHECKING:
    from logolens.inference.videos import VideoPrediction

__all__ = ["APPEARANCE_COLUMNS", "check_stills", "is_timeline", "print_video", "write_stills", "write_timeline"]

APPEARANCE_COLUMNS = (
    "video",
    "label",
    "start",
    "end",
    "seconds",
    "confidence",
    "at",
    "share",
    "largest",
    "box",
    "error",
)
"""The columns of a CSV file of appearances, which has a row for each, and one for a video that could not be read."""

_ODD = re.compile(r"[^\w.-]+")


def print_video(answer: VideoPrediction) -> None:
    """Print when each logo is seen."""
    from logolens.inference.videos import time_text

    if answer.error is not None:
        message(f"{answer.video}: {answer.error}")
        return
    looked = f"{time_text(answer.seconds)}, {counted(answer.frames, 'frame')} looked at"
    if not answer.logos:
        sure = "" if answer.confidence is None else f"{answer.confidence:6.1%}"
        echo(f"{sure:6}  none  {answer.video}  ({looked})")
    for logo in answer.logos:
        large = "" if logo.share is None else f", {logo.share:.1%} of the frame"
        echo(f"{logo.confidence:6.1%}  {logo.label}  {answer.video}  {logo.seconds:.1f} s of {looked}{large}")
        for one in logo.appearances:
            echo(
                f"{one.confidence:6.1%}    {time_text(one.start)} to {time_text(one.end)}, surest at {time_text(one.at)}"
            )
    if answer.note is not None:
        message(f"{answer.video}: {answer.note}")


def is_timeline(path: Path) -> bool:
    """Whether a file is a table of appearances, so that a further one may take its place."""
    from logolens.io.files import open_regular

    heading = ",".join(APPEARANCE_COLUMNS).encode()
    try:
        with open_regular(path) as file:
            return file.readline(len(heading) + 2).rstrip(b"\r\n") == heading
    except OSError:
        return False


def write_timeline(answers: Sequence[VideoPrediction], path: Path) -> None:
    """Write a table with a row for each appearance, times in seconds."""
    from logolens.io.atomic import written_beside
    from logolens.io.names import text_of
    from logolens.scan.output import safe_cell

    with written_beside(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(APPEARANCE_COLUMNS)
        for answer in answers:
            name = safe_cell(text_of(answer.video))
            if answer.error is not None:
                writer.writerow([name, *[None] * (len(APPEARANCE_COLUMNS) - 2), safe_cell(text_of(answer.error))])
            for logo in answer.logos:
                for one in logo.appearances:
                    writer.writerow(
                        [name, safe_cell(logo.label), *(f"{value:.3f}" for value in (one.start, one.end, one.seconds)),
                         one.confidence, f"{one.at:.3f}", _number(one.share), _number(one.largest),
                         None if one.box is None else " ".join(f"{edge:.4f}" for edge in one.box), None]
                    )  # fmt: skip
    hint(f"When logos are seen is in {path}.")


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def check_stills(folder: Path | None, force: bool) -> None:
    """See that pictures can be written there, before any video is looked at."""
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder for the pictures.")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{folder} is not empty; name another folder, or have files in it replaced with --force.")


def write_stills(answers: Sequence[VideoPrediction], folder: Path) -> None:
    """Write the surest frame of each logo of each video as a JPEG file, in order: ``0001-film-acme.jpg``."""
    from logolens.io.atomic import write_atomically
    from logolens.io.names import text_of, written_name

    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for answer in answers:
        for logo in answer.logos:
            if logo.still is not None:
                number += 1
                stem = _ODD.sub("_", Path(text_of(answer.video)).stem)[:60]
                name = f"{number:04}-{stem}-{_ODD.sub('_', logo.label)[:60]}.jpg"
                write_atomically(folder / written_name(name), logo.still)
    hint(f"{counted(number, 'picture')} of the surest frames in {folder}.")
