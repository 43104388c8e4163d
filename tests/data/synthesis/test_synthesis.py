"""Images composed from artwork: what is read, what is written, what a seed decides, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from logolens.cli import main
from logolens.config import Conditions, SynthesisSettings
from logolens.data import load, split
from logolens.data.synthesis import Artwork, compose, photo_among, read_artworks, read_synthesised, synthesize
from logolens.data.synthesis.planning import WORLD
from logolens.errors import DataError, UsageError

SMALL = SynthesisSettings(count=6, none=4, size=240)

RED, BLUE, YELLOW = (229, 53, 45), (27, 79, 160), (245, 184, 0)
DUO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 60"><circle cx="30" cy="30" r="28" fill="#e5352d"/>'
    '<rect x="62" y="10" width="50" height="18" fill="#1b4fa0"/><rect x="62" y="34" width="36" height="18" fill="#f5b800"/></svg>'
)


def drawn(shape: str, colour: tuple[int, int, int] = RED, size: int = 200) -> Image.Image:
    """A shape on nothing."""
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    if shape == "ring":
        pen.ellipse((10, 10, size - 10, size - 10), fill=(*colour, 255))
        pen.ellipse((60, 60, size - 60, size - 60), fill=(0, 0, 0, 0))
    else:
        pen.polygon([(size // 2, 10), (size - 10, size - 10), (10, size - 10)], fill=(*colour, 255))
    return image


@pytest.fixture(scope="module")
def art(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labels, one of them in two variants, and a brand that is no label."""
    folder = tmp_path_factory.mktemp("art")
    for label in ("acme", "bolt", "none"):
        (folder / label).mkdir()
    drawn("ring").save(folder / "acme" / "ring.png")
    drawn("ring", BLUE).save(folder / "acme" / "ring-blue.webp")
    drawn("triangle").save(folder / "bolt" / "logo.png")
    drawn("ring", YELLOW).rotate(45).crop((0, 0, 100, 200)).save(folder / "none" / "other.png")
    return folder


@pytest.fixture(scope="module")
def made(art: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(art, tmp_path_factory.mktemp("made") / "data", SMALL).folder


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, with the hash of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "boxes.csv").read_text(encoding="utf-8").splitlines()))


# --- what is written -----------------------------------------------------------------------------------------------


def test_every_image_is_listed_with_boxes_inside_it(made: Path) -> None:
    rows = rows_of(made)
    assert {row["path"] for row in rows} == {name for name in tree(made) if name.endswith(".jpg")}
    for row in rows:
        assert row["split"] == row["path"].split("/")[0]
        if "/none/" in row["path"]:
            assert row["label"] == "none"
            assert row["x1"] == row["y2"] == ""
            continue
        with Image.open(made / row["path"]) as image:
            x1, y1, x2, y2 = (int(row[key]) for key in ("x1", "y1", "x2", "y2"))
            assert 0 <= x1 < x2 <= image.width
            assert 0 <= y1 < y2 <= image.height
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert 120 <= max(image.size) <= 240
    labelled = {(row["path"], row["label"]) for row in rows}
    assert all((row["path"], row["path"].split("/")[1]) in labelled for row in rows)
    result = read_synthesised(made)
    assert result.labels == ("acme", "bolt")
    assert result.counts == {"acme": 6, "bolt": 6, "none": 4}
    with Image.open(result.sheet) as sheet:
        assert sheet.format == "PNG"
        assert min(sheet.size) > 300


def test_no_background_stands_in_two_parts(made: Path) -> None:
    parts: dict[str, set[str]] = {}
    for row in rows_of(made):
        parts.setdefault(row["split"], set()).add(row["group"])
    assert set(parts) == {"train", "val", "test"}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values()))


@pytest.mark.parametrize("place", ["boxes.csv", "."])
def test_what_is_written_is_a_data_set_as_it_stands(made: Path, place: str) -> None:
    dataset = load(made / place, training=False)
    parts = split(dataset)  # Raises where its parts leak.
    assert len(dataset) == 16
    assert dataset.labels == ("acme", "bolt")
    told = {note.kind for note in dataset.notes} - {"few-photos", "several-labels"}
    assert told == (
        set() if place == "boxes.csv" else {"table-aside"}
    )  # The table has boxes, which the folders have not.
    assert {dataset.photos[number].name.split("/")[0] for number in parts.test} == {"test"}
    assert len(parts.val) == len(parts.test) == 3
    assert bool(dataset.photos[0].boxes) == (place == "boxes.csv")


