"""`celery -A tasks worker --health-port [HOST:]PORT`: what orchestrators ask a worker.

/live     200 while the worker is to be kept: it has not been told to stop, and has a device
/ready    200 while it can receive and store, a line for each paused lane below it; 503 otherwise, with the reasons:
          see `tasks.resilience.readiness`
/metrics  totals of its models and devices, and their memory, in Prometheus's text format; names as in docs/metrics.md

A thread of its own answers, also while models load. It needs no login and tells nothing of requests, and listens on
127.0.0.1 unless HOST says otherwise.
"""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from celery.worker import state

from celery_inference.metrics import table
from celery_inference.metrics.exposition import Exposition, Sample
from celery_inference.sqs.messages.reason import Cause
from tasks.context import WorkerContext

REQUEST_SECONDS = 5.0  # a client that sends nothing is let go


def samples_of(context: WorkerContext) -> Iterator[Sample]:
    """What /metrics tells of models, devices and receiving; nothing while models load."""
    engine = context.engine.engine
    if engine is None:
        return
    stats, requests = engine.stats(), context.engine.totals()
    for model, figures in stats["models"].items():
        totals = {**figures, **requests.get(model, {})}
        yield from ((metric, (model,), totals[name]) for name, metric in table.MODEL_TOTALS.items() if name in totals)
    for device, facts in stats["devices"].items():
        yield table.DEVICE_RESTARTS, (device,), facts["restarts"]
        for kind, size in facts.get("memory", {}).items():
            yield table.DEVICE_MEMORY, (device, kind), size
        for model, sizes in facts.get("model_memory", {}).items():
            for kind, size in sizes.items():
                yield table.MODEL_MEMORY, (device, model, kind.removesuffix("_bytes")), size
        for model, limits in facts.get("memory_limits", {}).items():
            for least, tokens in limits:
                yield table.MODEL_MEMORY_LIMIT, (device, model, str(least)), tokens
    if (watch := context.breaker) is not None:
        for lane, causes in watch.dead_letters().items():
            yield from ((table.DEAD_LETTERS, (lane, cause, Cause.read(cause).fault), n) for cause, n in causes.items())
        yield from ((table.LANE_PAUSED, (lane,), int(lane in watch.stopped)) for lane in watch.lanes)
    yield from ((table.WORKER_PAUSED, (reason,), 1) for reason in context.pauses.reasons)


def remarks(context: WorkerContext) -> list[str]:
    """What a ready worker does not do, a sentence each: lanes that are paused, and those that it cannot serve now."""
    watch = context.breaker
    stops = watch.stopped.values() if watch is not None else ()
    return [
        *(f"lane {stop.lane} is paused: {stop.why}" for stop in stops),
        *(f"lane {lane} is paused here: none of its models can be served" for lane in sorted(context.models.closed)),
    ]


class HealthHandler(BaseHTTPRequestHandler):
    """Answers GET."""

    server: "HealthServer"
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        """One of the three paths, or 404."""
        context = self.server.context
        stopping = state.should_stop is not None or state.should_terminate is not None
        if self.path == "/live":
            self._answer(503 if stopping else 200, "stopping\n" if stopping else "live\n")
        elif self.path == "/ready":
            faults = ["the worker stops"] if stopping else context.readiness.faults()
            lines = ["not ready" if faults else "ready", *faults, *remarks(context)]
            self._answer(503 if faults else 200, "".join(f"{line}\n" for line in lines))
        elif self.path == "/metrics":
            self._answer(200, self.server.metrics.text())
        else:
            self._answer(404, "/live, /ready, /metrics\n")

    def _answer(self, status: int, content: str | bytes) -> None:
        body = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Probes come each second: nothing is logged."""


class HealthServer(ThreadingHTTPServer):
    """Answers for a worker until the process ends, also that it stops."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], context: WorkerContext) -> None:
        self.context = context
        self.metrics = Exposition("worker", partial(samples_of, context))
        super().__init__(address, HealthHandler)

    def start(self) -> None:
        """Answer from now on, in a thread of its own."""
        threading.Thread(target=self.serve_forever, name="health", daemon=True).start()


def start_health_server(address: tuple[str, int] | None, context: WorkerContext) -> None:
    """Where the operator gave an address; raises SystemExit where none can listen there."""
    if address is None:
        return
    try:
        HealthServer(address, context).start()
    except OSError as error:
        raise SystemExit(f"celery-inference: --health-port {address[0]}:{address[1]}: {error}") from error
