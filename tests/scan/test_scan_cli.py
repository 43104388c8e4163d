"""`logolens scan` as a shell has it: answers on standard output, exit codes, tables that no spreadsheet runs."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from PIL import Image

from logolens.cli import main
from logolens.scan.output import COLUMNS, safe_cell


@pytest.fixture
def photos(bundle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for label in ("acme", "none"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for path in sorted((bundle.data / label).iterdir())[:3]:
            shutil.copy(path, tmp_path / "photos" / label)
    return tmp_path / "photos"


def scan(bundle: Any, *arguments: str) -> int:
    return main(["scan", str(bundle.path), *arguments, "--no-isolate", "--threads", "1"])


def test_json_holds_every_picture(bundle: Any, photos: Path, capsys: Any) -> None:
    assert scan(bundle, "photos", "--find", "acme", "--json") == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 6
    assert {row["verdict"] for row in rows} >= {"match"}
    assert all({"image", "verdict", "confidence", "places", "change", "sha256"} <= set(row) for row in rows)
    assert "6 images, 6 different" in err
    assert "Results: scan.db" in err
    assert scan(bundle, "photos", "--find", "acme", "--json") == 0
    out, err = capsys.readouterr()
    assert {json.loads(line)["change"] for line in out.splitlines()} == {"same"}
    assert "0 new, 0 changed, 0 gone, 6 the same" in err


def test_for_people(bundle: Any, photos: Path, capsys: Any) -> None:
    (photos / "broken.jpg").write_text("no image")
    assert scan(bundle, "photos", "--find", "acme") == 0
    out, err = capsys.readouterr()
    assert all("match" in line or "unsure" in line for line in out.splitlines())
    assert "broken.jpg: " in err
    assert scan(bundle, "photos") == 0
    assert "label  pictures\nacme          3\n" in capsys.readouterr().out


def test_sources_of_which_nothing_can_be_read_are_no_success(bundle: Any, photos: Path, capsys: Any) -> None:
    """Else a name mistyped in a nightly run would look like a site without old logos."""
    assert scan(bundle, "fotos", "https://") == 1
    err = capsys.readouterr().err
    assert "fotos" in err
    assert "check the names of the sources" in err
    assert scan(bundle, "fotos", "photos", "--store", "other.db") == 0
    assert "check the names" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fail_on", "code"), [((), 0), (("match",), 3), (("unsure",), 3), (("error",), 0), (("error", "match"), 3)]
)
def test_the_exit_code_says_what_was_found(bundle: Any, photos: Path, fail_on: tuple[str, ...], code: int) -> None:
    flags = [word for name in fail_on for word in ("--fail-on", name)]
    assert scan(bundle, "photos", "--find", "acme", *flags) == code


def test_errors_and_nothing_found(bundle: Any, photos: Path) -> None:
    shutil.rmtree(photos / "acme")
    flags = ["--find", "acme", "--threshold", "1", "--unsure", "1"]
    assert scan(bundle, "photos", *flags, "--fail-on", "match", "--fail-on", "unsure") == 0
    (photos / "broken.jpg").write_text("no image")
    assert scan(bundle, "photos", *flags, "--fail-on", "error") == 3
    assert scan(bundle, "gone", *flags) == 1  # Nothing was looked at, so nothing is known.
    assert scan(bundle, "gone", *flags, "--fail-on", "error") == 3
    assert scan(bundle, "photos", *flags) == 0
    photos.rename(photos.with_name("away"))
    assert scan(bundle, "photos", *flags) == 1  # What stood there is listed still, but nothing was met.


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--find", "acmee"], "did you mean acme?"),
        (["--find", ""], "labels to find is empty"),
        (["--threshold", "1.5"], "threshold is 1.5"),
        (["--allow", "@gone.txt"], "gone.txt cannot be read"),
        (["--store", "gone/results.db"], "is not a folder"),
        (["--store", "photos"], "cannot be"),
    ],
)
def test_wrong_usage_is_a_sentence(bundle: Any, photos: Path, capsys: Any, flags: list[str], said: str) -> None:
    assert scan(bundle, "photos", *flags) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_settings_come_from_a_file_too(bundle: Any, photos: Path, capsys: Any) -> None:
    Path("scan.toml").write_text('[scan]\nfind = ["acme", "bolt"]\nthreshold = 0.9\nfail-on = ["match"]\n')
    assert scan(bundle, "photos", "--config", "scan.toml") == 3


def test_a_csv_file_holds_no_formula(bundle: Any, photos: Path) -> None:
    for number, name in enumerate(("=cmd|'x'.jpg", "+1.jpg", "-1.jpg", "@a.jpg")):
        shutil.copy(photos / "acme" / "acme-1.jpg", name)
        with open(name, "ab") as file:
            file.write(b"%d" % number)
    # A name that begins with a dash would be read as a flag; a list names it.
    Path("list.txt").write_text("=cmd|'x'.jpg\n+1.jpg\n-1.jpg\n@a.jpg\n")
    assert scan(bundle, "list.txt", "--csv", "out.csv") == 0
    with open("out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 4
    for row in rows:
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell
    assert not list(Path().glob(".out.csv*"))


def test_tables_replace_tables_and_nothing_else(bundle: Any, photos: Path, capsys: Any) -> None:
    tables = ("--csv", "out.csv", "--parquet", "out.parquet")
    assert scan(bundle, "photos", *tables) == 0
    shutil.rmtree(photos / "none")
    assert scan(bundle, "photos", *tables) == 0  # As a nightly run does.
    assert Path("out.csv").read_text().count("\n") == 7
    assert pyarrow.parquet.read_table("out.parquet").column("change").to_pylist().count("gone") == 3
    capsys.readouterr()

    pyarrow.parquet.write_table(pyarrow.table({"image": ["mine"]}), "mine.parquet")
    Path("mine.csv").write_text("image,verdict\nmine,fine\n")
    Path("half.parquet").write_bytes(b"PAR1 and no more")
    Path("folder").mkdir()
    before = {path: path.read_bytes() for path in Path().glob("*.csv")}
    for flags, said in (
        (["--csv", "mine.csv"], "mine.csv exists already; name another file, or replace it with --force."),
        (["--parquet", "mine.parquet"], "mine.parquet exists already"),
        (["--parquet", "half.parquet"], "half.parquet exists already"),
        (["--csv", "folder"], "folder is a folder"),
        (["--csv", "gone/out.csv"], "gone, where out.csv is to be written, is no folder"),
        (["--csv", "new.csv", "--parquet", "./new.csv"], "Two options name the same file"),
        (["--csv", "new.db"], "new.db is to keep the results"),
    ):
        assert scan(bundle, "photos", "--store", "new.db", *flags) == 2
        out, err = capsys.readouterr()
        assert said in err
        assert not out
        assert not Path("new.db").exists(), "images were looked at before the answer was given"
    assert before == {path: path.read_bytes() for path in Path().glob("*.csv")}
    assert scan(bundle, "photos", "--csv", "mine.csv", "--force") == 0
    assert Path("mine.csv").read_text().startswith(",".join(COLUMNS))


def test_cells() -> None:
    for value in ("=1", "+1", "-1", "@a", "\t1"):
        assert safe_cell(value) == f"'{value}"
    assert safe_cell("\r1") == "'\\r1"
    assert safe_cell("a\r\nb\u2028c\x85") == "a\\r\\nb\\u2028c\\x85"
    for harmless in ("a=1", "", 0.5, None, -3):
        assert safe_cell(harmless) == harmless


def test_a_parquet_file(bundle: Any, photos: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert scan(bundle, "photos", "--find", "acme", "--parquet", "out.parquet") == 0
    table = parquet.read_table("out.parquet").to_pylist()
    assert len(table) == 6
    assert table[0]["places"] == [table[0]["image"]]
    assert dict(table[0]["scores"]).keys() == {"acme", "bolt", "crest", "none"}


def test_places_that_hold_no_store_are_told_and_left_as_they_are(bundle: Any, tmp_path: Path, capsys: Any) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (40, 30), "red").save(photo)
    for store in ("/", "..", str(photo)):
        assert main(["scan", str(bundle.path), str(photo), "--store", store]) in (1, 2)
        assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
