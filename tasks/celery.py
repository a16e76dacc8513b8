"""The Celery application, `celery -A tasks …`."""

from celery import Celery

app = Celery("tasks", task_cls="tasks.task:LaneTask", include=["tasks.inference", "tasks.lifecycle"])
app.config_from_object("celeryconfig")
