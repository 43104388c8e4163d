"""A browser for the tests of pages: Debian's Chromium, without a window, that calls no one."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="needs selenium, of the extra dev")

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

__all__ = ["Keys", "Page", "browsing", "quietly"]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
SLOW = 240.0  # seconds until a page that answers is given up; a busy machine takes its time


class Page:
    """A report as a person has it before them."""

    def __init__(self, driver: Any, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads

    def open(self, page: Path, *, fresh: bool = True) -> None:
        self.driver.get(page.as_uri())
        if fresh:
            self.driver.execute_script("localStorage.clear()")
            self.driver.get(page.as_uri())
        self.until(lambda: self.js("return document.getElementById('count').textContent"))

    def size(self, width: int, height: int, *, scheme: str = "light", media: str = "screen") -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def __getitem__(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def until(self, holds: Callable[[], Any]) -> Any:
        end = time.monotonic() + SLOW
        while not (found := holds()):
            assert time.monotonic() < end, f"waited in vain; the page says {self['count'].text!r}"
            time.sleep(0.05)
        return found

    def shown(self) -> int:
        """How many images pass the filters, as the page says."""
        word = self["count"].text.split(" ")[0].replace(",", "")
        return int(word) if word.isdigit() else 0

    def name(self) -> str:
        """Of the chosen image."""
        return str(self.js("return document.querySelector('#detail .full').textContent"))

    def mark(self, position: int) -> str:
        return str(self.js(f"return document.querySelector('#card-{position} .mark').textContent"))

    def type(self, name: str, text: str) -> None:
        self[name].clear()
        self[name].send_keys(text)

    def choose(self, name: str, value: str) -> None:
        self.one(f"#{name} option[value='{value}']").click()

    def chip(self, verdict: str) -> None:
        self.one(f"#verdicts .{verdict}").click()

    def stored(self) -> dict[str, Any]:
        found = self.js("return Object.entries(localStorage)")
        return {name.split(":")[-1]: json.loads(value) for name, value in found}

    def complaints(self) -> list[str]:
        """What the browser's console says: errors, and whatever the page's policy kept out."""
        return [str(line["message"]) for line in self.driver.get_log("browser")]


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """A browser with a profile of its own in this folder. Where there is none, the tests that need it are skipped."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}", "--window-size=1360,860"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        driver.set_page_load_timeout(SLOW)
        driver.set_script_timeout(SLOW)
        yield Page(driver, folder / "downloads")
    finally:
        driver.quit()


@contextmanager
def quietly(page: Page) -> Iterator[Page]:
    """The page at its usual size, about which the browser has nothing to complain."""
    page.size(1360, 860)
    page.complaints()
    yield page
    page.size(1360, 860)
    assert page.complaints() == []
