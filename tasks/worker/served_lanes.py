"""Which lanes a worker takes from, how many deliveries it holds, and what it says of both when it is ready."""

from collections.abc import Sequence
from typing import Any

from celery.utils.log import get_logger
from celery.utils.text import str_to_list

from celery_inference.client.catalogue import load
from celery_inference.client.lanes import lane_of_model, lanes_of_conf
from celery_inference.client.task import InferenceTask
from celery_inference.results.access import store_of
from celery_inference.specs.errors import InferenceError
from celery_inference.specs.model_spec import ModelSpec
from tasks.execution.engine_factory import concurrency, devices, specs

logger = get_logger(__name__)


def size_the_pool(conf: Any, options: dict[str, Any]) -> None:
    """Give the worker as many threads as it should hold deliveries, unless the operator named a number."""
    if conf.worker_concurrency or options.get("concurrency"):
        return
    try:
        conf.worker_concurrency = concurrency(conf, _named_queues(conf, options))
    except InferenceError as error:
        raise SystemExit(f"celery-inference: {error}") from error


def _named_queues(conf: Any, options: dict[str, Any]) -> list[str]:
    """The queues that the worker will take from, by `-Q` and `-X`: Celery selects them only after it sizes its pool."""
    wanted = str_to_list(options.get("queues")) or [queue.name for queue in conf.task_queues]
    return [name for name in wanted if name not in (str_to_list(options.get("exclude_queues")) or ())]


def leave_the_lanes_of_others(app: Any, options: dict[str, Any]) -> None:
    """Subscribe to the lanes that this worker can serve, unless the operator names queues, which Celery selects later.

    Not to those of other consumers; not to a lane of models of which it serves none; and to lanes for other tasks only
    where it knows one.
    """
    for module in str_to_list(options.get("include")) or ():  # which Celery imports after it has chosen queues
        app.loader.import_task_module(module)
    if options.get("queues"):
        return
    try:
        served, models = {spec.name for spec in specs(app.conf)}, _models_by_lane(app.conf)
    except InferenceError as error:
        raise SystemExit(f"celery-inference: {error}") from error
    left = [
        lane.name
        for lane in lanes_of_conf(app.conf)
        if lane.consumer != "worker"
        or (lane.own_slots and not _knows_other_tasks(app))
        or (models.get(lane.name) and not models[lane.name] & served)
    ]
    app.amqp.queues.deselect(left)


def _models_by_lane(conf: Any) -> dict[str, set[str]]:
    """Names of the catalogue's models, by the lane that they name or that is the default. Raises CatalogueError."""
    models: dict[str, set[str]] = {}
    for spec in load(conf):
        models.setdefault(lane_of_model(conf, spec).name, set()).add(spec.name)
    return models


def _knows_other_tasks(app: Any) -> bool:
    """Whether there are tasks beside Celery's and ours; or chords that Celery watches over with tasks of its own."""
    others = [task for name, task in app.tasks.items() if not name.startswith("celery.")]
    return store_of(app) is None or not all(isinstance(task, InferenceTask) for task in others)


def log_what_is_served(consumer: Any) -> None:
    """One line each for models, devices, queues and the result store."""
    conf = consumer.app.conf
    queues = sorted(consumer.app.amqp.queues.consume_from)
    served = specs(conf, queues)
    used = devices(conf) if served else ()
    logger.info("models: %s", ", ".join(f"{spec.name} ({spec.task})" for spec in served) or "none")
    logger.info("devices: %s", ", ".join(f"{device.name} ({device.description})" for device in used) or "none")
    logger.info("queues: %s; holds up to %d deliveries", ", ".join(queues), consumer.controller.concurrency)
    logger.info("results: %s", consumer.app.backend.as_uri(include_password=False))
    names = {spec.name for spec in served}
    for lane, models in _models_by_lane(conf).items():
        if lane in queues and served and (others := sorted(models - names)):
            here = ", ".join(sorted(models & names)) or "none"
            logger.warning("lane %s: of its models %s are served here, not %s", lane, here, ", ".join(others))


def what_is_served(consumer: Any, served: Sequence[ModelSpec]) -> dict[str, Any]:
    """All of it as facts, for programs that read the log."""
    return {
        "worker": consumer.hostname,
        "models": [spec.name for spec in served],
        "devices": [device.name for device in devices(consumer.app.conf)] if served else [],
        "queues": sorted(consumer.app.amqp.queues.consume_from),
        "results": consumer.app.backend.as_uri(include_password=False),
    }
