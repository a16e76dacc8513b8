"""One trace a request, from `delay()` in a program to the result that a worker stores, at a collector on loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_inference.client.tracing import semantic_names as v
from demo.__main__ import write_catalogue
from demo.processes import ROOT
from demo.stack import Stack
from tests.support.collector import Collector, Seen

SECRET = "nobody else may read this sentence"
# What docs/tracing.md tells an application to do.
SENDER = """
import json, sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

from celery_inference import app, feature_extraction
from celery_inference.specs.errors import InvalidInput

with trace.get_tracer("test").start_as_current_span("asking"):
    results = [feature_extraction.apply_async((text,), headers=headers) for text, headers in json.loads(sys.argv[1])]
states = []
for result in results:
    result.get(timeout=90, propagate=False)
    states.append(result.state)
print(json.dumps([[result.id for result in results], states]))
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def started(folder: Path, collector: Collector) -> Stack:
    """Server and worker with one model, which export to the collector; the caller ends it."""
    text = write_catalogue(folder).read_text(encoding="utf-8")
    catalogue = folder / "one.toml"
    catalogue.write_text(text[text.index("[fragile]") :], encoding="utf-8")
    (folder / "instrumented.py").write_text(INSTRUMENTED, encoding="utf-8")
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    return Stack(folder, catalogue=catalogue, PYTHONPATH=os.pathsep.join((str(ROOT), str(folder))), **settings)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Stack]:
    with started(tmp_path_factory.mktemp("traces"), collector) as stack:
        stack.start_server()
        stack.worker = stack.start_worker()  # type: ignore[attr-defined]
        yield stack


# As an application does that switches OpenTelemetry's instrumentation on for its workers.
INSTRUMENTED = """
from celery.signals import worker_init
from opentelemetry.instrumentation.celery import CeleryInstrumentor

@worker_init.connect(weak=False)
def instrument(**_):
    CeleryInstrumentor().instrument()
"""
PLAIN = """
import json, sys
from celery_inference import feature_extraction
results = [feature_extraction.apply_async((text,), headers=headers) for text, headers in json.loads(sys.argv[1])]
for result in results:
    result.get(timeout=90, propagate=False)
print(json.dumps([[result.id for result in results], [result.state for result in results]]))
"""


