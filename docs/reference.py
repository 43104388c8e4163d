"""Write docs/reference.md from the code: flags, JSON, settings, exit codes, errors, environment variables.

python docs/reference.py            writes docs/reference.md
python docs/reference.py --check    changes nothing; fails where the file differs from the code
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import logolens
from logolens import config, errors, metrics
from logolens.bundle import format as bundle_format
from logolens.cli import cli, main
from logolens.cli.verbosity import option_names
from logolens.evaluation import audit
from logolens.inference.classifier import Prediction
from logolens.models.backbones.layers import Layer
from logolens.models.calibration import Calibration
from logolens.training import tuning as tune

HERE = Path(__file__).resolve().parent
PAGE = HERE / "reference.md"
SOURCE = Path(logolens.__file__).resolve().parent

SETTINGS = {
    "audit": config.AuditSettings,
    "synthesize": config.SynthesisSettings,
    "train": config.TrainSettings,
    "tune": config.TuneSettings,
    "retrain": config.RetrainSettings,
    "report": config.ReportSettings,
    "serve": config.ServeSettings,
}
"""Commands whose flags come from a settings dataclass, which also knows their bounds."""

MANIFEST = {
    "format": "the bundle's layout; a higher one than the release knows is refused",
    "command": "the command that wrote it, so that `--config` can repeat it",
    "created": "when, ISO 8601 in UTC",
    "logolens": "the release that wrote it",
    "versions": "of Python and of the packages that decide the result",
    "labels": "the labels, without `none`",
    "background": "whether `none` was learned and is an output of the model",
    "settings": "every setting of the run: the fields of [TrainSettings](#trainsettings)",
    "backbone": "name, family, hash and origin of the weights, licence, width of the features, input size, parameters, "
    "export version",
    "layers": "the backbone's layers, as `logolens summary` shows them: a list of [layers](#a-layer)",
    "preprocessing": "how a photo becomes the network's input: the fields of [Preprocessing](#preprocessing)",
    "data": "name, path and hash of the data, photos in each part and of each label, what was odd about them",
    "head": "its kind, the shapes of its matrices, its parameters, epochs run, and the epoch that was kept",
    "calibration": "what turns the head's numbers into probabilities: the fields of [Calibration](#calibration)",
    "closer": "of a bundle that looks closer: how evidence is added and why (the fields of EnsembleWeights), how it becomes "
    "probabilities, how many views were held out to decide, the experts that have files, and whether there is a localiser",
    "pairs": "of `--pair`: for each pair whether its expert is used and why, how many held-out photos were told apart "
    "without and with it, how many could be laid flat, the nats a photo gained and their standard error, and the weights",
    "metrics": "`val` and `test`: the figures of the validation and of the test photos, each an "
    "[evaluation](#logolens-evaluate---json) or null",
    "files": "the SHA-256 of each file of the bundle",
    "manifest_sha256": "the SHA-256 of all that the manifest says but this, as JSON with sorted keys; older bundles have none",
}
"""What each key of manifest.json holds. tests/test_docs.py holds it against a manifest that training wrote."""

VARIABLES = {
    "LOGOLENS_TOKEN": "the token that requests to `logolens serve` must bring",
    "LOGOLENS_CACHE": "the cache folder, outright",
    "LOGOLENS_OFFLINE": "`1`: download and push nothing",
    "LOGOLENS_TORCH_HUB": "a mirror of https://download.pytorch.org/models",
    "LOGOLENS_KERAS_HUB": "a mirror of https://storage.googleapis.com/tensorflow/keras-applications",
    "XDG_CACHE_HOME": "the folder of all caches; logolens takes `logolens` below it",
    "LOCALAPPDATA": "on Windows: the folder of all caches",
    "TORCH_HOME": "where PyTorch keeps weights; looked at before anything is downloaded",
    "KERAS_HOME": "where Keras keeps weights; looked at before anything is downloaded",
    "HF_HOME": "where the Hugging Face Hub keeps its files; looked at before anything is downloaded",
    "HF_HUB_CACHE": "the same, for its models alone",
    "HF_HUB_OFFLINE": "`1`: download nothing from the Hugging Face Hub",
    "MLFLOW_EXPERIMENT_NAME": "the experiment of `logolens train --log mlflow`; `logolens` if not set",
    "WANDB_PROJECT": "the project of `logolens train --log wandb`; `logolens` if not set",
    "HF_ENDPOINT": "a mirror of https://huggingface.co",
    "HF_TOKEN": "the token for the Hugging Face Hub: for bundles that not everyone may read, and for `logolens push`",
}
"""The environment variables; the generator fails where these are not the ones that the code reads."""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [
        "# Reference",
        "This page is written by `python docs/reference.py` from the code; do not edit it by hand.",
        "- [Commands](#commands)\n- [JSON](#json)\n- [Settings](#settings)\n- [Errors](#errors)\n"
        "- [Environment variables](#environment-variables)",
        "## Commands",
        "Flags come before or after the arguments. `--config FILE` gives a command its flags from a file; what stands on "
        "the command line wins. Answers go to standard output, notes, errors and progress bars to standard error.",
        "Every command also takes these:",
        _table(
            ("flag", "meaning"),
            [
                (", ".join(f"`{name}`" for name in each.opts), each.help or "")
                for each in cli.params
                if isinstance(each, click.Option) and each.name in option_names
            ],
        ),
        "### Exit codes",
        _section(main, "Returns"),
        *_commands(),
        "## JSON",
        *_json(),
        "## Settings",
        "Each is a frozen dataclass of `logolens.config`; a value out of bounds raises `UsageError`. The flags of the "
        "commands, and their defaults, are these fields.",
        *_settings(),
        "## Errors",
        "All are in `logolens.errors`. The command line prints the message and ends with the exit code above.",
        _tree(),
        "## Environment variables",
        _table(("variable", "meaning"), [(f"`{name}`", text) for name, text in _variables().items()]),
    ]
    return "\n\n".join(parts) + "\n"


def _commands() -> Iterator[str]:
    for path, command in commands():
        context = click.Context(command, info_name=" ".join(path))
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"### {' '.join(path)}"
        yield f"```text\n{' '.join(path)} {usage}\n```"
        # click wraps paragraphs when it prints them; here each is one line.
        paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
        yield "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        options = [each for each in command.params if isinstance(each, click.Option) and each.name not in option_names]
        rows = [_option(option, path[-1]) for option in options]
        if rows:
            yield _table(("flag", "value", "default", "meaning"), rows)


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and subcommand with its path, as in ("logolens", "datasets", "get")."""

    def walk(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        if isinstance(command, click.Group):
            if len(path) > 1:
                yield path, command
            for name in sorted(command.commands):
                yield from walk((*path, name), command.commands[name])
        else:
            yield path, command

    yield from walk(("logolens",), cli)


def _option(option: click.Option, command: str) -> tuple[str, str, str, str]:
    current = option.opts[:1] if command in SETTINGS and _renamed(command, option.name) else option.opts
    names = ", ".join(f"`{name}`" for name in (*current, *option.secondary_opts))
    default: Any = option.default
    if option.is_flag and option.secondary_opts:
        shown = f"`{option.opts[0] if default else option.secondary_opts[0]}`"
    elif option.required:
        shown = "required"
    elif isinstance(default, (str, int, float, Path)) and not isinstance(default, bool) and default != "":
        shown = f"`{default}`"
    else:
        shown = ""
    kind = "" if option.is_flag else _kind(option.type)
    if command in SETTINGS and option.name in (
        known := {spec.name: spec for spec in dataclasses.fields(SETTINGS[command])}
    ):
        kind += _bounds(known[option.name].metadata)
    return names, kind, shown, option.help or ""


def _renamed(command: str, field: str | None) -> bool:
    """Whether a flag also answers to an earlier name, which the page leaves out."""
    return any(spec.name == field and "once" in spec.metadata for spec in dataclasses.fields(SETTINGS[command]))


def _kind(kind: click.ParamType) -> str:
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, click.IntRange):
        return "whole number" + _bounds({"low": kind.min, "high": kind.max})
    return {"integer": "whole number", "float": "number", "path": "path", "text": "text"}.get(kind.name, kind.name)


