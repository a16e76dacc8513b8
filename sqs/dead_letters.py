"""Dead letters: messages that failed for good, kept byte for byte in their lane's DLQ, with the reason.

The reason is one message attribute, `celery-inference.reason`, a JSON object with the fields of `Reason`.
All other attributes of the message stay as they were.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqs import limits
from sqs.deliveries import find
from sqs.lanes import Lane

if TYPE_CHECKING:
    from kombu.message import Message
    from types_boto3_sqs.client import SQSClient

    from sqs.deliveries import Delivery

REASON_ATTRIBUTE = "celery-inference.reason"
REASON_LIMIT_BYTES = 3_072  # of the JSON; with name and type well inside the 4 KiB kept free for it
PEEK_SECONDS = 5  # how long a message that is looked at stays invisible if it cannot be given back


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message is a dead letter."""

    error_type: str
    message: str
    attempts: int
    worker: str | None = None
    model: str | None = None
    task_id: str | None = None

    def to_json(self, limit_bytes: int = REASON_LIMIT_BYTES) -> str:
        """As the attribute's value: ASCII, the message shortened until it fits into the limit."""
        text = self.message
        while True:
            shortened = dataclasses.replace(self, message=text)
            fields = {name: value for name, value in dataclasses.asdict(shortened).items() if value is not None}
            value = json.dumps(fields)
            if len(value) <= limit_bytes or not text:
                return value
            # A character is up to 12 bytes of JSON; at least one goes in each round.
            text = text[: min(len(text) - 1, max(0, len(text) - (len(value) - limit_bytes) // 12 - 4))]

    @classmethod
    def from_json(cls, value: str) -> "Reason":
        """Read an attribute's value, of this or another version; unknown fields are dropped."""
        try:
            fields = json.loads(value)
            known = {field.name for field in dataclasses.fields(cls)}
            return cls(**{name: field for name, field in fields.items() if name in known})
        except (TypeError, ValueError, AttributeError):
            return cls(error_type="Unknown", message=value[:200], attempts=0)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in a DLQ; `reason` is None when SQS's own redrive brought it."""

    message_id: str
    body: str
    attributes: dict[str, Any]
    reason: Reason | None
    deliveries: int
    sent_at: float  # seconds since the epoch, of the first send on a standard queue


def explain(message: "Message | str", reason: Reason) -> None:
    """Say why a message is about to be rejected without requeue; takes it or its delivery tag.

    Does nothing for a delivery that is no longer held.
    """
    delivery = find(message)
    if delivery is not None:
        delivery.reason = reason


def bury_parameters(
    delivery: "Delivery", dead_letter_queue: str, dead_letter_limit_bytes: int
) -> dict[str, Any] | None:
    """SendMessage's parameters (without the URL) for a delivery's dead letter.

    None when the message cannot carry one more attribute, or has no room for the shortest reason: then
    SQS's own redrive has to bring it to the DLQ.
    """
    attributes = {name: value for name, value in delivery.attributes.items() if name != REASON_ATTRIBUTE}
    if len(attributes) >= limits.MAX_MESSAGE_ATTRIBUTES:
        return None
    reason = delivery.reason or Reason("Rejected", "rejected without a stated reason", delivery.count)
    fixed_bytes = message_bytes(delivery.body, attributes) + len(REASON_ATTRIBUTE) + len("String")
    room = min(REASON_LIMIT_BYTES, dead_letter_limit_bytes - fixed_bytes)
    value = reason.to_json(room)
    if len(value) > room:
        return None
    attributes[REASON_ATTRIBUTE] = {"DataType": "String", "StringValue": value}
    parameters: dict[str, Any] = {"MessageBody": delivery.body, "MessageAttributes": attributes}
    group = delivery.system_attributes.get("MessageGroupId")
    if group is not None:
        parameters["MessageGroupId"] = group
    if dead_letter_queue.endswith(".fifo"):
        parameters.setdefault("MessageGroupId", "dead-letters")
        # The same delivery buried twice is one dead letter; a later generation of it is another.
        parameters["MessageDeduplicationId"] = f"{delivery.message_id}-{delivery.count}"
    return parameters


def message_bytes(body: str, attributes: dict[str, Any]) -> int:
    """A message's size as SQS counts it: body, and each attribute's name, type and value."""
    size = len(body.encode("utf-8"))
    for name, attribute in attributes.items():
        size += len(name.encode("utf-8")) + len(attribute.get("DataType", "").encode("utf-8"))
        size += len(attribute.get("StringValue", "").encode("utf-8")) + len(attribute.get("BinaryValue", b""))
    return size


def peek(client: "SQSClient", lane: Lane, limit: int = 10) -> list[DeadLetter]:
    """Look at up to `limit` dead letters of a lane, by receiving them and giving them back.

    That costs each of them a delivery, and makes it invisible to others for a moment; SQS offers no other
    way. Which ones are seen, and in which order, is SQS's choice. Blocks; raises botocore's errors.
    """
    url = client.get_queue_url(QueueName=lane.dead_letter_queue.name)["QueueUrl"]
    seen: dict[str, DeadLetter] = {}
    receipts: list[str] = []
    try:
        while len(seen) < limit:
            messages = client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(limits.MAX_BATCH_ENTRIES, limit - len(seen)),
                VisibilityTimeout=PEEK_SECONDS,
                WaitTimeSeconds=0,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            ).get("Messages", [])
            if not messages:
                break
            receipts.extend(message["ReceiptHandle"] for message in messages)
            for message in messages:
                letter = _letter(dict(message))
                seen[letter.message_id] = letter
    finally:
        for start in range(0, len(receipts), limits.MAX_BATCH_ENTRIES):
            client.change_message_visibility_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for index, receipt in enumerate(receipts[start : start + limits.MAX_BATCH_ENTRIES])
                ],
            )
    return list(seen.values())


def _letter(message: dict[str, Any]) -> DeadLetter:
    attributes = dict(message.get("MessageAttributes", {}))
    reason = attributes.pop(REASON_ATTRIBUTE, None)
    system = message.get("Attributes", {})
    return DeadLetter(
        message_id=message["MessageId"],
        body=message["Body"],
        attributes=attributes,
        reason=None if reason is None else Reason.from_json(reason.get("StringValue", "")),
        deliveries=int(system.get("ApproximateReceiveCount", 0)),
        sent_at=int(system.get("SentTimestamp", 0)) / 1000,
    )
