"""Attempts: deliveries whose work has started, counted in the result store and not by SQS.

An attempt is written before the work starts: for a model before its first batch is sent, in one write for the whole
batch; for other tasks before their code runs. A batch that is sent behind another may never begin, and is written when
its device process has begun it, which nobody waits for. Deliveries that never got there use up nothing.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, suppress
from typing import Any, Literal

from celery.utils.log import get_logger

from celery_inference.results.protocol import Start, StoreUnavailable
from celery_inference.results.store.store import ResultStore
from celery_inference.sqs.lanes import Lane

logger = get_logger(__name__)

# A batch waits no longer for its attempts to be written: a store that is away must not idle a GPU.
WRITE_SECONDS = 2.0

Recording = Literal["every", "redelivered"]


class Attempt:
    """What one delivery of a request knows of its attempts; made when the delivery reaches its thread.

    `number` is this attempt's, from 1, once it has begun. `known` counts those before it, as far as they were read.
    """

    def __init__(
        self,
        request: Any,
        store: ResultStore | None,
        *,
        lane: Lane,
        recording: Recording,
        running: "RunningAttempts",
    ) -> None:
        delivery = (request.properties or {}).get("delivery_info") or {}
        self.store = store
        self._running = running
        self.lane = lane
        self.deliveries = int(delivery.get("delivery_count", 1))
        self.returns = int(delivery.get("returns", 0))
        self.tries = self.deliveries + int(delivery.get("earlier_deliveries", 0))  # over all copies of the message
        self.generation = generation_of(request)
        self.host = str(request.hostname or "")
        self.start = Start(request.id, self.generation, f"{delivery.get('message_id')}.{self.deliveries}", self.host)
        # A child, a retry, a copy, or what was submitted under a key may have been here before under another message.
        self.has_history = bool(
            self.deliveries > 1
            or self.returns
            or self.generation
            or request.retries
            or request.parent_id
            or getattr(request, "inference_once", False)
        )
        self.recorded = recording == "every" or self.has_history
        self.known = 0
        self.hosts: tuple[str, ...] = ()
        self.number: int | None = None
        self.written: tuple[Future[list[int] | None], int] | None = None  # its place in a write that is under way

    @property
    def limit(self) -> int:
        """How many attempts there are for one message."""
        return self.lane.max_receive_count

    @property
    def count(self) -> int:
        """Attempts so far, this one included if it has begun."""
        return self.number or self.known

    def look(self) -> None:
        """Read what was written of earlier deliveries. Raises StoreUnavailable."""
        if self.store is None:
            self.known = self.deliveries - 1
        else:
            found = self.store.attempts([(self.start.task_id, self.generation)])
            for attempts in found.values():
                self.known, self.hosts = attempts.count, attempts.hosts

    def begin(self) -> None:
        """Write that the work starts now, unless it is written."""
        self._running.begin([self])

    def settle(self, seconds: float = WRITE_SECONDS) -> None:
        """Wait until it is written, as it mostly is by now. What is not in time is numbered by what is known."""
        written, self.written = self.written, None
        if written is None:
            return
        write, place = written
        with suppress(FutureTimeoutError):
            numbers = write.result(timeout=seconds)
            if numbers is not None:
                self.number = numbers[place]

    def record(self) -> None:
        """Write an attempt that has failed and was not written before."""
        self.settle()
        if self.number is None or not self.recorded:
            self.recorded = True
            self.number = None
            self._running.begin([self])

    def take_back(self) -> None:
        """Uncount this attempt: it was cut off, by no fault of the request."""
        self._running.take_back([self])


class RunningAttempts:
    """The attempts that this process works on, and the threads that write them; all in one store. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_request: dict[str, list[Attempt]] = {}
        self._of_thread = threading.local()
        self._writer = ThreadPoolExecutor(max_workers=2, thread_name_prefix="attempts")

    @contextmanager
    def running(self, attempt: Attempt) -> Iterator[bool]:
        """While this lasts, `begin_requests` finds the attempt by its request's id; `here` gives it afterwards, too.

        Gives False when another delivery of the same generation is here already: one that came again because its lease
        was lost, or because a link was sent twice.
        """
        self._of_thread.attempt = attempt
        with self._lock:
            same = self._by_request.setdefault(attempt.start.task_id, [])
            first = all(other.generation != attempt.generation for other in same)
            same.append(attempt)
        try:
            yield first
        finally:
            with self._lock:
                same.remove(attempt)
                if not same:
                    del self._by_request[attempt.start.task_id]

    def here(self) -> Attempt | None:
        """The attempt of the delivery that this thread works on, or has worked on last."""
        return getattr(self._of_thread, "attempt", None)

    def begin_requests(self, task_ids: Sequence[str], before: bool) -> None:
        """Begin the attempts of these running requests; the engine calls it when their batch starts. Never raises.

        `before` it does, this waits until they are written; else it does not block.
        """
        with self._lock:
            attempts = [attempt for task_id in task_ids for attempt in self._by_request.get(task_id, ())]
        self.begin(attempts, wait=before)

    def begin(self, attempts: Sequence[Attempt], *, wait: bool = True) -> None:
        """Number these attempts, in one write, unless they have begun."""
        beginning = [attempt for attempt in attempts if attempt.number is None]
        for attempt in beginning:
            attempt.number = attempt.known + 1
        written = [attempt for attempt in beginning if attempt.store is not None and attempt.recorded]
        if not written or (store := written[0].store) is None:
            return
        try:
            write = self._writer.submit(_write, store, [attempt.start for attempt in written])
        except RuntimeError as error:  # the process ends
            logger.warning("%d attempts could not be written: %r", len(written), error)
            return
        for place, attempt in enumerate(written):
            attempt.written = write, place
        if wait:
            done, _ = wait_for([write], timeout=WRITE_SECONDS)
            if not done:
                logger.warning("%d attempts begin before they are written: the store is slow", len(written))
            for attempt in written:
                attempt.settle(0.0)

    def take_back(self, attempts: Sequence[Attempt]) -> None:
        """Uncount these, in one write, as far as they have begun: they were cut off, by no fault of their requests."""
        for attempt in attempts:
            attempt.settle()  # or it would be written after it is taken back
        counted = [attempt for attempt in attempts if attempt.number is not None and attempt.recorded]
        if not counted or (store := counted[0].store) is None:
            return
        try:
            store.take_back_attempts([attempt.start for attempt in counted])
        except StoreUnavailable as error:
            ids = ", ".join(attempt.start.task_id for attempt in counted)
            logger.warning("attempts that were cut off stay counted, of %s: %s", ids, error)

    def take_back_all(self) -> None:
        """Uncount whatever runs in this process, which is about to be ended. Blocks for as long as the store does."""
        with self._lock:
            running = [attempt for same in self._by_request.values() for attempt in same]
        self.take_back(running)


def generation_of(request: Any) -> int:
    """The generation of the running request; 0 if it was never redriven."""
    return int(getattr(request, "inference_generation", None) or 0)


def _write(store: ResultStore, starts: list[Start]) -> list[int] | None:
    """In a thread of its own. Their numbers; None when the store is away, or cannot take what is written in them."""
    try:
        return store.begin_attempts(starts)
    except StoreUnavailable as error:
        logger.warning("%d attempts could not be written: %s", len(starts), error)
    except Exception:
        logger.exception("%d attempts could not be written", len(starts))
    return None
