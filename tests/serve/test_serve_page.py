"""The service's page in a real browser against a real service, and the scan's results that it browses."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from browser import Keys, Page
from conftest import HOSTILE, TOKEN, Trained
from service import Service, eventually, serving

from logolens.bundle.model_card import model_card
from logolens.cli.console import share
from logolens.inference.classifier import Classifier
from logolens.scan import StoreReader

FORMULA = '=HYPERLINK("http:evil.example").png'

# Where the box lies on the photo, in fractions of it.
EDGES = """
const photo = document.querySelector('#cards img').getBoundingClientRect();
const box = document.querySelector('#cards .box').getBoundingClientRect();
return [(box.left - photo.left) / photo.width, (box.top - photo.top) / photo.height,
  (box.right - photo.left) / photo.width, (box.bottom - photo.top) / photo.height];
"""

# What is too low for a thumb.
SMALL = """
return [...document.querySelectorAll('button, select, .button')]
  .filter((one) => one.offsetParent && one.offsetHeight < 44).map((one) => one.id);
"""

# How many elements move when they change.
MOVING = """
return [...document.querySelectorAll('*')].map((one) => getComputedStyle(one)).filter((style) =>
  style.transitionDuration.split(', ').some((time) => time !== '0s') || style.animationName !== 'none').length;
"""

# How light the page is, and the least contrast of text with what is behind it, by WCAG's formula.
CONTRAST = """
const channel = (value) => value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4;
const light = (color) => {
  const [r, g, b] = color.match(/[\\d.]+/g).map(Number);
  return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
};
const ground = (one) => {
  for (; one; one = one.parentElement) {
    const color = getComputedStyle(one).backgroundColor;
    if (!/, 0\\)$/.test(color)) return color;
  }
  return 'rgb(255, 255, 255)';
};
const found = {};
for (const one of document.querySelectorAll(arguments[0])) {
  if (!one.offsetParent || !one.textContent.trim()) continue;
  const pair = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => b - a);
  const name = one.id || one.className || one.tagName;
  found[name] = Math.min(found[name] ?? 99, (pair[0] + 0.05) / (pair[1] + 0.05));
}
return [light(getComputedStyle(document.body).backgroundColor), found];
"""
READ = "p, .head, .line, .name, .what, .figure, .reason, button:not(:disabled), .button, summary, .field span, h1"


@pytest.fixture(scope="module")
def photos(bundle: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos to ask about, a broken one among them, and names that are out to do harm."""
    folder = tmp_path_factory.mktemp("asked")
    for label in ("acme", "bolt", "none"):
        shutil.copy(sorted((bundle.data / label).iterdir())[0], folder / f"{label}.png")
    shutil.copy(folder / "acme.png", folder / FORMULA)
    shutil.copy(folder / "bolt.png", folder / HOSTILE)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    return folder


