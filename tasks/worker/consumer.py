"""Celery's consumer, with heartbeats that SQS's price allows and events for as long as somebody watches.

What it does with tasks that it does not know is said in `tasks.worker.unknown_tasks`.
"""

from typing import Any

from celery import bootsteps
from celery.exceptions import WorkerShutdown
from celery.platforms import EX_FAILURE
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer.events import Events

import tasks.worker.remote_commands  # noqa: F401 - its commands take the place of Celery's
from celery_inference.sqs.broadcast.node import Node
from celery_inference.sqs.consumer.message import ON_RECEIVED
from celery_inference.sqs.errors import DeniedError, NoRegionError, QueueMissingError
from tasks.patches.billiard_tracebacks import share_code
from tasks.patches.celery_result_repr import leave_unshown
from tasks.worker.unknown_tasks import UnknownTasks
from tasks.worker.worker_stats import HeartbeatStats

logger = get_logger(__name__)

# Each is a message for each who watches. Who has not heard for two of them takes the worker for gone.
HEARTBEAT_SECONDS = 60.0
ALWAYS = "worker"  # Celery's word for the group of heartbeats
WATCHED = ("task", "inference")


class Watching(bootsteps.StartStopStep):
    """Lets the event dispatcher send all events while somebody watches, and heartbeats alone otherwise.

    An event that nobody wants then costs a look into a set. Where the operator asked for events with `-E`, all
    of them go as far as the transport, which drops what nobody wants.
    """

    requires = (Events,)

    def __init__(self, consumer: Any, task_events: bool = False, **options: Any) -> None:
        self.enabled = not task_events
        self._consumer = consumer
        self._node: Node | None = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        """Follow who watches from now on."""
        self._node = consumer.connection.transport.node
        if self._node is not None:
            self._node.membership.on_change.append(self._follow)
        self._follow()

    def stop(self, consumer: Any) -> None:
        """Follow no more."""
        if self._node is not None and self._follow in self._node.membership.on_change:
            self._node.membership.on_change.remove(self._follow)

    def _follow(self) -> None:
        """In threads of the transport, too."""
        dispatcher = self._consumer.event_dispatcher
        if dispatcher is None:
            return
        wanted = {ALWAYS, *WATCHED} if self._node is not None and self._node.membership.watched else {ALWAYS}
        # Never empty in between: an empty set stands for all groups.
        dispatcher.groups |= wanted
        dispatcher.groups &= wanted


class Consumer(UnknownTasks, CeleryConsumer):
    """As Celery's, see above."""

    class Blueprint(CeleryConsumer.Blueprint):
        """Celery's steps and ours."""

        default_steps = (*CeleryConsumer.Blueprint.default_steps, Watching)

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        options = dict(worker_options or {})
        options["heartbeat_interval"] = options.get("heartbeat_interval") or HEARTBEAT_SECONDS
        super().__init__(*args, worker_options=options, **kwargs)
        context = self.app.worker_context
        context.consumer = self
        self.stats = HeartbeatStats(self, context.engine)
        ON_RECEIVED.extend((context.revocations.look, self.stats.on_received))
        share_code()
        leave_unshown()

    def start(self) -> Any:
        """Consume until the worker stops; what no waiting mends ends it with one line, instead of a traceback."""
        try:
            return super().start()
        except (DeniedError, NoRegionError, QueueMissingError) as error:
            logger.critical("%s", error)
            raise WorkerShutdown(EX_FAILURE) from error
