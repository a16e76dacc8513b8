"""Flower's application, extended: it watches the depths of our lanes and serves our pages.

Written for Flower 2.2: an override of its `Flower` class, by the extension points that it and Tornado have.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from celery import Celery
from flower.app import Flower
from flower.options import default_options
from flower.urls import settings as flower_settings
from tornado.httputil import HTTPServerRequest

from monitor.app.access_control import CrossSite, ForeignHost, has_login, is_cross_site, is_loopback, refuse_exposure
from monitor.app.executor import HonestRunner
from monitor.app.inspector import CleanInspector
from monitor.app.no_broadcast import WithoutBroadcast, refused_routes
from monitor.app.signals import stop_on_signals
from monitor.app.template_loader import TemplateLoader
from monitor.metrics import MetricsPage, exposition_of
from monitor.pages.broker import routes
from monitor.pages.dead_letters import dead_letter_routes
from monitor.pages.dead_letters_service import DeadLetterService, DeadLetterSource
from monitor.pages.inference import inference_routes
from monitor.queues.broker import has_broadcast, reporter_of, shown_address
from monitor.queues.report import DepthReporter
from monitor.workers.event_freshness import EventFreshness, freshness_of
from monitor.workers.stats import AGES, GROUP, WorkerStats


class SqsFlower(WithoutBroadcast, Flower):
    """Flower for a Celery application on SQS. Raises ExposedWithoutLogin for options that open it to others."""

    # Where dead letters are; flowerconfig.py says it to `monitor.app.install`, because monitor/ knows no tasks.
    letters_of: ClassVar[DeadLetterSource | None] = None

    def __init__(
        self,
        options: Any = None,
        capp: Celery | None = None,
        depths: DepthReporter | None = None,
        **settings: Any,
    ) -> None:
        options = options or default_options
        refuse_exposure(options)
        settings.setdefault("template_loader", TemplateLoader(flower_settings["template_path"]))
        super().__init__(options=options, capp=capp, **settings)
        self.blocking_runner = HonestRunner(self.executor)
        self.broadcast = has_broadcast(self.capp)
        source = SqsFlower.letters_of
        self.dead_letters = None if source is None else DeadLetterService(self.capp, source.of)
        prefix = f"/{options.url_prefix.strip('/')}" if options.url_prefix else ""
        chosen = [(r"/metrics", MetricsPage), *routes(), *dead_letter_routes(), *inference_routes()]
        chosen += [] if self.broadcast else refused_routes()
        self.add_handlers(".*", [(prefix + path, *rest) for path, *rest in chosen])
        self.depths = depths or reporter_of(self.capp)
        self.inspector = CleanInspector(self.io_loop, self.capp, self.options.inspect_timeout / 1000.0)
        self.stats = WorkerStats()
        if self.broadcast:
            self.depths.held_ages = self.stats.held_ages
        # Celery's way to take events of a group that it does not know.
        self.events.state.handlers[GROUP] = self._take
        self.metrics = exposition_of(self.depths.report, self.stats)

    def _take(self, subject: str, event: Mapping[str, Any]) -> None:
        """What a worker tells; in Flower's loop."""
        self.stats.take(subject, event)
        if subject == AGES:
            self.depths.watch.move()

    def freshness(self) -> EventFreshness | None:
        """How Flower hears the workers; None where the broadcast is off."""
        return freshness_of(self.capp)

    @cached_property
    def broker_uri(self) -> str:
        """The broker's URL as pages show it, without credentials."""
        return shown_address(self.capp)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Tornado's choice of a handler, after the checks of the host that the request names, and of its origin."""
        if not has_login(self.options) and not self.options.unix_socket and not is_loopback(request.host_name):
            return self.get_handler_delegate(request, ForeignHost)
        if is_cross_site(request):
            return self.get_handler_delegate(request, CrossSite)
        return super().find_handler(request, **kwargs)

    def start(self) -> None:
        """Watch the depths and serve until stopped; blocks."""
        stop_on_signals(self.io_loop.asyncio_loop, self.io_loop.stop)
        self.depths.watch.start()
        super().start()
        self.stop()

    def stop(self) -> None:
        """End what `start` began; callable more than once."""
        if self.started:
            self.depths.watch.stop()
        super().stop()
        # Python waits for the executor's threads before it exits: inspections that have not begun are not wanted.
        self.executor.shutdown(wait=False, cancel_futures=True)
