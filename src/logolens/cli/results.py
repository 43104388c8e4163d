"""The command results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logolens.cli.console import counted, hint, quoted
from logolens.cli.listing import SHOWN, Shape, listing_options
from logolens.cli.options import config_option

__all__ = ["results"]


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--verdict",
    type=click.Choice(("match", "unsure", "clear", "error")),
    multiple=True,
    help="Only pictures of this verdict; may be repeated. If not given, match and unsure; in JSON and tables all.",
)
@click.option("--label", help="Only pictures with this label.")
@click.option(
    "--change",
    type=click.Choice(("new", "changed", "same", "gone")),
    help="Only what is so since the scan before.",
)
@click.option("--text", help="Only pictures whose name, place or error holds this text, in any case of letters.")
@click.option(
    "--limit", type=click.IntRange(min=1), help=f"At most so many. {SHOWN} for people, all in JSON if not given."
)
@listing_options
@config_option
def results(
    store: Path,
    verdict: tuple[str, ...],
    label: str | None,
    change: str | None,
    text: str | None,
    limit: int | None,
    **values: Any,
) -> int:
    """List and filter what a scan found, without scanning.

    STORE is the file that `logolens scan` wrote. It may be read while a scan goes on.
    """
    from logolens.scan import StoreReader, Wanted

    shape = Shape.of(values, Wanted(verdict or None, label, change, text=text), limit)
    shape.prepare(store)
    with StoreReader(store) as kept:
        facts = kept.facts()
        shape.write(kept)
        shape.show(kept, full=f"logolens results {quoted(store)}")
        when = f"finished {facts.finished}" if facts.finished else "not finished: run it again to go on"
        hint(
            f"Scan {facts.run} with {facts.bundle}, {when}: {counted(facts.images, 'image')}, {facts.verdicts['match']:,} "
            f"match, {facts.verdicts['unsure']:,} unsure."
        )
    return 0
