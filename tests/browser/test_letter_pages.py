"""The dead-letters page in a real browser: a letter redriven by click, and hostile text that must stay text.

Screenshots are left in var/screenshots.
"""

import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.lanes import LANES
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Cause, Reason
from celery_inference.sqs.queues.provisioning import create
from demo.stack import Stack
from tests.browser.chromium import chromium, keep_screenshot
from tests.support.client import client_of
from tests.support.lanes import INFERENCE
from tests.support.letters import body_of, reason

if not (shutil.which("chromium") and shutil.which("chromedriver")) and not os.environ.get("CI"):
    pytest.skip("needs Debian's chromium and chromium-driver", allow_module_level=True)

SECONDS = 60
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"{{ 7*7 }}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Server, lanes, letters and Flower."""
    with Stack(tmp_path_factory.mktemp("letters")) as stack, client_of(stack) as app:
        stack.start_server()
        for lane in LANES:
            create(sqs_of(stack), lane)
        send(stack, body_of("hostile", model="small"), reason(HOSTILE, error_type="ValueError"))
        for number in range(3):
            send(stack, body_of(f"crash-{number}"), reason("it ends its device process", error_type="DeviceCrash"))
        from celery_inference.results.dead_letter_queues import dead_letter_queues

        for queue in dead_letter_queues(app):
            assert list(queue.letters(_all(queue.lane.name))) is not None  # takes them up into the index
        stack.start_flower()
        yield stack


def _all(lane: str) -> Any:
    from celery_inference.sqs.dead_letters.index import Selection

    return Selection(lane=lane)


def sqs_of(stack: Stack) -> Any:
    return make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")


def send(stack: Stack, body: str, why: Reason) -> None:
    sqs = sqs_of(stack)
    url = sqs.get_queue_url(QueueName=INFERENCE.dead_letter_queue.name)["QueueUrl"]
    attribute = {"DataType": "String", "StringValue": why.to_json()}
    sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes={REASON_ATTRIBUTE: attribute})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def until(browser: webdriver.Chrome, true: Callable[[], bool], what: str) -> None:
    wait = WebDriverWait(browser, SECONDS, ignored_exceptions=[StaleElementReferenceException])
    wait.until(lambda _: true(), what)


def group(browser: webdriver.Chrome, error: str) -> Any:
    (row,) = [row for row in browser.find_elements(By.CSS_SELECTOR, "#letter-groups tbody tr") if error in row.text]
    return row


def waiting(stack: Stack, queue: str) -> int:
    sqs = sqs_of(stack)
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(
        int(count) for count in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    )


def test_letters_are_grouped_and_hostile_text_stays_text(stack: Stack, browser: webdriver.Chrome) -> None:
    browser.get(f"{stack.flower_url}/workers")
    browser.find_element(By.LINK_TEXT, "Dead letters").click()
    until(browser, lambda: "DeviceCrash" in browser.page_source, "the groups are shown")
    assert group(browser, "DeviceCrash").find_element(By.CSS_SELECTOR, "[data-count]").text == "3"
    keep_screenshot(browser, "dead-letters")
    browser.find_element(By.LINK_TEXT, "ValueError").click()
    assert "<script>document.title" in browser.find_element(By.ID, "letters").text, "told as text"
    browser.find_element(By.CSS_SELECTOR, "#letters a").click()
    assert "<script>document.title" in browser.find_element(By.ID, "dead-letter").text
    assert "private words" not in browser.page_source, "inputs are withheld unless a setting lets them be seen"
    keep_screenshot(browser, "dead-letter")
    assert browser.title == "Dead letter · Flower"
    assert browser.find_elements(By.CSS_SELECTOR, "#dead-letter img, #dead-letter script") == []


def test_a_group_is_redriven_by_click_and_confirmation(stack: Stack, browser: webdriver.Chrome) -> None:
    browser.get(f"{stack.flower_url}/dead-letters")
    group(browser, "DeviceCrash").find_element(By.CSS_SELECTOR, '[data-action="redrive"]').click()
    assert "Send 3 letters of lane inference back to it" in browser.find_element(By.ID, "change-what").text
    assert waiting(stack, "inference") == 0, "nothing is sent before it is confirmed"
    browser.find_element(By.ID, "confirm").click()

    def done() -> bool:
        browser.get(f"{stack.flower_url}/dead-letters")
        if "3 of 3" not in browser.find_element(By.CSS_SELECTOR, '[data-work="ended"]').text:
            return False
        return "DeviceCrash" not in browser.find_element(By.ID, "letter-groups").text

    until(browser, done, "it says that it is done, and the group is gone")
    assert waiting(stack, "inference") == 3


def test_a_letter_is_dropped_by_click_and_confirmation(stack: Stack, browser: webdriver.Chrome) -> None:
    browser.get(f"{stack.flower_url}/dead-letters")
    browser.find_element(By.LINK_TEXT, "ValueError").click()
    browser.find_element(By.CSS_SELECTOR, "#letters a").click()
    browser.find_element(By.CSS_SELECTOR, '[data-action="drop"]').click()
    assert "Delete for good 1 letter of" in browser.find_element(By.ID, "change-what").text
    before = waiting(stack, "inference-dlq")
    browser.find_element(By.ID, "confirm").click()
    until(browser, lambda: waiting(stack, "inference-dlq") == before - 1, "it is gone")


def test_no_other_page_can_redrive(stack: Stack) -> None:
    where = f"{stack.flower_url}/dead-letters/drop"
    form = urllib.parse.urlencode({"lane": "inference", "cause": str(Cause.ATTEMPTS_USED_UP), "id": ""}).encode()
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(where, data=form, headers=headers), timeout=SECONDS)
    assert json.loads(urllib.request.urlopen(f"{stack.flower_url}/api/queues/length", timeout=SECONDS).read())


def test_read_only_shows_and_changes_nothing(tmp_path: Path, stack: Stack) -> None:
    with Stack(tmp_path, **stack.environment, FLOWER_READ_ONLY="true") as quiet:
        quiet.environment.update(stack.environment)
        quiet.start_flower()
        page = urllib.request.urlopen(f"{quiet.flower_url}/dead-letters", timeout=SECONDS).read().decode()
        assert "data-action" not in page
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{quiet.flower_url}/dead-letters/drop?lane=inference&id=x", timeout=SECONDS)
