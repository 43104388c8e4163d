"""The command line: parse, call, print. Every command's imports stand inside it, so that `--help` is quick."""

from __future__ import annotations

import io
import itertools
import os
import sqlite3
import sys

import click

from logolens._version import __version__
from logolens.cli.audit import audit
from logolens.cli.case_study import case_study
from logolens.cli.console import make_streams_take_all, message
from logolens.cli.data import backbones, cache, datasets, demo
from logolens.cli.evaluate import evaluate
from logolens.cli.export import export
from logolens.cli.gallery import gallery
from logolens.cli.predict import predict
from logolens.cli.push import push
from logolens.cli.recipes import classify, retrain
from logolens.cli.report import report
from logolens.cli.results import results
from logolens.cli.scan import scan
from logolens.cli.serve import serve
from logolens.cli.summary import summary
from logolens.cli.synthesize import synthesize
from logolens.cli.train import train
from logolens.cli.tune import tune
from logolens.cli.verbosity import log_to_stderr, with_verbosity
from logolens.config import cache_folder
from logolens.errors import LogolensError, UsageError
from logolens.io.names import shown

__all__ = ["cli", "main"]


_GROUPS = {
    "Data": (audit, synthesize, datasets),
    "Model": (train, tune, evaluate, summary, gallery, export, push, backbones, cache),
    "Find": (predict, scan, results, report, serve),
    "To see it work": (demo, case_study),
    "As the classic scripts": (retrain, classify),
}
"""The commands by what they are about, in the order in which `--help` lists them."""


class _Grouped(click.Group):
    """A group whose help lists its commands by what they are about."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        room = formatter.width - 6 - max(map(len, self.commands))
        for title, commands in _GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(each.name or "", each.get_short_help_str(room)) for each in commands])


@click.group(cls=_Grouped, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="logolens")
def cli() -> None:
    """Recognise brand logos: train on a folder of photos, know how good it is, ask it about new ones."""


for command in itertools.chain.from_iterable(_GROUPS.values()):
    cli.add_command(command)
with_verbosity(cli)


def main(arguments: list[str] | None = None) -> int:
    """Run a command. This is the one place where errors become messages and exit codes.

    Returns:
        0 when all went well, 1 when something failed, 2 for wrong usage, 3 when a scan, an audit or an evaluation met
        what it was told to fail on, 130 when interrupted.
    """
    make_streams_take_all()
    log_to_stderr(0)
    try:
        done = cli.main(args=arguments, prog_name="logolens", standalone_mode=False)
        sys.stdout.flush()
        return done if isinstance(done, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        if _is_interrupt(error):
            message("Stopped.")
            return 130
        return _exit_code(error, sys.argv[1:] if arguments is None else arguments)


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether somebody stopped it. An extension module that is being loaded then says that it cannot be, because of that."""
    while error is not None:
        if isinstance(error, (click.Abort, KeyboardInterrupt)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _exit_code(error: BaseException, arguments: list[str]) -> int:
    """Say what went wrong, and give the exit code; what nobody foresaw is raised again."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException():
            _show(error)
            if hint := _hint(error, arguments):
                message(hint)
            return error.exit_code
        case UsageError():
            message(f"Error: {error}")
            return 2
        case LogolensError():
            message(f"Error: {error}")
            return 1
        case sqlite3.OperationalError():
            message(
                f"Error: The cache in {cache_folder()} cannot be written ({error}). Free some room there, or set "
                "LOGOLENS_CACHE to a folder on another disk."
            )
            return 1
        case BrokenPipeError():
            # The reader (head, less) has had enough; pointing stdout elsewhere keeps Python from complaining at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            message(f"Error: {where}{error.strerror or error}. Check the disk's room and the folder's rights.")
            return 1
    raise error


def _show(error: click.ClickException) -> None:
    """Print what was wrong with the command line, which quotes it."""
    error.message = shown(error.message)  # type: ignore[misc]  # It is read when it is shown.
    text = io.StringIO()
    error.show(file=text)
    message(*text.getvalue().removesuffix("\n").split("\n"))


def _hint(error: click.ClickException, arguments: list[str]) -> str:
    """What to do about a flag that takes several values at once, and was given fewer or more."""
    command = cli.commands.get(arguments[0]) if arguments else None
    several = {option: its for its in (command.params if command else ()) for option in its.opts if its.nargs > 1}
    asked = error.format_message() if isinstance(error, click.UsageError) else ""
    if "unexpected extra argument" in asked:
        named = [name for name in several if name in arguments]
    else:
        named = [name for name in several if f"'{name}'" in asked and "require" in asked]
    if not named:
        return ""
    flag = named[0]
    param = several[flag]
    in_file = ", ".join(f'"{value}"' for value in str(param.metavar).split())
    return (
        f"{flag} takes exactly {param.nargs} values, as in {flag} {param.metavar}, or {flag[2:]} = [[{in_file}]] in a file; give "
        "the flag again for more."
    )
