"""Settling deliveries off the consuming thread: delete, release, write a dead letter, postpone.

Deletes and releases of a queue are gathered, ten a call; a delete waits for company for a few tens of
milliseconds. Writing a dead letter and postponing (a countdown beyond SQS's longest) send a copy first
and delete the original only when SQS has the copy, so that a crash in between doubles and never loses.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from celery_inference.sqs import limits
from celery_inference.sqs.api.backoff import full_jitter, release_delay
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.consumer.leases import LeaseRenewer
from celery_inference.sqs.dead_letters.writer import dead_letter_parameters, publish_left, publish_written
from celery_inference.sqs.errors import RefusedError, SqsError, is_passing
from celery_inference.sqs.lanes import Lane, lane_taking
from celery_inference.sqs.messages.delivery import Delivery

logger = logging.getLogger(__name__)

THREADS = 4
COPIES_AT_ONCE = 2  # so that copies which hang leave threads for deletes and releases
ENTRY_TRIES = 3  # of one entry that SQS refuses inside an accepted batch
GIVE_UP_SECONDS = 300.0  # after so long without an answer a settlement is left to redelivery
RELEASE_LINGER_SECONDS = 0.01
DELETE_LINGER_SECONDS = 0.05  # for others, to fill a call; longer, and a kill would bring back more that is done
RETRY_BASE_SECONDS = 0.2
RETRY_CAP_SECONDS = 10.0
FLUSH_PAUSE_SECONDS = 0.1  # between tries when a channel closes

DELETE = "DeleteMessageBatch"
RELEASE = "ChangeMessageVisibilityBatch"
COPY = "SendMessage"

Key = tuple[str, str]  # operation, queue URL


@dataclass(slots=True, eq=False)
class _Entry:
    delivery: Delivery
    seconds: int = 0
    parameters: dict[str, Any] | None = None  # of a copy, QueueUrl included
    since: float = field(default_factory=time.monotonic)
    not_before: float = 0.0
    tries: int = 0  # calls that failed as a whole
    refusals: int = 0  # of this entry in calls that did not
    done: bool = False  # nothing of the message lives on
    alone: bool = False


class Settler:
    """Settles the deliveries of one channel. Thread-safe; its daemon threads start when there is work.

    Without `delete_messages` what would be deleted is only marked as done: who received it deletes it.
    `on_done` is called, in one of them, when SQS has deleted a message whose work is done; it may block for a moment.
    """

    def __init__(
        self,
        clients: SqsClients,
        leases: LeaseRenewer,
        *,
        lanes: tuple[Lane, ...],
        release_cap_seconds: float,
        delete_linger_seconds: float = DELETE_LINGER_SECONDS,
        delete_messages: bool = True,
        on_done: Callable[[Delivery], None] | None = None,
    ) -> None:
        self._on_done = on_done
        self._clients = clients
        self._leases = leases
        self._lanes = lanes
        self._release_cap_seconds = release_cap_seconds
        self._delete_messages = delete_messages
        self._lingers = {DELETE: delete_linger_seconds, RELEASE: RELEASE_LINGER_SECONDS, COPY: 0.0}
        self._faults = FaultLog()
        self._work = threading.Condition()
        self._pending: dict[Key, deque[_Entry]] = {}
        self._count = 0  # pending or in a call
        self._copying = 0  # threads that send a copy
        self._idle_threads = 0
        self._threads: list[threading.Thread] = []
        self._flushing = False
        self._closed = False

    @property
    def backlog(self) -> int:
        """Deliveries whose settlement SQS has not confirmed."""
        return self._count

    def delete(self, delivery: Delivery) -> None:
        """The work is done and its outcome stored."""
        self._put(DELETE, delivery.queue_url, _Entry(delivery, done=True))

    def release(self, delivery: Delivery, seconds: int | None = None) -> None:
        """Make the message visible again after so many seconds; by default what was asked for, or backoff.

        One whose lease was lost is visible already, or another's to release.
        """
        if not delivery.holds():
            self._leases.drop(delivery)
            return
        self._put(RELEASE, delivery.queue_url, _Entry(delivery, seconds=self.release_seconds(delivery, seconds)))

    def release_seconds(self, delivery: Delivery, seconds: int | None = None) -> int:
        """For how long a delivery that is given back stays invisible: as said, as asked for, or backoff."""
        if seconds is None:
            seconds = delivery.release_after_seconds
        return release_delay(delivery.tries, self._release_cap_seconds) if seconds is None else seconds

    def write_dead_letter(self, delivery: Delivery) -> None:
        """Send the message to its lane's DLQ with its reason, then delete it; what cannot be is released."""
        self._put(COPY, delivery.queue_url, _Entry(delivery))

    def postpone(self, delivery: Delivery, parameters: dict[str, Any]) -> None:
        """Send a copy with these SendMessage parameters, then delete the delivery."""
        self._put(COPY, delivery.queue_url, _Entry(delivery, parameters=parameters))

    def flush(self, timeout_seconds: float) -> bool:
        """Settle what is pending without lingering; False if something is left after the time."""
        deadline = time.monotonic() + timeout_seconds
        with self._work:
            self._flushing = True
            for entries in self._pending.values():
                for entry in entries:
                    entry.not_before = 0.0
            self._work.notify_all()
            while self._count and (left := deadline - time.monotonic()) > 0:
                self._work.wait(left)
            return self._count == 0

    def close(self, timeout_seconds: float) -> bool:
        """Flush, then end the threads; False if something was left to redelivery."""
        settled = self.flush(timeout_seconds)
        with self._work:
            self._closed = True
            self._work.notify_all()
        if not settled:
            logger.warning("%d settlements could not be told to SQS; it will deliver those again", self._count)
        return settled

    def _put(self, operation: str, url: str, entry: _Entry) -> None:
        with self._work:
            self._count += 1
            self._append((operation, url), entry)

    def _append(self, key: Key, entry: _Entry) -> None:
        entries = self._pending.setdefault(key, deque())
        entries.append(entry)
        if self._idle_threads == 0 and len(self._threads) < THREADS and not self._closed:
            thread = threading.Thread(target=self._run, name=f"sqs-settle-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        elif self._flushing:
            self._work.notify_all()  # who flushes waits here, too
        elif len(entries) in (1, limits.MAX_BATCH_ENTRIES) or entry.alone:
            # In between, a thread is already waiting for the first one's linger.
            self._work.notify()

    def _run(self) -> None:
        while True:
            with self._work:
                taken = self._take()
                while not isinstance(taken, tuple):
                    if self._closed:
                        return
                    self._idle_threads += 1
                    self._work.wait(taken)
                    self._idle_threads -= 1
                    taken = self._take()
                (operation, url), entries = taken
                self._copying += operation == COPY
            try:
                again = self._settle(operation, url, entries)
            except Exception:
                logger.exception("%s failed in an unexpected way; its messages will be delivered again", operation)
                again = []
                for entry in entries:
                    self._leases.drop(entry.delivery)
            with self._work:
                self._copying -= operation == COPY
                self._count -= len(entries) - len(again)
                for next_operation, entry in again:
                    self._append((next_operation, url), entry)
                if self._flushing:
                    self._work.notify_all()

    def _take(self) -> tuple[Key, list[_Entry]] | float | None:
        """A batch whose time has come, or the seconds until one's may have."""
        now = time.monotonic()
        soonest: float | None = None
        for key, entries in self._pending.items():
            if not entries or (key[0] == COPY and self._copying >= COPIES_AT_ONCE):
                continue  # who ends a copy takes the next
            first = entries[0]
            if first.not_before > now:
                # Retries are rare: look behind them instead of keeping a heap.
                entries.rotate(-1)
                wait = min(entry.not_before for entry in entries) - now
                if wait <= 0:
                    wait = 0.001
            else:
                wait = self._lingers[key[0]] - (now - first.since)
                size = 1 if first.alone or key[0] == COPY else limits.MAX_BATCH_ENTRIES
                if wait <= 0 or len(entries) >= size or self._flushing or first.alone:
                    batch: list[_Entry] = []
                    while entries and len(batch) < size and entries[0].not_before <= now:
                        if entries[0].alone and batch:
                            break
                        batch.append(entries.popleft())
                    return key, batch
            soonest = wait if soonest is None else min(soonest, wait)
        return soonest

    def _settle(self, operation: str, url: str, entries: list[_Entry]) -> list[tuple[str, _Entry]]:
        """Make the call; returns what is to be done next, as (operation, entry)."""
        if operation == COPY:
            return self._copy(entries[0])
        if operation == RELEASE:
            held = [entry for entry in entries if self._leases.drop_unless_renewing(entry.delivery)]
            renewing = [entry for entry in entries if entry not in held]
            again = [(RELEASE, self._later(entry, 0.02)) for entry in renewing]
            return again + (self._batch(RELEASE, url, held) if held else [])
        if not self._delete_messages:
            for entry in entries:
                self._end(entry, DELETE)
            return []
        return self._batch(DELETE, url, entries)

    def _end(self, entry: _Entry, operation: str) -> None:
        entry.delivery.done = operation == DELETE
        self._leases.drop(entry.delivery)

    def _batch(self, operation: str, url: str, entries: list[_Entry]) -> list[tuple[str, _Entry]]:
        queue = entries[0].delivery.queue
        subject = f"{operation} {queue}"
        parameters: list[dict[str, Any]] = [
            {"Id": str(index), "ReceiptHandle": entry.delivery.receipt} for index, entry in enumerate(entries)
        ]
        if operation == RELEASE:
            for parameter, entry in zip(parameters, entries, strict=True):
                parameter["VisibilityTimeout"] = entry.seconds
        client = self._clients.client
        function = client.delete_message_batch if operation == DELETE else client.change_message_visibility_batch
        try:
            answer = self._clients.call(operation, queue, function, QueueUrl=url, Entries=parameters)
        except SqsError as exc:
            self._faults.failed(subject, exc)
            worth_it = [entry for entry in entries if time.monotonic() - entry.since < GIVE_UP_SECONDS]
            for entry in entries:
                if entry not in worth_it:
                    self._leases.drop(entry.delivery)
            return self._retried(operation, worth_it)
        self._faults.succeeded(subject)
        failed = {int(failure["Id"]): failure for failure in answer.get("Failed", [])}
        again = []
        for index, entry in enumerate(entries):
            failure = failed.get(index)
            if failure is None:
                self._end(entry, operation)
                if entry.done and operation == DELETE and self._on_done is not None:
                    self._on_done(entry.delivery)
                continue
            entry.refusals += 1
            entry.alone = True
            if entry.refusals < ENTRY_TRIES and (
                is_passing(str(failure.get("Code"))) or not failure.get("SenderFault")
            ):
                again.append((operation, self._later(entry, RETRY_BASE_SECONDS * entry.refusals)))
            else:
                self._leases.drop(entry.delivery)
                self._faults.failed(subject, f"{failure.get('Code')}: {failure.get('Message')}", "left to redelivery")
        return again

    def _copy(self, entry: _Entry) -> list[tuple[str, _Entry]]:
        delivery = entry.delivery
        subject = f"{COPY} for {delivery.queue}"
        try:
            parameters = entry.parameters or self._dead_letter_parameters(delivery)
            if parameters is None:
                return [(RELEASE, self._left_to_sqs(delivery))]
            answer = self._clients.call(COPY, delivery.queue, self._clients.client.send_message, **parameters)
        except RefusedError as exc:
            self._faults.failed(subject, exc, "left to the redrive of SQS")
            return [(RELEASE, self._released(entry))]
        except SqsError as exc:
            # Released, not retried here: the copy may be there already, and the message is safe where it is.
            self._faults.failed(subject, exc, "the message is released")
            return [(RELEASE, self._released(entry))]
        self._faults.succeeded(subject)
        if entry.parameters is None:
            publish_written(parameters, answer.get("MessageId", ""))
        return [(DELETE, _Entry(delivery))]

    def _dead_letter_parameters(self, delivery: Delivery) -> dict[str, Any] | None:
        """SendMessage's parameters for its dead letter; None where only SQS can make one of it."""
        lane = lane_taking(delivery.queue, self._lanes)
        if lane is None:
            return None
        dead = lane.dead_letter_queue
        parameters = dead_letter_parameters(delivery, dead.name, dead.max_message_bytes)
        return None if parameters is None else parameters | {"QueueUrl": self._clients.queue_url(dead.name)}

    def _left_to_sqs(self, delivery: Delivery) -> _Entry:
        """The release of what cannot carry its reason: at once, because only more receives bring it to its queue of
        dead letters. Before the one at which SQS moves it, its reason is noted.
        """
        lane = lane_taking(delivery.queue, self._lanes)
        if lane is None:
            self._faults.failed(
                f"writing a dead letter from {delivery.queue}", "no lane with a dead-letter queue is declared for it"
            )
            return self._released(_Entry(delivery))
        if delivery.count >= lane.max_receive_count:
            logger.warning(
                "message %s on %s cannot carry a reason; left to the redrive of SQS",
                delivery.message_id,
                delivery.queue,
            )
            publish_left(delivery)
        return _Entry(delivery)

    def _released(self, entry: _Entry) -> _Entry:
        return _Entry(entry.delivery, seconds=release_delay(entry.delivery.tries, self._release_cap_seconds))

    def _later(self, entry: _Entry, seconds: float) -> _Entry:
        entry.not_before = time.monotonic() + (min(seconds, FLUSH_PAUSE_SECONDS) if self._flushing else seconds)
        return entry

    def _retried(self, operation: str, entries: list[_Entry]) -> list[tuple[str, _Entry]]:
        """The same batch again, after one pause for all, so that it stays together."""
        tries = max((entry.tries for entry in entries), default=0) + 1
        pause = full_jitter(tries, base_seconds=RETRY_BASE_SECONDS, cap_seconds=RETRY_CAP_SECONDS)
        not_before = time.monotonic() + (min(pause, FLUSH_PAUSE_SECONDS) if self._flushing else pause)
        for entry in entries:
            entry.tries, entry.not_before = tries, not_before
        return [(operation, entry) for entry in entries]
