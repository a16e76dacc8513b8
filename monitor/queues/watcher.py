"""One reader of the queues' depths for all who look: pages, API and metrics share its last readings."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues.depths import Depth
from monitor.queues.poll_interval import INTERVAL_SECONDS, UNSEEN_SECONDS, PollInterval

logger = logging.getLogger(__name__)

# The rarest rounds, and a slow answer: that is no news yet.
STALE_AFTER_SECONDS = UNSEEN_SECONDS + 15.0
_MAX_FAILURE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class LaneDepths:
    """One lane's depths as last read, and what has gone wrong since. Times are of the watch's clock."""

    depths: tuple[Depth, ...] = ()  # of the lane's queue and DLQ; empty before the first answer
    read_at_seconds: float | None = None
    failure: str | None = None  # of the latest round, None when it succeeded
    failed_rounds: int = 0  # since the start

    def age_seconds(self, now_seconds: float) -> float | None:
        """Seconds since SQS last answered, None when it never has."""
        return None if self.read_at_seconds is None else max(0.0, now_seconds - self.read_at_seconds)

    def stale(self, now_seconds: float) -> bool:
        """Whether the depths may no longer be true: the last round failed, or answers are overdue."""
        age_seconds = self.age_seconds(now_seconds)
        return self.failure is not None or age_seconds is None or age_seconds > STALE_AFTER_SECONDS


class DepthWatch:
    """A thread that reads each lane's depths as often as `monitor.queues.poll_interval` says, and keeps the last
    answers.

    `read` asks for one lane and may block or raise: what it raises becomes part of that lane's reading, the
    depths read before stay, and other lanes are read all the same. `on_reading` is called in the watch's
    thread with each lane that was read.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        read: Callable[[Lane], Sequence[Depth]],
        on_reading: Callable[[LaneDepths], None] = lambda reading: None,
        clock: Callable[[], float] = time.monotonic,
        pace: PollInterval | None = None,
    ) -> None:
        self._readings = {lane.name: LaneDepths() for lane in lanes}
        self._lanes = tuple(lanes)
        self._read = read
        self._on_reading = on_reading
        self._clock = clock
        self._pace = pace or PollInterval()
        self._round_at = 0.0
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="queue-depths", daemon=True)

    def reading(self, lane: Lane) -> LaneDepths:
        """The lane's last reading; never blocks, callable from any thread."""
        return self._readings[lane.name]

    def now_seconds(self) -> float:
        """The watch's clock, for the age of a reading."""
        return self._clock()

    def look(self) -> None:
        """Somebody sees the readings. Never blocks; if rounds had become rare, the next one comes now."""
        now = self._clock()
        self._pace.looked_at = now
        if now - self._round_at > INTERVAL_SECONDS:
            self._wake.set()

    def move(self) -> None:
        """Somebody says that messages move, before a reading shows it. Never blocks."""
        self._pace.changed_at = self._clock()
        self._wake.set()

    def start(self) -> None:
        """Begin to read, at once and then every interval."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more. Does not wait for a call to SQS that is under way: the thread is a daemon."""
        self._stopping.set()
        self._wake.set()

    def read_once(self) -> None:
        """Make one round over all lanes in the calling thread. The watch's thread does this; tests may."""
        self._round_at = self._clock()
        for lane in self._lanes:
            if self._stopping.is_set():
                return
            self._read_lane(lane)

    def _read_lane(self, lane: Lane) -> None:
        before = self._readings[lane.name]
        try:
            depths = tuple(self._read(lane))
        except Exception as error:  # whatever it was, the page must say so and the next round must come
            failure = _one_line(error)
            self._readings[lane.name] = LaneDepths(
                before.depths, before.read_at_seconds, failure, before.failed_rounds + 1
            )
            if before.failure is None:
                logger.warning("Depths of lane %s cannot be read, the last ones stay: %s", lane.name, failure)
            return
        reading = LaneDepths(depths, self._clock(), None, before.failed_rounds)
        self._readings[lane.name] = reading
        if before.depths != depths:
            self._pace.changed_at = self._clock()
        if before.failure is not None:
            logger.info("Depths of lane %s are read again", lane.name)
        self._on_reading(reading)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            self.read_once()
            # A look shortens the wait, and what calls for a round at once comes at the usual interval all the same.
            while not self._stopping.is_set() and (left := self._seconds_left()) > 0:
                self._wake.wait(left)
                self._wake.clear()

    def _seconds_left(self) -> float:
        now = self._clock()
        return self._round_at + self._pace.interval_seconds(now) - now


def _one_line(error: Exception) -> str:
    # Our own errors are sentences already.
    said = str(error) if isinstance(error, SqsError) else f"{type(error).__name__}: {error}"
    text = " ".join(said.split())
    return text if len(text) <= _MAX_FAILURE_CHARACTERS else text[: _MAX_FAILURE_CHARACTERS - 1] + "…"
