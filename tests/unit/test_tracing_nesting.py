"""Spans of a delivery beside OpenTelemetry's instrumentation for Celery, in a process of its own, without a worker."""

import json
import subprocess
import sys

import pytest

# The instrumentation is connected before ours, as where `begin` runs after `worker_init`.
PROGRAM = """
import json
from celery import Celery
from celery.app.trace import build_tracer
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
CeleryInstrumentor().instrument()

from tasks.tracing.process import follow

follow()
app = Celery("any", set_as_current=False)
app.conf.task_ignore_result = True

@app.task(name="any.task")
def task():
    return 1

app.finalize()
deliver = build_tracer("any.task", task, app=app)
sent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
for number, headers in enumerate(({"traceparent": sent}, {"traceparent": sent}, {})):
    delivery = {"routing_key": "inference", "sent_at": 1.0}
    deliver(f"id-{number}", (), {}, {**headers, "id": f"id-{number}", "properties": {"delivery_info": delivery}})
current = trace.get_current_span().get_span_context().is_valid
spans = [
    [span.name, f"{span.context.span_id:016x}", f"{span.parent.span_id:016x}" if span.parent else ""]
    for span in exporter.get_finished_spans()
]
print(json.dumps([current, spans]))
"""


@pytest.fixture(scope="module")
def seen() -> tuple[bool, list[tuple[str, str, str]]]:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    current, spans = json.loads(ended.stdout.splitlines()[-1])
    return current, [(name, own, parent) for name, own, parent in spans]


def test_ours_nest_inside_and_the_wait_belongs_to_the_sending(seen: tuple[bool, list[tuple[str, str, str]]]) -> None:
    _, spans = seen
    runs = [(own, parent) for name, own, parent in spans if name == "run/any.task"]
    works = [parent for name, _, parent in spans if name == "process inference"]
    waits = [parent for name, _, parent in spans if name == "wait in inference"]
    assert works == [own for own, _ in runs]
    assert [parent for _, parent in runs[:2]] == waits[:2] == ["b" * 16] * 2


def test_nothing_is_left_current_for_the_next_delivery(seen: tuple[bool, list[tuple[str, str, str]]]) -> None:
    current, spans = seen
    assert not current
    last = [parent for name, _, parent in spans if name == "run/any.task"][-1]
    assert last == "", "a delivery without a trace begins one of its own"


SENDING = """
import json
from celery.signals import before_task_publish
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

from celery_inference.client.tracing.spans import sending

with sending("any.task", "id-1", {}):
    with trace.get_tracer("another").start_as_current_span("of an instrumentation"):
        before_task_publish.send(sender="any.task", routing_key="other", headers={"id": "a link's"})
        before_task_publish.send(sender="any.task", routing_key="inference", headers={"id": "id-1"})
spans = exporter.get_finished_spans()
print(json.dumps([[span.name, span.attributes.get("messaging.destination.name")] for span in spans]))
"""


def test_the_span_of_sending_gets_its_lane_though_anothers_is_current() -> None:
    ended = subprocess.run([sys.executable, "-c", SENDING], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [["of an instrumentation", None], ["send inference", "inference"]]
