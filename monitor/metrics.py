"""Our figures on Flower's `/metrics`: one closed vocabulary, documented in docs/metrics.md."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from monitor.depth_report import DepthReport


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name as scraped, its labels and what it means."""

    name: str
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily]
    labels: tuple[str, ...]
    meaning: str

    def family(self) -> GaugeMetricFamily | CounterMetricFamily:
        """An empty family to add values to."""
        # prometheus_client itself adds the counter's `_total`.
        return self.kind(self.name.removesuffix("_total"), self.meaning, labels=self.labels)


QUEUE_MESSAGES = Metric(
    "queue_messages",
    GaugeMetricFamily,
    ("queue", "state"),
    "Messages in a queue as SQS last counted them; state is visible, in_flight or delayed.",
)
LANE_DEPTHS_AGE_SECONDS = Metric(
    "lane_depths_age_seconds",
    GaugeMetricFamily,
    ("lane",),
    "Age of a lane's other values: seconds since SQS last answered. Absent until its first answer.",
)
LANE_DEPTHS_FAILED_ROUNDS_TOTAL = Metric(
    "lane_depths_failed_rounds_total",
    CounterMetricFamily,
    ("lane",),
    "Rounds in which a lane's depths could not be read; its values then stay.",
)
LANE_DEAD_LETTERS = Metric(
    "lane_dead_letters",
    GaugeMetricFamily,
    ("lane",),
    "Messages in a lane's dead-letter queue, whatever their state.",
)
LANE_DRAIN_SECONDS = Metric(
    "lane_drain_seconds",
    GaugeMetricFamily,
    ("lane",),
    "Drain time: seconds until the lane is empty at the speed of the last minute; 0 when it is empty. "
    "Absent while it is not draining.",
)

VOCABULARY = (
    QUEUE_MESSAGES,
    LANE_DEPTHS_AGE_SECONDS,
    LANE_DEPTHS_FAILED_ROUNDS_TOTAL,
    LANE_DEAD_LETTERS,
    LANE_DRAIN_SECONDS,
)


class DepthCollector(Collector):
    """Turns the current report into metrics whenever Prometheus asks; makes no call to SQS."""

    def __init__(self, report: Callable[[], DepthReport]) -> None:
        self._report = report

    def describe(self) -> Iterator[Family]:
        """The families without values; registering asks for them."""
        return (metric.family() for metric in VOCABULARY)

    def collect(self) -> Iterator[Family]:
        """The families with the values of the last readings."""
        report = self._report()
        messages = QUEUE_MESSAGES.family()
        dead_letters = LANE_DEAD_LETTERS.family()
        drain = LANE_DRAIN_SECONDS.family()
        for queue in report.queues:
            for state in ("visible", "in_flight", "delayed"):
                if (count := getattr(queue, state)) is not None:
                    messages.add_metric([queue.name, state], count)
            if queue.dead_letters and queue.messages is not None:
                dead_letters.add_metric([queue.lane], queue.messages)
            if queue.drain_seconds is not None:
                drain.add_metric([queue.lane], queue.drain_seconds)
        age = LANE_DEPTHS_AGE_SECONDS.family()
        failed = LANE_DEPTHS_FAILED_ROUNDS_TOTAL.family()
        for lane in report.lanes:
            if lane.age_seconds is not None:
                age.add_metric([lane.name], lane.age_seconds)
            failed.add_metric([lane.name], lane.failed_rounds)
        yield from (messages, dead_letters, drain, age, failed)
