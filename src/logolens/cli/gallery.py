"""The commands of a gallery: list, add, rename, remove."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from logolens.cli.console import message, note, print_json, progress_bars, table
from logolens.cli.options import LABEL, config_option, settings_from, settings_options
from logolens.config import GallerySettings

if TYPE_CHECKING:
    from logolens.training.gallery import Added, Changed

__all__ = ["gallery"]

_GALLERY = click.Path(path_type=Path)
_SHOWN = 20
"""Labels whose thresholds are printed, and images that were left out; --json has all."""


@click.group()
def gallery() -> None:
    """Add, rename and remove labels of a gallery, without training.

    A gallery is what `logolens train --head gallery` writes, or `logolens gallery add` from images alone.
    """


def _box(_: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        x1, y1, x2, y2 = (float(edge) for edge in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not four numbers of pixels x1,y1,x2,y2, as in 10,20,110,90.", param=parameter
        ) from None
    if not (0 <= x1 < x2 < float("inf") and 0 <= y1 < y2 < float("inf")):
        raise click.BadParameter(
            f"{value!r} is no box: x1,y1 is its upper left corner and x2,y2 its lower right, in pixels.",
            param=parameter,
        )
    return x1, y1, x2, y2


@gallery.command("add")
@click.argument("gallery", type=_GALLERY)
@click.argument("images", nargs=-1)
@click.option("--label", type=LABEL, help="What the images show; a table names it itself.")
@click.option("--box", callback=_box, metavar="X1,Y1,X2,Y2", help="Where in the one image the logo is, in pixels.")
@click.option(
    "--backgrounds",
    multiple=True,
    metavar="IMAGE",
    help="An image, folder or pattern that shows none of the labels, to set thresholds by; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
@settings_options(GallerySettings)
@config_option
def add(
    gallery: Path,
    images: tuple[str, ...],
    label: str | None,
    box: tuple[float, float, float, float] | None,
    backgrounds: tuple[str, ...],
    as_json: bool,
    **values: Any,
) -> int:
    """Add references to GALLERY, which is begun where there is none yet.

    IMAGES are files, folders or patterns, drawings (SVG, PNG with transparency) among them, or one table with the columns
    path, label and optionally x1, y1, x2, y2. The exit code is 1 when some could not be taken.
    """
    from logolens.training.gallery import add as run

    if not images and not backgrounds:
        raise click.UsageError("Name images of the label, or --backgrounds.")
    settings = settings_from(GallerySettings, values)
    with progress_bars() as progress:
        done = run(gallery, images, label, settings, box=box, backgrounds=backgrounds, progress=progress)
    for name, problem in done.skipped[:_SHOWN]:
        message(f"{name}: {problem}")
    if len(done.skipped) > _SHOWN:
        message(f"{len(done.skipped) - _SHOWN:,} more were left out; --json lists all.")
    note(*done.notes)
    if as_json:
        print_json(_to_json(done))
    else:
        _print_added(done)
    return 1 if any("already" not in problem for _, problem in done.skipped) else 0


@gallery.command("rename")
@click.argument("gallery", type=_GALLERY)
@click.argument("old", type=LABEL)
@click.argument("new", type=LABEL)
@click.option("--merge", is_flag=True, help="Make one label of both, where NEW is a label already.")
def rename(gallery: Path, old: str, new: str, merge: bool) -> int:
    """Call the label OLD of GALLERY by the name NEW from now on."""
    from logolens.training.gallery import rename as run

    _print_changed(run(gallery, old, new, merge=merge))
    return 0


@gallery.command("remove")
@click.argument("gallery", type=_GALLERY)
@click.argument("label", type=LABEL)
def remove(gallery: Path, label: str) -> int:
    """Take LABEL and all its references out of GALLERY."""
    from logolens.training.gallery import remove as run

    _print_changed(run(gallery, label))
    return 0


@gallery.command("list")
@click.argument("gallery", type=_GALLERY)
@click.option("--label", type=LABEL, help="List the references of this label.")
@click.option("--json", "as_json", is_flag=True, help="Print all references as one JSON object.")
def listing(gallery: Path, label: str | None, as_json: bool) -> int:
    """List the labels of GALLERY: their references, and the cosine over the background's that each asks for."""
    from dataclasses import asdict

    from logolens.training.gallery import open_gallery

    found = open_gallery(gallery)
    kept = [one for one in found.references if label is None or one.label == found.known(label)]
    required = found.required()
    if as_json:
        labels = [label] if label is not None else list(found.bundle.labels)
        thresholds = {name: round(required[name], 4) for name in labels}
        print_json({"thresholds": thresholds, "references": [asdict(one) for one in kept]})
        return 0
    if label is not None:
        found.known(label)
        rows = [
            [one.name, one.kind, str(one.views), "; ".join(_edges(box) for box in one.boxes), one.sha256[:12]]
            for one in kept
        ]
        table(None, ["reference", "kind", "views", "boxes", "SHA-256"], rows, right=(2,))
        return 0
    facts = found.bundle.manifest["gallery"]["labels"]
    rows = [
        [name, f"{facts[name]['references']:,}", f"{facts[name]['views']:,}", f"{required[name]:.3f}"]
        for name in found.bundle.labels
    ]
    table(None, ["label", "references", "views", "threshold"], rows, right=(1, 2, 3))
    return 0


def _edges(box: tuple[float, ...]) -> str:
    return ",".join(f"{edge:g}" for edge in box)


def _to_json(done: Added) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "gallery": str(done.path),
        "begun": done.begun,
        "labels": list(done.labels),
        "fresh": list(done.fresh),
        "references": [asdict(one) for one in done.references],
        "skipped": [{"image": name, "reason": problem} for name, problem in done.skipped],
        "backgrounds": done.backgrounds,
        "thresholds": done.required,
        "like": [asdict(like) for like in done.like],
        "seconds": round(done.seconds, 3),
    }


def _print_added(done: Added) -> None:
    views = sum(one.views for one in done.references)
    known = sum("already" in problem for _, problem in done.skipped)
    counts = [f"{len(done.references):,} added ({views:,} views)"]
    counts += [f"{known:,} there already"] if known else []
    counts += [f"{len(done.skipped) - known:,} could not be taken"] if len(done.skipped) > known else []
    rows = [["references", ", ".join(counts)]]
    if done.backgrounds:
        rows.append(["backgrounds", f"{done.backgrounds:,} added"])
    for label in list(dict.fromkeys(one.label for one in done.references))[:_SHOWN]:
        fresh = "new" if label in done.fresh else "had some"
        rows.append([label, f"{fresh}; threshold {done.required[label]:.3f}"])
    for like in done.like[:_SHOWN]:
        text = f"{like.like:,} of {like.references:,} references of {like.label} stand as near to {like.other}; expect mix-ups"
        rows.append(["looks alike", text])
    table(None, ["", ""], [*rows, *_ending(done)])


def _print_changed(done: Changed) -> None:
    table(None, ["", ""], _ending(done))


def _ending(done: Changed) -> list[list[str]]:
    lowest, highest = min(done.required.values()), max(done.required.values())
    span = f"{lowest:.3f}" if len(done.required) == 1 else f"{lowest:.3f} to {highest:.3f}"
    return [
        ["labels", f"{len(done.labels):,}" + (" and none" if done.background else "")],
        ["thresholds", span],
        ["time", f"{done.seconds:.1f} s"],
        ["gallery", str(done.path)],
    ]
