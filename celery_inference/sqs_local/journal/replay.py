"""Brings a store back from its journal: each event changes messages as the store had, then the queues are indexed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from celery_inference.sqs_local.journal.journal import AFTER
from celery_inference.sqs_local.state.deduplication import Deduplication, Sent
from celery_inference.sqs_local.state.message import IN_FLIGHT, READY, MessageRow, StoredMessage
from celery_inference.sqs_local.state.move_tasks import MoveTasks
from celery_inference.sqs_local.state.queue import LocalQueue
from celery_inference.sqs_local.state.queue_attributes import QueueAttributes
from celery_inference.sqs_local.state.store import Event, QueueStore


def apply(store: QueueStore, moves: MoveTasks, event: Event, segment: int, now_ms: int) -> None:
    """One event of the journal's `segment`; after the last one comes `finish`.

    Events about queues or messages that are gone are skipped: segments are dropped oldest first.
    """
    kind = event[0]
    if kind == "queue":
        _queue(store, event)
    elif kind == "gone":
        store.queues.pop(event[1], None)
    elif kind == "task":
        moves.restore(event[1], now_ms)
    elif kind == "next":
        store.next_sequence = max(store.next_sequence, event[1])
    elif kind == "msg":
        _message(store, event[1], event[2], segment)
    elif kind == "sent":
        _sent(store, event, segment)
    elif kind == "dedup":
        _dedup(store, event, segment)
    elif kind != AFTER:
        queue = store.queues.get(event[1])
        if queue is not None:
            _OF_QUEUE[kind](store, queue, event[2:])


def finish(store: QueueStore, now_ms: int) -> None:
    """Indexes the queues. Leases and delays that began in what is now the future keep their length, from now on."""
    for queue in store.queues.values():
        for message in queue.messages.values():
            ahead_ms = (message.received_ms if message.state == IN_FLIGHT else message.sent_ms) - now_ms
            if ahead_ms > 0 and message.due_ms:
                message.due_ms -= ahead_ms
                message.received_ms = min(message.received_ms, now_ms)
        queue.purged_ms = min(queue.purged_ms, now_ms)
        queue.dedup.set_back(now_ms)
        queue.dedup.drop_old(now_ms)
        queue.index()


def _queue(store: QueueStore, event: Event) -> None:
    _, name, shown, tags, times = event
    queue = store.queues.get(name)
    if queue is None:
        queue = store.queues[name] = LocalQueue(name, QueueAttributes.restore(shown), times[0])
    queue.settings = QueueAttributes.restore(shown)
    queue.tags = tags
    queue.created_ms, queue.modified_ms, queue.purged_ms = times


def _message(store: QueueStore, name: str, row: MessageRow, segment: int) -> None:
    queue = store.queues.get(name)
    if queue is not None:
        _take(store, queue, row, segment)


def _take(store: QueueStore, queue: LocalQueue, row: MessageRow, segment: int) -> StoredMessage:
    message = StoredMessage.from_row(row)
    message.segment = segment
    store.next_sequence = max(store.next_sequence, message.sequence + 1)
    queue.messages[message.id] = message
    return message


def _sent(store: QueueStore, event: Event, segment: int) -> None:
    """A message that was sent under a deduplication id."""
    _, name, group, dedup_id, row = event
    queue = store.queues.get(name)
    if queue is not None:
        message = _take(store, queue, row, segment)
        queue.dedup.add((group, dedup_id), Sent(message.id, message.sequence, message.sent_ms, segment))


def _dedup(store: QueueStore, event: Event, segment: int) -> None:
    _, name, group, dedup_id, message_id, sequence, sent_ms = event
    queue = store.queues.get(name)
    if queue is not None:
        queue.dedup.add((group, dedup_id), Sent(message_id, sequence, sent_ms, segment))


def _received(store: QueueStore, queue: LocalQueue, rest: list[Any]) -> None:
    now_ms, due_ms, ids = rest
    for message in _known(queue, ids):
        message.receive_count += 1
        message.received_ms = now_ms
        message.first_received_ms = message.first_received_ms or now_ms
        message.due_ms = due_ms
        message.state = IN_FLIGHT if due_ms else READY


def _leased(store: QueueStore, queue: LocalQueue, rest: list[Any]) -> None:
    message_id, due_ms = rest
    for message in _known(queue, [message_id]):
        message.due_ms = due_ms
        message.state = IN_FLIGHT


def _undone(store: QueueStore, queue: LocalQueue, rest: list[Any]) -> None:
    message_id, count, first_received_ms = rest
    for message in _known(queue, [message_id]):
        message.state = READY
        message.receive_count = count
        message.first_received_ms = first_received_ms


def _moved(store: QueueStore, queue: LocalQueue, rest: list[Any]) -> None:
    target_name, message_id, source_arn, *when = rest
    message = queue.messages.pop(message_id, None)
    target = store.queues.get(target_name)
    if message is not None and target is not None:
        # Without a time in standard queues, and in FIFO queues of older journals: it keeps what it came with.
        message.become_dead_letter(source_arn, when[0] if when else None)
        target.messages[message_id] = message


def _deleted(store: QueueStore, queue: LocalQueue, rest: list[Any]) -> None:
    for message_id in rest[0]:
        queue.messages.pop(message_id, None)


def _expired(store: QueueStore, queue: LocalQueue, rest: list[Any]) -> None:
    queue.messages = {id_: message for id_, message in queue.messages.items() if message.sent_ms >= rest[0]}


def _purged(store: QueueStore, queue: LocalQueue, rest: list[Any]) -> None:
    queue.messages.clear()
    queue.dedup = Deduplication()
    queue.purged_ms = rest[0]


def _known(queue: LocalQueue, ids: list[str]) -> list[StoredMessage]:
    return [queue.messages[id_] for id_ in ids if id_ in queue.messages]


_OF_QUEUE: Final[Mapping[str, Callable[[QueueStore, LocalQueue, list[Any]], None]]] = {
    "recv": _received,
    "lease": _leased,
    "undo": _undone,
    "moved": _moved,
    "del": _deleted,
    "purge": _purged,
    "expired": _expired,
}
