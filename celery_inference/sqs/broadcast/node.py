"""This process's part in the broadcast: its queues, what it sends, and what it knows of the others."""

import atexit
import json
import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.broadcast.batching_window import ReceiveInterval
from celery_inference.sqs.broadcast.inbox import Inbox
from celery_inference.sqs.broadcast.membership import Membership
from celery_inference.sqs.broadcast.outbox import Outbox
from celery_inference.sqs.broadcast.queue_gc import QueueGc, Timing
from celery_inference.sqs.broadcast.queue_names import QueueKind, owner_in, owner_of, queue_kind_of
from celery_inference.sqs.broadcast.receive_queue import ReceiveQueue
from celery_inference.sqs.broadcast.replies import Replies
from celery_inference.sqs.errors import NotAskedError, QueueMissingError, SqsError, UnavailableError
from celery_inference.sqs.producer.sender import Sender

CALLS_AT_ONCE = 8
LISTED_SECONDS = 5.0  # a command goes to the workers of a list that is no older
FLUSH_SECONDS = 1.0  # for the last events at a clean exit
_MOST_ADDRESSES = 1_000
_JOINED: dict[str, Any] = {
    "method": "heartbeat",
    "arguments": {},
    "destination": None,
    "pattern": None,
    "matcher": None,
}


