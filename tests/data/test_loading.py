"""Reading labelled photos: folders, tables, Flickr Logos 27, and all that is odd about them."""

from __future__ import annotations

import io
import json
import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from logolens.config import Limits
from logolens.data import Box, Dataset, check_enough, load
from logolens.data.near_duplicates import groups_of, near_pairs, thumbnails
from logolens.errors import DataError, LogolensError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real photos are not at {SHARED}")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGOLENS_CACHE", str(tmp_path_factory.mktemp("cache")))


def scene(seed: int, size: tuple[int, int] = (200, 150)) -> Image.Image:
    """A picture unlike those of other seeds: blurred noise and some shapes."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    image = small.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(8):
        x, y = int(rng.integers(0, size[0])), int(rng.integers(0, size[1]))
        w, h = rng.integers(8, 60, 2).tolist()
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((x, y, x + w, y + h), fill=colour)
    return image


def save(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for seed in range(3):
        save(scene(seed), root / "acme" / f"{seed}.jpg")
        save(scene(10 + seed), root / "bolt" / "deep" / f"{seed}.png")
        save(scene(20 + seed), root / "none" / f"{seed}.jpg")
    return root


def kinds(dataset: Dataset) -> dict[str, int]:
    return {note.kind: note.count for note in dataset.notes}


# Folders


def test_a_folder_of_labels(folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    dataset = load(folder, progress=lambda done, total: steps.append((done, total)))
    assert (dataset.name, dataset.labels, len(dataset)) == ("photos", ("acme", "bolt"), 9)
    assert dataset.counts() == {"acme": 3, "bolt": 3, "none": 3}
    assert [photo.name for photo in dataset.photos][3] == "bolt/deep/0.png"
    photo = dataset.photos[0]
    assert (photo.width, photo.height, photo.label, photo.boxes, photo.split) == (200, 150, "acme", (), None)
    assert steps[-1] == (9, 9)
    assert kinds(dataset) == {"few-photos": 3}
    assert "acme 3" in dataset.notes[-1].examples


def test_the_hash_follows_content_not_paths(folder: Path) -> None:
    before = load(folder).data_hash
    (folder / "acme" / "0.jpg").rename(folder / "acme" / "renamed.jpg")
    assert load(folder).data_hash == before
    (folder / "acme" / "renamed.jpg").rename(folder / "bolt" / "renamed.jpg")
    assert load(folder).data_hash != before


def test_what_lies_about_in_folders(folder: Path) -> None:
    for name in ("acme/._0.jpg", "acme/.DS_Store", "acme/Thumbs.db", "acme/notes.txt", "loose.jpg", ".git/x/y.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "hollow").mkdir()
    dataset = load(folder)
    assert len(dataset) == 9
    assert kinds(dataset) == {"leftover": 1, "not-image": 1, "empty-folder": 1, "unlabelled": 1, "few-photos": 3}


def test_given_parts_as_folders(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "Validation", "test")):
        for seed, label in enumerate(("acme", "bolt")):
            save(scene(10 * number + seed), tmp_path / "d" / part / label / "a.jpg")
    dataset = load(tmp_path / "d")
    assert dataset.labels == ("acme", "bolt")
    assert sorted((photo.name, photo.split) for photo in dataset.photos)[0] == ("Validation/acme/a.jpg", "val")


def test_labels_may_be_called_like_parts(tmp_path: Path) -> None:
    for seed, label in enumerate(("test", "acme")):
        save(scene(seed), tmp_path / "d" / label / "a.jpg")
    assert load(tmp_path / "d").labels == ("acme", "test")


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ([], "no images"),
        (["a.jpg"], "only images that have no label"),
        (["acme/notes.txt"], "none of its 1 subfolders"),
        (["acme/a.jpg"], "one label only, acme"),
        (["none/a.jpg"], "only photos labelled none"),
    ],
)
def test_folders_that_are_not_enough(tmp_path: Path, files: list[str], match: str) -> None:
    (tmp_path / "d").mkdir()
    for name in files:
        file = tmp_path / "d" / name
        file.parent.mkdir(exist_ok=True)
        save(scene(0), file) if file.suffix == ".jpg" else file.touch()
    with pytest.raises(DataError, match=match):
        load(tmp_path / "d")


def test_one_label_is_enough_to_evaluate(tmp_path: Path) -> None:
    save(scene(0), tmp_path / "d" / "acme" / "a.jpg")
    assert len(load(tmp_path / "d", training=False)) == 1


def test_few_photos_are_noted_with_their_numbers(tmp_path: Path) -> None:
    for seed in range(21):
        save(scene(seed, (64, 48)), tmp_path / "d" / "acme" / f"{seed}.jpg")
    save(scene(99), tmp_path / "d" / "bolt" / "0.jpg")
    (note,) = check_enough(load(tmp_path / "d", training=False))
    assert (note.kind, note.examples) == ("few-photos", ("bolt 1",))
    assert "fewer than 20" in note.message


def test_what_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "a.doc").touch()
    with pytest.raises(DataError, match="no data set"):
        load(tmp_path / "a.doc")
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "gone")


# Odd images


def test_every_odd_image_is_read_or_left_out_and_noted_once(folder: Path) -> None:
    odd = folder / "acme"
    exif = Image.Exif()
    exif[0x0112] = 6
    save(scene(30), odd / "turned.jpg", exif=exif)
    save(scene(31).convert("RGBA"), odd / "alpha.png").touch()
    clear = scene(31).convert("RGBA")
    clear.putalpha(scene(32).convert("L"))
    save(clear, odd / "clear.png")
    save(scene(33).quantize(16), odd / "palette.gif")
    save(scene(34).convert("CMYK"), odd / "ink.jpg")
    deep = np.asarray(scene(35).convert("L")).astype(np.uint16) * 257
    save(Image.fromarray(deep), odd / "deep.png")
    save(scene(36), odd / "moving.gif", save_all=True, append_images=[scene(37)])
    whole = io.BytesIO()
    scene(38).save(whole, "JPEG")
    (odd / "cut.jpg").write_bytes(whole.getvalue()[:2000])
    (odd / "text.jpg").write_text("I am no image")
    (odd / "zero.png").touch()
    dataset = load(folder)
    by_name = {photo.name: photo for photo in dataset.photos}
    assert (by_name["acme/turned.jpg"].width, by_name["acme/turned.jpg"].height) == (150, 200)
    found = kinds(dataset)
    assert found["unreadable"] == 3
    assert {kind: found[kind] for kind in ("turned", "moving", "ink", "deep")} == {
        "turned": 1,
        "moving": 1,
        "ink": 1,
        "deep": 1,
    }
    assert found["clear"] >= 1
    (note,) = (note for note in dataset.notes if note.kind == "unreadable")
    assert any(example.startswith("acme/cut.jpg: ") for example in note.examples)
    assert "3" in note.message
    assert len(dataset) == 9 + 7


def test_limits_hold_also_for_what_is_remembered(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    save(scene(1, (400, 300)), folder / "acme" / "large.png")
    assert len(load(folder)) == 10
    assert kinds(load(folder, limits=Limits(max_pixels=100_000)))["unreadable"] == 1


def test_nothing_readable(tmp_path: Path) -> None:
    for label in ("acme", "bolt"):
        (tmp_path / "d" / label).mkdir(parents=True)
        (tmp_path / "d" / label / "a.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"no photo that can be read.*acme/a\.jpg.*or name other photos\.$"):
        load(tmp_path / "d")


# What is remembered


def settle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files count as old enough to be remembered."""
    monkeypatch.setattr("logolens.data.indexing._SETTLED_NS", -(10**18))


