"""Sets a worker's log up, after Celery has.

Celery's default level is WARNING, at which a worker would say neither that it is ready nor that requests fail. Where
the operator names no level, ours are shown from INFO on, and of Celery's tracer all but the requests that succeed.
"""

import logging
from typing import Any

import click
from celery.app import trace
from click.core import ParameterSource

from tasks.worker.logs.json_lines import JsonFormatter

OURS = ("celery_inference", "models", "sqs", "tasks")


def show_what_matters(loglevel: int | None) -> None:
    """Where the operator named no level."""
    context = click.get_current_context(silent=True)
    if loglevel != logging.WARNING or context is None:
        return
    if context.get_parameter_source("loglevel") is not ParameterSource.DEFAULT:
        return
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    trace.logger.setLevel(logging.INFO)
    trace.logger.addFilter(is_no_success)


def is_no_success(record: logging.LogRecord) -> bool:
    """Whether a line of the tracer is about anything else than a request that succeeded."""
    return not str(record.msg).startswith(trace.LOG_SUCCESS.partition(" in ")[0])


def write_json(logger: Any) -> None:
    """From now on, with each handler of a logger."""
    for handler in logger.handlers:
        handler.setFormatter(JsonFormatter())
