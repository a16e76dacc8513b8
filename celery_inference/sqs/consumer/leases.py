"""Leases of the deliveries a channel holds, renewed by one thread.

A lease is SQS's visibility timeout. It is renewed at a third of its length, ten in a call, until its
delivery is settled, the channel closes, or a cap is reached. Whether it still holds is judged by our own
monotonic clock, because SQS accepts outdated receipts.
"""

import logging
import math
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from celery_inference.sqs import limits
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.errors import SqsError, is_passing
from celery_inference.sqs.messages.delivery import Delivery

logger = logging.getLogger(__name__)

# The answer of a receive, or our look at the clock, may be this late; a lease ends earlier by it.
MARGIN_SECONDS = 1.0
RETRY_SECONDS = 1.0  # after a renewal that failed; two thirds of a lease are left then


class LostLeases:
    """How many leases this process has lost, by queue, since its start. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def record(self, queue: str) -> None:
        """One more."""
        with self._lock:
            self._counts[queue] += 1

    def counts(self) -> dict[str, int]:
        """So far."""
        with self._lock:
            return dict(self._counts)


LOST = LostLeases()


def lease_end(lease_seconds: float, now: float | None = None) -> float:
    """The monotonic time until which a lease that starts now surely holds."""
    start = time.monotonic() if now is None else now
    return start + lease_seconds - min(MARGIN_SECONDS, lease_seconds / 10)


def received_lease_end(lease_seconds: float, wait_seconds: float, called: float) -> float:
    """As `lease_end`, of what a ReceiveMessage brought that was called then and might wait so long.

    The lease counts from the call, because the answer may have waited for a process that was paused; a third of the
    lease, after which it is renewed, may pass in a longer poll.
    """
    begun = called + max(0.0, wait_seconds - lease_seconds / 3)
    return lease_end(lease_seconds, min(begun, time.monotonic()))


@dataclass(slots=True)
class _Entry:
    delivery: Delivery
    due: float
    capped_at: float
    renewing: bool = False


class LeaseRenewer:
    """Renews the leases of one channel. Thread-safe; its daemon thread starts with the first lease."""

    def __init__(self, clients: SqsClients, *, lease_seconds: int, cap_seconds: int) -> None:
        self._clients = clients
        self._lease_seconds = lease_seconds
        self._cap_seconds = cap_seconds
        self._faults = FaultLog()
        self._changed = threading.Condition()
        self._entries: dict[str, _Entry] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def keep(self, deliveries: list[Delivery]) -> None:
        """Renew these from now on."""
        now = time.monotonic()
        with self._changed:
            for delivery in deliveries:
                HELD.add(delivery)
                self._entries[delivery.tag] = _Entry(
                    delivery,
                    min(now + self._lease_seconds / 3, delivery.lease_ends - self._lease_seconds / 3),
                    now + self._cap_seconds - self._lease_seconds,
                )
            if self._thread is None and not self._closed and self._entries:
                self._thread = threading.Thread(target=self._run, name="sqs-leases", daemon=True)
                self._thread.start()

    def drop(self, delivery: Delivery) -> None:
        """Stop renewing; the delivery is settled."""
        with self._changed:
            self._entries.pop(delivery.tag, None)
        HELD.remove(delivery)

    def drop_unless_renewing(self, delivery: Delivery) -> bool:
        """As `drop`, but False and nothing done while a renewal is under way, which would undo a release."""
        with self._changed:
            entry = self._entries.get(delivery.tag)
            if entry is not None and entry.renewing:
                return False
            self._entries.pop(delivery.tag, None)
        HELD.remove(delivery)
        return True

    def give_up(self, delivery: Delivery) -> None:
        """Stop renewing: its lease has ended, and it is another's now."""
        with self._changed:
            entry = self._entries.get(delivery.tag)
        if entry is not None:
            self._lose(entry, "it ended while the message waited")
        self.drop(delivery)

    def close(self) -> None:
        """End the thread; what is still kept ends with its lease."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            entries, self._entries = list(self._entries.values()), {}
        for entry in entries:
            HELD.remove(entry.delivery)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                now = time.monotonic()
                batches = self._due(now)
                if not batches:
                    soonest = min((entry.due for entry in self._entries.values()), default=math.inf)
                    self._changed.wait(min(max(0.05, soonest - now), self._lease_seconds / 3))
                    continue
            for url, entries in batches:
                try:
                    self._renew(url, entries)
                except Exception:
                    # A fault of ours must not cost all other leases.
                    logger.exception("renewing %d leases failed in an unexpected way", len(entries))
                    for entry in entries:
                        entry.due, entry.renewing = time.monotonic() + RETRY_SECONDS, False

    def _due(self, now: float) -> list[tuple[str, list[_Entry]]]:
        """Batches to renew now; those due soon go along, so that calls carry ten."""
        slack = self._lease_seconds / 12
        if not any(entry.due <= now for entry in self._entries.values()):
            return []
        by_url: dict[str, list[_Entry]] = {}
        for entry in self._entries.values():
            if entry.due <= now + slack:
                entry.renewing = True
                by_url.setdefault(entry.delivery.queue_url, []).append(entry)
        size = limits.MAX_BATCH_ENTRIES
        return [
            (url, entries[start : start + size])
            for url, entries in by_url.items()
            for start in range(0, len(entries), size)
        ]

    def _renew(self, url: str, entries: list[_Entry]) -> None:
        queue = entries[0].delivery.queue
        started = time.monotonic()
        with self._changed:
            entries = [entry for entry in entries if entry.delivery.tag in self._entries]
        live = [entry for entry in entries if started < entry.capped_at]
        for entry in entries:
            if started >= entry.capped_at:
                entry.due = math.inf
                if not entry.delivery.holds():
                    self._lose(entry, "it was held for as long as a lease may be renewed")
        failed: dict[int, str] = {}
        if live:
            try:
                answer = self._call(url, queue, live)
                for failure in answer.get("Failed", []):
                    failed[int(failure["Id"])] = str(failure.get("Code", ""))
                self._faults.succeeded(f"renewing leases of {queue}")
            except SqsError as exc:
                failed = dict.fromkeys(range(len(live)), "")
                self._faults.failed(f"renewing leases of {queue}", exc)
        for index, entry in enumerate(live):
            self._record(entry, started, failed.get(index))
        with self._changed:
            for entry in entries:
                entry.renewing = False

    def _call(self, url: str, queue: str, entries: list[_Entry]) -> Any:
        # Read at the call, because credentials may have been renewed since.
        function = self._clients.client.change_message_visibility_batch
        return self._clients.call(
            "ChangeMessageVisibilityBatch",
            queue,
            function,
            QueueUrl=url,
            Entries=[
                {
                    "Id": str(index),
                    "ReceiptHandle": entry.delivery.receipt,
                    "VisibilityTimeout": self._lease_seconds,
                }
                for index, entry in enumerate(entries)
            ],
        )

    def _record(self, entry: _Entry, started: float, code: str | None) -> None:
        now = time.monotonic()
        if code is None:
            entry.delivery.lease_ends = lease_end(self._lease_seconds, started)
            entry.due = started + self._lease_seconds / 3
        elif not is_passing(code):
            self._lose(entry, code)
        elif now >= entry.delivery.lease_ends:
            self._lose(entry, "it could not be renewed in time")
        else:
            entry.due = now + RETRY_SECONDS

    def _lose(self, entry: _Entry, why: str) -> None:
        delivery = entry.delivery
        with self._changed:
            if self._entries.get(delivery.tag) is not entry:
                return
            entry.due = math.inf
            if delivery.lost:
                return
            delivery.lost = True
            LOST.record(delivery.queue)
            callbacks = list(delivery.on_lost)
        logger.warning("lost the lease of message %s on %s: %s", delivery.message_id, delivery.queue, why)
        for callback in callbacks:
            try:
                callback(delivery)
            except Exception:
                logger.exception("a callback for a lost lease failed")
