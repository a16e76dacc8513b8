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
QUEUE_DEPTHS_AGE_SECONDS = Metric(
    "queue_depths_age_seconds",
    GaugeMetricFamily,
    (),
    "Age of all queue_messages values: seconds since SQS last answered. Absent until its first answer.",
)
QUEUE_DEPTHS_FAILED_ROUNDS_TOTAL = Metric(
    "queue_depths_failed_rounds_total",
    CounterMetricFamily,
    (),
    "Rounds of reading the depths that SQS failed; queue_messages then keep their last values.",
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
    QUEUE_DEPTHS_AGE_SECONDS,
    QUEUE_DEPTHS_FAILED_ROUNDS_TOTAL,
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
        """The families with the values of the last reading."""
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
        age = QUEUE_DEPTHS_AGE_SECONDS.family()
        if report.age_seconds is not None:
            age.add_metric([], report.age_seconds)
        failed = QUEUE_DEPTHS_FAILED_ROUNDS_TOTAL.family()
        failed.add_metric([], report.failed_rounds)
        yield from (messages, dead_letters, drain, age, failed)
