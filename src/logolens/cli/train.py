"""The command that trains: from photos, or from the names of labels alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logolens.cli.console import echo, hint, message, next_step, note, progress_bars, quoted, table
from logolens.cli.evaluate import figures
from logolens.cli.options import config_option, settings_from, settings_options
from logolens.cli.verbosity import verbosity
from logolens.config import TrainSettings

__all__ = ["train"]


@click.command()
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder of the bundle to write.")
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
@click.option("--restart", is_flag=True, help="Set aside the checkpoint that a fine-tuning left, instead of going on.")
@click.option(
    "--find-lr", is_flag=True, help="Train nothing: test learning rates for --finetune, and suggest one (plot and CSV)."
)
@click.option(
    "--log", type=click.Choice(("tensorboard", "mlflow", "wandb")), multiple=True,
    help="Keep the figures of each epoch, and the final ones, there as well; may be repeated.",
)  # fmt: skip
@click.option(
    "--log-folder", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    help="Where TensorBoard's and Weights & Biases' files go; MLflow goes where MLFLOW_TRACKING_URI says.",
)  # fmt: skip
@settings_options(TrainSettings)
@config_option
def train(
    data: Path | None,
    out: Path,
    force: bool,
    restart: bool,
    find_lr: bool,
    log: tuple[str, ...],
    log_folder: Path,
    **values: Any,
) -> int:
    """Train a classifier on DATA and write it as a bundle.

    DATA is a folder with one subfolder a label, a data set as YOLO, COCO, Pascal VOC or ImageFolder have it, a .csv or .jsonl
    list of photos, or the Flickr Logos 27 archive or folder.
    A label called `none` holds photos that show no logo. With --synthesize N, a folder of artwork does alone: as DATA, or
    as --artwork with no DATA. With --names FILE and no DATA, the bundle knows labels by the names in FILE alone.
    """
    from logolens.training.train import find_rate
    from logolens.training.train import train as run

    settings = settings_from(TrainSettings, values)
    if data is None and settings.synthesize:
        data = settings.artwork  # There are no photos beside it.
    if data is None:
        return _train_from_names(out, settings, force)
    if find_lr:
        with progress_bars() as progress:
            found = find_rate(data, out, settings, force=force, progress=progress)
        hint(*(f"Written: {path}" for path in found.write(out, force=force)))
        if not found.fell:
            message(
                "The loss fell at no rate: the head fits these photos already. What is suggested is a tenth of the highest rate "
                "that did no harm."
            )
        echo(f"--finetune-rate {found.suggestion:g}")
        return 0
    announced: list[str] = []

    def announce(text: str) -> None:
        if verbosity() >= 0:
            announced.append(text)
            message(text)

    with progress_bars() as progress:
        result = run(data, out, settings, force=force, restart=restart, progress=progress, announce=announce, log=log,
                     log_folder=log_folder)  # fmt: skip
    note(*(each for each in result.notes if each not in announced))
    counts = result.manifest["data"]
    made = counts.get("composed", {})
    rows = [
        [
            "photos",
            ", ".join(
                f"{counts[part]} {use}" + (f" ({made[part]} of them composed)" if made.get(part) else "")
                for part, use in (("train", "to train on"), ("val", "for validation"), ("test", "for the test"))
            ),
        ],
        ["labels", str(len(result.manifest["labels"])) + (" and none" if result.manifest["background"] else "")],
        _learned(result.manifest),
    ]
    if result.evaluation is not None:
        part = {"test": "test photos", "val": "validation photos"}[result.split]
        if made.get(result.split):
            # Said here too: these figures are all that many will look at.
            every = made[result.split] == counts[result.split]
            part = part.replace("photos", "composed images" if every else "photos, some composed")
        rows += figures(result.evaluation, part)
    rows += [
        ["time", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items())],
        ["bundle", str(result.bundle)],
    ]
    table(None, ["", ""], rows)
    next_step(f"logolens evaluate {quoted(out)} DATA", "other photos judge it; or predict, scan and serve with it")
    return 0


def _train_from_names(out: Path, settings: TrainSettings, force: bool) -> int:
    if settings.names is None:
        raise click.UsageError(
            "Missing argument 'DATA': name the photos to learn from, or with --names the labels' names alone."
        )
    from logolens.training.names_alone import train_from_names

    with progress_bars() as progress:
        result = train_from_names(out, settings, force=force, progress=progress)
    note(*result.notes)
    rows = [
        ["photos", "none: labels are known by their names"],
        ["labels", f"{len(result.manifest['labels'])} and none"],
        ["time", f"{result.seconds:.1f} s"],
        ["bundle", str(result.bundle)],
    ]
    table(None, ["", ""], rows)
    next_step(f"logolens predict {quoted(out)} PHOTO", "to ask it")
    return 0


def _learned(manifest: dict[str, Any]) -> list[str]:
    if "gallery" in manifest:
        return ["references", f"{manifest['gallery']['views']:,} views of {manifest['gallery']['references']:,} photos"]
    return ["epochs", f"{manifest['head']['best_epoch']} kept of {manifest['head']['epochs']}"]
