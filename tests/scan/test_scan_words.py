"""What was read stands in the store, in the answers and in the report; stores of before, which have no words, still open."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from logolens.cli import main
from logolens.config import TrainSettings
from logolens.models.words import reads
from logolens.scan import Store, StoreReader, Wanted

pytestmark = pytest.mark.skipif(not reads(), reason="the extra words is not installed")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, train_settings: TrainSettings) -> Path:
    from logolens.training.names_alone import train_from_names

    folder = tmp_path_factory.mktemp("named")
    (folder / "names.txt").write_text("heineken\nvodafone\n", encoding="utf-8")
    train_from_names(folder / "bundle", replace(train_settings, names=folder / "names.txt", words="auto"))
    return folder / "bundle"


@pytest.fixture
def scanned(named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, text in (("a.png", "Vodafone"), ("b.png", "plain"), ("c.png", "")):
        image = Image.new("RGB", (300, 200), (210, 220, 230))
        ImageDraw.Draw(image).text((20, 70), text, fill="black", font=ImageFont.load_default(size=44))
        image.save(photos / name)
    assert main(["scan", str(named), str(photos), "--store", str(tmp_path / "scan.db")]) in (0, 3)
    capsys.readouterr()
    return tmp_path / "scan.db"


def test_words_stand_in_the_store_and_the_report(
    scanned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StoreReader(scanned) as store:
        rows = {Path(row.name).name: row for row in store.rows(Wanted())}
    assert rows["a.png"].label == "vodafone"
    word = rows["a.png"].to_json()["word"]
    assert word["label"] == "vodafone"
    assert word["read"] is True
    assert "word" not in rows["b.png"].to_json()
    assert main(["report", str(scanned), "--out", str(tmp_path / "report")]) == 0
    assert "Read, not seen" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_a_store_without_words_opens(scanned: Path) -> None:
    db = sqlite3.connect(scanned)
    db.execute("DROP TABLE words")
    db.commit()
    db.close()
    with StoreReader(scanned) as store:
        assert [row.word for row in store.rows(Wanted())] == [None] * 3
    Store(scanned).close()
    with StoreReader(scanned) as store:
        assert len(list(store.rows(Wanted()))) == 3


def test_a_damaged_word_is_no_word(scanned: Path) -> None:
    db = sqlite3.connect(scanned)
    db.execute("UPDATE words SET word = ?", (json.dumps(["x"]),))
    db.commit()
    db.close()
    with StoreReader(scanned) as store:
        assert all(row.word is None for row in store.rows(Wanted()))
