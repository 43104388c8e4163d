"""The commands about what a model is made from: datasets, backbones, cache, demo."""

from __future__ import annotations

from pathlib import Path

import click

from logolens.cli.console import counted, echo, hint, note, progress_bars, table
from logolens.cli.options import config_option

__all__ = ["backbones", "cache", "datasets", "demo"]


@click.group()
def datasets() -> None:
    """Published data sets, and data sets in other formats."""


@datasets.command("get")
@click.argument("name", type=click.Choice(["flickr27"]))
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--archive", type=click.Path(path_type=Path), help="Start from this file instead of the network.")
@click.option("--url", help="Fetch from this address instead of the published one.")
@click.option("--sha256", help="What the archive's SHA-256 must be.")
@click.option("--force", is_flag=True, help="Replace what an earlier run put there.")
@config_option
def datasets_get(name: str, dest: Path, archive: Path | None, url: str | None, sha256: str | None, force: bool) -> int:
    """Bring a published data set to the folder DEST: fetched (resuming what is there), verified, unpacked."""
    from logolens.data import get

    with progress_bars() as progress:
        place = get(
            name,
            dest,
            archive=archive,
            url=url,
            sha256=sha256,
            force=force,
            progress=lambda done, total: progress("downloading", done, total or 0),
        )
    echo(place)
    return 0


@datasets.command("convert")
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format", "kind", type=click.Choice(["csv", "yolo", "coco", "voc", "folder"]), required=True,
    help="What to write: a table, YOLO, COCO (as Roboflow lays it out), Pascal VOC, or one folder a label.",
)  # fmt: skip
@click.option(
    "--corrections", type=click.Path(path_type=Path), help="Decisions that the page of `logolens report` saved."
)
@click.option("--exclude", type=click.Path(path_type=Path), help="Photos to leave out, as for `logolens train`.")
@click.option(
    "--as", "examples", type=click.Choice(["photo", "box"]), default="photo", show_default=True,
    help="What one example is: a photo, or each of its boxes, cut out as an image of its own.",
)  # fmt: skip
@click.option(
    "--allow-urls", is_flag=True, help="Fetch photos that a table names by http or https, from public addresses alone."
)
@click.option("--allow-private", is_flag=True, help="With --allow-urls, fetch from private and local addresses too.")
@config_option
def datasets_convert(
    data: Path,
    out: Path,
    kind: str,
    corrections: Path | None,
    exclude: Path | None,
    examples: str,
    allow_urls: bool,
    allow_private: bool,
) -> int:
    """Write the photos of DATA, and what they show, to the folder OUT in another format.

    DATA is whatever `logolens train` reads. Photos are copied as they are.
    """
    from logolens.config import Limits, SourceSettings
    from logolens.data import load, with_corrections, without
    from logolens.data.boxes_apart import boxes_apart
    from logolens.data.convert import convert
    from logolens.io.sources import reopen

    def read(name: str) -> bytes:
        return reopen(name, SourceSettings(allow_private=allow_private)).read(Limits())

    with progress_bars() as progress:
        dataset = load(
            data,
            training=False,
            progress=lambda done, total: progress("reading photos", done, total),
            fetch=read if allow_urls else None,
        )
        if exclude is not None:
            dataset = without(dataset, exclude)
        if corrections is not None:
            dataset = with_corrections(
                dataset,
                corrections,
                read=read,
                progress=lambda done, total: progress("reading corrections", done, total),
            )
        if examples == "box":
            dataset = boxes_apart(dataset, progress=lambda done, total: progress("cutting boxes out", done, total))
        result = convert(dataset, out, kind, progress=progress)
    note(*result.notes)
    hint(f"Written: {counted(result.photos, 'photo')} and {counted(result.boxes, 'box', 'boxes')}.")
    echo(result.out)
    return 0


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def backbones(context: click.Context) -> int:
    """The pre-trained networks; `get` brings one's weights."""
    if context.invoked_subcommand is not None:
        return 0
    from logolens.models.backbones import GROUPS, catalogue, here

    larger = {named.backbone.name for group in GROUPS for named in group.networks}
    rows = [
        [
            backbone.name,
            backbone.family,
            f"{backbone.width('rich'):,}",
            str(backbone.size),
            f"{backbone.parameters / 1e6:.1f} M",
            "yes" if here(backbone) else "no",
            backbone.license,
            backbone.origin,
        ]
        for backbone in catalogue()
        if backbone.name not in larger
    ]
    columns = ["name", "family", "features", "input", "parameters", "here", "licence", "weights from"]
    table(None, columns, rows, right=(2, 3, 4))
    for group in GROUPS:
        echo("", f"Larger, {group.title}. On logos: {group.suits}.")
        rows = [
            [
                named.backbone.name,
                named.backbone.family,
                f"{named.backbone.width('rich'):,}",
                str(named.backbone.size),
                f"{named.backbone.parameters / 1e6:.1f} M",
                f"{named.multiply_adds:.1f} G",
                "yes" if here(named.backbone) else "no",
                named.backbone.license,
            ]
            for named in group.networks
        ]
        table(None, [*columns[:5], "a pass", *columns[5:7]], rows, right=(2, 3, 4, 5))
    hint(
        "`a pass` is in billions of multiply-adds; efficientnet_lite0 takes 0.4 G. It falls with the square of --size."
    )
    hint("MobileNet V1 has weights for 192, 160 and 128 pixels too, as in mobilenet_0.50_160.")
    hint("Any timm model can be named too, as in timm/mobilenetv3_small_100.")
    return 0


