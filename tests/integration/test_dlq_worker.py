"""Dead letters of a real worker: noted, redriven, swept, and no more of them than the limit allows."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from celery_inference.client.app import app
from celery_inference.commands.dlq.group import dlq
from celery_inference.commands.lanes import lanes
from celery_inference.results.dead_letter_queues import dead_letter_queue
from celery_inference.sqs.dead_letters import scan
from celery_inference.sqs.dead_letters.index import Selection
from celery_inference.sqs.dead_letters.queue import DeadLetterQueue
from demo.__main__ import write_catalogue
from demo.stack import Stack
from tests.support.client import client_of
from tests.support.failing_tasks import fragile, plain
from tests.support.lanes import GENERAL

SECONDS = 60.0
REQUESTS = 300


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return answer


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("letters") / "mended"


@pytest.fixture(scope="module")
def stack(mended: Path) -> Iterator[Stack]:
    text = write_catalogue(mended.parent).read_text(encoding="utf-8")
    catalogue = mended.parent / "one.toml"
    catalogue.write_text(text[text.index("[fragile]") :], encoding="utf-8")
    settings = {
        "CELERY_INFERENCE_RECONCILE_SECONDS": "1",
        "LETTERS_MENDED": str(mended),
        "CELERY_INFERENCE_LEASE_SECONDS": "5",
    }
    with Stack(mended.parent / "stack", catalogue=catalogue, **settings) as stack, client_of(stack):
        stack.start_server()
        stack.start_worker("worker", "-I", "tests.support.failing_tasks")
        yield stack


@pytest.fixture
def queue(stack: Stack, mended: Path, monkeypatch: pytest.MonkeyPatch) -> DeadLetterQueue:
    monkeypatch.setattr(scan, "END_WAIT_SECONDS", 0)
    mended.unlink(missing_ok=True)
    return dead_letter_queue(app, GENERAL)


def counts() -> tuple[int, int]:
    clients = app.connection_for_read().transport.clients
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = clients.client.get_queue_attributes(QueueUrl=clients.queue_url(GENERAL.name), AttributeNames=names)
    return int(answer["Attributes"][names[0]]), int(answer["Attributes"][names[1]])


def depth() -> int:
    return sum(counts())


def in_flight() -> int:
    return counts()[1]


def test_a_letter_is_noted_redriven_and_answers_its_caller(queue: DeadLetterQueue, mended: Path) -> None:
    result = fragile.delay(7)
    (entry,) = until(lambda: queue.index.find(result.id), "the worker notes no letter")
    assert (entry.cause, entry.task, entry.lane, entry.buried) == ("rejected", "tests.fragile", GENERAL.name, True)
    assert entry.worker is None or "worker@" in entry.worker
    assert queue.count().total == 1
    mended.touch()
    sent = CliRunner().invoke(dlq, ["redrive", result.id, "--json"], obj=SimpleNamespace(app=app))
    assert json.loads(sent.stdout) == {"sent": 1, "skipped": {}}
    assert result.get(timeout=SECONDS) == 7
    assert queue.count().total == 0


def test_a_task_with_a_base_of_its_own_is_tried_again_as_others_are(queue: DeadLetterQueue) -> None:
    result = plain.delay()
    assert result.get(timeout=SECONDS) == 2
    assert queue.index.find(result.id) == []


def test_what_sqs_moved_unstarted_is_brought_back_and_done(queue: DeadLetterQueue, mended: Path) -> None:
    mended.touch()
    clients = queue.clients
    with app.connection_for_write() as connection:
        message = app.amqp.as_task_v2("moved", "tests.fragile", args=(9,))
        producer = app.amqp.Producer(connection)
        body, content_type, encoding = producer._prepare(message.body, "json", None, None, {})
        text = json.dumps(
            {
                "body": body,
                "content-type": content_type,
                "content-encoding": encoding,
                "headers": message.headers,
                "properties": {**message.properties, "delivery_info": {}, "body_encoding": "utf-8"},
            }
        )
    clients.client.send_message(QueueUrl=clients.queue_url(GENERAL.dead_letter_queue.name), MessageBody=text)
    assert app.AsyncResult("moved").get(timeout=SECONDS) == 9
    until(lambda: queue.count().total == 0, "the message is still there")


def test_what_cannot_carry_its_reason_is_noted_with_it(queue: DeadLetterQueue) -> None:
    clients = queue.clients
    full: Any = {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(10)}
    sent = clients.client.send_message(
        QueueUrl=clients.queue_url(GENERAL.name), MessageBody="ten attributes", MessageAttributes=full
    )
    (entry,) = until(lambda: queue.index.find(sent["MessageId"]), "the worker notes no letter")
    assert (entry.cause, entry.error_type) == ("unreadable", "UndecodableMessage")
    assert entry.error == "the body is neither JSON nor base64 of it"
    assert entry.worker is None or "worker@" in entry.worker
    until(lambda: queue.count().visible == 1, "SQS has not moved it")
    time.sleep(2.5)  # two sweeps, which find it known
    assert queue.index.find(sent["MessageId"]) == [entry]
    queue.drop(Selection(lane=GENERAL.name))
    assert queue.count().total == 0


def test_a_bad_deploy_does_not_empty_the_lane_into_its_dead_letter_queue(
    queue: DeadLetterQueue, stack: Stack, mended: Path
) -> None:
    results = [fragile.delay(number) for number in range(REQUESTS)]
    (stop,) = until(queue.index.pauses, "nobody stops the lane")
    assert stop.lane == GENERAL.name
    until(lambda: "is paused" in (stack.folder / "worker.log").read_text(), "nobody says so")
    listed = CliRunner().invoke(lanes, ["list"], obj=SimpleNamespace(app=app))
    assert listed.exit_code == 1
    assert "PAUSED" in listed.stdout
    # A stop has seen 50 requests, among them those of the tests above: two good ones, and two letters that are gone.
    # The last letters may be on their way.
    least = 50 - 2 - 2
    until(lambda: queue.count().total >= least, "too few dead letters")
    until(lambda: in_flight() == 0, "what was received is neither done nor given back")
    dead = until(lambda: depth() + queue.count().total == REQUESTS and queue.count().total, "requests are missing")
    assert least <= dead < REQUESTS / 2
    time.sleep(3)
    assert queue.count().total == dead
    mended.touch()
    resumed = CliRunner().invoke(lanes, ["resume", GENERAL.name], obj=SimpleNamespace(app=app))
    assert resumed.exit_code == 0
    until(lambda: depth() == 0, "the lane is not taken up again")
    until(lambda: queue.index.count(Selection(lane=GENERAL.name)) == dead, "the index lacks letters")
    assert queue.redrive(Selection()).done == dead
    assert sorted(result.get(timeout=SECONDS) for result in results) == list(range(REQUESTS))
