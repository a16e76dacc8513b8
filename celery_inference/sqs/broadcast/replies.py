"""Answers to this process's commands: one queue for all of its threads, made when one first wants an answer."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.broadcast.inbox import Inbox
from celery_inference.sqs.broadcast.membership import Membership
from celery_inference.sqs.broadcast.queue_names import QueueKind
from celery_inference.sqs.broadcast.receive_queue import ReceiveQueue

_MOST_WAITS = 1_000  # a caller that was interrupted leaves one behind


@dataclass(slots=True)
class _Wait:
    """One command: its answers until somebody takes them, and how many will come."""

    early: list[dict[str, Any]] = field(default_factory=list)
    inbox: Inbox | None = None
    expected: int | None = None
    got: int = 0

    @property
    def complete(self) -> bool:
        return self.expected is not None and self.got >= self.expected


class Replies:
    """Sorts answers by the id that kombu gives the asking thread. Thread-safe."""

    def __init__(self, clients: SqsClients, membership: Membership) -> None:
        self._lock = threading.Lock()
        self._waits: OrderedDict[str, _Wait] = OrderedDict()
        self.receive_queue = ReceiveQueue(
            clients, membership, QueueKind.REPLY, deliver=self._deliver, wanted=lambda: bool(self._waits)
        )

    def prepare(self, oid: str) -> str:
        """Await answers for an id; returns the queue they are to be sent to. Blocks at the first call of a process."""
        name = self.receive_queue.make()
        with self._lock:
            self._waits[oid] = _Wait()
            while len(self._waits) > _MOST_WAITS:
                self._waits.popitem(last=False)
        self.receive_queue.start()
        return name

    def expect(self, oid: str, count: int) -> None:
        """So many workers have been asked."""
        with self._lock:
            wait = self._waits.get(oid)
            if wait is None:
                return
            wait.expected = count
            if wait.inbox is not None and wait.complete:
                wait.inbox.end()

    def take(self, oid: str, inbox: Inbox) -> None:
        """Put the id's answers into an inbox, those that came already first."""
        with self._lock:
            wait = self._waits.setdefault(oid, _Wait())
            wait.inbox = inbox
            for content in wait.early:
                inbox.put(content)
            wait.early.clear()
            if wait.complete:
                inbox.end()

    def forget(self, oid: str) -> None:
        """Nobody awaits answers for this id any more."""
        with self._lock:
            self._waits.pop(oid, None)

    def _deliver(self, content: dict[str, Any]) -> None:
        oid = content["properties"]["delivery_info"].get("routing_key")
        with self._lock:
            wait = self._waits.get(oid)
            if wait is None:
                return
            wait.got += 1
            if wait.inbox is None:
                wait.early.append(content)
                return
            wait.inbox.put(content)
            if wait.complete:
                wait.inbox.end()
