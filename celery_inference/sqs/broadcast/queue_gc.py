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
from celery_inference.sqs.api.clients import Account
from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.broadcast.membership import WATCHED_SECONDS, Roster
from celery_inference.sqs.broadcast.queue_names import MEMBERS, Kind, kind_of, place_of
from celery_inference.sqs.broadcast.receive_queue import Mailbox
from celery_inference.sqs.errors import DeniedError, QueueMissingError, SqsError

logger = logging.getLogger(__name__)

_TOGGLE = (limits.MAX_VISIBILITY_SECONDS, limits.MAX_VISIBILITY_SECONDS - 1)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. A queue is swept at most renew + slack after its owner's end, and a minute for a look that failed.

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


class Upkeep:
    """One daemon thread that renews this process's queues and, for a member, sweeps. Thread-safe.

    `mailboxes` gives those of this process; `met` is told once of each worker's queue while this process watches,
    whoever asked SQS for the list in which it is first named, and again if it says that it reached none of them.
    """

    def __init__(
        self,
        account: Account,
        roster: Roster,
        mailboxes: Callable[[], list[Mailbox]],
        met: Callable[[list[str]], bool],
        timing: Timing,
    ) -> None:
        self._account = account
        self._roster = roster
        self._mailboxes = mailboxes
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
        """Begin, or see to a mailbox that is new."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="broadcast-upkeep", daemon=True)
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
                self._faults.succeeded("upkeep of the broadcast")
            except SqsError as exc:
                denied = isinstance(exc, DeniedError)
                seconds = self._timing.renew if denied else self._timing.retry
                self._faults.failed("upkeep of the broadcast", exc, f"next try in {seconds:.0f} s")
            except Exception:
                logger.exception("upkeep of the broadcast failed")
                seconds = self._timing.retry
            self._wake.wait(seconds)

    def _round(self) -> float:
        """Do what is due; returns the seconds until more is."""
        mailboxes = {mailbox.name: mailbox for mailbox in self._mailboxes() if mailbox.name}
        self._renew(mailboxes)
        kinds = {mailbox.kind for mailbox in mailboxes.values()}
        own = next((name for name, mailbox in mailboxes.items() if mailbox.kind in MEMBERS), None)
        times = list(self._renew_at.values())
        if Kind.EVENTS in kinds:
            self._roster.refresh(self._timing.watch * 0.9)
            workers = frozenset(self._roster.of(Kind.CONTROL))
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

    def _renew(self, mailboxes: dict[str, Mailbox]) -> None:
        now = time.monotonic()
        self._renew_at = {name: self._renew_at.get(name, now + self._timing.renew) for name in mailboxes}
        for name, mailbox in mailboxes.items():
            if self._renew_at[name] > now:
                continue
            self._renewals += 1
            attributes: Any = {"VisibilityTimeout": str(_TOGGLE[self._renewals % 2])}
            try:
                self._account.call(
                    "SetQueueAttributes",
                    name,
                    self._account.client.set_queue_attributes,
                    QueueUrl=mailbox.url,
                    Attributes=attributes,
                )
            except QueueMissingError:
                continue  # its own thread notices and makes another
            self._renew_at[name] = now + self._timing.renew

    def _sweep(self, own: str) -> float:
        """Delete what is stale between us and the member before us; returns the seconds until the next look."""
        self._roster.refresh()
        next_look = self._timing.renew + self._timing.slack
        for name in segment(self._roster.names(), own):
            left = self._lease_left(name)
            if left is None:
                self._roster.remove(name)
            elif left <= 0:
                self._delete(name)
            else:
                next_look = min(next_look, left + 1.0)
                if kind_of(self._roster.prefix, name) in MEMBERS:
                    break
        return max(self._timing.retry, next_look)

    def _lease_left(self, name: str) -> float | None:
        """Seconds for which the queue's lease holds, by SQS's clock where it tells; None if the queue is gone."""
        url = self._roster.url(name)
        attributes: Any = ["LastModifiedTimestamp"]
        try:
            answer = self._account.call(
                "GetQueueAttributes",
                name,
                self._account.client.get_queue_attributes,
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
            self._account.call("DeleteQueue", name, self._account.client.delete_queue, QueueUrl=self._roster.url(name))
            logger.info("queue %s is swept: its owner is gone", name)
        except QueueMissingError:
            pass
        self._roster.remove(name)
