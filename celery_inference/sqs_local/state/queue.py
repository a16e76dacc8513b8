"""One queue: its messages, what state each is in, and what is due. No I/O; every call is told the time."""

from __future__ import annotations

from typing import Final

from celery_inference.sqs_local.state.deduplication import Deduplication
from celery_inference.sqs_local.state.delivery_order import FairOrder, FifoOrder, Order
from celery_inference.sqs_local.state.message import DELAYED, GONE, IN_FLIGHT, READY, StoredMessage
from celery_inference.sqs_local.state.queue_attributes import QueueAttributes
from celery_inference.sqs_local.state.receive_attempts import ReceiveAttempts
from celery_inference.sqs_local.state.timers import RetentionOrder, Timers

MAX_KNOWN_GROUPS: Final = 1_024  # of delayed groups, before those whose delay is over are forgotten


class LocalQueue:
    """The state machine of one queue. `settings` and `tags` are replaced, never changed in place."""

    def __init__(self, name: str, settings: QueueAttributes, created_ms: int) -> None:
        self.name = name
        self.settings = settings
        self.tags: dict[str, str] = {}
        self.created_ms = created_ms
        self.modified_ms = created_ms
        self.purged_ms = 0
        self.messages: dict[str, StoredMessage] = {}
        self.delayed = 0
        self.in_flight = 0
        self.dedup = Deduplication()
        self.attempts = ReceiveAttempts()
        self._order: Order = FifoOrder() if settings.fifo else FairOrder()
        self._timers = Timers()
        self._ages = RetentionOrder()
        self._last_due: dict[str | None, int] = {}

    @property
    def ready(self) -> int:
        return len(self.messages) - self.delayed - self.in_flight

    def dedup_key(self, group: str | None, dedup_id: str) -> tuple[str, str]:
        return ((group or "") if self.settings.dedup_by_group else "", dedup_id)

    def other_dedup_key(self, group: str | None, dedup_id: str) -> tuple[str, str]:
        """By the other DeduplicationScope, which may have been the queue's when the id was sent."""
        return ("" if self.settings.dedup_by_group else (group or ""), dedup_id)

    def add(self, message: StoredMessage) -> None:
        """Takes in a new message in whatever state it is."""
        self.messages[message.id] = message
        self._ages.add(message, len(self.messages))
        state = message.state
        if state == READY:
            self._order.push(message)
            return
        if state == DELAYED:
            self.delayed += 1
            if self.settings.fifo:
                self._last_due[message.group] = max(message.due_ms, self._last_due.get(message.group, 0))
        else:
            self.in_flight += 1
            self._order.hold(message)
        self._timers.add(message, self.delayed + self.in_flight)

    def remove(self, message_id: str) -> StoredMessage | None:
        message = self.messages.pop(message_id, None)
        if message is not None:
            state = message.state
            message.state = GONE
            if state == IN_FLIGHT:
                self.in_flight -= 1
                self._order.release(message)
            elif state == DELAYED:
                self.delayed -= 1
            else:
                self._order.forget()
        return message

    def clear(self) -> None:
        """Drops the messages and forgets what was sent: deduplication ids, too, and delays that others wait for."""
        self.dedup = Deduplication()
        self._last_due = {}
        for message in self.messages.values():
            message.state = GONE
        self.messages = {}
        self.index()

    def index(self) -> None:
        """Derives from `messages` whatever else the queue keeps of them."""
        messages, self.messages = self.messages, {}
        self.delayed = self.in_flight = 0
        self._order = FifoOrder() if self.settings.fifo else FairOrder()
        self._timers = Timers()
        self._ages = RetentionOrder()
        for message in sorted(messages.values(), key=lambda message: message.sequence):
            self.add(message)

    def advance(self, now_ms: int) -> list[str]:
        """Makes ready whose delay or lease has ended; drops what is too old and gives its ids."""
        while (message := self._timers.pop_due(now_ms)) is not None:
            self._make_ready(message)
        expired = []
        while (message := self._ages.pop_sent_before(now_ms - self.settings.retention_ms + 1)) is not None:
            self.remove(message.id)
            expired.append(message.id)
        return expired

    def next_due_ms(self) -> int | None:
        return self._timers.next_ms()

    def take(self) -> StoredMessage | None:
        """The next ready message, still counted as ready: `lease` or `remove_taken` it, then `end_call`."""
        return self._order.pop()

    def end_call(self) -> None:
        self._order.end_call()

    def remove_taken(self, message: StoredMessage) -> None:
        del self.messages[message.id]
        message.state = GONE

    def lease(self, message: StoredMessage, now_ms: int, visibility_ms: int) -> None:
        """Counts a delivery of a taken message; with `visibility_ms` 0 it stays ready."""
        message.receive_count += 1
        message.received_ms = now_ms
        if not message.first_received_ms:
            message.first_received_ms = now_ms
        if visibility_ms <= 0:
            self._order.push(message)
            return
        message.state = IN_FLIGHT
        message.due_ms = now_ms + visibility_ms
        self.in_flight += 1
        self._order.hold(message)
        self._timers.add(message, self.delayed + self.in_flight)

    def set_lease_end(self, message: StoredMessage, due_ms: int, now_ms: int) -> None:
        """Changes the lease of a message in flight; one that ends now makes it ready."""
        message.due_ms = due_ms
        if due_ms <= now_ms:
            self._make_ready(message)
        else:
            self._timers.add(message, self.delayed + self.in_flight)

    def untake(self, message: StoredMessage) -> None:
        """A taken message goes back, as if it had not been looked at."""
        self._order.push(message)

    def due_of_new(self, message: StoredMessage, delay_ms: int, now_ms: int) -> int:
        """When a new message becomes ready. In a FIFO group, not before those that were sent earlier."""
        due_ms = now_ms + delay_ms if delay_ms else 0
        if not self.settings.fifo:
            return due_ms
        last = self._last_due.get(message.group, 0)
        due_ms = max(due_ms, last if last > now_ms else 0)
        if due_ms:
            if len(self._last_due) > MAX_KNOWN_GROUPS:
                self._last_due = {group: due for group, due in self._last_due.items() if due > now_ms}
            self._last_due[message.group] = due_ms
        return due_ms

    def _make_ready(self, message: StoredMessage) -> None:
        if message.state == IN_FLIGHT:
            self.in_flight -= 1
            self._order.release(message)
        else:
            self.delayed -= 1
        message.state = READY
        self._order.push(message)
