"""A queue of this process's own: made, received in a thread of its own, and deleted when it is closed.

What is received is not deleted, which would be a call more: it stays invisible for longer than it is kept. So each
message is delivered at most once, and what nobody receives is gone in minutes.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from celery_inference.sqs import limits
from celery_inference.sqs.api.backoff import full_jitter
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.broadcast.membership import Membership
from celery_inference.sqs.broadcast.queue_names import QueueKind, new_name
from celery_inference.sqs.errors import DeniedError, QueueMissingError, SqsError, UndecodableError
from celery_inference.sqs.messages import envelope

logger = logging.getLogger(__name__)

RETENTION_SECONDS = 300
WAIT_SECONDS = limits.MAX_RECEIVE_WAIT_SECONDS
ATTRIBUTES = {
    "MessageRetentionPeriod": str(RETENTION_SECONDS),
    "VisibilityTimeout": str(limits.MAX_VISIBILITY_SECONDS),
    "ReceiveMessageWaitTimeSeconds": str(WAIT_SECONDS),
}
BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 20.0
DENIED_SECONDS = 300.0  # until a permission that is missing is tried again
_REMEMBERED = 200  # message ids: SQS may deliver twice

Deliver = Callable[[dict[str, Any]], None]
Pause = Callable[[int], float]


class ReceiveQueue:
    """One queue and the thread that receives from it. Thread-safe.

    `deliver` is called in that thread with each decoded envelope; `pause` tells, from how many messages a receive
    has brought, how many seconds to wait before the next; `wanted` whether to receive at all.
    """

    def __init__(
        self,
        clients: SqsClients,
        membership: Membership,
        kind: QueueKind,
        *,
        deliver: Deliver,
        owner: str = "",
        pause: Pause = lambda received: 0.0,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.kind = kind
        self._clients = clients
        self._membership = membership
        self._owner = owner
        self._deliver = deliver
        self._pause = pause
        self._wanted = wanted
        self._making = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._faults = FaultLog()
        self._seen: deque[str] = deque(maxlen=_REMEMBERED)
        self.name = ""
        self.url = ""
        self.answered_at = 0.0  # monotonic seconds of SQS's last answer, 0 before the first
        self.failure = ""  # why the last call to SQS failed, empty when it did not
        self.on_made: Callable[[], object] = lambda: None

    def make(self) -> str:
        """The queue's name; makes it if there is none. Blocks; raises errors of `celery_inference.sqs.errors`."""
        with self._making:
            if self.name or self._closed:
                return self.name
            name = new_name(self._membership.prefix, self.kind, self._owner)
            create: Any = self._clients.brief_client.create_queue
            answer = self._clients.call("CreateQueue", name, create, QueueName=name, Attributes=ATTRIBUTES)
            self.name, self.url = name, str(answer["QueueUrl"])
            self.answered_at, self.failure = time.monotonic(), ""
            self._membership.add(name, self.url)
        self.on_made()
        return self.name

    def start(self) -> None:
        """Receive from now on; the thread makes the queue, and makes it anew when somebody has deleted it."""
        with self._making:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name=f"broadcast-{self.kind}", daemon=True)
                self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """Receive no more and delete the queue; blocks for one short call, and bears its failure."""
        with self._making:
            self._closed = True
            name, url, self.name, self.url = self.name, self.url, "", ""
        self._wake.set()
        if not name:
            return
        self._membership.remove(name)
        try:
            clients = self._clients
            clients.call("DeleteQueue", name, clients.ending_client.delete_queue, QueueUrl=url)
        except QueueMissingError:
            pass
        except SqsError as exc:
            logger.info("queue %s is left behind, and deleted within minutes by another process: %s", name, exc)

    def _run(self) -> None:
        failures = 0
        while not self._closed:
            if not self._wanted():
                self._wake.clear()
                if not self._wanted() and not self._closed:
                    self._wake.wait()
                continue
            try:
                received = self._receive()
            except SqsError as exc:
                failures += 1
                self._bear(exc, failures)
                continue
            failures, self.failure = 0, ""
            self.answered_at = time.monotonic()
            self._faults.succeeded(f"broadcast {self.kind}")
            pause = self._pause(received)
            if pause > 0 and not self._closed:
                time.sleep(pause)

    def _bear(self, exc: SqsError, failures: int) -> None:
        if self._closed:
            return
        self.failure = str(exc)
        if isinstance(exc, QueueMissingError):
            self._lose()
        pause = full_jitter(failures, base_seconds=BACKOFF_BASE_SECONDS, cap_seconds=BACKOFF_CAP_SECONDS)
        if isinstance(exc, DeniedError):
            pause = DENIED_SECONDS
        self._faults.failed(f"broadcast {self.kind}", exc, f"work goes on without; next try in {pause:.0f} s")
        self._wake.clear()
        self._wake.wait(max(0.1, pause))

    def _lose(self) -> None:
        with self._making:
            name, self.name, self.url = self.name, "", ""
        if name:
            self._membership.remove(name)

    def _receive(self) -> int:
        self.make()
        name, url = self.name, self.url
        if not url:
            return 0
        clients = self._clients
        answer = clients.call(
            "ReceiveMessage",
            name,
            clients.polling_client.receive_message,
            QueueUrl=url,
            MaxNumberOfMessages=limits.MAX_BATCH_ENTRIES,
            WaitTimeSeconds=WAIT_SECONDS,
        )
        messages = answer.get("Messages", [])
        for message in messages:
            if self._closed:
                break
            if message.get("MessageId") in self._seen:
                continue
            self._seen.append(message.get("MessageId", ""))
            self._read(message.get("Body", ""))
        return len(messages)

    def _read(self, body: str) -> None:
        try:
            content = envelope.decode(body)
        except UndecodableError as exc:
            logger.warning("a message of the broadcast cannot be read and is dropped: %s", exc)
            return
        try:
            self._deliver(content)
        except Exception:
            logger.exception("a message of the broadcast could not be handled and is dropped")
