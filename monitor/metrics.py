"""Our samples on Flower's `/metrics`; nothing here asks SQS."""

from collections.abc import Callable, Iterator

from flower.views.monitor import Metrics as FlowerMetrics

from celery_inference.metrics import table
from celery_inference.metrics.exposition import Exposition, Sample
from celery_inference.sqs.messages.reason import Cause
from monitor.queues.report import DepthReport
from monitor.workers.device_rows import device_rows, placed_models
from monitor.workers.stats import StatsEvent, WorkerStats


class MetricsPage(FlowerMetrics):
    """`/metrics`: Flower's own, and ours after them. Like Flower's, it needs no login."""

    async def get(self) -> None:
        """Both in Prometheus's text format."""
        await super().get()
        self.write(self.application.metrics.text())


def exposition_of(report: Callable[[], DepthReport], stats: WorkerStats) -> Exposition:
    """What Flower serves: the last readings of the queues, and each worker's last heartbeat."""
    return Exposition("flower", lambda: depth_samples(report()), lambda: worker_samples(stats))


def depth_samples(report: DepthReport) -> Iterator[Sample]:
    """What is known of the queues; what is not known is absent."""
    for queue in report.queues:
        for state in ("visible", "in_flight", "delayed"):
            if (count := getattr(queue, state)) is not None:
                yield table.QUEUE_MESSAGES, (queue.name, state), count
        if queue.dead_letters and queue.messages is not None:
            yield table.LANE_DEAD_LETTERS, (queue.lane,), queue.messages
        for bound in ("at_least", "at_most"):
            if (age_seconds := getattr(queue, f"oldest_{bound}_seconds")) is not None:
                yield table.QUEUE_OLDEST_AGE, (queue.name, bound), age_seconds
        if queue.drain_seconds is not None:
            yield table.LANE_DRAIN, (queue.lane,), queue.drain_seconds
    for lane in report.lanes:
        if lane.age_seconds is not None:
            yield table.LANE_DEPTHS_AGE, (lane.name,), lane.age_seconds
        yield table.LANE_DEPTHS_FAILED_ROUNDS, (lane.name,), lane.failed_rounds


def worker_samples(stats: WorkerStats) -> Iterator[Sample]:
    """What workers have told of their models and devices."""
    for lane, seconds in stats.reported_ages().items():
        yield table.LANE_RECEIVED_AGE, (lane,), seconds
    latest = stats.latest()
    for reported in latest:
        for model, totals in reported.models.items():
            for name, metric in table.MODEL_TOTALS.items():
                if name in totals:
                    yield metric, (reported.worker, model), totals[name]
        yield from _dead_letters(reported)
    for row in device_rows(latest):
        if row.restarts is not None:
            yield table.DEVICE_RESTARTS, (row.worker, row.device), row.restarts
        for kind, size in row.memory.items():
            yield table.DEVICE_MEMORY, (row.worker, row.device, kind), size
    for placed in placed_models(latest):
        labels = placed.worker, placed.device, placed.model
        for kind, size in placed.memory.items():
            yield table.MODEL_MEMORY, (*labels, kind), size
        for least, tokens in placed.memory_limits:
            yield table.MODEL_MEMORY_LIMIT, (*labels, str(least)), tokens


def _dead_letters(reported: StatsEvent) -> Iterator[Sample]:
    for lane, causes in reported.dead_letters.items():
        for cause, count in causes.items():
            yield table.DEAD_LETTERS, (reported.worker, lane, cause, Cause.read(cause).fault), count
