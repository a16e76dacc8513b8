"""Our figures on Flower's `/metrics`, by the names of `monitor.metric_names`; nothing here asks SQS."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from monitor.metric_names import (
    DEPTHS,
    DEVICE_MEMORY_BYTES,
    DEVICE_RESTARTS_TOTAL,
    FIGURES,
    LANE_DEAD_LETTERS,
    LANE_DEPTHS_AGE_SECONDS,
    LANE_DEPTHS_FAILED_ROUNDS_TOTAL,
    LANE_DRAIN_SECONDS,
    LANE_RECEIVED_AGE_SECONDS,
    MODEL_MEMORY_BYTES,
    MODEL_MEMORY_LIMIT_TOKENS,
    MODEL_TOTALS,
    QUEUE_MESSAGES,
    QUEUE_OLDEST_AGE_SECONDS,
)
from monitor.queues.report import DepthReport
from monitor.workers.device_rows import device_rows, placed_models
from monitor.workers.stats import StatsEvent, WorkerStats


class DepthCollector(Collector):
    """Turns the current report into metrics whenever Prometheus asks; makes no call to SQS."""

    def __init__(self, report: Callable[[], DepthReport]) -> None:
        self._report = report

    def describe(self) -> Iterator[Family]:
        """The families without values; registering asks for them."""
        return (metric.family() for metric in DEPTHS)

    def collect(self) -> Iterator[Family]:
        """The families with the values of the last readings."""
        report = self._report()
        messages = QUEUE_MESSAGES.family()
        dead_letters = LANE_DEAD_LETTERS.family()
        drain, oldest = LANE_DRAIN_SECONDS.family(), QUEUE_OLDEST_AGE_SECONDS.family()
        for queue in report.queues:
            for state in ("visible", "in_flight", "delayed"):
                if (count := getattr(queue, state)) is not None:
                    messages.add_metric([queue.name, state], count)
            if queue.dead_letters and queue.messages is not None:
                dead_letters.add_metric([queue.lane], queue.messages)
            for bound in ("at_least", "at_most"):
                if (age_seconds := getattr(queue, f"oldest_{bound}_seconds")) is not None:
                    oldest.add_metric([queue.name, bound], age_seconds)
            if queue.drain_seconds is not None:
                drain.add_metric([queue.lane], queue.drain_seconds)
        age = LANE_DEPTHS_AGE_SECONDS.family()
        failed = LANE_DEPTHS_FAILED_ROUNDS_TOTAL.family()
        for lane in report.lanes:
            if lane.age_seconds is not None:
                age.add_metric([lane.name], lane.age_seconds)
            failed.add_metric([lane.name], lane.failed_rounds)
        yield from (messages, dead_letters, drain, oldest, age, failed)


class StatsCollector(Collector):
    """Turns what workers have told of their models and devices into metrics."""

    def __init__(self, stats: WorkerStats) -> None:
        self._figures = stats

    def describe(self) -> Iterator[Family]:
        """The families without values; registering asks for them."""
        return (metric.family() for metric in FIGURES)

    def collect(self) -> Iterator[Family]:
        """The families with the values of each worker's last heartbeat."""
        totals = {name: metric.family() for name, metric in MODEL_TOTALS.items()}
        ages = LANE_RECEIVED_AGE_SECONDS.family()
        for lane, seconds in self._figures.reported_ages().items():
            ages.add_metric([lane], seconds)
        latest = self._figures.latest()
        for reported in latest:
            for model, sums in reported.models.items():
                for name, family in totals.items():
                    if name in sums:
                        family.add_metric([reported.worker, model], sums[name])
        yield from (ages, *_device_families(latest), *totals.values())


def _device_families(latest: Sequence[StatsEvent]) -> tuple[Family, ...]:
    """Restarts, memory and memory limits."""
    restarts, memory = DEVICE_RESTARTS_TOTAL.family(), DEVICE_MEMORY_BYTES.family()
    for row in device_rows(latest):
        if row.restarts is not None:
            restarts.add_metric([row.worker, row.device], row.restarts)
        for kind, size in row.memory.items():
            memory.add_metric([row.worker, row.device, kind], size)
    of_models, memory_limits = MODEL_MEMORY_BYTES.family(), MODEL_MEMORY_LIMIT_TOKENS.family()
    for placed in placed_models(latest):
        labels = [placed.worker, placed.device, placed.model]
        for kind, size in placed.memory.items():
            of_models.add_metric([*labels, kind], size)
        for least, tokens in placed.memory_limits:
            memory_limits.add_metric([*labels, str(least)], tokens)
    return restarts, memory, of_models, memory_limits
