"""The report of a scan as files: what is written, what is never replaced, and that nothing in it can come to life."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest
from scan_sample import HOSTILE, sample

from logolens.config import ReportSettings
from logolens.errors import UsageError
from logolens.scan.report_page import Scanned, write_results

REVIEW = Path(__file__).resolve().parents[2] / "src" / "logolens" / "scan" / "review"


class Elements(html.parser.HTMLParser):
    """Every element of a page, as a browser would see it, and the text of those that hold raw text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._inside = False
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))
        self._inside = True

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1][2].append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def of(self, tag: str, **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        return [
            (attrs, "".join(text))
            for name, attrs, text in self.found
            if name == tag and all(attrs.get(key.rstrip("_")) == value for key, value in attributes.items())
        ]


def written(tmp_path: Path, count: int = 60, **settings: Any) -> tuple[Path, Elements]:
    rows, scanned, thumbnail = sample(count)
    page = write_results(rows, scanned, tmp_path / "report", thumbnail=thumbnail, settings=ReportSettings(**settings))
    return page, Elements(page.read_text(encoding="utf-8"))


def data_of(elements: Elements) -> tuple[dict[str, Any], list[list[Any]], list[str]]:
    """Facts, rows and places, as the page's script takes them."""
    ((_, facts),) = elements.of("script", id="facts")
    blocks = [json.loads(text) for _, text in elements.of("script", class_="rows")]
    rows = [row for block in blocks for row in block["rows"]]
    return json.loads(facts), rows, [place for block in blocks for place in block["places"]]


def test_few_thumbnails_stand_inside_the_page(tmp_path: Path) -> None:
    page, elements = written(tmp_path)
    assert [entry.name for entry in page.parent.iterdir()] == ["index.html"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]
    _, rows, _ = data_of(elements)
    lines = [line for _, text in elements.of("script", type="text/plain") for line in text.split("\n")]
    numbers = [row[13] for row in rows if row[13] is not None]
    assert sorted(numbers) == list(range(len(lines)))
    assert all(base64.b64decode(line, validate=True).startswith(b"\xff\xd8\xff") for line in lines)
    assert "file:" not in page.read_text(encoding="utf-8").split("<title>")[0]


def test_many_thumbnails_stand_in_files_beside_it(tmp_path: Path) -> None:
    page, elements = written(tmp_path, inside=0.01)
    assert {entry.name for entry in page.parent.iterdir()} == {"index.html", "thumbnails"}
    assert not elements.of("script", type="text/plain")
    _, rows, _ = data_of(elements)
    shas = {row[1] for row in rows if row[13] == -1}
    files = {path.stem for path in (page.parent / "thumbnails").rglob("*.jpg")}
    assert shas == files
    assert all(path.parent.name == path.stem[:2] for path in (page.parent / "thumbnails").rglob("*.jpg"))


def test_the_data_is_that_of_the_rows(tmp_path: Path) -> None:
    rows, scanned, thumbnail = sample(200)
    page = write_results(rows, scanned, tmp_path / "report", thumbnail=thumbnail)
    facts, told, places = data_of(Elements(page.read_text(encoding="utf-8")))
    by_name = {row.name: row for row in rows}
    assert {line[0] for line in told} == set(by_name)
    for line in told:
        row = by_name[line[0]]
        assert (line[1], line[6], line[10]) == (row.sha256, row.group, row.error)
        assert (None if line[2] < 0 else facts["words"][line[2]]) == row.label
        assert line[3] == (None if row.confidence is None else pytest.approx(row.confidence, abs=1e-4))
        assert ("match", "unsure", "clear", "error")[line[4]] == row.verdict
        assert ("new", "changed", "same", "gone")[line[5]] == row.change
        assert [places[index] for index in line[11]] == list(row.places)
        assert {facts["words"][word]: share for word, share in line[12]} == pytest.approx(dict(row.scores), abs=1e-4)
    assert facts["totals"] == dict(scanned.totals)
    assert facts["labels"] == ["acme-new", "acme-old"]
    assert facts["about"] == "200 images looked at with brands until 2026-11-25 13:00 UTC; a match from 80 % on"


def test_only_its_own_script_may_run(tmp_path: Path) -> None:
    """Hashes in the policy are those of what stands in the page, and nothing may come from elsewhere."""
    page, elements = written(tmp_path)
    ((policy, _),) = elements.of("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy["content"]).split(";"))
    text = page.read_text(encoding="utf-8")

    def hashed(tag: str) -> str:
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'"

    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == hashed("script")
    assert rules["style-src"] == hashed("style")
    assert rules["img-src"] == "data:"
    assert rules["require-trusted-types-for"] == "'script'"
    assert {rules["base-uri"], rules["form-action"]} == {"'none'"}
    assert not re.search(r"\son\w+=|\sstyle=", text.split("<script")[0])


def test_nothing_that_was_scanned_becomes_markup(tmp_path: Path) -> None:
    rows, scanned, thumbnail = sample(60)
    assert sum(row.name in HOSTILE for row in rows) == len(HOSTILE)
    scanned = dataclasses.replace(
        scanned, find=("</title><script>{{script}}</script>",), bundle="<b>{{facts}}", labels=("<i>", "\udcff")
    )
    page = write_results(rows, scanned, tmp_path / "report", thumbnail=thumbnail)
    text = page.read_text(encoding="utf-8")
    elements = Elements(text)
    # As many as the frame has: one of facts, of rows and of thumbnails each, and the script itself.
    assert len(elements.of("script")) == 4
    assert not elements.of("img")
    assert not elements.of("b")
    assert not elements.of("i", class_="")
    ((_, title),) = elements.of("title")
    assert title == "Images that show </title><script>{{script}}</script>"
    facts, told, _ = data_of(elements)
    assert facts["labels"] == ["<i>", "\udcff"]
    assert set(HOSTILE) <= {line[0] for line in told}


def test_the_script_never_turns_text_into_markup() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(REVIEW.glob("*.js")))
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "fetch(",
        "http",
    ):
        found = [line for line in text.splitlines() if word in line and "url.protocol" not in line]
        assert not found, found


