"""`celery -A tasks worker --health-port [HOST:]PORT`: what orchestrators ask a worker.

/live     200 while the worker is to be kept: it has not been told to stop, and has a device
/ready    200 from when its models are loaded and it receives until it is told to stop, else 503; also 503, and why,
          while it receives nothing from a lane of which too much failed, or nothing at all
/metrics  totals of its models and devices, and their memory, in Prometheus's text format; names as in docs/metrics.md

A thread of its own answers, also while models load. It needs no login and tells nothing of requests, and listens on
127.0.0.1 unless HOST says otherwise.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from celery.worker import state

from tasks.context import WorkerContext

REQUEST_SECONDS = 5.0  # a client that sends nothing is let go
# Totals of the engine, and of waits, by the names of docs/metrics.md.
TOTALS = {
    "batches": "celery_inference_batches_total",
    "rows": "celery_inference_inputs_total",
    "tokens": "celery_inference_tokens_total",
    "padded_tokens": "celery_inference_padded_tokens_total",
    "forward_seconds": "celery_inference_forward_seconds_total",
    "out_of_memory": "celery_inference_out_of_memory_total",
    "waits": "celery_inference_queue_waits_total",
    "wait_seconds": "celery_inference_queue_wait_seconds_total",
}
RESTARTS = "celery_inference_device_restarts_total"
MEMORY = "celery_inference_device_memory_bytes"
MODEL_MEMORY = "celery_inference_model_memory_bytes"
MEMORY_LIMITS = "celery_inference_model_memory_limit_tokens"
LANE_PAUSED = "celery_inference_lane_paused"
WORKER_PAUSED = "celery_inference_worker_paused"

_Series = dict[tuple[tuple[str, str], ...], float]


def metrics(context: WorkerContext) -> str:
    """What /metrics answers; empty while models load."""
    engine = context.engine.engine
    if engine is None:
        return ""
    stats, waits = engine.stats(), context.engine.waits()
    lines: list[str] = []
    for total, name in TOTALS.items():
        values = {
            model: sums[total]
            for model in stats["models"]
            if total in (sums := {**stats["models"][model], **waits.get(model, {})})
        }
        lines += _family(name, {(("model", model),): value for model, value in values.items()})
    return "".join(f"{line}\n" for line in [*lines, *_of_devices(stats["devices"]), *_of_receiving(context)])


def _of_devices(devices: dict[str, dict[str, Any]]) -> list[str]:
    """Restarts, memory and memory limits."""
    restarts: _Series = {}
    memory: _Series = {}
    of_models: _Series = {}
    memory_limits: _Series = {}
    for device, facts in devices.items():
        restarts[("device", device),] = facts["restarts"]
        memory |= {(("device", device), ("kind", kind)): size for kind, size in facts.get("memory", {}).items()}
        for model, sizes in facts.get("model_memory", {}).items():
            here = ("device", device), ("model", model)
            of_models |= {(*here, ("kind", kind.removesuffix("_bytes"))): size for kind, size in sizes.items()}
        for model, known in facts.get("memory_limits", {}).items():
            here = ("device", device), ("model", model)
            memory_limits |= {(*here, ("least_tokens", str(least))): tokens for least, tokens in known}
    return [
        *_family(RESTARTS, restarts),
        *_family(MEMORY, memory, "gauge"),
        *_family(MODEL_MEMORY, of_models, "gauge"),
        *_family(MEMORY_LIMITS, memory_limits, "gauge"),
    ]


def _of_receiving(context: WorkerContext) -> list[str]:
    """Which lanes are paused here, and what keeps the worker from receiving anything."""
    watch = context.breaker
    stopped: _Series = {}
    if watch is not None:
        stopped = {(("lane", lane),): int(lane in watch.stopped) for lane in watch.lanes}
    braked: _Series = {(("reason", reason),): 1 for reason in context.pauses.reasons}
    return [*_family(LANE_PAUSED, stopped, "gauge"), *_family(WORKER_PAUSED, braked, "gauge")]


def pause_reasons(context: WorkerContext) -> list[str]:
    """Why this worker receives less than it should, a sentence each."""
    watch = context.breaker
    stops = watch.stopped.values() if watch is not None else ()
    return [*context.pauses.reasons.values(), *(f"lane {stop.lane} is paused: {stop.why}" for stop in stops)]


def _family(name: str, values: _Series, kind: str = "counter") -> list[str]:
    def named(labels: tuple[tuple[str, str], ...]) -> str:
        return ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)

    series = [f"{name}{{{named(labels)}}} {value}" for labels, value in sorted(values.items())]
    return [f"# TYPE {name} {kind}", *series] if series else []


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


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
            ready = context.receiving.is_set() and context.engine.engine is not None and not stopping
            why = pause_reasons(context) if ready else []
            text = "ready" if ready and not why else "not ready"
            self._answer(200 if ready and not why else 503, "".join(f"{line}\n" for line in (text, *why)))
        elif self.path == "/metrics":
            self._answer(200, metrics(context))
        else:
            self._answer(404, "/live, /ready, /metrics\n")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode("utf-8", "replace")
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
