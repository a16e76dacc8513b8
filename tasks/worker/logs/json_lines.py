"""`celery -A tasks worker --log-format json`: each line of the log is one JSON object.

`time` (ISO 8601, UTC), `level`, `logger`, `event` (see celery_inference.log_events, or `log`), `message`, and where
they are known `request_id`, `task`, `model`, `lane`, `cause` (the error's class) and `traceback`.
"""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from celery import current_task
from celery.app import trace

_EVENTS = {
    trace.LOG_SUCCESS: "request_succeeded",
    trace.LOG_SUCCESS.removesuffix(": %(return_value)s"): "request_succeeded",
    trace.LOG_RETRY: "request_retried",
    trace.LOG_REJECTED: "request_rejected",
    trace.LOG_IGNORED: "request_rejected",
    trace.LOG_FAILURE: "request_failed",
}
_CLASS = re.compile(r"(\w+)\(")


class JsonFormatter(logging.Formatter):
    """Never raises for facts that JSON cannot hold: it writes what Python shows of them."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": getattr(record, "event", None) or _EVENTS.get(str(record.msg), "log"),
            "message": record.getMessage(),
            **_request(),
            **_of_tracer(record),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            told.setdefault("cause", getattr(record.exc_info[0], "__name__", None))
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in told.items() if value is not None}, default=repr)


def _request() -> dict[str, Any]:
    """Of the request that the thread works on."""
    request = current_task.request if current_task else None
    if request is None or request.id is None:
        return {}
    kwargs = request.kwargs if isinstance(request.kwargs, dict) else {}
    model = kwargs.get("model")
    return {
        "request_id": request.id,
        "task": current_task.name,
        "model": model if isinstance(model, str) else None,
        "lane": (request.delivery_info or {}).get("routing_key"),
    }


def _of_tracer(record: logging.LogRecord) -> dict[str, Any]:
    """What Celery's tracer says of a request in the line's arguments; inputs and results are among the rest."""
    said = record.args if record.name == trace.logger.name and isinstance(record.args, dict) else {}
    error = _CLASS.match(str(said.get("exc", "")))
    return {
        name: value
        for name, value in (
            ("request_id", said.get("id")),
            ("task", said.get("name")),
            ("cause", error[1] if error else None),
            ("seconds", said.get("runtime")),
        )
        if value is not None
    }
