"""What the worker does at start beside Celery's own: its concurrency, and what it says when it is ready."""

import gc
import itertools
import logging
from typing import Any

from celery import current_app
from celery.app.trace import LOG_SUCCESS
from celery.exceptions import Reject
from celery.signals import after_setup_logger, celeryd_init, worker_ready, worker_shutting_down
from celery.utils.log import get_logger
from celery.utils.text import str_to_list

from celery_inference.client.catalogue import load
from celery_inference.client.lanes import lane_of_model, lanes_of_conf
from celery_inference.client.task import InferenceTask
from celery_inference.results.access import store_of
from celery_inference.specs.errors import InferenceError
from celery_inference.sqs.consumer.shutdown import release_everything, stop_receiving
from tasks.execution.engine_factory import concurrency, devices, specs
from tasks.patches import cold_shutdown
from tasks.patches.celery_result_repr import NOTHING
from tasks.resilience import model_availability
from tasks.worker.forced_exit import end_now
from tasks.worker.pool import EnginePool
from tasks.worker.prefetch import PrefetchStep

logger = get_logger(__name__)

cold_shutdown.install()

RELEASE_SECONDS = 5.0  # for SQS to hear of it, at a second signal


@celeryd_init.connect
def size_the_pool(conf: Any = None, options: dict[str, Any] | None = None, **_: Any) -> None:
    """Give the worker as many threads as it should hold deliveries, unless the operator named a number."""
    chosen = (options or {}).get("pool")
    if isinstance(chosen, type) and not issubclass(chosen, EnginePool):
        raise SystemExit("celery-inference: a worker needs its own pool, the default: start it without --pool")
    if conf.worker_concurrency or (options or {}).get("concurrency"):
        return
    try:
        conf.worker_concurrency = concurrency(conf, named_queues(conf, options or {}))
    except InferenceError as error:
        raise SystemExit(f"celery-inference: {error}") from error


def named_queues(conf: Any, options: dict[str, Any]) -> list[str]:
    """The queues that the worker will take from, by `-Q` and `-X`: Celery selects them only after it sizes its pool."""
    wanted = str_to_list(options.get("queues")) or [queue.name for queue in conf.task_queues]
    return [name for name in wanted if name not in (str_to_list(options.get("exclude_queues")) or ())]


@celeryd_init.connect
def leave_the_lanes_of_others(instance: Any = None, options: dict[str, Any] | None = None, **_: Any) -> None:
    """Subscribe to the lanes that this worker can serve, unless the operator names queues, which Celery selects later.

    Not to those of other consumers; not to a lane of models of which it serves none; and to lanes for other tasks only
    where it knows one.
    """
    app = instance.app
    for module in str_to_list((options or {}).get("include")) or ():  # which Celery imports after it has chosen queues
        app.loader.import_task_module(module)
    if (options or {}).get("queues"):
        return
    try:
        served, models = {spec.name for spec in specs(app.conf)}, models_by_lane(app.conf)
    except InferenceError as error:
        raise SystemExit(f"celery-inference: {error}") from error
    left = [
        lane.name
        for lane in lanes_of_conf(app.conf)
        if lane.consumer != "worker"
        or (lane.own_slots and not knows_other_tasks(app))
        or (models.get(lane.name) and not models[lane.name] & served)
    ]
    app.amqp.queues.deselect(left)


def models_by_lane(conf: Any) -> dict[str, set[str]]:
    """Names of the catalogue's models, by the lane that they name or that is the default. Raises CatalogueError."""
    models: dict[str, set[str]] = {}
    for spec in load(conf):
        models.setdefault(lane_of_model(conf, spec).name, set()).add(spec.name)
    return models


def knows_other_tasks(app: Any) -> bool:
    """Whether there are tasks here beside Celery's and ours; or chords that Celery watches over with tasks of its
    own."""
    others = [task for name, task in app.tasks.items() if not name.startswith("celery.")]
    return store_of(app) is None or not all(isinstance(task, InferenceTask) for task in others)


def shorten(record: logging.LogRecord) -> bool:
    """Let each record of Celery's tracer pass, without results and without tracebacks of what is no failure."""
    if record.msg == LOG_SUCCESS and isinstance(record.args, dict) and record.args["return_value"] == NOTHING:
        record.msg = LOG_SUCCESS.removesuffix(": %(return_value)s")
    if record.exc_info and isinstance(record.exc_info[1], Reject):
        record.exc_info = None
    return True


@after_setup_logger.connect
def shorten_the_log(**_: Any) -> None:
    """See `shorten`, and InferenceTask.resultrepr_maxsize."""
    logging.getLogger("celery.app.trace").addFilter(shorten)


_signals = itertools.count()  # takes no lock, which a signal handler must not wait for


@worker_shutting_down.connect
def give_back(how: str = "Warm", **_: Any) -> None:
    """From the first signal on nothing more is delivered; the second ends the worker, and releases what runs, too.

    Runs in the signal handler. A first SIGQUIT releases what runs, too, unless there is a time for a soft shutdown;
    Celery then ends by itself, as it does after a first SIGTERM or SIGINT.
    """
    if next(_signals):
        release_everything(RELEASE_SECONDS, end_now)
    elif how == "Warm" or current_app.conf.worker_soft_shutdown_timeout > 0:
        stop_receiving()
    else:
        release_everything(RELEASE_SECONDS)


@worker_ready.connect
def say_what_is_served(sender: Any = None, **_: Any) -> None:
    """One line each for models, devices and queues."""
    conf = sender.app.conf
    queues = sorted(sender.app.amqp.queues.consume_from)
    served = specs(conf, queues)
    used = devices(conf) if served else ()
    logger.info("models: %s", ", ".join(f"{spec.name} ({spec.task})" for spec in served) or "none")
    logger.info("devices: %s", ", ".join(f"{device.name} ({device.description})" for device in used) or "none")
    logger.info("queues: %s; holds up to %d deliveries", ", ".join(queues), sender.controller.concurrency)
    names = {spec.name for spec in served}
    for lane, models in models_by_lane(conf).items():
        if lane in queues and served and (others := sorted(models - names)):
            here = ", ".join(sorted(models & names)) or "none"
            logger.warning("lane %s: of its models %s are served here, not %s", lane, here, ", ".join(others))


@worker_ready.connect
def spare_the_collector(**_: Any) -> None:
    """Let Python's garbage collector pass over what the start has left, which stays until the worker ends.

    That is 170,000 objects, most of them modules'; looking through them takes 0.1 s
    of a core, in which no thread runs, for every few hundred requests.
    """
    gc.collect()
    gc.freeze()


@worker_ready.connect
def watch_models(sender: Any = None, **_: Any) -> None:
    """From now on, a lane whose models cannot be served here is not consumed from."""
    model_availability.use(sender, specs(sender.app.conf, sender.app.amqp.queues.consume_from))


@worker_ready.connect
def hold_what_drains_soon(sender: Any = None, **_: Any) -> None:
    """From now on, hold no more than is drained in a third of a lease, by the speeds that are measured."""
    conf = sender.app.conf
    seconds = conf.broker_transport_options["lease_seconds"] / 3
    PrefetchStep(sender, specs(conf, sender.app.amqp.queues.consume_from), len(devices(conf)), seconds).start()
