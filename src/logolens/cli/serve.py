"""The command serve."""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from logolens.cli.console import hint, message
from logolens.cli.options import brought, config_option, settings_from, settings_options
from logolens.cli.verbosity import verbosity
from logolens.config import ServeSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["in_process", "serve"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@click.command()
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...")
@settings_options(ServeSettings)
@config_option
def serve(bundles: tuple[str, ...], **values: Any) -> int:
    """Answer about images over HTTP with each BUNDLE, and show a page to try it at /.

    BUNDLE is a folder, or NAME=FOLDER to give it another name than the folder's; hf://OWNER/NAME is brought from the Hugging
    Face Hub when the service starts. The first one answers when a request names none. A bundle that changes is loaded again
    while the service goes on; SIGHUP loads all of them.
    """
    from logolens.models.devices import check_device
    from logolens.serve.bundles import check_bundle
    from logolens.serve.logs import log_config, logging_as
    from logolens.serve.running import is_busy, run
    from logolens.serve.security import is_loopback, read_token

    settings = settings_from(ServeSettings, values)
    check_device(settings.device)
    named = _named(bundles)
    token = read_token(settings)
    for path in named.values():
        check_bundle(path, settings.views)
    if not token and not is_loopback(settings.host):
        message(
            f"Warning: {settings.host} can be reached from other machines, and whoever reaches it may ask. To ask for a token, "
            "set LOGOLENS_TOKEN or name a --token-file."
        )

    announce = logging.getLogger("logolens.serve").info if settings.log_format == "json" else hint

    def listening(address: str) -> None:
        announce(f"Serving {', '.join(named)} on {address}; end it with Ctrl+C.")

    with logging_as(log_config(settings.log_format, verbosity())):
        try:
            run(named, settings, token, listening, "logolens.cli.serve:in_process", verbosity=verbosity())
        except KeyboardInterrupt:
            if is_busy():
                announce("Stopped.")
                _exit_at_once(130)
            raise
        announce("Ended.")
        if is_busy():
            _exit_at_once(0)
    return 0


def in_process() -> FastAPI:
    """The application in one of several processes, which ends as a single one does."""
    from logolens.serve.running import application, is_busy

    atexit.register(lambda: os._exit(0) if is_busy() else None)
    return application()


def _exit_at_once(code: int) -> NoReturn:
    """End without waiting for what was given up; see `logolens.serve.running.is_busy`."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _named(bundles: tuple[str, ...]) -> dict[str, Path]:
    """The bundles' folders by name."""
    from logolens.bundle.hub import name_of

    named: dict[str, Path] = {}
    for given in bundles:
        name, mark, folder = given.partition("=")
        own = mark and not Path(given).exists()
        if not own:
            folder = given
        if folder.startswith("hf:"):
            folder = str(brought(folder))
        if not own:
            name = name_of(Path(folder)).rpartition("/")[2]
        if not folder:
            raise click.UsageError(f"{given} names no folder; write NAME=FOLDER.")
        if not _NAME.fullmatch(name):
            raise click.UsageError(
                f"{name!r} cannot be a bundle's name in an address; write NAME=FOLDER with a name of letters, digits, "
                "dots, dashes and underscores."
            )
        if name in named:
            raise click.UsageError(f"Two bundles are called {name}; write NAME=FOLDER to give one another name.")
        named[name] = Path(folder).absolute()
    return named
