"""Flower's pages in a real browser (Debian's chromium and chromium-driver), on the embedded server.

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

from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.lanes import LANES
from celery_inference.sqs.queues.provisioning import create
from demo.stack import Stack
from tests.browser.chromium import chromium, keep_screenshot

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER) and not os.environ.get("CI"):
    pytest.skip("needs Debian's chromium and chromium-driver", allow_module_level=True)

SECONDS = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("browser")) as stack:
        stack.start_server()
        for lane in LANES:
            create(sqs_of(stack), lane)
        stack.start_flower()
        yield stack


def sqs_of(stack: Stack) -> Any:
    return make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def until(browser: webdriver.Chrome, true: Callable[[], bool], what: str) -> None:
    wait = WebDriverWait(browser, SECONDS, ignored_exceptions=[StaleElementReferenceException])
    wait.until(lambda _: true(), what)


def cell(browser: webdriver.Chrome, queue: str, state: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, f'[data-queue="{queue}"] [data-state="{state}"]').text


def text(browser: webdriver.Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def complaints(browser: webdriver.Chrome) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_a_depth_rises_and_falls_on_an_open_page(stack: Stack, browser: webdriver.Chrome) -> None:
    sqs = sqs_of(stack)
    url = sqs.get_queue_url(QueueName="inference")["QueueUrl"]
    browser.get(f"{stack.flower_url}/broker")
    until(browser, lambda: cell(browser, "inference", "visible") == "0", "empty at first")
    for batch in range(6):
        entries = [{"Id": str(i), "MessageBody": "waits", "DelaySeconds": 900 * (i == 9)} for i in range(10)]
        assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10, batch
    until(browser, lambda: cell(browser, "inference", "visible") == "54", "the depth rises")
    assert cell(browser, "inference", "delayed") == "6"
    until(browser, lambda: cell(browser, "inference", "oldest").startswith("about "), "and their age is told")
    held = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=900)["Messages"]
    until(browser, lambda: cell(browser, "inference", "in_flight") == str(len(held)), "leases are shown")
    assert text(browser, '[data-total="in_flight"]') == str(len(held))
    keep_screenshot(browser, "broker-deep")
    sqs.purge_queue(QueueUrl=url)
    until(browser, lambda: cell(browser, "inference", "messages") == "0", "the depth falls")
    assert cell(browser, "inference", "drain") == "empty"
    line = browser.find_element(By.CSS_SELECTOR, "#depths-charts path.series-visible").get_attribute("d")
    assert line is not None
    assert len({point.rpartition(",")[2] for point in line.removeprefix("M").replace("h0.01", "").split("L")}) > 1
    assert complaints(browser) == []


def test_the_hours_are_a_click_away(stack: Stack, browser: webdriver.Chrome) -> None:
    browser.get(f"{stack.flower_url}/broker")
    until(browser, lambda: "15 min ago" in text(browser, "#depths-charts"), "minutes at first")
    browser.find_element(By.CSS_SELECTOR, '[data-span="hours"]').click()
    until(browser, lambda: "6 h ago" in text(browser, "#depths-charts"), "then hours")


def test_sqs_away_shows_old_figures_and_no_empty_table(stack: Stack, browser: webdriver.Chrome) -> None:
    browser.get(f"{stack.flower_url}/broker")
    until(browser, lambda: text(browser, "#depths-freshness").startswith("Read "), "live at first")
    stack.server.kill()
    until(browser, lambda: "SQS cannot be read" in text(browser, "#depths-freshness"), "the fault is told")
    assert "GetQueueAttributes" in text(browser, "#depths-failure")
    assert cell(browser, "inference", "visible") == "0"
    keep_screenshot(browser, "broker-stale")
    browser.refresh()
    assert cell(browser, "inference", "visible") == "0"
    stack.start_server()
    until(browser, lambda: text(browser, "#depths-freshness").startswith("Read "), "and that it is over")
    assert not browser.find_element(By.ID, "depths-failure").is_displayed()
