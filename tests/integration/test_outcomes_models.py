"""Outcomes that hang on which models a worker has: a real worker, whose device processes only pretend to have them."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from celery_inference import app, feature_extraction, infer, results_and_errors
from celery_inference.specs.errors import DeviceCrash, InputFailed, InvalidInput, NotServedHere
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.messages.reason import Cause, Reason
from demo.stack import Stack
from tests.support.client import client_of
from tests.support.fake_engine import write_catalogue
from tests.support.lanes import INFERENCE
from tests.support.peek import peek

SECONDS = 60
WINDOW_SECONDS = 15
REVISION = "0123456789abcdef0123456789abcdef01234567"
OTHERS = f"""
[pinned]
task = "feature-extraction"
source = "some-organisation/some-model"
revision = "{REVISION}"

[elsewhere]
task = "feature-extraction"
source = "./elsewhere"
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("models")
    catalogue = write_catalogue(folder)
    catalogue.write_text(catalogue.read_text() + OTHERS)
    settings = {
        "CELERY_INFERENCE_LEASE_SECONDS": "5",
        "CELERY_INFERENCE_MODELS": "fake,pinned",
        "CELERY_INFERENCE_UNKNOWN_TASK_GRACE_SECONDS": str(WINDOW_SECONDS),
        "CELERY_INFERENCE_STATE": str(folder / "state"),
    }
    with Stack(folder / "stack", catalogue=catalogue, **settings) as stack, client_of(stack):
        stack.start_server()
        stack.start_worker("worker", "--include", "tests.support.fake_engine")
        yield stack


def reason_of(stack: Stack, task_id: str) -> Reason:
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    until = time.monotonic() + SECONDS
    while True:
        for letter in peek(client, INFERENCE, 100):
            if letter.reason is not None and letter.reason.task_id == task_id:
                return letter.reason
        assert time.monotonic() < until, "it has no dead letter"
        time.sleep(0.1)


def test_a_letter_tells_the_revision_of_the_model_that_was_asked(stack: Stack) -> None:
    pinned, folder = infer.delay("pinned", "faulty"), infer.delay("fake", "faulty")
    misfit = app.send_task("celery_inference.infer", args=["pinned", 5])
    for result in (pinned, folder, misfit):
        with pytest.raises(InvalidInput if result is misfit else InputFailed):
            result.get(timeout=SECONDS)
    of_pinned, of_folder, of_misfit = (reason_of(stack, result.id) for result in (pinned, folder, misfit))
    assert (of_pinned.model, of_pinned.revision, of_pinned.attempts) == ("pinned", REVISION, 1)
    assert (of_folder.model, of_folder.revision) == ("fake", None), "a folder has none"
    assert (of_misfit.model, of_misfit.revision) == ("pinned", REVISION)
    assert (of_pinned.cause, of_misfit.cause) == (Cause.MODEL_FAILED, Cause.INVALID_INPUT)
    assert (of_pinned.traceback, of_misfit.traceback) == ("its own frames", None)
    assert pinned.result.model_traceback == "its own frames"
    assert "its own frames" in pinned.traceback, "which commands and pages show"
    assert "its own frames" in (stack.folder / "worker.log").read_text()


