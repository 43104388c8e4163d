"""The command synthesize."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from logolens.cli.console import next_step, note, progress_bars, quoted, table
from logolens.cli.options import config_option, settings_from, settings_options
from logolens.config import SynthesisSettings

__all__ = ["synthesize"]


@click.command()
@click.argument("artwork", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder of the images to write.")
@click.option("--force", is_flag=True, help="Replace composed images that are there.")
@settings_options(SynthesisSettings)
@config_option
def synthesize(artwork: tuple[Path, ...], out: Path, force: bool, **values: Any) -> int:
    """Compose training images from the ARTWORK of logos: as they are printed, bent, lit and photographed.

    ARTWORK is a folder with one subfolder a label, or several labels' folders or files: SVG, PDF, PNG and other images. A
    folder `none` holds artwork of brands that are no label. What is written can be trained on as it is.
    """
    from logolens.data.synthesis import synthesize as run

    settings = settings_from(SynthesisSettings, values)
    start = time.perf_counter()
    with progress_bars() as progress:
        made = run(artwork, out, settings, force=force, progress=progress)
    seconds = time.perf_counter() - start
    note(*made.notes)
    total = sum(made.counts.values())
    none = made.counts.get("none", 0)
    rows = [
        ["images", f"{total:,} of {len(made.labels)} labels" + (f", {none:,} of them without a logo" if none else "")],
        ["time", f"{seconds:.1f} s, {60 * total / seconds:,.0f} images a minute"],
        ["to look at", str(made.sheet)],
        ["to train on", str(made.boxes)],
    ]
    table(None, ["", ""], rows)
    next_step(f"logolens train {quoted(made.boxes)} --out BUNDLE", "to learn from them")
    return 0
