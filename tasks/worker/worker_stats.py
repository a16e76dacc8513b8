"""What a worker tells with each heartbeat of its models, devices and lanes: the event `inference-stats`.

Totals count since the worker's start; who watches makes rates of them. Nothing of a request but its wait is in them.
"""

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from celery.signals import heartbeat_sent, task_prerun
from celery.utils.log import get_logger

from celery_inference.specs.errors import InferenceError
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.consumer.message import ON_RECEIVED, Message
from tasks.execution import engine_client
from tasks.execution.engine_factory import specs

logger = get_logger(__name__)

EVENT = "inference-stats"
AGES = "inference-ages"
AGES_SECONDS = 5.0  # between two of a worker's
_DEVICE_FACTS = ("state", "restarts", "batches_at_device", "memory", "model_memory", "memory_limits")


class Waits:
    """How long requests waited, by model, and how old messages were when they were received, by lane. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._seconds: dict[str, float] = defaultdict(float)
        self._ages: dict[str, float] = {}

    def note(self, model: str, seconds: float) -> None:
        """A request for this model is taken up by a thread."""
        with self._lock:
            self._counts[model] += 1
            self._seconds[model] += max(0.0, seconds)

    def on_received(self, messages: Sequence[Message]) -> None:
        """Messages were received."""
        now = time.time()
        with self._lock:
            for message in messages:
                if message.delivery.sent_at:
                    lane, age = message.delivery.queue, max(0.0, now - message.delivery.sent_at)
                    self._ages[lane] = max(age, self._ages.get(lane, 0.0))

    def totals(self) -> dict[str, dict[str, float]]:
        """By model: `waits` and `wait_seconds`."""
        with self._lock:
            return {
                model: {"waits": count, "wait_seconds": round(self._seconds[model], 3)}
                for model, count in self._counts.items()
            }

    def take_ages(self) -> dict[str, float]:
        """The greatest age since the last call, by lane."""
        with self._lock:
            ages, self._ages = self._ages, {}
        return {lane: round(seconds, 3) for lane, seconds in ages.items()}


WAITS = Waits()


class MessageAges:
    """Tells how old the messages are that are received and held: with each heartbeat, and soon after a receive.

    The event of a receive costs nothing: it goes in the same message as the events of the tasks that came with it.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._sent_at = -math.inf

    def on_received(self, messages: Sequence[Message]) -> None:
        """Messages were received; in a receiver's thread."""
        WAITS.on_received(messages)
        dispatcher, now = self._consumer.event_dispatcher, time.monotonic()
        if dispatcher is not None and now - self._sent_at >= AGES_SECONDS:
            self._sent_at = now
            dispatcher.send(AGES, received=WAITS.take_ages(), held=held_ages())


def held_ages() -> dict[str, float]:
    """The age of the oldest message that this process holds, by lane."""
    now = time.time()
    return {lane: round(max(0.0, now - sent_at), 3) for lane, sent_at in HELD.oldest_sent().items()}


def watch(consumer: Any) -> None:
    """Measure from now on, in this process, and tell with each heartbeat."""
    ON_RECEIVED.append(MessageAges(consumer).on_received)
    task_prerun.connect(_note_wait, weak=False)
    heartbeat_sent.connect(_publish, weak=False)


def publish_stats(dispatcher: Any) -> None:
    """Send the event, if anybody watches; never raises."""
    engine = engine_client.engine()
    if engine is None or dispatcher is None:
        return
    try:
        dispatcher.send(EVENT, **stats_event(engine.stats(), dispatcher.app.conf))
    except Exception:
        logger.exception("what the models do could not be told")


def stats_event(stats: dict[str, Any], conf: Any) -> dict[str, Any]:
    """The event's fields, of an engine's stats."""
    models: dict[str, dict[str, float]] = {name: dict(totals) for name, totals in stats["models"].items()}
    for model, waits in WAITS.totals().items():
        models.setdefault(model, {}).update(waits)
    try:
        sizes = {spec.name: spec.batch_size for spec in specs(conf)}
    except InferenceError:
        sizes = {}
    return {
        "models": models,
        "devices": {
            name: {fact: facts[fact] for fact in _DEVICE_FACTS if fact in facts}
            for name, facts in stats["devices"].items()
        },
        "received": WAITS.take_ages(),
        "held": held_ages(),
        "batch_sizes": sizes,
    }


def _note_wait(task: Any = None, kwargs: Any = None, **_: Any) -> None:
    delivery = (task.request.properties or {}).get("delivery_info") or {}
    model = kwargs.get("model") if isinstance(kwargs, dict) else None
    if isinstance(model, str) and delivery.get("sent_at"):
        WAITS.note(model, time.time() - float(delivery["sent_at"]))


def _publish(sender: Any = None, **_: Any) -> None:
    publish_stats(sender.eventer)
