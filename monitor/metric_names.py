"""Every metric of ours on Flower's `/metrics`: one closed list, documented in docs/metrics.md."""

from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name as scraped, its labels and what it means."""

    name: str
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily]
    labels: tuple[str, ...]
    meaning: str

    def family(self) -> GaugeMetricFamily | CounterMetricFamily:
        """An empty family to add values to."""
        # prometheus_client itself adds the counter's `_total`.
        return self.kind(self.name.removesuffix("_total"), self.meaning, labels=self.labels)


QUEUE_MESSAGES = Metric(
    "celery_inference_queue_messages",
    GaugeMetricFamily,
    ("queue", "state"),
    "Messages in a queue as SQS last counted them; state is visible, in_flight or delayed.",
)
LANE_DEPTHS_AGE_SECONDS = Metric(
    "celery_inference_lane_depths_age_seconds",
    GaugeMetricFamily,
    ("lane",),
    "Age of a lane's other values: seconds since SQS last answered. Absent until its first answer.",
)
LANE_DEPTHS_FAILED_ROUNDS_TOTAL = Metric(
    "celery_inference_lane_depths_failed_rounds_total",
    CounterMetricFamily,
    ("lane",),
    "Rounds in which a lane's depths could not be read; its values then stay.",
)
LANE_DEAD_LETTERS = Metric(
    "celery_inference_lane_dead_letters",
    GaugeMetricFamily,
    ("lane",),
    "Messages in a lane's dead-letter queue, whatever their state.",
)
LANE_DRAIN_SECONDS = Metric(
    "celery_inference_lane_drain_seconds",
    GaugeMetricFamily,
    ("lane",),
    "Drain time: seconds until the lane is empty at the speed of the last minute; 0 when it is empty. "
    "Absent while it is not draining.",
)

QUEUE_OLDEST_AGE_SECONDS = Metric(
    "celery_inference_queue_oldest_age_seconds",
    GaugeMetricFamily,
    ("queue", "bound"),
    "Age of a queue's oldest message as of its last reading, delays included, between bounds; bound is at_least or "
    "at_most. 0 when the queue is empty; at_most is absent until it was seen empty.",
)

DEPTHS = (
    QUEUE_MESSAGES,
    LANE_DEPTHS_AGE_SECONDS,
    LANE_DEPTHS_FAILED_ROUNDS_TOTAL,
    LANE_DEAD_LETTERS,
    LANE_DRAIN_SECONDS,
    QUEUE_OLDEST_AGE_SECONDS,
)

LANE_RECEIVED_AGE_SECONDS = Metric(
    "celery_inference_lane_received_age_seconds",
    GaugeMetricFamily,
    ("lane",),
    "Age of the oldest message that workers held or received when they last told, delays included. Absent when they "
    "have told of none for 75 s.",
)
DEVICE_RESTARTS_TOTAL = Metric(
    "celery_inference_device_restarts_total",
    CounterMetricFamily,
    ("worker", "device"),
    "Device processes that were started anew since the worker's start.",
)
DEVICE_MEMORY_BYTES = Metric(
    "celery_inference_device_memory_bytes",
    GaugeMetricFamily,
    ("worker", "device", "kind"),
    "Memory of a device process; kind is process (its resident set), device (all that the device has), and on a GPU, "
    "as of the last batch, allocated (by tensors), peak (the most since loading) and reserved (kept for tensors).",
)
MODEL_MEMORY_BYTES = Metric(
    "celery_inference_model_memory_bytes",
    GaugeMetricFamily,
    ("worker", "device", "model", "kind"),
    "Memory that a model took when it was loaded; kind is weights or peak (with its first passes).",
)
MODEL_MEMORY_LIMIT_TOKENS = Metric(
    "celery_inference_model_memory_limit_tokens",
    GaugeMetricFamily,
    ("worker", "device", "model", "least_tokens"),
    "Out-of-memory limit: the tokens that a pass may have, padding included, whose longest input has at least "
    "least_tokens, because more did not fit. Absent where nothing ran out of memory lately.",
)


def _of_model(name: str, meaning: str) -> Metric:
    return Metric(name, CounterMetricFamily, ("worker", "model"), meaning + " Since the worker's start.")


# By the names that workers use for their totals.
MODEL_TOTALS = {
    "batches": _of_model("celery_inference_batches_total", "Batches that devices have run."),
    "rows": _of_model("celery_inference_inputs_total", "Inputs in those batches."),
    "tokens": _of_model(
        "celery_inference_tokens_total", "Tokens, pixels or samples of those inputs, as a model counts them."
    ),
    "padded_tokens": _of_model("celery_inference_padded_tokens_total", "The same, with the padding that batches add."),
    "forward_seconds": _of_model("celery_inference_forward_seconds_total", "Time of forward passes."),
    "out_of_memory": _of_model(
        "celery_inference_out_of_memory_total", "Passes that did not fit into the device's memory."
    ),
    "waits": _of_model("celery_inference_queue_waits_total", "Requests whose wait in the queue was measured."),
    "wait_seconds": _of_model(
        "celery_inference_queue_wait_seconds_total", "Time from a request's sending to a worker's thread taking it."
    ),
}
FIGURES = (
    LANE_RECEIVED_AGE_SECONDS,
    DEVICE_RESTARTS_TOTAL,
    DEVICE_MEMORY_BYTES,
    MODEL_MEMORY_BYTES,
    MODEL_MEMORY_LIMIT_TOKENS,
    *MODEL_TOTALS.values(),
)

VOCABULARY = (*DEPTHS, *FIGURES)