def _bounds(metadata: Any) -> str:
    low, high = metadata.get("low"), metadata.get("high")
    if low is None and high is None:
        return ""
    return f", {low} or more" if high is None else f", {high} at most" if low is None else f", {low} to {high}"


def _json() -> Iterator[str]:
    yield "### logolens predict --json"
    yield "One object a line and image, in the order in which the images were given."
    yield _fields(Prediction, tuple(Prediction("photo.jpg", None, None).to_json()))
    yield (
        "Of a video the label is that of the logo seen longest, scores and box are those of the surest frames, and `video` "
        "stands beside them: see [videos](how-to/video.md#when-a-logo-is-seen)."
    )
    yield "### logolens evaluate --json"
    yield (
        "One object. Shares lie from 0 to 1, a figure that nothing defines is null. Photos labelled `none` stand in "
        "`none` alone, which is there only when the data holds such photos."
    )
    sample = metrics.evaluate([[0.9, 0.1], [0.8, 0.2], [0.5, 0.5]], ["a", "b", "none"], ["a", "b"]).to_json()
    yield _fields(metrics.Evaluation, tuple(sample))
    for key, kind in (
        ("per_class", metrics.LabelFigures),
        ("misclassified", metrics.Misclassified),
        ("none", metrics.NoneFigures),
    ):
        value: Any = sample[key]
        first = value if key == "none" else value[0] if isinstance(value, list) else next(iter(value.values()))
        names = ", ".join(f"`{name}`" for name in first)
        yield f"Each of `{key}`: {names}. {_text(kind)}" if key != "none" else f"`none`: {names}. {_text(kind)}"
    yield "Beside these, what is looked at more closely:"
    yield _fields(metrics.Details)
    for key, kind in (
        ("by_size", metrics.Slice),
        ("by_source", metrics.Slice),
        ("reliability", metrics.Bin),
        ("risk_coverage", metrics.Risk),
        ("confused", metrics.Mixed),
    ):
        yield f"Each of `{key}`: {_names(kind)}. {_text(kind)}"
    yield "`open_set`:"
    yield _fields(metrics.OpenSet)
    yield "`compare`, with `--compare`; `bundle` is the other bundle, and both lists below are of photos:"
    yield _fields(metrics.Paired)
    yield "### logolens audit --json"
    yield "One object; `counts` says how many findings there are of each kind."
    yield _fields(audit.Audit, ("data", "against", "photos", "labels", "findings", "notes", "unchecked", "seconds"))
    yield "Each of `findings`, without what is empty; `severity` is error, warning or note:"
    yield _fields(audit.Finding)
    yield _table(
        ("kind", "severity", "what it is"),
        [(f"`{kind.name}`", kind.severity, f"{kind.title}. {kind.advice}") for kind in audit.KINDS.values()],
    )
    yield "### logolens tune --json"
    yield "One object; `chosen` and `changes` tell only what differs from the defaults of `logolens train`."
    yield _fields(tune.TuneResult, ("trials", "chosen", "photos", "left_out", "skipped", "seconds"))
    yield "`against_defaults` holds the chosen settings against the defaults, with the keys of `compare` above. Each of `trials`:"
    yield _fields(tune.Trial, ("top1", "top1_ci95", "loss", "views", "seconds"))
    yield "### manifest.json"
    yield _table(("key", "what it holds"), [(f"`{key}`", text) for key, text in MANIFEST.items()])
    yield "#### A layer"
    yield _fields(Layer)
    yield "#### Calibration"
    yield _text(Calibration)
    yield _fields(Calibration)
    yield "### The files of a bundle"
    yield f"```text\n{inspect.cleandoc(bundle_format.__doc__ or '')}\n```"