def test_a_second_load_remembers_and_an_edit_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(folder, monkeypatch)
    first = load(folder)
    reads: list[bytes] = []
    from logolens.data import indexing

    real = indexing.open_apart
    monkeypatch.setattr(indexing, "open_apart", lambda data, **options: (reads.append(data), real(data, **options))[1])
    assert load(folder) == first
    assert reads == []
    # Same name, size and modification time, other content.
    file = folder / "acme" / "0.jpg"
    stat = file.stat()
    data = bytearray(file.read_bytes())
    data[-40] ^= 0x55
    time.sleep(0.02)
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = load(folder)
    assert len(reads) == 1
    assert changed.photos[0].sha256 != first.photos[0].sha256


@pytest.mark.parametrize("damage", [b"", b"this is no database" * 100, None])
def test_a_damaged_memory_is_replaced(folder: Path, damage: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(folder, monkeypatch)
    first = load(folder)
    file = Path(os.environ["LOGOLENS_CACHE"]) / "photos.sqlite"
    assert file.exists()
    if damage is None:
        data = bytearray(file.read_bytes())
        data[200:-200] = bytes(len(data) - 400)
        file.write_bytes(data)
    else:
        file.write_bytes(damage)
    assert load(folder) == first
    assert load(folder) == first


def test_a_locked_memory_and_a_folder_that_cannot_be_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(folder, remember=False)
    file = Path(os.environ["LOGOLENS_CACHE"]) / "blocked"
    file.touch()
    monkeypatch.setenv("LOGOLENS_CACHE", str(file / "below"))
    assert load(folder) == first


def test_memory_holds_one_row_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(folder, monkeypatch)
    load(folder)
    load(folder)
    with sqlite3.connect(Path(os.environ["LOGOLENS_CACHE"]) / "photos.sqlite") as connection:
        ((rows,),) = connection.execute("SELECT count(*) FROM photos_4")
    connection.close()
    assert rows == 9


# Tables


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed in range(4):
        save(scene(seed), tmp_path / f"p{seed}.jpg")
    return tmp_path


def table(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table_with_boxes_parts_and_groups(images: Path) -> None:
    text = (
        "Label,PATH,x1,y1,x2,y2,Split,group,remark\n"
        'acme,p0.jpg,10,20,60.5,70,train,g1,"a, quoted"\n'
        "acme,p0.jpg,100,20,150,70,,,\n"
        "\n"
        '"bolt, inc",./p1.jpg,,,,,Validation,,\n'
        "NONE,p2.jpg,,,,,testing,,\n"
    )
    dataset = load(table(images, text))
    first, second, third = dataset.photos
    assert first.boxes == (Box(10, 20, 60.5, 70), Box(100, 20, 150, 70))
    assert (first.split, first.group, second.label, second.split) == ("train", "g1", "bolt, inc", "val")
    assert (third.label, third.split) == ("none", "test")
    assert dataset.labels == ("acme", "bolt, inc")
    assert kinds(dataset)["unknown-column"] == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "\ufeffpath,label\np0.jpg,acme\np1.jpg,bolt\n"),
        ("t.csv", "path;label\r\np0.jpg;acme\r\np1.jpg;bolt\r\n"),
        ("t.csv", '"path"\t"label"\np0.jpg\tacme\np1.jpg\tbolt'),
        ("t.tsv", "path\tlabel\np0.jpg\tacme\np1.jpg\tbolt\n"),
        ("t.CSV", b"\xff\xfe" + "path,label\np0.jpg,acme\np1.jpg,bolt\n".encode("utf-16-le")),
        ("t.jsonl", '{"path": "p0.jpg", "Label": "acme"}\n\n{"path": "p1.jpg", "label": "bolt", "x1": null}\n'),
        ("t.csv", "path,label,,\np0.jpg,acme,,\np1.jpg,bolt,,\n"),
    ],
)
def test_tables_as_programs_write_them(images: Path, name: str, text: str | bytes) -> None:
    dataset = load(table(images, text, name))
    assert [(photo.name, photo.label) for photo in dataset.photos] == [("p0.jpg", "acme"), ("p1.jpg", "bolt")]
    assert "unknown-column" not in kinds(dataset)


