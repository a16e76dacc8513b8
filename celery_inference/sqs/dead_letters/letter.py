"""Dead letters: messages that failed for good, kept byte for byte in their lane's DLQ, with the reason.

The reason is one message attribute, `celery-inference.reason`, a JSON object with the fields of `Reason`. One and
not ten, because SQS takes ten in all and applications may use theirs, which stay as they were.

The same attribute carries a request's generation when its letter is sent back to a lane: there it holds a `Mark`, or
the reason itself where SQS moved the letter, which then began the generation after that of its failure.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celery_inference.sqs import limits
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Mark, Reason, mark_of, reason_of

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient
_UNMARKED = Mark(0)
PEEK_SECONDS = 5  # how long a message that is looked at stays invisible if it cannot be given back


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
    mark: Mark = _UNMARKED  # of a letter without a reason
    group: str | None = None  # the message group that SQS says it has
    raw: dict[str, Any] | None = None


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
                letter = dead_letter_in(dict(message))
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


def dead_letter_sent(body: str, attributes: dict[str, Any], message_id: str = "") -> DeadLetter:
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


def dead_letter_in(message: dict[str, Any]) -> DeadLetter:
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
