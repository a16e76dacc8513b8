"""The Celery application, `celery -A tasks …`."""

from celery import Celery

app = Celery(
    "tasks",
    task_cls="tasks.task:LaneTask",
    control="tasks.control:Control",
    include=["tasks.inference", "tasks.lifecycle", "tasks.letter_duties"],
)
# Celery may open the result store before it has read celeryconfig, where this stands too.
app.loader.override_backends = {"sqlite": "tasks.store.backend:SQLiteBackend"}
app.config_from_object("celeryconfig")
app.steps["worker"].add("tasks.queue_check:QueueCheck")
