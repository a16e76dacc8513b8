"""Flower's application, extended: it watches the depths of our lanes and serves our pages.

Written for Flower 2.2: an override of its `Flower` class, by the extension points that it and Tornado have.
"""

from functools import cached_property
from typing import Any

from celery import Celery
from flower.app import Flower
from flower.urls import settings as flower_settings
from prometheus_client import REGISTRY

from monitor.broker import client_of, shown_address
from monitor.depth_report import DepthReporter
from monitor.depth_watch import DepthWatch
from monitor.exposure import refuse_exposure
from monitor.history import History
from monitor.metrics import DepthCollector
from monitor.pages import routes
from monitor.template_loader import TemplateLoader
from monitor.without_broadcast import WithoutBroadcast, refused_routes
from sqs.depths import Depth, read_depths
from sqs.lanes import LANES


class SqsFlower(WithoutBroadcast, Flower):
    """Flower for a Celery application on SQS. Raises ExposedWithoutLogin for options that open it to others."""

    depths: DepthReporter

    def __init__(self, options: Any = None, capp: Celery | None = None, **settings: Any) -> None:
        refuse_exposure(options)
        settings.setdefault("template_loader", TemplateLoader(flower_settings["template_path"]))
        super().__init__(options=options, capp=capp, **settings)
        prefix = f"/{options.url_prefix.strip('/')}" if options.url_prefix else ""
        self.add_handlers(".*", [(prefix + path, *rest) for path, *rest in routes() + refused_routes()])
        history = History()
        self._watch = DepthWatch(
            _DepthReader(self.capp),
            on_reading=lambda reading: history.add(reading.read_at_seconds or 0.0, reading.depths.values()),
        )
        self.depths = DepthReporter(LANES, self._watch, history)
        self._collector = DepthCollector(self.depths.report)

    @cached_property
    def broker_uri(self) -> str:
        """The broker's URL as pages show it, without credentials."""
        return shown_address(self.capp)

    def start(self) -> None:
        """Watch the depths and serve until stopped; blocks."""
        REGISTRY.register(self._collector)
        self._watch.start()
        super().start()

    def stop(self) -> None:
        """End what `start` began; callable more than once."""
        if self.started:
            self._watch.stop()
            REGISTRY.unregister(self._collector)
        super().stop()


class _DepthReader:
    """One round over all lanes. Makes its client in the watch's thread, and anew after a failure.

    A new client reads credentials again: keys that were replaced since do not keep the depths stale.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._client: Any = None

    def __call__(self) -> list[Depth]:
        client, self._client = self._client or client_of(self._app), None
        depths = read_depths(client, LANES)
        self._client = client
        return depths