def test_backslashes_of_windows(images: Path) -> None:
    save(scene(9), images / "sub" / "a.jpg")
    dataset = load(table(images, "path,label\nsub\\a.jpg,acme\np1.jpg,bolt\n"))
    assert len(dataset) == 2


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "first row is empty"),
        ("p0.jpg,acme\np1.jpg,bolt\n", "no column path.*'p0.jpg,acme'.*must name the columns"),
        ("path,slogan\np0.jpg,acme\n", "no column label.*holds the labels, call it label"),
        ("path,label,path\n", "column path stands twice"),
        ("path,label\n", "no rows"),
        ("path,label\np0.jpg,acme\np1.jpg\n", "row 3: p1.jpg has no label"),
        ("path,label\n,acme\n", "row 2: the path is empty"),
        ("path,label\np0.jpg,a,b\n", "row 2: it has 3 cells.*quotes"),
        ("path,label,x1,y1,x2,y2\np0.jpg,a,1,2,3,\n", "row 2: the box lacks y2"),
        ("path,label,x1,y1,x2,y2\np0.jpg,a,1,2,3,wide\n", "row 2: y2 is 'wide'"),
        ("path,label,x1,y1,x2,y2\np0.jpg,a,1,2,3,inf\n", "row 2: y2 is 'inf'"),
        ("path,label,split\np0.jpg,a,later\n", "row 2: the split is 'later'"),
        ("path,label,split\np0.jpg,a,train\np0.jpg,a,test\n", "row 3: p0.jpg is put in test, but row 2"),
        ("path,label,group\np0.jpg,a,g\np0.jpg,a,h\n", "row 3: p0.jpg is in group h, but row 2"),
        ('path,label\n"p0.jpg,acme\n', "not a table"),
        (b"path,label\nM\xfcller.jpg,acme\n", "row 2 is not valid UTF-8"),
        ("path,label\n" + ",a\n" * 9, r"row 6: the path is empty \(and 4 more rows\)"),
        ("path,label\ngone.jpg,acme\n", "no photo that can be read.*gone.jpg"),
    ],
)
def test_wrong_tables(images: Path, text: str | bytes, match: str) -> None:
    with pytest.raises(DataError, match=match):
        load(table(images, text))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"path": "p0.jpg"\n', "row 1: it is not JSON"),
        ('["p0.jpg", "acme"]\n', "row 1: it is not an object"),
        ('{"path": "p0.jpg", "label": ["a"]}\n', 'row 1: label is \\["a"\\]'),
        ("", "no rows"),
    ],
)
def test_wrong_json_lines(images: Path, text: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        load(table(images, text, "t.jsonl"))


def test_odd_rows_are_noted_once_a_kind(images: Path) -> None:
    rows = [
        ("p0.jpg", "acme", 10, 10, 50, 50),
        ("p0.jpg", "acme", 10, 10, 50, 50),
        ("p0.jpg", "acme", 150, 100, 260, 170),
        ("p1.jpg", "bolt", 3, 97, 3, 97),
        ("p1.jpg", "bolt", 3, 97, 3, 97),
        ("p2.jpg", "bolt", 500, 500, 600, 600),
        ("p3.jpg", "acme", 0, 0, 20, 20),
        ("p3.jpg", "bolt", 0, 0, 100, 100),
        ("gone.jpg", "acme", 0, 0, 9, 9),
    ]
    lines = [json.dumps(dict(zip(("path", "label", "x1", "y1", "x2", "y2"), row, strict=True))) for row in rows]
    dataset = load(table(images, "\n".join(lines), "t.jsonl"))
    expected = {
        "repeated-row": 1,
        "clipped-box": 1,
        "empty-box": 2,
        "outside-box": 1,
        "several-labels": 1,
        "missing": 1,
    }
    assert {kind: count for kind, count in kinds(dataset).items() if kind != "few-photos"} == expected
    one, two, three, four = dataset.photos
    assert one.boxes == (Box(10, 10, 50, 50), Box(150, 100, 200, 150))
    assert (two.label, two.boxes, three.label, three.boxes) == ("bolt", (), "bolt", ())
    assert (four.label, four.labels) == ("bolt", ("acme", "bolt"))


def test_a_table_that_is_nonsense_never_crashes(images: Path) -> None:
    rng = random.Random(0)
    alphabet = 'pathlabelx1,;"\n\t\r\0{}[]:p0.jpg\\ü'
    for number in range(300):
        text = rng.choice(["", "path,label\n", "path,label,x1,y1,x2,y2\n"]) + "".join(rng.choices(alphabet, k=40))
        try:
            load(table(images, text, f"t.{rng.choice(['csv', 'tsv', 'jsonl'])}"), remember=False)
        except LogolensError:
            pass
        except Exception as error:
            raise AssertionError(f"{number}: {text!r}") from error


# Copies


def thumbs_of(images: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    parts = [thumbnails(image.convert("RGB")) for image in images]
    return np.stack([part[0] for part in parts]), np.array([part[1:] for part in parts])


def recompress(image: Image.Image, quality: int = 40) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def margin(image: Image.Image) -> Image.Image:
    wide = Image.new("RGB", (image.width + 60, image.height + 90), "white")
    wide.paste(image, (30, 20))
    return wide


@pytest.mark.parametrize(
    "change",
    [
        recompress,
        lambda image: image.resize((97, 73)),
        lambda image: image.crop((8, 4, image.width - 5, image.height - 6)),
        lambda image: ImageEnhance.Brightness(image).enhance(0.7),
        lambda image: image.convert("L"),
        lambda image: image.filter(ImageFilter.GaussianBlur(1)),
        margin,
    ],
)
def test_near_copies_are_found_and_nothing_else_is(change: object) -> None:
    originals = [scene(seed) for seed in range(12)]
    copies = [change(image) for image in originals]  # type: ignore[operator]
    pairs = near_pairs(*thumbs_of(originals + copies))
    assert all(right == left + 12 for left, right in pairs)
    assert len(pairs) >= 11


def artwork(kind: str) -> Image.Image:
    image = Image.new("RGB", (300, 200), "white")
    draw = ImageDraw.Draw(image)
    if kind == "ring":
        draw.ellipse((80, 30, 220, 170), outline="black", width=24)
    elif kind == "disc":
        draw.ellipse((80, 30, 220, 170), fill="black")
    elif kind == "split":
        draw.ellipse((80, 30, 220, 170), fill="black")
        draw.rectangle((80, 90, 220, 110), fill="white")
    elif kind == "box":
        draw.rectangle((80, 30, 220, 170), fill="black")
    elif kind == "triangle":
        draw.polygon([(80, 170), (150, 30), (220, 170)], fill="black")
    return image


def test_different_artwork_on_white_and_plain_images_are_not_joined() -> None:
    images = [artwork(kind) for kind in ("ring", "disc", "split", "box", "triangle", "plain", "plain")]
    images += [Image.new("RGB", (200, 200), colour) for colour in ("black", "grey", "#808081")]
    assert near_pairs(*thumbs_of(images)) == []


def test_a_picture_shown_often_is_one_group_and_each_of_its_near_copies_joins() -> None:
    """As on a site that shows one picture on each page. Plain pictures stay apart, however equal they are."""
    one, other = scene(1), scene(2)
    images = [other, *[one] * 300, recompress(one), recompress(other), *[Image.new("RGB", (90, 90), "grey")] * 3]
    groups = groups_of(len(images), near_pairs(*thumbs_of(images)))
    assert groups == [0, *[1] * 301, 0, 303, 304, 305]


def test_pictures_of_a_few_pixels_do_no_harm() -> None:
    tiny = [
        Image.new("RGB", size, colour) for size in ((1, 1), (2, 1), (1, 900), (900, 1)) for colour in ("red", "white")
    ]
    assert near_pairs(*thumbs_of(tiny)) == []


def test_groups_join_through_one_another() -> None:
    assert groups_of(6, [(4, 5), (1, 4), (5, 1), (2, 3)]) == [0, 1, 2, 2, 1, 1]


def test_copies_are_noted_and_so_are_their_labels(folder: Path) -> None:
    (folder / "acme" / "again.jpg").write_bytes((folder / "acme" / "0.jpg").read_bytes())
    save(scene(1), folder / "bolt" / "recompressed.jpg", quality=50)
    dataset = load(folder)
    near = {photo.name: photo.near for photo in dataset.photos}
    assert near["acme/0.jpg"] == near["acme/again.jpg"]
    assert near["acme/1.jpg"] == near["bolt/recompressed.jpg"]
    assert len(set(near.values())) == 9
    found = {note.kind: note for note in dataset.notes}
    assert (found["copies"].count, found["near-copies"].count, found["conflicting-labels"].count) == (1, 1, 1)
    assert "bolt/recompressed.jpg (bolt)" in found["conflicting-labels"].examples[0]


# Flickr Logos 27


def flickr(root: Path, rows: str, photos: list[str], queries: str | None = None) -> Path:
    base = root / "flickr_logos_27_dataset"
    for seed, name in enumerate(photos):
        save(scene(seed), base / "flickr_logos_27_dataset_images" / name)
    (base / "flickr_logos_27_dataset_training_set_annotation.txt").write_text(rows)
    if queries is not None:
        (base / "flickr_logos_27_dataset_query_set_annotation.txt").write_text(queries)
    return base


ROWS = "a.jpg Adidas 1 3 4 50 60 \na.jpg Adidas 2 3 4 50 60 \nb.jpg Apple 1 5 5 5 5 \n"


def test_flickr27_is_known_by_its_files(tmp_path: Path) -> None:
    base = flickr(tmp_path, ROWS, ["a.jpg", "b.jpg", "extra.jpg", "q.jpg", "n.jpg"], "q.jpg\tApple\nn.jpg\tnone\n")
    for place in (base, tmp_path):
        dataset = load(place)
        assert (len(dataset), dataset.labels) == (2, ("Adidas", "Apple"))
        found = kinds(dataset)
        assert {kind: found[kind] for kind in ("repeated-row", "empty-box", "queries", "unlisted")} == {
            "repeated-row": 1,
            "empty-box": 1,
            "queries": 2,
            "unlisted": 1,
        }
    dataset = load(base, queries=True)
    assert [(photo.name, photo.label, photo.split) for photo in dataset.photos] == [
        ("a.jpg", "Adidas", "train"),
        ("b.jpg", "Apple", "train"),
        ("n.jpg", "none", "test"),
        ("q.jpg", "Apple", "test"),
    ]


def test_flickr27_that_is_damaged(tmp_path: Path) -> None:
    base = flickr(tmp_path, ROWS + "c.jpg Adidas 1 3 four 5 6\n", ["a.jpg"])
    with pytest.raises(DataError, match=r"row 4 reads 'c.jpg Adidas 1 3 four 5 6'"):
        load(base)
    flickr(tmp_path, ROWS, ["a.jpg", "b.jpg"])
    with pytest.raises(DataError, match="no flickr_logos_27_dataset_query"):
        load(base, queries=True)
    (base / "flickr_logos_27_dataset_images").rename(base / "other")
    with pytest.raises(DataError, match="no folder flickr_logos_27_dataset_images"):
        load(base)


@needs_shared
@pytest.mark.slow
def test_the_real_flickr27() -> None:
    dataset = load(SHARED / "flickr27")
    assert (len(dataset), len(dataset.labels)) == (809, 27)
    # 1,261 distinct boxes are listed, and one of them, in five rows, is empty.
    assert sum(len(photo.boxes) for photo in dataset.photos) == 1260
    found = kinds(dataset)
    assert (found["empty-box"], found["several-labels"], found["repeated-row"]) == (5, 1, 4536 - 1260 - 5)
    (both,) = (photo for photo in dataset.photos if len(photo.labels) > 1)
    assert both.labels == ("Cocacola", "Pepsi")
    assert "unreadable" not in found
    groups: dict[int, set[str]] = {}
    for photo in dataset.photos:
        groups.setdefault(photo.near, set()).add(photo.label)
    assert 750 <= len(groups) <= 766
    # The near copies of this set are all of one brand; to join two would be a mistake.
    assert all(len(labels) == 1 for labels in groups.values())


@needs_shared
def test_the_real_old_and_new_logos_are_not_joined() -> None:
    dataset = load(SHARED / "oldnew")
    assert dataset.counts() == {"new": 32, "old": 33}
    assert "conflicting-labels" not in kinds(dataset)


def test_tiff_of_several_pages(folder: Path) -> None:
    save(scene(50), folder / "acme" / "pages.tif", save_all=True, append_images=[scene(51)])
    assert kinds(load(folder))["moving"] == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_links_are_one_rule_and_what_is_no_file_is_told(tmp_path: Path, draw_photo: Callable[..., Image.Image]) -> None:
    for name in ("set/acme/a.png", "set/bolt/b.png", "far/c.png", "far/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        draw_photo(Path(name).stem, 1, (64, 48)).save(tmp_path / name)
    (tmp_path / "set/acme/more").symlink_to(tmp_path / "far")
    (tmp_path / "set/bolt/linked.png").symlink_to(tmp_path / "far/d.png")
    (tmp_path / "set/bolt/up").symlink_to(tmp_path / "set")
    (tmp_path / "set/round").symlink_to(tmp_path / "set")
    os.mkfifo(tmp_path / "set/acme/pipe.png")
    (tmp_path / "set/acme/zero.png").symlink_to("/dev/zero")
    data = load(tmp_path / "set", remember=False)
    assert sorted(photo.name for photo in data.photos) == [
        "acme/a.png", "acme/more/c.png", "acme/more/d.png", "bolt/b.png", "bolt/linked.png",
    ]  # fmt: skip
    notes = {note.kind: note for note in data.notes}
    assert notes["linked-back"].count == 2
    assert notes["unreadable"].count == 2
    assert "a pipe (FIFO)" in str(notes["unreadable"])
