"""Spans of a delivery in the worker: its wait in the queue, and its work until the outcome is stored.

The work's span is the current one of the pool's thread, so that what the task sends, and what other instrumentations
see, belong to it. Only connected where somebody traces, by `follow`.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from celery.exceptions import Ignore, Reject, Retry
from celery.signals import task_postrun, task_prerun
from celery.states import FAILURE
from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, StatusCode

from celery_inference.client.tracing import semantic_names as v
from celery_inference.client.tracing.spans import tracer

NANOSECONDS = 1_000_000_000

_here = threading.local()
_lock = threading.Lock()
_working: dict[str, Context] = {}


class _Headers(Getter[Any]):
    """Headers of a message as attributes of Celery's request; what others put there may be of any type."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        value = getattr(carrier, key, None)
        return [value] if isinstance(value, str) else None

    def keys(self, carrier: Any) -> list[str]:
        return [name for name, value in vars(carrier).items() if isinstance(value, str)]


_HEADERS = _Headers()


def follow() -> None:
    """Trace the deliveries of this process from now on."""
    task_prerun.connect(_begin, weak=False, dispatch_uid="tasks.tracing")
    task_postrun.connect(_end, weak=False, dispatch_uid="tasks.tracing")


def context_of(request_id: str) -> Context | None:
    """The context of the delivery that works on the request here, if its span is recorded."""
    with _lock:
        return _working.get(request_id)


def nanoseconds(seconds: float) -> int:
    """A time since the epoch as OpenTelemetry has it."""
    return int(seconds * NANOSECONDS)


def _begin(task_id: str = "", task: Any = None, kwargs: Any = None, **_: Any) -> None:
    found = tracer()
    if found is None:
        return
    now, request = time.time(), task.request
    delivery: Mapping[str, Any] = (request.properties or {}).get("delivery_info") or {}
    lane = str(delivery.get("routing_key") or "")
    attributes: dict[str, Any] = {
        v.SYSTEM: v.AWS_SQS,
        v.DESTINATION: lane,
        v.MESSAGE_ID: str(delivery.get("message_id") or ""),
        v.CONVERSATION_ID: task_id,
        v.DELIVERY: int(delivery.get("delivery_count") or 1),
        v.GENERATION: int(getattr(request, "inference_generation", 0) or 0),
    }
    sent = propagate.extract(request, contexts.get_current(), _HEADERS)
    # Where OpenTelemetry's instrumentation for Celery is on, its span of this delivery is current and holds ours.
    outer = contexts.get_current() if trace.get_current_span().get_span_context().is_valid else sent
    sent_at = float(delivery.get("sent_at") or 0.0)
    if sent_at:
        waiting = found.start_span(
            f"{v.WAIT} {lane}", sent, start_time=nanoseconds(min(sent_at, now)), attributes=attributes
        )
        waiting.end(nanoseconds(now))
    attributes |= {v.OPERATION: v.PROCESS, v.OPERATION_TYPE: v.PROCESS, v.TASK_NAME: task.name}
    model = kwargs.get("model") if isinstance(kwargs, dict) else None
    if isinstance(model, str):
        attributes[v.MODEL] = model
    span = found.start_span(
        f"{v.PROCESS} {lane}", outer, kind=SpanKind.CONSUMER, start_time=nanoseconds(now), attributes=attributes
    )
    context = trace.set_span_in_context(span, outer)
    _here.work = task_id, span, contexts.attach(context)
    if span.is_recording():
        with _lock:
            _working[task_id] = context


def _end(task_id: str = "", state: Any = None, retval: Any = None, **_: Any) -> None:
    working: tuple[str, Span, Any] | None = getattr(_here, "work", None)
    if working is None or working[0] != task_id:
        return
    _here.work = None
    span, token = working[1:]
    with _lock:
        _working.pop(task_id, None)
    # An instrumentation that was told of the end before us has put back what was current before the delivery.
    if trace.get_current_span() is span:
        contexts.detach(token)
    span.set_attribute(v.STATE, str(state))
    error = _cause(retval)
    if error is not None:
        span.set_attribute(v.ERROR_TYPE, type(error).__name__)
        if state == FAILURE or isinstance(retval, Reject | Retry):
            span.set_status(StatusCode.ERROR)
    span.end()


def _cause(retval: Any) -> BaseException | None:
    """The error behind an outcome; of what Celery raises to steer, its reason."""
    if isinstance(retval, Reject):
        return retval.reason if isinstance(retval.reason, BaseException) else None
    if isinstance(retval, Retry):
        return retval.exc if isinstance(retval.exc, BaseException) else None
    if isinstance(retval, Ignore):
        return getattr(retval, "error", None)
    return retval if isinstance(retval, BaseException) else None


def storing(database: str, state: str) -> AbstractContextManager[None]:
    """While an outcome is stored, in the thread of its delivery."""
    return _step(v.STORE, {v.DATABASE: database, v.STATE: state})


def redeeming() -> AbstractContextManager[None]:
    """While inputs are taken from the claim-check store, in the thread of the delivery."""
    return _step(v.REDEEM, {})


@contextmanager
def _step(name: str, attributes: Mapping[str, str]) -> Iterator[None]:
    found = tracer()
    if found is None or not trace.get_current_span().is_recording():
        yield
        return
    with found.start_as_current_span(
        name, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_status(StatusCode.ERROR)
            span.set_attribute(v.ERROR_TYPE, type(error).__name__)
            raise
