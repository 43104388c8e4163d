"""The whole way on a real scan: found, reported, judged in a browser, and taken as photos to train on."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Keys, Page
from conftest import Trained
from PIL import Image

from logolens.cli import main
from logolens.data import load, with_corrections


@pytest.fixture
def store(tmp_path: Path, bundle: Trained, make_photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results of a scan of a folder with copies, a broken file and a hostile name."""
    monkeypatch.chdir(tmp_path)
    make_photos(Path("site"), count=6, none=6, seed=77)
    shutil.copy("site/acme/acme-1.jpg", "site/again.jpg")
    shutil.copy("site/acme/acme-2.jpg", "site/<img src=x onerror=alert(1)>.jpg")
    Path("site/broken.jpg").write_bytes(b"no image")
    assert main(["scan", str(bundle.path), "site", "--find", "acme", "--store", "scan.db", "--no-isolate"]) == 0
    return Path("scan.db").resolve()


def test_a_report_of_a_real_scan(
    store: Path,
    tmp_path: Path,
    bundle: Trained,
    page: Page,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    assert main(["report", str(store), "-o", "report"]) == 0
    assert Path(capsys.readouterr().out.strip()) == Path("report/index.html")
    assert main(["report", str(store), "-o", "report"]) == 2
    assert "holds a report already" in capsys.readouterr().err
    assert main(["report", str(store), "-o", "report", "--force"]) == 0
    page.open(tmp_path / "report" / "index.html")
    assert page.one("h1").text == "Images that show acme"
    # 24 photos less none, of which two are copies, and a broken one; the copies are one picture each.
    assert re.match(r"25 images looked at with bundle until 20\d\d-", page["about"].text)
    totals = page["verdicts"].text.split()
    assert totals[totals.index("error") + 1] == "1"
    assert int(totals[totals.index("match") + 1]) >= 5
    page.until(lambda: page.js("return [...document.images].every(image => image.complete && image.naturalWidth > 0)"))
    page.type("search", "again.jpg")
    page.until(lambda: page.shown() == 1)
    assert [item.text.split("\n")[0].split(" ")[0] for item in page.all(".places li")] == [
        "site/acme/acme-1.jpg",
        "site/again.jpg",
    ]
    page.press(Keys.ESCAPE, "a")
    page.type("search", "onerror")
    page.until(lambda: page.shown() == 1)
    page.press(Keys.ESCAPE, "r")
    page["save"].click()
    file = page.downloads / "decisions.json"
    page.until(file.exists)
    decisions = shutil.move(file, tmp_path / "decisions.json")
    content = json.loads(Path(decisions).read_text())
    assert content["base"] == str(tmp_path)
    data = load(bundle.data)
    os.chdir("/")
    more = with_corrections(data, decisions)
    joined = {photo.path.name: photo.label for photo in more.photos if photo.name.startswith("corrections/")}
    assert sorted(joined.values()) == ["acme", "none"]


def test_what_a_rescan_found_new_and_gone(
    store: Path, tmp_path: Path, bundle: Trained, page: Page, draw_photo: Callable[..., Image.Image]
) -> None:
    """What was decided before is known again, for it is about the picture."""
    assert main(["report", str(store), "-o", "report"]) == 0
    page.open(tmp_path / "report" / "index.html")
    assert not page["change"].is_displayed()
    page.type("search", "acme-5.jpg")
    page.until(lambda: page.shown() == 1)
    page.press(Keys.ESCAPE, "a")
    os.remove("site/acme/acme-4.jpg")
    draw_photo("acme", 4242).save("site/fresh.png")
    again = ["scan", str(bundle.path), "site", "--find", "acme", "--store", str(store), "--no-isolate"]
    assert main(again) == 0
    assert main(["report", str(store), "-o", "report", "--force"]) == 0
    page.open(tmp_path / "report" / "index.html", fresh=False)
    assert page["progress"].text.startswith("1 of ")
    page.choose("change", "new")
    assert (page.shown(), page.name()) == (1, "site/fresh.png")
    page.choose("change", "gone")
    assert (page.shown(), page.name()) == (1, "site/acme/acme-4.jpg")
    page.choose("change", "same")
    page.choose("review", "accept")
    assert (page.shown(), page.name()) == (1, "site/acme/acme-5.jpg")


def test_results_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scan.db").write_bytes(b"SQLite format 3\0" + b"x" * 500)
    for name in ("absent.db", "scan.db"):
        assert main(["report", str(tmp_path / name), "-o", str(tmp_path / "report")]) == 1
        assert name in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
