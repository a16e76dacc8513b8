"""Spans of this process: the sending of a request, and the storing of an outcome, where somebody traces.

The context of a sending travels in the message's headers, as W3C's `traceparent`. OpenTelemetry is imported by who
configures it, never by us to find out.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from celery.signals import before_task_publish

from celery_inference.client.tracing import semantic_names as v

if TYPE_CHECKING:
    from celery.backends.base import Backend
    from opentelemetry.trace import Tracer

NAME = "celery-inference"  # OpenTelemetry's instrumentation scope
# OpenTelemetry's names, by the schemes of Celery's backends.
_SYSTEMS = {"sqlite": "sqlite", "dynamodb": "aws.dynamodb", "redis": "redis", "rediss": "redis", "mongodb": "mongodb"}
# The task's id and the span of the request that this context sends.
_SENDING: ContextVar[tuple[str, Any] | None] = ContextVar("sending", default=None)


def tracer() -> "Tracer | None":
    """The tracer of this process; None where no SDK is configured, which costs a look into a dictionary."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider = api.get_tracer_provider()
    if isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider):
        return None
    found: Tracer = provider.get_tracer(NAME)
    return found


@contextmanager
def sending(task: str, task_id: str, options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """While the request is sent; gives the options to send it with, which are the caller's where nobody traces."""
    found = tracer()
    if found is None:
        yield options
        return
    from opentelemetry import propagate
    from opentelemetry.trace import SpanKind, StatusCode

    attributes = {
        v.SYSTEM: v.AWS_SQS,
        v.OPERATION: v.SEND,
        v.OPERATION_TYPE: v.SEND,
        v.TASK_NAME: task,
        v.CONVERSATION_ID: task_id,
    }
    with found.start_as_current_span(
        v.SEND, kind=SpanKind.PRODUCER, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        carrier: dict[str, Any] = {}
        propagate.inject(carrier)
        before_task_publish.connect(_name_destination, dispatch_uid="tasks.tracing")
        token = _SENDING.set((task_id, span))
        try:
            yield {**options, "headers": {**(options.get("headers") or {}), **carrier}}
        except Exception as error:
            # Its message may quote inputs.
            span.set_status(StatusCode.ERROR)
            span.set_attribute(v.ERROR_TYPE, type(error).__name__)
            raise
        finally:
            _SENDING.reset(token)


def _name_destination(routing_key: str = "", headers: Any = None, **_: Any) -> None:
    """The lane is known only now that the request was routed."""
    task_id, span = _SENDING.get() or ("", None)
    # Not the current span: that may be of OpenTelemetry's instrumentation for Celery.
    if span is not None and (headers or {}).get("id") == task_id:
        span.update_name(f"{v.SEND} {routing_key}")
        span.set_attribute(v.DESTINATION, routing_key)


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
