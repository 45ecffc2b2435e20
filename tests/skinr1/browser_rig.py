"""Headless Chromium, and the hands that work the page in it."""

import base64
import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """Headless Chromium with its log of requests, or a skip that says so."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="the page's test needs selenium")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("chromium or chromedriver is not here")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as found:
        yield found


def find(browser: Any, css: str, seconds: float = 180) -> Any:
    """The first element that is shown."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def shown(_: Any) -> Any:
        return next((e for e in browser.find_elements(By.CSS_SELECTOR, css) if e.is_displayed()), None)

    return WebDriverWait(browser, seconds).until(shown, f"{css} is not shown")


def resize(browser: Any, width: int, height: int) -> None:
    """A phone is narrower than a window of Chromium may be, so the device is emulated."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def open_page(browser: Any, address: str, theme: str = "light", width: int = 1280, height: int = 1000) -> None:
    resize(browser, width, height)
    browser.get(f"{address}?__theme={theme}")
    find(browser, "#ask")


def upload(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    from skinr1.serving.page.examples import rendered_examples

    file = tmp_path / "lesion.png"
    rendered_examples(count=1)[0].image.save(file)
    browser.find_element(By.CSS_SELECTOR, "#images input[type=file]").send_keys(str(file))
    find(browser, "#images img")


def tell(browser: Any, label: str, words: str) -> None:
    from selenium.webdriver.common.by import By

    browser.execute_script("for (const b of document.querySelectorAll('button.label-wrap:not(.open)')) b.click()")
    find(browser, f"[aria-label='{label}'], textarea, input")
    field = next(e for e in browser.find_elements(By.CSS_SELECTOR, "label") if label in e.text).find_element(
        By.CSS_SELECTOR, "textarea, input"
    )
    field.send_keys(words)


def ask(browser: Any, waiting_for: str) -> Any:
    button = find(browser, "#ask")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    return find(browser, f"#report {waiting_for}")


def screenshot(browser: Any, path: Path) -> Path:
    """The whole page in its present width, kept as an artefact below the test's folder."""
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    path.write_bytes(base64.b64decode(shot["data"]))
    return path


def requested(browser: Any) -> set[str]:
    """Addresses that the browser has asked for since the last call."""
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
