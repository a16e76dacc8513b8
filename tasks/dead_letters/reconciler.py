"""The reconciler: what SQS itself moved to a dead-letter queue gets its index entry and its outcome, or goes back.

SQS moves a message when it was received too often, whatever became of it. One process at a time looks, by a lease in
the store, and only while the queue holds more letters than the index.

| of the request, the store says | so the message |
|---|---|
| its outcome of this generation is stored, and it is no failure | is deleted: an acknowledgement was lost |
| FAILURE is stored | stays, a dead letter with that error |
| attempts to spare | goes back: a copy is sent, then it is deleted; no outcome is stored |
| its attempts are used up | stays, a dead letter; FAILURE is stored, with the last error that is known |
| nothing, because it is no task | stays, a dead letter |

A kill between two of these steps leaves what the next pass finds again.
"""

import dataclasses
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery.app.task import Context
from celery.states import FAILURE, READY_STATES, RETRY
from celery.utils.log import get_logger

from celery_inference.errors import AttemptsUsedUp
from celery_inference.results.access import store_of
from celery_inference.results.dead_letter_queues import dead_letter_queue, lanes_of
from celery_inference.results.store.store import ResultStore
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.dead_letters.entry import ERROR_CHARACTERS, Entry, State
from celery_inference.sqs.dead_letters.index import DeadLetterIndex, Selection
from celery_inference.sqs.dead_letters.queue import BusyError, DeadLetterQueue
from celery_inference.sqs.dead_letters.redrive import DeadLetterPass
from celery_inference.sqs.dead_letters.resend import NotSendableError, resend_parameters
from celery_inference.sqs.dead_letters.scan import Scan, ScannedLetter
from celery_inference.sqs.dead_letters.writer import first_line
from celery_inference.sqs.errors import DeniedError, QueueMissingError, RefusedError, SqsError
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages import envelope
from celery_inference.sqs.messages.reason import Cause, Mark
from celery_inference.sqs.producer.bulk_send import send_many
from tasks.execution.error_policy import AttemptFacts, decide
from tasks.execution.failures import store_failure

logger = get_logger(__name__)

FEWER_CHECKS = 10  # for so many checks in a row the queue held less than the index, and the counts are right
MOST_RETURNS = 20  # a message that is moved again and again, and never begins, is poison of a kind we do not know


@dataclass(slots=True)
class Reconciled:
    """What one pass has done."""

    taken_up: int = 0
    brought_back: int = 0
    deleted: int = 0
    failed: list[Cause] = field(default_factory=list)  # of what no worker had filed

    @property
    def anything(self) -> bool:
        """Whether it has changed anything."""
        return bool(self.taken_up or self.brought_back or self.deleted)


