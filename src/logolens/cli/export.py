"""The command export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logolens.cli.console import note, progress_bars, share, table
from logolens.cli.options import BUNDLE, brought, config_option, settings_from, settings_options
from logolens.config import ExportSettings

__all__ = ["export"]

_FORMATS = ("onnx", "onnx-int8", "tflite", "safetensors", "saved-model")


class _Format(click.Choice[str]):
    """One of the formats, or one that earlier releases wrote: `export` knows what to say of it."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return value if value == "torchscript" else super().convert(value, param, ctx)


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option("--format", default="onnx", show_default=True, type=_Format(_FORMATS), help="What to write.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), required=True, help="File to write; a folder for saved-model."
)
@click.option("--force", is_flag=True, help="Replace what is there.")
@settings_options(ExportSettings)
@config_option
def export(bundle: Path, format: str, out: Path, force: bool, **values: Any) -> int:
    """Write BUNDLE's network in another format, once it has been held against the bundle on real photos.

    Labels and preprocessing stand inside what is written, and beside it as NAME.labels.txt and NAME.json.
    """
    from logolens.export import export as run

    bundle = brought(bundle)
    with progress_bars() as progress:
        result = run(bundle, out, format, settings_from(ExportSettings, values), force=force, progress=progress)
    note(*result.notes)
    rows = [
        ["written", ", ".join(map(str, result.files))],
        ["size", f"{result.bytes / 1e6:.1f} MB"],
        ["largest difference", f"{result.difference:.2g} of a probability, on {result.images} images"],
        ["answered otherwise", share(result.changed)],
    ]
    if result.accuracy_before is not None and result.accuracy_after is not None:
        rows.append(
            [
                f"top-1 accuracy on {result.labelled} photos",
                f"{share(result.accuracy_after)}, and {share(result.accuracy_before)} before",
            ]
        )
    if result.speed is not None:
        rows.append(["speed", f"{result.speed:.2f} times the bundle's, on one processor of this machine"])
    rows.append(["time", f"{result.seconds:.1f} s"])
    table(None, ["", ""], rows)
    return 0
