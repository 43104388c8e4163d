"""The report's page in a real browser: filtered, judged by clicks and by keys, saved and loaded, and nothing in it alive."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import http.server
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Keys, Page
from scan_sample import HOSTILE, Row, sample

from logolens.config import ReportSettings
from logolens.data import load, with_corrections
from logolens.scan.report_page import Scanned, write_results


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    rows, scanned, thumbnail = sample(400)
    folder = tmp_path_factory.mktemp("report")
    return write_results(rows, scanned, folder / "report", thumbnail=thumbnail), rows


def here(rows: list[Row], *verdicts: str) -> list[Row]:
    """As the page lists them: the surest first, without what is gone."""
    found = [row for row in rows if row.verdict in (verdicts or ("match", "unsure")) and row.change != "gone"]
    return sorted(found, key=lambda row: (-round(row.confidence or -1.0, 4), row.name))


def unfolded(page: Page, path: Path) -> None:
    page.open(path)
    page["fold"].click()


def test_it_opens_on_what_was_found_the_surest_first(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    unfolded(page, path)
    expected = here(rows)
    assert page.shown() == len(expected)
    assert page.one("h1").text == "Images that show acme-old"
    totals = page["verdicts"].text.split()
    for verdict in ("match", "unsure", "clear", "error"):
        assert totals[totals.index(verdict) + 1] == str(sum(row.verdict == verdict for row in rows))
    cards = page.js(
        "return [...document.querySelectorAll('.card')].sort((a, b) => a.id.slice(5) - b.id.slice(5)).map(c => c.textContent)"
    )
    shares = [float(text.split("\xa0%")[0].rsplit("acme-old", 1)[-1].rsplit("none", 1)[-1]) for text in cards]
    assert shares == sorted(shares, reverse=True)
    # All thumbnails that are shown have been decoded.
    page.until(lambda: page.js("return [...document.images].every(image => image.complete && image.naturalWidth > 0)"))
    loaded = page.js("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(name.startswith("data:") for name in loaded)


def test_filters(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    unfolded(page, path)
    page.chip("unsure")
    assert page.shown() == len(here(rows, "match"))
    page.chip("match")
    assert page.shown() == 0
    assert page["count"].text == "No image passes these filters."
    page.chip("clear")
    assert page.shown() == len(here(rows, "clear"))
    page.choose("label", "acme-new")
    assert page.shown() == sum(row.label == "acme-new" for row in here(rows, "clear"))
    page["reset"].click()
    page["fold"].click()
    page.choose("change", "gone")
    assert page.shown() == sum(row.change == "gone" and row.verdict in ("match", "unsure") for row in rows)
    page.choose("change", "new")
    assert page.shown() == sum(row.change == "new" for row in here(rows))
    page.choose("change", "")
    folder = "photos/shops/berlin"
    page.type("where", folder)
    page.until(lambda: page.shown() == sum(any(folder in place for place in row.places) for row in here(rows)))
    page.type("where", "https://www.example.com/news/article-7.html")
    page.until(
        lambda: page.shown() == sum("https://www.example.com/news/article-7.html" in row.places for row in here(rows))
    )
    page["reset"].click()
    page["fold"].click()
    page.type("search", "2020 img")
    page.until(lambda: page.shown() == sum("2020/IMG" in row.name for row in here(rows)))
    page["search"].clear()
    page.until(lambda: page.shown() == len(here(rows)))
    page.choose("order", "unsure")
    assert page.name() == here(rows)[-1].name


def test_errors_show_their_reasons(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    page.open(path)
    for verdict in ("match", "unsure", "error"):
        page.chip(verdict)
    errors = here(rows, "error")
    assert page.shown() == len(errors)
    reasons = {(row.error or "").removeprefix(f"{row.name}: ") for row in errors}
    assert page.one("#card-0 .reason").text in reasons
    page.one("#card-0").click()
    assert page.one("#detail .why").text in reasons
    page.type("search", "<b>not found</b>")
    page.until(lambda: page.shown() == sum("404" in (row.error or "") for row in errors))
    page.press(Keys.ESCAPE, Keys.HOME, "a")
    assert "nothing to accept" in page["status"].text
    assert page.stored() == {}
    page.press("s")
    assert page.mark(0) == "→ skipped"


def test_review_by_keys(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    unfolded(page, path)
    expected = here(rows)
    page["grid"].click()
    page.press(Keys.HOME)
    assert page.name() == expected[0].name
    page.press("a")
    assert page.mark(0) == "✓ accepted"
    assert page.name() == expected[1].name
    page.press("r")
    assert page.mark(1) == "✕ none"
    page.press("s")
    assert page.mark(2) == "→ skipped"
    page.press("1")  # the first label: acme-new
    assert page.mark(3) == "✕ acme-new"
    page.press("2")  # the answer itself
    assert page.mark(4) == "✓ accepted"
    assert page["progress"].text.endswith("reviewed: 2 accepted, 2 rejected, 1 skipped")
    page.press("u", "u")
    assert (page.mark(3), page.mark(4)) == ("", "")
    assert page.name() == expected[3].name
    page.press("k")
    assert page.name() == expected[2].name
    page.press("j", "j")
    assert page.name() == expected[4].name
    page.press("n")
    assert page.name() == expected[5].name
    page.press(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert page.name() == expected[1].name
    columns = page.js(
        "return new Set([...document.querySelectorAll('.card')].map(card => card.getBoundingClientRect().left)).size"
    )
    page.press(Keys.ARROW_DOWN)
    assert page.name() == expected[1 + columns].name
    page.press(Keys.END)
    assert page.name() == expected[-1].name
    page.press("u", "u", "u", "u")
    assert page.stored() == {}
    assert "nothing to undo" in page["status"].text


def test_a_label_is_chosen_from_the_list(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, _ = report
    page.open(path)
    page.press("l")
    assert page.one("#labels").is_displayed()
    page.press("n", "o", "n", "e")
    assert [item.text.split() for item in page.all("#label-list button")] == [["none", "of", "the", "labels", "0"]]
    page.press(*[Keys.BACKSPACE] * 4, "n", "e", "w", Keys.ENTER)
    assert not page.one("#labels").is_displayed()
    assert page.mark(0) == "✕ acme-new"
    page.press("l", Keys.ESCAPE)
    assert page.mark(1) == ""


def test_the_keys_are_told_and_can_be_turned_off(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, _ = report
    page.open(path)
    page.press("?")
    assert "accept: the label is right" in page["help"].text
    page["letters"].click()
    page.press(Keys.ESCAPE)
    assert not page["help"].is_displayed()
    page.until(lambda: page.js("return document.activeElement.id") == "grid")
    page.press("a")
    assert page.stored() == {}
    page.press(Keys.ARROW_RIGHT)
    assert page.one("#card-1").get_attribute("aria-selected") == "true"


def test_letters_typed_into_a_field_judge_nothing(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, _ = report
    page.open(path)
    page.press("/")
    assert page.js("return document.activeElement.id") == "search"
    page.press("a", "r", "s", "1")
    assert page["search"].get_attribute("value") == "ars1"
    assert page.stored() == {}
    page.press(Keys.ESCAPE)
    page.until(lambda: page.js("return document.activeElement.id") == "grid")


def test_review_by_clicks(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    unfolded(page, path)
    expected = here(rows)
    page.one("#card-3").click()
    assert page.name() == expected[3].name
    page.one("#detail .reject").click()
    assert page.mark(3) == "✕ none"
    assert page.name() == expected[4].name
    page.one("#detail .accept").click()
    page.one("#detail .skip").click()
    assert (page.mark(4), page.mark(5)) == ("✓ accepted", "→ skipped")
    page.one("#detail .other").click()
    assert page.mark(6) == "✕ acme-new"
    page.one("#detail .undo").click()
    assert page.mark(6) == ""
    page.choose("review", "accept")
    assert page.shown() == 1
    page.choose("review", "open")
    assert page.shown() == len(expected) - 3


def test_decisions_outlive_the_page_and_go_through_a_file(
    page: Page, report: tuple[Path, list[Row]], tmp_path: Path
) -> None:
    path, rows = report
    unfolded(page, path)
    expected = here(rows)
    page["grid"].click()
    page.press(Keys.HOME, "a", "r", "s", "1")
    marks = [page.mark(position) for position in range(5)]
    page.open(path, fresh=False)
    page["fold"].click()
    assert [page.mark(position) for position in range(5)] == marks
    page["save"].click()
    file = page.downloads / "decisions.json"
    page.until(file.exists)
    content = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    found = [(item["name"], item["sha256"], item["decision"], item["label"]) for item in content["decisions"]]
    judged = [("accept", "acme-old"), ("reject", "none"), ("skip", None), ("reject", "acme-new")]
    assert sorted(found) == sorted(
        (row.name, row.sha256, *decision) for row, decision in zip(expected[:4], judged, strict=True)
    )
    again = tmp_path / "again.json"
    again.write_text(json.dumps(content), encoding="utf-8")
    unfolded(page, path)
    assert page.mark(0) == ""
    page["load-file"].send_keys(str(again))
    page.until(lambda: page["status"].text == "Loaded 4 decisions.")
    assert [page.mark(position) for position in range(5)] == marks
    again.write_text('{"format": 1}', encoding="utf-8")
    page["load-file"].send_keys(str(again))
    page.until(lambda: "is not a file of decisions" in page["status"].text)


def test_what_is_saved_can_be_trained_on(
    page: Page, tmp_path: Path, make_photos: Callable[..., Path], draw_photo: Callable[..., Any]
) -> None:
    """From the page's file to photos of a data set, names that are no text included."""
    rows = []
    folder = tmp_path / "site"
    folder.mkdir()
    for number, name in enumerate(("a.png", "<img src=x>.png", "b\udcff.png", "c.png")):
        draw_photo("acme", 300 + number).save(folder / name, "PNG")
        sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        rows.append(Row(number, f"site/{name}", sha256, "acme", 0.9 - number / 100, "match", names=(f"site/{name}",)))
    scanned = Scanned("trained-on", ("acme",), ("acme", "bolt"), base=str(tmp_path), totals={"match": 4})
    page.open(write_results(rows, scanned, tmp_path / "report", thumbnail=lambda _: None))
    page["grid"].click()
    page.press(Keys.HOME, "a", "a", "r", "2")
    page["save"].click()
    file = page.downloads / "decisions.json"
    page.until(file.exists)
    data = load(make_photos(tmp_path / "photos", labels=("acme", "bolt"), count=5, none=5))
    more = with_corrections(data, file.rename(tmp_path / "decisions.json"))
    assert sorted(photo.label for photo in more.photos if photo.path.parent == folder) == [
        "acme",
        "acme",
        "bolt",
        "none",
    ]


