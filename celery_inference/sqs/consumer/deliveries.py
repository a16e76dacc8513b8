"""Deliveries held by this process: one receive of one message, from its receive to its settlement."""

import os
import threading
from typing import TYPE_CHECKING

from celery_inference.sqs import limits
from celery_inference.sqs.messages.delivery import Delivery
from celery_inference.sqs.messages.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from kombu.message import Message


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


def release_after(message: "Message | str", seconds: float) -> None:
    """Say when a message that is about to be rejected with requeue shall be visible again.

    Takes the kombu message or its delivery tag. Without this call `release_delay` decides. Does nothing
    for a delivery that is no longer held.
    """
    delivery = find(message)
    if delivery is not None:
        delivery.release_after_seconds = min(max(0, round(seconds)), limits.MAX_VISIBILITY_SECONDS)


def explain(message: "Message | str", reason: Reason) -> None:
    """Say why a message is about to be rejected without requeue; takes it or its delivery tag.

    Does nothing for a delivery that is no longer held.
    """
    delivery = find(message)
    if delivery is not None:
        delivery.reason = reason
