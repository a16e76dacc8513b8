"""Deliveries held by this process: one receive of one message, from its receive to its settlement."""

import itertools
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from kombu.message import Message

    from sqs.claim_check import Claim
    from sqs.dead_letters import Reason

_numbers = itertools.count(1)


@dataclass(slots=True, eq=False)
class Delivery:
    """What is needed to renew, release, delete or bury one received message. Times are monotonic seconds."""

    queue: str
    queue_url: str
    message_id: str
    receipt: str
    body: str
    attributes: dict[str, Any]
    system_attributes: dict[str, str]
    lease_ends: float
    received_at: float = field(default_factory=time.monotonic)
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


class _Held:
    """The deliveries of all channels of this process, by tag."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._by_tag: dict[str, Delivery] = {}

    def add(self, delivery: Delivery) -> None:
        with self._lock:
            self._by_tag[delivery.tag] = delivery

    def remove(self, delivery: Delivery) -> None:
        with self._lock:
            self._by_tag.pop(delivery.tag, None)

    def oldest_sent(self) -> dict[str, float]:
        """When the oldest message held of each queue was sent, in seconds since the epoch."""
        oldest: dict[str, float] = {}
        with self._lock:
            for delivery in self._by_tag.values():
                if sent_at := delivery.sent_at:
                    oldest[delivery.queue] = min(sent_at, oldest.get(delivery.queue, sent_at))
        return oldest

    def get(self, tag: str) -> Delivery | None:
        with self._lock:
            return self._by_tag.get(tag)


HELD = _Held()


os.register_at_fork(after_in_child=HELD.reset)  # what the parent holds is not the child's


def find(message: "Message | str") -> Delivery | None:
    """The delivery of a kombu message, or of a delivery tag; None when it is not held any more.

    Inside a task the tag is `self.request.properties["delivery_tag"]`.
    """
    tag = message if isinstance(message, str) else message.delivery_tag
    return HELD.get(str(tag))


def call_when_lost(message: "Message | str", callback: "Callable[[Delivery], None]") -> None:
    """Call back when this delivery's lease is lost, in the thread that renews leases, or when it is wanted back; at
    once if it is already.

    The callback must not block. Does nothing for a delivery that is no longer held.
    """
    delivery = find(message)
    if delivery is None:
        return
    delivery.on_lost.append(callback)
    if delivery.lost or delivery.wanted_back:
        callback(delivery)


def want_back(delivery: Delivery) -> None:
    """Ask whoever works on this delivery for it, as far as nothing has begun: there is no time left for it here."""
    delivery.wanted_back = True
    for callback in list(delivery.on_lost):
        callback(delivery)
