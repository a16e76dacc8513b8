"""The Celery application of requests: senders use it as it is, workers extend it.

It is a good guest: it never becomes Celery's current or default application, and neither reads nor
obeys Celery's own variables (CELERY_LOADER, CELERY_BROKER_URL, CELERY_BROKER_READ_URL, CELERY_BROKER_WRITE_URL,
CELERY_RESULT_BACKEND), which Celery lets win over the settings of every application of a process.
"""

from typing import Any

from celery import Celery
from celery.app.utils import Settings as CelerySettings
from celery.utils import uuid
from kombu.utils.objects import cached_property

from celery_inference import settings
from celery_inference.celery_settings import BACKENDS, celery_settings
from celery_inference.client.async_results.async_result import LaneResult
from celery_inference.client.async_results.error_facts import telling
from celery_inference.client.async_results.provenance import keeping
from celery_inference.client.canvas.groups import SharedProducer, hold_back_part
from celery_inference.client.canvas.signatures import is_sending, ours_is_sent
from celery_inference.client.send_options import refuse_unused
from celery_inference.client.tracing.spans import sending, traced


class OwnSettings(CelerySettings):
    """Celery's settings, of which no variable of the environment can change the connections."""

    @property
    def broker_read_url(self) -> Any:
        """The broker that workers receive from."""
        return self.get("broker_read_url") or self.broker_url

    @property
    def broker_write_url(self) -> Any:
        """The broker that requests are sent to."""
        return self.get("broker_write_url") or self.broker_url

    @property
    def broker_url(self) -> Any:
        """The broker."""
        return self.get("broker_url")

    @property
    def result_backend(self) -> Any:
        """The result store."""
        return self.get("result_backend")


class Application(Celery):
    """Celery's, with settings of its own, results that know what they were made with, and traces."""

    def __init__(self, main: str, **options: Any) -> None:
        # Fixups of other frameworks would make this the default application; Celery's own variable names a loader.
        super().__init__(main, set_as_current=False, fixups=(), loader="celery.loaders.app:AppLoader", **options)
        _make_own(self._conf)

    def _load_config(self) -> Any:
        # Read at the first use, so that `configure` comes before.
        if not self._config_source:
            self._config_source: Any = celery_settings(settings.current())
        conf = super()._load_config()
        _make_own(conf)
        return conf

    def _get_backend(self) -> Any:
        return traced(telling(keeping(super()._get_backend())))

    @cached_property
    def AsyncResult(self) -> Any:
        """The class of results, also of those that are made from an id alone."""
        return self.subclass_with_self(LaneResult, reverse="AsyncResult")

    def producer_or_acquire(self, producer: Any = None) -> Any:
        """As Celery's; the parts of a group that are sent through it are sent together, or not at all."""
        acquired = super().producer_or_acquire(producer)
        return acquired if is_sending() else SharedProducer(acquired)

    def send_task(  # noqa: PLR0917 - Celery's own signature
        self,
        name: str,
        args: Any = None,
        kwargs: Any = None,
        countdown: Any = None,
        eta: Any = None,
        task_id: str | None = None,
        **options: Any,
    ) -> Any:
        """As Celery's; where somebody traces, its span's context goes along in the headers.

        Raises:
            InvalidInput: an option that would be ignored.
        """
        refuse_unused(options, self.conf.task_serializer)
        if options.get("add_to_parent") is False:  # Celery adds a group to the task that sends it, and not its parts
            hold_back_part(options.get("producer"))
        task_id = task_id or uuid()
        with ours_is_sent(), sending(name, task_id, options) as traced_options:
            return super().send_task(name, args, kwargs, countdown, eta, task_id, **traced_options)


def _make_own(conf: CelerySettings) -> None:
    # Its attributes are items: to set one in the usual way would be to make a setting of that name.
    object.__setattr__(conf, "__class__", OwnSettings)


app = Application(
    "celery_inference",
    task_cls="celery_inference.client.task:LaneTask",
    control="celery_inference.client.control:Control",
)
# Celery may open the result store before it has read the settings, where this stands too.
app.loader.override_backends = BACKENDS
