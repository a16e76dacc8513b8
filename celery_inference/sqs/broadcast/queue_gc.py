"""Leases of the broadcast's queues, and sweeping those whose owners are gone.

An owner renews its queue's lease by changing an attribute back and forth: SQS then notes the time. Members stand in
a ring, ordered by the unique part of their queues' names, and each looks at the queues between its own and the
member before it, when the first of those leases must have been renewed. So each queue is looked at by one member,
and when that one dies, its own successor finds it and looks further. One list, one renewal and one look in eight
minutes is all that a worker pays.
"""

import email.utils
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery_inference.sqs import limits
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.broadcast.membership import WATCHED_SECONDS, Membership
from celery_inference.sqs.broadcast.queue_names import NODES, QueueKind, place_of, queue_kind_of
from celery_inference.sqs.broadcast.receive_queue import ReceiveQueue
from celery_inference.sqs.errors import DeniedError, QueueMissingError, SqsError

logger = logging.getLogger(__name__)

_TOGGLE = (limits.MAX_VISIBILITY_SECONDS, limits.MAX_VISIBILITY_SECONDS - 1)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. A queue is deleted at most renew + slack after its owner's end, and a minute for a look that failed.

    SQS takes up to a minute until an attribute's change is seen everywhere.
    """

    renew: float = 490.0
    slack: float = 75.0
    retry: float = 20.0
    watch: float = WATCHED_SECONDS


def segment(names: list[str], own: str) -> list[str]:
    """The other queues, the nearest before `own` in the ring first."""
    ring = sorted((name for name in names if name != own), key=place_of)
    before = [name for name in ring if place_of(name) < place_of(own)]
    return before[::-1] + ring[len(before) :][::-1]


class QueueGc:
    """One daemon thread that renews this process's queues and, for a node, deletes stale ones. Thread-safe.

    `receive_queues` gives those of this process; `met` is told once of each worker's queue while this process watches,
    whoever asked SQS for the list in which it is first named, and again if it says that it reached none of them.
    """

    def __init__(
        self,
        clients: SqsClients,
        membership: Membership,
        receive_queues: Callable[[], list[ReceiveQueue]],
        met: Callable[[list[str]], bool],
        timing: Timing,
    ) -> None:
        self._clients = clients
        self._membership = membership
        self._receive_queues = receive_queues
        self._met = met
        self._timing = timing
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._renew_at: dict[str, float] = {}
        self._workers: frozenset[str] = frozenset()
        self._renewals = 0
        self._look_at = 0.0
        self._faults = FaultLog()

    def start(self) -> None:
        """Begin, or see to a receive queue that is new."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="broadcast-queue-gc", daemon=True)
                self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """End the thread, at the latest when its call has an answer."""
        self._closed = True
        self._wake.set()

    def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            try:
                seconds = self._round()
                self._faults.succeeded("queue clean-up of the broadcast")
            except SqsError as exc:
                denied = isinstance(exc, DeniedError)
                seconds = self._timing.renew if denied else self._timing.retry
                self._faults.failed("queue clean-up of the broadcast", exc, f"next try in {seconds:.0f} s")
            except Exception:
                logger.exception("queue clean-up of the broadcast failed")
                seconds = self._timing.retry
            self._wake.wait(seconds)

    def _round(self) -> float:
        """Do what is due; returns the seconds until more is."""
        receive_queues = {
            receive_queue.name: receive_queue for receive_queue in self._receive_queues() if receive_queue.name
        }
        self._renew(receive_queues)
        kinds = {receive_queue.kind for receive_queue in receive_queues.values()}
        own = next((name for name, receive_queue in receive_queues.items() if receive_queue.kind in NODES), None)
        times = list(self._renew_at.values())
        if QueueKind.EVENTS in kinds:
            self._membership.refresh(self._timing.watch * 0.9)
            workers = frozenset(self._membership.of(QueueKind.CONTROL))
            reached = self._met(sorted(workers - self._workers))
            self._workers = workers if reached else self._workers & workers
            times.append(time.monotonic() + self._timing.watch)
        else:
            self._workers = frozenset()
        if own is not None:
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + self._sweep(own)
            times.append(self._look_at)
        return max(0.05, min(times) - time.monotonic()) if times else self._timing.renew

    def _renew(self, receive_queues: dict[str, ReceiveQueue]) -> None:
        now = time.monotonic()
        self._renew_at = {name: self._renew_at.get(name, now + self._timing.renew) for name in receive_queues}
        for name, receive_queue in receive_queues.items():
            if self._renew_at[name] > now:
                continue
            self._renewals += 1
            attributes: Any = {"VisibilityTimeout": str(_TOGGLE[self._renewals % 2])}
            try:
                self._clients.call(
                    "SetQueueAttributes",
                    name,
                    self._clients.client.set_queue_attributes,
                    QueueUrl=receive_queue.url,
                    Attributes=attributes,
                )
            except QueueMissingError:
                continue  # its own thread notices and makes another
            self._renew_at[name] = now + self._timing.renew

    def _sweep(self, own: str) -> float:
        """Delete what is stale between us and the member before us; returns the seconds until the next look."""
        self._membership.refresh()
        next_look = self._timing.renew + self._timing.slack
        for name in segment(self._membership.names(), own):
            left = self._lease_left(name)
            if left is None:
                self._membership.remove(name)
            elif left <= 0:
                self._delete(name)
            else:
                next_look = min(next_look, left + 1.0)
                if queue_kind_of(self._membership.prefix, name) in NODES:
                    break
        return max(self._timing.retry, next_look)

    def _lease_left(self, name: str) -> float | None:
        """Seconds for which the queue's lease holds, by SQS's clock where it tells; None if the queue is gone."""
        url = self._membership.url(name)
        attributes: Any = ["LastModifiedTimestamp"]
        try:
            answer = self._clients.call(
                "GetQueueAttributes",
                name,
                self._clients.client.get_queue_attributes,
                QueueUrl=url,
                AttributeNames=attributes,
            )
        except QueueMissingError:
            return None
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        now = email.utils.parsedate_to_datetime(date).timestamp() if date else time.time()
        modified = float(answer["Attributes"]["LastModifiedTimestamp"])
        return modified + self._timing.renew + self._timing.slack - now

    def _delete(self, name: str) -> None:
        try:
            self._clients.call(
                "DeleteQueue", name, self._clients.client.delete_queue, QueueUrl=self._membership.url(name)
            )
            logger.info("queue %s is deleted: its owner is gone", name)
        except QueueMissingError:
            pass
        self._membership.remove(name)
