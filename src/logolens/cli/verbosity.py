"""How much a command tells beside its answers: ``-v`` and ``-q``, and where the library's log records go."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from logolens.io.names import ShownLines

__all__ = ["level_of", "log_to_stderr", "option_names", "verbosity", "with_verbosity"]

_KEY = "logolens.verbosity"

option_names = ("verbose", "quiet")
"""What the two options are called that every command has."""


def verbosity() -> int:
    """How often ``-v`` was given, less how often ``-q`` was; 0 outside a command."""
    context = click.get_current_context(silent=True)
    return 0 if context is None else int(context.meta.get(_KEY, 0))


def level_of(verbosity: int) -> int:
    """From which level on log records are shown: warnings, with ``-v`` INFO, ``-vv`` DEBUG, ``-qq`` errors alone."""
    if verbosity >= 2:
        return logging.DEBUG
    if verbosity == 1:
        return logging.INFO
    return logging.WARNING if verbosity >= -1 else logging.ERROR


class _ToStderr(logging.StreamHandler[Any]):
    """Writes to what standard error is at the moment: progress bars put something else there, and so do tests."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def log_to_stderr(verbosity: int, lines: logging.Formatter | None = None) -> logging.Logger:
    """Show the library's log records on standard error.

    Args:
        verbosity: how much is told; from 1 on each line says when, how grave and from where.
        lines: what makes lines of records, where it is not the usual.

    Returns:
        The library's logger.
    """
    handler = _ToStderr()
    style = "%(asctime)s %(levelname)s %(name)s: %(message)s" if verbosity > 0 else "%(message)s"
    handler.setFormatter(lines or ShownLines(style))
    logger = logging.getLogger("logolens")
    logger.handlers = [each for each in logger.handlers if not isinstance(each, _ToStderr)] + [handler]
    logger.setLevel(level_of(verbosity))
    return logger


def _count(context: click.Context, parameter: click.Parameter, times: int) -> None:
    if times:
        context.meta[_KEY] = context.meta.get(_KEY, 0) + (times if parameter.name == "verbose" else -times)
        log_to_stderr(context.meta[_KEY])


def with_verbosity(command: click.Command) -> None:
    """Give a command, and all below it, the options ``-v`` and ``-q``."""
    shared: dict[str, Any] = {"count": True, "expose_value": False, "callback": _count}
    command.params += [
        click.Option(
            ["--verbose", "-v"], help="Tell what is done as it is done; given twice, in all detail.", **shared
        ),
        click.Option(
            ["--quiet", "-q"],
            help="Show no progress and no hints; given twice, no notes and warnings either.",
            **shared,
        ),
    ]
    if isinstance(command, click.Group):
        for each in command.commands.values():
            with_verbosity(each)
