"""The event that Lambda makes of messages of SQS, as deliveries.

docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from celery_inference.sqs.consumer.leases import lease_end
from celery_inference.sqs.messages.delivery import Delivery, from_answer


class EventError(ValueError):
    """The event is none of SQS's: the function was called by something else."""


def deliveries_of(event: Any, *, lease_seconds: float, url_of: Callable[[str], str]) -> list[Delivery]:
    """The deliveries of an event, in its order. `url_of` gives a queue's URL by its name.

    A lease is the queue's visibility timeout, which is longer; from the first renewal on it is `lease_seconds`.

    Raises EventError, and what `url_of` does.
    """
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise EventError("the event has no Records: this function answers to an event source mapping of SQS alone")
    ends = lease_end(lease_seconds)
    return [_delivery(record, ends, url_of) for record in records]


def _delivery(record: Any, ends: float, url_of: Callable[[str], str]) -> Delivery:
    try:
        queue = str(record["eventSourceARN"]).rpartition(":")[2]
        message = {
            "MessageId": record["messageId"],
            "ReceiptHandle": record["receiptHandle"],
            "Body": record["body"],
            "Attributes": dict(record["attributes"]),
            "MessageAttributes": {
                name: _attribute(value) for name, value in (record.get("messageAttributes") or {}).items()
            },
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EventError(f"a record of the event is none of SQS's: {type(error).__name__} {error}") from None
    return from_answer(message, queue, url_of(queue), ends)


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """A message attribute as boto3 has it; Lambda writes it in another case, and bytes in base64."""
    made: dict[str, Any] = {"DataType": value["dataType"]}
    if value.get("stringValue") is not None:
        made["StringValue"] = value["stringValue"]
    if value.get("binaryValue") is not None:
        made["BinaryValue"] = base64.b64decode(value["binaryValue"])
    return made
