"""Scanning: each content looked at once, a rescan of what changed alone, verdicts, and a store that a kill leaves whole."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import contents_in, names_in
from PIL import Image
from website import Reply, Server, picture, serving

from logolens.bundle.format import load_bundle
from logolens.config import ScanSettings, SourceSettings
from logolens.errors import StoreError, UsageError
from logolens.inference.classifier import Classifier
from logolens.scan import Row, ScanResult, Store, StoreReader, Wanted, scan
from logolens.scan.verdicts import Allowed, Judge

LOGOLENS = [sys.executable, "-m", "logolens"]
ACME = ScanSettings(find=("acme",), isolate=False, threads=2)


def aged(folder: Path) -> Path:
    """Files whose time of change is long past, so that their stamp can be trusted."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (1e9, 1e9))
    return folder


@pytest.fixture
def photos(bundle: Any, tmp_path: Path) -> Path:
    """Four photos each of two labels and of none, a copy of one, and a file that is no image."""
    folder = tmp_path / "photos"
    for label in ("acme", "bolt", "none"):
        for path in sorted((bundle.data / label).iterdir())[:4]:
            (folder / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / label)
    shutil.copy(folder / "acme" / "acme-0.png", folder / "none" / "copy.png")
    (folder / "broken.jpg").write_text("no image")
    return aged(folder)


@pytest.fixture
def run(bundle: Any, tmp_path: Path) -> Callable[..., tuple[ScanResult, list[Row]]]:
    """Scan into one store, again and again."""

    def call(*sources: Path, settings: ScanSettings = ACME, model: Path | None = None) -> tuple[ScanResult, list[Row]]:
        with Store(tmp_path / "results.db") as store:
            result = scan(model or bundle.path, sources, store, settings)
            return result, list(store.rows())

    return call


def by_name(rows: list[Row], folder: Path) -> dict[str, Row]:
    return {Path(row.name).relative_to(folder).as_posix(): row for row in rows}


def changes(rows: list[Row], folder: Path) -> dict[str, str]:
    return {name: row.change for name, row in by_name(rows, folder).items() if row.change != "same"}


# Scanning and scanning again


def test_a_scan_says_what_predict_says(run: Any, bundle: Any, photos: Path) -> None:
    result, rows = run(photos)
    named = by_name(rows, photos)
    assert (result.facts.images, result.facts.pictures, result.classified) == (14, 13, 13)
    assert sum(result.facts.verdicts.values()) == 13
    (copied,) = (row for row in rows if len(row.names) == 2)
    assert copied.places == tuple(sorted(str(photos / name) for name in ("acme/acme-0.png", "none/copy.png")))
    broken = named.pop("broken.jpg")
    assert (broken.verdict, broken.label, broken.confidence, broken.scores) == ("error", None, None, {})
    assert broken.error is not None
    assert broken.error.endswith(".")
    for row, answer in zip(
        named.values(), Classifier.load(bundle.path).predict([row.name for row in named.values()]), strict=True
    ):
        assert row.scores == pytest.approx(answer.scores, abs=1e-4)
        assert row.confidence == pytest.approx(answer.scores["acme"], abs=1e-4)
        assert (row.verdict == "match") == (answer.scores["acme"] >= 0.5)
        assert row.label == ("acme" if row.verdict in ("match", "unsure") else answer.label)
        assert row.change == "new"
    assert [row.number for row in rows] == list(range(1, 14))
    assert result.facts.find == ("acme",)
    assert result.facts.labels == ("acme", "bolt", "crest", "none")
    assert result.facts.finished is not None


def test_what_may_be_transparent_is_looked_at_anew_in_a_store_that_saw_it_over_white(
    run: Any, photos: Path, tmp_path: Path
) -> None:
    first = run(photos)[1]
    with sqlite3.connect(tmp_path / "results.db") as db:
        db.execute("DELETE FROM meta WHERE key = 'ground'")  # As earlier versions left it, with what they had seen.
        wrong = np.array([0, 0, 0, 1], "<f4").tobytes()
        db.execute("UPDATE contents SET scores = ? WHERE error IS NULL", (wrong,))
    result, rows = run(photos)
    expected = {row.name: row.confidence for row in first if not row.name.endswith(".jpg")}
    assert 0 < len(expected) < len(first) - 1
    assert result.classified == len(expected) + 1  # The broken one is tried again each time.
    assert {row.name: row.confidence for row in rows if row.name in expected} == pytest.approx(expected, abs=1e-4)
    assert run(photos)[0].classified == 1