class ReconcilePass(DeadLetterPass):
    """The reconciler's pass over a queue; with `forget`, entries whose letters it does not meet leave the index."""

    def __init__(
        self,
        clients: SqsClients,
        lane: Lane,
        index: DeadLetterIndex,
        *,
        lanes: tuple[Lane, ...],
        app: Any,
        forget: bool = False,
    ) -> None:
        super().__init__(clients, lane, index, lanes=lanes, selection=Selection())
        self._forget = forget
        self.reconciled = Reconciled()
        self._app = app
        self._store: ResultStore = store_of(app)  # type: ignore[assignment]  # where there is an index, there is a store
        self._met: dict[str, str] = {}  # letter id: id of the message that it was in

    def wanted(self, entry: Entry) -> bool:
        """Every letter."""
        return True

    def left(self) -> int:
        """One pass is enough, unless it is to say that letters are gone; what it does not meet the next one does."""
        return int(self._forget)

    def _is_missed(self, entry: Entry) -> bool:
        return entry.id not in self._met

    def step(self, scan: Scan, letters: list[tuple[Entry, ScannedLetter]]) -> None:
        """Deal with up to ten letters; of copies that are held at the same time, one stays.

        One that was met and is held no more is no copy: an earlier pass met it, or it went back and has failed again.
        """
        copies: list[ScannedLetter] = []
        fresh: list[tuple[Entry, ScannedLetter]] = []
        for entry, held in letters:
            met, message_id = self._met.get(entry.id), held.letter.message_id
            if met is not None and met != message_id and scan.holds(met):
                copies.append(held)
            else:
                self._met[entry.id] = message_id
                fresh.append((entry, held))
        scan.delete(copies)
        self.reconciled.deleted += len(copies)
        super().step(scan, fresh)

    def do(self, scan: Scan, letters: list[tuple[Entry, ScannedLetter]]) -> None:
        """Take up, bring back or delete what SQS has moved and nobody has looked at yet."""
        known = self.index.known(self.lane.name, [entry.id for entry, _ in letters])
        back: list[tuple[Entry, ScannedLetter]] = []
        stay: list[Entry] = []
        over: list[ScannedLetter] = []
        for entry, held in letters:
            if entry.id in known:
                continue
            try:
                decided = self._decide(entry, held)
            except (QueueMissingError, DeniedError, RefusedError) as error:
                # One letter's callback: the others are not to wait for what it needs.
                logger.error("request %s is left for the next pass: %s", entry.task_id, error)
                continue
            if decided is None:
                over.append(held)
            elif decided.state is State.SENDING:
                back.append((decided, held))
            else:
                stay.append(decided)
        stay += self._bring_back(scan, back)
        self.index.add(stay)
        self.reconciled.taken_up += len(stay)
        self.reconciled.failed += [entry.cause for entry in stay if not entry.buried]
        scan.delete(over)
        self.reconciled.deleted += len(over)

    def _decide(self, entry: Entry, held: ScannedLetter) -> Entry | None:
        """The entry to take up, in state SENDING to bring it back; None to delete the message."""
        if entry.task_id is None:
            return entry
        key = (entry.task_id, entry.generation)
        reached = self._store.generations([entry.task_id]).get(entry.task_id, entry.generation)
        # Not from the backend's cache, which keeps what was final once.
        meta: dict[str, Any] = self._app.backend._get_task_meta_for(entry.task_id)
        if reached > entry.generation:
            return entry
        if reached == entry.generation and meta["status"] in READY_STATES:
            return self._ended(entry, held, meta) if meta["status"] == FAILURE else None
        attempts = self._store.attempts([key]).get(key)
        count = attempts.count if attempts is not None else 0
        if count < self.lane.max_receive_count and held.letter.mark.returns < MOST_RETURNS:
            return dataclasses.replace(entry, state=State.SENDING, attempts=count)
        return self._fail(dataclasses.replace(entry, attempts=count), held, meta)

    def _ended(self, entry: Entry, held: ScannedLetter, meta: dict[str, Any]) -> Entry:
        """File a request whose worker was killed between its failure and its letter as that worker would have."""
        return self._failed(entry, held, meta["result"], meta, moved_by_sqs=False)

    def _fail(self, entry: Entry, held: ScannedLetter, meta: dict[str, Any]) -> Entry:
        """End a request that has no attempts left."""
        last = meta["result"] if meta["status"] == RETRY else None
        error = (
            last
            if isinstance(last, Exception)
            else AttemptsUsedUp(f"each of {entry.attempts} attempts ended without a word: the worker that had it died")
        )
        logger.error("request %s is a dead letter: %s", entry.task_id, error)
        return self._failed(entry, held, error, meta, moved_by_sqs=True)

    def _failed(
        self, entry: Entry, held: ScannedLetter, error: Any, meta: dict[str, Any], *, moved_by_sqs: bool
    ) -> Entry:
        """Store the FAILURE and what follows from it, a chord's part and error callbacks: all of it may be repeated."""
        throws = getattr(self._app.tasks.get(entry.task), "throws", None) or ()
        decision = decide(error, AttemptFacts(failed=True, throws=tuple(throws), moved_by_sqs=moved_by_sqs))
        request = _request(held.letter.body, entry.generation)
        calls = bool(request.errbacks)
        store_failure(self._app.backend, error, request, traceback=meta.get("traceback"), call_errbacks=calls)
        return dataclasses.replace(
            entry,
            cause=decision.cause or entry.cause,
            error_type=type(error).__name__,
            error=first_line(str(error))[:ERROR_CHARACTERS],
            failed_at=time.time(),
        )

    def _bring_back(self, scan: Scan, letters: Sequence[tuple[Entry, ScannedLetter]]) -> list[Entry]:
        """Send copies, then delete the letters; returns those that cannot be sent."""
        parameters, leaving, staying = [], [], []
        for entry, held in letters:
            try:
                parameters.append(self._copy(entry, held))
                leaving.append(held)
            except NotSendableError as exc:
                logger.error("request %s has attempts to spare and cannot go back: %s", entry.task_id, exc)
                staying.append(dataclasses.replace(entry, state=State.WAITING, error=str(exc)[:ERROR_CHARACTERS]))
        failures = {failure.index: failure.error for failure in send_many(self._sender(self.lane), parameters)}
        sent = [held for index, held in enumerate(leaving) if index not in failures]
        scan.delete(sent)
        self.reconciled.brought_back += len(sent)
        for error in failures.values():
            raise error
        return staying

    def _copy(self, entry: Entry, held: ScannedLetter) -> dict[str, Any]:
        before = held.letter.mark
        deliveries = before.deliveries + self.lane.max_receive_count  # after which SQS moved it
        mark = Mark(entry.generation, before.returns + 1, before.first_sent_at or held.letter.sent_at, deliveries)
        return resend_parameters(held.letter, self.lane, mark, letter_id=entry.id, renew=False)


