"""The Lambda function in AWS's runtime client, behind a Runtime API and a poller of ours: what is its own.

What becomes of a message that it works on is the conformance suite's to say.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from celery_inference import feature_extraction
from celery_inference.results.access import store_of
from celery_inference.results.dead_letter_queues import index
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.dead_letters.index import LanePause
from demo.stack import Stack
from tests.support.client import client_of
from tests.support.lambda_service import LambdaService
from tests.support.lanes import LAMBDA

SECONDS = 60
TIMEOUT_SECONDS = 12.0  # of the function


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    from demo.__main__ import write_catalogue

    folder = tmp_path_factory.mktemp("lambda")
    text = write_catalogue(folder).read_text(encoding="utf-8")
    text = text[text.index("[fragile]") :].replace("[fragile]", "[fragile]\nbatch_size = 1\ntime_limit_seconds = 15")
    (folder / "one.toml").write_text(text, encoding="utf-8")
    settings = {
        "CELERY_INFERENCE_LEASE_SECONDS": "5",
        "CELERY_INFERENCE_RETRY_BASE_SECONDS": "0.1",
        "CELERY_INFERENCE_RETRY_CAP_SECONDS": "0.5",
    }
    with Stack(folder / "stack", catalogue=folder / "one.toml", **settings) as stack, client_of(stack):
        stack.start_server()
        assert stack.start("create", "celery_inference", "queues", "create").wait(SECONDS) == 0
        yield stack


@pytest.fixture(scope="module")
def service(stack: Stack) -> Iterator[LambdaService]:
    with LambdaService(stack.folder, stack.environment, stack.endpoint, timeout_seconds=TIMEOUT_SECONDS) as service:
        service.process.wait_until(lambda text: "loaded fragile" in text, 120)
        yield service


@pytest.fixture(scope="module")
def sqs(stack: Stack) -> Any:
    return make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")


def send(text: str) -> Any:
    return feature_extraction.apply_async((text,), queue=LAMBDA.name)


def pass_on(service: LambdaService, sqs: Any) -> Any:
    """The function's answer to what waits."""
    answer = service.pass_on(LAMBDA.name, sqs.get_queue_url(QueueName=LAMBDA.name)["QueueUrl"])
    assert answer is not None, service.process.text()
    return answer


def deliveries(service: LambdaService, task_id: str) -> list[int]:
    """SQS's counts of this request's deliveries, in the order of the events."""
    records = [record for event, _ in service.invocations for record in event["Records"]]
    return [int(one["attributes"]["ApproximateReceiveCount"]) for one in records if task_id in one["body"]]


def test_a_request_is_answered_to_its_caller_and_its_message_left_to_lambda(
    service: LambdaService, stack: Stack, sqs: Any
) -> None:
    from demo.__main__ import sqs_calls

    result = send("A parcel is late.")
    before = sqs_calls(stack)
    assert pass_on(service, sqs) == {"batchItemFailures": []}
    assert len(result.get(timeout=SECONDS)) == 384
    calls = {name: count - before.get(name, 0) for name, count in sqs_calls(stack).items()}
    assert calls.get("DeleteMessageBatch", 0) == 0
    assert calls["DeleteMessage"] == 1, "the poller's"
    again = send("Another parcel.")
    assert pass_on(service, sqs) == {"batchItemFailures": []}
    assert len(again.get(timeout=SECONDS)) == 384
    assert service.process.text().count("loaded fragile") == 1, "models are loaded once in an environment"


def finish(service: LambdaService, sqs: Any, sent: list[Any]) -> None:
    """Pass messages on until all of these have their outcomes."""
    until = time.monotonic() + 2 * SECONDS
    while not all(one.ready() for one in sent):
        assert time.monotonic() < until, service.process.text()
        service.pass_on(LAMBDA.name, sqs.get_queue_url(QueueName=LAMBDA.name)["QueueUrl"])


def test_what_has_not_begun_when_time_runs_out_is_handed_back_and_no_attempt(service: LambdaService, sqs: Any) -> None:
    for number in range(5):
        hanging = send(f"please hang for ever, {number}")
        time.sleep(0.2)
        # One batch waits at the device, sealed, which is as good as begun; the others have not.
        waiting = [send(f"Parcel {number} is late, {one}.") for one in range(3)]
        began = time.monotonic()
        answer = pass_on(service, sqs)
        assert time.monotonic() - began < TIMEOUT_SECONDS
        if not any(one.ready() for one in waiting):
            break
        finish(service, sqs, [hanging, *waiting])  # some were at the device before the first, whose thread was slow
    event = service.invocations[-1][0]
    assert len(event["Records"]) == 4
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    assert failed == {record["messageId"] for record in event["Records"]}
    store = store_of(feature_extraction.app)
    assert store is not None
    found = store.attempts([(one.id, 0) for one in (hanging, *waiting)])
    begun = {task_id for (task_id, _), attempts in found.items() if attempts.count}
    assert hanging.id in begun
    assert len(begun) <= 2
    # They are visible now, and not when the lane's timeout of twelve minutes ends.
    finish(service, sqs, [hanging, *waiting])
    assert [len(one.get(timeout=SECONDS)) for one in waiting] == [384] * 3
    assert deliveries(service, waiting[-1].id)[:2] == [1, 2]
    assert hanging.state == "FAILURE"


def test_a_lane_that_is_stopped_keeps_its_messages(service: LambdaService, sqs: Any) -> None:
    letters = index(feature_extraction.app)
    letters.pause(LanePause(LAMBDA.name, time.time(), "the test", "a bad deploy"))
    service.process.wait_until(lambda text: f"lane {LAMBDA.name} is paused" in text, SECONDS)
    result = send("A parcel is late.")
    answer = pass_on(service, sqs)
    assert len(answer["batchItemFailures"]) == 1
    assert result.state == "PENDING"
    letters.resume(LAMBDA.name)
    service.process.wait_until(lambda text: f"lane {LAMBDA.name} is taken up again" in text, SECONDS)
    url = sqs.get_queue_url(QueueName=LAMBDA.name)["QueueUrl"]
    until = time.monotonic() + SECONDS
    while not result.ready():
        assert time.monotonic() < until, service.process.text()
        # It would come again in a minute, for which nobody waits here; unless a device process that still loads its
        # model had no time left for it, then it is visible already.
        (record,) = service.invocations[-1][0]["Records"]
        with suppress(sqs.exceptions.MessageNotInflight):
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0)
        service.pass_on(LAMBDA.name, url)
    assert len(result.get(timeout=SECONDS)) == 384


def test_a_worker_leaves_the_lane_alone_unless_it_is_named(stack: Stack) -> None:
    lanes = stack.start_worker("ordinary", "--concurrency", "1").text()
    assert "queues: " in lanes
    assert LAMBDA.name not in lanes.partition("queues: ")[2].splitlines()[0]