def test_boxes_are_told_unless_the_whole_photo_alone_is_looked_at_for_speed(boxed: Any, tmp_path: Path) -> None:
    bundle = load_bundle(boxed.path)
    label = bundle.labels[0]
    photos = sorted(boxed.data.parent.glob(f"{label}-*.png"))

    def boxes(**changes: Any) -> int:
        settings = ScanSettings(find=(label,), isolate=False, threshold=0.2, unsure=0.2, **changes)
        with Store(tmp_path / "boxes.db") as store:
            scan(boxed.path, photos, store, settings)
            return sum(row.box is not None for row in store.rows(Wanted(("match",))))

    assert boxes(views="whole") == 0
    assert boxes(views="whole", where=True) > 0
    assert boxes() > 0
    assert boxes(where=False) == 0


def test_a_second_scan_looks_only_at_what_changed(run: Any, photos: Path, draw_photo: Any) -> None:
    _, before = run(photos)
    result, rows = run(photos)
    assert result.classified == 1  # The broken one is tried again.
    assert [(row.name, row.verdict, row.confidence) for row in rows] == [
        (row.name, row.verdict, row.confidence) for row in before
    ]
    assert {row.change for row in rows} == {"same"}

    draw_photo("acme", 77).save(photos / "bolt" / "bolt-0.png")  # other bytes under the same name
    draw_photo("bolt", 78).save(photos / "fresh.png")
    (photos / "none" / "copy.png").unlink()
    (photos / "acme" / "acme-1.jpg").unlink()
    os.rename(photos / "bolt" / "bolt-1.jpg", photos / "bolt" / "moved.jpg")  # A known content is not looked at again.
    result, rows = run(photos)
    assert result.classified == 3
    assert changes(rows, photos) == {
        "acme/acme-0.png": "changed",  # One of its places is gone.
        "acme/acme-1.jpg": "gone",
        "bolt/bolt-0.png": "changed",
        "bolt/moved.jpg": "changed",
        "fresh.png": "new",
    }
    assert result.facts.changes == {"new": 1, "changed": 3, "same": 9, "gone": 1}
    assert result.facts.images == 13
    _, rows = run(photos)  # What is gone is said once.
    assert changes(rows, photos) == {}


