"""What a worker tells with each heartbeat of its models, devices and lanes: the event `inference-stats`.

Totals count since the worker's start; who watches makes rates of them. Nothing of a request but its wait is in them.
"""

import math
import threading
import time
from collections.abc import Sequence
from typing import Any

from celery.utils.log import get_logger

from celery_inference.specs.errors import InferenceError
from celery_inference.sqs.consumer.deliveries import HELD
from celery_inference.sqs.consumer.message import Message
from tasks.execution.engine_client import EngineClient
from tasks.execution.engine_factory import specs

logger = get_logger(__name__)

EVENT = "inference-stats"
AGES = "inference-ages"
AGES_SECONDS = 5.0  # between two of a worker's
_DEVICE_FACTS = ("state", "isolated", "restarts", "batches_at_device", "memory", "model_memory", "memory_limits")


class HeartbeatStats:
    """Of Celery's consumer: tells with each heartbeat, and how old messages are also soon after a receive. Thread-safe.

    The event of a receive costs nothing: it goes in the same message as the events of the tasks that came with it.
    """

    def __init__(self, consumer: Any, engine: EngineClient) -> None:
        self._consumer = consumer
        self._engine = engine
        self._lock = threading.Lock()
        self._ages: dict[str, float] = {}  # the greatest since the last event, by lane
        self._sent_at = -math.inf

    def on_received(self, messages: Sequence[Message]) -> None:
        """Messages were received; in a receiver's thread."""
        now = time.time()
        with self._lock:
            for message in messages:
                if message.delivery.sent_at:
                    lane, age = message.delivery.queue, max(0.0, now - message.delivery.sent_at)
                    self._ages[lane] = max(age, self._ages.get(lane, 0.0))
        dispatcher = self._consumer.event_dispatcher
        if dispatcher is not None and time.monotonic() - self._sent_at >= AGES_SECONDS:
            self._sent_at = time.monotonic()
            dispatcher.send(AGES, **self._message_ages())

    def publish(self) -> None:
        """Send the event, if anybody watches; never raises."""
        engine, dispatcher = self._engine.engine, self._consumer.event_dispatcher
        if engine is None or dispatcher is None:
            return
        try:
            dispatcher.send(EVENT, **self._event(engine.stats()))
        except Exception:
            logger.exception("what the models do could not be told")

    def _event(self, stats: dict[str, Any]) -> dict[str, Any]:
        """The event's fields, of an engine's stats."""
        models: dict[str, dict[str, float]] = {name: dict(totals) for name, totals in stats["models"].items()}
        for model, totals in self._engine.totals().items():
            models.setdefault(model, {}).update(totals)
        breaker = self._consumer.app.worker_context.breaker
        try:
            sizes = {spec.name: spec.batch_size for spec in specs(self._consumer.app.conf)}
        except InferenceError:
            sizes = {}
        return {
            "models": models,
            "devices": {
                name: {fact: facts[fact] for fact in _DEVICE_FACTS if fact in facts}
                for name, facts in stats["devices"].items()
            },
            **self._message_ages(),
            "batch_sizes": sizes,
            "dead_letters": breaker.dead_letters() if breaker is not None else {},
        }

    def _message_ages(self) -> dict[str, dict[str, float]]:
        """By lane: the greatest age at a receive since the last call, and that of the oldest message held now."""
        now = time.time()
        with self._lock:
            received, self._ages = self._ages, {}
        held = {lane: max(0.0, now - sent_at) for lane, sent_at in HELD.oldest_sent().items()}
        return {
            "received": {lane: round(age, 3) for lane, age in received.items()},
            "held": {lane: round(age, 3) for lane, age in held.items()},
        }
