"""The job after a rebrand: what a person decided holds, a job in CI fails on what is new, and pages are what is mended."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Trained
from website import Reply, Server, serving

from logolens.cli import main

Scan = Callable[..., int]


@pytest.fixture
def scan(bundle: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Scan for acme in a folder with four photos of acme and four of none."""
    monkeypatch.chdir(tmp_path)
    for label in ("acme", "none"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for path in sorted((bundle.data / label).iterdir())[:4]:
            shutil.copy(path, tmp_path / "photos" / label)

    def call(*arguments: str, sources: tuple[str, ...] = ("photos",)) -> int:
        common = ("--find", "acme", "--no-isolate", "--threads", "1", "--views", "whole")
        return main(["scan", str(bundle.path), *sources, *common, *arguments])

    return call


def answers(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


Ruling = tuple[dict[str, Any], dict[str, str]]


def decide(rows: list[Ruling], file: str = "decisions.json", **also: Any) -> None:
    """Write decisions as the report's page does; each row is (result, decision, label)."""
    entries = [
        {"name": row["image"], "names": row["names"], "sha256": row["sha256"], "answer": row["label"], **ruling}
        for row, ruling in rows
    ]
    Path(file).write_text(json.dumps({"format": "logolens decisions", "version": 1, "decisions": entries, **also}))


def test_what_was_rejected_stays_rejected_and_what_was_accepted_a_match(
    scan: Scan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scan("--json") == 0
    rows = answers(capsys)
    matches = [row for row in rows if row["verdict"] == "match"]
    (clear, *_) = (row for row in rows if row["verdict"] == "clear")
    assert len(matches) >= 3
    wrong, other, *_ = matches
    decide(
        [
            (wrong, {"decision": "reject", "label": "none"}),
            (other, {"decision": "reject", "label": "bolt"}),  # Another logo, which is not sought.
            (clear, {"decision": "reject", "label": "acme"}),  # Missed: a person says that it is there.
        ]
    )
    for _ in range(2):  # The same in every further scan.
        assert scan("--json", "--decisions", "decisions.json") == 0
        now = {row["sha256"]: row for row in answers(capsys)}
        assert [now[row["sha256"]]["verdict"] for row in (wrong, other, clear)] == ["clear", "clear", "match"]
        assert [now[row["sha256"]]["label"] for row in (wrong, other, clear)] == ["none", "bolt", "acme"]
        assert {row["decision"] for row in now.values()} == {"reject", None}
        assert now[wrong["sha256"]]["confidence"] == pytest.approx(wrong["confidence"])  # The bundle's word stays told.
    # A copy under another name is the same picture.
    shutil.copy(wrong["image"], "photos/none/copy.jpg")
    assert scan("--json", "--decisions", "decisions.json") == 0
    (copied,) = (row for row in answers(capsys) if row["sha256"] == wrong["sha256"])
    assert (copied["verdict"], len(copied["names"])) == ("clear", 2)
    # A higher threshold leaves none but the one that was accepted.
    assert scan("--json", "--decisions", "decisions.json", "--threshold", "1", "--unsure", "1") == 0
    assert [row["image"] for row in answers(capsys) if row["verdict"] == "match"] == [clear["image"]]
    # Without the file the bundle's word holds again.
    assert scan("--json") == 0
    assert {row["sha256"]: row["verdict"] for row in answers(capsys)}[wrong["sha256"]] == "match"


def test_decisions_reach_the_exit_code(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan("--json", "--fail-on", "unsure") == 3
    rows = answers(capsys)
    decide([(row, {"decision": "reject", "label": None}) for row in rows if row["verdict"] in ("match", "unsure")])
    assert scan("--fail-on", "unsure", "--decisions", "decisions.json") == 0
    decide([(row, {"decision": "skip", "label": None}) for row in rows])
    assert scan("--fail-on", "unsure", "--decisions", "decisions.json") == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "this is not JSON"),
        ("[]", "this is not a file of decisions"),
        ('{"format": "logolens decisions", "version": 2, "decisions": []}', "version 2"),
        (
            '{"format": "logolens decisions", "version": 1, "decisions": [{"name": "a", "decision": "reject", "sha256": "x"}]}',
            "row 1: a: its sha256 is 'x'",
        ),
    ],
)
def test_decisions_that_cannot_be_understood_end_the_scan_before_it_looks(
    scan: Scan, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    if content is not None:
        Path("decisions.json").write_text(content)
    assert scan("--decisions", "decisions.json") == 1
    out, err = capsys.readouterr()
    assert said in err
    assert not out
    assert scan("--json") == 0
    assert {row["change"] for row in answers(capsys)} == {"new"}  # Nothing was scanned before.


def test_decisions_about_labels_that_the_bundle_lacks_hide_nothing(
    scan: Scan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scan("--json") == 0
    rows = answers(capsys)
    decide([(row, {"decision": "reject", "label": "zenith"}) for row in rows if row["verdict"] == "match"])
    assert scan("--json", "--decisions", "decisions.json") == 0
    out, err = capsys.readouterr()
    assert "does not know are left aside: zenith." in err
    assert [json.loads(line)["verdict"] for line in out.splitlines()] == [row["verdict"] for row in rows]


def test_a_job_fails_on_what_is_new(scan: Scan, bundle: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan("--fail-on", "new-match") == 3  # Nothing is known before the first scan.
    assert scan("--fail-on", "new-match", "--fail-on", "new-unsure") == 0
    assert scan("--fail-on", "match") == 3
    more = sorted((bundle.data / "acme").iterdir())[4:]
    Path("photos/acme/acme-0.png").rename("photos/moved.png")  # A known picture in another place.
    assert scan("--fail-on", "new-match") == 0
    for path in more:
        shutil.copy(path, "photos/acme")
    capsys.readouterr()
    assert scan("--fail-on", "new-match", "--json") == 3
    new = [row for row in answers(capsys) if row["verdict"] == "match" and row["before"] != "match"]
    assert new
    assert {Path(row["image"]).name for row in new} <= {path.name for path in more}
    assert scan("--fail-on", "new-match") == 0


def test_what_was_unsure_and_is_a_match_now_is_new(scan: Scan) -> None:
    assert scan("--threshold", "1", "--unsure", "0.2", "--fail-on", "new-match") == 0
    assert scan("--threshold", "1", "--unsure", "0.2", "--fail-on", "new-unsure") == 0
    assert scan("--fail-on", "new-match") == 3


def test_a_known_match_that_fails_for_some_nights_is_not_new(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan() == 0
    shutil.copy("scan.db", "known.db")
    photo = Path("photos/acme/acme-0.png")
    data = photo.read_bytes()
    for _ in range(2):
        photo.write_bytes(data[:40])
        assert scan("--fail-on", "new-unsure") == 0
    shutil.copy("scan.db", "failed.db")
    photo.write_bytes(data)
    capsys.readouterr()
    assert scan("--fail-on", "new-unsure", "--json") == 0
    (row,) = (row for row in answers(capsys) if row["image"] == str(photo))
    assert (row["verdict"], row["before"]) == ("match", "match")
    assert scan("--fail-on", "new-match", "--baseline", "failed.db") == 0
    # What was never a match, and could not be read before, is new.
    Path("photos/broken.png").write_bytes(data[:40])
    assert scan() == 0
    shutil.copy("photos/acme/acme-1.jpg", "photos/broken.png")
    with open("photos/broken.png", "ab") as file:
        file.write(b"another picture")
    assert scan("--fail-on", "new-match") == 3


def test_a_baseline_stands_in_for_the_last_scan(
    scan: Scan, bundle: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    known = ("--baseline", "known.db", "--fail-on", "new-match")
    assert scan("--store", "known.db") == 0
    capsys.readouterr()
    assert scan("--store", "fresh.db", *known) == 0  # As a job that keeps nothing from run to run.
    assert "Beside known.db: 0 new match, 0 new unsure" in capsys.readouterr().err
    shutil.copy(sorted((bundle.data / "acme").iterdir())[5], "photos/fresh.png")
    for _ in range(2):  # However often this store has seen it.
        assert scan("--store", "fresh.db", *known, "--json") == 3
        (new,) = (row for row in answers(capsys) if row["verdict"] == "match" and row["before"] is None)
        assert new["image"] == "photos/fresh.png"
    assert scan("--store", "fresh.db", "--fail-on", "new-match") == 0
    # Other bytes under a known name: the same place shows the logo still.
    shutil.copy(sorted((bundle.data / "acme").iterdir())[6], "photos/acme/acme-0.png")
    Path("photos/fresh.png").unlink()
    assert scan("--store", "fresh.db", *known) == 0


@pytest.mark.parametrize(
    ("baseline", "code", "said"),
    [
        ("gone.db", 1, "there is no such result store"),
        ("photos/acme/acme-0.png", 1, "is damaged or no result store"),
        ("scan.db", 2, "is the store itself"),
    ],
)
def test_a_baseline_that_is_none_is_told_before_the_scan(
    scan: Scan, capsys: pytest.CaptureFixture[str], baseline: str, code: int, said: str
) -> None:
    assert scan() == 0
    before = Path("scan.db").read_bytes()
    capsys.readouterr()
    assert scan("--baseline", baseline) == code
    out, err = capsys.readouterr()
    assert said in err
    assert not out
    assert Path("scan.db").read_bytes() == before


def test_what_cannot_be_sought_is_one_sentence(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan("--find", "nobody", "--store", "none.db") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: The bundle knows no label 'nobody'. It knows: ")


def test_a_failed_first_scan_does_not_come_back(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan(sources=("fotos",)) == 1
    capsys.readouterr()
    assert scan("--json") == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 8
    assert {(row["change"], row["error"]) for row in rows} == {("new", None)}
    assert "gone" not in err
    assert main(["results", "scan.db", "--change", "gone"]) == 0
    assert capsys.readouterr().out == ""


def test_plurals_rates_and_what_comes_next(
    scan: Scan, bundle: Trained, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copy(sorted((bundle.data / "acme").iterdir())[0], "one.png")
    assert scan(sources=("one.png",)) == 0
    err = capsys.readouterr().err
    assert "1 image, 1 different: " in err
    assert "Next: logolens report scan.db -o report" in err
    assert scan(sources=("one.png",)) == 0
    assert " a second" not in capsys.readouterr().err  # Nothing was looked at, so there is no rate.
    assert scan("-q", sources=("one.png",)) == 0
    assert capsys.readouterr().err == ""
    assert scan("--store", "a b.db", sources=("one.png",)) == 0
    assert "Next: logolens report 'a b.db' -o report" in capsys.readouterr().err
    assert main(["report", "a b.db", "-o", "report"]) == 0
    out, err = capsys.readouterr()
    assert out == "report/index.html\n"
    assert "--decisions decisions.json" in err


def test_slow_scans_tell_how_long_an_image_takes() -> None:
    from logolens.cli.scan import _rate

    assert _rate(97.2) == "97 a second"
    assert _rate(1.0, "image") == "1 image a second"
    assert _rate(2.0, "image") == "2 images a second"
    assert _rate(0.5, "image") == "2 s an image"
    assert _rate(1 / 109) == "1.8 min each"


# By page


@pytest.fixture
def site(bundle: Trained) -> Iterator[str]:
    """Three pages: one with an image of its own, one with another, and one with both."""
    with serving(Server()) as server:
        own, shared = (path.read_bytes() for path in sorted((bundle.data / "acme").iterdir())[:2])
        server.replies["/own.png"], server.replies["/shared.png"] = Reply(own, "image/png"), Reply(shared, "image/png")
        server.replies["/clear.png"] = Reply(next((bundle.data / "none").iterdir()).read_bytes(), "image/png")
        for name, images in {"one": ["own"], "two": ["shared"], "three": ["own", "shared", "clear"]}.items():
            body = "".join(f'<img src="/{image}.png">' for image in images)
            server.replies[f"/{name}.html"] = Reply(body.encode())
        server.replies["/"] = Reply(b"".join(b'<a href="/%b.html">' % name for name in (b"one", b"two", b"three")))
        yield server.url


ON_LOOPBACK = ("--allow-private", "--rate", "1000", "--retries", "0", "--threshold", "0.05")


def test_pages_are_listed_where_pages_were_scanned(scan: Scan, site: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan(*ON_LOOPBACK, sources=(f"{site}/",)) == 0
    out, _ = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][-1] == f"{site}/three.html"
    assert {line[-1] for line in lines} == {f"{site}/{name}.html" for name in ("one", "two", "three")}
    assert "2 matches" in out.splitlines()[0]
    assert main(["results", "scan.db", "--by", "image"]) == 0
    shown = {line.split()[4] for line in capsys.readouterr().out.splitlines()}
    assert shown == {f"{site}/own.png", f"{site}/shared.png"}
    assert main(["results", "scan.db", "--by", "page", "--json"]) == 0
    pages = {page["page"].rsplit("/", 1)[1]: page for page in answers(capsys)}
    assert pages["three.html"]["matches"] == pages["three.html"]["new"] == 2
    assert set(pages["three.html"]["images"]) == {f"{site}/own.png", f"{site}/shared.png"}
    sure = {row["image"]: row["confidence"] for row in read("SELECT image, confidence FROM found")}
    for page in pages.values():
        assert page["images"] == sorted(page["images"], key=lambda name: (-sure[name], name))
    assert pages["one.html"]["images"] == [f"{site}/own.png"]
    assert pages["one.html"]["labels"] == ["acme"]
    # The table has a row for each place, and names the image that stands there.
    assert main(["results", "scan.db", "--csv", "out.csv", "--found"]) == 0
    with open("out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["place"].rsplit("/", 1)[1], row["image"].rsplit("/", 1)[1]) for row in rows) == [
        ("one.html", "own.png"),
        ("three.html", "own.png"),
        ("three.html", "shared.png"),
        ("two.html", "shared.png"),
    ]


def test_a_folder_by_page(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    """A place of a file is the file."""
    assert scan("--by", "page", "--json") == 0
    pages = answers(capsys)
    assert scan("--json", "--found") == 0
    rows = answers(capsys)
    assert rows
    assert {row["verdict"] for row in rows} <= {"match", "unsure"}
    assert {page["page"] for page in pages} == {row["image"] for row in rows}
    assert [page["matches"] for page in pages] == sorted((page["matches"] for page in pages), reverse=True)


# Results without a scan


def test_results_list_and_filter_without_scanning(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/broken.jpg").write_text("no image")
    assert scan("--json") == 0
    scanned = answers(capsys)
    shutil.rmtree("photos")  # Nothing of it is read again.
    assert main(["results", "scan.db", "--json"]) == 0
    assert answers(capsys) == scanned
    for flags, keep in (
        (["--verdict", "clear"], lambda row: row["verdict"] == "clear"),
        (["--verdict", "clear", "--verdict", "error"], lambda row: row["verdict"] in ("clear", "error")),
        (["--label", "acme"], lambda row: row["label"] == "acme"),
        (["--text", "NONE/"], lambda row: "none/" in row["image"]),
        (["--change", "same"], lambda row: False),
        (["--found"], lambda row: row["verdict"] in ("match", "unsure")),
    ):
        assert main(["results", "scan.db", "--json", *flags]) == 0
        assert answers(capsys) == [row for row in scanned if keep(row)], flags
    assert main(["results", "scan.db", "--json", "--limit", "2"]) == 0
    assert answers(capsys) == scanned[:2]
    assert main(["results", "scan.db", "--limit", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["results", "scan.db", "--verdict", "error"]) == 0
    assert "broken.jpg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.db"], 1, "there is no such result store"),
        (["scan.db", "--limit", "0"], 2, "limit"),
        (["scan.db", "--verdict", "maybe"], 2, "maybe"),
        (["scan.db", "--csv", "scan.db"], 2, "is to keep the results"),
    ],
)
def test_results_of_what_is_none(
    scan: Scan, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert scan() == 0
    capsys.readouterr()
    assert main(["results", *arguments]) == code
    assert said in capsys.readouterr().err


def test_no_cell_of_a_csv_file_holds_a_line_break(scan: Scan) -> None:
    Path("photos/acme/acme-0.png").rename("photos/acme/two\nlines\u2028three.png")
    assert scan("--csv", "out.csv") == 0
    with open("out.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert not [cell for row in rows for cell in row if len(cell.splitlines()) > 1]
    assert "photos/acme/two\\nlines\\u2028three.png" in {row[0] for row in rows}
    assert len(Path("out.csv").read_text(encoding="utf-8").splitlines()) == len(rows) == 9


# The views


def read(query: str, store: str = "scan.db") -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query)]


def test_the_views_hold_what_json_holds(scan: Scan, bundle: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan() == 0
    Path("photos/acme/acme-0.png").unlink()
    for number, path in enumerate(sorted((bundle.data / "acme").iterdir())[4:6]):
        shutil.copy(path, f"photos/new-{number}.png")
    capsys.readouterr()
    assert scan("--json") == 0
    rows = answers(capsys)
    told = {row["image"]: row for row in rows if row["verdict"] in ("match", "unsure") and row["change"] != "gone"}
    found = {row["image"]: row for row in read("SELECT * FROM found")}
    assert found.keys() == told.keys()
    for name, row in found.items():
        assert (row["sha256"], row["verdict"], row["label"], row["change"]) == tuple(
            told[name][key] for key in ("sha256", "verdict", "label", "change")
        )
        assert json.loads(row["scores"]) == pytest.approx(told[name]["scores"], abs=1e-4)
        assert row["place"] == name
    pages = read("SELECT * FROM pages")
    assert sum(page["matches"] for page in pages) == sum(row["verdict"] == "match" for row in told.values())
    changes = {row["image"]: (row["change"], row["before"]) for row in read("SELECT * FROM changes")}
    assert {name: change for name, (change, _) in changes.items()} == {
        row["image"]: row["change"] for row in rows if row["change"] != "same"
    }
    assert changes["photos/acme/acme-0.png"][0] == "gone"
    assert changes["photos/new-0.png"] == ("new", None)


def test_the_views_hold_decisions(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan("--json") == 0
    match, other, *_ = (row for row in answers(capsys) if row["verdict"] == "match")
    decide([(match, {"decision": "accept", "label": "acme"}), (other, {"decision": "reject", "label": "none"})])
    assert scan("--decisions", "decisions.json") == 0
    found = {row["image"]: row["decision"] for row in read("SELECT image, decision FROM found")}
    assert found[match["image"]] == "accept"
    assert other["image"] not in found
    assert ("match", "clear") in {(row["before"], row["verdict"]) for row in read("SELECT * FROM changes")}


def test_a_store_of_an_earlier_release_is_read_and_gets_the_views(
    scan: Scan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scan("--json") == 0
    before = answers(capsys)
    with closing(sqlite3.connect("scan.db")) as db:
        for view in ("found", "pages", "changes"):
            db.execute(f"DROP VIEW {view}")
        for table in ("words", "scores", "decided"):
            db.execute(f"DROP TABLE {table}")
        db.commit()
    assert main(["results", "scan.db", "--json"]) == 0
    assert answers(capsys) == before
    assert main(["results", "scan.db", "--by", "page"]) == 0
    assert main(["report", "scan.db", "-o", "report"]) == 0
    capsys.readouterr()
    assert scan("--json") == 0
    assert {row["change"] for row in answers(capsys)} == {"same"}
    assert read("SELECT scores FROM found")[0]["scores"]


def test_the_queries_of_the_page_run(scan: Scan) -> None:
    """Those that docs/how-to/results.md shows, by the command line's sqlite3 as Python brings it, and by pandas."""
    pandas = pytest.importorskip("pandas")
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "results.md").read_text(encoding="utf-8")
    assert scan("--store", "site.db") == 0
    queries = [block.split("\n```")[0] for block in page.split("```sql\n")[1:]]
    assert len(queries) >= 3
    for query in queries:
        with closing(sqlite3.connect("site.db")) as db:
            assert len(pandas.read_sql_query(query, db).columns) > 1
    assert read("SELECT count(*) AS n FROM found", "site.db")[0]["n"] >= 3
    done = subprocess.run(
        [sys.executable, "-m", "sqlite3", "site.db", queries[0]], capture_output=True, text=True, check=False
    )
    if "No module named" not in done.stderr and sys.version_info >= (3, 12):
        assert done.returncode == 0, done.stderr