def test_what_could_not_be_looked_into_is_not_gone(run: Any, photos: Path, tmp_path: Path) -> None:
    """A disk that is unplugged, and an archive that is damaged; then both are back."""
    other = tmp_path / "other"
    shutil.copytree(photos / "bolt", other)
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(photos / "acme" / "acme-1.jpg", "one.jpg")
    (photos / "acme" / "acme-1.jpg").unlink()
    whole = packed.read_bytes()
    _, before = run(photos, other, packed)

    other.rename(tmp_path / "away")
    packed.write_bytes(whole[: len(whole) // 2])
    result, rows = run(photos, other, packed)
    assert result.facts.changes["gone"] == 0
    shown = {row.name: (row.verdict, row.confidence, row.places) for row in rows if row.verdict != "error"}
    assert shown == {row.name: (row.verdict, row.confidence, row.places) for row in before if row.verdict != "error"}
    assert {row.name for row in rows if row.change == "new"} == {str(other), str(packed)}
    (note,) = result.notes
    assert note.startswith("5 images were not met")

    (tmp_path / "away").rename(other)
    packed.write_bytes(whole)
    (other / "bolt-0.png").unlink()
    result, rows = run(photos, other, packed)
    assert result.classified == 1  # The broken one.
    assert not [row.name for row in rows if row.change == "gone"]  # What could never be read is no image that is gone.
    assert not result.notes


def test_what_could_not_be_looked_into_is_unknown_to_another_bundle(run: Any, photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(photos / "acme", other)
    shutil.rmtree(photos / "acme")
    _, before = run(photos, other)
    # What stands elsewhere too is known from there.
    lost = {row.name: row for row in before if all(name.startswith(str(other)) for name in row.names)}
    assert "match" in {row.verdict for row in lost.values()}
    other.rename(tmp_path / "away")
    settings = dataclasses.replace(ACME, views="whole")  # Another answer, as by another bundle.
    result, rows = run(photos, other, settings=settings)
    unknown = {row.name: row for row in rows if row.name in lost}
    assert unknown.keys() == lost.keys()
    assert {(row.verdict, row.error) for row in unknown.values()} == {
        ("error", "what it stands in could not be looked into, and this bundle has no answer on it from before.")
    }
    assert result.facts.changes["gone"] == 0
    (tmp_path / "away").rename(other)
    result, rows = run(photos, other, settings=settings)
    assert {row.verdict for row in rows if row.name in lost} == {row.verdict for row in lost.values()}
    assert not [row.name for row in rows if row.change == "gone"]


@pytest.mark.parametrize("pattern", ["*/*.png", "**/*.png", "bolt/bolt-?.png"])
def test_what_a_pattern_matched_is_not_gone_where_its_folder_is_away(
    run: Any, photos: Path, tmp_path: Path, pattern: str
) -> None:
    other = tmp_path / "disk"
    shutil.copytree(photos, other)
    _, before = run(f"{other}/{pattern}")
    assert before
    other.rename(tmp_path / "away")
    result, rows = run(f"{other}/{pattern}")
    away = str(other / "bolt") if pattern.startswith("bolt") else str(other)
    assert [row.error for row in rows if row.change == "new"] == [
        f"there is no such folder, so nothing matches {other}/{pattern}."
    ]
    assert {row.name: row.verdict for row in rows if row.name != away} == {row.name: row.verdict for row in before}
    assert result.facts.changes["gone"] == 0
    # A folder that is there, and holds nothing that matches, says that they are gone.
    (tmp_path / "away").rename(other)
    for row in before:
        for name in row.names:
            Path(name).unlink()
    result, rows = run(f"{other}/{pattern}")
    assert {row.name for row in rows if row.change == "gone"} == {row.name for row in before if row.verdict != "error"}


def test_pages_that_fail_for_a_day_take_no_image_along(bundle: Any, tmp_path: Path) -> None:
    """Three pages below the first, each with an image of its own, and one image on all; each fares differently."""
    pytest.importorskip("lxml")
    settings = SourceSettings(allow_private=True, rate=10_000.0, retries=0, timeout=60.0)
    with serving(Server()) as server:
        for number, name in enumerate(("away", "busy", "calm", "deep", "all")):
            server.replies[f"/{name}.png"] = Reply(picture(number), "image/png")
        page = '<img src="/{0}.png"><img src="/all.png"><a href="/deep.html">'.format
        server.replies["/"] = Reply("".join(f'<a href="/{name}.html">' for name in ("away", "busy", "calm")).encode())
        for name in ("away", "calm", "deep"):
            server.replies[f"/{name}.html"] = Reply(f'<img src="/{name}.png"><img src="/all.png">'.encode())
        server.replies["/busy.html"] = Reply(page("busy").encode())  # The only one that leads further.

        def look() -> tuple[ScanResult, dict[str, Row]]:
            with Store(tmp_path / "site.db") as store:
                result = scan(bundle.path, [f"{server.url}/"], store, ACME, source_settings=settings)
                rows = {row.name.removeprefix(server.url): row for row in store.rows()}
                return result, {name: row for name, row in rows.items() if name.endswith(".png")}

        def places(row: Row) -> set[str]:
            return {place.removeprefix(server.url) for place in row.places}

        result, rows = look()
        assert {name: row.change for name, row in rows.items()} == dict.fromkeys(
            ("/away.png", "/busy.png", "/calm.png", "/deep.png", "/all.png"), "new"
        )
        server.replies["/away.html"] = Reply(status=404)
        busy, server.replies["/busy.html"] = server.replies["/busy.html"], Reply(status=503)
        server.replies["/calm.html"] = Reply(b"<p>no image any more</p>")
        result, rows = look()
        assert {name: row.change for name, row in rows.items()} == {
            "/away.png": "gone",
            "/busy.png": "same",
            "/calm.png": "gone",
            "/deep.png": "same",
            "/all.png": "same",
        }
        assert places(rows["/all.png"]) == {"/busy.html", "/deep.html"}
        assert len(result.notes) == 1

        for path in ("/", "/robots.txt"):
            server.replies[path] = Reply(status=500)
        _, rows = look()
        assert {name: row.change for name, row in rows.items()} == dict.fromkeys(
            ("/busy.png", "/deep.png", "/all.png"), "same"
        )

        del server.replies["/robots.txt"]
        server.replies["/"], server.replies["/busy.html"] = Reply(b'<a href="/busy.html">'), busy
        server.replies["/deep.html"] = Reply(status=410)
        result, rows = look()
        assert {name: row.change for name, row in rows.items()} == {
            "/busy.png": "same", "/deep.png": "gone", "/all.png": "same"
        }  # fmt: skip
        assert places(rows["/all.png"]) == {"/busy.html"}
        assert not result.notes


def test_a_file_written_this_moment_is_read_again(run: Any, photos: Path, draw_photo: Any) -> None:
    path = photos / "now.bmp"
    draw_photo("bolt", 5).save(path)
    run(photos)
    stamp = path.stat()
    draw_photo("acme", 5).save(path)  # As many bytes, at what a coarse clock calls the same time.
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    _, rows = run(photos)
    assert changes(rows, photos) == {"now.bmp": "changed"}


def test_another_bundle_looks_again_and_other_verdicts_do_not(
    run: Any, bundle: Any, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken.jpg").unlink()
    first, _ = run(photos)
    result, rows = run(photos, settings=ScanSettings(find=("bolt",), isolate=False, thumbnails="none", near="none"))
    assert result.classified == 0
    assert {row.label for row in rows if row.verdict == "match"} == {"bolt"}
    assert "changed" in {row.change for row in rows}
    other = Path(shutil.copytree(bundle.path, tmp_path / "other"))
    manifest = json.loads((other / "manifest.json").read_text("utf-8"))
    manifest["calibration"]["temperature"] = 3.0
    manifest.pop("manifest_sha256", None)  # As a release that wrote none would have it.
    (other / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    result, _ = run(photos, model=other)
    assert result.classified == first.classified
    assert result.facts.bundle == "other"


def test_without_labels_all_are_sought(run: Any, photos: Path) -> None:
    result, rows = run(photos, settings=ScanSettings(isolate=False))
    assert result.facts.find == ()
    assert {"acme", "bolt", "none"} <= set(result.facts.labelled)
    for row in rows:
        if row.error is None:
            best = max(value for name, value in row.scores.items() if name != "none")
            assert row.confidence == pytest.approx(best)


def test_rows_by_verdict_label_change_order_and_page(run: Any, photos: Path, tmp_path: Path) -> None:
    _, rows = run(photos)
    with StoreReader(tmp_path / "results.db") as store:
        assert [row.number for row in store.rows(limit=3, offset=2)] == [3, 4, 5]
        surest = [row.confidence for row in store.rows(order="confidence") if row.confidence is not None]
        assert surest == sorted(surest, reverse=True)
        assert {row.verdict for row in store.rows(Wanted(verdict="match"))} == {"match"}
        assert {row.label for row in store.rows(Wanted(label="bolt"))} == {"bolt"}
        assert list(store.rows(Wanted(change="gone"))) == []
        assert (
            len(list(store.rows(Wanted(verdict=("clear", "error")))))
            + len(list(store.rows(Wanted(verdict=("match", "unsure")))))
            == 13
        )
        with pytest.raises(UsageError, match="there are match"):
            list(store.rows(Wanted(verdict="perhaps")))
        with pytest.raises(UsageError, match="choose one of: name"):
            list(store.rows(order="beauty"))
        json.dumps([row.to_json() for row in rows])


def test_thumbnails_sizes_and_near_copies(run: Any, photos: Path, tmp_path: Path, draw_photo: Any) -> None:
    # A picture with detail enough to be told from another, and the same one smaller.
    big = draw_photo("acme", 900, (800, 600))
    big.save(photos / "big.png")
    big.resize((400, 300)).save(photos / "small.jpg", quality=90)
    aged(photos)
    _, rows = run(photos)
    named = by_name(rows, photos)
    if {named["big.png"].verdict, named["small.jpg"].verdict} <= {"match", "unsure"}:
        assert (named["big.png"].width, named["big.png"].height) == (800, 600)
        assert (named["small.jpg"].width, named["small.jpg"].height) == (400, 300)
        assert named["small.jpg"].group == named["big.png"].group == named["big.png"].number
    with StoreReader(tmp_path / "results.db") as store:
        for row in rows:
            thumbnail = store.thumbnail(row.sha256) if row.sha256 else None
            assert (thumbnail is not None) == (row.verdict in ("match", "unsure")), row
            if thumbnail is not None:
                with Image.open(io.BytesIO(thumbnail)) as image:
                    assert max(image.size) <= 160
    result, _ = run(photos, settings=ScanSettings(find=("acme",), isolate=False, thumbnails="all"))
    assert result.classified == sum(row.verdict not in ("match", "unsure") for row in rows)


def test_an_image_that_ends_its_process_is_one_record(run: Any, photos: Path) -> None:
    Image.linear_gradient("L").resize((7000, 7000)).convert("RGBA").save(photos / "bomb.png", compress_level=1)
    result, rows = run(photos, settings=ScanSettings(find=("acme",), decode_seconds=0.5))
    named = by_name(rows, photos)
    assert "longer than 0.5 seconds" in (named["bomb.png"].error or "")
    assert result.facts.images == 15
    assert sum(row.error is not None for row in rows) == 2


# Verdicts


def test_the_verdict_and_its_label() -> None:
    judge = Judge(("a", "b", "c", "none"), ScanSettings(find=("a", "b"), threshold=0.6, unsure=0.3))

    def of(*scores: float) -> tuple[str, float, str]:
        label, confidence, verdict = judge(np.array(scores, np.float32))
        return label, round(confidence, 3), verdict

    assert of(0.3, 0.4, 0.1, 0.2) == ("b", 0.7, "match")
    assert of(0.2, 0.1, 0.6, 0.1) == ("a", 0.3, "unsure")
    assert of(0.1, 0.1, 0.6, 0.2) == ("c", 0.2, "clear")
    assert of(0.1, 0.1, 0.1, 0.7) == ("none", 0.2, "clear")
    assert of(0.6, 0.41, 0.0, 0.0) == ("a", 1.0, "match")
    every = Judge(("a", "b", "none"), ScanSettings(threshold=0.1, unsure=0.3))
    assert every(np.array([0.15, 0.05, 0.8], np.float32))[2] == "match"  # The threshold also ends the unsure band.


def test_a_label_that_the_bundle_does_not_know(run: Any, photos: Path) -> None:
    with pytest.raises(UsageError, match="did you mean acme"):
        run(photos, settings=ScanSettings(find=("acmee",)))
    with pytest.raises(UsageError, match="acme, bolt, crest"):
        run(photos, settings=ScanSettings(find=("zebra",)))


def test_what_is_allowed_is_clear(run: Any, photos: Path, tmp_path: Path) -> None:
    _, rows = run(photos)
    matches = [row for row in rows if row.verdict == "match"]
    single = next(row for row in matches if len(row.names) == 1)
    double = next(row for row in matches if len(row.names) == 2)
    (tmp_path / "allow.txt").write_text(f"# fine\n\n{single.sha256}\n", encoding="utf-8")

    def verdicts(*allow: str) -> tuple[str, str]:
        _, rows = run(photos, settings=ScanSettings(find=("acme",), isolate=False, allow=allow))
        found = {row.sha256: row.verdict for row in rows}
        return found[single.sha256], found[double.sha256]

    assert verdicts(single.name) == ("clear", "match")
    assert verdicts(f"@{tmp_path / 'allow.txt'}") == ("clear", "match")
    assert verdicts(double.names[0]) == ("match", "match")  # It stands in another place that is not allowed.
    assert verdicts(*double.names) == ("match", "clear")
    assert verdicts(str(photos / "acme"), "*/copy.png") == ("clear", "clear")
    with pytest.raises(UsageError, match="cannot be read"):
        Allowed([f"@{tmp_path / 'gone.txt'}"])


def test_allowed_urls() -> None:
    allowed = Allowed(["https://a.example/logo.png", "https://b.example/*", "./x/../y.png"])
    assert allowed("https://a.example/logo.png", None)
    assert not allowed("https://a.example/logo.png?2", None)
    assert allowed("https://b.example/deep/er.svg", "0" * 64)
    assert allowed("y.png", None)


# The store


def test_a_store_that_cannot_be_used_is_a_sentence(run: Any, photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with pytest.raises(StoreError, match="no such result store"):
        StoreReader(path)
    with pytest.raises(StoreError, match="not a folder"):
        Store(tmp_path / "gone" / "results.db")
    with Store(path) as store, pytest.raises(StoreError, match="no scan yet"):
        store.facts()
    run(photos)
    with Store(path), pytest.raises(StoreError, match="written by another scan"):
        Store(path)
    with Store(path) as store, StoreReader(path) as reader:
        assert reader.facts() == store.facts()

    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version=99")
    later.close()
    with pytest.raises(StoreError, match="format 99"):
        Store(path)
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE mine (a)")
    foreign.close()
    (tmp_path / "text.db").write_text("hello, this is no database at all" * 50)
    for name, said in (("foreign.db", "not a result store"), ("text.db", "damaged or no result store")):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(StoreError, match=said):
            Store(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


def test_a_damaged_store_is_a_sentence(run: Any, photos: Path, tmp_path: Path) -> None:
    run(photos)
    path = tmp_path / "results.db"
    data = bytearray(path.read_bytes())
    data[4096:] = random.Random(0).randbytes(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"), Store(path) as store:
        list(store.rows())


@pytest.mark.skipif(sys.platform != "linux", reason="bounds a file's size as a full disk would")
def test_a_full_disk_keeps_what_was_stored(bundle: Any, photos: Path, tmp_path: Path) -> None:
    full = (
        "import resource, sys; from logolens.cli import main; import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000)); sys.exit(main(sys.argv[1:]))"
    )
    many = tmp_path / "many"
    many.mkdir()
    for number in range(400):  # As many different files as fill the room that is left.
        (many / f"{number:04}.jpg").write_bytes(b"broken %d" % number * 20)
    shutil.copy(photos / "acme" / "acme-0.png", many)
    arguments = ["scan", str(bundle.path), str(many), "--store", str(tmp_path / "full.db"), "--no-isolate"]
    done = subprocess.run([sys.executable, "-c", full, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Check the disk's room" in done.stderr
    assert "Traceback" not in done.stderr
    done = subprocess.run([*LOGOLENS, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "401 images, 401 different" in done.stderr


def content_of(path: Path) -> list[tuple[Any, ...]]:
    """All that a store says, but for the moments at which it was written."""
    with StoreReader(path) as store:
        rows = [(row.to_json(), store.thumbnail(row.sha256) if row.sha256 else None) for row in store.rows()]
        facts = store.facts()
        assert facts.finished
        return [*rows, (facts.images, facts.pictures, facts.verdicts, facts.changes)]


@pytest.mark.skipif(os.name == "nt", reason="this system knows no SIGKILL")
def test_killed_and_run_again_it_ends_as_if_never_killed(bundle: Any, tmp_path: Path, draw_photo: Any) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(90):
        draw_photo(("acme", "bolt", "none")[number % 3], number).save(folder / f"{number:03}.jpg")
    for number in range(0, 90, 7):
        shutil.copy(folder / f"{number:03}.jpg", folder / f"copy-{number:03}.jpg")
    aged(folder)

    def command(store: str) -> list[str]:
        return [
            *(*LOGOLENS, "scan", str(bundle.path), str(folder), "--find", "acme", "--store", str(tmp_path / store)),
            *("--threads", "1", "--near", "all"),
        ]

    began = time.monotonic()
    subprocess.run(command("calm.db"), check=True, capture_output=True)
    whole = time.monotonic() - began
    rng = random.Random(3)
    for _ in range(3):
        process = subprocess.Popen(command("killed.db"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.3, 1.0) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    subprocess.run(command("killed.db"), check=True, capture_output=True)
    calm, killed = content_of(tmp_path / "calm.db"), content_of(tmp_path / "killed.db")
    assert [row[0]["image"] for row in calm[:-1]] == [row[0]["image"] for row in killed[:-1]]
    if calm[-1][3] == killed[-1][3]:  # A run that came to its end before the kill makes the next one a rescan.
        assert calm == killed


@pytest.mark.skipif(os.name == "nt", reason="this system sends no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_it_and_it_goes_on_from_there(
    bundle: Any, tmp_path: Path, draw_photo: Any, number: signal.Signals, code: int
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    picture = draw_photo("acme", 1)
    for position in range(1500):
        picture.putpixel((position % 128, position // 128), (1, 2, 3))
        picture.save(folder / f"{position:04}.png", compress_level=1)
    aged(folder)
    command = [*LOGOLENS, "scan", str(bundle.path), str(folder), "--find", "acme", "--store", str(tmp_path / "r.db")]
    command += ["--threads", "1", "--thumbnails", "none", "--near", "none", "--views", "whole"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    give_up = time.monotonic() + 600
    while time.monotonic() < give_up and not names_in(tmp_path / "r.db"):
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    assert process.returncode == code, err
    assert "run the same command to go on" in err
    assert "Traceback" not in err
    names, done = names_in(tmp_path / "r.db"), contents_in(tmp_path / "r.db")
    assert 0 < names <= done < 1500
    with Store(tmp_path / "r.db") as store:
        settings = ScanSettings(find=("acme",), thumbnails="none", near="none", isolate=False, views="whole")
        result = scan(bundle.path, [folder], store, settings)
    assert result.resumed
    assert result.classified == 1500 - done
    assert result.facts.images == 1500


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves a scan.db behind."""
    monkeypatch.chdir(tmp_path)
