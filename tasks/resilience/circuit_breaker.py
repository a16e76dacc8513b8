"""Stops the consumption of lanes that pass their limit on dead letters, here and in the whole fleet.

Which lanes are paused lives in the result store. A lane is taken up again by `celery-inference lanes resume NAME`, or
by a worker that is started after the stop; once such a worker has done enough of the lane's requests well, the others
follow it.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from celery.utils.log import get_logger

from celery_inference.client.expiry import losing
from celery_inference.log_events import event
from celery_inference.results.access import index_of
from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.dead_letters.index import DeadLetterIndex, LanePause
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.dead_letters.writer import listen
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages.reason import Cause
from tasks.resilience.failure_rate import HOUR_SECONDS, FailureRate
from tasks.resilience.lane_pauses import LanePauses
from tasks.resilience.request_ages import RequestAges

logger = get_logger(__name__)

REASON = "dead letters"
ROUND_SECONDS = 2.0
REMIND_SECONDS = 600.0


class CircuitBreaker:
    """The lanes of one worker. `record_outcome` may be called from any thread; `round` is one thread's.

    `pause` and `resume` stop and take up the consumption of a lane in this worker, and do not block. `index` is None
    where the result store keeps none: then each worker decides for itself. By `ages` it says when messages are lost.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        limits: Mapping[str, FailureRate],
        index: DeadLetterIndex | None,
        *,
        name: str,
        pause: Callable[[str], None],
        resume: Callable[[str], None],
        ages: RequestAges | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lanes = {lane.name: lane for lane in lanes}
        self._limits = limits
        self._index = index
        self._name = name
        self._pause = pause
        self._consume_again = resume
        self._ages = ages or RequestAges()
        self._clock = clock
        self._began = dict.fromkeys(limits, clock())
        self._stopped: dict[str, LanePause] = {}
        self._untold: set[str] = set()
        self._letters: Counter[tuple[str, Cause]] = Counter()
        self._said_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._faults = FaultLog()
        self._wake = threading.Event()

    @property
    def lanes(self) -> list[str]:
        """The names of its lanes."""
        return list(self._lanes)

    @property
    def stopped(self) -> dict[str, LanePause]:
        """The lanes that this worker does not consume."""
        return dict(self._stopped)

    def record_outcome(self, lane: str, *, dead: bool) -> None:
        """A request of this lane ended: as a dead letter whose cause pauses lanes, or otherwise."""
        limit = self._limits.get(lane)
        if limit is None:
            return
        with self._lock:
            limit.record_outcome(dead=dead)
            why = limit.passed() if dead else None
        if why is not None and lane not in self._stopped:
            self._stop(LanePause(lane, self._clock(), self._name, why))

    def count_dead_letter(self, letter: DeadLetter) -> None:
        """This worker has written a dead letter."""
        if (reason := letter.reason) is None or not reason.lane:
            return
        self.count_found(reason.lane, reason.stated_cause)
        if reason.stated_cause.stops_lane:
            self.record_outcome(reason.lane, dead=True)

    def count_found(self, lane: str, cause: Cause) -> None:
        """The reconciler of this worker has filed a dead letter that SQS moved."""
        with self._lock:
            self._letters[lane, cause] += 1

    def dead_letters(self) -> dict[str, dict[str, int]]:
        """The dead letters that were counted, by lane and cause; 0 for what was not yet, so that rates begin there."""
        with self._lock:
            counted = dict(self._letters)
        zeros = dict.fromkeys(((lane, cause) for lane in self._lanes for cause in Cause), 0)
        found: dict[str, dict[str, int]] = {}
        for (lane, cause), count in (zeros | counted).items():
            found.setdefault(lane, {})[str(cause)] = count
        return found

    def start(self) -> None:
        """Look at the store from now on, in a thread of its own."""
        threading.Thread(target=self._run, name="circuit-breaker", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._wake.wait(ROUND_SECONDS if self._index is None else self._index.look_seconds)
            self._wake.clear()
            try:
                self.round()
                self._faults.succeeded("asking which lanes are paused")
            except OSError as error:
                self._faults.failed("asking which lanes are paused", error)
            except Exception:
                logger.exception("lanes could not be watched; trying again")

    def _stop(self, stop: LanePause, *, ours: bool = True) -> None:
        with self._lock:
            if stop.lane in self._stopped:
                return
            self._stopped[stop.lane] = stop
            if ours:
                self._untold.add(stop.lane)
        self._pause(stop.lane)
        self._say(stop)
        self._wake.set()

    def _say(self, stop: LanePause) -> None:
        self._said_at[stop.lane] = self._clock()
        logger.error(
            "lane %s is paused: %s (found by %s). Mend the cause, then take it up again with"
            " `celery-inference lanes resume %s` or a restart. Its messages wait: %s",
            stop.lane,
            stop.why,
            stop.by,
            stop.lane,
            losing(self._lanes[stop.lane], self._ages.oldest_waiting(self._lanes[stop.lane], stop.since)),
            extra=event("lane_paused", lane=stop.lane, cause=stop.why, worker=stop.by),
        )

    def round(self) -> None:
        """Tell the store what was stopped here, and do what it says. Raises OSError when it is away."""
        for lane, stop in self.stopped.items():
            if self._clock() - self._said_at[lane] > REMIND_SECONDS:
                self._say(stop)
        if self._index is None:
            return
        for lane in list(self._untold):
            self._index.pause(self._stopped[lane])
            self._untold.discard(lane)
        stops = {each.lane: each for each in self._index.pauses()}
        for lane, limit in self._limits.items():
            found = stops.get(lane)
            if lane in self._stopped:
                if found is None:
                    self._resume(lane)
            elif found is not None and found.since > self._began[lane]:
                self._stop(found, ours=False)
            elif found is not None and self._is_proven(lane):
                logger.warning("lane %s works again in this worker; the others take it up, too", lane)
                self._index.resume(lane)
            else:
                since = max(self._clock() - HOUR_SECONDS, self._began[lane])
                why = limit.too_many(self._index.failures_since(lane, since))
                if why is not None:
                    self._stop(LanePause(lane, self._clock(), self._name, why))

    def _is_proven(self, lane: str) -> bool:
        with self._lock:
            return self._limits[lane].proven

    def _resume(self, lane: str) -> None:
        with self._lock:
            del self._stopped[lane]
            self._limits[lane].reset()
            self._began[lane] = self._clock()
        logger.warning("lane %s is taken up again", lane, extra=event("lane_resumed", lane=lane))
        self._consume_again(lane)


def start_circuit_breaker(
    app: Any, lanes: Sequence[Lane], pauses: LanePauses, ages: RequestAges, name: str
) -> CircuitBreaker:
    """From now on, stop those of these lanes of the worker of this name that pass their limit by the settings."""
    conf = app.conf
    limits = {
        lane.name: FailureRate(
            share=conf.inference_dead_letter_share,
            least=conf.inference_dead_letter_least,
            an_hour=conf.inference_dead_letters_an_hour,
            clock=time.monotonic,
        )
        for lane in lanes
    }
    breaker = CircuitBreaker(
        lanes,
        limits,
        index_of(app),
        name=name,
        pause=partial(pauses.pause, reason=REASON),
        resume=partial(pauses.resume, reason=REASON),
        ages=ages,
    )
    breaker.start()
    listen(breaker.count_dead_letter)
    return breaker
