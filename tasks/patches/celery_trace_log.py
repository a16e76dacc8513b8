"""A filter of what Celery 5.7's tracer logs: no empty results, no tracebacks of what is no failure, and of errors no
text that may quote an input while inputs are withheld.
"""

import logging
import re
from functools import partial
from typing import Any

from celery.app.trace import LOG_SUCCESS
from celery.exceptions import Reject

from celery_inference import errors
from celery_inference.redaction import WITHHELD, told

_CLASS = re.compile(r"\w+")


def shorten(record: logging.LogRecord) -> bool:
    """Let each record of the tracer pass, shortened."""
    if record.msg == LOG_SUCCESS and isinstance(record.args, dict) and record.args["return_value"] == WITHHELD:
        record.msg = LOG_SUCCESS.removesuffix(": %(return_value)s")
    if record.exc_info and isinstance(record.exc_info[1], Reject):
        record.exc_info = None
    return True


def withhold_error(record: logging.LogRecord, characters: int) -> bool:
    """Let each record of the tracer pass, with as much of an error's text as is allowed."""
    said = record.args
    if characters > 0 or not isinstance(said, dict) or "exc" not in said:
        return True
    error = record.exc_info[1] if record.exc_info else None
    name = _CLASS.match(str(said["exc"]))
    if error is not None:
        text = repr(told(error, characters))
    elif name is not None and hasattr(errors, name[0]):
        text = said["exc"]
    else:  # of a class that the task announces, or a Retry or Reject with a text of the task's own
        text = f"{name[0] if name else 'an error'}({WITHHELD!r})"
    record.args = {**said, "exc": text, "traceback": WITHHELD}
    record.__dict__.pop("data", None)
    return True


def shorten_the_log(characters: int = 0, **_: Any) -> None:
    """From now on, in this process; may be called again. See InferenceTask.resultrepr_maxsize, too."""
    tracer = logging.getLogger("celery.app.trace")
    tracer.addFilter(shorten)
    if not any(isinstance(each, partial) for each in tracer.filters):
        tracer.addFilter(partial(withhold_error, characters=characters))
