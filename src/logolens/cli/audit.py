"""The command audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logolens.cli.console import (
    counted,
    echo,
    hint,
    message,
    next_step,
    note,
    print_json,
    progress_bars,
    quoted,
    refuse_to_replace,
    table,
)
from logolens.cli.options import config_option, page_option, settings_from, settings_options
from logolens.config import AuditSettings, Limits

if TYPE_CHECKING:
    from logolens.evaluation.audit import Audit

__all__ = ["audit"]

_SHOWN = 5
"""Findings of a kind that are printed; the page, the fix list and --json have all."""


def _kinds(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Gravities and kinds of finding; what is none of them is refused before any work is done."""
    from logolens.evaluation.audit import KINDS, SEVERITIES

    if wrong := [value for value in values if value not in (*SEVERITIES, *KINDS)]:
        known = ", ".join((*SEVERITIES, *KINDS))
        raise click.BadParameter(f"{wrong[0]!r} is not one of: {known}.", context, parameter)
    return values


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--against", type=click.Path(path_type=Path), help="Another data set, none of whose pictures should be in DATA."
)
@page_option("Write what was found as an HTML page with thumbnails.")
@click.option(
    "--fixes", type=click.Path(path_type=Path),
    help="Write the fix list, a CSV file that `logolens train --exclude` takes.",
)  # fmt: skip
@click.option(
    "--fail-on", callback=_kinds, multiple=True, metavar="KIND",
    help="End with exit code 3 where something of this kind was found, or of this gravity or above (error, warning, note); may "
    "be repeated.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print all that was found as one JSON object.")
@click.option("--force", is_flag=True, help="Replace the files that --out and --fixes name.")
@settings_options(AuditSettings)
@settings_options(Limits)
@config_option
def audit(
    data: Path,
    against: Path | None,
    out: Path | None,
    fixes: Path | None,
    fail_on: tuple[str, ...],
    as_json: bool,
    force: bool,
    **values: Any,
) -> int:
    """Look for what is wrong with DATA before a model learns from it. Nothing in DATA is changed.

    DATA is given as for `logolens train`. Sought are files that cannot be read or are odd, copies and near copies, the same
    picture under two labels or in two parts, labels that are likely wrong, boxes that cannot be right, labels with too few
    photos, tiny and blurred photos.
    """
    from logolens.evaluation.audit import audit as run
    from logolens.evaluation.audit import write_audit, write_fixes

    settings, limits = settings_from(AuditSettings, values), settings_from(Limits, values)
    refuse_to_replace(out, fixes, force=force)
    with progress_bars() as progress:
        found = run(data, settings, against=against, limits=limits, progress=progress)
    if out is not None:
        hint(f"The page is in {write_audit(found, out, force=force)}.")
    if fixes is not None:
        hint(f"The fix list is in {write_fixes(found, fixes, force=force)}.")
        next_step(
            f"logolens train {quoted(data)} --out BUNDLE --fixes {quoted(fixes)}", "to train without what is left out"
        )
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
    met = found.fails(fail_on)
    if met:
        message(f"Found, as --fail-on asks: {', '.join(met)}.")
    return 3 if met else 0


def _print(found: Audit) -> None:
    from logolens.evaluation.audit import KINDS

    note(*found.notes)
    if found.unchecked is not None:
        note(found.unchecked)
    counts = found.counts()
    if not counts:
        echo(f"Nothing was found among {counted(found.photos, 'photo')} of {counted(len(found.labels), 'label')}.")
        return
    rows = [[f"{count:,}", KINDS[kind].severity, KINDS[kind].title, kind] for kind, count in counts.items()]
    table(None, ["found", "gravity", "what", "kind"], rows, right=(0,))
    for kind in counts:
        echo("", f"{KINDS[kind].title}")
        findings = found.of(kind)
        for finding in findings[:_SHOWN]:
            echo(f"  {finding.detail}")
        if len(findings) > _SHOWN:
            echo(f"  and {len(findings) - _SHOWN:,} more")
