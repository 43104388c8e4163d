"""Does logolens' MobileNet V1 compute what Keras' does, layer by layer, from Keras' own weight file?

For each width and size Keras builds the network, gets random weights and batch-norm statistics, and writes them to HDF5 in
the layout of the published files; what each layer gives for two images is kept. logolens reads the file, and each
layer's largest difference from Keras is printed. Keras may live in an environment of its own: name that environment's
interpreter with --keras-python (`python -m venv keras && keras/bin/pip install tensorflow-cpu`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

WIDTHS = ("1.0", "0.75", "0.50", "0.25")
SIZES = (224, 192, 160, 128)
LAYOUTS = ("published", "whole-model")
ALLOWED = 1e-4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras-python", default=sys.executable, help="a Python interpreter that can import keras")
    parser.add_argument("--widths", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=list(SIZES), help="sides of the input; odd ones may be tried"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="published", help="as Keras 2 saves weights, or model.save()"
    )
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)  # the part that runs under Keras
    options = parser.parse_args()
    cases = [(width, size) for width in options.widths for size in options.sizes]
    if options.write is not None:
        for width, size in cases:
            write_with_keras(options.write, width, size, options.layout)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        command = [
            options.keras_python,
            __file__,
            "--write",
            folder,
            "--layout",
            options.layout,
            "--widths",
            *options.widths,
        ]
        start = time.perf_counter()
        subprocess.run([*command, "--sizes", *map(str, options.sizes)], check=True)
        print(f"Keras took {time.perf_counter() - start:.0f} s.\n")
        return report({case: differences(Path(folder), *case) for case in cases})


def file_of(folder: Path, width: str, size: int) -> Path:
    return folder / f"mobilenet_{width}_{size}.h5"


def write_with_keras(folder: Path, width: str, size: int, layout: str) -> None:
    """A weight file, and beside it the images and what each of Keras' layers gives for them."""
    import h5py
    import keras

    keras.utils.clear_session()
    model = keras.applications.MobileNet(
        input_shape=(size, size, 3), alpha=float(width), weights=None, include_top=False
    )
    rng = np.random.default_rng(size)
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        if len(shapes) == 1:
            # As large as keeps the values' spread from layer to layer.
            fan_in = np.prod(shapes[0][:2]) * (1 if shapes[0][3] == 1 else shapes[0][2])
            layer.set_weights([rng.normal(0, np.sqrt(2 / fan_in), shapes[0])])
        elif len(shapes) == 4:
            gamma, variance = rng.uniform(0.7, 1.3, (2, *shapes[0]))
            beta, mean = rng.normal(0, 0.2, (2, *shapes[0]))
            layer.set_weights([gamma, beta, mean, variance])
    file = file_of(folder, width, size)
    if layout == "whole-model":
        model.save(file)
    else:
        write_published_layout(h5py, file, model)
    images = np.stack([rng.integers(0, 256, (size, size, 3)), np.full((size, size, 3), 200)]).astype(np.uint8)
    names = [layer.name for layer in model.layers if layer.name.endswith("_relu")]
    watched = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    inputs = keras.applications.mobilenet.preprocess_input(images.astype(np.float32))
    maps = [np.asarray(value) for value in watched([inputs], training=False)]
    np.savez(file.with_suffix(".npz"), images=images, **dict(zip(names, maps, strict=True)))


def write_published_layout(h5py: Any, file: Path, model: Any) -> None:
    """Weights as Keras 2 wrote them: a group a layer, whose attribute lists its weights, named after the layer once more."""
    with h5py.File(file, "w") as h5:
        h5.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        h5.attrs["backend"] = b"tensorflow"
        h5.attrs["keras_version"] = b"2.0.6"
        for layer in model.layers:
            group = h5.create_group(layer.name)
            values = layer.get_weights()
            kernel = "depthwise_kernel" if "_dw_" in layer.name else "kernel"
            kinds = [kernel] if len(values) == 1 else ["gamma", "beta", "moving_mean", "moving_variance"][: len(values)]
            names = [f"{layer.name}/{kind}:0" for kind in kinds]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, values, strict=True):
                group.create_dataset(name, data=value)


def differences(folder: Path, width: str, size: int) -> dict[str, float]:
    """The largest difference of each layer's output from Keras'."""
    import torch

    from logolens.models.backbones import find, locate
    from logolens.models.backbones.build import build

    backbone = find(f"mobilenet_{width}_224")
    file = file_of(folder, width, size)
    network = build(backbone, locate(backbone, file))
    given: dict[str, Any] = {}
    for block, stage in enumerate(network.body.features):
        for name, module in stage.named_children():
            if name.endswith("relu"):
                keras_name = "conv1_relu" if block == 0 else f"conv_{'dw' if 'depth' in name else 'pw'}_{block}_relu"
                module.register_forward_hook(lambda _m, _i, output, key=keras_name: given.update({key: output.numpy()}))
    with np.load(file.with_suffix(".npz")) as kept:
        with torch.no_grad():
            network(torch.from_numpy(kept["images"]))
        names = [name for name in kept.files if name != "images"]
        if set(names) != given.keys():
            raise SystemExit(f"The layers differ: {sorted(set(names) ^ given.keys())}.")
        return {name: float(np.abs(kept[name].transpose(0, 3, 1, 2) - given[name]).max()) for name in names}


def report(found: dict[tuple[str, int], dict[str, float]]) -> int:
    from common import table

    layers = next(iter(found.values()))
    rows = [(name, *(f"{gaps[name]:.1e}" for gaps in found.values())) for name in layers]
    table(("layer", *(f"{width}_{size}" for width, size in found)), rows)
    worst = max(gap for gaps in found.values() for gap in gaps.values())
    good = worst < ALLOWED
    print(f"\nLargest difference of {len(rows)} layers in {len(found)} networks: {worst:.1e}", end=" ")
    print(f"(allowed {ALLOWED:g}: {'kept' if good else 'NOT kept'}).")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
