"""The span of a request's sending; its context travels in the message's headers, as W3C's `traceparent`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery.signals import before_task_publish

from celery_inference.client.tracing import semantic_names as v
from celery_inference.client.tracing.tracer import tracer

# The task's id and the span of the request that this context sends.
_SENDING: ContextVar[tuple[str, Any] | None] = ContextVar("sending", default=None)


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
