"""The Celery application, `celery -A tasks …`."""

from typing import Any

from celery import Celery
from celery.utils import uuid

from tasks.health_address import OPTION as HEALTH_PORT
from tasks.made_with import keeping
from tasks.tracing.sending import sending
from tasks.tracing.storing import traced


class Application(Celery):
    """Celery's, with results that know what they were made with, and traces."""

    def _get_backend(self) -> Any:
        return traced(keeping(super()._get_backend()))

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
        """As Celery's; where somebody traces, its span's context goes along in the headers."""
        task_id = task_id or uuid()
        with sending(name, task_id, options) as traced_options:
            return super().send_task(name, args, kwargs, countdown, eta, task_id, **traced_options)


app = Application(
    "tasks",
    task_cls="tasks.task:LaneTask",
    control="tasks.control:Control",
    include=["tasks.inference", "tasks.lifecycle", "tasks.letter_duties"],
)
# Celery may open the result store before it has read celeryconfig, where this stands too.
app.loader.override_backends = {
    "sqlite": "celery_inference.results.sqlite.backend:SQLiteBackend",
    "dynamodb": "celery_inference.results.dynamodb.backend:DynamoDBBackend",
}
app.config_from_object("celeryconfig")
app.steps["worker"].add("tasks.queue_check:QueueCheck")
app.steps["worker"].add("tasks.store_check:StoreCheck")
app.steps["worker"].add("tasks.health:Health")
app.steps["worker"].add("tasks.hosts.guard:HostGuard")
app.user_options["worker"].add(HEALTH_PORT)