@pytest.fixture
def page(driver: Page, page_service: Service) -> Iterator[Page]:
    """The page, opened anew; what it asks for comes from the service, and nothing of it breaks the policy."""
    driver.size(1280, 860)
    driver.complaints()
    visit(driver, page_service)
    yield driver
    asked = driver.js("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert not [name for name in asked if not name.startswith((f"{page_service.address}/", "blob:", "data:"))]
    # That a file was refused is known to the browser's console as well; else there is nothing in it.
    assert not [line for line in driver.complaints() if "/v1/predict" not in line or "422" not in line]
    assert driver.js("return document.title") == "logolens"


def visit(page: Page, service: Service, tab: str = "") -> None:
    page.driver.get("about:blank")
    page.driver.get(f"{service.address}/{tab}")
    page.until(lambda: "knows" in page["about"].text or page["token-form"].is_displayed() or tab)


def drop(page: Page, *paths: Path) -> None:
    """Files or folders let go over the page, as a person does."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": data})


def choose(page: Page, *paths: Path) -> None:
    page["files"].send_keys("\n".join(map(str, paths)))


def answered(page: Page, count: int) -> list[str]:
    """The names that a screen reader gives the cards, once all have their answer."""
    page.until(lambda: len(page.all("#cards > li")) == count and not page.all("#cards [data-verdict=waiting]"))
    return [str(card.get_attribute("aria-label")) for card in page.all("#cards .card")]


def test_a_dropped_photo_is_answered(page: Page, photos: Path, bundle: Trained) -> None:
    drop(page, photos / "acme.png")
    (card,) = answered(page, 1)
    (expected,) = Classifier.load(bundle.path).predict([photos / "acme.png"])
    assert expected.label == "acme"
    assert page.one("#cards .head").text == "acme"
    assert card.startswith("acme.png: acme, ")
    assert page["status"].get_attribute("textContent") == card
    assert page["summary"].text == "1 image: 1 with a logo."
    figures = [figure.text for figure in page.all("#cards .figure")]
    assert len(figures) == 3
    shares = [float(text.split()[0]) for text in figures]
    assert shares[0] == pytest.approx(100 * (expected.confidence or 0), abs=0.6)
    widths = page.js("return [...document.querySelectorAll('#cards .level i')].map(bar => parseFloat(bar.style.width))")
    assert widths == pytest.approx([100 * share for share in list(expected.scores.values())[:3]], abs=0.2)
    # The box lies on the photo, where the answer has it.
    page.until(lambda: page.js("return document.querySelector('#cards img')?.naturalWidth"))
    (there,) = Classifier.load(bundle.path, where=True).predict([photos / "acme.png"])
    assert there.box is not None
    edges = page.js(EDGES)
    assert edges == pytest.approx(there.box, abs=0.02)


def test_a_real_photo_is_shown_and_answered(page: Page, shared_data: Path) -> None:
    photo = next(
        path for path in sorted(shared_data.joinpath("flickr27").rglob("*.jpg")) if path.stat().st_size > 50_000
    )
    drop(page, photo)
    (card,) = answered(page, 1)
    assert card.startswith(f"{photo.name}: ")
    assert page.one("#cards .card").get_attribute("data-verdict") in ("match", "unsure", "clear")
    page.until(lambda: page.js("return document.querySelector('#cards img')?.naturalWidth"))


def test_a_broken_file_says_why(page: Page, photos: Path) -> None:
    drop(page, photos / "broken.jpg")
    (card,) = answered(page, 1)
    reason = page.one("#cards .reason").text
    assert reason.endswith(".")
    assert "damaged" in reason or "broken" in reason or "cannot be read" in reason or "not an image" in reason
    assert page.one("#cards .head").text == "Cannot be read"
    assert card == f"broken.jpg: Cannot be read, {reason}"
    assert page["summary"].text == "1 image: 1 cannot be read."


def test_a_folder_a_paste_and_names_that_are_markup(page: Page, photos: Path) -> None:
    (photos / "notes.txt").write_text("no image, and of no image's name")
    drop(page, photos)
    cards = answered(page, 6)
    assert {card.split(": ")[0] for card in cards} == {path.name for path in photos.iterdir()} - {"notes.txt"}
    assert not page.all("#cards img[src=x]")
    none = next(card for card in page.all("#cards .card") if "none.png" in str(card.get_attribute("aria-label")))
    assert none.find_element("css selector", ".head").text == "None of these"
    page.js(
        "const canvas = document.createElement('canvas'); canvas.width = canvas.height = 64;"
        "canvas.toBlob(blob => { const carried = new DataTransfer();"
        "carried.items.add(new File([blob], 'image.png', { type: 'image/png' }));"
        "document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: carried, bubbles: true, cancelable: true })); })"
    )
    assert answered(page, 7)[-1].startswith("pasted-1.png: ")
    page["clear"].click()
    assert not page["asked"].is_displayed()
    assert page.driver.switch_to.active_element == page["files"]


def test_the_csv_holds_every_answer_and_no_formula(page: Page, photos: Path, bundle: Trained) -> None:
    shutil.rmtree(page.downloads, ignore_errors=True)
    asked = [photos / name for name in ("acme.png", FORMULA, "none.png", "broken.jpg")]
    choose(page, *asked)
    answered(page, 4)
    page["csv"].click()
    path = page.downloads / "logolens.csv"
    page.until(path.is_file)
    text = path.read_bytes().decode()
    rows = {row["image"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}
    assert list(rows) == ["acme.png", f"'{FORMULA}", "none.png", "broken.jpg"]
    for row, answer in zip(rows.values(), Classifier.load(bundle.path, where=True).predict(asked), strict=True):
        assert row["label"] == (answer.label or "")
        if answer.label is not None:
            assert float(row["confidence"]) == pytest.approx(answer.confidence, abs=1e-3)
            assert row["bundle"] == "first"
            assert row["error"] == ""
            assert (row["box"] != "") == (answer.label != "none")
    assert (rows["broken.jpg"]["verdict"], rows["broken.jpg"]["confidence"]) == ("error", "")
    assert rows["broken.jpg"]["error"].endswith(".")
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_everything_is_reached_by_keys(page: Page, photos: Path) -> None:
    names: list[str] = []
    for _ in range(12):
        page.press(Keys.TAB)
        names.append(str(page.js("return document.activeElement.id || document.activeElement.textContent.trim()")))
        # What has the focus can be seen to have it; of the hidden field the button beside it shows it.
        assert page.js(
            "const now = document.activeElement, seen = now.id === 'files' ? now.nextElementSibling : now;"
            "return now === document.body || getComputedStyle(seen).outlineStyle !== 'none'"
        ), names
        if names[-1] == "files":
            break
    assert names == ["To the content", "tab-ask", "bundle", "Which labels?", "files"]
    choose(page, photos / "acme.png", photos / "bolt.png", photos / "broken.jpg")
    answered(page, 3)
    page.js("document.getElementById('clear').focus()")
    page.press(Keys.TAB)
    where = "return [...document.querySelectorAll('#cards .card')].indexOf(document.activeElement)"
    assert page.js(where) == 0
    page.press(Keys.ARROW_RIGHT)
    assert page.js(where) == 1
    page.press(Keys.END)
    assert page.js(where) == 2
    page.press(Keys.HOME, Keys.ENTER)
    assert page["detail"].is_displayed()
    assert page["detail-title"].text == "acme"
    page.press(Keys.ARROW_RIGHT)
    assert page["detail-title"].text == "bolt"
    page.until(lambda: page.js("return document.querySelector('#large img')?.naturalWidth"))
    page.press(Keys.TAB, Keys.TAB)
    page.press(Keys.ESCAPE)
    assert not page["detail"].is_displayed()
    # The browser tells of the end of a dialog a moment after it.
    page.until(lambda: page.js(where) == 1)
    page.press(Keys.TAB)
    assert page.js("return document.querySelectorAll('#cards .card[tabindex=\"0\"]').length") == 1
    page.js("document.getElementById('tab-ask').focus()")
    page.press(Keys.ARROW_RIGHT)
    assert page["panel-results"].is_displayed()
    assert page.driver.switch_to.active_element == page["tab-results"]


def test_the_heat_map_and_every_logo(page: Page, photos: Path) -> None:
    page["every"].click()
    choose(page, photos / "bolt.png")
    answered(page, 1)
    page.one("#cards .card").click()
    assert "Every logo in it" in page["detail-facts"].text
    assert page.one("#large .box b").text == "bolt"
    page["show-heat"].click()
    size = page.until(
        lambda: page.js("const map = document.querySelector('#large .heat'); return map && [map.width, map.height]")
    )
    assert min(size) >= 2
    painted = "return [...document.querySelector('#large .heat').getContext('2d').getImageData(0, 0, %d, %d).data].some(Boolean)"
    assert page.js(painted % tuple(size))
    page["show-box"].click()
    assert not page.one("#large .box").is_displayed()
    page["show-heat"].click()
    assert not page.all("#large .heat")


def test_the_page_says_the_figures_of_the_card_and_the_terminal(driver: Page, bundle: Trained, tmp_path: Path) -> None:
    changed = tmp_path / "bundle"
    shutil.copytree(bundle.path, changed)
    manifest = json.loads((changed / "manifest.json").read_text(encoding="utf-8"))
    del manifest["manifest_sha256"]
    figures = {**manifest["metrics"]["val"], "n": 300, "top1": 299 / 300}  # All but one: no round hundred.
    manifest["metrics"] = {"val": figures, "test": None}
    (changed / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (row,) = re.findall(r"^\| validation +\| +(\d+) \| +([\d.]+ %)", model_card(manifest), re.MULTILINE)
    assert row == ("300", "99.7 %")
    assert share(figures["top1"]) == "99.7%"
    with serving({"first": changed}) as service:
        visit(driver, service)
        assert f"Top-1 accuracy {row[1]} on {row[0]} validation photos, which chose when training stopped" in (
            driver["about"].text
        )


def test_another_bundle_is_asked_when_it_is_chosen(page: Page, photos: Path) -> None:
    choose(page, photos / "acme.png")
    answered(page, 1)
    assert not page["again"].is_displayed()
    page.choose("bundle", "second")
    page.until(lambda: page["again"].is_displayed())
    assert page["about"].text.startswith("second knows 3 labels")
    page["again"].click()
    answered(page, 1)
    page.one("#cards .card").click()
    assert "asked of second" in page["detail-facts"].text


def test_it_fits_a_phone_and_answers_as_a_table(page: Page, photos: Path) -> None:
    page.size(375, 720)
    fits = "return document.documentElement.scrollWidth <= innerWidth"
    assert page.js(fits)
    choose(page, *sorted(path for path in photos.iterdir() if path.suffix != ".txt"))
    answered(page, 6)
    assert page.js(fits)
    assert page.js(SMALL) == []
    page.one("#cards .card").click()
    assert page.js(fits)
    assert page.js("const box = document.getElementById('detail'); return box.scrollWidth <= box.clientWidth")
    page["close"].click()
    page.js("document.querySelector('#shape input[value=table]').click()")
    rows = page.all("#table tbody tr")
    assert len(rows) == 6
    assert page.js(fits)
    assert page.js("const box = document.getElementById('table'); return box.scrollWidth <= box.clientWidth + 1")
    page.size(1280, 860)
    assert {row.find_element("css selector", "th").text for row in rows} >= {"acme.png", "broken.jpg"}
    page["tab-results"].click()
    page.size(375, 720)
    page.until(lambda: page.all("#scanned .card"))
    assert page.js(fits)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_suit_the_scheme_and_can_be_read(page: Page, photos: Path, scheme: str) -> None:
    page.size(1280, 860, scheme=scheme)
    choose(page, photos / "acme.png", photos / "none.png", photos / "broken.jpg")
    answered(page, 3)
    eventually(lambda: page.js("return document.getAnimations().length === 0"))  # Colours change over a moment.
    ground, found = page.js(
        CONTRAST,
        "p, .head, .line, .name, .what, .figure, .reason, button:not(:disabled), .button, summary, .field span, h1",
    )
    assert (ground < 0.05) == (scheme == "dark")
    assert len(found) > 10
    assert {name: share for name, share in found.items() if share < 4.5} == {}


def test_nothing_moves_where_no_motion_is_wanted(page: Page, photos: Path) -> None:
    choose(page, photos / "acme.png")
    answered(page, 1)
    assert page.js(MOVING) > 0
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": features})
    assert page.js(MOVING) == 0


def test_results_are_browsed(page: Page, page_service: Service, scan_store: Path) -> None:
    visit(page, page_service, "#results")
    with StoreReader(scan_store) as results:
        rows = list(results.rows(order="confidence"))
    found = [row for row in rows if row.verdict in ("match", "unsure")]

    def names() -> list[str]:
        return list(page.js("return [...document.querySelectorAll('#scanned .name')].map(one => one.textContent)"))

    page.until(lambda: page["count"].text == f"{len(found)} pictures")
    assert names() == [Path(row.name).name for row in found]
    assert HOSTILE in names()
    page.until(
        lambda: page.js(
            "const all = [...document.querySelectorAll('#scanned img')]; return all.length && all.every(one => one.naturalWidth)"
        )
    )
    page.one("#verdicts .clear").click()
    page.one("#verdicts .error").click()
    page.until(lambda: page["count"].text == "1 to 60 of 68 pictures")
    page["later"].click()
    page.until(lambda: page["count"].text == "61 to 68 of 68 pictures")
    assert len(names()) == 8
    assert page.driver.switch_to.active_element == page.all("#scanned .card")[0]
    page.type("search", "broken_100%")
    page.until(lambda: page["count"].text == "1 picture")
    assert page.one("#scanned .reason").text.endswith(".")
    page["search"].clear()
    page["search"].send_keys("bolt-0")
    page.until(lambda: page["count"].text == "10 pictures")
    page.choose("label", "acme")
    page.until(lambda: page["count"].text == "No picture passes these filters.")
    page.choose("label", "bolt")
    page.until(lambda: page["count"].text == "10 pictures")
    page.choose("order", "name")
    page.until(lambda: names() == [f"bolt-0{number}.png" for number in range(10)])
    page.one("#scanned .card").click()
    assert page["detail-title"].text == "bolt"
    page.until(lambda: page.js("return document.querySelector('#large img')?.naturalWidth"))
    assert page.one("#detail .places").text.endswith("bolt-00.png")
    assert not page["show-heat-field"].is_displayed()


def test_a_token_is_asked_for_and_a_busy_service_asked_again(
    driver: Page, guarded_service: Service, photos: Path
) -> None:
    driver.size(1280, 860)
    visit(driver, guarded_service)
    assert driver.driver.switch_to.active_element == driver["token"]
    driver["token"].send_keys("wrong", Keys.ENTER)
    driver.until(lambda: "not the one" in driver["token-wrong"].text)
    driver["token"].send_keys(TOKEN, Keys.ENTER)
    driver.until(lambda: "knows" in driver["about"].text)
    assert not driver["token-form"].is_displayed()
    assert not driver["bundle-field"].is_displayed()
    assert driver.js("return [localStorage.length, document.cookie]") == [0, ""]
    # Four are sent at a time, one of which is taken on: the others come again.
    names = [str(photos / name) for name in ("acme.png", "bolt.png", "none.png", "broken.jpg")]
    driver["files"].send_keys("\n".join(names))
    cards = answered(driver, 4)
    assert [card.split(", ")[0] for card in cards] == [
        "acme.png: acme",
        "bolt.png: bolt",
        "none.png: None of these",
        "broken.jpg: Cannot be read",
    ]
    assert "503" in "".join(driver.complaints())
    driver["tab-results"].click()
    assert "was not given a scan" in driver["no-results"].text
    assert "--store" in driver["no-results"].text
    driver.driver.refresh()  # The tab knows it still.
    driver["tab-ask"].click()
    driver.until(lambda: "knows" in driver["about"].text)
    driver.complaints()


def test_a_service_that_is_gone_is_named(driver: Page, bundle: Trained, photos: Path) -> None:
    with serving({"first": bundle.path}) as passing:
        visit(driver, passing)
    driver["files"].send_keys(str(photos / "acme.png"))
    (card,) = answered(driver, 1)
    assert "cannot be reached" in card
    assert driver["retry"].text == "Ask again about 1"
    driver.complaints()
