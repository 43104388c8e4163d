"""A scan takes videos: each is one entry with its times, looked at once, found by what is sought, and whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from browser import Page
from conftest import Trained, contents_in, draw
from video_files import write_video

from logolens.cli import main
from logolens.config import ScanSettings, VideoSettings
from logolens.scan import Store, StoreReader, Wanted, scan
from logolens.scan.records import Answer

QUICK = ScanSettings(isolate=False, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, and a video of acme from 0 to 2 and from 6 to 8 s, bolt from 4 to 6."""
    folder = tmp_path_factory.mktemp("videos") / "press"
    folder.mkdir()
    scenes = [
        (draw(label, seed, (128, 128)), 2.0) for label, seed in (("acme", 3), ("none", 4), ("bolt", 5), ("acme", 6))
    ]
    write_video(folder / "film.mp4", scenes, size=(128, 128))
    draw("none", 8).save(folder / "photo.png")
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    return folder


@pytest.fixture(scope="module")
def scanned(bundle: Trained, folder: Path) -> Path:
    """The results of a scan of it for all labels."""
    store = folder.with_name("scan.db")
    with Store(store) as results:
        scan(bundle.path, [folder], results, QUICK)
    return store


def film_of(store: Path) -> object:
    with StoreReader(store) as results:
        (row,) = (row for row in results.rows() if row.name.endswith("film.mp4"))
        return row


def times(store: Path, label: str) -> list[tuple[int, int]]:
    with StoreReader(store) as results:
        (row,) = (row for row in results.rows() if row.video is not None)
        assert row.video is not None
        return [(round(one["start"]), round(one["end"])) for one in row.video["appearances"] if one["label"] == label]


def test_a_video_is_one_entry_with_its_times(scanned: Path) -> None:
    with StoreReader(scanned) as store:
        assert store.facts().verdicts == {"match": 1, "unsure": 0, "error": 0, "clear": 1}
        (row,) = store.rows(Wanted("match"))
        assert row.video is not None
        assert row.video["frames"] == 4
        assert row.video["seconds"] == pytest.approx(8.0, abs=0.11)
        assert (row.width, row.height) == (128, 128)
        assert row.box is not None
        assert row.sha256 is not None
        assert (store.thumbnail(row.sha256) or b"").startswith(b"\xff\xd8\xff")
        assert row.confidence == pytest.approx(max(one["confidence"] for one in row.video["appearances"]), abs=1e-6)
        assert all(0 < one["share"] <= one["largest"] <= 1 for one in row.video["appearances"])
        assert row.to_json()["video"] == row.video
    assert times(scanned, "acme") == [(0, 2), (6, 8)]
    assert times(scanned, "bolt") == [(4, 6)]