def ask(
    stack: Stack, *requests: tuple[str, dict[str, Any] | None], program: str = SENDER
) -> tuple[list[str], list[str]]:
    own = {"OTEL_SERVICE_NAME": "an-application", "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
    environment = {**os.environ, **stack.environment, **own}
    ended = subprocess.run(
        [sys.executable, "-c", program, json.dumps(requests)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert ended.returncode == 0, ended.stderr
    ids, states = json.loads(ended.stdout.splitlines()[-1])
    return ids, states


def of_request(spans: list[Seen], request_id: str) -> dict[str, Seen]:
    """The spans of a request's own part of its trace, by name: below its sending."""
    sent = next(span for span in spans if span.name.startswith("send ") and _is(span, request_id))
    found, below = {sent.name: sent}, [sent.id]
    while below:
        children = [span for span in spans if span.parent in below]
        found |= {span.name: span for span in children}
        below = [span.id for span in children]
    assert {span.trace for span in found.values()} == {sent.trace}
    return found


def _is(span: Seen, request_id: str) -> bool:
    return span.attributes.get(v.CONVERSATION_ID) == request_id


def test_one_trace_goes_from_delay_to_the_stored_result(stack: Stack, collector: Collector) -> None:
    (first, second), states = ask(stack, (SECRET, None), (f"{SECRET}, too", None))
    assert states == ["SUCCESS", "SUCCESS"]
    spans = collector.wait_for(
        lambda spans: (
            sum(span.name.startswith("process") for span in spans) == 2 and any(s.name == "asking" for s in spans)
        ),
        "both requests",
    )
    (asking,) = (span for span in spans if span.name == "asking")
    for request_id in (first, second):
        one = of_request(spans, request_id)
        assert set(one) == {
            "send inference",
            "wait in inference",
            "process inference",
            "wait for a batch",
            "batch fragile",
            "prepare",
            "forward",
            "finish",
            "store result",
        }
        sent, work, batch = one["send inference"], one["process inference"], one["batch fragile"]
        assert (sent.parent, sent.service, work.service) == (asking.id, "an-application", "celery-inference")
        assert one["wait in inference"].parent == work.parent == sent.id
        assert batch.parent == one["store result"].parent == one["wait for a batch"].parent == work.id
        assert {one[step].parent for step in v.STEPS} == {batch.id}
        assert work.begin <= batch.begin <= one["prepare"].begin <= one["forward"].begin <= one["finish"].begin
        assert one["finish"].end <= batch.end <= one["store result"].begin <= one["store result"].end <= work.end
        assert one["wait in inference"].end == work.begin
        assert work.attributes[v.STATE] == "SUCCESS"
        (link,) = batch.links
        shared = next(span for span in spans if span.id == link)
        assert work.id in shared.links
        assert shared.trace != work.trace
        assert shared.attributes[v.ROWS] >= len(shared.links)
    assert {name for span in spans for name in span.attributes} <= {*v.ATTRIBUTES}


def test_a_failure_is_told_without_its_words(stack: Stack, collector: Collector) -> None:
    (crash,), states = ask(stack, ("please divide by zero", None))
    assert states == ["FAILURE"]
    spans = collector.wait_for(
        lambda spans: any(span.name.startswith("process") and _is(span, crash) for span in spans), "the failed request"
    )
    (work,) = (span for span in spans if span.name.startswith("process") and _is(span, crash))
    assert work.failed
    assert work.attributes[v.ERROR_TYPE] == "DeviceCrash"
    batches = [span for span in spans if span.name == "batch fragile" and span.parent == work.id]
    assert batches
    assert all(batch.failed for batch in batches)
    assert not any(span.events for span in spans)
    assert b"divide by zero" not in collector.bytes
    assert SECRET.encode() not in collector.bytes


def test_headers_of_others_that_are_no_context_cost_nothing(stack: Stack) -> None:
    hostile = {"traceparent": ["00-zz"], "tracestate": {"a": 1}, "baggage": 5}
    assert ask(stack, ("fine", hostile))[1] == ["SUCCESS"]
    plain = """
from celery_inference import feature_extraction
hostile = {"traceparent": ["00-zz"], "tracestate": {"a": 1}, "baggage": 5}
print(len(feature_extraction.apply_async(("fine",), headers=hostile).get(timeout=90)))
import sys
assert not any(name.startswith("opentelemetry") for name in sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", plain],
        cwd=ROOT,
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert ended.stdout.strip() == "384", ended.stderr


def test_spans_nest_where_celerys_instrumentation_is_on_and_none_is_left_behind(tmp_path: Path) -> None:
    with Collector() as collector, started(tmp_path, collector) as stack:
        stack.start_server()
        stack.start_worker("instrumented", "-I", "instrumented", "--concurrency", "1")
        (first, second), states = ask(stack, (SECRET, None), (SECRET, None))
        (alone,), more = ask(stack, (SECRET, None), program=PLAIN)
        assert (states, more) == (["SUCCESS"] * 2, ["SUCCESS"])
        run = "run/celery_inference.feature_extraction"
        spans = collector.wait_for(lambda spans: sum(span.name == run for span in spans) == 3, "three deliveries")
        spans = collector.wait_for(
            lambda spans: sum(span.name == "send inference" for span in spans) == 2, "what the sender tells"
        )
    for request_id in (first, second):
        one = of_request(spans, request_id)
        sent, theirs, work = one["send inference"], one[run], one["process inference"]
        assert one["wait in inference"].parent == theirs.parent == sent.id
        assert work.parent == theirs.id
        assert one["batch fragile"].parent == one["store result"].parent == one["wait for a batch"].parent == work.id
        assert theirs.begin <= work.begin
        assert work.begin <= one["batch fragile"].begin
        assert {one[step].parent for step in v.STEPS} == {one["batch fragile"].id}
    (work,) = (span for span in spans if span.name == "process inference" and _is(span, alone))
    (theirs,) = (span for span in spans if span.id == work.parent)
    assert (theirs.name, theirs.parent) == (run, ""), "a delivery after traced ones begins a trace of its own"


def test_a_collector_that_hangs_costs_no_request_and_no_stop(stack: Stack, collector: Collector) -> None:
    collector.hangs.set()
    assert ask(stack, *[(f"text {number}", None) for number in range(20)])[1] == ["SUCCESS"] * 20
    os.kill(stack.worker.pid, signal.SIGTERM)  # type: ignore[attr-defined]
    assert stack.worker.wait(30) == 0  # type: ignore[attr-defined]
