"""One receive of one message."""

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from celery_inference.sqs.messages.reason import Reason, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery_inference.sqs.messages.claim import Claim


_numbers = itertools.count(1)


@dataclass(slots=True, eq=False)
class Delivery:
    """What is needed to renew, release, delete or dead-letter one received message. Times are monotonic seconds."""

    queue: str
    queue_url: str
    message_id: str
    receipt: str
    body: str
    attributes: dict[str, Any]
    system_attributes: dict[str, str]
    lease_ends: float
    tag: str = ""
    release_after_seconds: int | None = None
    reason: "Reason | None" = None
    lost: bool = False
    wanted_back: bool = False
    done: bool = False  # SQS may forget the message: it was deleted, or is to be by who received it
    claim: "Claim | None" = None  # whose payload is held here
    on_lost: "list[Callable[[Delivery], None]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        # Not the receipt (hundreds of characters), and not the message id alone: a message can be
        # delivered again while an older delivery of it is still held.
        self.tag = self.tag or f"{self.message_id}.{next(_numbers)}"

    @property
    def count(self) -> int:
        """How often SQS says that it has delivered this message, this time included; at least 1."""
        try:
            return max(1, int(self.system_attributes.get("ApproximateReceiveCount", "1")))
        except ValueError:
            return 1

    @property
    def tries(self) -> int:
        """Its deliveries over all copies that took its place; what backoff grows with."""
        return mark_of(self.attributes).deliveries + self.count

    @property
    def sent_at(self) -> float:
        """When SQS took the message, in seconds since the epoch; 0 if it does not say."""
        return int(self.system_attributes.get("SentTimestamp", "0") or 0) / 1000

    def holds(self) -> bool:
        """Whether the lease still holds, by our own clock; SQS would accept an outdated receipt."""
        return not self.lost and time.monotonic() < self.lease_ends


def from_answer(message: dict[str, Any], queue: str, url: str, lease_ends: float) -> Delivery:
    """The delivery in one entry of ReceiveMessage's answer."""
    return Delivery(
        queue=queue,
        queue_url=url,
        message_id=message.get("MessageId", ""),
        receipt=message.get("ReceiptHandle", ""),
        body=message.get("Body", ""),
        attributes=message.get("MessageAttributes", {}),
        system_attributes=message.get("Attributes", {}),
        lease_ends=lease_ends,
    )
