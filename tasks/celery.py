"""The Celery application, `celery -A tasks …`."""

from typing import Any

from celery import Celery

from tasks.health_address import OPTION as HEALTH_PORT
from tasks.made_with import keeping


class Application(Celery):
    """Celery's, with results that know what they were made with."""

    def _get_backend(self) -> Any:
        return keeping(super()._get_backend())


app = Application(
    "tasks",
    task_cls="tasks.task:LaneTask",
    control="tasks.control:Control",
    include=["tasks.inference", "tasks.lifecycle", "tasks.letter_duties"],
)
# Celery may open the result store before it has read celeryconfig, where this stands too.
app.loader.override_backends = {"sqlite": "tasks.store.backend:SQLiteBackend"}
app.config_from_object("celeryconfig")
app.steps["worker"].add("tasks.queue_check:QueueCheck")
app.steps["worker"].add("tasks.health:Health")
app.user_options["worker"].add(HEALTH_PORT)
