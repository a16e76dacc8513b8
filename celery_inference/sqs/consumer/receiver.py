"""Receiving: threads that poll SQS for as many messages as there are free slots, and no more.

A slot is taken by a delivery from its receive until it is settled. Queues share the consumer's slots, apart from
lanes that declare slots of their own: those use these, and no others do. Threads hand decoded messages over
through a queue that the consuming thread reads; they end by themselves when the receiver is stopped, at the
latest when their long poll does, and release what such a late answer brings.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.consumer.leases import received_lease_end
from celery_inference.sqs.consumer.pause import PAUSES
from celery_inference.sqs.consumer.poll_scheduler import Poll, PollScheduler
from celery_inference.sqs.errors import DeniedError, QueueMissingError, SqsError
from celery_inference.sqs.lanes import lane_of
from celery_inference.sqs.limits import MAX_BATCH_ENTRIES
from celery_inference.sqs.messages.delivery import Delivery, from_answer
from celery_inference.sqs.options import TransportOptions

logger = logging.getLogger(__name__)

SYSTEM_ATTRIBUTES: list[Any] = ["ApproximateReceiveCount", "MessageGroupId", "SentTimestamp"]
MAX_RECEIVES = 8  # calls at the same time, at least one a queue
UNLIMITED_SLOTS = 100  # with a prefetch count of 0, which AMQP takes for "no limit"
LATE_ANSWER_SECONDS = 0.5  # from a release until a poll under way has brought the message, and it is given back
BACKLOG_LIMIT = 1_000  # unconfirmed settlements beyond which no more is received

Resolve = Callable[[str], str]
Accept = Callable[[list[Delivery]], None]


@dataclass(slots=True, eq=False)
class Slots:
    """Slots that some queues share, 0 for no limit, and what asks those queues."""

    polling: PollScheduler
    limit: int = 0
    held: int = 0


class Receiver:
    """The receiver threads of one channel.

    `resolve` gives a queue's URL, and may block. `accept` is called in a receiver thread with what one
    receive brought, never an empty list. `backlog` counts the settlements that SQS has not confirmed.
    `give_up` is told when a queue's first receives meet what no waiting mends: it is missing, or denied.
    """

    def __init__(
        self,
        clients: SqsClients,
        options: TransportOptions,
        *,
        resolve: Resolve,
        accept: Accept,
        backlog: Callable[[], int],
        give_up: Callable[[SqsError], None],
    ) -> None:
        self._clients = clients
        self._options = options
        self._resolve = resolve
        self._accept = accept
        self._backlog = backlog
        self._give_up = give_up
        self._proven: set[str] = set()
        self._faults = FaultLog()
        self._changed = threading.Condition()
        self._shared = Slots(PollScheduler(options.wait_time_seconds, options.gather_seconds, MAX_RECEIVES))
        self._groups = [self._shared]
        self._slots_of: dict[str, Slots] = {}
        self._threads = 0
        self._receiving = 0
        self._idle_threads = 0
        self._stopped = False

    @property
    def held(self) -> int:
        """Shared slots taken."""
        return self._shared.held

    def set_limit(self, slots: int) -> None:
        """How many deliveries may be held at once in the shared slots; 0 for no limit of the caller's."""
        with self._changed:
            self._shared.limit = slots
            self._changed.notify()

    def add_queue(self, name: str) -> None:
        """Poll this queue, too."""
        lane = lane_of(name, self._options.lanes)
        weight = self._options.weights.get(name, lane.weight if lane else 1.0)
        with self._changed:
            slots = self._slots_of.get(name)
            if slots is None:
                slots = self._slots_of[name] = self._own_slots(lane.own_slots) if lane else self._shared
            slots.polling.add(name, weight)
            self._shared.polling.max_polls = max(MAX_RECEIVES, len(self._shared.polling.queues))
            self._start_thread()
            self._changed.notify()

    def _own_slots(self, count: int) -> Slots:
        if not count:
            return self._shared
        polls = -(-count // MAX_BATCH_ENTRIES)
        slots = Slots(PollScheduler(self._options.wait_time_seconds, self._options.gather_seconds, polls), count)
        self._groups.append(slots)
        return slots

    def remove_queue(self, name: str) -> None:
        """Poll this queue no more; what a poll under way still brings is released."""
        with self._changed:
            self._slots_of[name].polling.remove(name)

    def stop(self) -> None:
        """Receive nothing more. Does not wait for the threads; takes no lock, so that signal handlers may call."""
        self._stopped = True

    def close(self) -> None:
        """Stop, and wake the idle threads so that they end."""
        self._stopped = True
        with self._changed:
            self._changed.notify_all()

    def wait_for_late_answers(self) -> None:
        """After a stop, when messages were released: give back what a poll of our own that is under way gets of them.

        Does not wait for polls that bring nothing; they end with the process.
        """
        deadline = time.monotonic() + LATE_ANSWER_SECONDS
        with self._changed:
            while self._receiving and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def take_slot(self, queue: str) -> None:
        """A delivery of this queue is held that came another way."""
        with self._changed:
            self._slots_of.get(queue, self._shared).held += 1

    def free_slot(self, queue: str) -> None:
        """A delivery of this queue was settled."""
        slots = self._slots_of.get(queue, self._shared)
        with self._changed:
            slots.held -= 1
            free = self._count(slots) - slots.held - slots.polling.asked
            # Threads that wait for a whole batch have a timer; only the first and the tenth are news.
            if free in (1, MAX_BATCH_ENTRIES) or slots.held == 0:
                self._changed.notify()

    def _count(self, slots: Slots) -> int:
        if PAUSES.held or self._backlog() > BACKLOG_LIMIT:
            return 0
        return slots.limit or UNLIMITED_SLOTS

    def _start_thread(self) -> None:
        most = sum(slots.polling.max_polls for slots in self._groups)
        if self._threads < most and not self._idle_threads and not self._stopped:
            self._threads += 1
            threading.Thread(target=self._run, name=f"sqs-receive-{self._threads}", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                poll = self._next()
                while not isinstance(poll, Poll):
                    if self._stopped:
                        self._threads -= 1
                        return
                    self._idle_threads += 1
                    # Bounded, because `stop` notifies nobody.
                    self._changed.wait(1.0 if poll is None else min(poll, 1.0))
                    self._idle_threads -= 1
                    poll = self._next()
                # The next poll, if one is due, is another thread's.
                if self._idle_threads:
                    self._changed.notify()
                else:
                    self._start_thread()
                self._receiving += 1
            try:
                self._receive(poll)
            except Exception:
                # A fault of ours must not cost the worker its receivers.
                logger.exception("a receive of %s failed in an unexpected way", poll.queue)
            finally:
                with self._changed:
                    self._receiving -= 1
                    if self._stopped:
                        self._changed.notify_all()

    def _next(self) -> Poll | float | None:
        """The poll to make now; or the seconds after which to ask again; or None: when something has changed."""
        if self._stopped:
            return None
        now, soonest = time.monotonic(), None
        for slots in self._groups:
            count = self._count(slots)
            poll = slots.polling.next(now, count - slots.held, count)
            if isinstance(poll, Poll):
                return poll
            if poll is not None:
                soonest = poll if soonest is None else min(soonest, poll)
        return soonest

    def _receive(self, poll: Poll) -> None:
        subject = f"ReceiveMessage {poll.queue}"
        slots = self._slots_of[poll.queue]
        try:
            url = self._resolve(poll.queue)
            deliveries = self.receive(self._clients.polling_client, url, poll)
        except SqsError as exc:
            with self._changed:
                pause = slots.polling.failed(poll, time.monotonic())
                self._changed.notify()
            if isinstance(exc, QueueMissingError | DeniedError) and poll.queue not in self._proven:
                self._give_up(exc)
            self._faults.failed(subject, exc, f"next try in about {max(pause, 0.1):.1f} s")
            return
        self._proven.add(poll.queue)
        self._faults.succeeded(subject)
        with self._changed:
            wanted = not self._stopped and poll.queue in slots.polling.queues
            slots.polling.done(poll, len(deliveries), time.monotonic(), self._count(slots))
            if wanted:
                slots.held += len(deliveries)
            self._changed.notify()
        if not deliveries:
            return
        if wanted:
            self._accept(deliveries)
        else:
            self._give_back(url, deliveries)

    def receive(self, client: Any, url: str, poll: Poll) -> list[Delivery]:
        """What one ReceiveMessage brings; blocks for its wait at most, and raises as `SqsClients.call` does."""
        called = time.monotonic()
        answer = self._clients.call(
            "ReceiveMessage",
            poll.queue,
            client.receive_message,
            QueueUrl=url,
            MaxNumberOfMessages=poll.max_messages,
            WaitTimeSeconds=poll.wait_seconds,
            VisibilityTimeout=self._options.lease_seconds,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=SYSTEM_ATTRIBUTES,
        )
        ends = received_lease_end(self._options.lease_seconds, poll.wait_seconds, called)
        received = [from_answer(message, poll.queue, url, ends) for message in answer.get("Messages", [])]
        if received and not received[0].holds():
            logger.warning(
                "%d messages of %s came after their lease; SQS delivers them again", len(received), poll.queue
            )
            return []
        return received

    def _give_back(self, url: str, deliveries: list[Delivery]) -> None:
        """Release what came after the stop; in this thread, because the channel's others may have ended."""
        try:
            self._clients.call(
                "ChangeMessageVisibilityBatch",
                deliveries[0].queue,
                self._clients.client.change_message_visibility_batch,
                QueueUrl=url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": delivery.receipt, "VisibilityTimeout": 0}
                    for index, delivery in enumerate(deliveries)
                ],
            )
        except SqsError as exc:
            logger.warning("%d late messages stay invisible until their lease ends: %s", len(deliveries), exc)
