"""A worker's own export of traces, where OpenTelemetry's variables name a collector and nobody has set up an SDK."""

import threading
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger

from celery_inference.client.tracing.spans import NAME, tracer
from models.scheduling.batch_report import BatchReport

logger = get_logger(__name__)

FLUSH_SECONDS = 3.0  # for the last spans at the worker's end; a collector that hangs keeps no worker


def begin_traces(conf: Any, worker: str) -> Callable[[], None] | None:
    """Trace this worker's deliveries, if that is wanted and can be; returns what ends an export that was begun here."""
    end = None
    if tracer() is not None or (conf.inference_traces and (end := _set_up(worker))):
        from tasks.tracing.process import follow

        follow()
    return end


def follower() -> Callable[[BatchReport], None] | None:
    """What is to be told of batches in this process, None where nobody traces."""
    if tracer() is None:
        return None
    from tasks.tracing.batches import record_batch

    return record_batch


def _set_up(worker: str) -> Callable[[], None] | None:
    """Export from now on; returns what ends that, None where nothing can be exported."""
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        logger.warning("no traces are exported: the extra `otel` is not installed (%s)", error)
        return None
    resource = Resource.create({"service.instance.id": worker})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: NAME}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    def end() -> None:
        ending = threading.Thread(target=provider.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)

    return end
