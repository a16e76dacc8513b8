"""Follow a request with OpenTelemetry: the worker's spans belong to the trace that begins here.

The worker exports its spans where OTEL_EXPORTER_OTLP_ENDPOINT says; this program prints its own.
"""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from celery_inference import feature_extraction

exporter = ConsoleSpanExporter(formatter=lambda span: f"{span.context.trace_id:032x} {span.name}\n")
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

with trace.get_tracer("shop").start_as_current_span("answer a customer"):
    vector = feature_extraction.delay("My parcel never arrived.").get(timeout=60)
print(len(vector), "numbers")