def test_what_is_known_is_not_looked_at_again_whatever_is_sought(
    bundle: Trained, folder: Path, scanned: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scan.db"
    path.write_bytes(scanned.read_bytes())

    notes: tuple[str, ...] = ()

    def again(settings: ScanSettings = QUICK, videos: VideoSettings = VideoSettings()) -> int:
        nonlocal notes
        with Store(path) as store:
            result = scan(bundle.path, [folder], store, settings, video_settings=videos)
        notes = result.notes
        return result.classified

    assert again() == 0
    assert list(notes) == []
    assert again(ScanSettings(isolate=False, threads=1, find=("bolt",))) == 0
    assert times(path, "bolt") == [(4, 6)]
    assert times(path, "acme") == []
    with StoreReader(path) as store:
        (row,) = store.rows(Wanted("match"))
        assert row.label == "bolt"
        assert row.scores["bolt"] == row.confidence
    assert again(ScanSettings(isolate=False, threads=1, find=("crest",))) == 0
    with StoreReader(path) as store:
        assert store.facts().verdicts["match"] == 0
    # Looked at in another way, it is looked at; only the video.
    assert again(videos=VideoSettings(max_duration=3.0)) == 1
    assert [note.partition(".")[0] for note in notes] == ["Videos that were looked at in part: 1"]
    assert "".join(notes).endswith("(--max-duration).")
    assert times(path, "acme") == [(0, 2)]
    with StoreReader(path) as store:
        (row,) = store.rows(Wanted("match"))
        assert row.video is not None
        assert "--max-duration" in row.video["note"]
    # Another look at photos, and so another answer.
    whole = ScanSettings(isolate=False, threads=1, views="whole")
    assert again(whole) == 2
    # A copy under another name has the answer; another content has not.
    copy = tmp_path / "copies"
    copy.mkdir()
    (copy / "same.mov").write_bytes((folder / "film.mp4").read_bytes())
    with Store(path) as store:
        result = scan(bundle.path, [folder, copy], store, whole)
        assert (result.classified, result.facts.images, result.facts.pictures) == (0, 3, 2)


def test_the_command_finds_fails_and_writes(
    bundle: Trained, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, table = str(tmp_path / "s.db"), tmp_path / "found.csv"
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\xff" * 500)
    command = [
        "scan",
        str(bundle.path),
        str(folder),
        str(tmp_path / "more"),
        "--store",
        store,
        "--threads",
        "1",
        "--find",
        "acme",
    ]
    assert main([*command, "--csv", str(table), "--fail-on", "match"]) == 3
    said = capsys.readouterr()
    assert "film.mp4  0:00.0 to 0:0" in said.out
    assert "(and 1 more time)" in said.out
    assert "broken.mp4: This is not a video that can be read" in said.err
    with open(table, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["image"].endswith("film.mp4")]
    assert [(row["label"], row["verdict"], round(float(row["start"]))) for row in rows] == [
        ("acme", "match", 0),
        ("acme", "match", 6),
    ]
    assert main([*command, "--csv", str(table), "--json", "--fail-on", "new-match"]) == 0
    answers = {Path(answer["image"]).name: answer for answer in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(answers["film.mp4"]["video"]["shown"]) == ["acme"]
    assert "video" not in answers["photo.png"]
    rejected = {"name": "film.mp4", "sha256": answers["film.mp4"]["sha256"], "decision": "reject", "label": "none"}
    decided = {"format": "logolens decisions", "version": 1, "decisions": [rejected]}
    (tmp_path / "decisions.json").write_text(json.dumps(decided), encoding="utf-8")
    assert main([*command, "--decisions", str(tmp_path / "decisions.json"), "--fail-on", "match"]) == 0
    with sqlite3.connect(store) as db:
        seen = db.execute("SELECT label, round(begins) FROM seen ORDER BY begins").fetchall()
    assert seen == [("acme", 0.0), ("acme", 6.0)]


def test_without_the_extra_videos_are_counted_and_not_gone(
    bundle: Trained, folder: Path, scanned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scan.db"
    path.write_bytes(scanned.read_bytes())
    monkeypatch.setitem(sys.modules, "av", None)
    with Store(path) as store:
        result = scan(bundle.path, [folder], store, QUICK)
    assert any(
        "Videos that were left out: 1." in note and "pip install 'logolens[video]'" in note for note in result.notes
    )
    assert result.facts.verdicts == {"match": 1, "unsure": 0, "error": 0, "clear": 1}
    with Store(tmp_path / "named.db") as store:
        facts = scan(bundle.path, [folder / "film.mp4"], store, QUICK).facts
        (row,) = store.rows()
    assert facts.verdicts["error"] == 1
    assert "pip install 'logolens[video]'" in str(row.error)


def test_shards_hand_videos_on(bundle: Trained, folder: Path, scanned: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "shards.db") as store:
        scan(bundle.path, [folder], store, ScanSettings(isolate=False, threads=1, shard=1))
        (row,) = store.rows(Wanted("match"))
    expected = film_of(scanned)
    assert row == expected


def test_what_a_line_says_is_read_back(scanned: Path) -> None:
    from logolens.scan.records import ContentResult
    from logolens.scan.video_store import from_bytes, to_bytes

    with sqlite3.connect(scanned) as db:
        watched = from_bytes(db.execute("SELECT frames FROM videos").fetchone()[0])
    answer = Answer("a.mp4", sha256="0" * 64, result=ContentResult(watched.scores[0], video=watched))
    back = Answer.from_line(answer.to_line())
    assert back.result is not None
    assert back.result.video is not None
    assert to_bytes(back.result.video) == to_bytes(watched)


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
def test_a_scan_that_is_killed_within_a_video_looks_at_it_again(
    bundle: Trained, folder: Path, scanned: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scan.db"
    command = [
        *(sys.executable, "-m", "logolens", "scan", str(bundle.path), str(folder), "--store", str(path)),
        *("--threads", "1", "--no-isolate", "-q"),
    ]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # The photo is stored before the video's turn comes; whatever is killed then is the video.
        while run.poll() is None and contents_in(path) < 1:
            time.sleep(0.02)
    finally:
        if run.poll() is None:
            run.send_signal(signal.SIGKILL)
        run.wait()
    before = contents_in(path)
    assert before >= 1
    with Store(path) as store:
        result = scan(bundle.path, [folder], store, QUICK)
    assert result.classified == 2 - before
    assert film_of(path) == film_of(scanned)


def test_the_report_shows_a_video_with_its_timeline(scanned: Path, tmp_path: Path, page: Page) -> None:
    assert main(["report", str(scanned), "-o", str(tmp_path / "report"), "-q"]) == 0
    page.open(tmp_path / "report" / "index.html")
    assert page.js("return document.querySelectorAll('.card').length") == 1
    assert page.js("return document.querySelector('.card .video').textContent") == "▶ 0:08.0"
    assert page.js("return [...document.querySelectorAll('.track p b')].map(b => b.textContent)") == ["acme", "bolt"]
    bars = page.js(
        "return [...document.querySelectorAll('.track .bar i')].map(i => [parseFloat(i.style.left), parseFloat(i.style.width)])"
    )
    assert [(round(left / 25), round(width / 25)) for left, width in bars] == [(0, 1), (3, 1), (2, 1)]
    assert page.js("return document.querySelectorAll('.times li').length") == 3
    assert page.js("return document.querySelector('#detail .photo img').naturalWidth") == 128
    page.js("document.querySelector('.choices .reject').click()")
    assert page.js("return document.querySelector('.state').textContent").startswith("✕ rejected")