@backbones.command("get")
@click.argument("name")
@config_option
def backbones_get(name: str) -> int:
    """Bring the weights of the backbone NAME to this machine."""
    from logolens.models.backbones import get

    with progress_bars() as progress:
        weights = get(name, progress=lambda done, total: progress("downloading", done, total or 0))
    echo(weights.path)
    return 0


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def cache(context: click.Context) -> int:
    """What is kept for the next run: features, exported backbones, downloads."""
    if context.invoked_subcommand is not None:
        return 0
    from logolens.config import cache_folder
    from logolens.models.features import FeatureCache

    with FeatureCache() as features:
        state = features.state()
        limit = features.settings.max_bytes
    rows = [["features", f"{state.features:,}", f"{_megabytes(state.bytes)} of {_megabytes(limit)}", str(state.path)]]
    for name in ("backbones", "weights", "datasets", "fetched", "composed", "boxes"):
        files = [file for file in (cache_folder() / name).rglob("*") if file.is_file()]
        rows.append(
            [
                name,
                f"{len(files):,}",
                _megabytes(sum(file.stat().st_size for file in files)),
                str(cache_folder() / name),
            ]
        )
    table(None, ["what", "count", "room", "where"], rows, right=(1, 2))
    return 0


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


@cache.command("clear")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also exported backbones, downloaded weights, unpacked archives and composed images.",
)
def cache_clear(everything: bool) -> int:
    """Remove the cached features."""
    import shutil

    from logolens.config import cache_folder
    from logolens.models.features import FeatureCache

    with FeatureCache() as features:
        removed = features.clear()
    echo(f"{removed:,} features removed.")
    if everything:
        for name in ("backbones", "weights", "datasets", "fetched", "composed", "boxes"):
            if (cache_folder() / name).is_dir():
                shutil.rmtree(cache_folder() / name)
                echo(f"{cache_folder() / name} removed.")
    return 0


@click.command()
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Folder to write."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the composed images.")
@click.option("--force", is_flag=True, help="Replace what an earlier demo wrote there.")
@config_option
def demo(out: Path, seed: int, force: bool) -> int:
    """Show the whole way on composed images of real logos: data, training, figures, answers, and a page to look at."""
    from logolens.recipes.demo.demo import demo as run
    from logolens.recipes.demo.demo_data import DemoSettings

    with progress_bars() as progress:
        result = run(out, DemoSettings(seed=seed), force=force, progress=progress)
    echo(result.page)
    return 0