def test_the_seed_decides_every_byte_whatever_the_threads(made: Path, art: Path, tmp_path: Path) -> None:
    again = synthesize(art, tmp_path / "again", SynthesisSettings(count=6, none=4, size=240, threads=1))
    assert tree(again.folder) == tree(made)
    other = synthesize(art, tmp_path / "other", SynthesisSettings(count=6, none=4, size=240, seed=1))
    images = [name for name in tree(made) if name.endswith(".jpg")]
    assert all(tree(other.folder)[name] != tree(made)[name] for name in images)


def test_a_further_label_changes_no_other_labels_lone_logos(art: Path, made: Path, tmp_path: Path) -> None:
    drawn("ring").resize((300, 100)).save(tmp_path / "crest.png")
    more = synthesize([art, tmp_path / "crest.png"], tmp_path / "more", SMALL)
    lone = {row["path"] for row in rows_of(made) if "/none/" not in row["path"]}
    two = [row["path"] for row in [*rows_of(made), *rows_of(more.folder)] if row["label"] != row["path"].split("/")[1]]
    assert more.labels == ("acme", "bolt", "crest")
    assert lone - set(two)
    assert all(tree(more.folder)[name] == tree(made)[name] for name in lone - set(two))


def test_own_photos_are_composed_on_and_broken_ones_told(
    art: Path, tmp_path: Path, draw_photo: Callable[..., Image.Image]
) -> None:
    (tmp_path / "walls").mkdir()
    for number in range(13):
        draw_photo("none", number, (320, 240)).save(tmp_path / "walls" / f"{number}.png")
    (tmp_path / "walls" / "copy.png").write_bytes((tmp_path / "walls" / "0.png").read_bytes())
    (tmp_path / "walls" / "broken.jpg").write_bytes(b"no image")
    Image.new("RGB", (60, 60)).save(tmp_path / "walls" / "tiny.png")
    settings = SynthesisSettings(count=8, none=0, size=200, backgrounds=tmp_path / "walls")
    result = synthesize(art, tmp_path / "data", settings)
    assert any("cannot be read, left out: 1" in note and "broken.jpg" in note for note in result.notes)
    assert any("below 200 pixels, left out: 1" in note for note in result.notes)
    groups = {row["group"] for row in rows_of(result.folder)}
    assert all(group.startswith("photo ") for group in groups)
    split(load(result.boxes, training=False))
    few = SynthesisSettings(count=3, none=0, size=200, backgrounds=tmp_path / "few")
    (tmp_path / "few").mkdir()
    draw_photo("none", 1, (320, 240)).save(tmp_path / "few" / "one.png")
    assert any("built-in backgrounds stand beside" in note for note in synthesize(art, tmp_path / "2", few).notes)


def test_a_killed_run_leaves_nothing_that_could_be_taken_for_the_whole(art: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "logolens",
        "synthesize",
        str(art),
        "--out",
        str(tmp_path / "data"),
        "--count",
        "900",
    ]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 240
    while not list(tmp_path.glob(".data.*.part/train/*/*.jpg")):
        assert run.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    run.wait()
    assert not (tmp_path / "data").exists()
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())
    with pytest.raises(DataError, match="no complete set"):
        read_synthesised(tmp_path / "data")


