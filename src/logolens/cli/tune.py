"""The command tune."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logolens.cli.console import (
    echo,
    hint,
    next_step,
    note,
    print_json,
    progress_bars,
    quoted,
    refuse_to_replace,
    share,
    table,
)
from logolens.cli.options import config_option, settings_from, settings_options
from logolens.config import TuneSettings

if TYPE_CHECKING:
    from logolens.training.tuning import TuneResult

__all__ = ["tune"]


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out", "-o", type=click.Path(path_type=Path),
    help="Write the chosen settings as a TOML file for `logolens train --config`.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the file that --out names.")
@click.option("--json", "as_json", is_flag=True, help="Print what was tried and chosen as one JSON object.")
@settings_options(TuneSettings)
@config_option
def tune(data: Path, out: Path | None, force: bool, as_json: bool, **values: Any) -> int:
    """Seek the settings that suit DATA by cross-validation within --budget minutes.

    DATA is given as for `logolens train`. Backbones whose weights are on this machine, input sizes, ways of resizing, pooling,
    heads and regularisation are tried on photos that are held out by turns, near copies kept together. The test part that
    `logolens train` would keep is not looked at.
    """
    from logolens.training.tuning import changes
    from logolens.training.tuning import tune as run

    settings = settings_from(TuneSettings, values)
    refuse_to_replace(out, force=force)
    with progress_bars() as progress:
        result = run(data, settings, progress=progress)
    note(*result.notes)
    hint(*(f"Not tried: {reason}" for reason in result.skipped))
    if out is not None:
        _write(out, changes(result.chosen))
        hint(f"The settings are in {out}.")
        next_step(f"logolens train {quoted(data)} --out BUNDLE --config {quoted(out)}", "to train with them")
    if as_json:
        print_json(result.to_json())
    else:
        _print(result, data)
    return 0


def _print(result: TuneResult, data: Path) -> None:
    from logolens.models.backbones import find
    from logolens.training.tuning import changes

    rows = []
    for trial in result.trials:
        its = trial.settings
        head = f"linear, l2 {its.l2:g}" if its.head == "linear" else f"mlp of {its.hidden}"
        size = str(its.size or find(its.backbone).size)
        boxes = "yes" if its.boxes else "no"
        figures = (f"{len(trial.right):,}", share(trial.top1, trial.top1_ci95 or ()), f"{trial.loss:.3f}")
        rows.append(
            [its.backbone, size, its.resize, its.pooling, boxes, head, trial.views, *figures, f"{trial.seconds:.0f}"]
        )
    columns = (
        "backbone",
        "size",
        "resize",
        "pooling",
        "boxes",
        "head",
        "views",
        "photos",
        "top-1 accuracy",
        "loss",
        "s",
    )
    table(None, columns, rows, right=(1, 7, 9, 10))
    flags = " ".join(_flag(name, value) for name, value in changes(result.chosen).items())
    echo("", f"logolens train {shlex.quote(str(data))} --out bundle{f' {flags}' if flags else ''}")
    hint(f"On {result.photos:,} photos; {result.left_out:,} of the test part were not looked at.")
    against = result.against
    if against is None:
        hint("Nothing was better than the defaults by more than one standard error.")
    else:
        sure = "hardly by chance" if against.p < 0.05 else "which can be chance"
        gap = f"{100 * against.difference:+.1f} points"
        hint(
            f"Against the defaults: {gap} (p = {against.p:.2g}), {sure}. The best of several figures is a little too kind."
        )


def _flag(name: str, value: Any) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {shlex.quote(str(value))}"


def _write(path: Path, chosen: dict[str, Any]) -> None:
    from logolens.io.atomic import write_atomically

    # A TOML value of these kinds is written as JSON writes it.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in chosen.items()]
    write_atomically(path, ("\n".join(["[train]", *lines]) + "\n").encode("utf-8"))
