"""The table of metrics: what workers and Flower serve, what docs/metrics.md, dashboard and rules may name.

To add a metric, add a row here, give its samples where it is served, and describe it on the page.
"""

from dataclasses import dataclass
from typing import Literal

Server = Literal["flower", "worker"]
BOTH: tuple[Server, ...] = ("flower", "worker")
UNITS = ("seconds", "bytes", "tokens")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name as scraped, its type, its labels, what it means and which processes serve it."""

    name: str
    labels: tuple[str, ...]
    help: str
    served_by: tuple[Server, ...]

    @property
    def type(self) -> Literal["counter", "gauge"]:
        """Prometheus's type; counters count since the start of the process that they are about."""
        return "counter" if self.name.endswith("_total") else "gauge"

    @property
    def unit(self) -> str | None:
        """One of UNITS; None for what counts things."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in UNITS else None

    def labels_at(self, server: Server) -> tuple[str, ...]:
        """The labels where `server` serves it: Flower names the worker of what workers tell."""
        return ("worker", *self.labels) if server == "flower" and self.served_by == BOTH else self.labels


QUEUE_MESSAGES = Metric(
    "celery_inference_queue_messages",
    ("queue", "state"),
    "Messages in a queue as SQS last counted them; state is visible, in_flight or delayed.",
    ("flower",),
)
LANE_DEPTHS_AGE = Metric(
    "celery_inference_lane_depths_age_seconds",
    ("lane",),
    "Age of a lane's other values: seconds since SQS last answered. Absent until its first answer.",
    ("flower",),
)
LANE_DEPTHS_FAILED_ROUNDS = Metric(
    "celery_inference_lane_depths_failed_rounds_total",
    ("lane",),
    "Rounds in which a lane's depths could not be read; its values then stay.",
    ("flower",),
)
LANE_DEAD_LETTERS = Metric(
    "celery_inference_lane_dead_letters",
    ("lane",),
    "Messages in a lane's dead-letter queue, whatever their state.",
    ("flower",),
)
LANE_DRAIN = Metric(
    "celery_inference_lane_drain_seconds",
    ("lane",),
    "Drain time: seconds until the lane is empty at the speed of the last minute; 0 when it is empty. "
    "Absent while it is not draining.",
    ("flower",),
)
QUEUE_OLDEST_AGE = Metric(
    "celery_inference_queue_oldest_age_seconds",
    ("queue", "bound"),
    "Age of a queue's oldest message as of its last reading, delays included, between bounds; bound is at_least or "
    "at_most. 0 when the queue is empty; at_most is absent until it was seen empty.",
    ("flower",),
)
LANE_RECEIVED_AGE = Metric(
    "celery_inference_lane_received_age_seconds",
    ("lane",),
    "Age of the oldest message that workers held or received when they last told, delays included. Absent when they "
    "have told of none for 75 s.",
    ("flower",),
)
DEVICE_RESTARTS = Metric(
    "celery_inference_device_restarts_total",
    ("device",),
    "Device processes that were started anew since the worker's start.",
    BOTH,
)
DEVICE_MEMORY = Metric(
    "celery_inference_device_memory_bytes",
    ("device", "kind"),
    "Memory of a device process; kind is process (its resident set), device (all that the device has), and on a GPU, "
    "as of the last batch, allocated (by tensors), peak (the most since loading) and reserved (kept for tensors).",
    BOTH,
)
MODEL_MEMORY = Metric(
    "celery_inference_model_memory_bytes",
    ("device", "model", "kind"),
    "Memory that a model took when it was loaded; kind is weights or peak (with its first passes).",
    BOTH,
)
MODEL_MEMORY_LIMIT = Metric(
    "celery_inference_model_memory_limit_tokens",
    ("device", "model", "least_tokens"),
    "Out-of-memory limit: the tokens that a pass may have, padding included, whose longest input has at least "
    "least_tokens, because more did not fit. Absent where nothing ran out of memory lately.",
    BOTH,
)
DEAD_LETTERS = Metric(
    "celery_inference_dead_letters_total",
    ("lane", "cause", "fault"),
    "Dead letters that the worker has written, or found moved by SQS; fault is caller, model, infrastructure or "
    "deployment. Since the worker's start.",
    BOTH,
)
LANE_PAUSED = Metric(
    "celery_inference_lane_paused",
    ("lane",),
    "1 while the worker takes nothing from the lane because too many of its requests failed, else 0.",
    ("worker",),
)
WORKER_PAUSED = Metric(
    "celery_inference_worker_paused",
    ("reason",),
    "1 while the worker receives nothing at all; reason is host or result store.",
    ("worker",),
)


def _of_model(name: str, help: str) -> Metric:
    return Metric(f"celery_inference_{name}_total", ("model",), f"{help} Since the worker's start.", BOTH)


# By the names that the engine and the worker's event `inference-stats` have for their totals.
MODEL_TOTALS = {
    "batches": _of_model("batches", "Batches that devices have run."),
    "rows": _of_model("inputs", "Inputs in those batches."),
    "tokens": _of_model("tokens", "Tokens, pixels or samples of those inputs, as a model counts them."),
    "padded_tokens": _of_model("padded_tokens", "The same, with the padding that batches add."),
    "forward_seconds": _of_model("forward_seconds", "Time of forward passes."),
    "out_of_memory": _of_model("out_of_memory", "Passes that did not fit into the device's memory."),
    "invalid_inputs": _of_model("invalid_inputs", "Inputs that were refused alone, in requests with return_errors."),
    "failed_inputs": _of_model(
        "failed_inputs", "Inputs on which the model failed alone, in requests with return_errors."
    ),
    "waits": _of_model("queue_waits", "Requests whose wait in the queue was measured."),
    "wait_seconds": _of_model("queue_wait_seconds", "Time from a request's sending to a worker's thread taking it."),
}

METRICS = (
    QUEUE_MESSAGES,
    LANE_DEPTHS_AGE,
    LANE_DEPTHS_FAILED_ROUNDS,
    LANE_DEAD_LETTERS,
    LANE_DRAIN,
    QUEUE_OLDEST_AGE,
    LANE_RECEIVED_AGE,
    DEVICE_RESTARTS,
    DEVICE_MEMORY,
    MODEL_MEMORY,
    MODEL_MEMORY_LIMIT,
    *MODEL_TOTALS.values(),
    DEAD_LETTERS,
    LANE_PAUSED,
    WORKER_PAUSED,
)


def served_by(server: Server) -> list[Metric]:
    """The rows that a worker or Flower serves, in the table's order."""
    return [metric for metric in METRICS if server in metric.served_by]
