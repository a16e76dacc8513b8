"""The worker's Celery application, `celery -A tasks worker`: the library's, bound to the engine of this process."""

from typing import Any

from celery.fixups.django import fixup as django_fixup
from celery.signals import import_modules

from celery_inference.client import inference_tasks  # noqa: F401 - the tasks are the application's once it is imported
from celery_inference.client.app import app
from tasks.binding import bind
from tasks.command_line import obey_celery_options
from tasks.worker.health.address import OPTION as HEALTH_PORT
from tasks.worker.logs.log_format import OPTION as LOG_FORMAT

__all__ = ["app"]

obey_celery_options()
context = bind(app)
app.config_from_object("celeryconfig")
# The process is a worker's, or a command's about workers: shared tasks of its deployment are this application's.
app.set_current()
app.set_default()
app.steps["worker"].add("tasks.worker.lifecycle:BeforeModels")
app.user_options["worker"].update((HEALTH_PORT, LOG_FORMAT))
_django = django_fixup(app)  # where DJANGO_SETTINGS_MODULE is set; kept, since signals hold their receivers weakly


@import_modules.connect(sender=app)
def import_worker(**_: Any) -> None:
    """Import what a worker does beside Celery's own, when Celery imports the modules of tasks."""
    from tasks.worker.lifecycle import Lifecycle

    Lifecycle(context).connect()
