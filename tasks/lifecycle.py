"""What the worker does at start beside Celery's own: its concurrency, and what it says when it is ready."""

import logging
from typing import Any

from celery.app.trace import LOG_SUCCESS
from celery.signals import after_setup_logger, celeryd_init, worker_ready
from celery.utils.log import get_logger

from models.errors import ModelsError
from tasks.engines import concurrency, devices, specs

logger = get_logger(__name__)

WITHHELD = ", ..."  # what celery.utils.saferepr makes of any result at a size of 0


@celeryd_init.connect
def size_the_pool(conf: Any = None, options: dict[str, Any] | None = None, **_: Any) -> None:
    """Give the worker as many threads as it should hold deliveries, unless the operator named a number."""
    if conf.worker_concurrency or (options or {}).get("concurrency"):
        return
    try:
        conf.worker_concurrency = concurrency(conf)
    except ModelsError as error:
        raise SystemExit(f"celery-inference: {error}") from error


def without_result(record: logging.LogRecord) -> bool:
    """Let each record pass; one of a success whose result is withheld ends before the place of the result."""
    if record.msg == LOG_SUCCESS and isinstance(record.args, dict) and record.args["return_value"] == WITHHELD:
        record.msg = LOG_SUCCESS.removesuffix(": %(return_value)s")
    return True


@after_setup_logger.connect
def keep_results_out_of_the_log(**_: Any) -> None:
    """Celery's tracer logs each result; see InferenceTask.resultrepr_maxsize."""
    logging.getLogger("celery.app.trace").addFilter(without_result)


@worker_ready.connect
def say_what_is_served(sender: Any = None, **_: Any) -> None:
    """One line each for models, devices and queues."""
    conf = sender.app.conf
    logger.info("models: %s", ", ".join(f"{spec.name} ({spec.task})" for spec in specs(conf)))
    logger.info("devices: %s", ", ".join(f"{device.name} ({device.description})" for device in devices(conf)))
    queues = ", ".join(sorted(sender.app.amqp.queues.consume_from))
    logger.info("queues: %s; holds up to %d deliveries", queues, sender.controller.concurrency)
