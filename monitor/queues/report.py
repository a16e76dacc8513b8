"""What pages, API and metrics tell of the queues, made from the watch's last readings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues.depths import Depth
from monitor import formatting
from monitor.queues.drain_time import drain_seconds
from monitor.queues.history import History
from monitor.queues.oldest_age import span_of_age
from monitor.queues.sample import Sample
from monitor.queues.watcher import DepthWatch, LaneDepths


@dataclass(frozen=True, slots=True)
class QueueReport:
    """One queue, in messages. `messages` is the sum, Flower's own word.

    Counts are None where SQS has not told yet, or says that the queue does not exist: then `missing` is set.
    """

    name: str
    lane: str
    dead_letters: bool
    missing: bool = False
    messages: int | None = None
    visible: int | None = None
    in_flight: int | None = None
    delayed: int | None = None
    oldest_at_least_seconds: float | None = None
    oldest_at_most_seconds: float | None = None
    oldest: str | None = None
    drain_seconds: float | None = None
    drain: str | None = None


@dataclass(frozen=True, slots=True)
class LaneReport:
    """How old the figures of one lane's queues are."""

    name: str
    age_seconds: float | None
    stale: bool
    failure: str | None
    failed_rounds: int


@dataclass(frozen=True, slots=True)
class DepthReport:
    """All queues of all lanes, whatever SQS says, and how old the figures are."""

    queues: Sequence[QueueReport]
    lanes: Sequence[LaneReport]

    @property
    def stale_lanes(self) -> list[str]:
        """Names of the lanes whose figures may no longer be true."""
        return [lane.name for lane in self.lanes if lane.stale]

    @property
    def age_seconds(self) -> float | None:
        """Age of the oldest figures, None as long as SQS has answered for no lane."""
        return max((lane.age_seconds for lane in self.lanes if lane.age_seconds is not None), default=None)

    @property
    def failures(self) -> list[str]:
        """What went wrong with each lane that could not be read in the latest round."""
        return [f"{lane.name}: {lane.failure}" for lane in self.lanes if lane.failure is not None]

    @property
    def freshness(self) -> str:
        """How old the figures are, in words."""
        return formatting.freshness(self.age_seconds, self.stale_lanes, len(self.lanes))

    def total(self, state: str, dead_letters: bool = False) -> int | None:
        """The sum over all lanes, or over their dead-letter queues; None when no queue is known yet."""
        counts = [getattr(queue, state) for queue in self.queues if queue.dead_letters == dead_letters]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    def as_json(self) -> dict[str, Any]:
        """The answer of `/api/queues/length`: Flower's `active_queues` and our figures."""
        return {
            "active_queues": [asdict(queue) for queue in self.queues],
            "lanes": [asdict(lane) for lane in self.lanes],
            "stale": bool(self.stale_lanes),
            "failures": self.failures,
            "freshness": self.freshness,
        }


class DepthReporter:
    """Watches the lanes, remembers, and makes reports; callable from any thread.

    `read` asks SQS for one lane; it runs in the thread of `watch`, once that is started. `held_ages` is set to what
    gives, by lane, the age of the oldest message that workers lately held; None where they do not tell.
    """

    def __init__(self, lanes: Sequence[Lane], read: Callable[[Lane], Sequence[Depth]]) -> None:
        self._lanes = tuple(lanes)
        self._history = History()
        self.held_ages: Callable[[], Mapping[str, float] | None] = lambda: None
        self.watch = DepthWatch(lanes, read, on_reading=self._remember)

    def _remember(self, reading: LaneDepths) -> None:
        if reading.read_at_seconds is not None:
            self._history.add(reading.read_at_seconds, reading.depths, self.held_ages())

    def report(self) -> DepthReport:
        """The depths as they are known now; never blocks. Who asks counts as looking, see
        `monitor.queues.poll_interval`."""
        self.watch.look()
        now_seconds = self.watch.now_seconds()
        queues: list[QueueReport] = []
        lanes: list[LaneReport] = []
        for lane in self._lanes:
            reading = self.watch.reading(lane)
            age_seconds, stale = reading.age_seconds(now_seconds), reading.stale(now_seconds)
            queues += self._queues(lane, reading, stale)
            lanes.append(
                LaneReport(
                    lane.name,
                    None if age_seconds is None else round(age_seconds, 1),
                    stale,
                    reading.failure,
                    reading.failed_rounds,
                )
            )
        return DepthReport(tuple(queues), tuple(lanes))

    def history_json(self, coarse: bool) -> dict[str, Any]:
        """The answer of `/api/queues/history`: for each queue rows of seconds ago, visible, in flight, delayed.

        `coarse` chooses the peaks of each minute of the last hours instead of all readings of the last minutes.
        """
        now_seconds = self.watch.now_seconds()
        samples_of = self._history.coarse if coarse else self._history.fine
        return {
            "history": [
                {
                    "name": name,
                    "lane": lane.name,
                    "dead_letters": dead_letters,
                    "samples": [_row(sample, now_seconds) for sample in samples_of(name)],
                }
                for lane in self._lanes
                for name, dead_letters in _names(lane)
            ]
        }

    def _queues(self, lane: Lane, reading: LaneDepths, stale: bool) -> Iterator[QueueReport]:
        for name, dead_letters in _names(lane):
            depth = next((depth for depth in reading.depths if depth.queue == name), None)
            if depth is None or depth.missing:
                yield QueueReport(name, lane.name, dead_letters, missing=depth is not None)
                continue
            oldest = self._history.oldest_age(name)
            # Nobody knows the speed of now from figures of then, and a dead-letter queue has none.
            seconds = None if stale or dead_letters else drain_seconds(self._history.fine(name))
            yield QueueReport(
                name,
                lane.name,
                dead_letters,
                messages=depth.total,
                visible=depth.visible,
                in_flight=depth.in_flight,
                delayed=depth.delayed,
                oldest_at_least_seconds=None if oldest is None else round(oldest.at_least, 1),
                oldest_at_most_seconds=None if oldest is None or oldest.at_most is None else round(oldest.at_most, 1),
                oldest=span_of_age(oldest),
                drain_seconds=seconds,
                drain=formatting.drain(seconds),
            )


def _names(lane: Lane) -> tuple[tuple[str, bool], tuple[str, bool]]:
    return (lane.queue.name, False), (lane.dead_letter_queue.name, True)


def _row(sample: Sample, now_seconds: float) -> tuple[float, int, int, int]:
    return (round(now_seconds - sample.at_seconds, 1), sample.visible, sample.in_flight, sample.delayed)
