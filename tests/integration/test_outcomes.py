"""Each row of the table of fates, through a real worker: the state, the signal, the attempts and the message."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError

from celery_inference import feature_extraction
from celery_inference.errors import RequestCancelled, RequestExpired
from celery_inference.results.access import store_of
from celery_inference.specs.errors import DeviceCrash, DeviceLost, Expired, InvalidInput
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.messages.reason import Cause
from celery_inference.sqs.queues.depths import read_depths
from demo.stack import Stack
from tests.support.client import client_of
from tests.support.lanes import GENERAL, INFERENCE
from tests.support.peek import peek

SECONDS = 60
INCLUDE = ("--include", "tests.support.outcome_tasks")
SETTINGS = {
    "CELERY_INFERENCE_LEASE_SECONDS": "5",
    "CELERY_INFERENCE_RETRY_BASE_SECONDS": "0.1",
    "CELERY_INFERENCE_RETRY_CAP_SECONDS": "0.5",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("outcomes")
    catalogue = write_one(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTCOME_DIR", str(folder))
        with Stack(folder / "stack", catalogue=catalogue, **SETTINGS) as stack, client_of(stack):
            stack.start_server()
            stack.start_worker("worker", *INCLUDE)
            yield stack


def write_one(folder: Path) -> Path:
    from demo.__main__ import write_catalogue

    text = write_catalogue(folder).read_text(encoding="utf-8")
    path = folder / "one.toml"
    path.write_text(text[text.index("[fragile]") :], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tasks(stack: Stack) -> Any:
    from tests.support import outcome_tasks

    return outcome_tasks


@pytest.fixture
def noted(stack: Stack, tasks: Any) -> Callable[[str, str], int]:
    folder = stack.folder.parent

    def count(name: str, text: str) -> int:
        found: list[str] = tasks.notes(folder, name)
        return found.count(text)

    return count


def eventually(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def letters(stack: Stack) -> dict[str, DeadLetter]:
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    seen = [letter for lane in (INFERENCE, GENERAL) for letter in peek(client, lane, 100)]
    return {letter.reason.task_id or "": letter for letter in seen if letter.reason}


def letter_of(stack: Stack, task_id: str) -> Any:
    eventually(lambda: task_id in letters(stack), f"no dead letter of {task_id}")
    return letters(stack)[task_id].reason


def assert_the_lane_is_empty(stack: Stack) -> None:
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    eventually(lambda: read_depths(client, [GENERAL])[0].total == 0, "something is left on the lane")


def test_the_callers_fault_fails_at_once_with_a_letter(stack: Stack, tasks: Any, noted: Any) -> None:
    result = tasks.broken.delay("input")
    with pytest.raises(InvalidInput, match="this cannot be"):
        result.get(timeout=SECONDS)
    reason = letter_of(stack, result.id)
    assert (reason.cause, reason.error_type, reason.attempts) == (Cause.INVALID_INPUT, "InvalidInput", 1)
    assert noted("runs", f"broken:{result.id}") == 1
    assert noted("signals", f"failure:{result.id}") == 1


def test_what_a_task_announces_is_the_callers_fault_too(stack: Stack, tasks: Any, noted: Any) -> None:
    result = tasks.announced.delay()
    with pytest.raises(tasks.Quota):
        result.get(timeout=SECONDS)
    assert letter_of(stack, result.id).cause is Cause.INVALID_INPUT
    assert noted("runs", f"announced:{result.id}") == 1


def test_a_passing_fault_is_tried_again_with_its_state_visible(stack: Stack, tasks: Any, noted: Any) -> None:
    result = tasks.broken_until.delay(3)
    eventually(lambda: result.state in ("RETRY", "SUCCESS"), "no RETRY was seen")
    assert result.get(timeout=SECONDS) == "done"
    assert noted("runs", f"broken_until:{result.id}") == 3
    assert noted("signals", f"failure:{result.id}") == 0, "task_failure is for what is final"
    assert result.id not in letters(stack)


def test_attempts_used_up_end_in_the_last_error_and_a_letter(stack: Stack, tasks: Any, noted: Any) -> None:
    result = tasks.broken.delay("device")
    with pytest.raises(DeviceLost, match="the GPU fell off"):
        result.get(timeout=SECONDS)
    reason = letter_of(stack, result.id)
    assert (reason.cause, reason.error_type, reason.attempts) == (Cause.ATTEMPTS_USED_UP, "DeviceLost", 4)
    assert noted("runs", f"broken:{result.id}") == 4
    assert noted("signals", f"failure:{result.id}") == 1


def test_an_unknown_error_is_transient(stack: Stack, tasks: Any, noted: Any) -> None:
    result = tasks.broken.delay("quota")
    with pytest.raises(tasks.Quota):
        result.get(timeout=SECONDS)
    assert noted("runs", f"broken:{result.id}") == 4
    assert letter_of(stack, result.id).cause is Cause.ATTEMPTS_USED_UP


def test_an_input_that_ends_its_device_process_is_filed_as_a_crash(stack: Stack) -> None:
    result = feature_extraction.delay("please divide by zero")
    with pytest.raises(DeviceCrash):
        result.get(timeout=SECONDS)
    reason = letter_of(stack, result.id)
    assert (reason.cause, reason.attempts, reason.model) == (Cause.CRASH, 1, "fragile")


def test_what_has_expired_is_no_failure_and_leaves_no_letter(stack: Stack, tasks: Any, noted: Any) -> None:
    result = tasks.add.apply_async((1, 2), expires=-1)
    with pytest.raises(Expired) as caught:
        result.get(timeout=SECONDS)
    assert isinstance(caught.value, RequestExpired)
    assert isinstance(caught.value, TaskRevokedError), "what Celery's callers catch"
    assert result.state == "REVOKED"
    eventually(lambda: noted("signals", f"expired:{result.id}") == 1, "task_revoked was not sent")
    assert noted("runs", f"add:{result.id}") == 0
    assert_the_lane_is_empty(stack)
    assert result.id not in letters(stack)


def test_what_was_cancelled_is_an_outcome_of_its_own(stack: Stack, tasks: Any, noted: Any) -> None:
    task_id = "cancelled-before-its-second-delivery"
    store = store_of(tasks.app)
    assert store is not None
    store.cancel([task_id], 600)
    result = tasks.add.apply_async((1, 2), task_id=task_id, headers={"inference_once": True})
    with pytest.raises(RequestCancelled):
        result.get(timeout=SECONDS)
    assert result.state == "REVOKED"
    assert noted("runs", f"add:{task_id}") == 0
    assert_the_lane_is_empty(stack)
    assert task_id not in letters(stack)


def test_celerys_own_retry_keeps_its_meaning_within_both_bounds(stack: Stack, tasks: Any, noted: Any) -> None:
    result = tasks.retried.delay()
    with pytest.raises(ConnectionError):
        result.get(timeout=SECONDS)
    assert noted("runs", f"retried:{result.id}") == 3, "max_retries is 2"
    # Celery tells of an outcome after it has stored it.
    eventually(lambda: noted("signals", f"failure:{result.id}") == 1, "its failure is not told of")
    assert noted("signals", f"retry:{result.id}") == 2


def test_celerys_ignore_and_reject_keep_their_meaning(stack: Stack, tasks: Any, noted: Any) -> None:
    ignored, rejected = tasks.ignored.delay(), tasks.rejected.delay()
    assert letter_of(stack, rejected.id).cause is Cause.REJECTED
    assert rejected.state == "FAILURE"
    assert_the_lane_is_empty(stack)
    assert (ignored.state, noted("runs", f"ignored:{ignored.id}")) == ("PENDING", 1)
    assert ignored.id not in letters(stack)


def test_two_submissions_under_one_key_are_one_request(stack: Stack, tasks: Any, noted: Any) -> None:
    first = tasks.add.apply_async((20, 22), dedup_key="the answer")
    second = tasks.add.apply_async((20, 22), dedup_key="the answer")
    assert first.id == second.id != tasks.total.apply_async(([1],), dedup_key="the answer").id
    assert (first.get(timeout=SECONDS), second.get(timeout=SECONDS)) == (42, 42)
    assert tasks.add.apply_async((20, 22), dedup_key="the answer").get(timeout=SECONDS) == 42
    assert noted("runs", f"add:{first.id}") == 1


@pytest.mark.parametrize(
    "submit",
    [
        lambda add, keyed, plain: add.apply_async((1, 1), dedup_key="k", task_id="mine"),
        lambda add, keyed, plain: group(keyed, plain).apply_async(),
        lambda add, keyed, plain: chain(keyed, plain).apply_async(),
        lambda add, keyed, plain: chain(plain, keyed).apply_async(),
        lambda add, keyed, plain: chord([keyed, plain], plain).apply_async(),
        lambda add, keyed, plain: chord([plain, plain], keyed).apply_async(),
        lambda add, keyed, plain: chord([plain, plain], chain(plain, keyed)).apply_async(),
        lambda add, keyed, plain: chain(plain, group(keyed, plain)).apply_async(),
        lambda add, keyed, plain: chain(plain, group(keyed, plain), plain).apply_async(),
        lambda add, keyed, plain: add.apply_async((1, 1), link=group(keyed, plain)),
        lambda add, keyed, plain: add.apply_async((1, 1), link=[plain, keyed.clone().set(task_id="mine")]),
        lambda add, keyed, plain: add.apply_async((1, 1), link_error=chain(plain, keyed)),
    ],
    ids=[
        "task_id",
        "group",
        "first of a chain",
        "second of a chain",
        "part of a chord",
        "body of a chord",
        "chain that is a chord's body",
        "group that is a chain's end",
        "part of a chord in a chain",
        "group that is a link",
        "link with an id",
        "chain that is an error callback",
    ],
)
def test_a_key_goes_with_no_other_id(stack: Stack, tasks: Any, submit: Callable[[Any, Any, Any], Any]) -> None:
    """Who waits for the other id would wait for ever."""
    plain = tasks.add.si(1, 1)
    with pytest.raises(TypeError, match="neither with task_id nor within a group, chain or chord"):
        submit(tasks.add, plain.clone().set(dedup_key="k"), plain)


def test_a_link_may_have_a_key(stack: Stack, tasks: Any, noted: Any) -> None:
    from celery_inference.client.deduplication import task_id_of

    link = tasks.add.s(1).set(dedup_key="linked")
    for _ in range(2):
        assert tasks.add.apply_async((1, 1), link=link).get(timeout=SECONDS) == 2
    task_id = task_id_of(tasks.add.name, "linked")
    assert tasks.add.AsyncResult(task_id).get(timeout=SECONDS) == 3
    assert noted("runs", f"add:{task_id}") == 1


def test_a_submitter_that_died_before_it_sent_blocks_nobody(stack: Stack, tasks: Any) -> None:
    from celery_inference.client.deduplication import task_id_of

    store = store_of(tasks.app)
    assert store is not None
    store.claim_submission(task_id_of(tasks.add.name, "half done"), "dead", 1.0)
    assert tasks.add.apply_async((1, 1), dedup_key="half done").get(timeout=SECONDS) == 2


def test_nothing_of_the_inputs_is_logged(stack: Stack, tasks: Any) -> None:
    secret = "my mother's maiden name"
    assert tasks.total.apply_async((), {"numbers": [17_171_717]}).get(timeout=SECONDS) == 17_171_717
    assert len(feature_extraction.delay(secret).get(timeout=SECONDS)) == 384
    stock = tasks.app.send_task("tests.support.outcome_tasks.add", (31_313_131, 1), argsrepr="(31313131, 1)")
    assert stock.get(timeout=SECONDS) == 31_313_132
    text = (stack.folder / "worker.log").read_text()
    assert secret not in text
    assert "31313131" not in text
