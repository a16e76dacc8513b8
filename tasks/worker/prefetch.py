"""How many deliveries the worker holds: enough to choose batches from, and no more than it soon drains.

A delivery that waits here is one that an idle worker elsewhere cannot take. Its capacity suits the fastest model; where
slower ones are asked for, the measured speeds say how much less is right.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from celery.utils.log import get_logger

from celery_inference.specs.model_spec import ModelSpec
from models.engine import Engine
from tasks.execution.engine_client import EngineClient

logger = get_logger(__name__)

ROUND_SECONDS = 0.5


def limit_of(
    held_rows: Mapping[str, int],
    row_seconds: Mapping[str, float],
    *,
    requests: int,
    most: int,
    least: int,
    seconds: float,
) -> int:
    """How many requests to hold, when so many are held now and those should be drained in `seconds`.

    `held_rows` are the inputs of each model that wait or run here, `row_seconds` what one takes on all devices
    together, as far as it is known. The answer lies between `least` and `most`.
    """
    draining = sum(rows * row_seconds.get(model, 0.0) for model, rows in held_rows.items())
    if draining <= seconds:
        return most
    return max(least, min(most, int(requests * seconds / draining)))


def row_seconds(totals: Mapping[str, Mapping[str, float]], devices: int) -> dict[str, float]:
    """From the engine's totals: what one input of each model takes on all devices together."""
    return {model: total["seconds"] / total["rows"] / devices for model, total in totals.items() if total.get("rows")}


def least_of(specs: Sequence[ModelSpec], models: Mapping[str, int], devices: int) -> int:
    """One batch at each device and one waiting for it, of whichever held model has the largest batches."""
    sizes = [spec.batch_size for spec in specs if models.get(spec.name)]
    return 2 * max(sizes, default=1) * devices


class PrefetchStep:
    """Adjusts the consumer's prefetch count while the worker runs, in a thread of its own."""

    def __init__(
        self, consumer: Any, client: EngineClient, specs: Sequence[ModelSpec], devices: int, seconds: float
    ) -> None:
        self._consumer = consumer
        self._client = client
        self._specs = specs
        self._devices = devices
        self._seconds = seconds
        self._thread = threading.Thread(target=self._run, name="flow", daemon=True)

    def start(self) -> None:
        """Begin to adjust."""
        self._thread.start()

    def _run(self) -> None:
        while (engine := self._client.engine) is not None:
            try:
                self._round(engine)
            except Exception:
                logger.exception("how much to hold could not be worked out; it stays as it is")
            time.sleep(ROUND_SECONDS)

    def _round(self, engine: Engine) -> None:
        held = self._client.held_rows()
        limit = limit_of(
            held,
            row_seconds(engine.stats()["models"], self._devices),
            requests=self._client.held_requests(),
            most=self._consumer.initial_prefetch_count,
            least=least_of(self._specs, held, self._devices),
            seconds=self._seconds,
        )
        consumer = self._consumer
        # Celery adds to its count what it holds for an ETA, which takes no slot of the engine's.
        waiting = max(0, consumer.qos.value - consumer.initial_prefetch_count)
        if consumer.task_consumer is not None:
            consumer.task_consumer.qos(prefetch_count=limit + waiting, apply_global=consumer.qos_global)
