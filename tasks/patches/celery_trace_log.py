"""A filter of what Celery 5.7's tracer logs: no empty results, no tracebacks of what is no failure."""

import logging
from typing import Any

from celery.app.trace import LOG_SUCCESS
from celery.exceptions import Reject

from tasks.patches.celery_result_repr import NOTHING


def shorten(record: logging.LogRecord) -> bool:
    """Let each record of the tracer pass, shortened."""
    if record.msg == LOG_SUCCESS and isinstance(record.args, dict) and record.args["return_value"] == NOTHING:
        record.msg = LOG_SUCCESS.removesuffix(": %(return_value)s")
    if record.exc_info and isinstance(record.exc_info[1], Reject):
        record.exc_info = None
    return True


def shorten_the_log(**_: Any) -> None:
    """From now on, in this process; may be called again. See InferenceTask.resultrepr_maxsize, too."""
    logging.getLogger("celery.app.trace").addFilter(shorten)
