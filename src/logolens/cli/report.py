"""The command report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logolens.cli.console import echo, next_step, quoted
from logolens.cli.options import config_option, settings_from, settings_options
from logolens.config import BACKGROUND, ReportSettings

__all__ = ["report"]


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--force", is_flag=True, help="Replace a report that is there.")
@settings_options(ReportSettings)
@config_option
def report(results: Path, out: Path, force: bool, **values: Any) -> int:
    """Write a page to work through a scan's RESULTS with: what was found, where it stands, accepted or rejected by keys.

    RESULTS is the file that `logolens scan` wrote. Open index.html in a browser: it needs no server and calls no one. The
    decisions made in it can be saved, and trained on with `logolens train --corrections`.
    """
    from logolens.scan import StoreReader
    from logolens.scan.report_page import Scanned, write_results

    settings = settings_from(ReportSettings, values)
    with StoreReader(results) as store:
        facts = store.facts()
        scanned = Scanned(
            id=facts.id,
            find=facts.find,
            labels=tuple(label for label in facts.labels if label != BACKGROUND),
            threshold=facts.threshold,
            bundle=facts.bundle,
            finished=facts.finished or "",
            totals=facts.verdicts,
            base=facts.base,
            complete=facts.finished is not None,
        )
        page = write_results(store.rows(), scanned, out, thumbnail=store.thumbnail, settings=settings, force=force)
    echo(page)
    next_step(
        f"open {quoted(page)}, save the decisions, and scan again with --decisions decisions.json",
        "logolens train DATA --corrections decisions.json learns from them",
    )
    return 0
