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

from celery_inference.specs.errors import ModelsError
from celery_inference.sqs.consumer.shutdown import release_everything, stop_receiving
from celery_inference.sqs.lanes import LANES
from tasks import cold_shutdown, service
from tasks.engines import concurrency, devices, specs
from tasks.exiting import end_now
from tasks.flow import Flow
from tasks.pool import EnginePool
from tasks.results_unshown import NOTHING

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
    except ModelsError as error:
        raise SystemExit(f"celery-inference: {error}") from error


def named_queues(conf: Any, options: dict[str, Any]) -> list[str]:
    """The queues that the worker will take from, by `-Q` and `-X`: Celery selects them only after it sizes its pool."""
    wanted = str_to_list(options.get("queues")) or [queue.name for queue in conf.task_queues]
    return [name for name in wanted if name not in (str_to_list(options.get("exclude_queues")) or ())]


@celeryd_init.connect
def leave_the_lanes_of_others(instance: Any = None, **_: Any) -> None:
    """Take from the lanes that are workers' alone, unless the operator names queues, which Celery selects later."""
    instance.app.amqp.queues.deselect([lane.name for lane in LANES if lane.consumer != "worker"])


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
    service.use(sender, specs(sender.app.conf, sender.app.amqp.queues.consume_from))


@worker_ready.connect
def hold_what_drains_soon(sender: Any = None, **_: Any) -> None:
    """From now on, hold no more than is drained in a third of a lease, by the speeds that are measured."""
    conf = sender.app.conf
    seconds = conf.broker_transport_options["lease_seconds"] / 3
    Flow(sender, specs(conf, sender.app.amqp.queues.consume_from), len(devices(conf)), seconds).start()