def _settings() -> Iterator[str]:
    for name in config.__all__:
        kind = getattr(config, name)
        if not dataclasses.is_dataclass(kind):
            continue
        yield f"### {name}"
        yield _text(kind)
        rows = []
        for spec in dataclasses.fields(kind):
            choices = spec.metadata.get("choices")
            value = ", ".join(f"`{choice}`" for choice in choices) if choices else f"`{spec.type}`"
            meaning = spec.metadata.get("help", "")
            rows.append(
                (
                    f"`{spec.name}`",
                    value + _bounds(spec.metadata),
                    f"`{spec.default}`" if spec.default != "" else "",
                    meaning,
                )
            )
        yield _table(("field", "value", "default", "meaning"), rows)


def _fields(kind: type, keys: tuple[str, ...] | None = None) -> str:
    """A table of a dataclass's attributes; with ``keys``, of these, in their order."""
    meanings = dict(_attributes(kind))
    hints = {spec.name: spec.type for spec in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if lacking := [key for key in keys or tuple(hints) if key not in meanings or key not in hints]:
        raise SystemExit(f"{kind.__name__}: its docstring does not describe {', '.join(lacking)}.")
    rows = [(f"`{key}`", _json_type(str(hints[key])), meanings[key]) for key in keys or tuple(hints)]
    return _table(("key", "type", "meaning"), rows)


def _json_type(hint: str) -> str:
    """What a Python type becomes in JSON, in words."""
    first, null, _ = hint.partition(" | None") if hint.endswith(" | None") else (hint, "", "")
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    kind = words.get(first) or ("list" if first.startswith("tuple[") else "object")
    return kind + (" or null" if null else "")


def _attributes(kind: type) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n(?=\S)", _section(kind, "Attributes")):
        name, _, meaning = entry.partition(":")
        yield name.strip(), _ticks(" ".join(meaning.split()))


def _section(thing: Any, name: str) -> str:
    """The text of one section of a docstring, without its indentation."""
    found = re.search(rf"^{name}:\n((?:[ \t]+.*\n?|\n)+)", inspect.getdoc(thing) or "", re.MULTILINE)
    if found is None:
        raise SystemExit(f"{thing.__name__}: its docstring has no section {name}.")
    return _ticks(inspect.cleandoc(found.group(1)))


def _names(kind: type) -> str:
    return ", ".join(f"`{spec.name}`" for spec in dataclasses.fields(kind))  # type: ignore[arg-type]


def _text(kind: type) -> str:
    """A docstring's words, without its sections."""
    words = re.split(r"\n\n(?:Attributes|Args|Raises|Returns):", inspect.getdoc(kind) or "")[0]
    return "\n\n".join(_ticks(" ".join(paragraph.split())) for paragraph in words.split("\n\n"))


def _ticks(text: str) -> str:
    return text.replace("``", "`")


def _tree() -> str:
    lines = (errors.__doc__ or "").splitlines()
    return "```text\n" + "\n".join(line for line in lines if re.match(r"(LogolensError$|[├└│])", line)) + "\n```"


def _variables() -> dict[str, str]:
    read = set()
    for file in SOURCE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        read |= set(re.findall(r"(?:environ(?:\.get\(|\[)|getenv\(|is_set\()\s*[\"']([A-Z_]+)[\"']", text))
    if read != set(VARIABLES):
        raise SystemExit(f"docs/reference.py and the code differ about the variables {sorted(read ^ set(VARIABLES))}.")
    return VARIABLES


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def run() -> int:
    """Write the page, or with --check compare it."""
    parser = argparse.ArgumentParser(description="Write docs/reference.md from the code.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the page differs")
    check = parser.parse_args().check
    made = page()
    there = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if check:
        sys.stdout.writelines(difflib.unified_diff(there.splitlines(True), made.splitlines(True), "page", "code"))
        return int(made != there)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run())
