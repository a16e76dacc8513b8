"""Workers, tasks and models live in a real browser: traffic, a failure that appears, figures of a model.

Screenshots are left in var/screenshots.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from celery_inference import feature_extraction
from celery_inference.client.app import app
from celery_inference.specs.errors import InferenceError
from demo.__main__ import write_catalogue
from demo.stack import Stack
from tests.browser.chromium import chromium, keep_screenshot
from tests.support.client import client_of

if not (shutil.which("chromium") and shutil.which("chromedriver")) and not os.environ.get("CI"):
    pytest.skip("needs Debian's chromium and chromium-driver", allow_module_level=True)

SECONDS = 90


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Server, Flower, and a worker with one model that an input can crash."""
    folder = tmp_path_factory.mktemp("pages")
    text = write_catalogue(folder).read_text(encoding="utf-8")
    catalogue = folder / "one.toml"
    catalogue.write_text(text[text.index("[fragile]") :], encoding="utf-8")
    with Stack(folder, catalogue=catalogue) as stack, client_of(stack):
        stack.start_server()
        stack.start_flower()
        stack.start_worker()
        yield stack


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def until(browser: webdriver.Chrome, true: Callable[[], Any], what: str) -> Any:
    wait = WebDriverWait(browser, SECONDS, ignored_exceptions=[StaleElementReferenceException])
    return wait.until(lambda _: true(), what)


def text(browser: webdriver.Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def test_an_open_page_counts_what_workers_do(stack: Stack, browser: webdriver.Chrome) -> None:
    browser.get(f"{stack.flower_url}/workers")
    until(browser, lambda: text(browser, "#workers-online") == "1", "the worker is online")
    results = [feature_extraction.delay(f"text {number}") for number in range(5)]
    assert all(result.get(timeout=SECONDS) for result in results)
    until(browser, lambda: text(browser, "#workers-succeeded") == "5", "and its successes are counted")
    keep_screenshot(browser, "workers")


def test_a_failure_appears_among_the_tasks(stack: Stack, browser: webdriver.Chrome) -> None:
    crash = feature_extraction.delay("please divide by zero")
    with pytest.raises(InferenceError):
        crash.get(timeout=SECONDS)

    def failed() -> bool:
        browser.get(f"{stack.flower_url}/task/{crash.id}")
        return "FAILURE" in browser.page_source

    until(browser, failed, "the failure is shown")
    browser.get(f"{stack.flower_url}/tasks")
    until(browser, lambda: crash.id in browser.page_source, "and listed")
    keep_screenshot(browser, "tasks")


def test_a_model_s_figures_appear(stack: Stack, browser: webdriver.Chrome) -> None:
    app.control.broadcast("heartbeat")
    browser.get(f"{stack.flower_url}/inference")

    def told(least: int) -> bool:
        rows = browser.find_elements(By.CSS_SELECTOR, '#models [data-model="fragile"] [data-in-all]')
        return bool(rows) and int(rows[0].text) >= least

    until(browser, lambda: told(5), "the worker tells of its model")
    results = [feature_extraction.delay(f"{'longer ' * (number % 7)}text {number}") for number in range(40)]
    assert all(result.get(timeout=SECONDS) for result in results)
    app.control.broadcast("heartbeat")
    until(browser, lambda: told(45), "and of what it did since")

    def shown() -> list[str]:
        placed = '#placed [data-placed="fragile"] [data-weights]'
        return [text(browser, f'#devices [data-device="cpu"] {part}') for part in (".badge", "[data-memory]")] + [
            text(browser, placed)
        ]

    # The page renews itself every few seconds, and what was found on it is then gone.
    state, memory, weights = until(browser, shown, "device and model are shown")
    assert state == "ready"
    assert "MB" in memory
    assert "MB" in weights
    keep_screenshot(browser, "inference")


def test_an_open_page_says_how_old_it_is_while_sqs_is_away(stack: Stack, browser: webdriver.Chrome) -> None:
    browser.get(f"{stack.flower_url}/workers")
    until(browser, lambda: text(browser, "#workers-online") == "1", "the worker is online")
    assert not browser.find_element(By.ID, "freshness").is_displayed()
    stack.server.kill()
    until(browser, lambda: "SQS cannot be read: what is shown is" in text(browser, "#freshness"), "the fault is told")
    assert text(browser, "#workers-online") == "1"
    keep_screenshot(browser, "workers-stale")
    stack.start_server()
    until(browser, lambda: not browser.find_element(By.ID, "freshness").is_displayed(), "and that it is over")