def test_a_failure_half_way_leaves_nothing(art: Path, tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(art, tmp_path / "data", SMALL, progress=stop)
    assert not list(tmp_path.iterdir())


# --- what is refused -----------------------------------------------------------------------------------------------


def test_what_is_there_is_replaced_only_when_told(art: Path, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    settings = SynthesisSettings(count=1, none=0, size=160)
    synthesize(art, out, settings)
    before = tree(out)
    with pytest.raises(UsageError, match="--force"):
        synthesize(art, out, settings)
    assert tree(out) == before
    synthesize(art, out, SynthesisSettings(count=1, none=0, size=160, seed=3), force=True)
    assert tree(out).keys() == before.keys()
    assert tree(out) != before
    (out / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        synthesize(art, out, settings, force=True)
    assert (out / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_folder_or_file_is_left_alone(art: Path, tmp_path: Path, force: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"precious")
    for out in (tmp_path / "photos", tmp_path / "photos" / "holiday.jpg"):
        with pytest.raises(UsageError, match=r"stays as it is|not a folder"):
            synthesize(art, out, SMALL, force=force)
    assert list(tree(tmp_path)) == ["photos/holiday.jpg"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user whom rights bind")
def test_a_folder_without_rights_is_told(art: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UsageError, match="may write to"):
        synthesize(art, tmp_path / "locked" / "data", SMALL)


def write(folder: Path, name: str, data: bytes | str) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


EMPTY_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"></svg>'
HUGE_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
    + "".join(f'<g id="a{n}"><use href="#a{n + 1}"/><use href="#a{n + 1}"/></g>' for n in range(30))
    + '<g id="a30"><rect width="1" height="1"/></g></svg>'
)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("acme/logo.svg", EMPTY_SVG, "no pixel of it is drawn"),
        ("acme/logo.svg", HUGE_SVG, "comes to more than"),
        ("acme/logo.svg", DUO[:-20], "cannot be drawn"),
        ("acme/logo.png", b"no image", "not an image that can be read"),
        ("acme/logo.png", b"", "the file is empty"),
        ("acme/logo.pdf", b"%PDF-1.4 broken", "PDF file cannot be read"),
        ("acme/note.txt", b"x", "none of its 1 subfolders holds artwork"),
    ],
)
def test_artwork_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, name: str, data: bytes | str, message: str
) -> None:
    pytest.importorskip("resvg_py")
    pytest.importorskip("pypdfium2")
    write(tmp_path / "art", name, data)
    with pytest.raises(DataError, match=message) as caught:
        synthesize(tmp_path / "art", tmp_path / "out", SMALL)
    assert len(str(caught.value)) < 700
    assert not (tmp_path / "out").exists()


def test_a_bad_file_beside_a_good_one_is_left_out_and_told(tmp_path: Path) -> None:
    write(tmp_path, "acme/bad.png", b"no image")
    drawn("ring").save(tmp_path / "acme" / "good.png")
    found = read_artworks([tmp_path])
    assert len(found.variants["acme"]) == 1
    assert any("left out: 1" in note and "bad.png" in note for note in found.notes)


@pytest.mark.parametrize("pair", [("Acme", "acme"), ("acme ", "acme")])
def test_labels_that_collide_are_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    for number, label in enumerate(pair):
        (tmp_path / str(number) / label).mkdir(parents=True)
        drawn("ring").save(tmp_path / str(number) / label / "a.png")
    with pytest.raises(UsageError, match="give one label"):
        read_artworks([tmp_path / "0", tmp_path / "1"])


def test_the_same_file_under_two_labels_is_refused(tmp_path: Path) -> None:
    for label in ("old", "new"):
        (tmp_path / label).mkdir()
        drawn("ring").save(tmp_path / label / "logo.png")
    with pytest.raises(UsageError, match="same file under two labels"):
        read_artworks([tmp_path])


def test_nothing_to_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_artworks([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="holds no artwork"):
        read_artworks([tmp_path])
    with pytest.raises(UsageError, match="No artwork was named"):
        read_artworks([])
    (tmp_path / "none").mkdir()
    drawn("ring").save(tmp_path / "none" / "a.png")
    with pytest.raises(DataError, match="artwork of none alone"):
        read_artworks([tmp_path])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"smallest": 0.5, "largest": 0.2}, "cannot be wider"),
        ({"val": 0.6, "test": 0.5}, "leave nothing"),
        ({"size": 20}, "size is 20"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SynthesisSettings(**values)  # type: ignore[arg-type]


def test_backgrounds_that_are_not_there_are_told(art: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        synthesize(art, tmp_path / "out", SynthesisSettings(backgrounds=tmp_path / "nowhere"))
    write(tmp_path, "walls/a.jpg", b"no image")
    with pytest.raises(DataError, match=r"no photo to compose on.*a\.jpg"):
        synthesize(art, tmp_path / "out", SynthesisSettings(backgrounds=tmp_path / "walls"))


# --- what is read --------------------------------------------------------------------------------------------------


def test_a_drawing_of_several_colours_keeps_them(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    (art,) = read_artworks([write(tmp_path, "duo.svg", DUO) / "duo.svg"]).variants["duo"]
    assert art.paint is not None
    for colour, (x, y) in {RED: (0.2, 0.5), BLUE: (0.75, 0.3), YELLOW: (0.7, 0.75)}.items():
        row, column = int(y * art.alpha.shape[0]), int(x * art.alpha.shape[1])
        assert tuple(art.paint[row, column]) == colour
        assert art.alpha[row, column] == 255
    assert art.alpha[2, 2] == 0
    one = art.one_colour
    assert one.paint is None
    assert 0.1 < (one.alpha > 127).mean() < (art.alpha > 127).mean()
    # Seen in a picture: its colours are there, where its box is.
    picture, (box,) = compose([art], "plaster", np.random.default_rng(4), width_share=(0.7, 0.7))
    bare, _ = compose([art], "plaster", np.random.default_rng(4), width_share=(0.7, 0.7), ink=False)
    shown = np.asarray(picture, np.float32)[box.y1 : box.y2, box.x1 : box.x2].reshape(-1, 3)
    under = np.asarray(bare, np.float32)[box.y1 : box.y2, box.x1 : box.x2].reshape(-1, 3)
    for channel, other in ((0, 2), (2, 0)):  # Red over blue, and blue over red.
        assert np.percentile(shown[:, channel] - shown[:, other], 97) > 40
        assert np.percentile(under[:, channel] - under[:, other], 97) < np.percentile(
            shown[:, channel] - shown[:, other], 97
        )


def test_a_drawing_of_one_colour_is_known_as_such(art: Path) -> None:
    variants = read_artworks([art]).variants
    assert [drawing.paint for drawing in (*variants["acme"], *variants["bolt"])] == [None] * 3
    assert variants["bolt"][0].colour == RED
    assert variants["acme"][0].alpha.shape == (181, 181)


def test_artwork_on_a_flat_ground_is_cut_out_and_other_artwork_is_a_rectangle(tmp_path: Path) -> None:
    ring = drawn("ring")
    white = Image.new("RGB", (300, 260), "white")
    white.paste(ring, (50, 30), ring)
    (tmp_path / "flat").mkdir()
    (tmp_path / "full").mkdir()
    white.save(tmp_path / "flat" / "logo.jpg", quality=95)
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "full" / "photo.png")
    found = read_artworks([tmp_path])
    flat, full = found.variants["flat"][0], found.variants["full"][0]
    assert flat.alpha.shape == pytest.approx((181, 181), abs=4)
    assert flat.alpha[3, 3] == 0
    assert flat.alpha[90, 90] == 255  # What the drawing encloses is part of it.
    assert full.opaque
    assert any("margin of one colour was cut away: 1. (flat/logo.jpg)" in note for note in found.notes)
    assert any("opaque rectangle: 1. (full/photo.png)" in note for note in found.notes)
    Image.new("RGB", (50, 50), "red").save(tmp_path / "flat" / "logo.jpg")
    with pytest.raises(DataError, match="all of it is of one colour"):
        read_artworks([tmp_path])


def test_pages_of_a_pdf_are_variants_without_their_paper(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    first, second = drawn("ring").convert("RGBA"), drawn("triangle")
    pages = [
        Image.alpha_composite(Image.new("RGBA", page.size, "white"), page).convert("RGB") for page in (first, second)
    ]
    pages[0].save(tmp_path / "raster.pdf", save_all=True, append_images=pages[1:])
    assert len(read_artworks([tmp_path / "raster.pdf"]).variants["raster"]) == 2
    stream = b"0.9 0.2 0.18 rg 40 40 60 120 re f 0.1 0.3 0.63 rg 120 40 40 120 re f"
    (tmp_path / "vector.pdf").write_bytes(_pdf(stream))
    (art,) = read_artworks([tmp_path / "vector.pdf"]).variants["vector"]
    assert art.paint is not None
    height, width = art.alpha.shape
    assert width / height == pytest.approx(1.0, abs=0.02)  # 120 by 120 of a page of 200 by 200
    assert art.alpha[height // 2, width * 7 // 12] == 0  # Between the two bars the page is clear.
    assert tuple(art.paint[height // 2, width // 4]) == pytest.approx((230, 51, 46), abs=2)


def _pdf(stream: bytes) -> bytes:
    """A page of 200 by 200 points that draws what the stream says."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    out = b"%PDF-1.4\n"
    places = []
    for number, text in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"xref\n0 5\n0000000000 65535 f \n%strailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(out),
    )


def test_what_a_drawing_refers_to_is_never_fetched_and_told(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    Image.new("RGB", (20, 10), "red").save(tmp_path / "red.png")
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 10"><style>@import "http://127.0.0.1:9/a.css";</style>'
        f'<image width="20" height="10" href="{tmp_path / "red.png"}"/><rect x="30" width="10" height="10" fill="#00f"/></svg>'
    )
    write(tmp_path, "acme/logo.svg", text)
    found = read_artworks([tmp_path / "acme"])
    assert any("not fetched: 1. (acme/logo.svg)" in note for note in found.notes)
    assert found.variants["acme"][0].colour == (0, 0, 255)
    assert found.variants["acme"][0].paint is None


def test_a_folder_of_artwork_is_told_from_one_of_photos(
    art: Path, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    assert photo_among(art) is None
    photos = make_photos(tmp_path / "photos", count=2)
    found = photo_among(photos)
    assert found is not None
    assert found.parent.parent == photos
    write(tmp_path, "svg/acme/logo.svg", DUO)
    assert photo_among(tmp_path / "svg") is None


# --- what befalls a logo -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["curved", "halftone", "screen", "moire", "dappled", "lamp", "shaken", "rescaled"])
def test_each_condition_changes_the_picture_and_the_box_still_holds_the_ink(name: str) -> None:
    ring = np.asarray(drawn("ring").getchannel("A"))
    art = Artwork("ring", ring, RED)
    conditions = Conditions(**{name: 1.0})
    changed = 0
    for seed in range(6):
        plain, _ = compose([art], "plaster", np.random.default_rng(seed), width_share=(0.4, 0.6))
        with_ink, (box,) = compose(
            [art], "plaster", np.random.default_rng(seed), width_share=(0.4, 0.6), conditions=conditions
        )
        assert 0 <= box.x1 < box.x2 <= with_ink.width
        assert 0 <= box.y1 < box.y2 <= with_ink.height
        assert 0.3 < (box.x2 - box.x1) / (box.y2 - box.y1) < 3
        changed += not np.array_equal(np.asarray(plain), np.asarray(with_ink))
    assert changed >= 3  # Print and displays need a plate; bare walls have none.


def test_widths_reach_from_the_smallest_to_the_largest() -> None:
    art = Artwork("ring", np.asarray(drawn("ring").getchannel("A")), RED)
    widths = []
    for seed in range(40):
        picture, (box,) = compose(
            [art], "plaster", np.random.default_rng(seed), size=(240, 240), width_share=(0.03, 0.9), conditions=WORLD
        )
        widths.append((box.x2 - box.x1) / picture.width)
    assert min(widths) < 0.1
    assert max(widths) > 0.6
    assert 0.2 < float(np.median(widths)) < 0.5


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_wrote(art: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "data"
    assert main(["synthesize", str(art), "-o", str(out), "--count", "3", "--none", "2", "--size", "200"]) == 0
    shown = capsys.readouterr()
    assert "8 of 2 labels, 2 of them without a logo" in shown.out
    assert "images a minute" in shown.out
    assert str(out / "boxes.csv") in shown.out
    facts = json.loads((out / "synthesis.json").read_text(encoding="utf-8"))
    assert facts["settings"]["count"] == 3
    assert main(["synthesize", str(art), "-o", str(out), "--count", "3"]) == 2
    assert main(["synthesize", str(tmp_path / "nowhere"), "-o", str(tmp_path / "x")]) == 1
    assert main(["synthesize", str(art), "-o", str(tmp_path / "x"), "--count", "0"]) == 2
    assert main(["synthesize", str(art), "-o", str(tmp_path / "x"), "--largest", "big"]) == 2
    refused = capsys.readouterr().err
    assert "Traceback" not in refused
    assert "count is 0; it must be from 1" in refused
    assert not (tmp_path / "x").exists()


def test_drawings_that_end_or_hang_their_process_are_left_out_and_told(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    folder = tmp_path / "acme"
    folder.mkdir()
    head = '<svg xmlns="http://www.w3.org/2000/svg"'
    (folder / "ends.svg").write_text(f'{head}><rect width="1" height="1e9"/></svg>', encoding="utf-8")
    (folder / "good.svg").write_text(f'{head} viewBox="0 0 9 9"><rect width="8" height="9"/></svg>', encoding="utf-8")
    (folder / "hangs.svg").write_text(
        f'{head} viewBox="0 0 9 9"><filter id="f"><feTurbulence numOctaves="999999999"/></filter>'
        '<rect width="9" height="9" filter="url(#f)"/></svg>',
        encoding="utf-8",
    )
    found = read_artworks([tmp_path])
    assert [each.title for each in found.variants["acme"]] == ["acme/good.svg"]
    (note,) = (note for note in found.notes if "cannot be used, left out: 2" in note)
    assert "ends the process" in note
    assert "takes longer than 10 seconds" in note


def test_linked_folders_of_artwork_and_backgrounds_are_read(art: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "acme").mkdir()
    (tmp_path / "set" / "acme" / "more").symlink_to(next(path for path in sorted(art.iterdir()) if path.is_dir()))
    (tmp_path / "set" / "acme" / "loop").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "round").symlink_to(tmp_path / "set")
    found = read_artworks([tmp_path / "set"])
    assert list(found.variants) == ["acme"]
    assert any("not followed: 2" in note for note in found.notes)
