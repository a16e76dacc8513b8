"""All queues of one server: what the operations do to them, and what the journal must know of it.

The store does no I/O, reads no clock and makes no ids: callers hand them in. What changed is collected in `events`;
`celery_inference.sqs_local.journal.replay` applies the same events to an empty store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from celery_inference.sqs_local import limits
from celery_inference.sqs_local.http.errors import (
    invalid,
    invalid_value,
    no_such_queue,
    not_in_flight,
    over_limit,
    queue_exists,
)
from celery_inference.sqs_local.state import receipt_handles
from celery_inference.sqs_local.state.deduplication import Sent
from celery_inference.sqs_local.state.message import DELAYED, IN_FLIGHT, READY, StoredMessage
from celery_inference.sqs_local.state.queue import LocalQueue
from celery_inference.sqs_local.state.queue_attributes import QueueAttributes, RedrivePolicy

Event = list[Any]
MAX_MOVES_A_CALL: Final = 200  # to the dead-letter queue, of 360 bytes each; the rest is for the next receive
MAX_NAMED: Final = 1_000  # messages that expired together, of 40 bytes each; more of them are noted by their time


class QueueStore:
    """Queues by name. Not thread-safe: one thread at a time."""

    def __init__(self, new_id: Callable[[], str], *, region: str = "us-east-1", account: str = "000000000000") -> None:
        self.queues: dict[str, LocalQueue] = {}
        self.events: list[Event] = []
        # Names of the queues in which something may have become ready, or due at another time.
        self.touched: set[str] = set()
        self.next_sequence = 1
        self.segment = 0  # the part of the journal that the next events go to
        self.dead_lettered = 0  # messages so far, whose copies stayed where they are in the journal
        self._new_id = new_id
        self.account = account
        self._arn_prefix = f"arn:aws:sqs:{region}:{account}:"

    def arn(self, name: str) -> str:
        return self._arn_prefix + name

    def queue(self, name: str, now_ms: int) -> LocalQueue:
        """The queue as it is at `now_ms`, to be worked on. Raises SqsError where there is none."""
        queue = self.peek(name, now_ms)
        self.touched.add(name)
        return queue

    def peek(self, name: str, now_ms: int) -> LocalQueue:
        """The same, without noting that it may change."""
        queue = self.queues.get(name)
        if queue is None:
            raise no_such_queue()
        self.advance(queue, now_ms)
        return queue

    def advance(self, queue: LocalQueue, now_ms: int) -> None:
        expired = queue.advance(now_ms)
        if len(expired) > MAX_NAMED:
            self.events.append(["expired", queue.name, now_ms - queue.settings.retention_ms + 1])
        elif expired:
            self.events.append(["del", queue.name, expired])

    def create_queue(
        self, name: str, given: Mapping[str, str], tags: Mapping[str, str], *, fifo: bool, now_ms: int
    ) -> LocalQueue:
        settings = QueueAttributes.create(given, fifo=fifo)
        existing = self.queues.get(name)
        if existing is not None:
            different = existing.settings.difference(given)
            if different is not None:
                raise queue_exists(different)
            return existing
        self._check_redrive(name, settings)
        queue = LocalQueue(name, settings, now_ms)
        queue.tags = dict(tags)
        self.queues[name] = queue
        self.record_queue(queue)
        return queue

    def set_attributes(self, queue: LocalQueue, given: Mapping[str, str], now_ms: int) -> None:
        settings = queue.settings.changed(given)
        if "RedrivePolicy" in given:
            self._check_redrive(queue.name, settings)
        queue.settings = settings
        queue.modified_ms = now_ms
        self.record_queue(queue)

    def set_tags(self, queue: LocalQueue, tags: dict[str, str]) -> None:
        queue.tags = tags
        self.record_queue(queue)

    def record_queue(self, queue: LocalQueue) -> None:
        times = [queue.created_ms, queue.modified_ms, queue.purged_ms]
        self.events.append(["queue", queue.name, dict(queue.settings.shown), queue.tags, times])

    def record_message(self, queue: LocalQueue, message: StoredMessage) -> None:
        """A full copy, after which the journal's older segments need not speak of the message."""
        message.segment = self.segment
        self.events.append(["msg", queue.name, message.row()])

    def record_deduplication(self, queue: LocalQueue, key: tuple[str, str], segment: int) -> None:
        """Copies a deduplication id that the journal has in `segment` or before, if it is still remembered."""
        sent = queue.dedup.moved(key, segment, self.segment)
        if sent is not None:
            self.events.append(["dedup", queue.name, *key, sent.message_id, sent.sequence, sent.sent_ms])

    def _check_redrive(self, name: str, settings: QueueAttributes) -> None:
        redrive = settings.redrive
        if redrive is None:
            return
        value = settings.shown["RedrivePolicy"]
        target = self.queues.get(redrive.target)
        # Of another region, account or service there is nothing here, whatever its name.
        if target is None or redrive.target_arn != self.arn(redrive.target):
            raise invalid_value(value, "RedrivePolicy", "Dead letter target does not exist.")
        if target.settings.fifo != settings.fifo:
            reason = "Dead-letter queue must be same type of queue as the source."
            raise invalid_value(value, "RedrivePolicy", reason)
        if not target.settings.allows_source(self.arn(name)):
            reason = "The dead-letter queue's RedriveAllowPolicy does not allow this source queue."
            raise invalid_value(value, "RedrivePolicy", reason)

    def delete_queue(self, name: str) -> None:
        queue = self.queues.pop(name, None)
        if queue is None:
            raise no_such_queue()
        queue.clear()
        self.touched.add(name)
        self.events.append(["gone", name])

    def sources_of(self, name: str) -> list[str]:
        """Names of the queues whose dead letters go to `name`."""
        return [q.name for q in self.queues.values() if q.settings.redrive and q.settings.redrive.target == name]

    def send(
        self, queue: LocalQueue, message: StoredMessage, now_ms: int, delay_ms: int | None = None
    ) -> tuple[str, int]:
        """The id and sequence that the message now has; `delay_ms` None takes the queue's.

        In a FIFO queue a repeated deduplication id gives those of the first, and `message` is not sent.
        """
        fifo = queue.settings.fifo
        key = None
        if fifo and message.dedup_id is not None:
            key = queue.dedup_key(message.group, message.dedup_id)
            other_key = queue.other_dedup_key(message.group, message.dedup_id)
            sent = queue.dedup.find(key, now_ms) or queue.dedup.find(other_key, now_ms)
            if sent is not None:
                return sent.message_id, sent.sequence
        message.id = self._new_id()
        message.sequence = self.next_sequence
        message.sent_ms = now_ms
        self.next_sequence += 1
        if delay_ms is None:
            delay_ms = queue.settings.delay_ms
        if delay_ms or fifo:
            message.due_ms = queue.due_of_new(message, delay_ms, now_ms)
            message.state = DELAYED if message.due_ms else READY
        queue.add(message)
        if key is not None:
            queue.dedup.add(key, Sent(message.id, message.sequence, now_ms, self.segment))
            self.events.append(["sent", queue.name, *key, message.row()])
            message.segment = self.segment
        else:
            self.record_message(queue, message)
        return message.id, message.sequence

    def receive(
        self, queue: LocalQueue, count: int, visibility_ms: int, now_ms: int, attempt: str | None = None
    ) -> list[StoredMessage]:
        """Up to `count` messages, leased; those received too often go to the dead-letter queue instead.

        The same `attempt` again gives the same deliveries again, their leases begun anew. Raises SqsError (OverLimit)
        where a standard queue has too many messages in flight.
        """
        if attempt is not None:
            again = queue.attempts.repeat(attempt, queue.messages, now_ms)
            for repeated in again:
                self._set_lease(queue, repeated, now_ms + visibility_ms, now_ms)
            if again:
                queue.attempts.add(attempt, again, now_ms)
                return again
        fifo = queue.settings.fifo
        most = limits.MAX_IN_FLIGHT_FIFO if fifo else limits.MAX_IN_FLIGHT_STANDARD
        if queue.in_flight >= most:
            if fifo:
                return []
            raise over_limit(f"The maximum number of in flight messages is reached: {most}.")
        redrive = queue.settings.redrive
        dead_letters = self.queues.get(redrive.target) if redrive else None
        taken: list[StoredMessage] = []
        moved = 0
        while len(taken) < count and (message := queue.take()) is not None:
            if dead_letters is not None and redrive is not None and _spent(message, redrive):
                self._move(queue, dead_letters, message, now_ms)
                moved += 1
                if moved == MAX_MOVES_A_CALL:
                    self.touched.add(queue.name)
                    break
            else:
                taken.append(message)
        for message in taken:
            queue.lease(message, now_ms, visibility_ms)
        queue.end_call()
        if taken:
            due_ms = now_ms + visibility_ms if visibility_ms > 0 else 0
            self.events.append(["recv", queue.name, now_ms, due_ms, [message.id for message in taken]])
            if attempt is not None:
                queue.attempts.add(attempt, taken, now_ms)
        return taken

    def give_back(self, name: str, deliveries: Iterable[tuple[str, int]], now_ms: int) -> None:
        """Undoes deliveries (message id, receive count) whose answer reached nobody."""
        queue = self.queues.get(name)
        if queue is None:
            return
        self.touched.add(name)
        for message_id, delivery in deliveries:
            message = queue.messages.get(message_id)
            if message is None or message.receive_count != delivery:
                continue
            message.receive_count -= 1
            if not message.receive_count:
                message.first_received_ms = 0
            if message.state == IN_FLIGHT:
                queue.set_lease_end(message, now_ms, now_ms)
            counts = [message.receive_count, message.first_received_ms]
            self.events.append(["undo", queue.name, message_id, *counts])

    def _move(self, source: LocalQueue, target: LocalQueue, message: StoredMessage, now_ms: int) -> None:
        source.remove_taken(message)
        moved = StoredMessage.from_row(message.row())
        moved.segment = message.segment
        moved.become_dead_letter(self.arn(source.name), now_ms if source.settings.fifo else None)
        target.add(moved)
        self.dead_lettered += 1
        self.touched.add(target.name)
        event = ["moved", source.name, target.name, message.id, moved.source_arn]
        self.events.append([*event, now_ms] if source.settings.fifo else event)

    def renew(self, source: LocalQueue, target: LocalQueue, message: StoredMessage, now_ms: int) -> None:
        """Moves a taken message as if it were sent again: with a new id and enqueue time, never received."""
        source.remove_taken(message)
        renewed = StoredMessage(self._new_id(), self.next_sequence, now_ms, message.body, message.body_md5)
        self.next_sequence += 1
        renewed.attributes = message.attributes
        renewed.attributes_md5 = message.attributes_md5
        renewed.trace_header = message.trace_header
        renewed.group = message.group
        renewed.dedup_id = message.dedup_id
        target.add(renewed)
        self.touched.add(target.name)
        self.events.append(["del", source.name, [message.id]])
        self.record_message(target, renewed)

    def delete(self, queue: LocalQueue, receipt_handle: str) -> None:
        """Of an older delivery than the last: succeeds and deletes nothing (API_DeleteMessage)."""
        message_id, delivery = receipt_handles.decode(receipt_handle, queue.name)
        message = queue.messages.get(message_id)
        if message is None:
            return
        current = message.receive_count == delivery
        if queue.settings.fifo and not (current and message.state == IN_FLIGHT):
            raise invalid_value(receipt_handle, "ReceiptHandle", "The receipt handle has expired.")
        if current:
            queue.remove(message_id)
            events = self.events
            if events and events[-1][0] == "del" and events[-1][1] == queue.name:
                events[-1][2].append(message_id)
            else:
                events.append(["del", queue.name, [message_id]])

    def change_visibility(self, queue: LocalQueue, receipt_handle: str, seconds: int, now_ms: int) -> None:
        message_id, delivery = receipt_handles.decode(receipt_handle, queue.name)
        message = queue.messages.get(message_id)
        if message is None or message.receive_count != delivery:
            reason = "Message does not exist or is not available for visibility timeout change."
            raise invalid_value(receipt_handle, "ReceiptHandle", reason)
        if message.state != IN_FLIGHT:
            raise not_in_flight()
        due_ms = now_ms + seconds * 1000
        if due_ms - message.received_ms > limits.MAX_VISIBILITY_SECONDS * 1000:
            most = limits.MAX_VISIBILITY_SECONDS
            raise invalid(f"Total VisibilityTimeout for the message is beyond the limit [{most} seconds]")
        self._set_lease(queue, message, due_ms, now_ms)

    def _set_lease(self, queue: LocalQueue, message: StoredMessage, due_ms: int, now_ms: int) -> None:
        queue.set_lease_end(message, due_ms, now_ms)
        self.events.append(["lease", queue.name, message.id, due_ms])

    def purge(self, queue: LocalQueue, now_ms: int) -> None:
        queue.clear()
        queue.purged_ms = now_ms
        self.events.append(["purge", queue.name, now_ms])

    def take_events(self) -> Sequence[Event]:
        events, self.events = self.events, []
        return events


def _spent(message: StoredMessage, redrive: RedrivePolicy) -> bool:
    return message.receive_count - message.counted_from >= redrive.max_receives
