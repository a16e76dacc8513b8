"""Dead letters: messages that failed for good, kept byte for byte in their lane's DLQ, with the reason.

The reason is one message attribute, `celery-inference.reason`, a JSON object with the fields of `Reason`. One and
not ten, because SQS takes ten in all and applications may use theirs, which stay as they were.

The same attribute carries a request's generation when its letter is sent back to a lane: there it holds a `Mark`, or
the reason itself where SQS moved the letter, which then began the generation after that of its failure.
"""

import time
from dataclasses import dataclass
from typing import Any

from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Mark, Reason, mark_of, reason_of

_UNMARKED = Mark(0)


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


def dead_letter_sent(body: str, attributes: dict[str, Any], message_id: str = "") -> DeadLetter:
    """The letter that a message sent now to a DLQ is."""
    return _letter(attributes, message_id=message_id, body=body, deliveries=0, sent_at=time.time())


def dead_letter_in(message: dict[str, Any]) -> DeadLetter:
    """The letter in one entry of ReceiveMessage's answer."""
    system = message.get("Attributes", {})
    return _letter(
        message.get("MessageAttributes", {}),
        message_id=message["MessageId"],
        body=message["Body"],
        deliveries=int(system.get("ApproximateReceiveCount", 0)),
        sent_at=int(system.get("SentTimestamp", 0)) / 1000,
        group=system.get("MessageGroupId"),
    )


def _letter(attributes: dict[str, Any], **fields: Any) -> DeadLetter:
    return DeadLetter(
        attributes={name: value for name, value in attributes.items() if name != REASON_ATTRIBUTE},
        reason=reason_of(attributes),
        mark=mark_of(attributes),
        raw=attributes.get(REASON_ATTRIBUTE),
        **fields,
    )
