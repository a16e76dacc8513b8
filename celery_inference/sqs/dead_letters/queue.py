"""What people and programs do with a lane's dead letters: look at one, send some back, drop some.

One process at a time works on a lane's letters, by a lease in the index. Each step may end in a kill at any moment:

1. `open_generations` and SENDING are written, then the copies leave, then SENT is written, then the letters are
   deleted, then REDRIVEN is written. Ten letters a step.
2. Whoever takes the lease next sends a SENDING one again, to where it was going, and deletes a SENT one. A copy that
   had left before is absorbed by the id and generation that both carry, so one outcome is stored.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.dead_letters import scan
from celery_inference.sqs.dead_letters.entry import Entry
from celery_inference.sqs.dead_letters.index import DeadLetterIndex, Progress, Selection
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.dead_letters.redrive import BEGUN, DeadLetterPass, DropPass, RedrivePass, SettlePass, Target
from celery_inference.sqs.dead_letters.scan import Scan, ScannedLetter
from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.lanes import LANES, Lane
from celery_inference.sqs.queues.depths import Depth, dead_letter_depth

LEASE_SECONDS = 45.0
BUSY_WAIT_SECONDS = 60.0
BUSY_NAP_SECONDS = 0.5

Report = Callable[[Progress], None]


class BusyError(SqsError):
    """Another process works on this lane's dead letters."""


class DeadLetterQueue:
    """One lane's dead letters. Methods block, and raise errors of `celery_inference.sqs.errors` and, for the index,
    OSError."""

    def __init__(
        self, clients: SqsClients, lane: Lane, index: DeadLetterIndex, *, lanes: tuple[Lane, ...] = LANES
    ) -> None:
        self.clients = clients
        self.lanes = lanes
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.lane = lane
        self.index = index
        self.taken_up = 0  # letters that the index did not know, so far

    def count(self) -> Depth:
        """How many letters SQS counts."""
        return dead_letter_depth(self.clients, self.lane)

    @contextmanager
    def held(self, wait_seconds: float = BUSY_WAIT_SECONDS) -> Iterator[None]:
        """Be the one process that works on these letters.

        Raises BusyError when another is, still after `wait_seconds`.
        """
        until = time.monotonic() + wait_seconds
        while not self.index.hold(self._lease, self._holder, LEASE_SECONDS):
            if time.monotonic() >= until:
                raise BusyError(f"another process works on the dead letters of {self.lane.name}; try again in a minute")
            time.sleep(BUSY_NAP_SECONDS)
        ended = threading.Event()
        keeping = threading.Thread(target=self._keep, args=(ended,), name="dead-letter-lease", daemon=True)
        keeping.start()
        try:
            yield
        finally:
            ended.set()
            keeping.join()
            self.index.let_go(self._lease, self._holder)

    @property
    def _lease(self) -> str:
        return f"dead-letters:{self.lane.name}"

    def _keep(self, ended: threading.Event) -> None:
        while not ended.wait(LEASE_SECONDS / 4):
            try:
                self.index.hold(self._lease, self._holder, LEASE_SECONDS)
            except OSError:
                continue  # the work itself will meet it, too

    def start_scan(self) -> Scan:
        """A pass over the queue, whoever else works on it."""
        return Scan(self.clients, self.lane)

    def letters(self, selection: Selection) -> Iterator[tuple[Entry, DeadLetter]]:
        """The letters that fit, with their bodies, out of the queue, one by one; all are given back afterwards.

        Ends early when ids are asked for and each has been found.
        """
        found: set[str] = set()
        with self.held(), self.start_scan() as current:
            for helds in current:
                for entry, held in self._entries(helds):
                    if selection.matches(entry) and entry.id not in found:
                        found.add(entry.id)
                        yield entry, held.letter
                if selection.ids and len(found) >= len(selection.ids):
                    return

    def letter(self, entry: Entry) -> DeadLetter | None:
        """The letter of an entry, body included; None when it is not in the queue any more."""
        wanted = Selection(lane=self.lane.name, ids=frozenset({entry.id}))
        return next((letter for _, letter in self.letters(wanted)), None)

    def _entries(self, helds: Sequence[ScannedLetter]) -> list[tuple[Entry, ScannedLetter]]:
        """Each letter with its entry: the index's own, else what the letter says. Those that a worker wrote are taken
        up on the way;
        what SQS redrove is the reconciler's, which also stores its outcome."""
        found = [(Entry.of(held.letter, self.lane), held) for held in helds]
        known = self.index.known(self.lane.name, [entry.id for entry, _ in found])
        fresh = [entry for entry, _ in found if entry.id not in known and entry.buried]
        if fresh:
            self.index.add(fresh)
            self.taken_up += len(fresh)
        return [(known.get(entry.id, entry), held) for entry, held in found]

    def redrive(
        self,
        selection: Selection,
        target: Target | None = None,
        *,
        per_second: float | None = None,
        report: Report | None = None,
    ) -> Progress:
        """Send the letters that fit back to a lane, each as a new generation; what was interrupted is ended first.

        Interrupted itself, it is gone on with by the same call: what was sent is in the queue no more.

        Raises UnknownLaneError for a target that is no declared lane.
        """
        return self.work_on(self._pass(RedrivePass, selection=selection, target=target, per_second=per_second), report)

    def drop(self, selection: Selection, *, report: Report | None = None) -> Progress:
        """Delete the letters that fit. Their outcomes stay."""
        return self.work_on(self._pass(DropPass, selection=selection), report)

    def settle(self) -> Progress:
        """End what an interrupted process has begun, and nothing more."""
        return self.work_on(self._pass(SettlePass, selection=Selection()))

    def _pass(self, kind: type[DeadLetterPass], **given: Any) -> DeadLetterPass:
        return kind(self.clients, self.lane, self.index, lanes=self.lanes, **given)

    def unsettled(self) -> bool:
        """Whether a process was interrupted between two steps."""
        return self.index.count(Selection(lane=self.lane.name, state=BEGUN)) > 0

    def work_on(
        self, work: DeadLetterPass, report: Report | None = None, *, wait_seconds: float = BUSY_WAIT_SECONDS
    ) -> Progress:
        """Let this work meet every letter, while no other process works on them; `report` hears of each step."""
        with self.held(wait_seconds):
            work.prepare()
            self._passes(work, report)
        return work.progress

    def _passes(self, work: DeadLetterPass, report: Report | None) -> None:
        until = time.monotonic() + scan.HOLD_SECONDS + LEASE_SECONDS
        while True:
            started = time.time()
            with self.start_scan() as current:
                for helds in current:
                    before = work.progress.done
                    work.step(current, self._entries(helds))
                    if report is not None:
                        report(work.progress)
                    if work.per_second:
                        current.rest((work.progress.done - before) / work.per_second)
                    if work.ended():
                        return
                complete = current.complete
            if not work.left():
                return
            counts = self.count()
            if counts.in_flight == 0 and complete:
                work.miss(started)
                return
            if time.monotonic() > until:
                return
            # Others hold letters: a process that was killed, or a look in a console. They come back.
            time.sleep(1.0)
