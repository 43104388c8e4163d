"""The command push."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from logolens.cli.console import counted, echo, hint, next_step, note
from logolens.cli.options import config_option
from logolens.cli.verbosity import verbosity

__all__ = ["push"]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("to", metavar="hf://OWNER/NAME")
@click.option("--private", is_flag=True, help="Make the repository so that only its owner sees it.")
@click.option(
    "--force", is_flag=True, help="Replace the bundle that is there, and files of the same names; other files stay."
)
@click.option("--license", help="What the card names as its licence; that of the backbone's weights if not given.")
@click.option("--message", "-m", default="", help="What the commit says.")
@config_option
def push(bundle: Path, to: str, private: bool, force: bool, license: str | None, message: str) -> int:
    """Put BUNDLE into a repository of the Hugging Face Hub, which is made where there is none.

    The token is that of HF_TOKEN, or of `hf auth login`. Wherever a command takes a BUNDLE, it takes hf://OWNER/NAME too, and
    hf://OWNER/NAME@REVISION with a branch, tag or commit.
    """
    from logolens.bundle.push import push as run

    bars = sys.stderr.isatty() and verbosity() >= 0
    pushed = run(bundle, to, private=private, force=force, license=license, message=message, bars=bars)
    if not pushed.changed:
        hint("It was there already; nothing was pushed.")
    else:
        hint(f"{counted(pushed.files, 'file')}, {pushed.bytes / 1e6:.1f} MB, in one commit.")
        if not pushed.private:
            note(
                "Everyone can read it: manifest.json and split.csv name where the training photos lay, and a bundle with a "
                "matcher holds key points of them."
            )
    echo(pushed.url)
    next_step(f"logolens predict {pushed.address} IMAGES", "on any machine with logolens[hub]")
    return 0
