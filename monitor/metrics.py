"""Our figures on Flower's `/metrics`, by the names of `monitor.vocabulary`; nothing here asks SQS."""

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from monitor.depth_report import DepthReport
from monitor.figures import Figures
from monitor.vocabulary import (
    DEPTHS,
    DEVICE_RESTARTS_TOTAL,
    FIGURES,
    LANE_DEAD_LETTERS,
    LANE_DEPTHS_AGE_SECONDS,
    LANE_DEPTHS_FAILED_ROUNDS_TOTAL,
    LANE_DRAIN_SECONDS,
    LANE_RECEIVED_AGE_SECONDS,
    MODEL_TOTALS,
    QUEUE_MESSAGES,
)


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


class FigureCollector(Collector):
    """Turns what workers have told of their models and devices into metrics."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def describe(self) -> Iterator[Family]:
        """The families without values; registering asks for them."""
        return (metric.family() for metric in FIGURES)

    def collect(self) -> Iterator[Family]:
        """The families with the values of each worker's last heartbeat."""
        totals = {name: metric.family() for name, metric in MODEL_TOTALS.items()}
        restarts = DEVICE_RESTARTS_TOTAL.family()
        ages = LANE_RECEIVED_AGE_SECONDS.family()
        for lane, seconds in self._figures.received_ages().items():
            ages.add_metric([lane], seconds)
        for told in self._figures.latest():
            for device, facts in told.devices.items():
                if (count := self._figures.restarts(facts)) is not None:
                    restarts.add_metric([told.worker, device], count)
            for model, sums in told.models.items():
                for name, family in totals.items():
                    if name in sums:
                        family.add_metric([told.worker, model], sums[name])
        yield from (ages, restarts, *totals.values())
