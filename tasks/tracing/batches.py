"""Spans of batches, made in the worker's parent from the times that device processes report.

A batch serves many requests, each with a trace of its own: so each has a span for it, with the steps in it, and the
batch has one in a trace of its own that is linked to all of them.
"""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, StatusCode, Tracer

from celery_inference.client.tracing import semantic_names as v
from celery_inference.client.tracing.spans import tracer
from models.scheduling.batch_report import BatchReport
from tasks.tracing.process import context_of, nanoseconds


def record_batch(report: BatchReport) -> None:
    """Make the spans of a batch that has ended; in a thread of the engine, before the requests go on."""
    found = tracer()
    contexts = {request: context for request in report.requests if (context := context_of(request)) is not None}
    if found is None or not contexts:
        return
    attributes = _attributes(report)
    links = [Link(trace.get_current_span(context).get_span_context()) for context in contexts.values()]
    shared = found.start_span(
        f"{v.BATCH} {report.model}",
        Context(),
        attributes=attributes,
        links=links,
        start_time=nanoseconds(report.sealed_at),
    )
    _steps(found, shared, report)
    for request, context in contexts.items():
        waiting = found.start_span(
            v.WAIT_FOR_BATCH, context, start_time=nanoseconds(min(report.requests[request], report.sealed_at))
        )
        waiting.end(nanoseconds(report.sealed_at))
        own = found.start_span(
            f"{v.BATCH} {report.model}",
            context,
            attributes=attributes,
            links=[Link(shared.get_span_context())],
            start_time=nanoseconds(report.sealed_at),
        )
        _steps(found, own, report)


def _steps(found: Tracer, batch: Span, report: BatchReport) -> None:
    """The steps as children of a batch's span, and its end."""
    within = trace.set_span_in_context(batch, Context())
    for name, (began, ended) in report.steps.items():
        if name in v.STEPS:
            found.start_span(name, within, start_time=nanoseconds(began)).end(nanoseconds(ended))
    if report.problem:
        batch.set_status(StatusCode.ERROR)
    batch.end(nanoseconds(report.ended_at))


def _attributes(report: BatchReport) -> dict[str, str | int]:
    counts = {v.ROWS: "rows", v.PASSES: "passes", v.TOKENS: "tokens", v.PADDED_TOKENS: "padded_tokens"}
    told = {name: int(report.stats[figure]) for name, figure in counts.items() if figure in report.stats}
    error = {v.ERROR_TYPE: "DeviceProcessEnded"} if report.problem else {}
    return {v.MODEL: report.model, v.DEVICE: report.device, **told, **error}