def test_those_alike_are_folded_and_judged_together(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    page.open(path)
    expected = here(rows)
    folds: dict[tuple[Any, ...], list[Row]] = {}
    for row in expected:
        folds.setdefault((row.group, row.verdict, row.label), []).append(row)
    cards = page.js("return Number(document.querySelector('.card').getAttribute('aria-setsize'))")
    assert cards == len(folds)
    position, several = next((position, members) for position, members in enumerate(folds.values()) if len(members) > 1)
    page["grid"].click()
    page.press(Keys.HOME, *["j"] * position)
    assert page.one(f"#card-{position} .fold").text == f"{len(several)} alike"
    page.press("a")
    assert set(page.stored()) == {(row.sha256 or "")[:16] for row in several}
    page.press("u")
    assert page.stored() == {}
    page.press("e")
    assert page.one(f"#card-{position} .fold").text == f"1 of {len(several)}"
    page.press("r")
    assert len(page.stored()) == 1
    page.press("k", "e")
    assert page.one(f"#card-{position} .fold").text == f"{len(several)} alike"
    assert page.mark(position) == ""  # Of some only.


def test_a_decision_is_about_the_picture_not_about_the_answer(page: Page, tmp_path: Path) -> None:
    """A new model answers otherwise: what was accepted as acme-old is now the correction of acme-new."""
    _, scanned, _ = sample(1)
    row = Row(1, "a.jpg", "ab" * 32, "acme-old", 0.9, "match")
    page.open(write_results([row], scanned, tmp_path / "one", thumbnail=lambda _: None))
    page.press("a")
    row = Row(1, "a.jpg", "ab" * 32, "acme-new", 0.9, "match")
    page.open(write_results([row], scanned, tmp_path / "two", thumbnail=lambda _: None), fresh=False)
    assert page.mark(0) == "✕ acme-old"


def test_hostile_names_are_text(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    unfolded(page, path)
    for verdict in ("clear", "error"):
        page.chip(verdict)
    elements = page.js("return document.querySelectorAll('script').length")
    seen = set()
    for row in (row for row in rows if row.name in HOSTILE and row.change != "gone"):
        word = next(
            word
            for word in ("onerror", "title=2", "{{script}}", "gpj", "break", "raw-", "title=4", "long-")
            if word in row.name
        )
        page.type("search", word)
        hidden = {"\u202e": "\\u202e", "\n": "\\u000a", "\x00": "\\u0000", "\udcff": "\\udcff"}
        name = "".join(hidden.get(sign, sign) for sign in row.name)
        page.until(functools.partial(lambda wanted: page.name() == wanted, name))
        assert page.shown() == 1
        assert page.one("#card-0 .name").text != ""
        seen.add(row.name)
        links = page.js("return [...document.querySelectorAll('a[href]')].map(link => link.protocol)")
        assert set(links) <= {"http:", "https:", "file:"}
        if row.name.startswith("javascript:"):
            assert page.js("return [...document.querySelectorAll('.places a')].map(link => link.href)") == [
                "http://ok.example/"
            ]
            assert "javascript:document.title=5" in page.one(".places").text
    assert len(seen) >= 6
    assert page.driver.title == "Images that show acme-old"
    assert page.js("return document.querySelectorAll('script').length") == elements
    assert page.js("return document.querySelectorAll('img[src=x]').length") == 0


def test_the_policy_holds(page: Page, report: tuple[Path, list[Row]]) -> None:
    """Even where markup came in, it could neither run nor call anyone."""
    path, _ = report
    page.open(path)
    page.js(
        """
        for (const act of [
          () => {
            const script = document.createElement("script");
            script.append("document.title = 'alive'");
            document.body.append(script);
          },
          () => (document.body.innerHTML += "<img src=x onerror='document.title = 1'>"),
          () => setTimeout("document.title = 2"),
        ]) {
          try { act(); } catch (error) { console.warn(error.message); }
        }
        const image = new Image();
        image.src = "https://example.com/x.png";
        document.body.append(image);
        """
    )
    said = page.until(page.complaints)
    assert sum("TrustedHTML" in line for line in said) >= 1
    assert any("Content Security Policy" in line for line in said)
    assert page.driver.title != "alive"
    page.until(lambda: page.js("return document.body.lastElementChild.complete"))
    assert page.js("return document.body.lastElementChild.naturalWidth") == 0
    page.complaints()


def test_a_key_right_after_typing_judges_what_was_searched(page: Page, report: tuple[Path, list[Row]]) -> None:
    """The list follows typing a moment later; a key pressed before that must not judge the image searched before."""
    path, rows = report
    unfolded(page, path)
    first, second = here(rows)[:2]
    page.type("search", first.name)
    page.until(lambda: page.shown() == 1)
    page.type("search", second.name)
    page.press(Keys.ESCAPE, "a")
    assert list(page.stored()) == [(second.sha256 or "")[:16]]


def test_links_lead_to_the_pages(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    page.open(path)
    row = max(here(rows), key=lambda row: len(row.places))
    page.type("search", row.name)
    page.until(lambda: page.shown() == 1)
    links = page.all("#detail .places a")
    assert [link.get_attribute("href") for link in links] == list(row.places)
    assert {link.get_attribute("rel") for link in links} == {"noopener noreferrer"}
    page.one("#detail .places .only").click()
    page["search"].clear()
    expected = sum(row.places[0] in other.places for other in here(rows))
    page.until(lambda: page.shown() == expected)


def test_a_picture_on_very_many_pages(page: Page, tmp_path: Path) -> None:
    places = tuple(f"https://www.example.com/{number}" for number in range(150_000))
    row = Row(1, "https://www.example.com/logo.png", "ab" * 32, "acme-old", 0.9, "match", places=places)
    page.open(write_results([row], sample(1)[1], tmp_path / "report", thumbnail=lambda _: None))
    assert len(page.all("#detail .places li")) == 20
    page.one("#detail .all").click()
    assert page.js("return document.querySelectorAll('#detail .places li').length") == 1000
    assert "and 149,000 more" in page["detail"].text
    page.type("where", places[-1])
    page.until(lambda: page["count"].text == "1 image")
    page.press(Keys.ESCAPE, "a")
    assert page.mark(0) == "✓ accepted"


def test_the_box_lies_where_it_was_found(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    unfolded(page, path)
    row = here(rows)[0]
    find = "const edge = document.querySelector(arguments[0]).getBoundingClientRect();"
    find += "return [edge.left, edge.top, edge.width, edge.height]"
    image, box = (page.js(find, f"#detail .large {part}") for part in ("img", ".box"))
    assert row.box is not None
    x1, y1, x2, y2 = row.box
    found = [(box[0] - image[0]) / image[2], (box[1] - image[1]) / image[3], box[2] / image[2], box[3] / image[3]]
    assert found == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=0.01)
    assert image[2] / image[3] == pytest.approx((row.width or 0) / (row.height or 1), rel=0.03)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    rows, scanned, thumbnail = sample(50_000)
    folder = tmp_path_factory.mktemp("large")
    return write_results(rows, scanned, folder / "report", thumbnail=thumbnail, settings=ReportSettings()), rows


_FRAMES = """
const [steps, done] = arguments;
const grid = document.getElementById("grid");
const far = grid.scrollHeight - grid.clientHeight;
const times = [];
let step = 0;
function next() {
  const start = performance.now();
  grid.scrollTop = (far * ((step * 37) % steps)) / steps;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    times.push(performance.now() - start);
    step += 1;
    if (step < steps) next();
    else done(times.sort((a, b) => a - b)[Math.floor(steps / 2)]);
  }));
}
next();
"""


def test_fifty_thousand_results_stay_usable(
    page: Page, large: tuple[Path, list[Row]], report: tuple[Path, list[Row]]
) -> None:
    page.open(report[0])
    few = page.driver.execute_async_script(_FRAMES, 30)
    path, rows = large
    unfolded(page, path)
    for verdict in ("clear", "error"):
        page.chip(verdict)
    expected = here(rows, "match", "unsure", "clear", "error")
    assert page.shown() == len(expected) > 45_000
    many = page.driver.execute_async_script(_FRAMES, 30)
    # A step takes as long as among 400, whatever the machine: only what is seen is made.
    assert many < 5 * few + 50
    assert page.js("return document.getElementsByTagName('*').length") < 2500
    assert page.js("return document.querySelectorAll('.card').length") < 100
    page["grid"].click()
    page.press(Keys.END)
    assert page.name() == expected[-1].name
    page.press(Keys.HOME)
    for position in (0, 1, 2):
        assert page.name() == expected[position].name
        page.press("a")
    page.until(
        lambda: page.js(
            "return [...document.querySelectorAll('.card img')].every(image => image.complete && image.naturalWidth > 0)"
        )
    )
    assert len(page.stored()) == 3
    page.type("search", "IMG_04999")
    page.until(lambda: page.shown() == sum("IMG_04999" in row.name for row in expected))


def test_it_can_be_put_on_a_server(page: Page, tmp_path: Path) -> None:
    """Thumbnails beside the page come from where it comes from; links to files are left out, as browsers refuse them."""
    rows, scanned, thumbnail = sample(30)
    scanned = dataclasses.replace(scanned, base="/photos")
    settings = ReportSettings(inside=0.0)
    path = write_results(rows, scanned, tmp_path / "report", thumbnail=thumbnail, settings=settings)
    handler = functools.partial(QuietHandler, directory=str(path.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            page.driver.get(f"http://127.0.0.1:{server.server_port}/index.html")
            page.until(page.shown)
            loaded = "return document.images.length && [...document.images].every(image => image.naturalWidth > 0)"
            page.until(lambda: page.js(loaded))
            page.type("search", "img")
            page.until(lambda: "IMG_" in page.name())
            assert page.all("#detail a[href^='file:']") == []
        finally:
            server.shutdown()
    page.open(path)
    page.type("search", "img")
    page.until(lambda: "IMG_" in page.name())
    assert page.one("#detail h2 a").get_attribute("href") == f"file:///photos/{page.name()}"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and writes no line about it."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_on_a_phone(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    page.size(390, 844)
    page.open(path)
    assert page.js("return document.documentElement.scrollWidth") <= 390
    assert not page["search"].is_displayed()
    page["filter-button"].click()
    assert page["filter-button"].get_attribute("aria-expanded") == "true"
    page.chip("unsure")
    assert page.shown() == len(here(rows, "match"))
    page["filter-button"].click()
    heights = page.js(
        "return [...document.querySelectorAll('.choices button')].map(button => button.getBoundingClientRect().height)"
    )
    assert min(heights) >= 44
    page.one("#detail .accept").click()
    assert page.mark(0) == "✓ accepted"
    assert not page.one("#detail .rest").is_displayed()
    page.one("#detail .more").click()
    assert page.one("#detail .places").is_displayed()
    assert page.js("return document.documentElement.scrollWidth") <= 390


def test_in_the_dark(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, _ = report
    page.size(1360, 860, scheme="dark")
    page.open(path)
    assert page.js("return getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 23)"
    assert page.js("return getComputedStyle(document.body).color") == "rgb(230, 233, 238)"


def test_on_paper(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    unfolded(page, path)
    page.press("a")
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    assert page.js("return document.querySelectorAll('#printed figure').length") == len(here(rows))
    assert "✓ accepted" in page.js("return document.querySelector('#printed figure').textContent")
    page.size(1000, 1400, media="print")
    assert not page["grid"].is_displayed()
    assert page["printed"].is_displayed()
    printed = base64.b64decode(page.driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 50_000
    page.js("window.dispatchEvent(new Event('afterprint'))")
    assert page.js("return document.getElementById('printed').childElementCount") == 0


def test_everything_has_a_name_and_can_be_reached_without_a_mouse(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, _ = report
    page.open(path)
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles: dict[str, list[str]] = {}
    for node in tree:
        role = node.get("role", {}).get("value")
        if not node.get("ignored"):
            roles.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    for role in ("button", "searchbox", "combobox", "checkbox", "option", "listbox", "link", "dialog"):
        assert all(roles.get(role, [])), role
    assert len(roles["listbox"]) == 1
    assert any(name.startswith("match, acme-old, 99") and name.endswith("to do") for name in roles["option"])
    page.js("document.querySelector('.skip').focus()")
    reached = []
    for _ in range(60):
        page.press(Keys.TAB)
        reached.append(
            page.js(
                "return document.activeElement.id || document.activeElement.className || document.activeElement.value"
            )
        )
        if "grid" in reached and "accept" in reached:
            break
    order = [
        "save",
        "load",
        "help-button",
        "match",
        "search",
        "where",
        "label",
        "review",
        "order",
        "fold",
        "reset",
        "grid",
        "accept",
    ]
    places = [reached.index(name) for name in order]
    assert places == sorted(places)


def test_where_the_browser_keeps_nothing_it_says_so(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, _ = report
    page.open(path)
    page.js("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }")
    page.press("a")
    assert page.mark(0) == "✓ accepted"
    assert "save them to a file" in page["banner"].text
    page.press("u")


def test_pages_lists_where_it_was_found_and_leads_there(page: Page, report: tuple[Path, list[Row]]) -> None:
    path, rows = report
    unfolded(page, path)
    page["pages-button"].click()
    listed = [[cell.text for cell in row.find_elements("css selector", "th, td")] for row in page.all("#page-list tr")]
    stands = [row for row in here(rows) if row.places[0].startswith("https://")]
    expected = {place for row in stands for place in row.places}
    assert expected <= {name for name, *_ in listed}
    counts = [int(matches) for _, matches, *_ in listed]
    assert counts == sorted(counts, reverse=True)
    name, matches, unsure, todo = next(line for line in listed if line[0] in expected)
    there = [row for row in stands if name in row.places]
    assert int(matches) == sum(row.verdict == "match" for row in there)
    assert int(unsure) == sum(row.verdict == "unsure" for row in there)
    assert int(todo) == len(there)
    next(button for button in page.all("#page-list button") if button.text == name).click()
    assert page.shown() == len(there)
    assert page["where"].get_attribute("value") == name
    page.press("a")
    page["pages-button"].click()
    (again,) = (
        [cell.text for cell in row.find_elements("css selector", "td")]
        for row in page.all("#page-list tr")
        if row.text.startswith(name + " ")
    )
    assert int(again[2]) == int(todo) - 1
