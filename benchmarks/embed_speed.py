"""How fast do photos become features, from file to vector, beside the network alone and beside a plain PyTorch loop?

(a) ONNX Runtime with the same graph, fed with squares that lie ready in memory, in its fastest configuration on this
    machine: what decoding and resizing cost, after all overlap.
(b) A plain loop of PyTorch, torchvision and Pillow with the same architecture, at its default threads; once in one
    process, once with a DataLoader of two workers.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import FLICKR27, busy, photo_files, table, take_turns, verdict
from PIL import Image

from logolens.config import Preprocessing
from logolens.io.images import content_hash, read_bytes
from logolens.io.threads import processors
from logolens.io.views import WHOLE, cut
from logolens.models.backbones import ExportedBackbone, find, prepare
from logolens.models.features import Sight, extract
from logolens.models.session import Session

Squares = npt.NDArray[np.uint8]


def whole_road(files: list[Path], backbone: ExportedBackbone, preprocessing: Preprocessing) -> Callable[[], object]:
    """logolens, without its cache: each photo is read, decoded, resized and seen by the network."""
    session = Session(backbone.path, preprocessing)
    sights = [Sight(file, content_hash(read_bytes(file)), (WHOLE,)) for file in files]
    return lambda: extract(sights, session, backbone.sha256)


def ready_squares(squares: Squares, model: Path, threads: int, intra: int, batch: int) -> Callable[[], object]:
    """The network alone: ``threads`` Python threads share one session of ``intra`` threads an operator."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = intra
    options.log_severity_level = 3
    session: Any = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    parts = [squares[start : start + batch] for start in range(0, len(squares), batch)]

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda part: session.run(None, {"image": part}), parts))

    return run


def fastest_ready(squares: Squares, model: Path) -> tuple[str, Callable[[], object]]:
    """The fastest configuration of the network alone: each is tried three times, in turn, and its best time counts."""
    cores = processors()
    ways = [(threads, intra, batch) for threads, intra in {(1, cores), (cores, 1)} for batch in (1, 2, 4, 8, 16, 32)]
    times = take_turns({str(way): ready_squares(squares[:64], model, *way) for way in ways}, 3, warm=False)
    best = min(ways, key=lambda way: min(times[str(way)].wall))
    return "{} x {} threads, batches of {}".format(*best), ready_squares(squares, model, *best)


class Photos:
    """What a DataLoader draws from: the classic Resize, ToTensor, Normalize of torchvision."""

    def __init__(self, files: list[Path], size: int) -> None:
        from torchvision import transforms

        self.files = files
        self.transform = transforms.Compose(
            [
                transforms.Resize((size, size)),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, position: int) -> Any:
        with Image.open(self.files[position]) as image:
            return self.transform(image.convert("RGB"))


def plain_torch(files: list[Path], name: str, size: int, workers: int) -> Callable[[], object]:
    """PyTorch in eager mode, batches of 32; random weights, which take the same time."""
    from logolens.models.backbones.frameworks import import_timm

    timm = import_timm()
    import torch
    from torch.utils.data import DataLoader

    names = {"efficientnet_lite": "tf_efficientnet_lite", "mobilenet_v2": "mobilenetv2_100"}
    backbone = find(name)
    architecture = next(
        (name.replace(old, new) for old, new in names.items() if name.startswith(old)), backbone.architecture
    )
    model = timm.create_model(architecture, pretrained=False, num_classes=0).eval()
    loader = DataLoader(Photos(files, size), batch_size=32, num_workers=workers)  # type: ignore[arg-type]

    def run() -> None:
        with torch.inference_mode():
            for batch in loader:
                model(batch)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of JPEG files; Flickr Logos 27 where it is present")
    parser.add_argument("--made", action="store_true", help="measure with made photos of 500 x 375, JPEG quality 85")
    parser.add_argument("--count", type=int, default=128, help="photos a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--torch-rounds", type=int, default=3, help="rounds of (b); 0 leaves it out")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, help="side of the network's input")
    options = parser.parse_args()
    busy()
    folder = None if options.made else options.photos or (FLICKR27 if FLICKR27.is_dir() else None)
    backbone = prepare(options.backbone, size=options.size)
    preprocessing = Preprocessing(size=backbone.size, mean=backbone.mean, std=backbone.std)
    with tempfile.TemporaryDirectory() as work:
        files = photo_files(folder, options.count, Path(work))
        kilobytes = sum(file.stat().st_size for file in files) / len(files) / 1000
        print(
            f"{len(files)} photos of {kilobytes:.0f} kB, {options.backbone} at {backbone.size} px, {processors()} processors\n"
        )
        squares = np.stack([cut(read_bytes(file), (WHOLE,), preprocessing)[0] for file in files])
        road = whole_road(files, backbone, preprocessing)
        best, ready = fastest_ready(squares, backbone.path)
        times = take_turns(
            {"logolens, file to features": road, f"ONNX Runtime, ready squares ({best})": ready}, options.rounds
        )
        slow = {}
        few = files[:64]  # It is far slower: fewer photos tell as much.
        if options.torch_rounds:
            loops = {
                "logolens, again beside PyTorch": whole_road(few, backbone, preprocessing),
                "PyTorch loop, one process": plain_torch(few, options.backbone, backbone.size, 0),
                "PyTorch loop, 2 loading workers": plain_torch(few, options.backbone, backbone.size, 2),
            }
            slow = take_turns(loops, options.torch_rounds)
    rows = [
        (name, f"{count / value.seconds:.1f}", f"{1000 * value.cpu_seconds / count:.2f}")
        for count, part in ((len(files), times), (len(few), slow))
        for name, value in part.items()
    ]
    table(("", "photos/s", "CPU ms/photo"), rows)
    ours, peer = times.values()
    print()
    verdict("logolens to ONNX Runtime alone", peer.seconds / ours.seconds, 0.85)
    print(f"  in processor time: {peer.cpu_seconds / ours.cpu_seconds:.2f}")
    if slow:
        again, *others = slow.values()
        verdict("logolens to the faster PyTorch loop", min(other.seconds for other in others) / again.seconds, 2.0)


if __name__ == "__main__":
    main()