def test_inputs_that_fail_alone_are_answered_by_their_errors_and_leave_no_letter(stack: Stack) -> None:
    texts = ["fine", "", "faulty", "deadly", "good"]
    sent = feature_extraction.delay(texts, return_errors=True)
    # As who has Celery alone sends it: nothing is checked before.
    by_name = app.send_task(
        "celery_inference.feature_extraction", args=[["fine", 5, None, "x" * 20_001]], kwargs={"return_errors": True}
    )
    results, errors = results_and_errors(sent.get(timeout=SECONDS))
    assert results == ["FINE", None, None, None, "GOOD"]
    assert [(index, type(error)) for index, error in errors.items()] == [
        (1, InvalidInput),
        (2, InputFailed),
        (3, DeviceCrash),
    ]
    assert [error.index for error in errors.values()] == [1, 2, 3]
    assert errors[2].model_traceback == "its own frames"
    assert "ended the device process 2 times when run alone" in str(errors[3])
    results, errors = results_and_errors(by_name.get(timeout=SECONDS))
    assert results == ["FINE", None, None, None]
    assert [str(error) for error in errors.values()] == [
        "inputs[1] must be a text, not int",
        "inputs[2] must be a text, not NoneType",
        "inputs[3] has 20,001 characters; at most 20,000 are allowed",
    ]
    assert (sent.state, by_name.state) == ("SUCCESS", "SUCCESS")
    known = feature_extraction.delay(["deadly", "fine", "deadly"], return_errors=True)
    results, errors = results_and_errors(known.get(timeout=SECONDS))
    assert (results[1], list(errors)) == ("FINE", [0, 2])
    assert "is known" in str(errors[2])
    whole = app.send_task("celery_inference.feature_extraction", args=[["fine", 5]])
    with pytest.raises(InvalidInput) as caught:
        whole.get(timeout=SECONDS)
    assert (caught.value.index, caught.value.field) == (1, "inputs[1]")
    assert reason_of(stack, whole.id).cause is Cause.INVALID_INPUT
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    letters = {letter.reason.task_id for letter in peek(client, INFERENCE, 100) if letter.reason is not None}
    assert not letters & {sent.id, by_name.id, known.id}


def test_what_no_worker_of_the_lane_serves_is_left_to_others_and_fails_after_the_window(stack: Stack) -> None:
    began = time.monotonic()
    unserved = infer.delay("elsewhere", "a text")
    unknown = [
        app.send_task("celery_inference.infer", args=["of-tomorrow", "a text"]),
        app.send_task("celery_inference.infer", args=["fake", "a text"], kwargs={"option_of_tomorrow": 5}),
    ]
    states: list[Any] = []
    while len(states) < 3 and time.monotonic() < began + SECONDS:
        states = [result for result in (unserved, *unknown) if result.state == "RETRY"]
        time.sleep(0.05)
    assert len(states) == 3, "each is to be seen waiting"
    with pytest.raises(NotServedHere, match='does not serve "elsewhere"'):
        unserved.get(timeout=SECONDS)
    assert time.monotonic() - began > WINDOW_SECONDS - 2
    for result in unknown:
        with pytest.raises(NotServedHere, match=r"of.tomorrow"):
            result.get(timeout=SECONDS)
    reasons = [reason_of(stack, result.id) for result in (unserved, *unknown)]
    assert [reason.cause for reason in reasons] == [Cause.UNKNOWN_TASK] * 3
    assert [reason.attempts for reason in reasons] == [0, 0, 0], "none was begun"
    assert [reason.model for reason in reasons] == ["elsewhere", "of-tomorrow", "fake"]


def test_a_model_that_crashes_the_process_twice_has_one_of_its_own_and_its_neighbour_is_served(stack: Stack) -> None:
    crashes = [infer.delay("fake", f"deadly {number}") for number in range(2)]
    neighbours = [infer.delay("pinned", f"text {number}") for number in range(20)]
    assert [result.get(timeout=SECONDS) for result in neighbours] == [f"TEXT {number}" for number in range(20)]
    for crash in crashes:
        with pytest.raises(DeviceCrash):
            crash.get(timeout=SECONDS)
    (worker,) = app.control.inspect(timeout=SECONDS, limit=1).stats().values()
    devices = worker["pool"]["engine"]["devices"]
    assert {name: list(device["loads"]) for name, device in devices.items()}["cpu/fake"] == ["fake"]
    assert devices["cpu/fake"]["isolated"].startswith("fake crashed")
    assert not devices["cpu"]["isolated"]
    assert "it has one of its own now" in (stack.folder / "worker.log").read_text()
    assert infer.delay("fake", "fine").get(timeout=SECONDS) == "FINE"
