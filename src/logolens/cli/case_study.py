"""The command case-study."""

from __future__ import annotations

from pathlib import Path

import click

from logolens.cli.console import echo, hint, progress_bars, table
from logolens.cli.options import config_option

__all__ = ["case_study"]


@click.command("case-study")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--backbone", default="mobilenet_v2", show_default=True, help="The frozen network.")
@click.option("--weights", type=click.Path(path_type=Path), help="The backbone's weights, as a file.")
@click.option(
    "--epochs", type=click.IntRange(1), default=100, show_default=True, help="Passes over the training photos."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of splits and training.")
@click.option("--force", is_flag=True, help="Replace what an earlier case study wrote there.")
@config_option
def case_study(data: Path, out: Path, backbone: str, weights: Path | None, epochs: int, seed: int, force: bool) -> int:
    """Run a well-known tutorial's experiment on DATA, as written and done right.

    DATA is the Flickr Logos 27 archive or folder. The tutorial's layers (pooling, Dense 128, dropout, softmax on a frozen
    network) are trained on a split by photo, and on a split by annotation rows to show how far its figure flatters.
    """
    from logolens.cli.summary import print_summary
    from logolens.recipes.case_study import case_study as run

    with progress_bars() as progress:
        result = run(
            data, out, backbone=backbone, weights=weights, epochs=epochs, seed=seed, force=force, progress=progress
        )
    print_summary(result.training.bundle)
    evaluation, leak = result.training.evaluation, result.leak
    honest = "not measured" if evaluation is None or evaluation.top1 is None else f"{evaluation.top1:.1%}"
    rows = [
        ["annotation rows at random", f"{leak.reported:.1%}", f"{leak.unseen:.1%}"],
        ["by photo, near copies together", honest, honest],
    ]
    echo("")
    table(None, ["split", "accuracy reported", "on photos never seen"], rows, right=(1, 2))
    hint(f"Split by rows, {leak.seen:.0%} of the validation rows show a photo that was trained on.")
    echo(result.folder / "report.md")
    return 0
