"""Metrics of the table in Prometheus's text format, by `prometheus_client`; needs the extra `worker` or `monitor`."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from celery_inference.metrics.table import Metric, Server, served_by

Sample = tuple[Metric, tuple[str, ...], float]
_Family = CounterMetricFamily | GaugeMetricFamily


class Exposition(Collector):
    """What one process serves, in a registry of its own: the default one belongs to the application.

    Each source is called at every scrape, in the scraping thread, and gives samples: a metric, the values of its
    labels in the table's order, and its value.
    """

    def __init__(self, server: Server, *sources: Callable[[], Iterable[Sample]]) -> None:
        self._server, self._sources = server, sources
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """The answer to a scrape; metrics without samples are left out."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[_Family]:
        """The families without samples; registering asks for them."""
        return [self._family(metric) for metric in served_by(self._server)]

    def collect(self) -> Iterator[_Family]:
        """The families that have samples now."""
        families = {metric.name: self._family(metric) for metric in served_by(self._server)}
        for source in self._sources:
            for metric, labels, value in source():
                families[metric.name].add_metric(labels, value)
        return (family for family in families.values() if family.samples)

    def _family(self, metric: Metric) -> _Family:
        kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
        return kind(metric.name, metric.help, labels=metric.labels_at(self._server))