def test_the_most_telling_rows_are_kept(tmp_path: Path) -> None:
    rows, scanned, thumbnail = sample(300)
    page = write_results(
        iter(rows), scanned, tmp_path / "report", thumbnail=thumbnail, settings=ReportSettings(most=200)
    )
    facts, told, _ = data_of(Elements(page.read_text(encoding="utf-8")))
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in ("match", "unsure", "error", "clear")}
    shown = [("match", "unsure", "clear", "error")[line[4]] for line in told]
    assert len(told) == 200
    assert all(shown.count(verdict) == counts[verdict] for verdict in ("match", "unsure", "error"))
    clear = sorted((row.confidence for row in rows if row.verdict == "clear"), reverse=True)
    kept = [line[3] for line in told if line[4] == 2]
    assert kept == pytest.approx(clear[: len(kept)], abs=1e-4)
    assert facts["left"].startswith(f"{counts['clear'] - len(kept)} clear are not in this report")


def test_a_report_is_replaced_only_when_asked(tmp_path: Path) -> None:
    rows, scanned, thumbnail = sample(20)
    out = tmp_path / "report"
    write_results(rows, scanned, out, thumbnail=thumbnail, settings=ReportSettings(inside=0.0))
    assert (out / "thumbnails").is_dir()
    with pytest.raises(UsageError, match="holds a report already"):
        write_results(rows, scanned, out, thumbnail=thumbnail)
    write_results(rows[:5], scanned, out, thumbnail=thumbnail, force=True)
    assert [entry.name for entry in out.iterdir()] == ["index.html"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_what_is_no_report_is_left_alone(tmp_path: Path) -> None:
    rows, scanned, thumbnail = sample(20)
    out = tmp_path / "report"
    out.mkdir()
    page = write_results(rows, scanned, out, thumbnail=thumbnail)  # An empty folder is as good as none.
    (out / "notes.txt").write_text("mine")
    for there in ("own", "page"):
        with pytest.raises(UsageError, match="is no report"):
            write_results(rows, scanned, out, thumbnail=thumbnail, force=True)
        if there == "own":
            (out / "notes.txt").unlink()
            page.write_text("<title>a site of mine</title>")
    for target in (tmp_path / "file", tmp_path / "link"):
        if target.name == "file":
            target.write_text("mine")
        else:
            target.symlink_to(out)
        with pytest.raises(UsageError, match="is a file or a link"):
            write_results(rows, scanned, target, thumbnail=thumbnail, force=True)
    assert page.read_text() == "<title>a site of mine</title>"


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    rows, scanned, thumbnail = sample(20)
    page = write_results(rows, scanned, tmp_path / "report", thumbnail=thumbnail)
    before = page.read_bytes()

    def broken(sha256: str) -> bytes:
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match="No space left"):
        write_results(rows, scanned, tmp_path / "report", thumbnail=broken, force=True)
    assert page.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]
    with pytest.raises(UsageError, match="cannot be written"):
        write_results(rows, scanned, page / "below", thumbnail=thumbnail)


def test_nothing_found_is_a_report_too(tmp_path: Path) -> None:
    page = write_results([], Scanned("x", (), ()), tmp_path / "report", thumbnail=lambda _: None)
    facts, rows, _ = data_of(Elements(page.read_text(encoding="utf-8")))
    assert rows == []
    assert facts["about"] == "0 images looked at"


def test_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    rows, scanned, _ = sample(3)
    odd = dataclasses.replace(rows[0], verdict="match", confidence=float("nan"), scores={"acme-old": float("inf")})
    page = write_results([odd], scanned, tmp_path / "report", thumbnail=lambda _: None)
    _, (row,), _ = data_of(Elements(page.read_text(encoding="utf-8")))
    assert row[3] is None
    assert [share for _, share in row[12]] == [None]


def test_what_is_no_jpeg_or_no_hash_is_no_thumbnail(tmp_path: Path) -> None:
    rows, scanned, _ = sample(20)
    odd = [dataclasses.replace(row, sha256="../../../up") for row in rows if row.sha256]
    page = write_results(
        odd, scanned, tmp_path / "a", thumbnail=lambda _: b"\xff\xd8\xff", settings=ReportSettings(inside=0.0)
    )
    assert [entry.name for entry in page.parent.iterdir()] == ["index.html"]
    page = write_results(rows, scanned, tmp_path / "b", thumbnail=lambda _: b"<svg onload=alert(1)>")
    assert not Elements(page.read_text(encoding="utf-8")).of("script", type="text/plain")


def _contrast(one: str, other: str) -> float:
    def light(color: str) -> float:
        digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_it_stands_on(scheme: int) -> None:
    style = (REVIEW / "style.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root\{(.*?)\}", style, re.DOTALL)
    colors = dict(re.findall(r"--(\w+):(#\w+)", blocks[scheme]))
    for ink in ("ink", "soft", "blue", "good", "bad", "warn"):
        for paper in ("paper", "ground", "tint", "pick"):
            assert _contrast(colors[ink], colors[paper]) >= 4.5, (ink, paper)
    assert _contrast(colors["onblue"], colors["blue"]) >= 4.5
    assert _contrast(colors["bad"], colors["mat"]) >= 4.5
    assert _contrast(colors["soft"], colors["mat"]) >= 4.5
