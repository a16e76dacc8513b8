"""A result backend whose stores are spans, where somebody traces."""

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from celery.backends.base import Backend

# OpenTelemetry's names, by the schemes of Celery's backends.
_SYSTEMS = {"sqlite": "sqlite", "dynamodb": "aws.dynamodb", "redis": "redis", "rediss": "redis", "mongodb": "mongodb"}


def traced(backend: "Backend") -> "Backend":
    """The backend, made to tell of each outcome that it stores for a delivery."""
    store = backend.store_result

    def store_result(task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        # Only imported, by who follows deliveries, in a process that traces.
        deliveries = sys.modules.get("tasks.tracing.process")
        if deliveries is None:
            return store(task_id, result, state, *args, **kwargs)
        scheme = urlsplit(str(backend.app.conf.result_backend or "")).scheme.partition("+")[0]
        with deliveries.storing(_SYSTEMS.get(scheme, scheme), state):
            return store(task_id, result, state, *args, **kwargs)

    backend.store_result = store_result
    return backend