def _request(body: str, generation: int) -> Context:
    """The request in a message, as the worker's backend expects it: its group, chord and error callbacks included."""
    message = envelope.decode(body)
    try:
        embedded = dict(json.loads(message["body"])[2] or {})
    except (ValueError, LookupError, TypeError, RecursionError):
        embedded = {}
    return Context({**message["headers"], **embedded, "inference_generation": generation})


class LaneReconciler:
    """Reconciles one lane. Not thread-safe."""

    def __init__(self, app: Any, queue: DeadLetterQueue) -> None:
        self._app = app
        self._queue = queue
        self._in_vain: tuple[int, int] | None = None
        self._fewer = 0

    def due(self) -> bool:
        """Whether the queue holds more than the index, or less for long, or something was interrupted. One call."""
        # A letter is in the queue before it is in the index. Letters that come between these looks are no difference.
        before = self._known()
        total = self._queue.count().total
        known = self._known()
        self._fewer = self._fewer + 1 if total < before else 0
        if self._queue.unsettled() or self._fewer >= FEWER_CHECKS:
            return True
        # A pass that found nothing new will find nothing new in the same letters.
        return total > known and (total, known) != self._in_vain

    def run(self, wait_seconds: float = 0.0, *, forget: bool = False) -> Reconciled:
        """One pass; with `forget`, or after `due` found fewer for long, entries without a letter leave the index.

        Raises BusyError, errors of `celery_inference.sqs.errors`, and OSError when the store is away.
        """
        queue = self._queue
        forget = forget or self._fewer > 0
        work = ReconcilePass(queue.clients, queue.lane, queue.index, lanes=queue.lanes, app=self._app, forget=forget)
        before = queue.taken_up
        queue.work_on(work, wait_seconds=wait_seconds)
        work.reconciled.taken_up += queue.taken_up - before
        self._fewer = 0
        if not work.reconciled.anything:
            self._in_vain = (queue.count().total, self._known())
        return work.reconciled

    def _known(self) -> int:
        """How many letters the index says that the queue holds."""
        return self._queue.index.count(Selection(lane=self._queue.lane.name))


class Reconciler:
    """Reconciles a worker's lanes, each by whichever worker of the fleet holds the lease for it."""

    def __init__(
        self,
        app: Any,
        queues: list[DeadLetterQueue],
        seconds: float,
        holder: str,
        on_failed: Callable[[str, Cause], None] = lambda lane, cause: None,
    ) -> None:
        self._lanes = [(queue, LaneReconciler(app, queue)) for queue in queues]
        self._on_failed = on_failed
        self._seconds = seconds
        self._holder = holder

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, name="dead-letter-reconciler", daemon=True).start()

    def _run(self) -> None:
        # Workers that start together must not ask together.
        time.sleep(random.uniform(0, self._seconds))  # noqa: S311 - spreads load
        while True:
            for queue, lane in self._lanes:
                try:
                    self._reconcile(queue, lane)
                except BusyError:
                    pass  # somebody is at work on these letters
                except (SqsError, OSError) as error:
                    logger.warning("the dead letters of %s could not be reconciled: %s", queue.lane.name, error)
                except Exception:
                    logger.exception("the dead letters of %s could not be reconciled", queue.lane.name)
            time.sleep(self._seconds)

    def _reconcile(self, queue: DeadLetterQueue, lane: LaneReconciler) -> None:
        # The lease is kept between passes, so that one worker of the fleet asks SQS for its counts.
        if not queue.index.hold(f"sweep:{queue.lane.name}", self._holder, 3 * self._seconds) or not lane.due():
            return
        reconciled = lane.run()
        for cause in reconciled.failed:
            self._on_failed(queue.lane.name, cause)
        if reconciled.anything:
            logger.warning(
                "dead letters of %s: %d taken up, %d brought back to their lane, %d deleted",
                queue.lane.name,
                reconciled.taken_up,
                reconciled.brought_back,
                reconciled.deleted,
            )


def start_reconciler(app: Any, consumed: Collection[str], worker: str, on_failed: Callable[[str, Cause], None]) -> None:
    """From now on, reconcile the lanes of these queues, which this worker takes from, and those of other consumers.

    `on_failed` is called with the lane and the cause of each request that ended so.
    """
    # Who else takes from a lane comes and goes, and does not reconcile.
    lanes = [lane for lane in lanes_of(app) if lane.name in consumed or lane.consumer != "worker"]
    queues = [dead_letter_queue(app, lane) for lane in lanes]
    Reconciler(app, queues, app.conf.inference_reconcile_seconds, f"{socket.gethostname()}:{worker}", on_failed).start()