class Node:
    """One process in the broadcast of one endpoint and prefix. Thread-safe."""

    def __init__(self, clients: SqsClients, prefix: str, timing: Timing | None = None) -> None:
        self._clients = clients
        self._lock = threading.Lock()
        self._receive_queues: dict[int, ReceiveQueue] = {}
        self._addresses: OrderedDict[str, str] = OrderedDict()
        self._events_queue: ReceiveQueue | None = None
        self.membership = Membership(clients, prefix)
        self.outbox = Outbox(clients, self.membership)
        self.replies = Replies(clients, self.membership)
        self.queue_gc = QueueGc(clients, self.membership, self.receive_queues, self.announce, timing or Timing())
        self.replies.receive_queue.on_made = self.queue_gc.start

    def receive_queues(self) -> list[ReceiveQueue]:
        """The queues of this process."""
        with self._lock:
            return [*self._receive_queues.values(), self.replies.receive_queue]

    @property
    def events_queue(self) -> ReceiveQueue | None:
        """The queue in which this process receives events, or tried to last; None if it was never asked to."""
        return self._events_queue

    # Receiving.

    def open_control(self, worker: str, inbox: Inbox) -> ReceiveQueue:
        """A worker's inbox for commands. Returns at once; its queue is made as soon as SQS lets us."""

        def deliver(content: dict[str, Any]) -> None:
            self._learn(content)
            inbox.put(content)

        return self._open(
            ReceiveQueue(self._clients, self.membership, QueueKind.CONTROL, deliver=deliver, owner=worker)
        )

    def open_events(self, inbox: Inbox) -> ReceiveQueue:
        """A queue for the events of all workers. Blocks until it is made; raises errors of
        `celery_inference.sqs.errors`."""
        pace = ReceiveInterval()

        def deliver(content: dict[str, Any]) -> None:
            properties = content["properties"]
            self.membership.add(str(properties.get("reply_to", "")))
            if str(properties["delivery_info"].get("routing_key", "")).startswith("task."):
                pace.task_seen(time.monotonic())
            inbox.put(content)

        def pause(received: int) -> float:
            return pace.pause_seconds(received, time.monotonic(), len(self.membership.of(QueueKind.CONTROL)))

        receive_queue = ReceiveQueue(self._clients, self.membership, QueueKind.EVENTS, deliver=deliver, pause=pause)
        before, self._events_queue = self._events_queue, receive_queue
        if before is not None:
            receive_queue.answered_at, receive_queue.failure = before.answered_at, before.failure
        try:
            receive_queue.make()
        except SqsError as exc:
            receive_queue.failure = str(exc)
            raise
        # From now on a queue that was lost is made anew, and workers must hear of it.
        receive_queue.on_made = lambda: self.announce(list(self.membership.of(QueueKind.CONTROL)))
        return self._open(receive_queue)

    def _open(self, receive_queue: ReceiveQueue) -> ReceiveQueue:
        with self._lock:
            self._receive_queues[id(receive_queue)] = receive_queue
        made = receive_queue.on_made

        def on_made() -> None:
            if receive_queue.kind is QueueKind.CONTROL:
                self.outbox.sender = receive_queue.name
            self.queue_gc.start()
            made()

        receive_queue.on_made = on_made
        receive_queue.start()
        if receive_queue.name:
            self.queue_gc.start()
        return receive_queue

    def shut(self, receive_queue: ReceiveQueue) -> None:
        """Close a receive queue and delete it in SQS; blocks for one short call."""
        with self._lock:
            self._receive_queues.pop(id(receive_queue), None)
        if receive_queue.kind is QueueKind.CONTROL:
            self.outbox.flush(FLUSH_SECONDS)
        receive_queue.close()

    def _learn(self, content: dict[str, Any]) -> None:
        """Where a command's answer goes, and who watches."""
        properties = content["properties"]
        oid, name = properties.get("correlation_id"), properties.get("reply_to")
        if isinstance(oid, str) and isinstance(name, str):
            with self._lock:
                self._addresses[oid] = name
                while len(self._addresses) > _MOST_ADDRESSES:
                    self._addresses.popitem(last=False)
        watching = properties.get("watching")
        for queue in watching if isinstance(watching, list) else ():
            self.membership.add(str(queue))

    # Sending.

    def command(self, message: dict[str, Any]) -> None:
        """Send a command to the workers that it names, or to all; blocks.

        Raises NotAskedError, or DeniedError, when the workers cannot be listed, or no queue accepts it.
        """
        try:
            self._command(message)
        except UnavailableError as exc:
            raise NotAskedError(str(exc)) from exc

    def _command(self, message: dict[str, Any]) -> None:
        content = _parsed(message["body"])
        oid = (content.get("reply_to") or {}).get("routing_key")
        properties = message["properties"]
        if isinstance(oid, str):
            properties |= {"correlation_id": oid, "reply_to": self.replies.prepare(oid)}
        try:
            destination = content.get("destination")
            names = self._named(destination, LISTED_SECONDS)
            asked = self._send_all(names, message)
            if asked < len(names):
                # Some are gone, and may have come back under new names.
                late = [name for name in self._named(destination, 0.0) if name not in names]
                asked += self._send_all(late, message)
        except BaseException:
            if isinstance(oid, str):
                self.replies.forget(oid)
            raise
        if isinstance(oid, str):
            self.replies.expect(oid, asked)

    def _named(self, destination: Any, age_seconds: float) -> list[str]:
        """The control queues of the workers with these names, None for all, by a list that is no older."""
        self.membership.refresh(age_seconds)
        if not isinstance(destination, list):
            return list(self.membership.of(QueueKind.CONTROL))
        owners = {owner_of(str(worker)) for worker in destination}
        found = [name for name in self.membership.of(QueueKind.CONTROL) if owner_in(name) in owners]
        if len({owner_in(name) for name in found}) < len(owners):
            self.membership.refresh(1.0)
            found = [name for name in self.membership.of(QueueKind.CONTROL) if owner_in(name) in owners]
        return found

    def _send_all(self, names: list[str], message: dict[str, Any]) -> int:
        """How many queues have taken it; raises the first error if none has."""
        if not names:
            return 0
        message["properties"]["watching"] = [
            receive_queue.name
            for receive_queue in self.receive_queues()
            if receive_queue.kind is QueueKind.EVENTS and receive_queue.name
        ]
        body = Sender(self._clients, names[0], "", None).parameters(message)["MessageBody"]
        if len(names) == 1:
            errors = [self._send(names[0], body)]
        else:
            with ThreadPoolExecutor(min(CALLS_AT_ONCE, len(names)), thread_name_prefix="broadcast-command") as pool:
                errors = list(pool.map(lambda name: self._send(name, body), names))
        failed = [error for error in errors if error is not None]
        if failed and len(failed) == len(names):
            unexpected = [error for error in failed if not isinstance(error, QueueMissingError)]
            if unexpected:
                raise unexpected[0]
        return len(names) - len(failed)

    def _send(self, name: str, body: str) -> SqsError | None:
        url = self.membership.url(name)
        try:
            self._clients.call(
                "SendMessage", name, self._clients.brief_client.send_message, QueueUrl=url, MessageBody=body
            )
        except SqsError as exc:
            if isinstance(exc, QueueMissingError):
                self.membership.remove(name)
            return exc
        return None

    def announce(self, names: list[str]) -> bool:
        """Ask these workers for a heartbeat, which also tells them who watches; False if it reached none of them."""
        if not names:
            return True
        info = {"exchange": "celery.pidbox", "routing_key": ""}
        message: dict[str, Any] = {
            "body": json.dumps(_JOINED),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"clock": 0, "expires": 0},
            "properties": {"delivery_info": info, "delivery_mode": 1, "priority": 0, "delivery_tag": str(uuid.uuid4())},
        }
        try:
            self._send_all(names, message)
        except SqsError:
            return False
        return True

    def reply(self, oid: str, message: dict[str, Any]) -> None:
        """Answer a command that has come to this process; does not block."""
        with self._lock:
            name = self._addresses.get(oid)
        if name is not None and queue_kind_of(self.membership.prefix, name) is QueueKind.REPLY:
            self.outbox.reply(name, message)

    def event(self, message: dict[str, Any], routing_key: str) -> None:
        """Send an event, if anybody watches or nobody has looked yet; does not block."""
        if self.membership.watched or self.membership.due():
            self.outbox.event(message, of_task=routing_key.startswith("task."))

    def close(self) -> None:
        """Delete this process's queues and end its threads; blocks for one short call each."""
        for receive_queue in self.receive_queues():
            self.shut(receive_queue)
        self.queue_gc.close()
        self.outbox.close()


def _parsed(body: Any) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (TypeError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


class _Nodes:
    """The nodes of this process."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[tuple[int, str], Node] = {}

    def of(self, clients: SqsClients, prefix: str) -> Node:
        with self._lock:
            node = self._nodes.get((id(clients), prefix))
            if node is None:
                node = self._nodes[id(clients), prefix] = Node(clients, prefix)
            return node

    def close(self) -> None:
        with self._lock:
            nodes, self._nodes = list(self._nodes.values()), {}
        for node in nodes:
            node.close()


_nodes = _Nodes()
os.register_at_fork(after_in_child=_nodes.clear)
atexit.register(_nodes.close)


def node_of(clients: SqsClients, prefix: str) -> Node:
    """This process's part in the broadcast of an account. Ask each time: after a fork it is another one."""
    return _nodes.of(clients, prefix)


leave_all: Callable[[], None] = _nodes.close
