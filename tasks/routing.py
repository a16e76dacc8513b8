"""Which lane a task goes to: requests to their model's, everything else to a lane with slots of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from celery import Task
from kombu import Queue

from celery_inference.sqs.lanes import GENERAL, INFERENCE, lane_of


def route(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], task: Task | None = None
) -> dict[str, str] | None:
    """Celery's router (`task_routes`): the queue of a request; None leaves a task to the default queue.

    A `queue` that the caller names goes first.
    """
    from tasks import catalogue
    from tasks.celery import app
    from tasks.task import InferenceTask

    known = task or app.tasks.get(name)
    if not isinstance(known, InferenceTask):
        return None
    try:
        return {"queue": catalogue.lane_of(known.spec(kwargs.get("model"))).name}
    except (TypeError, ValueError):
        return {"queue": INFERENCE.name}  # of no model that is known here: the worker's to judge


def kept_apart(queue: Queue | str | None) -> Queue | str | None:
    """The queue for a task that is not inference: one whose slots are not the engine's, also where none is named.

    Celery sends chord_unlock, for one, to the queue of the chord's body.
    """
    lane = lane_of(str(getattr(queue, "name", queue)))
    return GENERAL.name if lane is not None and not lane.own_slots else queue
