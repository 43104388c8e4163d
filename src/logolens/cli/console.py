"""What people see: progress, hints and notes on standard error, answers and tables on standard output.

Answers (`echo`, `table`, `print_json`) and errors (`message`) are always shown. ``-q`` silences progress and hints, ``-qq``
notes too.
"""

from __future__ import annotations

import codecs
import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from logolens.cli.verbosity import verbosity
from logolens.errors import UsageError
from logolens.io.names import is_active, shown, valid_all
from logolens.types import silent

__all__ = [
    "LINES_EVERY",
    "ProgressLines",
    "counted",
    "duration",
    "echo",
    "hint",
    "make_streams_take_all",
    "message",
    "next_step",
    "note",
    "print_json",
    "progress_bars",
    "quoted",
    "refuse_to_replace",
    "share",
    "table",
]

LINES_EVERY = 10.0
"""Seconds between two lines about the same stage, where standard error is no terminal."""


def message(*lines: object) -> None:
    """Write lines to standard error; what would steer the terminal or break a line is written out, see `shown`."""
    for line in lines:
        print(shown(line), file=sys.stderr)


def note(*lines: object) -> None:
    """Write what should be known of a result, or of the data it came from, to standard error; ``-qq`` silences it."""
    if verbosity() > -2:
        message(*(f"Note: {line}" for line in lines))


def hint(*lines: object) -> None:
    """Write what can be done next, or what was done in passing, to standard error; ``-q`` silences it."""
    if verbosity() >= 0:
        message(*lines)


def next_step(command: str, purpose: str) -> None:
    """Say on standard error which command comes next; ``-q`` silences it."""
    hint(f"Next: {command}  ({purpose})")


def quoted(value: object) -> str:
    """A word of a command line, quoted where the shell would take it for more than one."""
    return shlex.quote(str(value))


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things: 1 image, 1,200 images."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def echo(*lines: object) -> None:
    """Write lines to standard output, likewise."""
    for line in lines:
        print(shown(line))


def print_json(value: object) -> None:
    """Write a line of JSON to standard output. It is exact: what would steer a terminal is escaped as JSON escapes it."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(valid_all(value), ensure_ascii=_is_narrow())
    if not text.isprintable():
        text = "".join(json.dumps(each)[1:-1] if is_active(each) else each for each in text)
    print(text, flush=not sys.stdout.isatty())


def _is_narrow() -> bool:
    """Whether standard output takes less than all of Unicode; then JSON has escapes for the rest."""
    return (sys.stdout.encoding or "utf-8").lower().replace("_", "-") not in ("utf-8", "utf8")


def make_streams_take_all() -> None:
    """Let standard output and standard error take every character: one that their encoding lacks is written out.

    Where that is ASCII, as in the locale C, it is UTF-8 as everywhere else: what is piped into a file is the same then.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # A test's stand-in, or a notebook's, has none.
            narrow = codecs.lookup(stream.encoding or "utf-8").name == "ascii"
            reconfigure(encoding="utf-8" if narrow else None, errors="backslashreplace")


def refuse_to_replace(*paths: Path | None, force: bool, ours: Callable[[Path], bool] = lambda path: False) -> None:
    """See, before long work is begun, that the files that it is to write can be written.

    Args:
        paths: the files; None names none.
        force: whether what is there may be replaced, whatever it is.
        ours: whether a file that is there was written by an earlier run, and so may be replaced all the same.

    Raises:
        UsageError: a file is there and may not be replaced, or its folder is not.
    """
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise UsageError(f"{path} is a folder; name a file to write to.")
        if path.exists() and not force and not ours(path):
            raise UsageError(f"{path} exists already; name another file, or replace it with --force.")
        if not path.parent.is_dir():
            raise UsageError(
                f"{path.parent}, where {path.name} is to be written, is no folder; make it, or name another one."
            )
    if len({path.resolve() for path in paths if path is not None}) < sum(path is not None for path in paths):
        raise UsageError("Two options name the same file to write; name one for each.")


def share(value: float | None, interval: Sequence[float | None] = ()) -> str:
    """A share as a percentage, with its 95 % interval when there is one."""
    if value is None:
        return "not measured"
    text = f"{value:.1%}"
    if len(interval) == 2 and interval[0] is not None and interval[1] is not None:
        text += f"  (95 % interval {interval[0]:.1%} to {interval[1]:.1%})"
    return text


def table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a table to standard output; plain text when it is not a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=any(columns))
    for position, name in enumerate(columns):
        grid.add_column(name, justify="right" if position in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(shown(cell)) for cell in row))
    console.print(grid)


class ProgressLines:
    """Progress as lines, for a log: each stage as it begins, then how far it is and what is left, every ten seconds at most.

    Args:
        clock: seconds that pass.
        write: takes a line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, write: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._write: Callable[[str], None] = write or message
        self._begun: dict[str, tuple[float, int]] = {}
        self._last: dict[str, tuple[int, int]] = {}
        self._told = -math.inf

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Hear of a stage, see `Progress`."""
        now = self._clock()
        fresh = stage not in self._begun
        last, of = self._last.get(stage, (0, total))
        self._last[stage] = done, total
        if total != of or done < self._begun.get(stage, (now, 0))[1] or done < last == total:  # Once more.
            del self._begun[stage]
        # What is there already when a stage begins, as from a cache, took no time and says nothing of the rest.
        begun, first = self._begun.setdefault(stage, (now, done))
        if not fresh and now - self._told < LINES_EVERY:
            return
        self._told = now
        words = [f"{stage}: {done:,} of {total:,}" if total > 1 else stage]
        if total > 1 and first < done < total:
            words.append(f"about {duration((total - done) * (now - begun) / (done - first))} left")
        self._write(", ".join(words))


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} min" if hours < 1 else f"{int(hours)} h {int(minutes) % 60} min"


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on a terminal, one a stage; where standard error is none, `ProgressLines`; with ``-q`` silence."""
    if verbosity() < 0:
        yield silent
        return
    if not sys.stderr.isatty():
        yield ProgressLines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    tasks: dict[str, Any] = {}
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            task = bars.tasks[tasks[stage]]
            if total != task.total or done < task.completed == total:  # It is gone through once more.
                bars.reset(task.id)
            bars.update(task.id, completed=done, total=total)

        yield update
