"""Brings a store back from its journal: each event changes messages as the store had, then the queues are indexed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqs.local.attributes import Settings
from sqs.local.dedup import Sent
from sqs.local.message import IN_FLIGHT, READY, Message
from sqs.local.moves import Moves
from sqs.local.queue import Queue
from sqs.local.store import Event, Store


def apply(store: Store, moves: Moves, event: Event, segment: int, now_ms: int) -> None:
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
        _message(store, event, segment)
    elif kind == "dedup":
        _dedup(store, event, segment)
    else:
        queue = store.queues.get(event[1])
        if queue is not None:
            _OF_QUEUE[kind](store, queue, event[2:])


def finish(store: Store, now_ms: int) -> None:
    """Indexes the queues. Leases and delays that began in what is now the future keep their length."""
    for queue in store.queues.values():
        for message in queue.messages.values():
            ahead_ms = (message.received_ms if message.state == IN_FLIGHT else message.sent_ms) - now_ms
            if ahead_ms > 0 and message.due_ms:
                message.due_ms -= ahead_ms
                message.received_ms = min(message.received_ms, now_ms)
        queue.index()


def _queue(store: Store, event: Event) -> None:
    _, name, shown, tags, times = event
    queue = store.queues.get(name)
    if queue is None:
        queue = store.queues[name] = Queue(name, Settings.restore(shown), times[0])
    queue.settings = Settings.restore(shown)
    queue.tags = tags
    queue.created_ms, queue.modified_ms, queue.purged_ms = times


def _message(store: Store, event: Event, segment: int) -> None:
    queue = store.queues.get(event[1])
    if queue is None:
        return
    message = Message.from_row(event[2])
    message.segment = segment
    store.next_sequence = max(store.next_sequence, message.sequence + 1)
    queue.messages[message.id] = message
    if queue.settings.fifo and message.dedup_id is not None and message.source_arn is None:
        key = queue.dedup_key(message.group, message.dedup_id)
        queue.dedup.add(key, Sent(message.id, message.sequence, message.sent_ms, segment))


def _dedup(store: Store, event: Event, segment: int) -> None:
    _, name, group, dedup_id, message_id, sequence, sent_ms = event
    queue = store.queues.get(name)
    if queue is not None:
        queue.dedup.add((group, dedup_id), Sent(message_id, sequence, sent_ms, segment))


def _received(store: Store, queue: Queue, rest: list[Any]) -> None:
    now_ms, due_ms, ids = rest
    for message in _known(queue, ids):
        message.receive_count += 1
        message.received_ms = now_ms
        message.first_received_ms = message.first_received_ms or now_ms
        message.due_ms = due_ms
        message.state = IN_FLIGHT if due_ms else READY


def _leased(store: Store, queue: Queue, rest: list[Any]) -> None:
    message_id, due_ms = rest
    for message in _known(queue, [message_id]):
        message.due_ms = due_ms
        message.state = IN_FLIGHT


def _undone(store: Store, queue: Queue, rest: list[Any]) -> None:
    message_id, count, first_received_ms = rest
    for message in _known(queue, [message_id]):
        message.state = READY
        message.receive_count = count
        message.first_received_ms = first_received_ms


def _moved(store: Store, queue: Queue, rest: list[Any]) -> None:
    target_name, message_id, source_arn = rest
    message = queue.messages.pop(message_id, None)
    target = store.queues.get(target_name)
    if message is not None and target is not None:
        message.state = READY
        message.counted_from = message.receive_count
        message.source_arn = source_arn
        target.messages[message_id] = message


def _deleted(store: Store, queue: Queue, rest: list[Any]) -> None:
    for message_id in rest[0]:
        queue.messages.pop(message_id, None)


def _purged(store: Store, queue: Queue, rest: list[Any]) -> None:
    queue.messages.clear()
    queue.purged_ms = rest[0]


def _known(queue: Queue, ids: list[str]) -> list[Message]:
    return [queue.messages[id_] for id_ in ids if id_ in queue.messages]


_OF_QUEUE: Final[Mapping[str, Callable[[Store, Queue, list[Any]], None]]] = {
    "recv": _received,
    "lease": _leased,
    "undo": _undone,
    "moved": _moved,
    "del": _deleted,
    "purge": _purged,
}
