"""Flags that derive from settings, and settings that come from a file."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from logolens.cli.console import progress_bars
from logolens.config import DEVICES, VIEWS
from logolens.errors import UsageError
from logolens.io.atomic import beside
from logolens.io.files import open_regular
from logolens.io.names import valid

__all__ = [
    "BUNDLE",
    "LABEL",
    "brought",
    "config_option",
    "device_option",
    "page_option",
    "settings_from",
    "settings_options",
    "views_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])


class _Label(click.types.StringParamType):
    """A text as it was typed, in every locale."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return valid(str(super().convert(value, param, ctx)))


LABEL = _Label()
"""The type of arguments that name labels."""


class _Bundle(click.Path):
    """A bundle's folder; or ``hf://OWNER/NAME@REVISION``, which stays a text."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, str) and value.startswith("hf:") else super().convert(value, param, ctx)


BUNDLE = _Bundle()
"""The type of arguments that name a bundle, on this machine or on the Hugging Face Hub; see `brought`."""


def brought(bundle: Path | str) -> Path:
    """The folder of a bundle that a `BUNDLE` names; one on the Hub is brought there first, with progress.

    Raises:
        LogolensError: it cannot be brought; see `logolens.bundle.hub.folder_of`.
    """
    if isinstance(bundle, Path):
        return bundle
    from logolens.bundle.format import FORMAT
    from logolens.bundle.hub import folder_of

    with progress_bars() as progress:
        return folder_of(
            bundle, newest=FORMAT, progress=lambda done, total: progress("bringing the bundle", done, total or 0)
        )


views_option = click.option(
    "--views",
    type=click.Choice(VIEWS),
    help="Where photos are looked at: whole is fastest, tiles looks everywhere. As the bundle was trained if not given.",
)
"""A decorator that gives a command the flag ``--views``."""


device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="What the network runs on; auto is a GPU where ONNX Runtime has one, else the processor.",
)
"""A decorator that gives a command the flag ``--device``."""

_MOST_BYTES = 256 << 20
"""Of a settings file; a large gallery's manifest has some 60 MB."""


def page_option(what: str) -> Callable[[Command], Command]:
    """A decorator that gives a command the flag ``--out`` for a page; ``what`` says what stands on it.

    A browser shows a page by the end of its name, so one without is given it; in a folder it is ``index.html``.
    """

    def named(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
        if value is None or value.suffix.lower() in (".html", ".htm"):
            return value
        return value / "index.html" if value.is_dir() else beside(value, value.name + ".html")

    return click.option("--out", "-o", type=click.Path(path_type=Path), callback=named, help=what, metavar="PAGE.html")


def settings_options(kind: type, *, leave_out: tuple[str, ...] = (), joint: str = "-") -> Callable[[Command], Command]:
    """A decorator that gives a command one flag for each field of a settings dataclass.

    Flags have ``joint`` between their words; with an underscore, as in old scripts, a switch has no --no- beside it.
    """
    hints = typing.get_type_hints(kind)

    def decorate(command: Command) -> Command:
        for spec in reversed(dataclasses.fields(kind)):
            if spec.name not in leave_out:
                command = _option(spec, hints[spec.name], joint)(command)
        return command

    return decorate


class _Renamed(click.Option):
    """A flag that was renamed: its help names the first name alone, and the earlier ones still work."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        names, self.opts = self.opts, self.opts[:1]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = names


def _option(spec: dataclasses.Field[Any], hint: Any, joint: str) -> Callable[[Command], Command]:
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    several = typing.get_origin(hint) is tuple
    if several:
        hint = typing.get_args(hint)[0]
    pair = typing.get_origin(hint) is tuple
    flag = "--" + spec.metadata.get("flag", spec.name).replace("_", joint)
    switch = joint == "-" and hint is bool
    choices = spec.metadata.get("choices")
    return click.option(
        f"{flag}/--no-{flag[2:]}" if switch else flag,
        *((f"--{once.replace('_', joint)}",) if (once := spec.metadata.get("once")) else ()),
        spec.name,
        cls=_Renamed if once else click.Option,
        is_flag=True if hint is bool else None,
        type=click.Choice(choices)
        if choices
        else click.Path(path_type=Path)
        if hint is Path
        else (LABEL, LABEL)
        if pair
        else LABEL
        if several
        else hint,
        default=spec.default,
        multiple=several,
        metavar=spec.metadata.get("metavar"),
        show_default=spec.default not in (None, "", ()),
        help=spec.metadata["help"][0].upper() + spec.metadata["help"][1:] + ".",
    )


def settings_from(kind: type, values: dict[str, Any]) -> Any:
    """Take a settings dataclass's fields out of a command's keyword arguments."""
    return kind(**{spec.name: values.pop(spec.name) for spec in dataclasses.fields(kind) if spec.name in values})


def config_option(command: Command) -> Command:
    """The flag ``--config FILE``: a TOML file, or a bundle's manifest, gives the command its options."""

    def read(context: click.Context, _: click.Parameter, path: Path | None) -> None:
        if path is not None:
            context.default_map = _defaults(path, context)

    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=read,
        help="Take options from a TOML file or a bundle's manifest.json; the command line wins.",
    )(command)


def _defaults(path: Path, context: click.Context) -> dict[str, Any]:
    command = context.info_name or ""
    if path.is_dir():
        path = path / "manifest.json"
    try:
        with open_regular(path) as file:
            text = file.read(_MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The configuration {path} cannot be read ({getattr(error, 'strerror', None) or error})."
        ) from error
    try:
        if path.suffix.lower() == ".json":
            manifest = json.loads(text)
            given = dict(manifest["settings"])
            if command == manifest.get("command"):
                given["data"] = manifest["data"]["path"]
        else:
            given = tomllib.loads(text)
            own = given.get(command)
            given = own if isinstance(own, dict) else {k: v for k, v in given.items() if not isinstance(v, dict)}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a bundle's manifest; give a TOML file, or the manifest.json of a bundle."
        ) from error
    # A key is a flag's own name, as people know it (json), or the setting's (max_false_alarms, as manifests have it).
    known = {parameter.name: parameter for parameter in context.command.params if parameter.name}
    flags = {option.lstrip("-").replace("-", "_"): p.name for p in known.values() for option in p.opts if p.name}
    names = {key: flags.get(key.replace("-", "_"), key.replace("-", "_")) for key in given}
    for key, name in names.items():
        if name not in known and path.suffix.lower() != ".json":
            near = difflib.get_close_matches(name, flags, 1)
            hint = f"; did you mean {near[0].replace('_', '-')}?" if near else f"; see logolens {command} --help."
            raise UsageError(f"{path} sets {key}, which `logolens {command}` does not know{hint}")
        if isinstance(given[key], list) and name in known and known[name].nargs == 1 and not known[name].multiple:
            raise UsageError(f"{path} sets {key} to a list; it takes one value.")
    return {name: given[key] for key, name in names.items() if name in known}
