"""Lambda's event as deliveries, and what the handler does with events that are none of SQS's."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, mark_of
from deploy.aws_lambda.event import EventError, deliveries_of
from deploy.aws_lambda.handler import LambdaHandler
from tasks.worker.event_source import WorkerLost
from tests.support.lambda_service import record

CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 30_000)


def message(**values: Any) -> dict[str, Any]:
    return {
        "MessageId": "a-message",
        "ReceiptHandle": "a-receipt",
        "Body": "a body",
        "MD5OfBody": "",
        "Attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1700000000000"},
        **values,
    }


def read(*records: Any) -> Any:
    return deliveries_of({"Records": list(records)}, lease_seconds=30, url_of=lambda queue: f"http://sqs/{queue}")


def test_a_record_is_a_delivery_as_if_it_had_been_received_here() -> None:
    attributes = {
        REASON_ATTRIBUTE: {"DataType": "String", "StringValue": '{"generation":2}'},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    (delivery,) = read(record(message(MessageAttributes=attributes), "inference-lambda"))
    assert (delivery.queue, delivery.queue_url) == ("inference-lambda", "http://sqs/inference-lambda")
    assert (delivery.message_id, delivery.receipt, delivery.body) == ("a-message", "a-receipt", "a body")
    assert (delivery.count, delivery.sent_at) == (3, 1_700_000_000.0)
    assert delivery.attributes == attributes
    assert mark_of(delivery.attributes).generation == 2
    assert delivery.holds()


@pytest.mark.parametrize(
    "event",
    [None, [], {}, {"Records": 5}, {"Records": ["text"]}, {"Records": [{"s3": {}}]}, {"Records": [{"messageId": "1"}]}],
)
def test_what_is_no_event_of_sqs_is_refused_in_one_sentence(event: Any) -> None:
    handler = LambdaHandler(SimpleNamespace(queue_url=str, work=None), 30)  # type: ignore[arg-type]
    with pytest.raises(EventError, match="of SQS"):
        handler(event, CONTEXT)


def test_what_is_not_done_is_named_and_nothing_else() -> None:
    def work(deliveries: list[Any], seconds: float) -> None:
        assert seconds < 30
        deliveries[1].done = True

    handler = LambdaHandler(SimpleNamespace(queue_url=str, work=work), 30)  # type: ignore[arg-type]
    records = [record(message(MessageId=name), "inference-lambda") for name in ("first", "second", "third")]
    answer = handler({"Records": records}, CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "first"}, {"itemIdentifier": "third"}]}


def test_an_environment_without_a_device_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)

    def work(*_: Any) -> None:
        raise WorkerLost("no device is left")

    handler = LambdaHandler(SimpleNamespace(queue_url=str, work=work), 30)  # type: ignore[arg-type]
    handler({"Records": [record(message(), "inference-lambda")]}, CONTEXT)
    assert ended == [1]
