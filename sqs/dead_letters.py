"""Dead letters: messages that failed for good, kept byte for byte in their lane's DLQ, with the reason.

The reason is one message attribute, `celery-inference.reason`, a JSON object with the fields of `Reason`. One and
not ten, because SQS takes ten in all and applications may use theirs, which stay as they were.

The same attribute carries a request's generation when its letter is sent back to a lane: there it holds a `Mark`, or
the reason itself where SQS moved the letter, which then began the generation after that of its failure.
"""

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqs import limits
from sqs.deliveries import find
from sqs.lanes import Lane

if TYPE_CHECKING:
    from kombu.message import Message
    from types_boto3_sqs.client import SQSClient


REASON_ATTRIBUTE = "celery-inference.reason"
REASON_ROOM_BYTES = 4_096  # of a dead-letter queue's limit, kept free beside what senders may put into a message
REASON_LIMIT_BYTES = 3_072  # of the JSON; with name and type well inside that room
_FAR = 2**40  # beyond any honest count or time
PEEK_SECONDS = 5  # how long a message that is looked at stays invisible if it cannot be given back


class Cause(StrEnum):
    """The class of a reason: what people group dead letters by."""

    INVALID_INPUT = "invalid-input"  # the caller's fault
    CRASH = "crash"  # its input, run alone, ends the device process
    ATTEMPTS_USED_UP = "attempts-used-up"
    UNREADABLE = "unreadable"
    UNKNOWN_TASK = "unknown-task"
    REJECTED = "rejected"  # by a task's own code, or without a stated reason
    LOST = "lost"  # every host that had it died without a word; SQS's own redrive brought it


# For reasons that state no cause.
_CAUSES = {
    "UndecodableMessage": Cause.UNREADABLE,
    "UnknownTask": Cause.UNKNOWN_TASK,
    "NotATask": Cause.UNKNOWN_TASK,
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message is a dead letter. What is known only when it is buried is filled in then.

    `message` is the error's first line, `message_id` SQS's id of the message that failed (its dead letter has
    another), `failed_at` in seconds since the epoch, `group` the message group on a FIFO lane.
    """

    error_type: str
    message: str
    attempts: int
    worker: str | None = None
    model: str | None = None
    task_id: str | None = None
    cause: Cause | None = None
    revision: str | None = None
    lane: str | None = None
    generation: int = 0
    failed_at: float | None = None
    message_id: str | None = None
    group: str | None = None

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
            given = {name: field for name, field in fields.items() if _fits(name, field)}
            if "cause" in given:
                given["cause"] = Cause(given["cause"])
            return cls(**given)
        except (TypeError, ValueError, AttributeError, RecursionError):
            return cls(error_type="Unknown", message=value[:200], attempts=0)

    @property
    def stated_cause(self) -> Cause:
        """The cause, or what the error's type says of it."""
        return self.cause or _CAUSES.get(self.error_type, Cause.REJECTED)


_NUMBERS = ("attempts", "generation", "failed_at")
_TEXTS = tuple(field.name for field in dataclasses.fields(Reason) if field.name not in _NUMBERS)


def _fits(name: str, value: Any) -> bool:
    """Whether a field of an attribute, which anybody may have written, can be the reason's."""
    if name == "cause":
        return value in list(Cause)
    if name in _NUMBERS:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _FAR
    return name in _TEXTS and isinstance(value, str)


@dataclass(frozen=True, slots=True)
class Mark:
    """What the attribute says of a message on its way back to a lane: its generation, how often it was brought back
    because it had attempts to spare, and when its first copy was sent, in seconds since the epoch, 0 for this one."""

    generation: int
    returns: int = 0
    first_sent_at: float = 0.0

    def attribute(self) -> dict[str, str]:
        """As a message attribute."""
        fields: dict[str, float] = {"generation": self.generation}
        if self.returns:
            fields["returns"] = self.returns
        if self.first_sent_at:
            fields["first_sent_at"] = round(self.first_sent_at, 3)
        return {"DataType": "String", "StringValue": json.dumps(fields, separators=(",", ":"))}


def mark_of(attributes: dict[str, Any]) -> Mark:
    """The mark of a message on a lane; generation 0 for one that was never a dead letter, or whose mark is foreign."""
    value = attributes.get(REASON_ATTRIBUTE, {}).get("StringValue")
    try:
        fields = json.loads(value) if value else {}
        generation, returns = int(fields.get("generation", 0)), int(fields.get("returns", 0))
        first_sent_at = float(fields.get("first_sent_at", 0.0))
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return Mark(0)
    if not (0 <= generation < _FAR and 0 <= returns < _FAR and 0 <= first_sent_at < math.inf):
        return Mark(0)
    # StartMessageMoveTask moves a letter as it is.
    if "error_type" in fields:
        return Mark(generation + 1, returns)
    return Mark(generation, returns, first_sent_at)


def reason_of(attributes: dict[str, Any]) -> Reason | None:
    """The reason of a message in a DLQ; None when SQS's own redrive brought it, marked or not."""
    attribute = attributes.get(REASON_ATTRIBUTE)
    if attribute is None:
        return None
    value = attribute.get("StringValue") or ""
    try:
        fields = json.loads(value)
        if isinstance(fields, dict) and "generation" in fields and "error_type" not in fields:
            return None
    except (ValueError, RecursionError):
        pass
    return Reason.from_json(value)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in a DLQ; `reason` is None when SQS's own redrive brought it.

    `attributes` are the message's own, without the one that holds the reason or mark, which is `raw`.
    """

    message_id: str
    body: str
    attributes: dict[str, Any]
    reason: Reason | None
    deliveries: int
    sent_at: float  # seconds since the epoch, of the first send on a standard queue
    mark: Mark = Mark(0)  # of a letter without a reason
    group: str | None = None  # the message group that SQS says it has
    raw: dict[str, Any] | None = None


def explain(message: "Message | str", reason: Reason) -> None:
    """Say why a message is about to be rejected without requeue; takes it or its delivery tag.

    Does nothing for a delivery that is no longer held.
    """
    delivery = find(message)
    if delivery is not None:
        delivery.reason = reason


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
                letter = letter_in(dict(message))
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


def letter_sent(body: str, attributes: dict[str, Any], message_id: str = "") -> DeadLetter:
    """The letter that a message sent now to a DLQ is."""
    return DeadLetter(
        message_id=message_id,
        body=body,
        attributes={name: value for name, value in attributes.items() if name != REASON_ATTRIBUTE},
        reason=reason_of(attributes),
        deliveries=0,
        sent_at=time.time(),
        mark=mark_of(attributes),
        raw=attributes.get(REASON_ATTRIBUTE),
    )


def letter_in(message: dict[str, Any]) -> DeadLetter:
    """The letter in one entry of ReceiveMessage's answer."""
    attributes = dict(message.get("MessageAttributes", {}))
    system = message.get("Attributes", {})
    return DeadLetter(
        message_id=message["MessageId"],
        body=message["Body"],
        attributes={name: value for name, value in attributes.items() if name != REASON_ATTRIBUTE},
        reason=reason_of(attributes),
        deliveries=int(system.get("ApproximateReceiveCount", 0)),
        sent_at=int(system.get("SentTimestamp", 0)) / 1000,
        mark=mark_of(attributes),
        group=system.get("MessageGroupId"),
        raw=attributes.get(REASON_ATTRIBUTE),
    )
