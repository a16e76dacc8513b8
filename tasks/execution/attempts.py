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

from celery_inference.results.protocol import ResultStore, Start, StoreUnavailable
from celery_inference.sqs.lanes import Lane

logger = get_logger(__name__)

# A batch waits no longer for its attempts to be written: a store that is away must not idle a GPU.
WRITE_SECONDS = 2.0

Recording = Literal["every", "redelivered"]

_lock = threading.Lock()
_running: dict[str, list["Attempt"]] = {}
_here = threading.local()
_writer = ThreadPoolExecutor(max_workers=2, thread_name_prefix="attempts")


class Attempt:
    """What one delivery of a request knows of its attempts; made when the delivery reaches its thread.

    `number` is this attempt's, from 1, once it has begun. `known` counts those before it, as far as they were read.
    """

    def __init__(self, request: Any, store: ResultStore | None, *, lane: Lane, recording: Recording) -> None:
        delivery = (request.properties or {}).get("delivery_info") or {}
        self.store = store
        self.lane = lane
        self.deliveries = int(delivery.get("delivery_count", 1))
        self.returns = int(delivery.get("returns", 0))
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
        self._written: tuple[Future[list[int] | None], int] | None = None  # its place in a write that is under way

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
        begin([self])

    def settle(self, seconds: float = WRITE_SECONDS) -> None:
        """Wait until it is written, as it mostly is by now. What is not in time is numbered by what is known."""
        written, self._written = self._written, None
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
            begin([self])

    def take_back(self) -> None:
        """Uncount this attempt: it was cut off, by no fault of the request."""
        take_back([self])

    @contextmanager
    def running(self) -> Iterator[bool]:
        """While this lasts, `begin_requests` finds the attempt by its request's id.

        Gives False when another delivery of the same generation is here already: one that came again because its lease
        was lost, or because a link was sent twice.
        """
        with _lock:
            same = _running.setdefault(self.start.task_id, [])
            first = all(other.generation != self.generation for other in same)
            same.append(self)
        try:
            yield first
        finally:
            with _lock:
                same = _running[self.start.task_id]
                same.remove(self)
                if not same:
                    del _running[self.start.task_id]


def generation_of(request: Any) -> int:
    """The generation of the running request; 0 if it was never redriven."""
    return int(getattr(request, "inference_generation", None) or 0)


def set_here(attempt: Attempt | None) -> None:
    """Remember the attempt of the delivery that this thread works on."""
    _here.attempt = attempt


def here() -> Attempt | None:
    """The attempt of the delivery that this thread works on, or has worked on last."""
    return getattr(_here, "attempt", None)


def begin_requests(task_ids: Sequence[str], before: bool) -> None:
    """Begin the attempts of these running requests; the engine calls it when their batch starts. Never raises.

    `before` it does, this waits until they are written; else it does not block.
    """
    with _lock:
        attempts = [attempt for task_id in task_ids for attempt in _running.get(task_id, ())]
    begin(attempts, wait=before)


def begin(attempts: Sequence[Attempt], *, wait: bool = True) -> None:
    """Number these attempts, in one write, unless they have begun."""
    by_store: dict[int, tuple[ResultStore, list[Attempt]]] = {}
    for attempt in attempts:
        if attempt.number is not None:
            continue
        attempt.number = attempt.known + 1
        if attempt.store is not None and attempt.recorded:
            by_store.setdefault(id(attempt.store), (attempt.store, []))[1].append(attempt)
    for store, written in by_store.values():
        try:
            write = _writer.submit(_write, store, [attempt.start for attempt in written])
        except RuntimeError as error:  # the process ends
            logger.warning("%d attempts could not be written: %r", len(written), error)
            continue
        for place, attempt in enumerate(written):
            attempt._written = write, place
        if wait:
            done, _ = wait_for([write], timeout=WRITE_SECONDS)
            if not done:
                logger.warning("%d attempts begin before they are written: the store is slow", len(written))
            for attempt in written:
                attempt.settle(0.0)


def take_back(attempts: Sequence[Attempt]) -> None:
    """Uncount these, in one write, as far as they have begun: they were cut off, by no fault of their requests."""
    by_store: dict[int, tuple[ResultStore, list[Start]]] = {}
    for attempt in attempts:
        attempt.settle()  # or it would be written after it is taken back
        if attempt.number is not None and attempt.store is not None and attempt.recorded:
            by_store.setdefault(id(attempt.store), (attempt.store, []))[1].append(attempt.start)
    for store, starts in by_store.values():
        try:
            store.take_back_attempts(starts)
        except StoreUnavailable as error:
            ids = ", ".join(start.task_id for start in starts)
            logger.warning("attempts that were cut off stay counted, of %s: %s", ids, error)


def take_back_all() -> None:
    """Uncount whatever runs in this process, which is about to be ended. Blocks for as long as the store does."""
    with _lock:
        running = [attempt for same in _running.values() for attempt in same]
    take_back(running)


def _write(store: ResultStore, starts: list[Start]) -> list[int] | None:
    """In a thread of its own. Their numbers; None when the store is away, or cannot take what is written in them."""
    try:
        return store.begin_attempts(starts)
    except StoreUnavailable as error:
        logger.warning("%d attempts could not be written: %s", len(starts), error)
    except Exception:
        logger.exception("%d attempts could not be written", len(starts))
    return None
