"""Which lane a task goes to: requests to their model's, everything else to a lane with slots of its own."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from celery import Task
from kombu import Queue

from celery_inference.specs.errors import CatalogueError, suggestion
from celery_inference.sqs.lanes import LANES, Lane, default_lane, general_lane, lane_of

if TYPE_CHECKING:
    from celery_inference.specs.model_spec import ModelSpec

_MAPS = ("celery.map", "celery.starmap")


@runtime_checkable
class AsksModel(Protocol):
    """What the router needs of a task that asks a model; `celery_inference.client.task.InferenceTask` is one."""

    begins_by_itself: bool

    def spec(self, model: str | None) -> "ModelSpec":
        """The spec of the model that was asked for, or the default one."""


def route(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], task: Task | None = None
) -> dict[str, str] | None:
    """Celery's router (`task_routes`): the queue of a request; None leaves a task to the default queue.

    A `queue` that the caller names goes first.
    """
    from celery_inference.client.app import app

    if name in _MAPS:  # `task.map(…)` runs where the task it names would
        inner: Any = kwargs.get("task")
        name, kwargs, task = str((inner or {}).get("task")), (inner or {}).get("kwargs") or {}, None
    known = task or app.tasks.get(name)
    if not isinstance(known, AsksModel):
        return None
    try:
        return {"queue": lane_of_model(app.conf, known.spec(kwargs.get("model"))).name}
    except (TypeError, ValueError):
        return {"queue": default_lane(lanes_of_conf(app.conf)).name}  # of an unknown model: the worker's to judge


def lanes_of_conf(conf: Any) -> tuple[Lane, ...]:
    """The lanes that an application's settings declare."""
    lanes: tuple[Lane, ...] = (conf.broker_transport_options or {}).get("lanes", LANES)
    return lanes


def kept_apart(conf: Any, queue: Queue | str | None) -> Queue | str | None:
    """The queue for a task that is not inference: one whose slots are not the engine's, also where none is named.

    Celery sends chord_unlock, for one, to the queue of the chord's body.
    """
    lanes = lanes_of_conf(conf)
    lane, apart = lane_of(str(getattr(queue, "name", queue)), lanes), general_lane(lanes)
    return apart.name if lane is not None and apart is not None and not lane.own_slots else queue


def lane_of_model(conf: Any, spec: "ModelSpec") -> Lane:
    """The lane that the model's requests go to; raises CatalogueError for one that is not declared."""
    # Those with slots of their own are for what is no inference.
    lanes = {lane.name: lane for lane in lanes_of_conf(conf) if not lane.own_slots}
    if spec.lane is None:
        return default_lane(lanes.values())
    if spec.lane not in lanes:
        raise CatalogueError(
            f'[{spec.name}] lane: "{spec.lane}" is no lane of requests. {suggestion(spec.lane, lanes)}'
        )
    return lanes[spec.lane]


def lane_or_default(conf: Any, queue: str | None) -> Lane:
    """The declared lane of this queue, else the default one."""
    lanes = lanes_of_conf(conf)
    return lane_of(queue or "", lanes) or next((lane for lane in lanes if lane.default), lanes[0])
