"""The command that shows a bundle's network, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from logolens.cli.console import echo, table
from logolens.cli.options import BUNDLE, brought, config_option
from logolens.errors import BundleError

__all__ = ["print_summary", "summary"]


@click.command()
@click.argument("bundle", type=BUNDLE)
@config_option
def summary(bundle: Path) -> int:
    """Show the network in BUNDLE, layer by layer."""
    print_summary(brought(bundle))
    return 0


def print_summary(bundle: Path) -> None:
    """Print a bundle's layers with their shapes and parameters, trainable or frozen."""
    from logolens.bundle.format import load_bundle

    try:
        _print_layers(load_bundle(bundle).manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{bundle / 'manifest.json'} does not tell the network's layers ({error!r}); copy or train the bundle again."
        ) from error


def _print_layers(manifest: dict[str, Any]) -> None:
    backbone, head, size = manifest["backbone"], manifest["head"], manifest["preprocessing"]["size"]
    rows = [["image", "input", f"{size} x {size} x 3", "", ""]]
    for layer in manifest["layers"]:
        rows.append(
            [
                layer["name"],
                layer["kind"],
                " x ".join(map(str, layer["shape"])),
                f"{layer['parameters']:,}" if layer["parameters"] else "",
                ("trainable" if layer["trainable"] else "frozen") if layer["parameters"] else "",
            ]
        )
    rows.append(["features", "pooling " + manifest["settings"]["pooling"], str(backbone["features"]), "", ""])
    for number, (inputs, outputs) in enumerate(head["layers"] if "gallery" not in manifest else ()):
        last = number == len(head["layers"]) - 1
        rows.append([f"head.{number}", "Dense", str(outputs), f"{inputs * outputs + outputs:,}", "trained"])
        rows.append(
            [
                "",
                "softmax" if last else f"ReLU, dropout {manifest['settings']['dropout']} while training",
                str(outputs),
                "",
                "",
            ]
        )
    if "gallery" in manifest:
        ((inputs, outputs),) = head["layers"]
        held, labels = manifest["gallery"], len(manifest["labels"])
        rows += [
            ["head.0", "projection", str(outputs), f"{inputs * outputs + outputs:,}", "fitted"],
            ["head", f"cosine with {held['views']:,} views", str(labels), f"{held['views'] * outputs:,}", "kept"],
        ]
    table(
        f"{backbone['name']} with a {head['kind']} head" + (", at int8" if backbone.get("precision") == "int8" else ""),
        ["layer", "kind", "output", "parameters", ""],
        rows,
        right=(3,),
    )
    total = backbone["parameters"] + head["parameters"]
    opened = manifest.get("finetune", {}).get("trained_parameters", 0)
    echo(
        "",
        f"{total:,} parameters: {backbone['parameters'] - opened:,} frozen, {head['parameters'] + opened:,} trained.",
    )
