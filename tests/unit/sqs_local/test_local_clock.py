"""What takes minutes to days on SQS, told by a clock of the test's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from in_process import InProcessServer, Refused, request

from celery_inference.sqs_local import limits
from celery_inference.sqs_local.dispatcher import Dispatcher

URL = "http://localhost/000000000000/"
ARN = "arn:aws:sqs:us-east-1:000000000000:"


@pytest.fixture
def server() -> Iterator[InProcessServer]:
    server = InProcessServer(None)
    yield server
    server.close()


def create(server: InProcessServer, name: str = "q", **attributes: object) -> str:
    given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
    server.call("CreateQueue", QueueName=name, Attributes=given)
    return URL + name


def send(server: InProcessServer, url: str, body: str = "x", **fields: Any) -> dict[str, Any]:
    return server.call("SendMessage", QueueUrl=url, MessageBody=body, **fields)


def receive(server: InProcessServer, url: str, **fields: Any) -> list[dict[str, Any]]:
    asked = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"], **fields}
    return list(server.call("ReceiveMessage", QueueUrl=url, **asked).get("Messages", []))


def in_memory(server: InProcessServer, name: str = "q") -> int:
    return len(server.service.store.queues[name].messages)


def test_messages_expire_whatever_state_they_are_in(server: InProcessServer) -> None:
    url = create(server, MessageRetentionPeriod=60)
    send(server, url, "in flight")
    receive(server, url, VisibilityTimeout=40_000)
    send(server, url, "delayed", DelaySeconds=900)
    send(server, url, "ready")
    server.now_ms += 30_000
    send(server, url, "younger")
    server.now_ms += 29_999
    assert in_memory(server) == 4
    server.now_ms += 1
    assert [message["Body"] for message in receive(server, url)] == ["younger"]
    assert in_memory(server) == 1


def test_a_dead_letter_expires_by_its_first_enqueue_time(server: InProcessServer) -> None:
    dlq = create(server, "dlq", MessageRetentionPeriod=100)
    policy = {"deadLetterTargetArn": ARN + "dlq", "maxReceiveCount": 1}
    url = create(server, MessageRetentionPeriod=1000, RedrivePolicy=policy)
    send(server, url, "poison")
    receive(server, url, VisibilityTimeout=0)
    server.now_ms += 90_000
    assert receive(server, url) == []
    send(server, dlq, "sent here")
    assert len(receive(server, dlq, VisibilityTimeout=0)) == 2
    server.now_ms += 10_000
    assert [message["Body"] for message in receive(server, dlq)] == ["sent here"]


def test_a_longer_retention_saves_what_is_still_there(server: InProcessServer) -> None:
    url = create(server, MessageRetentionPeriod=60)
    send(server, url)
    server.now_ms += 59_000
    server.call("SetQueueAttributes", QueueUrl=url, Attributes={"MessageRetentionPeriod": "120"})
    server.now_ms += 60_000
    assert len(receive(server, url)) == 1


def test_a_deduplication_id_is_free_again_after_five_minutes(server: InProcessServer) -> None:
    url = create(server, "q.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    first = send(server, url, MessageGroupId="g")
    server.now_ms += 299_999
    assert send(server, url, MessageGroupId="g")["MessageId"] == first["MessageId"]
    server.now_ms += 1
    assert send(server, url, MessageGroupId="g")["MessageId"] != first["MessageId"]
    assert in_memory(server, "q.fifo") == 2


def test_a_receive_attempt_is_forgotten_after_five_minutes(server: InProcessServer) -> None:
    url = create(server, "q.fifo", FifoQueue="true", VisibilityTimeout=1000)
    for number in range(2):
        send(server, url, MessageGroupId=str(number), MessageDeduplicationId=str(number))
    ask = {"MaxNumberOfMessages": 1, "ReceiveRequestAttemptId": "a"}
    first = receive(server, url, **ask)
    assert receive(server, url, **ask) == first
    server.now_ms += 300_000
    assert receive(server, url, **ask) != first


def test_a_repeated_attempt_begins_the_lease_anew(server: InProcessServer) -> None:
    url = create(server, "q.fifo", FifoQueue="true", VisibilityTimeout=30)
    send(server, url, MessageGroupId="g", MessageDeduplicationId="d")
    ask = {"ReceiveRequestAttemptId": "a"}
    first = receive(server, url, **ask)
    server.now_ms += 20_000
    assert receive(server, url, **ask) == first
    server.now_ms += 20_000
    assert receive(server, url) == []


def test_a_delay_of_a_fifo_queue_keeps_the_order_when_it_is_lowered(server: InProcessServer) -> None:
    url = create(server, "q.fifo", FifoQueue="true", ContentBasedDeduplication="true", DelaySeconds=60)
    send(server, url, "first", MessageGroupId="g")
    server.call("SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "0"})
    send(server, url, "second", MessageGroupId="g")
    send(server, url, "other", MessageGroupId="h")
    assert [message["Body"] for message in receive(server, url, VisibilityTimeout=900)] == ["other"]
    server.now_ms += 60_000
    assert [message["Body"] for message in receive(server, url)] == ["first", "second"]


def test_a_purge_is_possible_again_after_a_minute(server: InProcessServer) -> None:
    url = create(server)
    server.call("PurgeQueue", QueueUrl=url)
    server.now_ms += 59_999
    with pytest.raises(Refused, match="PurgeQueueInProgress"):
        server.call("PurgeQueue", QueueUrl=url)
    server.now_ms += 1
    server.call("PurgeQueue", QueueUrl=url)


def test_too_many_messages_in_flight(server: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_IN_FLIGHT_STANDARD", 2)
    monkeypatch.setattr(limits, "MAX_IN_FLIGHT_FIFO", 2)
    url = create(server)
    for _ in range(3):
        send(server, url)
    handle = receive(server, url, MaxNumberOfMessages=2)[0]["ReceiptHandle"]
    status, answer = server.exchange(request("ReceiveMessage", json.dumps({"QueueUrl": url}).encode()))
    assert (status, answer["__type"]) == (403, "com.amazonaws.sqs#OverLimit")
    server.call("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    assert len(receive(server, url)) == 1
    fifo = create(server, "q.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for number in range(3):
        send(server, fifo, str(number), MessageGroupId=str(number))
    assert len(receive(server, fifo, MaxNumberOfMessages=2)) == 2
    assert receive(server, fifo) == []


def test_groups_take_turns_and_each_keeps_its_order(server: InProcessServer) -> None:
    url = create(server)
    for body in ("a1", "a2", "a3", "b1", "c1", "c2"):
        send(server, url, body, MessageGroupId=body[0])
    send(server, url, "no group")
    bodies = [message["Body"] for message in receive(server, url)]
    assert bodies == ["a1", "b1", "c1", "no group", "a2", "c2", "a3"]


def test_a_queue_that_was_used_for_long_holds_nothing_of_it(server: InProcessServer) -> None:
    """Heaps skip what is gone; skipped entries must not pile up behind one old message."""
    url = create(server, VisibilityTimeout=40_000)
    send(server, url, "old", DelaySeconds=900)
    for _ in range(500):
        send(server, url)
        (message,) = receive(server, url)
        server.call("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    queue = server.service.store.queues["q"]
    assert len(queue._timers._heap) < 100
    assert len(queue._ages._heap) < 100


def test_an_unexpected_fault_is_answered_and_the_server_lives(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = create(server)
    faults: list[Any] = []
    server.loop.set_exception_handler(lambda loop, context: faults.append(context["exception"]))
    with monkeypatch.context() as patch:
        patch.setattr("celery_inference.sqs_local.state.store.QueueStore.send", lambda *_: 1 / 0)
        with pytest.raises(Refused, match="InternalFailure"):
            send(server, url)
    assert isinstance(faults[0], ZeroDivisionError)
    assert isinstance(server.service, Dispatcher)
    send(server, url)
    assert len(receive(server, url)) == 1
