"""What workers send: answers and groups of events, in a thread of its own, so that no task waits for SQS."""

import base64
import logging
import threading
import time
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Any

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.broadcast.batching_window import BatchingWindow
from celery_inference.sqs.broadcast.membership import Membership
from celery_inference.sqs.broadcast.queue_names import QueueKind, queue_kind_of
from celery_inference.sqs.errors import QueueMissingError, SqsError
from celery_inference.sqs.messages.envelope import encode

logger = logging.getLogger(__name__)

REPLY_SECONDS = 5.0  # an answer is tried for so long: its queue may be a second old
EVENTS_SECONDS = 60.0  # a group of events
RETRY_SECONDS = 0.3
MAX_EVENTS = 5_000  # that wait for one group; more are lost
MAX_TEXT_CHARACTERS = 600_000  # of one message before it is compressed, which always fits then
MAX_WAITING = 200  # messages; the oldest are lost
GZIP = "application/x-gzip"  # kombu's name for zlib's format


def compressed(message: dict[str, Any]) -> dict[str, Any]:
    """A kombu message with its body compressed as kombu does it, ready to be encoded."""
    body = message["body"]
    data = zlib.compress(body.encode() if isinstance(body, str) else bytes(body))
    return message | {
        "body": base64.b64encode(data).decode("ascii"),
        "headers": message["headers"] | {"compression": GZIP},
        "properties": message["properties"] | {"body_encoding": "base64"},
    }


@dataclass(slots=True)
class _Outgoing:
    name: str
    text: str
    until: float
    not_before: float = 0.0


class Outbox:
    """Sends from one daemon thread, which the first letter starts. Thread-safe; nothing here blocks its callers."""

    def __init__(self, clients: SqsClients, membership: Membership) -> None:
        self._clients = clients
        self._membership = membership
        self._changed = threading.Condition()
        self._letters: deque[_Outgoing] = deque(maxlen=MAX_WAITING)
        self._grouping = BatchingWindow(MAX_EVENTS)
        self._envelope: dict[str, Any] | None = None
        self._proven: set[str] = set()  # watchers that have taken something: were one missing now, it would be gone
        self._faults = FaultLog()
        self._thread: threading.Thread | None = None
        self._sending = False
        self._closed = False
        self.sender = ""  # this process's control queue, told with its events

    def reply(self, name: str, message: dict[str, Any]) -> None:
        """Send an answer to a queue of this broadcast."""
        with self._changed:
            self._letters.append(_Outgoing(name, encode(compressed(message)), time.monotonic() + REPLY_SECONDS))
            self._wake()

    def event(self, message: dict[str, Any], *, of_task: bool) -> None:
        """Send an event with others of its time, if anybody watches."""
        body = message["body"]
        text = body if isinstance(body, str) else bytes(body).decode()
        workers = len(self._membership.of(QueueKind.CONTROL))
        with self._changed:
            self._envelope = self._envelope or message
            before = self._grouping.due_at
            self._grouping.add(text, time.monotonic(), workers, of_task=of_task)
            if self._grouping.due_at != before:
                self._wake()

    def flush(self, timeout_seconds: float) -> None:
        """Wait until all is sent, for so long at most."""
        until = time.monotonic() + timeout_seconds
        with self._changed:
            if self._grouping.due_at is not None:
                self._grouping.due_at = time.monotonic()
                self._changed.notify_all()
            while self._thread is not None and (self._letters or self._sending or self._grouping.due_at is not None):
                left = until - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def close(self) -> None:
        """End the thread; what waits is lost."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wake(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="broadcast-send", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._sending = False
                self._changed.notify_all()
                while not self._closed and (left := self._seconds_left()) != 0:
                    self._changed.wait(left)
                if self._closed:
                    return
                self._sending = True
                now = time.monotonic()
                letters = [letter for letter in self._letters if letter.not_before <= now]
                for letter in letters:
                    self._letters.remove(letter)
                events, of_task, envelope = self._due_events(now)
            try:
                if events and envelope is not None:
                    letters += self._address(events, envelope, of_task)
                for letter in letters:
                    self._send(letter)
            except Exception:
                logger.exception("events and answers could not be sent and are lost")

    def _seconds_left(self) -> float | None:
        """Until something is to be sent: 0 for now, None for nothing."""
        now = time.monotonic()
        times = [letter.not_before for letter in self._letters]
        if self._grouping.due_at is not None:
            times.append(self._grouping.due_at)
        return max(0.0, min(times) - now) if times else None

    def _due_events(self, now: float) -> tuple[list[str], bool, dict[str, Any] | None]:
        if self._grouping.due_at is None or self._grouping.due_at > now:
            return [], False, None
        of_task, dropped = self._grouping.tasks, self._grouping.dropped
        self._grouping.dropped = 0
        if dropped:
            self._faults.failed("events", f"{dropped} found no room among {MAX_EVENTS}", "they are lost")
        envelope, self._envelope = self._envelope, None
        return self._grouping.take(now), of_task, envelope

    def _address(self, events: list[str], envelope: dict[str, Any], of_task: bool) -> list[_Outgoing]:
        """Messages of events for all who watch; looks who does if that is due."""
        if self._membership.due():
            try:
                self._membership.refresh()
                self._faults.succeeded("ListQueues")
            except SqsError as exc:
                self._faults.failed("ListQueues", exc, "who watches is not known anew")
        watchers = list(self._membership.of(QueueKind.EVENTS))
        if not watchers:
            return []
        until = time.monotonic() + EVENTS_SECONDS
        texts = [encode(compressed(self._group(part, envelope, of_task))) for part in _parts(events)]
        return [_Outgoing(name, text, until) for text in texts for name in watchers]

    def _group(self, events: list[str], envelope: dict[str, Any], of_task: bool) -> dict[str, Any]:
        """The message that Celery's receivers take for a list of events."""
        properties = {name: value for name, value in envelope["properties"].items() if name != "delivery_tag"}
        properties["delivery_info"] = properties["delivery_info"] | {
            "routing_key": "task.multi" if of_task else "worker.multi"
        }
        if self.sender:
            properties["reply_to"] = self.sender
        return envelope | {"body": f"[{','.join(events)}]", "properties": properties}

    def _send(self, letter: _Outgoing) -> None:
        clients, url = self._clients, self._membership.url(letter.name)
        if url is None:
            return
        try:
            clients.call("SendMessage", letter.name, clients.client.send_message, QueueUrl=url, MessageBody=letter.text)
        except SqsError as exc:
            now = time.monotonic()
            missing = isinstance(exc, QueueMissingError)
            if missing and (letter.name in self._proven or not self._membership.young(letter.name)):
                self._proven.discard(letter.name)
                self._membership.remove(letter.name)
                return
            if now < letter.until:
                letter.not_before = now + RETRY_SECONDS
                with self._changed:
                    self._letters.append(letter)
            if not missing:
                self._faults.failed(
                    "SendMessage to the broadcast", exc, "events and answers wait a while, then are lost"
                )
            return
        if queue_kind_of(self._membership.prefix, letter.name) is QueueKind.EVENTS:
            self._proven.add(letter.name)
        self._faults.succeeded("SendMessage to the broadcast")


def _parts(events: list[str]) -> list[list[str]]:
    """The events in groups whose text fits into one message."""
    parts: list[list[str]] = [[]]
    size = 0
    for event in events:
        if parts[-1] and size + len(event) > MAX_TEXT_CHARACTERS:
            parts.append([])
            size = 0
        parts[-1].append(event)
        size += len(event) + 1
    return parts
