"""The commands that take the classic scripts' command lines: retrain, classify."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from logolens.cli.console import echo, message, note
from logolens.cli.options import config_option, settings_from, settings_options
from logolens.cli.verbosity import level_of, log_to_stderr, verbosity
from logolens.config import RetrainSettings
from logolens.io.names import ShownLines, shown

__all__ = ["classify", "retrain"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--force", is_flag=True, help="Replace files at the output paths that are not of an earlier retrain.")
@settings_options(RetrainSettings, joint="_")
@config_option
def retrain(force: bool, **values: Any) -> int:
    """Train on the folders of --image_dir with the flags of the classic retraining scripts.

    The flags are those of the scripts of TensorFlow for Poets and of TensorFlow Hub; `python -m logolens.retrain` is the
    same command. The graph that is written is an ONNX model, for `logolens classify` and anything that runs ONNX.
    """
    from logolens.recipes.retrain import retrain as run

    settings = settings_from(RetrainSettings, values)
    _log_to_stderr(settings.logging_verbosity)
    run(settings, force=force)
    return 0


def _log_to_stderr(level: str) -> None:
    logger = log_to_stderr(verbosity(), _Lines())
    # The lines are those of the scripts; what the library says of its own work is there with -v.
    asked = level_of(verbosity()) if verbosity() else getattr(logging, level)
    logger.setLevel(asked if verbosity() > 0 else max(asked, logging.WARNING))
    logging.getLogger("logolens.recipes").setLevel(asked)


class _Lines(ShownLines):
    """The time, and how grave it is where it is grave."""

    def format(self, record: logging.LogRecord) -> str:
        grave = f"{record.levelname}: " if record.levelno > logging.INFO else ""
        return f"{self.formatTime(record, '%Y-%m-%d %H:%M:%S')}: {grave}{shown(record.getMessage())}"


@click.command()
@click.option("--graph", type=_PATH, required=True, help="The graph that retrain wrote, or a bundle's folder.")
@click.option("--labels", type=_PATH, help="The labels file that retrain wrote; held against the graph's own labels.")
@click.option(
    "--image", "images", multiple=True, required=True, help="An image, a folder, a pattern, or -; repeatable."
)
@click.option("--input_height", type=int, help="Held against the graph's own.")
@click.option("--input_width", type=int, help="Held against the graph's own.")
@click.option("--input_mean", type=float, help="Held against the graph's own, to within 1.")
@click.option("--input_std", type=float, help="Held against the graph's own, to within 1.")
@click.option("--input_layer", help="Held against the graph's own.")
@click.option("--output_layer", help="Held against the graph's own.")
@click.option("--threads", type=click.IntRange(1, 512), help="Processor threads; all of them if not given.")
@config_option
def classify(graph: Path, labels: Path | None, images: tuple[str, ...], threads: int | None, **claims: Any) -> int:
    """Say what images show, with the flags of the classic label_image script.

    `python -m logolens.classify` is the same command. Several images, or a folder of them, are each answered under their
    name. The exit code is 0 when all were answered, 1 when some could not be read.
    """
    from logolens.io.sources import left_note
    from logolens.recipes.retrain.label_image import classify as run

    left: list[str] = []
    several = len(images) > 1 or (images[0] != "-" and not Path(images[0]).is_file())
    failed = total = 0
    for answer in run(graph, images, labels=labels, threads=threads, left=left.append, **claims):
        total += 1
        if answer.error is not None:
            failed += 1
            message(f"{answer.image}: {answer.error}")
            continue
        if several:
            echo(answer.image)
        echo("", f"Evaluation time (1-image): {answer.seconds:.3f}s", "")
        for label, score in list(answer.scores.items())[:5]:
            echo(f"{label} (score={score:.5f})")
        if several:
            echo("")
    if left_out := left_note(left, "name one to have it read"):
        note(left_out)
    if failed and several:
        message(f"{failed} of {total} images could not be read.")
    return 1 if failed else 0
